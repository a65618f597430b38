"""How artifacts end: into the trash and out of it, deleted for good, replaced.

A deletion is recorded before any byte goes. Whatever happens in between leaves bytes that no record promises any more, never a
record of content that is gone without a word. Which version of a family is the latest afterwards is decided from the family as
it is, and looked at again under the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lineagelog import location, message
from lineagelog.audit.policy import record_refusal
from lineagelog.content.caching import discard_copies
from lineagelog.domain.artifact import DELETED, LIVE, TRASHED, Version, newest
from lineagelog.domain.disposal import (
    ArtifactDeleted,
    ArtifactRestored,
    ArtifactTrashed,
    check_can_delete,
    check_can_restore,
    check_can_trash,
)
from lineagelog.domain.errors import (
    ArtifactDeletedError,
    ConcurrentWriteError,
    ConstraintError,
    InvalidValueError,
    StorageError,
)
from lineagelog.projections import schema
from lineagelog.projections.rows import Readable, RowDict, find, find_in, find_one

if TYPE_CHECKING:
    from lineagelog.domain.event import Event, NewEvent
    from lineagelog.registries.artifact import Artifact
    from lineagelog.store import Store

_RETRIES: Final = 50


def trash(store: Store, ids: Sequence[str], *, reason: str | None = None) -> None:
    """Put artifacts into the trash, all or none.

    Raises:
        ArtifactStateError: One is in the trash already, or deleted.
    """

    def decide(family: Family, row: RowDict) -> Event:
        check_can_trash(family.versions[row["id"]])
        return ArtifactTrashed(latest=family.set_state(row["id"], TRASHED))

    _append(store, ids, decide, reason)


def restore(store: Store, ids: Sequence[str], *, reason: str | None = None) -> None:
    """Take artifacts out of the trash, all or none.

    Raises:
        ArtifactStateError: One is not in the trash.
    """

    def decide(family: Family, row: RowDict) -> Event:
        check_can_restore(family.versions[row["id"]])
        return family.restore(row["id"])

    _append(store, ids, decide, reason)


def delete_for_good(
    store: Store, ids: Sequence[str], *, storage: bool | None = None, reason: str | None = None
) -> None:
    """Delete artifacts for good, all or none, and then remove their bytes and the local copies of these.

    Args:
        store: The store.
        ids: Ids of the artifacts.
        storage: Remove the bytes as well: `None` removes those that the store has put where they are, `True` also those that
            were registered in place, `False` none.
        reason: Why; every later attempt to use one of them is told.

    Raises:
        ArtifactStateError: One is deleted already.
        ConstraintError: Bytes that were to be removed belong to another artifact as well, or hold the store itself.
    """
    removed: dict[str, tuple[str, str, str]] = {}
    deleted: dict[str, RowDict] = {}

    def decide(family: Family, row: RowDict) -> Event:
        deleted[row["id"]] = row
        check_can_delete(family.versions[row["id"]])
        removes = _is_own(store, row) if storage is None else storage
        if removes and not _is_own(store, row):
            _check_alone(store, store.log.database, row, ids)
        if removes:
            removed[row["id"]] = row["storage_id"], row["storage_path"], row["key"] or row["uid"]
        return ArtifactDeleted(
            storage=row["storage_id"],
            path=row["storage_path"],
            hash=row["hash"],
            size_bytes=row["size"],
            content_removed=removes,
            latest=family.set_state(row["id"], DELETED),
        )

    def check_still_alone(reader: Readable, rows: Iterable[RowDict]) -> None:
        for row in rows:
            if row["id"] in removed and not _is_own(store, row):
                _check_alone(store, reader, row, ids)

    _append(store, ids, decide, reason, check_still_alone)
    for storage_id, path, name in removed.values():
        _remove(store, storage_id, path, name)
    discard_copies(store, deleted.values())


def check_usable(artifact: Artifact) -> None:
    """Refuse to use an artifact that was deleted for good, and point out one that is in the trash.

    Raises:
        ArtifactDeletedError: It was deleted; says by whom, when and why.
    """
    # What matters is what has become of its content by now, also to who looks at it as it was.
    store = artifact.store.present
    row = find_one(store.log.database, schema.ARTIFACTS, id=artifact.id)
    if row is None or row["state"] == LIVE:
        return
    if row["state"] == DELETED:
        record_refusal(store, "use of deleted content", "it was deleted for good", registry="Artifact", uid=row["uid"])
        raise deletion_of(store, row)
    message.warn_once(f"the artifact {artifact.uid} is in the trash; restore() takes it out")


def check_not_deleted(store: Store, ids: Iterable[str]) -> None:
    """Refuse to use any artifact that was deleted for good.

    Raises:
        ArtifactDeletedError: One was; says by whom, when and why.
    """
    for row in find_in(store.log.database, schema.ARTIFACTS, "id", ids, state=DELETED):
        raise deletion_of(store, row)


def deletion_of(store: Store, row: RowDict) -> ArtifactDeletedError:
    """Make the error that says who deleted an artifact, when and why."""
    event = next(store.log.read(stream=row["id"], topic=ArtifactDeleted.topic, newest_first=True, limit=1))
    user = find_one(store.log.database, schema.USERS, id=event.actor) if event.actor is not None else None
    at = f"{event.recorded_at[:19].replace('T', ' ')} UTC"
    return ArtifactDeletedError(row["uid"], user["handle"] if user is not None else None, at, event.reason)


@dataclass(slots=True)
class Family:
    """The versions of one family, as they are while the events of one append are decided one after another.

    Attributes:
        versions: Id to version.
        known: Ids and states that the decision began with.
    """

    versions: dict[str, Version]
    known: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, rows: Iterable[RowDict]) -> Family:
        """Begin with the rows of the registry."""
        versions = {
            row["id"]: Version(row["id"], row["uid"], row["version_number"], row["hash"], row["state"]) for row in rows
        }
        return cls(versions, frozenset((version.id, version.state) for version in versions.values()))

    @property
    def latest(self) -> str | None:
        """Id of the newest live version."""
        version = newest(self.versions.values(), LIVE)
        return version.id if version is not None else None

    @property
    def newest_uid(self) -> str:
        """Uid of the version with the highest number."""
        return max(self.versions.values(), key=lambda version: version.version_number).uid

    def add(self, version: Version) -> None:
        """Count a version that is about to be registered."""
        self.versions[version.id] = version

    def set_state(self, artifact_id: str, state: str) -> str | None:
        """Change the state of a version, and return the id of the version that is the latest now."""
        self.versions[artifact_id] = self.versions[artifact_id]._replace(state=state)
        return self.latest

    def restore(self, artifact_id: str) -> ArtifactRestored:
        """Take a version out of the trash."""
        before = self.latest
        latest = self.set_state(artifact_id, LIVE)
        return ArtifactRestored(latest=latest, superseded=before if before != latest else None)


def read_families(reader: Readable, stems: Iterable[str]) -> dict[str, Family]:
    """Read all versions of some families, stem to family."""
    rows: dict[str, list[RowDict]] = {}
    for row in find_in(reader, schema.ARTIFACTS, "stem", stems):
        rows.setdefault(row["stem"], []).append(row)
    return {stem: Family.of(versions) for stem, versions in rows.items()}


def check_families(reader: Readable, families: Mapping[str, Family]) -> None:
    """Make sure, under the lock, that families are as they were when the decision began.

    Raises:
        ConcurrentWriteError: Somebody has saved, trashed, restored or deleted a version meanwhile.
    """
    now = read_families(reader, families)
    if any(stem not in now or now[stem].known != family.known for stem, family in families.items()):
        raise ConcurrentWriteError("another process has just changed a version of the same artifact; try again")


def _append(
    store: Store,
    ids: Sequence[str],
    decide: Callable[[Family, RowDict], Event],
    reason: str | None,
    check: Callable[[Readable, Iterable[RowDict]], None] | None = None,
) -> None:
    """Append one event for each artifact, decided from the present state of its family; try again when that has changed."""
    for attempt in range(_RETRIES):
        rows = sorted(find_in(store.log.database, schema.ARTIFACTS, "id", ids), key=lambda row: row["position"])
        families = read_families(store.log.database, (row["stem"] for row in rows))
        events: list[NewEvent] = [
            store.new_event(decide(families[row["stem"]], row), row["id"], row["revision"] + 1, reason=reason)
            for row in rows
        ]

        def check_still(reader: Readable, rows: Any = rows, families: Any = families) -> None:
            check_families(reader, families)
            if check is not None:
                check(reader, rows)

        try:
            store.append(events, guard=check_still)
            return
        except ConcurrentWriteError:
            if attempt == _RETRIES - 1:
                raise


def _is_own(store: Store, row: RowDict) -> bool:
    """Tell whether the store has put the content where it is: at a path made from the artifact's id."""
    return bool(row["storage_path"] == location.object_path(store.uid, row["id"], row["suffix"]))


