"""The records of a partial export: which belong to its scope, what they need, and how much lies beyond.

Their ids are held in memory; the whole store is exported without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from lineagelog.domain.errors import RecordNotFoundError
from lineagelog.exporters.mapping.annotation import Annotations, count_annotations
from lineagelog.exporters.mapping.deletion import deleters
from lineagelog.exporters.mapping.fixity import checkers, count_checks
from lineagelog.exporters.mapping.rows import chunked, referred
from lineagelog.exporters.scope import Scope
from lineagelog.projections.lineage import closure
from lineagelog.projections.reader import Reader

# Where what was left out is called otherwise than its table.
_LEFT_OUT: Final = {"ulabels": "labels"}
_EDGES: Final = {"used": "inputs", "generated": "outputs", "seen": "outputsSeenAgain"}


@dataclass(frozen=True, slots=True)
class Part:
    """The records of a partial export, as sets of ids."""

    artifacts: frozenset[str]
    runs: frozenset[str]
    transforms: frozenset[str]
    environments: frozenset[str]
    storages: frozenset[str]
    users: frozenset[str]
    collections: frozenset[str]
    annotations: Annotations
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def find(cls, reader: Reader, scope: Scope) -> Part:
        """Find the records of a scope and what they need, and count what lies beyond.

        Raises:
            RecordNotFoundError: There is no such subject, project or user.
        """
        project = _id_of(reader, "project", scope.project)
        user = _id_of(reader, "user", scope.user)
        core = _everything(reader, scope, project, user) if scope.kind == "all" else _lineage(reader, scope)
        if scope.kind != "all" and scope.is_conditional:
            core = core & _having(reader, scope, project, user)
        artifacts, collections = frozenset(core.artifacts), frozenset(core.collections)
        runs = core.runs | _initiators(reader, core.runs)
        transforms = core.transforms | _ids(reader, _TRANSFORMS_OF_RUNS, runs)
        annotations = Annotations.find(reader, artifacts | runs | collections)
        if project is not None:
            projects = annotations.definitions["projects"] | {project}
            annotations = replace(annotations, definitions={**annotations.definitions, "projects": projects})
        authored = {
            "artifacts": artifacts, "runs": runs, "transforms": transforms, "collections": collections,
            **annotations.definitions,
        }  # fmt: skip
        part = cls(
            artifacts=artifacts,
            runs=frozenset(runs),
            transforms=frozenset(transforms),
            environments=referred(reader, "environment_id", runs=runs),
            storages=referred(reader, "storage_id", artifacts=artifacts),
            users=referred(reader, "created_by_id", **authored)
            | annotations.users
            | checkers(reader, artifacts)
            | deleters(reader, artifacts)
            | frozenset({user} if user else ()),
            collections=collections,
            annotations=annotations,
        )
        part.left_out.update(part.count_left_out(reader))
        return part

    @property
    def ids(self) -> frozenset[str]:
        """Ids of all its records."""
        records = (
            self.artifacts,
            self.runs,
            self.transforms,
            self.environments,
            self.storages,
            self.users,
            self.collections,
        )
        return frozenset().union(*records, *self.annotations.definitions.values())

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
            "collections": len(self.collections),
            **{table: len(ids) for table, ids in self.annotations.definitions.items()},
        }
        for table, count in held.items():
            ((total,),) = reader.read(f"SELECT count(*) FROM {table}")  # noqa: S608 - names from this function
            yield _LEFT_OUT.get(table, table), int(total) - count
        yield "annotations", count_annotations(reader) - self.annotations.count
        members = sum(artifact_id in self.artifacts for _, artifact_id, _ in chunked(reader, MEMBERS, self.collections))
        ((total,),) = reader.read("SELECT count(*) FROM links WHERE kind = 'member'")
        yield "members", int(total) - members
        yield "fixityChecks", count_checks(reader, None) - count_checks(reader, self.artifacts)
        edges = Counter(
            kind for kind, artifact_id in chunked(reader, _EDGES_OF_RUNS, self.runs) if artifact_id in self.artifacts
        )
        (totals,) = reader.read(_COUNT_EDGES)
        for (kind, name), total in zip(_EDGES.items(), totals, strict=True):
            yield name, int(total) - edges[kind]


@dataclass(frozen=True, slots=True)
class _Core:
    """Ids of the records that a scope itself speaks of."""

    artifacts: frozenset[str] | set[str]
    runs: frozenset[str] | set[str]
    collections: frozenset[str] | set[str]
    transforms: frozenset[str] | set[str] = frozenset()

    def __and__(self, other: _Core) -> _Core:
        # The transform that is asked for stays, though none of its runs may be left.
        return _Core(
            self.artifacts & other.artifacts,
            self.runs & other.runs,
            self.collections & other.collections,
            self.transforms,
        )


def _lineage(reader: Reader, scope: Scope) -> _Core:
    """Follow the lineage of the subject."""
    subject = _id_of(reader, scope.kind, scope.uid)
    assert subject is not None
    follow = partial(closure, reader, direction=scope.direction, max_depth=scope.max_depth)
    if scope.kind == "artifact":
        lineage = follow(artifact_ids=[subject])
        return _Core({subject, *lineage.artifacts}, set(lineage.runs), set())
    if scope.kind == "collection":
        members = _ids(reader, _MEMBER_IDS, [subject])
        lineage = follow(artifact_ids=sorted(members))
        made_by = _ids(reader, _RUNS_OF_COLLECTIONS, [subject])
        return _Core(members.union(lineage.artifacts), made_by.union(lineage.runs), {subject})
    own = {subject} if scope.kind == "run" else _ids(reader, _RUNS_OF_TRANSFORMS, [subject])
    lineage = follow(run_ids=sorted(own))
    # A run is shown with all it read and wrote, whichever way its lineage is followed.
    artifacts = _ids(reader, _ARTIFACTS_OF_RUNS, own).union(lineage.artifacts)
    transforms = {subject} if scope.kind == "transform" else set()
    return _Core(artifacts, own.union(lineage.runs), _ids(reader, _COLLECTIONS_OF_RUNS, own), transforms)


def _everything(reader: Reader, scope: Scope, project: str | None, user: str | None) -> _Core:
    """Find what the conditions hold for, with what its runs read and wrote, its members, and the runs that made it."""
    core = _having(reader, scope, project, user)
    members = _ids(reader, _MEMBER_IDS, core.collections)
    makers = _ids(reader, _RUNS_OF_ARTIFACTS, core.artifacts) | _ids(reader, _RUNS_OF_COLLECTIONS, core.collections)
    of_runs = _ids(reader, _ARTIFACTS_OF_RUNS, core.runs)
    if scope.until is not None:
        # What a run read is older than the run, but it may have written something later.
        of_runs &= _having(reader, Scope(until=scope.until), None, None).artifacts
    artifacts = core.artifacts | members | of_runs
    return _Core(artifacts, core.runs | makers, core.collections, core.transforms)


def _having(reader: Reader, scope: Scope, project: str | None, user: str | None) -> _Core:
    """Find the records for which all conditions hold."""
    clauses = {
        "t.id IN (SELECT l.source_id FROM links l WHERE l.kind = 'project' AND l.target_id = ?)": project,
        "t.created_by_id = ?": user,
        "t.created_at >= ?": scope.since,
        "t.created_at < ?": scope.until,
    }
    wanted = {clause: value for clause, value in clauses.items() if value is not None}
    found = {}
    # Only the other three can be put into a project.
    for table in (
        ("artifacts", "runs", "collections") if project else ("artifacts", "runs", "collections", "transforms")
    ):
        sql = f"SELECT t.id FROM {table} t WHERE {' AND '.join(wanted)}"  # noqa: S608 - words from this function
        found[table] = frozenset(str(id_) for (id_,) in reader.read(sql, tuple(wanted.values())))
    return _Core(**found)


def _id_of(reader: Reader, kind: str, uid: str | None) -> str | None:
    if uid is None:
        return None
    found = reader.read(f"SELECT id FROM {kind}s WHERE uid = ?", (uid,))  # noqa: S608 - kinds are checked by the scope
    if not found:
        raise RecordNotFoundError(
            kind.capitalize(), f"uid={uid!r}", "list the records with `prov log`, or export the whole store"
        )
    return str(found[0][0])


def _ids(reader: Reader, sql: str, ids: Iterable[str]) -> set[str]:
    return {str(id_) for (id_,) in chunked(reader, sql, ids) if id_ is not None}


def _initiators(reader: Reader, runs: Iterable[str]) -> set[str]:
    """Find the runs that started these, and those that started them."""
    found: set[str] = set()
    new = set(runs)
    while new:
        new = _ids(reader, _INITIATORS, new) - found
        found |= new
    return found


# Each query has one place `{these}` after the id of the records it is about, which becomes a list.
_ARTIFACTS_OF_RUNS: Final = "SELECT DISTINCT t.artifact_id FROM edges t WHERE t.run_id {these}"
_TRANSFORMS_OF_RUNS: Final = "SELECT DISTINCT t.transform_id FROM runs t WHERE t.id {these}"
_RUNS_OF_TRANSFORMS: Final = "SELECT t.id FROM runs t WHERE t.transform_id {these}"
_RUNS_OF_ARTIFACTS: Final = "SELECT DISTINCT t.run_id FROM artifacts t WHERE t.id {these}"
_RUNS_OF_COLLECTIONS: Final = "SELECT DISTINCT t.run_id FROM collections t WHERE t.id {these}"
_MEMBER_IDS: Final = "SELECT t.target_id FROM links t WHERE t.kind = 'member' AND t.source_id {these}"
_COLLECTIONS_OF_RUNS: Final = "SELECT t.id FROM collections t WHERE t.run_id {these}"
_EDGES_OF_RUNS: Final = "SELECT t.kind, t.artifact_id FROM edges t WHERE t.run_id {these}"
# One pass over an index; with GROUP BY it would take twice as long.
_COUNT_EDGES: Final = f"SELECT {', '.join(f'count(CASE kind WHEN {kind!r} THEN 1 END)' for kind in _EDGES)} FROM edges"  # noqa: S608 - constants
_INITIATORS: Final = "SELECT i.id FROM runs t JOIN runs i ON i.id = t.initiated_by_run_id WHERE t.id {these}"
MEMBERS: Final = """
    SELECT c.uid, a.id, a.uid
    FROM links t JOIN collections c ON c.id = t.source_id JOIN artifacts a ON a.id = t.target_id
    WHERE t.kind = 'member' AND t.source_id {these} ORDER BY t.position, t.place"""
