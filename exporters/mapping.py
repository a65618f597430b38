"""From the projection tables to PROV statements: one stream, ordered by kind of statement.

Everything is read in streams, several times where several kinds of statement come of one table, so that memory does not grow
with the store; only users and storage locations are held. For a part of the store the ids of its records are held as well.

References:
    PROV-CONSTRAINTS, https://www.w3.org/TR/prov-constraints/; the numbers in comments are its constraints
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final, Literal, NamedTuple, TypeAlias

from lineagelog.domain.errors import ExportError, InvalidValueError, RecordNotFoundError
from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.statement import (
    Activity,
    Agent,
    Association,
    Attributes,
    Attribution,
    Bundle,
    Communication,
    Delegation,
    Derivation,
    Entity,
    Generation,
    Moment,
    Name,
    Specialization,
    Statement,
    Usage,
    Value,
)
from lineagelog.projections.lineage import closure
from lineagelog.projections.reader import Reader, Row

MAX_DERIVATIONS: Final = 10_000
"""A run's derivations (each output from each earlier input) are written up to this number …"""

DERIVATIONS_PER_EDGE: Final = 10
"""… or to this many for each of its inputs and outputs; beyond both none is, since usage and generation imply them."""

_CHUNK: Final = 500
_SUBJECT: Final = {
    "artifact": "SELECT id FROM artifacts WHERE uid = ?",
    "run": "SELECT id FROM runs WHERE uid = ?",
    "transform": "SELECT id FROM transforms WHERE uid = ?",
}
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


@dataclass(frozen=True, slots=True)
class Scope:
    """What an export speaks of.

    Attributes:
        kind: `all`, or the kind of the subject: `artifact`, `run` or `transform`.
        uid: Whole uid of the subject.
        direction: Which way lineage is followed from the subject.
        max_depth: Longest way followed, in derivation steps; `None` follows to the end.
    """

    kind: Literal["all", "artifact", "run", "transform"] = "all"
    uid: str = ""
    direction: Literal["upstream", "downstream", "both"] = "upstream"
    max_depth: int | None = None

    def __post_init__(self) -> None:
        for what, value, choices in (
            ("the kind of scope", self.kind, ("all", *_SUBJECT)),
            ("the direction", self.direction, ("upstream", "downstream", "both")),
        ):
            if value not in choices:
                raise InvalidValueError(what, f"is {value!r}; it must be one of: {', '.join(choices)}")

    def __str__(self) -> str:
        return "all" if self.kind == "all" else f"{self.kind} {self.uid}"


ALL: Final = Scope()


class Mapped(NamedTuple):
    """What PROV says of a kind of event.

    Attributes:
        statements: Kinds of statement that come of it.
        note: How.
    """

    statements: tuple[type[Statement], ...]
    note: str


class Excluded(NamedTuple):
    """Why PROV says nothing of a kind of event."""

    reason: str


_CURRENT: Final = "changes attributes; the export gives the values at its position, earlier ones stand in the log"

EVENT_MAPPING: Final[Mapping[str, Mapped | Excluded]] = {
    "store.created.1": Mapped((Entity,), "the log, named by its last position; its title is the name of the store"),
    "user.registered.1": Mapped((Agent,), "prov:Person"),
    "user.updated.1": Mapped((Agent,), _CURRENT),
    "user.logged_in.1": Mapped((Activity, Association), "the session, associated with the user; whole store only"),
    "user.logged_out.1": Mapped((Activity,), "end time of the session"),
    "login.failed.1": Excluded("nothing came of it; it is a matter of security, kept in the log alone"),
    "storage.registered.1": Mapped((Entity,), "prov:Location; artifacts are at it"),
    "storage.updated.1": Mapped((Entity,), _CURRENT),
    "storage.made_default.1": Excluded("a setting for later saves; where each artifact lies is stated with it"),
    "transform.registered.1": Mapped(
        (Entity, Attribution, Specialization, Derivation),
        "prov:Plan; specialization of its family, attributed to its author, revision of the previous version",
    ),
    "transform.updated.1": Mapped((Entity,), _CURRENT),
    "environment.recorded.1": Mapped(
        (Entity, Agent), "the packages as an entity, its interpreter as prov:SoftwareAgent"
    ),
    "run.started.1": Mapped(
        (Activity, Association, Delegation, Communication),
        "start time; associated with the user and the interpreter, which acted on the user's behalf, both following "
        "the transform version; informed by the run that started it",
    ),
    "run.updated.1": Mapped((Activity,), _CURRENT),
    "input.accessed.1": Mapped(
        (Usage, Derivation), "with time and role; each output saved after it was derived from it"
    ),
    "run.finished.1": Mapped((Activity,), "end time and status"),
    "run.failed.1": Mapped((Activity,), "end time, status, class and text of the error; not the traceback"),
    "run.aborted.1": Mapped((Activity,), "end time, status and what interrupted it"),
    "artifact.registered.1": Mapped(
        (Entity, Generation, Attribution, Specialization, Derivation),
        "one generation, by the run if there was one; specialization of its family, attributed to its creator, "
        "revision of the previous version, derived from the inputs of its run",
    ),
    "artifact.seen_again.1": Mapped(
        (Activity,), "ll:sawAgain on the run; a second generation would break constraint 24"
    ),
    "artifact.updated.1": Mapped((Entity,), _CURRENT),
    "export.made.1": Excluded("an export cannot tell of itself in the log before it is made; its bundle describes it"),
    **{
        topic: Excluded("annotations and collections are not exported yet; they stand in the log and its tables")
        for topic in (
            "label.defined.1",
            "label.updated.1",
            "label.attached.1",
            "label.detached.1",
            "record.defined.1",
            "record.updated.1",
            "feature.defined.1",
            "feature.updated.1",
            "feature_values.set.1",
            "feature_values.removed.1",
            "parent.added.1",
            "parent.removed.1",
            "project.created.1",
            "project.updated.1",
            "project.assigned.1",
            "project.unassigned.1",
            "collection.registered.1",
            "collection.updated.1",
        )
    },
    "checkpoint.sealed.1": Excluded("a witness outside the store of the log's state, not a part of the lineage"),
}
"""Each topic of the log, with what comes of it or why nothing does."""


