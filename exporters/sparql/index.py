"""A graph of a whole store that is kept for many questions, and brought up to date by the events since the last one.

In memory it lives as long as its process. On disk it is a store of Oxigraph in a folder of its own:

    <folder>/graph/       the graph
    <folder>/index.json   where in the log it stands; absent while the graph is being made
    <folder>/lock         locked (`flock`) alone by who brings it up to date, together with others by who asks

All of it follows from the log, so it may be removed at any time, and whatever cannot be relied on is made anew: an index by another
version, of another log, or that is damaged. One that was left half changed is right again after the next change, which describes
all records anew that were touched since the position in `index.json`, whatever was written of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from lineagelog.domain.event import RecordedEvent
from lineagelog.domain.version import VERSION
from lineagelog.exporters.export import SOFTWARE
from lineagelog.exporters.formats.ntriples import write_nquads, write_ntriples
from lineagelog.exporters.mapping.change import open_change
from lineagelog.exporters.mapping.stream import Export, open_export
from lineagelog.exporters.scope import ALL
from lineagelog.exporters.sparql.asking import Engine, GraphError, QueryResult
from lineagelog.exporters.vocabulary import DEFAULT_BASE
from lineagelog.projections import schema
from lineagelog.projections.reader import Reader
from lineagelog.projections.touched import touched_by

MAX_EVENTS: Final = 10_000
"""After more events than this the graph is made anew, which is faster then."""

MAX_INDEXES: Final = 16
"""So many indexes are kept on disk, those that were asked last."""

MAX_BYTES: Final = 8_000_000_000
"""Their size beyond which those that were not asked for the longest time are removed, bytes."""

_WAIT_S: Final = 5.0
_GRAPH: Final = "graph"
_MANIFEST: Final = "index.json"
_LOCK: Final = "lock"
_READ_HEAD: Final = "SELECT position, root FROM log_head WHERE id = 1"


@dataclass(frozen=True, slots=True)
class Source:
    """The store that an index is of.

    Attributes:
        snapshot: Opens one consistent view of its database.
        events: Reads the events after a position and up to another.
        progress: Opens what shows how many statements were written, as they are; it yields what takes the number, or nothing.
    """

    snapshot: Callable[[], AbstractContextManager[Reader]]
    events: Callable[[int, int], Iterable[RecordedEvent]]
    progress: Callable[[], AbstractContextManager[Callable[[int], object] | None]] = nullcontext


class Standing(msgspec.Struct, frozen=True):
    """Where in a log an index stands.

    Attributes:
        position: Last position.
        leaf: Leaf hash of the event there, by which the log is known again.
        version: What the index was made by.
    """

    position: int
    leaf: str
    version: str


class MemoryIndex:
    """A graph in memory."""

    def __init__(self, source: Source) -> None:
        """Hold nothing yet."""
        self._source = source
        self._engine: Engine | None = None
        self._standing: Standing | None = None
        self._pid = os.getpid()
        self._guard = threading.Lock()

    def ask(self, sparql: str, *, timeout_s: float) -> QueryResult:
        """Answer a checked query about the store as it is now; of threads that ask at once, one after the other."""
        with self._guard:
            return self._ask(sparql, timeout_s)

    def _ask(self, sparql: str, timeout_s: float) -> QueryResult:
        if self._pid != os.getpid():
            # The process that holds the graph belongs to the one this was forked from.
            self._engine, self._standing, self._pid = None, None, os.getpid()
        try:
            if self._engine is None:
                self._engine = Engine()
            # Half of a change is not told from the whole of it, so whatever goes wrong on the way costs the graph.
            standing, self._standing = self._standing, None
            self._standing = bring_up_to_date(self._engine, self._source, standing)
        except BaseException:
            self.close()
            raise
        return self._engine.ask(sparql, timeout_s=timeout_s)

    def close(self) -> None:
        """Give the graph up."""
        if self._engine is not None and self._pid == os.getpid():
            self._engine.close()
        self._engine, self._standing = None, None


def bring_up_to_date(engine: Engine, source: Source, standing: Standing | None) -> Standing:
    """Make the graph that an engine holds that of the store as it is now.

    Args:
        engine: Holds the graph.
        source: The store.
        standing: Where the graph stands; `None` if it is to be made.

    Returns:
        Where it stands now.
    """
    with source.snapshot() as reader:
        ((position, root),) = reader.read(_READ_HEAD)
        now = Standing(int(position), _leaf(reader, int(position)), _version())
        if standing == now:
            return now
        if standing is not None and follows(reader, standing, now.position):
            touched = touched_by(source.events(standing.position, now.position))
            if not touched.is_everything:
                change = open_change(
                    reader,
                    touched,
                    since=standing.position,
                    head_position=now.position,
                    head_root=root,
                    software=SOFTWARE,
                    base=DEFAULT_BASE,
                )
                engine.change(change, map(str.encode, write_ntriples(change.export)))
                return now
        with source.progress() as progress:
            engine.load(_told(write_ntriples(_open_whole(reader, now.position, root)), progress), format="nt")
        return now


def export_chunks(source: Source) -> Iterator[bytes]:
    """Hand out an export of the store as it is now in N-Quads, which names the graph of its bundle."""
    with source.snapshot() as reader:
        ((position, root),) = reader.read(_READ_HEAD)
        yield from map(str.encode, write_nquads(_open_whole(reader, int(position), root)))


def follows(reader: Reader, standing: Standing, position: int) -> bool:
    """Tell whether a log went through where an index stands, and not so long ago that the index is better made anew."""
    return (
        standing.version == _version()
        and 0 <= position - standing.position <= MAX_EVENTS
        and _leaf(reader, standing.position) == standing.leaf
    )


class DiskIndex:
    """A graph in a folder, shared by all processes of a user."""

    def __init__(self, folder: Path, source: Source) -> None:
        """Name the folder; it is made when something is first asked."""
        self._folder = folder
        self._source = source

    def ask(self, sparql: str, *, timeout_s: float) -> QueryResult | None:
        """Answer a checked query about the store as it is now.

        Returns:
            The answer; `None` if others use the index, and it is not up to date.

        Raises:
            GraphError: The index cannot be written or read; it is removed.
            OSError: The folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(2):
            with _locked(self._folder, fcntl.LOCK_SH) as lock, suppress(GraphError):
                if lock is not None and self._is_up_to_date():
                    return self._answer(sparql, timeout_s, lock)
            with _locked(self._folder, fcntl.LOCK_EX) as lock:
                if lock is None:
                    return None
                self._bring_up_to_date(lock)
        # Others record faster than this is read; it was up to date a moment ago, when this was asked.
        with _locked(self._folder, fcntl.LOCK_SH) as lock:
            return self._answer(sparql, timeout_s, lock) if lock is not None and _standing(self._folder) else None

    def _is_up_to_date(self) -> bool:
        standing = _standing(self._folder)
        with self._source.snapshot() as reader:
            ((position, _),) = reader.read(_READ_HEAD)
            return standing is not None and standing.position == position and follows(reader, standing, int(position))

    def _bring_up_to_date(self, lock: int) -> None:
        standing = _standing(self._folder)
        graph, manifest = self._folder / _GRAPH, self._folder / _MANIFEST
        with self._source.snapshot() as reader:
            ((position, _),) = reader.read(_READ_HEAD)
            if standing is not None and not follows(reader, standing, int(position)):
                standing = None
        try:
            for _ in range(2):
                if standing is None:
                    remove(self._folder)
                with Engine(graph, lock=lock) as engine:
                    try:
                        now = bring_up_to_date(engine, self._source, standing)
                        break
                    except GraphError:
                        if standing is None:
                            raise
                        # What is damaged is made anew, once.
                        standing = None
        except BaseException:
            if standing is None:
                remove(self._folder)
            raise
        written = manifest.with_suffix(".new")
        written.write_bytes(msgspec.json.encode(now))
        written.replace(manifest)

    def _answer(self, sparql: str, timeout_s: float, lock: int) -> QueryResult:
        os.utime(self._folder / _MANIFEST)
        try:
            with Engine(self._folder / _GRAPH, lock=lock) as engine:
                return engine.ask(sparql, timeout_s=timeout_s)
        except GraphError:
            # Without it the next who asks makes the graph anew.
            (self._folder / _MANIFEST).unlink(missing_ok=True)
            raise