def _check_alone(store: Store, reader: Readable, row: RowDict, deleted: Sequence[str]) -> None:
    """Refuse to remove bytes that are part of something else.

    Raises:
        ConstraintError: Another artifact lies at the same place, in it or around it; or the store itself lies in it.
    """
    roots = {
        storage["id"]: store.resolve_root(storage["root"]).rstrip("/") for storage in find(reader, schema.STORAGES)
    }
    place = f"{roots[row['storage_id']]}/{row['storage_path']}"
    if store.folder is not None and _overlap(place, str(location.home(store.folder))):
        raise ConstraintError(
            f"the content of {row['uid']} at {place} holds the store itself; nothing was deleted. Pass storage=False to leave it"
        )
    sql = f"SELECT id, uid, storage_id, storage_path FROM {schema.ARTIFACTS.name} WHERE storage_id = ? AND state <> ?"  # noqa: S608
    for storage_id, root in roots.items():
        if not _overlap(place, root):
            continue
        for other_id, uid, _, path in reader.read(sql, (storage_id, DELETED)):
            if other_id not in deleted and _overlap(place, f"{root}/{path}"):
                raise ConstraintError(
                    f"the content of {row['uid']} at {place} is that of the artifact {uid} as well; nothing was deleted. "
                    f"Delete {uid} together with it, or leave the content where it is"
                )


def _overlap(one: str, other: str) -> bool:
    """Tell whether two places are one, or one lies in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _remove(store: Store, storage_id: str, path: str, name: str) -> None:
    try:
        store.storage_backend(storage_id).delete(path)
    except StorageError as exc:
        message.warn(f"the deletion of {name} is recorded, but its content could not be removed: {exc}")


def check_options(*, permanent: bool, storage: bool | None) -> None:
    """Refuse options that contradict one another.

    Raises:
        InvalidValueError: Content was to be removed by putting an artifact into the trash.
    """
    if storage is not None and not permanent:
        raise InvalidValueError(
            "storage",
            "says what becomes of the content when an artifact is deleted for good; pass permanent=True with it",
        )