@dataclass(frozen=True, slots=True)
class Export:
    """An export on its way to a writer.

    Attributes:
        prefixes: Every prefix that names are written with, and its IRI.
        bundle: Name of the bundle.
        left_out: What the export does not hold, by kind.
        statements: The statements. Those before the `Bundle` mark describe the export itself. Each kind of statement comes in
            one piece, before the mark and after it.
    """

    prefixes: Mapping[str, str]
    bundle: Name
    left_out: Mapping[str, int]
    statements: Iterator[Statement]


def open_export(
    reader: Reader, *, scope: Scope, head_position: int, head_root: str, software: str, base: str
) -> Export:
    """Find out what an export holds, and hand out its statements.

    Args:
        reader: One consistent view of the store.
        scope: What to export.
        head_position: Last position of the log in that view.
        head_root: Merkle tree head at that position.
        software: Name and version of the exporting software.
        base: Beginning of the IRIs of all records.

    Raises:
        RecordNotFoundError: The subject of the scope does not exist.
        ExportError: The view holds no store.
    """
    stores = reader.read("SELECT uid, name, created_at FROM stores ORDER BY position")
    if not stores:
        raise ExportError("there is nothing to export: the database holds no store; create one with `prov init`")
    uid, title, created_at = stores[0]
    dense = {str(run_id): int(pairs) for run_id, pairs in reader.read(_DENSE_RUNS)}
    part = None if scope.kind == "all" else _Part.find(reader, scope)
    left_out = {} if part is None else part.left_out
    omitted = sum(pairs for run_id, pairs in dense.items() if part is None or run_id in part.runs)
    if omitted:
        left_out = {**left_out, "derivations": omitted}
    suffix = "all"
    if part is not None:
        depth = "" if scope.max_depth is None else f"-{scope.max_depth}"
        suffix = f"{scope.kind}-{v.local_name(scope.uid)}-{scope.direction}{depth}"
    slug = f"{head_position}-{suffix}"
    description = _Description(
        bundle=Name(f"export:{slug}"),
        activity=Name(f"exporting:{slug}"),
        log=Name(f"log:{head_position}"),
        software=software,
        scope=scope,
        title=str(title),
        created_at=_moment(created_at),
        position=head_position,
        root=head_root,
        left_out=left_out,
    )
    statements = chain(description.statements(), _Mapper(reader, part, dense).statements())
    return Export(v.store_prefixes(base, str(uid)), description.bundle, left_out, statements)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """What an export says of itself: a bundle, made by an export activity from the log as it was at one position."""

    bundle: Name
    activity: Name
    log: Name
    software: str
    scope: Scope
    title: str
    created_at: Moment | None
    position: int
    root: str
    left_out: Mapping[str, int]

    def statements(self) -> Iterator[Statement]:
        agent = Name(f"software:{re.sub('[^A-Za-z0-9]+', '-', self.software).strip('-') or 'unnamed'}")
        about: list[tuple[Name, Value | None]] = [(v.TYPE, v.BUNDLE), (v.SCOPE, str(self.scope))]
        if self.scope.kind != "all":
            about += [(v.DIRECTION, self.scope.direction), (v.MAX_DEPTH, self.scope.max_depth)]
        about += [(v.left_out_name(what), count) for what, count in self.left_out.items()]
        yield Agent(agent, ((v.TYPE, v.SOFTWARE_AGENT), (v.LABEL, self.software)))
        yield Entity(self.bundle, _present(about))
        log: list[tuple[Name, Value | None]] = [
            (v.TYPE, v.EVENT_LOG),
            (v.TITLE, self.title),
            (v.CREATED, self.created_at),
            (v.FIRST_POSITION, 1 if self.position else None),
            (v.LAST_POSITION, self.position),
            (v.MERKLE_ROOT, self.root),
        ]
        yield Entity(self.log, _present(log))
        # No times: two exports of one position are the same, byte for byte.
        yield Activity(self.activity, None, None, ((v.TYPE, v.EXPORTING),))
        slug = self.bundle.removeprefix("export:")
        # No usage of the log: `?run prov:used ?artifact` is to find runs and artifacts and nothing else.
        yield Generation(Name(f"generation:{slug}"), self.bundle, self.activity)
        yield Association(Name(f"association:{slug}"), self.activity, agent, None, ((v.ROLE, v.EXPORTER),))
        yield Derivation(None, self.bundle, self.log)
        yield Bundle(self.bundle)