class KeptIndex(NamedTuple):
    """An index on disk.

    Attributes:
        folder: Where it is.
        size_bytes: Its size.
        last_asked: When, seconds since 1970.
    """

    folder: Path
    size_bytes: int
    last_asked: float


def kept_indexes(folder: Path) -> list[KeptIndex]:
    """List the indexes in a folder, those that were asked last first."""
    found = []
    with suppress(FileNotFoundError):
        for place in folder.iterdir():
            if place.is_dir():
                size, asked = 0, 0.0
                for path in place.rglob("*"):
                    with suppress(OSError):
                        status = path.lstat()
                        size += status.st_size
                        asked = max(asked, status.st_mtime)
                found.append(KeptIndex(place, size, asked))
    return sorted(found, key=lambda index: index.last_asked, reverse=True)


def clear_indexes(folder: Path, *, beyond_limits: bool = False, keep: Path | None = None) -> tuple[int, int]:
    """Remove the indexes in a folder that nobody uses.

    Args:
        folder: Where they lie.
        beyond_limits: Only those beyond the limits of number and size.
        keep: One that stays.

    Returns:
        How many were removed, and their size.
    """
    n_removed, removed_bytes, size_bytes = 0, 0, 0
    for number, index in enumerate(kept_indexes(folder), start=1):
        size_bytes += index.size_bytes
        is_beyond = number > MAX_INDEXES or size_bytes > MAX_BYTES
        if index.folder == keep or (beyond_limits and not is_beyond):
            continue
        with _locked(index.folder, fcntl.LOCK_EX, wait_s=0) as lock:
            if lock is not None:
                shutil.rmtree(index.folder, ignore_errors=True)
                n_removed, removed_bytes = n_removed + 1, removed_bytes + index.size_bytes
    return n_removed, removed_bytes


