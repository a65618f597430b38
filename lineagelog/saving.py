"""How artifacts are saved: hash and copy, place in a family, one transaction for all, then the answer.

The order makes a crash harmless. Content first goes under a temporary name; it gets its own name, made from the record's id, and
reaches the medium before the event is appended. Whatever happens in between leaves at most bytes that no record speaks of, never
a record without its bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from lineagelog import current, locating, location, message
from lineagelog.disposal import Family, check_families, read_families
from lineagelog.domain.annotation import LabelAttached, ProjectAssigned
from lineagelog.domain.artifact import (
    DELETED,
    LIVE,
    TRASHED,
    ArtifactRegistered,
    ArtifactSeenAgain,
    Version,
    place_content,
)
from lineagelog.domain.disposal import ArtifactRestored, ArtifactTrashed
from lineagelog.domain.errors import (
    ArtifactStateError,
    ConcurrentWriteError,
    ConstraintError,
    InvalidValueError,
    ObjectMissingError,
    StorageError,
    StoreUnavailableError,
)
from lineagelog.domain.event import Event, NewEvent, RecordedEvent
from lineagelog.domain.ids import ARTIFACT_STEM_LENGTH, Id, new_id, new_uid, versioned_uid
from lineagelog.domain.run import check_open
from lineagelog.progress import byte_progress
from lineagelog.projections import schema
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.rows import Readable, RowDict, find, find_in, find_one

if TYPE_CHECKING:
    from lineagelog.adapters.formats import Contents
    from lineagelog.adapters.storage import Hashed, Staged, Storage
    from lineagelog.adapters.storage.base import Progress
    from lineagelog.artifact import Artifact
    from lineagelog.collection import Collection
    from lineagelog.run import Run
    from lineagelog.store import Store

_RETRIES: Final = 50
_SMALL_BYTES: Final = 1 << 20
# More remarks of one call than this say less than their sum.
_REMARKS: Final = 10
_SIMILAR_KEY: Final = 0.9
_SEPARATORS: Final = {".csv": ";\t|", ".csv.gz": ";\t|", ".tsv": ",;|", ".tsv.gz": ",;|"}
_looks = iter(range(50))
"""So many new keys are compared with the others in a process: whoever saves more of them one by one is not kept waiting."""

_LABEL_REGISTRIES: Final = {"ulabel": "ULabel", "record": "Record"}


@dataclass(slots=True)
class _Draft:
    """An artifact on its way into the store."""

    artifact: Artifact
    id: Id
    hashed: Hashed
    storage_id: str
    path: str
    staged: Staged | None
    run: Run | None
    replaces: Artifact | None = None
    reason: str | None = None
    restores: bool = False

    @property
    def is_committed(self) -> bool:
        """Its bytes have been copied into the store and got their name."""
        return self.staged is not None and self.staged.committed


def save_artifacts(store: Store, artifacts: Sequence[Artifact]) -> None:
    """Store the content of new artifacts and register them in one transaction; all or none.

    Afterwards each record is the registered artifact: a new one, or the existing one that has the same content.

    Raises:
        ContentChangedError: A file changed while it was read.
        RunClosedError: The run they belong to has ended.
        StoreUnavailableError: The database cannot be reached.
    """
    store.check_is_present()
    with ExitStack() as stack:
        with byte_progress(f"hashing {_label(artifacts)}", partial(_total_bytes, artifacts)) as progress:
            drafts = _prepare(store, artifacts, stack, progress)
        _check_runs(store.log.database, drafts)
        for attempt in range(_RETRIES):
            try:
                events, existing, unknown, families = _decide(store, drafts)
                _commit(store, drafts, existing)
            except Exception:
                # At the second attempt the first one's bytes have their names already.
                _remove(store, drafts)
                raise
            try:
                recorded = store.append(events, guard=partial(_check_still, drafts, unknown, families))
            except StoreUnavailableError:
                # The append may have gone through all the same, so its content must stay.
                raise
            except (ConcurrentWriteError, ConstraintError):
                # Another writer saved to the same family first: look again, and take the next place.
                if attempt == _RETRIES - 1:
                    _remove(store, drafts)
                    raise
                continue
            except Exception:
                # Not so for an interrupt: it may come after the commit, when the record speaks of these bytes already.
                _remove(store, drafts)
                raise
            break
        rows = _saved_rows(store, recorded, existing)
        n_known = sum(same is not None for same in existing)
        for draft, same in zip(drafts, existing, strict=True):
            if same is not None and draft.is_committed:
                store.storage_backend(draft.storage_id).delete(draft.path)
            _adopt(store, draft, rows[same if same is not None else draft.id], same, says_so=n_known <= _REMARKS)
            if draft.run is not None:
                draft.run._made.add(draft.artifact.id)
        if n_known > _REMARKS:
            n_restored = sum(draft.restores for draft in drafts)
            restored = f", {n_restored:,} of which were in the trash and are restored" if n_restored else ""
            message.info(
                f"the content of {n_known:,} of {len(drafts):,} is that of artifacts which exist{restored}; the second savings "
                "are on record"
            )
        for draft, same in list(zip(drafts, existing, strict=True))[:_REMARKS]:
            if same is None:
                _hint_separator(draft.artifact)
                _warn_of_repeated_tag(store, draft.artifact)
        if len(drafts) == 1:
            _hint_similar(store, drafts[0].artifact)


def _hint_similar(store: Store, artifact: Artifact) -> None:
    """Point out that the key of a new family is nearly that of another file of the same type in the same folder."""
    if artifact.key is None or artifact.version_number > 0 or next(_looks, None) is None:
        return
    from lineagelog.definition import hint_similar

    folder, slash, _ = artifact.key.rpartition("/")
    end = artifact.suffix if artifact.key.endswith(artifact.suffix) else ""
    hint_similar(store, "Artifact", "key", artifact.key, start=folder + slash, end=end, least=_SIMILAR_KEY)


def _hint_separator(artifact: Artifact) -> None:
    """Point out a table whose one column holds the sign that probably separates its columns."""
    (column, *others) = artifact.table_schema or ("",)
    separator = next((sign for sign in _SEPARATORS.get(artifact.suffix, "") if sign in column), None)
    if separator is None or others:
        return
    message.hint(
        f"{artifact.key or artifact.uid} is recorded with one column, {column!r}: its columns are probably separated by "
        f"{separator!r}, so read it with load(sep={separator!r}), or save it with the separator that {artifact.suffix} stands for"
    )


def _warn_of_repeated_tag(store: Store, artifact: Artifact) -> None:
    """Point out that an earlier version of the family has the same tag, by which only the newest is found from now on."""
    if artifact.version is None or artifact.version_number == 0:
        return
    stem = artifact.uid[:ARTIFACT_STEM_LENGTH]
    for row in find(store.log.database, schema.ARTIFACTS, stem=stem, version=artifact.version):
        if row["version_number"] < artifact.version_number and row["state"] != DELETED:
            message.warn(
                f"the version tag {artifact.version!r} is that of {row['uid']} too, whose content is another; give this one a "
                "tag of its own: set .version and save again"
            )
            return


def _label(artifacts: Sequence[Artifact]) -> str:
    if len(artifacts) == 1:
        return artifacts[0].key or artifacts[0].suffix
    return f"{len(artifacts):,} artifacts"


def _total_bytes(artifacts: Sequence[Artifact]) -> int:
    """Add up what will be read, as far as it can be told without the network."""
    total = 0
    for artifact in artifacts:
        source = artifact._source
        if source is not None and source.is_dir():
            total += sum(path.lstat().st_size for path in source.rglob("*"))
        else:
            total += artifact.size or 0
    return total


def _saved_rows(store: Store, recorded: Sequence[RecordedEvent], existing: Sequence[str | None]) -> dict[str, RowDict]:
    """Find the rows of all artifacts of a call, by id; most follow from their event without another look."""
    rows: dict[str, RowDict] = {}
    changed = {same for same in existing if same is not None}
    for event in recorded:
        if isinstance(event.fact, ArtifactRegistered):
            rows[event.stream] = inserted_row(event)
            # An older version of the same call was the latest for a moment only.
            if event.fact.revises in rows:
                changed.add(event.fact.revises)
        elif event.stream in rows:
            changed.add(event.stream)
        if isinstance(event.fact, ArtifactRestored) and event.fact.superseded in rows:
            changed.add(event.fact.superseded)
    rows |= {row["id"]: row for row in find_in(store.log.database, schema.ARTIFACTS, "id", changed)}
    return rows


class _Scratch:
    """A folder for what is written from memory, made when the first object needs it; one for all objects of a call."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._folder: Path | None = None
        self._n_files = 0

    def place(self, suffix: str) -> Path:
        """Return a path where nothing is."""
        if self._folder is None:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lineagelog-")))
        self._n_files += 1
        return self._folder / f"{self._n_files}{suffix}"


