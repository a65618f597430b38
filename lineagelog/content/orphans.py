"""Objects that belong to no artifact: which are there, and their removal.

A writer that is killed between putting content and registering it leaves an orphan, and so does one that is killed between
recording a deletion and removing the bytes. None of them is ever needed: what was acknowledged is registered.

Nothing that an artifact refers to is removed, whatever clocks say. Objects are listed first and looked up in the registry after
that. Then the removal is recorded, under the lock of the log, if still no artifact refers to them; and a writer that comes later
finds, under the same lock, that its object was given up, and refuses to register it (`saving.py`). So the time for which
young objects are spared is a courtesy to writers that are at work, not what correctness hangs on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from lineagelog import location
from lineagelog.domain.artifact import DELETED
from lineagelog.domain.errors import (
    ConcurrentWriteError,
    InvalidValueError,
    RecordNotFoundError,
    StorageError,
    StoreReadOnlyError,
    UnsupportedFormatError,
)
from lineagelog.domain.ids import time_of_id
from lineagelog.domain.storage import RemovedObject, StorageCollected
from lineagelog.projections import schema
from lineagelog.projections.rows import Readable, RowDict, find, find_in

if TYPE_CHECKING:
    from lineagelog.adapters.storage import Storage as StorageBackend
    from lineagelog.adapters.storage import StoredObject
    from lineagelog.registries.storage import Storage
    from lineagelog.store import Store

GRACE: Final = timedelta(hours=24)
"""Objects younger than this are left alone unless somebody says otherwise: their writer may be about to register them."""

_CENTURY: Final = timedelta(days=36_525)
_BATCH: Final = 200
_ID_LENGTH: Final = 36


@dataclass(frozen=True, slots=True)
class Orphan:
    """An object that belongs to no artifact.

    Attributes:
        path: Where it lies, relative to the storage root.
        size_bytes: Its size; of a folder, of all files in it.
        written_at: When it was last written; `None` where neither the location nor the name says.
        is_folder: It is a folder.
    """

    path: str
    size_bytes: int
    written_at: datetime | None
    is_folder: bool


@dataclass(frozen=True, slots=True)
class CollectedLocation:
    """What a collection did at one storage location.

    Attributes:
        uid: Uid of the location.
        root: Its root, as it can be opened here.
        removed: Orphans that were removed; that would be, if nothing was to be.
        spared: Orphans that are too young, or of unknown age.
        failed: Orphans that could not be removed, and why.
        n_leftovers: Temporary names of killed writers that were removed.
        problem: Why the location could not be looked at; `None` if it was.
    """

    uid: str
    root: str
    removed: tuple[Orphan, ...] = ()
    spared: tuple[Orphan, ...] = ()
    failed: tuple[tuple[Orphan, str], ...] = ()
    n_leftovers: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CollectReport:
    """What a collection of orphans did.

    Attributes:
        locations: What it did at each storage location.
        dry_run: Nothing was removed; the report says what would have been.
        older_than: Younger objects were left alone.
    """

    locations: tuple[CollectedLocation, ...]
    dry_run: bool
    older_than: timedelta

    @property
    def ok(self) -> bool:
        """Every location was looked at, and everything that was to be removed is."""
        return all(place.problem is None and not place.failed for place in self.locations)

    @property
    def n_removed(self) -> int:
        """Number of orphans that were removed, or would have been."""
        return sum(len(place.removed) for place in self.locations)

    @property
    def removed_bytes(self) -> int:
        """Their size."""
        return sum(orphan.size_bytes for place in self.locations for orphan in place.removed)


def collect_orphans(
    store: Store, storage: Storage | str | None = None, *, older_than: timedelta = GRACE, dry_run: bool = False
) -> CollectReport:
    """Remove objects that belong to no artifact, and what killed writers left under temporary names.

    Only content that this store has put into storage is looked at: files registered in place, other stores' content and whatever
    else lies at a location stay. What is given up is recorded before it is removed.

    Args:
        store: The store.
        storage: The location, by record, uid or the beginning of it, or root; all by default.
        older_than: Leave younger objects alone. A writer that has put content for longer than this without registering it
            gets an error instead of an artifact.
        dry_run: Remove nothing, and say what would be removed.

    Raises:
        RecordNotFoundError: There is no such location.
        StoreReadOnlyError: The store cannot be written.
        InvalidValueError: `older_than` is negative, or longer than a century.
    """
    if not timedelta(0) <= older_than <= _CENTURY:
        raise InvalidValueError("older_than", f"is {older_than}; it must be between nothing and a hundred years")
    if store.log.database.read_only and not dry_run:
        raise StoreReadOnlyError(f"{store.name} can be read but not written; nothing was removed")
    rows = locations(store, storage)
    return CollectReport(tuple(_collect(store, row, older_than, dry_run=dry_run) for row in rows), dry_run, older_than)


def locations(store: Store, storage: Storage | str | None) -> list[RowDict]:
    """Find the rows of the storage locations that are meant.

    Raises:
        RecordNotFoundError: There is no such location.
    """
    rows = find(store.log.database, schema.STORAGES)
    if storage is None:
        return rows
    from lineagelog.adapters.storage import normalise_root

    wanted = storage if isinstance(storage, str) else storage.uid
    found = [row for row in rows if wanted and row["uid"].startswith(wanted)]
    if len(found) != 1:
        root, _ = normalise_root(wanted)
        found = [row for row in rows if shown_root(store, row) == root]
    if found:
        return found
    known = ", ".join(f"{row['uid']} ({shown_root(store, row)})" for row in rows)
    raise RecordNotFoundError("Storage", f"{wanted!r}", f"name one by its uid or root: {known}")


def shown_root(store: Store, row: RowDict) -> str:
    """Return the root of a location as it can be opened here, else as it is recorded."""
    try:
        return store.resolve_root(row["root"])
    except StorageError:
        return str(row["root"])


def find_orphans(store: Store, storage_id: str, backend: StorageBackend) -> Iterator[Orphan]:
    """List the objects that this store has put into a location and that belong to no artifact.

    Raises:
        UnsupportedFormatError: Locations of this type cannot be listed.
        StorageError: The location cannot be reached.
    """
    listed = iter(backend.list_objects(location.objects_of(store.uid)))
    # The registry is asked after the objects were listed: what was registered meanwhile is seen.
    while batch := list(islice(listed, _BATCH)):
        known = _referred(storage_id, [found.path for found in batch], store.log.database)
        for found in batch:
            if found.path not in known:
                yield Orphan(found.path, found.size_bytes, _written_at(found), found.is_folder)


def _collect(store: Store, row: RowDict, older_than: timedelta, *, dry_run: bool) -> CollectedLocation:
    uid, root = row["uid"], shown_root(store, row)
    removed: list[Orphan] = []
    spared: list[Orphan] = []
    failed: list[tuple[Orphan, str]] = []
    try:
        backend = store.storage_backend(row["id"])
        found = list(find_orphans(store, row["id"], backend))
        limit = datetime.now(UTC) - older_than
        old: list[Orphan] = []
        for orphan in found:
            is_old = orphan.written_at is not None and orphan.written_at <= limit
            (old if is_old else spared).append(orphan)
        if dry_run:
            return CollectedLocation(uid, root, tuple(old), tuple(spared))
        for start in range(0, len(old), _BATCH):
            for orphan in _give_up(store, row["id"], old[start : start + _BATCH], older_than):
                try:
                    backend.delete(orphan.path)
                except StorageError as exc:
                    failed.append((orphan, str(exc)))
                else:
                    removed.append(orphan)
        n_leftovers = backend.clean_leftovers(older_than.total_seconds())
    except UnsupportedFormatError:
        # A location that cannot be listed cannot be written either, so no writer has left anything there.
        return CollectedLocation(uid, root)
    except StorageError as exc:
        return CollectedLocation(uid, root, tuple(removed), tuple(spared), tuple(failed), problem=str(exc))
    return CollectedLocation(uid, root, tuple(removed), tuple(spared), tuple(failed), n_leftovers)


def _give_up(store: Store, storage_id: str, orphans: Sequence[Orphan], older_than: timedelta) -> list[Orphan]:
    """Record that objects are given up, those that have come to belong to an artifact left out.

    The event goes before the removal. Were it the other way round, a crash between the two would make bytes disappear of which the
    log knows nothing. This way a crash leaves orphans that stand on record as given up, which is what they are.
    """
    given_up: list[Orphan] = []

    def decide(_: RowDict) -> list[StorageCollected]:
        known = _referred(storage_id, [orphan.path for orphan in orphans], store.log.database)
        given_up[:] = [orphan for orphan in orphans if orphan.path not in known]
        objects = [RemovedObject(orphan.path, orphan.size_bytes) for orphan in given_up]
        return [StorageCollected(objects=objects, older_than_s=older_than.total_seconds())] if objects else []

    store.append_all_next(schema.STORAGES, storage_id, decide, guard=partial(_check_unreferred, storage_id, given_up))
    return given_up


def _check_unreferred(storage_id: str, orphans: Sequence[Orphan], reader: Readable) -> None:
    """Make sure, under the lock, that no artifact refers to what is given up.

    Raises:
        ConcurrentWriteError: One was registered a moment ago.
    """
    if _referred(storage_id, [orphan.path for orphan in orphans], reader):
        raise ConcurrentWriteError("an artifact was registered with content that was about to be removed; look again")


def _referred(storage_id: str, paths: Sequence[str], reader: Readable) -> set[str]:
    """Tell which of some objects an artifact refers to: those that are its content, or hold its content."""
    rows = find_in(reader, schema.ARTIFACTS, "storage_path", paths, storage_id=storage_id)
    known = {str(row["storage_path"]) for row in rows if _needs_content(row)}
    for path in paths:
        if path not in known and reader.read(_WITHIN, (storage_id, f"{path}/", f"{path}0")):
            known.add(path)
    return known


def _needs_content(row: RowDict) -> bool:
    return row["state"] != DELETED or not row["content_removed"]


def _written_at(found: StoredObject) -> datetime | None:
    """Find out when an object was written, by the clock that says the later time.

    The time of a location may be wrong, and that of a copied one may lie long ago; the name of an object holds the time at
    which its writer began.
    """
    name = found.path.rpartition("/")[2][:_ID_LENGTH]
    times = [time for time in (found.modified_at, time_of_id(name)) if time is not None]
    return max(times, default=None)


# "0" is the character after "/", so that the range holds every path that begins with the object's and a slash.
_WITHIN: Final = (
    "SELECT 1 FROM artifacts WHERE storage_id = ? AND storage_path > ? AND storage_path < ? "
    "AND (state <> 'deleted' OR content_removed = 0) LIMIT 1"
)