@dataclass(frozen=True, slots=True)
class _Part:
    """The records of a partial export, as sets of ids."""

    artifacts: frozenset[str]
    runs: frozenset[str]
    transforms: frozenset[str]
    environments: frozenset[str]
    storages: frozenset[str]
    users: frozenset[str]
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def find(cls, reader: Reader, scope: Scope) -> _Part:
        """Follow the lineage of the subject, and count what lies beyond.

        Raises:
            RecordNotFoundError: There is no such subject.
        """
        found = reader.read(_SUBJECT[scope.kind], (scope.uid,))
        if not found:
            raise RecordNotFoundError(
                scope.kind.capitalize(),
                f"uid={scope.uid!r}",
                "list the records with `prov log`, or export the whole store",
            )
        subject = str(found[0][0])
        if scope.kind == "artifact":
            lineage = closure(reader, artifact_ids=[subject], direction=scope.direction, max_depth=scope.max_depth)
            artifacts, runs = {subject, *lineage.artifacts}, set(lineage.runs)
        else:
            own = [subject]
            if scope.kind == "transform":
                own = [str(id_) for (id_,) in reader.read("SELECT id FROM runs WHERE transform_id = ?", (subject,))]
            lineage = closure(reader, run_ids=own, direction=scope.direction, max_depth=scope.max_depth)
            artifacts, runs = set(lineage.artifacts), {*own, *lineage.runs}
            # A run is shown with all it read and wrote, whichever way its lineage is followed.
            artifacts.update(str(id_) for (id_,) in _chunked(reader, _ARTIFACTS_OF_RUNS, own))
        runs |= _initiators(reader, runs)
        transforms = {str(id_) for (id_,) in _chunked(reader, _TRANSFORMS_OF_RUNS, runs)}
        if scope.kind == "transform":
            transforms.add(subject)
        part = cls(
            artifacts=frozenset(artifacts),
            runs=frozenset(runs),
            transforms=frozenset(transforms),
            environments=_referred(reader, "environment_id", runs=runs),
            storages=_referred(reader, "storage_id", artifacts=artifacts),
            users=_referred(reader, "created_by_id", artifacts=artifacts, runs=runs, transforms=transforms),
        )
        part.left_out.update(part.count_left_out(reader))
        return part

    def count_left_out(self, reader: Reader) -> Iterator[tuple[str, int]]:
        """Count the records, and the inputs and outputs of runs, that are in the store and not in this part."""
        held = {
            "artifacts": len(self.artifacts),
            "runs": len(self.runs),
            "transforms": len(self.transforms),
            "environments": len(self.environments),
            "storages": len(self.storages),
            "users": len(self.users),
            "sessions": 0,
        }
        for table, count in held.items():
            ((total,),) = reader.read(f"SELECT count(*) FROM {table}")  # noqa: S608 - names from this function
            yield table, int(total) - count
        edges = dict.fromkeys(("used", "generated", "seen"), 0)
        for kind, artifact_id in _chunked(reader, _EDGES_OF_RUNS, self.runs):
            edges[kind] += artifact_id in self.artifacts
        totals: dict[str, int] = dict(reader.read("SELECT kind, count(*) FROM edges GROUP BY kind"))
        for kind, name in (("used", "inputs"), ("generated", "outputs"), ("seen", "outputsSeenAgain")):
            yield name, int(totals.get(kind, 0)) - edges[kind]


Ids: TypeAlias = frozenset[str] | None