class _Content(NamedTuple):
    """What is to be read for an artifact.

    Attributes:
        artifact: The artifact.
        run: Run it belongs to.
        storage_id: Location where the content lies, or goes to.
        backend: Its files.
        path: Where the content lies there; `None` for what is copied.
        source: The local file or folder to copy; `None` for what is in place.
        is_folder: It is a folder.
        is_read_at_once: It is not handed to another thread: the files of a folder are read several at a time already, and a small
            file takes less time than that.
    """

    artifact: Artifact
    run: Run | None
    storage_id: str
    backend: Storage
    path: str | None
    source: Path | None
    is_folder: bool
    is_read_at_once: bool


def _prepare(store: Store, artifacts: Sequence[Artifact], stack: ExitStack, progress: Progress | None) -> list[_Draft]:
    """Read and hash the contents, several at a time; copy those that are not in place to temporary names.

    Whatever happens, no copy is left over once the stack is unwound, unless it was committed.
    """
    from lineagelog.adapters.storage.parallel import from_any_thread, in_order

    scratch, report = _Scratch(stack), from_any_thread(progress)
    copies = stack.enter_context(ExitStack())

    def read(content: _Content) -> tuple[Hashed, Staged | None]:
        backend = content.backend
        if content.source is None:
            assert content.path is not None
            vouched = _vouched(content.artifact, backend, content.path)
            return vouched or backend.hash_in_place(content.path, report), None
        stage = backend.stage_folder if content.is_folder else backend.stage_file
        staged = stage(content.source, report)
        copies.callback(staged.discard)
        return staged.hashed, staged

    results: dict[int, tuple[_Content, Hashed, Staged | None]] = {}

    def begin() -> Iterator[tuple[int, _Content]]:
        for number, artifact in enumerate(artifacts):
            content = _find_content(store, artifact, scratch)
            if content.is_read_at_once:
                results[number] = content, *read(content)
            else:
                yield number, content

    def finish(begun: tuple[int, _Content]) -> None:
        number, content = begun
        results[number] = content, *read(content)

    # On an error this is unwound before the copies are: what has begun is waited for.
    for _ in stack.enter_context(closing(in_order(finish, begin()))):
        pass
    return [_draft(store, *results[number]) for number in range(len(artifacts))]