def remove(folder: Path) -> None:
    """Remove an index, but not its lock, which is held."""
    # In this order: there is no graph of which nothing tells where it stands, that is believed.
    (folder / _MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder / _GRAPH, ignore_errors=True)


@contextmanager
def _locked(folder: Path, kind: int, *, wait_s: float = _WAIT_S) -> Iterator[int | None]:
    """Hold the lock of an index; hand out its descriptor, or nothing if it was not got in time."""
    until = time.monotonic() + wait_s
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        yield None
        return
    try:
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    yield None
                    return
                time.sleep(0.02)
        # Who removes an index holds its lock, so one that was removed meanwhile has another lock now, or none.
        yield descriptor if _is_lock_of(descriptor, folder) else None
    finally:
        os.close(descriptor)


def _is_lock_of(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat())
    except FileNotFoundError:
        return False


def _standing(folder: Path) -> Standing | None:
    if not (folder / _GRAPH).is_dir():
        return None
    try:
        return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Standing)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _leaf(reader: Reader, position: int) -> str:
    rows = reader.read("SELECT leaf_hash FROM events WHERE position = ?", (position,))
    return str(rows[0][0]) if rows else ""


def _told(pieces: Iterator[str], progress: Callable[[int], object] | None) -> Iterator[bytes]:
    for piece in pieces:
        yield piece.encode()
        if progress is not None:
            progress(piece.count("\n"))


def _open_whole(reader: Reader, position: int, root: str) -> Export:
    return open_export(reader, scope=ALL, head_position=position, head_root=root, software=SOFTWARE, base=DEFAULT_BASE)


@lru_cache
def _version() -> str:
    """Name what an index is made by: another mapping may say something else of the same log."""
    digest = hashlib.sha256(f"{VERSION} {version('pyoxigraph')}".encode())
    exporters, projections = Path(__file__).parent.parent, Path(schema.__file__).parent
    for path in sorted((*exporters.rglob("*.py"), *projections.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