class _Mapper:
    """Reads the tables and makes the statements of the bundle."""

    def __init__(self, reader: Reader, part: _Part | None, dense: Mapping[str, int]) -> None:
        self._reader = reader
        self._part = part
        self._dense = dense
        self._users = {id_: Name(f"user:{v.local_name(uid)}") for id_, uid in reader.read("SELECT id, uid FROM users")}
        self._storages = {
            id_: Name(f"storage:{v.local_name(uid)}") for id_, uid in reader.read("SELECT id, uid FROM storages")
        }
        self._ids: Mapping[str, Ids] = {
            table: None if part is None else getattr(part, table)
            for table in ("artifacts", "runs", "transforms", "environments", "storages", "users")
        }
        self._artifacts, self._runs, self._transforms = (
            self._ids[table] for table in ("artifacts", "runs", "transforms")
        )

    def statements(self) -> Iterator[Statement]:
        """Hand out every statement, each kind in one piece."""
        passes: tuple[Callable[[], Iterator[Statement]], ...] = (
            self._user_agents, self._software_agents,
            self._storage_entities, self._environment_entities, self._transform_families, self._transform_entities,
            self._artifact_families, self._artifact_entities,
            self._session_activities, self._run_activities,
            self._generations, self._usages, self._communications,
            self._session_associations, self._run_associations, self._delegations,
            self._transform_attributions, self._artifact_attributions,
            self._transform_revisions, self._artifact_revisions, self._derivations,
            self._transform_specializations, self._artifact_specializations,
        )  # fmt: skip
        for make in passes:
            yield from make()

    def _rows(self, sql: str, ids: Ids) -> Iterator[Row]:
        """Stream a query: all its rows, or those of some ids in a lasting order."""
        if ids is None:
            return self._reader.stream(sql.format(these="IS NOT NULL"))
        return _chunked(self._reader, sql, ids)

    def _user_agents(self) -> Iterator[Statement]:
        for uid, handle, name, email, created_at in self._rows(_USERS, self._ids["users"]):
            attributes: list[tuple[Name, Value | None]] = [
                (v.TYPE, v.PERSON),
                (v.LABEL, name or handle),
                (v.HANDLE, handle),
                (v.EMAIL, email),
                (v.CREATED, _moment(created_at)),
            ]
            yield Agent(Name(f"user:{v.local_name(uid)}"), _present(attributes))

    def _software_agents(self) -> Iterator[Statement]:
        for id_, python, implementation, *_ in self._rows(_ENVIRONMENTS, self._ids["environments"]):
            name = v.local_name(id_)
            yield Agent(
                Name(f"software:{name}"),
                (
                    (v.TYPE, v.SOFTWARE_AGENT),
                    (v.LABEL, f"{implementation} {python}"),
                    (v.IN_ENVIRONMENT, Name(f"environment:{name}")),
                ),
            )

    def _storage_entities(self) -> Iterator[Statement]:
        ids = self._ids["storages"]
        for uid, root, type_, region, description, created_at in self._rows(_STORAGES, ids):
            attributes: list[tuple[Name, Value | None]] = [
                (v.TYPE, v.PLACE),
                (v.TYPE, v.STORAGE),
                (v.LABEL, root),
                (v.ROOT, root),
                (v.STORAGE_TYPE, type_),
                (v.REGION, region),
                (v.DESCRIPTION, description),
                (v.CREATED, _moment(created_at)),
            ]
            yield Entity(Name(f"storage:{v.local_name(uid)}"), _present(attributes))

    def _environment_entities(self) -> Iterator[Statement]:
        ids = self._ids["environments"]
        for id_, python, implementation, platform, hash_, packages, created_at in self._rows(_ENVIRONMENTS, ids):
            attributes: list[tuple[Name, Value | None]] = [
                (v.TYPE, v.ENVIRONMENT),
                (v.PYTHON, python),
                (v.IMPLEMENTATION, implementation),
                (v.PLATFORM, platform),
                (v.SHA256, hash_),
                (v.PACKAGES, packages),
                (v.CREATED, _moment(created_at)),
            ]
            yield Entity(Name(f"environment:{v.local_name(id_)}"), _present(attributes))

    def _transform_families(self) -> Iterator[Statement]:
        return self._families("transform-family", v.TRANSFORM_FAMILY, _TRANSFORM_FAMILIES, self._transforms)

    def _artifact_families(self) -> Iterator[Statement]:
        return self._families("artifact-family", v.ARTIFACT_FAMILY, _ARTIFACT_FAMILIES, self._artifacts)

    def _families(self, prefix: str, type_: Name, first_of_each: str, ids: Ids) -> Iterator[Statement]:
        attributes = ((v.TYPE, type_),)
        if ids is None:
            for (stem,) in self._reader.stream(first_of_each):
                yield Entity(Name(f"{prefix}:{v.local_name(stem)}"), attributes)
            return
        for stem in sorted({str(stem) for stem, _ in _chunked(self._reader, _STEMS_OF[prefix], ids)}):
            yield Entity(Name(f"{prefix}:{v.local_name(stem)}"), attributes)

    def _transform_entities(self) -> Iterator[Statement]:
        for row in self._rows(_TRANSFORMS, self._transforms):
            (
                uid, key, type_, description, hash_, source_redacted, reference, reference_type, version_number, version,
                created_at, updated_at,
            ) = row  # fmt: skip
            attributes: list[tuple[Name, Value | None]] = [
                (v.TYPE, v.PLAN),
                (v.TYPE, v.TRANSFORM),
                (v.LABEL, key),
                (v.KEY, key),
                (v.TRANSFORM_TYPE, type_),
                (v.DESCRIPTION, description),
                (v.SHA256, hash_),
                (v.SOURCE_REDACTED, True if source_redacted else None),
                (v.REFERENCE, reference),
                (v.REFERENCE_TYPE, reference_type),
                (v.VERSION_NUMBER, version_number),
                (v.VERSION, version),
                (v.CREATED, _moment(created_at)),
                (v.MODIFIED, _moment(updated_at) if updated_at != created_at else None),
            ]
            yield Entity(Name(f"transform:{v.local_name(uid)}"), _present(attributes))

    def _artifact_entities(self) -> Iterator[Statement]:
        for row in self._rows(_ARTIFACTS, self._artifacts):
            (
                uid, key, kind, suffix, description, size, hash_, hash_type, otype, n_files, n_observations, storage, path,
                version_number, version, created_at, updated_at,
            ) = row  # fmt: skip
            attributes: list[tuple[Name, Value | None]] = [
                (v.TYPE, v.ARTIFACT),
                (v.LABEL, key),
                (v.LOCATION, self._storages.get(storage)),
                (v.KEY, key),
                (v.KIND, kind),
                (v.SUFFIX, suffix or None),
                (v.DESCRIPTION, description),
                (v.BYTE_SIZE, size),
                (v.SHA256 if hash_type == "sha256" else v.FOLDER_SHA256, hash_),
                (v.OBJECT_TYPE, otype),
                (v.N_FILES, n_files),
                (v.N_OBSERVATIONS, n_observations),
                (v.PATH, path),
                (v.VERSION_NUMBER, version_number),
                (v.VERSION, version),
                (v.CREATED, _moment(created_at)),
                (v.MODIFIED, _moment(updated_at) if updated_at != created_at else None),
            ]
            yield Entity(Name(f"artifact:{v.local_name(uid)}"), _present(attributes))

    def _session_activities(self) -> Iterator[Statement]:
        if self._part is None:
            for id_, _, started_at, ended_at in self._reader.stream(_SESSIONS):
                name = Name(f"session:{v.local_name(id_)}")
                yield Activity(name, _moment(started_at), _moment(ended_at), ((v.TYPE, v.SESSION),))

    def _run_activities(self) -> Iterator[Statement]:
        # Both streams are ordered by the run, so that what a run saw again joins it on the way.
        seen = _Groups(self._rows(_SEEN, self._runs))
        for row in self._rows(_RUNS, self._runs):
            (
                id_, uid, name, status, started_at, finished_at, params, redacted, reference, reference_type, environment,
                git_commit, git_dirty, git_remote, git_branch, git_path, command, host, error_type, error_message,
            ) = row  # fmt: skip
            attributes: list[tuple[Name, Value | None]] = [
                (v.TYPE, v.RUN),
                (v.LABEL, name),
                (v.STATUS, status),
                (v.PARAMS, params if params != "{}" else None),
                (v.REDACTED, redacted if redacted != "[]" else None),
                (v.REFERENCE, reference),
                (v.REFERENCE_TYPE, reference_type),
                (v.IN_ENVIRONMENT, environment and Name(f"environment:{v.local_name(environment)}")),
                (v.GIT_COMMIT, git_commit),
                (v.GIT_DIRTY, None if git_dirty is None else bool(git_dirty)),
                (v.GIT_REMOTE, git_remote),
                (v.GIT_BRANCH, git_branch),
                (v.GIT_PATH, git_path),
                (v.COMMAND, command if command != "[]" else None),
                (v.HOST, host),
                (v.ERROR_TYPE, error_type),
                (v.ERROR_MESSAGE, error_message),
                (v.DERIVATIONS_OMITTED, self._dense.get(id_)),
            ]
            attributes += [
                (v.SAW_AGAIN, Name(f"artifact:{v.local_name(artifact)}"))
                for artifact_id, artifact in seen.take(id_)
                if self._artifacts is None or artifact_id in self._artifacts
            ]
            times = _moment(started_at), _moment(finished_at)
            yield Activity(Name(f"run:{v.local_name(uid)}"), *times, _present(attributes))

    def _generations(self) -> Iterator[Statement]:
        # Exactly one each (constraint 24), by no activity where there was no run or it is outside this part.
        role = ((v.ROLE, v.KNOWN_ROLES["output"]),)
        for position, uid, run_id, run, created_at in self._rows(_GENERATIONS, self._artifacts):
            artifact = Name(f"artifact:{v.local_name(uid)}")
            activity = None
            if run is not None and (self._runs is None or run_id in self._runs):
                activity = Name(f"run:{v.local_name(run)}")
            attributes = role if activity else ()
            yield Generation(Name(f"generation:{position}"), artifact, activity, _moment(created_at), attributes)

    def _usages(self) -> Iterator[Statement]:
        for position, run, artifact_id, artifact, at, role, how in self._rows(_USAGES, self._runs):
            if self._artifacts is None or artifact_id in self._artifacts:
                yield Usage(
                    Name(f"usage:{position}"),
                    Name(f"run:{v.local_name(run)}"),
                    Name(f"artifact:{v.local_name(artifact)}"),
                    _moment(at),
                    _role(role) + (((v.HOW, how),) if how else ()),
                )

    def _communications(self) -> Iterator[Statement]:
        for run, initiator_id, initiator in self._rows(_COMMUNICATIONS, self._runs):
            if self._runs is None or initiator_id in self._runs:
                yield Communication(None, Name(f"run:{v.local_name(run)}"), Name(f"run:{v.local_name(initiator)}"))

    def _session_associations(self) -> Iterator[Statement]:
        if self._part is None:
            for id_, user_id, *_ in self._reader.stream(_SESSIONS):
                user, session = self._users.get(user_id), v.local_name(id_)
                if user is not None:
                    yield Association(Name(f"association:{session}"), Name(f"session:{session}"), user)

    def _run_associations(self) -> Iterator[Statement]:
        for uid, transform, user_id, environment in self._rows(_RESPONSIBILITIES, self._runs):
            run = v.local_name(uid)
            activity, plan = Name(f"run:{run}"), Name(f"transform:{v.local_name(transform)}")
            user = self._users.get(user_id)
            # A run of which neither is known still followed its plan.
            if user is not None or environment is None:
                role = ((v.ROLE, v.OPERATOR),) if user else ()
                yield Association(Name(f"association:{run}-operator"), activity, user, plan, role)
            if environment is not None:
                yield Association(
                    Name(f"association:{run}-interpreter"),
                    activity,
                    Name(f"software:{v.local_name(environment)}"),
                    plan,
                    ((v.ROLE, v.INTERPRETER),),
                )

    def _delegations(self) -> Iterator[Statement]:
        for uid, _, user_id, environment in self._rows(_RESPONSIBILITIES, self._runs):
            user = self._users.get(user_id)
            if user is not None and environment is not None:
                run, software = v.local_name(uid), Name(f"software:{v.local_name(environment)}")
                yield Delegation(Name(f"delegation:{run}"), software, user, Name(f"run:{run}"))

    def _transform_attributions(self) -> Iterator[Statement]:
        return self._attributions("transform", _TRANSFORM_AUTHORS, self._transforms)

    def _artifact_attributions(self) -> Iterator[Statement]:
        return self._attributions("artifact", _ARTIFACT_AUTHORS, self._artifacts)

    def _attributions(self, prefix: str, sql: str, ids: Ids) -> Iterator[Statement]:
        for uid, user_id in self._rows(sql, ids):
            user = self._users.get(user_id)
            if user is not None:
                yield Attribution(None, Name(f"{prefix}:{v.local_name(uid)}"), user)

    def _transform_revisions(self) -> Iterator[Statement]:
        return self._revisions("transform", _TRANSFORM_REVISIONS, self._transforms)

    def _artifact_revisions(self) -> Iterator[Statement]:
        return self._revisions("artifact", _ARTIFACT_REVISIONS, self._artifacts)

    def _revisions(self, prefix: str, sql: str, ids: Ids) -> Iterator[Statement]:
        # Activity, generation and usage: all three or none (constraint 51).
        revision = ((v.TYPE, v.REVISION),)
        for uid, previous_id, previous in self._rows(sql, ids):
            if ids is None or previous_id in ids:
                new, old = Name(f"{prefix}:{v.local_name(uid)}"), Name(f"{prefix}:{v.local_name(previous)}")
                yield Derivation(None, new, old, None, None, None, revision)

    def _derivations(self) -> Iterator[Statement]:
        held = self._artifacts
        for row in self._rows(_DERIVATIONS, self._runs):
            run, generation, output_id, output, usage, input_id, input_ = row
            if held is not None and not (output_id in held and input_id in held):
                continue
            yield Derivation(
                Name(f"derivation:{generation}-{usage}"),
                Name(f"artifact:{v.local_name(output)}"),
                Name(f"artifact:{v.local_name(input_)}"),
                Name(f"run:{v.local_name(run)}"),
                Name(f"generation:{generation}"),
                Name(f"usage:{usage}"),
            )

    def _transform_specializations(self) -> Iterator[Statement]:
        return self._specializations("transform", _STEMS_OF["transform-family"], self._transforms)

    def _artifact_specializations(self) -> Iterator[Statement]:
        return self._specializations("artifact", _STEMS_OF["artifact-family"], self._artifacts)

    def _specializations(self, prefix: str, sql: str, ids: Ids) -> Iterator[Statement]:
        for stem, uid in self._rows(sql, ids):
            specific = Name(f"{prefix}:{v.local_name(uid)}")
            yield Specialization(None, specific, Name(f"{prefix}-family:{v.local_name(stem)}"))