def _find_content(store: Store, artifact: Artifact, scratch: _Scratch) -> _Content:
    """Say what is to be read for an artifact; an object in memory is written to a file."""
    from lineagelog.adapters.formats import Location, infer, write

    run = run_of(artifact)
    if artifact._remote is not None:
        artifact._place = locating.register(store, artifact._remote.address)
    if artifact._place is not None:
        storage_id, path = artifact._place
        is_folder = artifact._source.is_dir() if artifact._source is not None else _is_remote_folder(artifact)
        # Threads cost a small file on a disk more than they bring; what is remote is worth the wait of several at once.
        at_once = is_folder or (artifact._source is not None and (artifact.size or 0) < _SMALL_BYTES)
        return _Content(artifact, run, storage_id, store.storage_backend(storage_id), path, None, is_folder, at_once)
    source = artifact._source
    if source is None:
        assert artifact._object is not None
        source = scratch.place(artifact.suffix)
        obj, fmt = artifact._object
        try:
            contents = write(fmt, obj, source)
        except StorageError as exc:
            if not isinstance(exc.__cause__, OSError):
                raise
            raise _not_written(artifact, exc.__cause__) from exc
        _describe(artifact, contents)
    else:
        _describe(artifact, infer(Location.of(source), artifact.suffix))
    storage_id = store.default_storage_id
    backend, is_folder = store.storage_backend(storage_id), source.is_dir()
    _check_is_there(store, storage_id, backend)
    size = (artifact.size or 0) if artifact._source is not None else source.stat().st_size
    at_once = is_folder or size < _SMALL_BYTES
    return _Content(artifact, run, storage_id, backend, None, source, is_folder, at_once)


