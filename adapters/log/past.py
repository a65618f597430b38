"""Logs as they were: a replay of the first events of a log in a database of its own, kept for the next who asks.

    <folder>/<store>/<position>-<version>/view.db     the replay: log, head and registries, read-only from then on
    <folder>/<store>/<position>-<version>/view.json   what it holds; locked (`flock`) by who has it open

A view is made from the nearest earlier one and the events after it. It is only used if its file is the one that was made, and if
its tree head is one the log itself went through; else it is made anew. That its file is the one that was made is sealed with a
secret of the user who made it, which lies elsewhere: whoever can write this folder and nothing else cannot pass a view of his own.
Each user has views of his own. The folder may be removed at any time: all follows from the log.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, NoReturn
from weakref import WeakKeyDictionary

import msgspec

from lineagelog.adapters.log.database import Database, Transaction
from lineagelog.adapters.log.event_log import EventLog, to_recorded
from lineagelog.adapters.log.schema import EVENTS, READ_HEAD, create_log
from lineagelog.adapters.log.sqlite import SQLiteDatabase
from lineagelog.adapters.stamp import Stamp, observe
from lineagelog.adapters.storage.hashing import wait_for_next_tick
from lineagelog.domain.errors import LogCorruptError, StorageError, StoreReadOnlyError
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.version import VERSION
from lineagelog.projections import schema
from lineagelog.projections.projector import project_all
from lineagelog.projections.reader import Reader
from lineagelog.projections.table import Scalar, create_table, split_indexes

MAX_VIEWS: Final = 32
"""So many views are kept, those that were opened last."""

MAX_BYTES: Final = 8_000_000_000
"""Their size beyond which those that were not opened for the longest time are removed, bytes."""

_BATCH: Final = 20_000
_REBUILD_SHARE: Final = 4
"""Indexes are made at the end if the events to replay are more than this fraction of all; else they are kept up to date."""

_VIEW: Final = "view.db"
_MANIFEST: Final = "view.json"
_known_heads: Final[WeakKeyDictionary[Database, set[tuple[int, str]]]] = WeakKeyDictionary()
_NAME: Final = re.compile(r"(\d+)-([0-9a-f]{16})")


class _Manifest(msgspec.Struct, frozen=True):
    """What a view holds.

    Attributes:
        position: Number of events.
        frontier: Peaks of the Merkle tree over them, hexadecimal.
        stamp: SHA-256 of the file, and what the file system said of it when that was computed.
        end: Number of events of the log when it was made, or fewer, and the peaks over them: it is known that they continue these.
        seal: HMAC of the others with the secret of who made it, hexadecimal.
    """

    position: int
    frontier: str
    stamp: Stamp
    end: tuple[int, str]
    seal: str


class View(NamedTuple):
    """A log as it was.

    Attributes:
        log: Its first events, and the registries that follow from them.
        was_altered: A view that was kept was not the one that was made; it was thrown away.
    """

    log: EventLog
    was_altered: bool


class PastDatabase(SQLiteDatabase):
    """The database of a view: nothing is ever written to it, and it stays on disk while it is open."""

    def __init__(self, path: Path, name: str, descriptor: int, *, folder: Path | None = None) -> None:
        """Open a view.

        Args:
            path: Its file.
            name: The view as an error may call it.
            descriptor: Holds the lock that keeps it from being removed.
            folder: Folder to remove when it is closed.
        """
        super().__init__(path, read_only=True)
        self.name = name
        self._descriptor: int | None = descriptor
        self._folder = folder

    def write(self) -> NoReturn:
        """Refuse."""
        raise StoreReadOnlyError(f"{self.name} is a view of the past, which cannot be changed; nothing was recorded")

    def close(self) -> None:
        """Close all connections, and let others remove the file."""
        super().close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def log_as_of(database: Database, position: int, *, store_id: str, folder: Path, secret: bytes) -> View:
    """Open a log as it was when it had so many events.

    Args:
        database: Where the log lies.
        position: Number of events, at least 1 and at most as many as there are.
        store_id: Id of its store, under which views are kept.
        folder: Where views are kept; if that cannot be written, or lies on a network file system, a temporary folder is used.
        secret: Known to this user alone; seals what is kept.

    Raises:
        LogCorruptError: The events are not those that were recorded.
    """
    name = f"{database.name} as of event {position}"
    views = folder / store_id
    place = views / _name(position, secret)
    try:
        views.mkdir(mode=0o700, parents=True, exist_ok=True)
        found, was_altered = _open(place, database, name, secret)
        if found is None:
            altered = _make(views, database, position, secret)
            was_altered = was_altered or altered
            found, _ = _open(place, database, name, secret)
        _remove_old(folder, keep=place)
    except (OSError, StorageError) as exc:
        if isinstance(exc, LogCorruptError):
            raise
        found, was_altered = None, False
    if found is None:
        # Somebody else removed it meanwhile, or nothing can be kept there.
        temporary = Path(tempfile.mkdtemp(prefix="lineagelog-past-"))
        _make(temporary, database, position, secret)
        found, _ = _open(temporary / place.name, database, name, secret, root=temporary)
        assert found is not None
    return View(EventLog(found), was_altered)


def _open(
    place: Path, database: Database, name: str, secret: bytes, *, root: Path | None = None
) -> tuple[PastDatabase | None, bool]:
    """Open a view that was kept, if it is there and right; one that is not right is removed.

    Returns:
        The view, and whether one was there that was not right.
    """
    try:
        descriptor = os.open(place / _MANIFEST, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not _is_right(place, descriptor, database, secret):
            # Who removes views holds this lock alone, so one that was removed while we waited for it is gone by now.
            was_there = (place / _MANIFEST).exists()
            shutil.rmtree(place, ignore_errors=True)
            os.close(descriptor)
            return None, was_there
        os.utime(descriptor)
        return PastDatabase(place / _VIEW, name, descriptor, folder=root), False
    except BaseException:
        with suppress(OSError):
            os.close(descriptor)
        raise


def _is_right(place: Path, descriptor: int, database: Database, secret: bytes) -> bool:
    """Tell whether a view is the one that this user made, and whether the log has gone through its tree head."""
    try:
        manifest = msgspec.json.decode(os.pread(descriptor, os.fstat(descriptor).st_size, 0), type=_Manifest)
        frontier = Frontier(manifest.position, bytes.fromhex(manifest.frontier))
        end = Frontier(manifest.end[0], bytes.fromhex(manifest.end[1]))
    except (msgspec.MsgspecError, ValueError):
        return False
    view, stamp = place / _VIEW, manifest.stamp
    sealed = hmac.compare_digest(manifest.seal, _seal(secret, frontier, stamp, end))
    if place.name != _name(manifest.position, secret) or not sealed:
        return False
    if not stamp.holds(view, stamp.hash):
        if not view.is_file() or _hash(view) != stamp.hash:
            return False
        wait_for_next_tick(view)
        _write_manifest(descriptor, frontier, _stamp(view, stamp.hash), end, secret)
    return _continued(database, frontier, end) is not None


def _continued(database: Database, earlier: Frontier, end: Frontier) -> Frontier | None:
    """Tell whether a log went through a tree head.

    As few leaves as possible are read: those before it, or those from an end that is known to continue it.

    Args:
        database: Where the log lies.
        earlier: The tree head.
        end: The furthest one that is known to continue it; itself if no other is.

    Returns:
        The furthest one that is known now, or `None` if the log did not.
    """
    # The log only grows: what was its head once stays one of them.
    known = _known_heads.setdefault(database, set())
    wanted = earlier.root().hex()
    known_as = (earlier.size, wanted)
    if known_as in known:
        return end
    with database.snapshot() as snapshot:
        ((position, _, root, _),) = snapshot.read(READ_HEAD)
        if position < end.size:
            return None
        if earlier.size < position - end.size:
            frontier, after, up_to = Frontier(), 0, earlier.size
        else:
            frontier, after, up_to, wanted = Frontier(end.size, end.to_bytes()), end.size, position, root
        sql = f"SELECT leaf_hash FROM {EVENTS.name} WHERE position > ? AND position <= ? ORDER BY position"  # noqa: S608 - a name from the schema
        frontier.extend(bytes.fromhex(leaf) for (leaf,) in snapshot.stream(sql, (after, up_to)))
    if frontier.root().hex() != wanted:
        return None
    known.add(known_as)
    return frontier if up_to == position else end


def _make(views: Path, database: Database, position: int, secret: bytes) -> bool:
    """Make a view and give it its name; return whether an earlier one, on which it could have been built, was not right."""
    was_altered = False
    building = Path(tempfile.mkdtemp(prefix=".making-", dir=views))
    try:
        view = building / _VIEW
        was_altered = _copy_earlier(views, database, position, view, secret)
        frontier = _replay(database, position, view)
        # The lock file of a database that nobody writes any more.
        (building / f"{_VIEW}.lock").unlink(missing_ok=True)
        # It was written without waiting for the disk; a power cut must not leave a part of it under its name.
        _sync(view)
        digest = _hash(view)
        wait_for_next_tick(view)
        end = _continued(database, frontier, frontier)
        if end is None:
            raise LogCorruptError(
                f"the first {position} events of {database.name} are not those that its tree head was made of, so the store "
                "cannot be shown as it was; run `prov verify`"
            )
        descriptor = os.open(building / _MANIFEST, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_manifest(descriptor, frontier, _stamp(view, digest), end, secret)
        finally:
            os.close(descriptor)
        try:
            building.rename(views / _name(position, secret))
        except OSError as exc:
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another process has made the same view first.
            shutil.rmtree(building, ignore_errors=True)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return was_altered


def _copy_earlier(views: Path, database: Database, position: int, target: Path, secret: bytes) -> bool:
    """Copy the nearest earlier view; return whether one was there that was not right."""
    was_altered = False
    version = _name(position, secret).partition("-")[2]
    for earlier, place in sorted(_kept(views), reverse=True):
        if earlier > position or not place.name.endswith(f"-{version}"):
            continue
        found, altered = _open(place, database, place.name, secret)
        was_altered = was_altered or altered
        if found is not None:
            try:
                shutil.copyfile(place / _VIEW, target)
                target.chmod(0o600)
            finally:
                found.close()
            break
    return was_altered


def _replay(database: Database, position: int, target: Path) -> Frontier:
    """Carry out the events after those that a view holds already, checking each against its leaf hash."""
    view = SQLiteDatabase(target, create=not target.exists(), scratch=True)
    try:
        create_log(view)
        ((done, peaks, _, _),) = view.read(READ_HEAD)
        frontier = Frontier(done, bytes.fromhex(peaks))
        with database.snapshot() as snapshot:
            deferred = _create_projections(view, defer=position - done > position // _REBUILD_SHARE)
            for start in range(done, position, _BATCH):
                end = min(start + _BATCH, position)
                with view.write() as transaction:
                    _copy_events(snapshot, transaction, frontier, start, end)
            if frontier.size != position:
                raise LogCorruptError(
                    f"{database.name} has lost events up to event {position}; run `prov verify` to find the place"
                )
            with view.write() as transaction:
                for statement in deferred:
                    transaction.execute(statement)
    finally:
        view.close()
    return frontier


def _copy_events(snapshot: Reader, transaction: Transaction, frontier: Frontier, start: int, end: int) -> None:
    """Copy some events and carry out what they do."""
    sql = f"SELECT {', '.join(EVENTS.names)} FROM {EVENTS.name} WHERE position > ? AND position <= ? ORDER BY position"  # noqa: S608 - names from the schema only
    rows: list[tuple[Scalar, ...]] = []
    leaves = []
    for row in snapshot.stream(sql, (start, end)):
        leaf = leaf_hash(encode_entry(row[:-1]))
        if leaf.hex() != row[-1] or row[0] != start + len(rows) + 1:
            raise LogCorruptError(
                f"event {row[0]} is not as it was recorded, so the store cannot be shown as of a time after it; "
                "run `prov verify`"
            )
        rows.append(row)
        leaves.append(leaf)
    transaction.insert_rows(EVENTS.name, EVENTS.names, rows)
    transaction.apply(project_all([to_recorded(row[:-1]) for row in rows]))
    frontier.extend(leaves)
    transaction.execute(
        "UPDATE log_head SET position = ?, frontier = ?, root = ? WHERE id = 1",
        (frontier.size, frontier.to_bytes().hex(), frontier.root().hex()),
    )


def _create_projections(view: Database, *, defer: bool) -> list[str]:
    """Create the projection tables that are not there, and return the indexes that are left for the end."""
    deferred: list[str] = []
    existing = view.table_names()
    with view.write() as transaction:
        for table in schema.TABLES:
            if table.name in existing:
                continue
            transaction.execute(create_table(table, view.dialect))
            needed, at_end = split_indexes(table)
            for statement in needed if defer else (*needed, *at_end):
                transaction.execute(statement)
            deferred += at_end if defer else []
    return deferred


def _remove_old(folder: Path, *, keep: Path) -> None:
    """Remove the views beyond the limits that were not opened for the longest time and that nobody has open."""
    found = []
    for views in folder.iterdir():
        for left in views.glob(".making-*"):
            # What a killed process left behind.
            if time.time() - left.stat().st_mtime > 86_400:
                shutil.rmtree(left, ignore_errors=True)
        for _, place in _kept(views):
            with suppress(OSError):
                found.append(((place / _MANIFEST).stat().st_mtime_ns, (place / _VIEW).stat().st_size, place))
    found.sort(reverse=True)
    size_bytes = 0
    for number, (_, size, place) in enumerate(found, start=1):
        size_bytes += size
        if place != keep and (number > MAX_VIEWS or size_bytes > MAX_BYTES):
            with _held_alone(place) as is_mine:
                if is_mine:
                    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _held_alone(place: Path) -> Iterator[bool]:
    """Lock a view if nobody has it open."""
    try:
        descriptor = os.open(place / _MANIFEST, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _kept(views: Path) -> Iterator[tuple[int, Path]]:
    for place in views.iterdir():
        match = _NAME.fullmatch(place.name)
        if match is not None:
            yield int(match[1]), place


def _name(position: int, secret: bytes) -> str:
    return f"{position}-{_version(secret)}"


@lru_cache
def _version(secret: bytes) -> str:
    """Name what views are made by, and whom: another projection may give other rows, and nobody believes another's."""
    digest = hmac.new(secret, VERSION.encode(), hashlib.sha256)
    for path in sorted(Path(schema.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(view: Path, digest: str) -> Stamp:
    return Stamp(digest, time.time(), observe(view) or ())


def _seal(secret: bytes, frontier: Frontier, stamp: Stamp, end: Frontier) -> str:
    data = msgspec.json.encode((frontier.size, frontier.to_bytes().hex(), stamp, end.size, end.to_bytes().hex()))
    return hmac.new(secret, data, hashlib.sha256).hexdigest()


def _write_manifest(descriptor: int, frontier: Frontier, stamp: Stamp, end: Frontier, secret: bytes) -> None:
    manifest = _Manifest(
        frontier.size,
        frontier.to_bytes().hex(),
        stamp,
        (end.size, end.to_bytes().hex()),
        _seal(secret, frontier, stamp, end),
    )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, msgspec.json.encode(manifest), 0)