class _Groups:
    """Rows of a stream by their first column, taken in the order in which the keys come."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def take(self, key: str) -> Iterator[Row]:
        """Hand out the rest of each row that has this key."""
        while self._next is not None and self._next[0] == key:
            yield self._next[1:]
            self._next = next(self._rows, None)


def _chunked(reader: Reader, sql: str, ids: Iterable[str]) -> Iterator[Row]:
    """Run a query for some ids, a few hundred at a time; the order is that of the ids, which is lasting."""
    remaining = iter(sorted(ids))
    while chunk := tuple(islice(remaining, _CHUNK)):
        yield from reader.read(sql.format(these=f"IN ({', '.join('?' * len(chunk))})"), chunk)


def _initiators(reader: Reader, runs: Iterable[str]) -> set[str]:
    """Find the runs that started these, and those that started them."""
    found: set[str] = set()
    new = set(runs)
    while new:
        new = {str(id_) for (id_,) in _chunked(reader, _INITIATORS, new)} - found
        found |= new
    return found


def _referred(reader: Reader, column: str, **ids: Iterable[str]) -> frozenset[str]:
    """Collect the ids that a column of some rows holds; the keywords name the tables."""
    found: set[str] = set()
    for table, rows in ids.items():
        sql = f"SELECT DISTINCT {column} FROM {table} WHERE id {{these}} AND {column} IS NOT NULL"  # noqa: S608 - names from this module
        found.update(str(id_) for (id_,) in _chunked(reader, sql, rows))
    return frozenset(found)


def _present(attributes: Sequence[tuple[Name, Value | None]]) -> Attributes:
    return tuple((name, value) for name, value in attributes if value is not None)


def _role(text: str) -> Attributes:
    """Name a role by an IRI; the text of one that only this store knows stands beside it."""
    known = v.KNOWN_ROLES.get(text)
    if known is not None:
        return ((v.ROLE, known),)
    return (v.ROLE, Name(f"role:{v.local_name(text)}")), (v.ROLE_TEXT, text)


def _moment(text: str | None) -> Moment | None:
    """Take a time of the log as it is.

    Raises:
        ExportError: It is not of the form that all times of a log have.
    """
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise ExportError(f"{text!r} is not a time as the log writes it; run `prov verify` to find the event")
    return Moment(text)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
# `t` is the table whose records are listed.
_DENSE_RUNS: Final = f"""
    SELECT run_id, used * made FROM (
        SELECT run_id, SUM(CASE WHEN kind = 'used' THEN 1 ELSE 0 END) AS used,
            SUM(CASE WHEN kind = 'generated' THEN 1 ELSE 0 END) AS made
        FROM edges GROUP BY run_id) AS counted
    WHERE used * made > {MAX_DERIVATIONS} AND used * made > {DERIVATIONS_PER_EDGE} * (used + made)"""  # noqa: S608 - constants
_ARTIFACTS_OF_RUNS: Final = "SELECT DISTINCT t.artifact_id FROM edges t WHERE t.run_id {these}"
_TRANSFORMS_OF_RUNS: Final = "SELECT DISTINCT t.transform_id FROM runs t WHERE t.id {these}"
_EDGES_OF_RUNS: Final = "SELECT t.kind, t.artifact_id FROM edges t WHERE t.run_id {these}"
_INITIATORS: Final = "SELECT i.id FROM runs t JOIN runs i ON i.id = t.initiated_by_run_id WHERE t.id {these}"
_USERS: Final = """
    SELECT t.uid, t.handle, t.name, t.email, t.created_at FROM users t WHERE t.id {these} ORDER BY t.position"""
_STORAGES: Final = """
    SELECT t.uid, t.root, t.type, t.region, t.description, t.created_at
    FROM storages t WHERE t.id {these} ORDER BY t.position"""
_ENVIRONMENTS: Final = """
    SELECT t.id, t.python, t.implementation, t.platform, t.hash, t.packages, t.created_at
    FROM environments t WHERE t.id {these} ORDER BY t.position"""
_TRANSFORMS: Final = """
    SELECT t.uid, t.key, t.type, t.description, t.hash, t.source_redacted, t.reference, t.reference_type, t.version_number,
        t.version, t.created_at, t.updated_at
    FROM transforms t WHERE t.id {these} ORDER BY t.position"""
_ARTIFACTS: Final = """
    SELECT t.uid, t.key, t.kind, t.suffix, t.description, t.size, t.hash, t.hash_type, t.otype, t.n_files, t.n_observations,
        t.storage_id, t.storage_path, t.version_number, t.version, t.created_at, t.updated_at
    FROM artifacts t WHERE t.id {these} ORDER BY t.position"""
_TRANSFORM_FAMILIES: Final = """
    SELECT t.stem FROM transforms t WHERE NOT EXISTS (
        SELECT 1 FROM transforms e WHERE e.stem = t.stem AND e.position < t.position) ORDER BY t.position"""
_ARTIFACT_FAMILIES: Final = """
    SELECT t.stem FROM artifacts t WHERE NOT EXISTS (
        SELECT 1 FROM artifacts e WHERE e.stem = t.stem AND e.version_number < t.version_number) ORDER BY t.position"""
_STEMS_OF: Final = {
    "transform-family": "SELECT t.stem, t.uid FROM transforms t WHERE t.id {these} ORDER BY t.position",
    "artifact-family": "SELECT t.stem, t.uid FROM artifacts t WHERE t.id {these} ORDER BY t.position",
}
_SESSIONS: Final = "SELECT t.id, t.user_id, t.started_at, t.ended_at FROM sessions t ORDER BY t.position"
_RUNS: Final = """
    SELECT t.id, t.uid, t.name, t.status, t.started_at, t.finished_at, t.params, t.redacted, t.reference, t.reference_type,
        t.environment_id, t.git_commit, t.git_dirty, t.git_remote, t.git_branch, t.git_path, t.command, t.host,
        t.error_type, t.error_message
    FROM runs t WHERE t.id {these} ORDER BY t.position"""
_SEEN: Final = """
    SELECT t.id, a.id, a.uid
    FROM runs t JOIN edges s ON s.run_id = t.id AND s.kind = 'seen' JOIN artifacts a ON a.id = s.artifact_id
    WHERE t.id {these} ORDER BY t.position, s.position"""
_GENERATIONS: Final = """
    SELECT t.position, t.uid, r.id, r.uid, t.created_at
    FROM artifacts t LEFT JOIN runs r ON r.id = t.run_id WHERE t.id {these} ORDER BY t.position"""
_USAGES: Final = """
    SELECT t.position, r.uid, a.id, a.uid, t.at, t.role, t.how
    FROM edges t JOIN runs r ON r.id = t.run_id JOIN artifacts a ON a.id = t.artifact_id
    WHERE t.kind = 'used' AND t.run_id {these} ORDER BY t.position"""
_COMMUNICATIONS: Final = """
    SELECT t.uid, i.id, i.uid FROM runs t JOIN runs i ON i.id = t.initiated_by_run_id WHERE t.id {these} ORDER BY t.position"""
_RESPONSIBILITIES: Final = """
    SELECT t.uid, c.uid, t.created_by_id, t.environment_id
    FROM runs t JOIN transforms c ON c.id = t.transform_id WHERE t.id {these} ORDER BY t.position"""
_TRANSFORM_AUTHORS: Final = "SELECT t.uid, t.created_by_id FROM transforms t WHERE t.id {these} ORDER BY t.position"
_ARTIFACT_AUTHORS: Final = "SELECT t.uid, t.created_by_id FROM artifacts t WHERE t.id {these} ORDER BY t.position"
_TRANSFORM_REVISIONS: Final = """
    SELECT t.uid, p.id, p.uid FROM transforms t JOIN transforms p ON p.id = t.revises_id WHERE t.id {these} ORDER BY t.position"""
_ARTIFACT_REVISIONS: Final = """
    SELECT t.uid, p.id, p.uid FROM artifacts t JOIN artifacts p ON p.id = t.revises_id WHERE t.id {these} ORDER BY t.position"""
# An output can only have come of what its run had read by then: a derivation from a later usage would break constraint 42.
_DERIVATIONS: Final = f"""
    SELECT r.uid, t.position, o.id, o.uid, u.position, i.id, i.uid
    FROM edges t JOIN edges u ON u.run_id = t.run_id AND u.kind = 'used'
            AND u.position < t.position AND u.artifact_id <> t.artifact_id
        JOIN artifacts o ON o.id = t.artifact_id JOIN artifacts i ON i.id = u.artifact_id JOIN runs r ON r.id = t.run_id
    WHERE t.kind = 'generated' AND t.run_id {{these}}
        AND t.run_id NOT IN (SELECT run_id FROM ({_DENSE_RUNS}) AS dense)
    ORDER BY t.position, u.position"""  # noqa: S608 - the parts are constants