def _check_is_there(store: Store, storage_id: str, backend: Storage) -> None:
    """Refuse to make a folder anew that has held content, as where its disk is not mounted.

    Raises:
        StorageError: It is not there.
    """
    if backend.type != "local" or os.path.isdir(backend.root):  # noqa: PTH112 - asked for each artifact
        return
    rows = find(store.log.database, schema.ARTIFACTS, storage_id=storage_id)
    n_kept = sum(row["state"] != DELETED for row in rows)
    if n_kept:
        raise StorageError(
            f"the folder {backend.root} is not there, though the content of {n_kept:,} artifacts lies in it; nothing was saved. "
            "Mount its disk, put the folder back, or open the store where it is now"
        )


def _not_written(artifact: Artifact, cause: OSError) -> StorageError:
    """Say which object could not even be written to where it waits for the store."""
    why = os.strerror(cause.errno) if cause.errno is not None else cause
    return StorageError(
        f"{_label([artifact])} cannot be written to the temporary folder {tempfile.gettempdir()}: {why}; free space there, or name "
        "another folder in TMPDIR"
    )


def _is_remote_folder(artifact: Artifact) -> bool:
    return artifact._remote is not None and artifact._remote.found.is_folder


def _draft(store: Store, content: _Content, hashed: Hashed, staged: Staged | None) -> _Draft:
    from lineagelog.adapters.formats import Location, format_of, infer

    artifact, backend, path, record_id = content.artifact, content.backend, content.path, new_id()
    if path is None:
        path = location.object_path(store.uid, record_id, artifact.suffix)
    else:
        fmt = format_of(artifact.suffix)
        if fmt is not None and fmt.infer is not None and artifact._checksum == "content":
            local = backend.local_path(path)
            place = Location.of(local) if local is not None else Location(path, None, *backend.in_file_system(path))
            _describe(artifact, infer(place, artifact.suffix))
    return _Draft(
        artifact, record_id, hashed, content.storage_id, path, staged, content.run, artifact._replaces, artifact._reason
    )


def _describe(artifact: Artifact, contents: Contents) -> None:
    artifact.n_observations, artifact.n_variables = contents.n_observations, contents.n_variables
    artifact.table_schema = dict(contents.table_schema) if contents.table_schema is not None else None


def _vouched(artifact: Artifact, backend: Storage, path: str) -> Hashed | None:
    """Take the word of the location for what it holds, if that was asked for."""
    if artifact._checksum != "server":
        return None
    hashed = backend.vouched_hash(path)
    if hashed.hash_type == "etag":
        message.info(
            f"{backend.url(path)} was not read, and its server keeps no SHA-256 of it: its ETag is recorded in place of a hash, "
            "by which a later check sees whether it is the same object, not whether its bytes are right"
        )
    return hashed


def run_of(artifact: Artifact | Collection) -> Run | None:
    """Return the run that an artifact or collection on its way into the store belongs to."""
    run = artifact._run
    if run is False:
        return None
    if run is not None:
        if run.store.id != artifact.store.id:
            raise InvalidValueError(
                "the run",
                f"belongs to the store {run.store.name}, the {artifact.registry.name} to {artifact.store.name}",
            )
        if not run._saved:
            run.save()
        return run
    active = current.current_run(artifact.store)
    if active is None:
        message.warn_once("no run is linked to what is saved; call ln.track() first and run again")
    return active


def _check_still(
    drafts: Sequence[_Draft], unknown: Sequence[str], families: Mapping[str, Family], reader: Readable
) -> None:
    """Make sure, under the lock, that what was decided holds.

    The runs are open, the content was not collected as an orphan, new content without a family is new, and the families are as
    they were.

    Raises:
        RunClosedError: A run has ended.
        ObjectMissingError: The content waited longer than a collection spared it.
        ConcurrentWriteError: Somebody has just saved the same content, or changed a version of the same family.
    """
    _check_runs(reader, drafts)
    check_families(reader, families)
    put = [draft.path for draft in drafts if draft.is_committed]
    if find_in(reader, schema.REMOVED_OBJECTS, "path", put):
        raise ObjectMissingError(
            "the content was removed from storage before it could be registered, by a collection of orphans that spared it for "
            "too short a time; nothing was registered: save it again"
        )
    if any(row["state"] != DELETED for row in find_in(reader, schema.ARTIFACTS, "hash", unknown)):
        raise ConcurrentWriteError("another process has just saved the same content; save it again")


def _check_runs(reader: Readable, drafts: Sequence[_Draft]) -> None:
    for run_id in {draft.run.id for draft in drafts if draft.run is not None}:
        check_run_open(reader, run_id)


def check_run_open(reader: Readable, run_id: str) -> None:
    """Refuse to add to a run that has ended.

    Raises:
        RunClosedError: It has.
    """
    row = find_one(reader, schema.RUNS, id=run_id)
    if row is not None:
        check_open(row["uid"], row["status"])


def _decide(
    store: Store, drafts: Sequence[_Draft]
) -> tuple[list[NewEvent], list[str | None], list[str], dict[str, Family]]:
    """Place every content, those of the same call after one another.

    Returns:
        The events; for each draft the id of the artifact that has this content already; hashes of contents that were
        taken as new because nobody had saved them; the families that the decision rests on, by their stems.
    """
    stems, families = _families(store, drafts)
    # Read after the families: what another writer has added to one of them by then is among the known contents.
    contents, revisions, runs = _known_contents(store, drafts)
    trashed = {version.uid[:ARTIFACT_STEM_LENGTH] for version in contents.values() if version.state != LIVE}
    families |= read_families(store.log.database, trashed - families.keys())
    existing_families = dict(families)
    events: list[NewEvent] = []
    existing: list[str | None] = []
    unknown: list[str] = []
    for draft in drafts:
        artifact, content_hash = draft.artifact, draft.hashed.hash
        stem = stems.get(artifact.key) if artifact.key is not None else None
        if artifact._revises is not None:
            revised = artifact._revises.uid[:ARTIFACT_STEM_LENGTH]
            if stem is not None and stem != revised:
                raise ConstraintError(
                    f"the key {artifact.key!r} belongs to the artifact {families[stem].newest_uid} of another family; choose "
                    "another key, or revise that one"
                )
            stem = revised
        if draft.replaces is not None and stem is not None:
            _check_can_replace(draft.replaces, families[stem], content_hash)
        is_new = stem is None and artifact.key is None
        same_content = contents.get(content_hash) if is_new else None
        versions = families[stem].versions.values() if stem is not None else ()
        place = place_content(content_hash, versions, same_content, skip_hash_lookup=artifact._skip_hash_lookup)
        if place.same_as is not None and not _is_intact(store, place.same_as, draft):
            message.warn(
                f"the stored content of {artifact.key or place.same_as} is gone or altered; saved as a new version"
            )
            place = place_content(content_hash, versions, same_content, skip_hash_lookup=True)
        existing.append(place.same_as)
        draft.restores = place.restores
        if is_new and same_content is None and not artifact._skip_hash_lookup:
            unknown.append(content_hash)
        run_id = draft.run.id if draft.run is not None else None
        transform_id = draft.run.transform_id if draft.run is not None else None
        if place.same_as is not None:
            if place.restores:
                family = next(family for family in families.values() if place.same_as in family.versions)
                contents[content_hash] = family.versions[place.same_as]._replace(state=LIVE)
                revisions[place.same_as] += 1
                restored = family.restore(place.same_as)
                events.append(store.new_event(restored, place.same_as, revisions[place.same_as], run=run_id))
            revisions[place.same_as] += 1
            # The run that generated the artifact has not generated it twice.
            again = run_id if run_id != runs[place.same_as] else None
            fact = ArtifactSeenAgain(
                run=again, transform=transform_id if again is not None else None, description=artifact.description
            )
            events.append(store.new_event(fact, place.same_as, revisions[place.same_as], run=run_id))
            continue
        stem = place.stem or new_uid(ARTIFACT_STEM_LENGTH)
        uid = versioned_uid(stem, place.version_number)
        events.append(
            store.new_event(
                _registered(draft, uid, place.version_number, place.revises), draft.id, run=run_id, reason=draft.reason
            )
        )
        revisions[draft.id], runs[draft.id] = 1, run_id
        version = Version(draft.id, uid, place.version_number, content_hash)
        contents.setdefault(content_hash, version)
        families.setdefault(stem, Family.of(())).add(version)
        if artifact.key is not None:
            stems[artifact.key] = stem
        if draft.replaces is not None:
            following = _replacing(store, draft, families[stem])
            revisions[draft.id] += len(following) - 1
            events += following
    return events, existing, unknown, existing_families


def _check_can_replace(replaced: Artifact, family: Family, content_hash: str) -> None:
    """Refuse to replace anything but the latest version by other content.

    Raises:
        ArtifactStateError: It is in the trash, or deleted.
        ConstraintError: A later version exists.
        InvalidValueError: The content is the same.
    """
    version = family.versions[replaced.id]
    if version.state != LIVE:
        raise ArtifactStateError(version.uid, version.state, "cannot be replaced")
    if family.latest is not None and family.latest != replaced.id:
        raise ConstraintError(
            f"the artifact {version.uid} cannot be replaced, since a later version {family.versions[family.latest].uid} exists; "
            "replace that one, or put this one into the trash with delete()"
        )
    if version.hash == content_hash:
        raise InvalidValueError("the data", f"is what the artifact {version.uid} holds already; nothing was replaced")


def _replacing(store: Store, draft: _Draft, family: Family) -> list[NewEvent]:
    """Make the events that follow the registration of a replacement: the labels it takes over, the other one into the trash."""
    replaced = draft.replaces
    assert replaced is not None
    run_id = draft.run.id if draft.run is not None else None
    facts: list[Event] = []
    for link in find(store.log.database, schema.LINKS, source_id=replaced.id):
        if link["kind"] == "project":
            facts.append(ProjectAssigned(project=link["target_id"], subject="Artifact"))
        elif link["kind"] in _LABEL_REGISTRIES:
            registry = _LABEL_REGISTRIES[link["kind"]]
            facts.append(LabelAttached(label=link["target_id"], registry=registry, subject="Artifact"))
    events = [store.new_event(fact, draft.id, version, run=run_id) for version, fact in enumerate(facts, 2)]
    row = find_one(store.log.database, schema.ARTIFACTS, id=replaced.id)
    assert row is not None
    trashed = ArtifactTrashed(latest=family.set_state(replaced.id, TRASHED))
    return [*events, store.new_event(trashed, replaced.id, row["revision"] + 1, run=run_id, reason=draft.reason)]


def _is_intact(store: Store, artifact_id: str, draft: _Draft) -> bool:
    """Tell whether an artifact still has the content that is being saved; if not, the bytes at hand are not let go."""
    row = find_one(store.log.database, schema.ARTIFACTS, id=artifact_id)
    if row is None or (row["storage_id"], row["storage_path"]) == (draft.storage_id, draft.path):
        # Another of the same call, or the very file that has just been read.
        return True
    from lineagelog.adapters.storage import verify

    try:
        verify(store.storage_backend(row["storage_id"]), row["storage_path"], row["hash"], row["hash_type"])
    except StorageError:
        return False
    return True


def _registered(draft: _Draft, uid: str, version_number: int, revises: str | None) -> ArtifactRegistered:
    artifact, hashed = draft.artifact, draft.hashed
    return ArtifactRegistered(
        uid=uid,
        version_number=version_number,
        storage=draft.storage_id,
        path=draft.path,
        size_bytes=hashed.size_bytes,
        hash=hashed.hash,
        hash_type=hashed.hash_type,
        key=artifact.key,
        key_is_virtual=artifact.key != draft.path,
        description=artifact.description,
        suffix=artifact.suffix,
        kind=artifact.kind,
        otype=artifact.otype,
        n_files=hashed.n_files,
        n_observations=artifact.n_observations,
        n_variables=artifact.n_variables,
        table_schema=artifact.table_schema,
        version=artifact.version,
        transform=draft.run.transform_id if draft.run is not None else None,
        run=draft.run.id if draft.run is not None else None,
        revises=revises,
    )


def _families(store: Store, drafts: Sequence[_Draft]) -> tuple[dict[str, str], dict[str, Family]]:
    """Find the families that a key or `revises` names.

    Returns:
        Key to stem; stem to family.
    """
    database = store.log.database
    keys = [draft.artifact.key for draft in drafts if draft.artifact.key is not None]
    highest: dict[str, RowDict] = {}
    for row in find_in(database, schema.ARTIFACTS, "key", keys):
        known = highest.get(row["key"])
        if known is None or row["version_number"] > known["version_number"]:
            highest[row["key"]] = row
    # A family can have changed its key by `revises`; its other versions then stand under another key.
    stems = {key: str(row["stem"]) for key, row in highest.items()}
    revised = {draft.artifact._revises.uid[:ARTIFACT_STEM_LENGTH] for draft in drafts if draft.artifact._revises}
    return stems, read_families(database, {*stems.values(), *revised})


def _known_contents(
    store: Store, drafts: Sequence[_Draft]
) -> tuple[dict[str, Version], dict[str, int], dict[str, str | None]]:
    """Find the artifacts that have one of these contents already, and are not deleted.

    Returns:
        Hash to the first artifact that has it, one that is not in the trash if there is any; id to revision; id to the run that
        generated it.
    """
    rows = find_in(store.log.database, schema.ARTIFACTS, "hash", [draft.hashed.hash for draft in drafts])
    rows.sort(key=lambda row: (row["state"] != LIVE, row["position"]))
    contents: dict[str, Version] = {}
    for version in (Family.of([row]).versions[row["id"]] for row in rows):
        if version.state != DELETED:
            contents.setdefault(version.hash, version)
    return contents, {row["id"]: row["revision"] for row in rows}, {row["id"]: row["run_id"] for row in rows}


def _commit(store: Store, drafts: Sequence[_Draft], existing: Sequence[str | None]) -> None:
    """Give the new contents their names; what goes to another machine shows its bytes."""
    waiting: dict[str, list[tuple[Staged, str]]] = {}
    for draft, same in zip(drafts, existing, strict=True):
        if draft.staged is not None and same is None and not draft.staged.committed:
            waiting.setdefault(draft.storage_id, []).append((draft.staged, draft.path))
    for storage_id, staged in waiting.items():
        backend = store.storage_backend(storage_id)
        n_bytes = sum(content.size_bytes for content, _ in staged) if backend.type != "local" else 0
        with byte_progress(f"uploading {_label([draft.artifact for draft in drafts])}", n_bytes) as progress:
            backend.commit_all(staged, progress)


def _remove(store: Store, drafts: Sequence[_Draft]) -> None:
    """Take away content whose registration was refused."""
    for draft in drafts:
        if draft.is_committed:
            store.storage_backend(draft.storage_id).delete(draft.path)


def _adopt(store: Store, draft: _Draft, row: RowDict, same: str | None, *, says_so: bool) -> None:
    artifact = draft.artifact
    given = artifact.description
    artifact._object = None
    artifact._load(store, row)
    if same is not None:
        if given is not None and given != artifact.description:
            message.warn(
                f"the description of {artifact.uid} stays {artifact.description!r}, since its content is not new; "
                "to change it, set .description and save again"
            )
        if not says_so:
            return
        name = artifact.key or artifact.description or artifact.suffix
        restored = ", which was in the trash and is restored" if draft.restores else ""
        message.info(
            f"the content is that of Artifact(uid={artifact.uid!r}) {name}{restored}; the second saving is on record"
        )
