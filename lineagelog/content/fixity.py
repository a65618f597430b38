"""Fixity: is the stored content what was recorded? Checks of artifacts and storage locations, and what they found, on record."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from lineagelog import location, message
from lineagelog.content.orphans import Orphan, find_orphans, locations, shown_root
from lineagelog.domain import clock
from lineagelog.domain.artifact import CHANGED, DELETED, INTACT, MISSING, ArtifactVerified
from lineagelog.domain.errors import (
    ArtifactStateError,
    ConcurrentWriteError,
    ContentChangedError,
    LineageLogError,
    ObjectMissingError,
    StorageError,
    StoreReadOnlyError,
    StoreUnavailableError,
    UnsupportedFormatError,
)
from lineagelog.domain.storage import StorageChecked
from lineagelog.domain.values import time_text
from lineagelog.progress import byte_progress
from lineagelog.projections import schema
from lineagelog.projections.rows import RowDict, find_in

if TYPE_CHECKING:
    from lineagelog.adapters.storage import Progress
    from lineagelog.adapters.storage import Storage as StorageBackend
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.storage import Storage
    from lineagelog.store import Store

UNCHECKED: Final = "unchecked"
UNCHECKABLE: Final = "uncheckable"
"""In a report: content that could not be judged now, and content that was recorded without a hash of its bytes. Neither is recorded
as an outcome."""

_OUTCOMES: Final = (MISSING, CHANGED, UNCHECKED, UNCHECKABLE, INTACT)
_RETRIES: Final = 20
_PAGE: Final = 500
_RECORDED_AT_ONCE: Final = 100
_REMOTE_READERS: Final = 8
_LOOK_AGAIN_AFTER: Final = 20
"""After so many contents that could not be read, it is found out whether the location is there at all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of the content of one artifact.

    Attributes:
        outcome: `missing`, `changed`, `unchecked`, `uncheckable`, or `intact` where an earlier check had found otherwise.
        uid: Uid of the artifact.
        key: Its key.
        path: Where its content lies, relative to the storage root.
        hash: Recorded hash.
        size_bytes: Recorded size.
        found_hash: Hash of what was found; `None` if nothing was, or if it was not read.
        found_size_bytes: Size of what was found.
        why: More in words, such as why it could not be judged.
    """

    outcome: str
    uid: str
    key: str | None
    path: str
    hash: str
    size_bytes: int
    found_hash: str | None = None
    found_size_bytes: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class LocationReport:
    """What a check found at one storage location.

    Attributes:
        uid: Uid of the location.
        root: Its root, as it can be opened here.
        n_artifacts: Artifacts whose content was looked for.
        bytes_read: Bytes that were read.
        missing: Artifacts of which nothing was found.
        changed: Artifacts whose content is not the recorded one.
        unchecked: Artifacts that could not be judged: their content could not be read, or was just being written.
        uncheckable: Artifacts that are there, but were recorded without a hash of their bytes, or with one that is not known here.
        recovered: Artifacts that are intact, and were not when they were last checked.
        orphans: Objects that belong to no artifact.
        is_listed: Orphans were looked for; not every type of location can be listed.
        problem: Why the location could not be checked, or not to the end; `None` if it was.
        unrecorded: Why what was found could not be recorded, or not all of it; `None` if it was, or was not meant to be.
    """

    uid: str
    root: str
    n_artifacts: int = 0
    bytes_read: int = 0
    missing: tuple[Finding, ...] = ()
    changed: tuple[Finding, ...] = ()
    unchecked: tuple[Finding, ...] = ()
    uncheckable: tuple[Finding, ...] = ()
    recovered: tuple[Finding, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    is_listed: bool = True
    problem: str | None = None
    unrecorded: str | None = None

    @property
    def orphan_bytes(self) -> int:
        """Size of all orphans."""
        return sum(orphan.size_bytes for orphan in self.orphans)


@dataclass(frozen=True, slots=True)
class StorageReport:
    """What a check of stored content found.

    Attributes:
        locations: What it found at each storage location.
        content_read: All bytes were read and their hashes compared; if not, only presence and size.
        is_recorded: What was found is in the log; a store that can only be read keeps no record.
    """

    locations: tuple[LocationReport, ...]
    content_read: bool
    is_recorded: bool

    @property
    def is_intact(self) -> bool:
        """No content is missing or changed, as far as could be found out."""
        return not any(place.missing or place.changed for place in self.locations)

    @property
    def is_complete(self) -> bool:
        """Every location was reached, all content was judged that has a hash, and what was found could be recorded."""
        return not any(place.problem or place.unchecked or place.unrecorded for place in self.locations)

    @property
    def ok(self) -> bool:
        """All content that has a hash was judged, and is what was recorded. Orphans are no damage."""
        return self.is_intact and self.is_complete

    def findings(self) -> Iterator[Finding]:
        """Hand out everything that was found of artifacts, location by location."""
        for place in self.locations:
            yield from (*place.missing, *place.changed, *place.unchecked, *place.uncheckable, *place.recovered)

    def remarks(self) -> Iterator[str]:
        """Say what to do, and what the check does not tell."""
        for place in self.locations:
            if place.problem is not None:
                yield f"PROBLEM: {place.root} could not be checked to the end: {place.problem}"
            if not place.is_listed:
                yield f"NOT CHECKED: whether objects at {place.root} belong to no artifact; it cannot be listed"
            if place.unrecorded is not None:
                yield f"NOT RECORDED: what was found at {place.root}: {place.unrecorded}"
        if not self.is_intact:
            yield (
                "WHAT TO DO: put the recorded content back from a backup, under the same path, and check again; content that was "
                "changed on purpose is saved as a new version"
            )
        if any(place.orphans for place in self.locations):
            yield "WHAT TO DO: nothing needs the orphans; `prov storage collect` removes those that are older than a day"
        if not self.content_read:
            yield "NOT CHECKED: the bytes themselves; a check without --no-content reads them and compares their hashes"
        if not self.is_recorded and not any(place.unrecorded for place in self.locations):
            yield "NOT RECORDED: the store can only be read here, so the log does not know of this check"
        if self.ok:
            yield (
                "all content is as it was recorded"
                if self.content_read
                else "all content is there, with its recorded size"
            )

    def to_text(self) -> str:
        """Say in words what was found, and what to do."""
        return "\n".join([line for place in self.locations for line in _lines(place)] + list(self.remarks()))


def check_storage(store: Store, storage: Storage | str | None = None, *, content: bool = True) -> StorageReport:
    """Hold the stored content of all artifacts against what is recorded of it, and look for objects that belong to none.

    What is found goes on record: what is wrong with an artifact, or is right again, as an event of the artifact; the counts as
    one of the location. Artifacts that were deleted with their content are left out, those in the trash are not.

    Args:
        store: The store.
        storage: The location, by record, uid or root; all by default. One that cannot be reached is named in the report, and the
            others are checked.
        content: Read all bytes and compare their hashes; otherwise look for presence and size only.

    Raises:
        RecordNotFoundError: There is no such location.
    """
    is_recorded = not store.log.database.read_only
    checks = [_LocationCheck(store, row, content=content, is_recorded=is_recorded) for row in locations(store, storage)]
    places = tuple(check.run() for check in checks)
    return StorageReport(places, content, is_recorded and not any(place.unrecorded for place in places))


def verify_artifact(artifact: Artifact) -> str:
    """Read the content of one artifact, compare it with its recorded size and hash, and record the outcome.

    Returns:
        `intact`, `missing` or `changed`.

    Raises:
        ArtifactStateError: It was deleted.
        StorageError: The content cannot be judged: the location cannot be reached, or it was just being written.
        UnsupportedFormatError: It was recorded without a hash of its bytes, or with one that is not known here.
    """
    store = artifact.store
    artifact.refresh()
    _check_not_deleted(artifact._row)
    backend = store.storage_backend(artifact.storage_id)
    with byte_progress(f"verifying {artifact.key or artifact.uid}", artifact.size) as progress:
        verdict = _judge(backend, artifact._row, content=True, progress=progress)
    if verdict.outcome in (UNCHECKED, UNCHECKABLE):
        assert verdict.error is not None
        raise verdict.error
    if store.log.database.read_only:
        message.warn(f"{store.name} can only be read here, so this check is not on record")
        return verdict.outcome

    def decide(row: RowDict) -> ArtifactVerified:
        _check_not_deleted(row)
        return verdict.to_event()

    store.append_next(schema.ARTIFACTS, artifact.id, decide)
    artifact.refresh()
    return verdict.outcome


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was found of one content.

    Attributes:
        outcome: `intact`, `missing`, `changed`, `unchecked` or `uncheckable`. Without reading, `intact` means present
            with the recorded size.
        found_hash: Hash of what was found.
        found_size_bytes: Size of what was found.
        error: Why it is so, or could not be judged.
        is_unreadable: The content could not be read, which may be the fault of the whole location.
    """

    outcome: str
    found_hash: str | None = None
    found_size_bytes: int | None = None
    error: LineageLogError | None = None
    is_unreadable: bool = False

    def to_event(self) -> ArtifactVerified:
        return ArtifactVerified(
            outcome=self.outcome, found_hash=self.found_hash, found_size_bytes=self.found_size_bytes
        )


def _judge(backend: StorageBackend, row: RowDict, *, content: bool, progress: Progress | None) -> _Verdict:
    """Hold one content against its row."""
    path, hash_type = row["storage_path"], row["hash_type"]
    try:
        found = backend.stat(path)
    except StorageError as exc:
        return _Verdict(UNCHECKED, error=exc, is_unreadable=True)
    if found is None:
        return _Verdict(MISSING)
    if not content:
        # A web server may keep the size to itself.
        is_told = found.size_bytes > 0 or not backend.type.startswith("http")
        return _Verdict(CHANGED if is_told and found.size_bytes != row["size"] else INTACT, None, found.size_bytes)
    try:
        return _compare(backend, path, row["hash"], hash_type, progress)
    except ObjectMissingError:
        return _Verdict(MISSING)
    except ContentChangedError as exc:
        return _Verdict(UNCHECKED, error=exc)
    except UnsupportedFormatError as exc:
        # A link or a pipe where a file was, or in a folder: not the content that was recorded, whatever it leads to.
        return _Verdict(CHANGED, error=exc)
    except StorageError as exc:
        return _Verdict(UNCHECKED, error=exc, is_unreadable=True)


def _compare(backend: StorageBackend, path: str, expected: str, hash_type: str, progress: Progress | None) -> _Verdict:
    """Read a content, and compare it with its recorded hash."""
    from lineagelog.adapters.storage.base import ETAG, SHA256, SHA256_FOLDER

    if hash_type not in (SHA256, SHA256_FOLDER, ETAG):
        why = f"{backend.url(path)} was recorded with a hash of type {hash_type!r}, which this version cannot check"
        return _Verdict(UNCHECKABLE, error=UnsupportedFormatError(f"{why}: update lineagelog"))
    if hash_type == ETAG:
        marked = backend.vouched_hash(path)
        if (marked.hash, marked.hash_type) != (expected, hash_type):
            return _Verdict(CHANGED, marked.hash, marked.size_bytes)
        why = f"{backend.url(path)} has the mark of its server that is recorded in place of a hash; it says nothing of its bytes"
        return _Verdict(
            UNCHECKABLE, error=UnsupportedFormatError(f"{why}; save it without checksum='server' to have them read")
        )
    hashed = backend.hash_in_place(path, progress)
    if hashed.hash != expected and backend.local_path(path) is None:
        # A byte may have flipped on the way; what is stored is accused only if it differs twice.
        hashed = backend.hash_in_place(path, progress)
    is_same = (hashed.hash, hashed.hash_type) == (expected, hash_type)
    return _Verdict(INTACT if is_same else CHANGED, hashed.hash, hashed.size_bytes)


class _LocationCheck:
    """The check of one storage location.

    Contents are read by several threads, since hashing leaves the interpreter free; so many wait for their turn at most that
    memory does not grow with the store. Everything else, the database in particular, is done by the calling thread.
    """

    def __init__(self, store: Store, row: RowDict, *, content: bool, is_recorded: bool) -> None:
        self._store = store
        self._row = row
        self._content = content
        self._is_recorded = is_recorded
        self._unrecorded: str | None = None
        self._report = LocationReport(row["uid"], shown_root(store, row))
        self._found: dict[str, list[Finding]] = {outcome: [] for outcome in _OUTCOMES}
        self._waiting: list[tuple[RowDict, _Verdict]] = []
        self._n_artifacts = 0
        self._bytes_read = 0

    def run(self) -> LocationReport:
        """Check, record, and report."""
        started_at = time_text(clock.now())
        problem = None
        orphans: tuple[Orphan, ...] = ()
        is_listed = True
        try:
            backend = self._store.storage_backend(self._row["id"])
            total = self._check_reachable(backend)
            try:
                orphans = tuple(find_orphans(self._store, self._row["id"], backend))
            except UnsupportedFormatError:
                is_listed = False
            label = f"checking {self._report.root}"
            with byte_progress(label, total if self._content else 0) as progress:
                self._check_artifacts(backend, progress)
        except StoreUnavailableError:
            raise
        except StorageError as exc:
            problem = str(exc)
        self._settle()
        self._report = replace(
            self._report,
            n_artifacts=self._n_artifacts,
            bytes_read=self._bytes_read,
            missing=tuple(self._found[MISSING]),
            changed=tuple(self._found[CHANGED]),
            unchecked=tuple(self._found[UNCHECKED]),
            uncheckable=tuple(self._found[UNCHECKABLE]),
            recovered=tuple(self._found[INTACT]),
            orphans=orphans,
            is_listed=is_listed,
            problem=problem,
        )
        if problem is None:
            fact = self._to_event(started_at)
            self._record(lambda: self._store.append_next(schema.STORAGES, self._row["id"], lambda _: fact))
        return replace(self._report, unrecorded=self._unrecorded)

    def _record(self, append: Callable[[], object]) -> None:
        """Record what was found, or keep why that cannot be: whoever looks after a full disk needs the report most."""
        if not self._is_recorded:
            return
        try:
            append()
        except (StoreUnavailableError, StoreReadOnlyError) as exc:
            self._is_recorded, self._unrecorded = False, str(exc)

    def _check_reachable(self, backend: StorageBackend) -> int:
        """Return the size of all content that has to be there.

        Raises:
            StorageError: A local folder is not there, as when its disk is not mounted: its content is not known to be gone.
        """
        ((count, total),) = self._store.log.database.read(_TOTAL, (self._row["id"],))
        if backend.type == "local" and count and not os.path.isdir(backend.root):  # noqa: PTH112 - as cheap as it can be said
            raise StorageError(
                f"the folder {backend.root} is not there, so the content of {count:,} artifacts in it was not checked; mount its "
                "disk, or put the folder back"
            )
        return int(total)

    def _check_artifacts(self, backend: StorageBackend, progress: Progress | None) -> None:
        n_readers = min(4, os.cpu_count() or 1) if backend.type == "local" else _REMOTE_READERS
        count = _Counter(progress)
        n_unreadable = 0

        def judge(row: RowDict) -> _Verdict:
            return _judge(backend, row, content=self._content, progress=count.add)

        try:
            for row, verdict in _in_threads(self._artifacts(), judge, n_readers):
                self._n_artifacts += 1
                n_unreadable = n_unreadable + 1 if verdict.is_unreadable else 0
                if n_unreadable == _LOOK_AGAIN_AFTER:
                    n_unreadable = 0
                    backend.exists(location.FOLDER)
                was_bad = row["content_status"] in (MISSING, CHANGED)
                if verdict.outcome != INTACT or (was_bad and self._content):
                    self._waiting.append((row, verdict))
                    if len(self._waiting) >= _RECORDED_AT_ONCE:
                        self._settle()
        finally:
            self._bytes_read = count.n_bytes

    def _artifacts(self) -> Iterator[RowDict]:
        """Read the artifacts whose content has to be at this location, a page at a time."""
        after = 0
        while rows := self._store.log.database.read(_ARTIFACTS, (self._row["id"], after, _PAGE)):
            for row in rows:
                yield dict(zip(_COLUMNS, row, strict=True))
            after = rows[-1][0]

    def _settle(self) -> None:
        """Take over the verdicts that wait, and record them, all or none.

        An artifact that was deleted since it was looked at is left out: its content is gone for a reason. The version that each
        event claims in its artifact's stream makes sure that this does not change before the event is recorded.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        for attempt in range(_RETRIES):
            rows = find_in(self._store.log.database, schema.ARTIFACTS, "id", [row["id"] for row, _ in waiting])
            now = {row["id"]: row for row in rows}
            standing = [(now[row["id"]], verdict) for row, verdict in waiting if now[row["id"]]["state"] != DELETED]
            events = [
                self._store.new_event(verdict.to_event(), row["id"], row["revision"] + 1)
                for row, verdict in standing
                if verdict.outcome not in (UNCHECKED, UNCHECKABLE)
            ]
            if not self._is_recorded or not events:
                break
            try:
                self._record(partial(self._store.append, events))
                break
            except ConcurrentWriteError:
                if attempt == _RETRIES - 1:
                    raise
        self._n_artifacts -= len(waiting) - len(standing)
        for row, verdict in standing:
            self._found[verdict.outcome].append(_finding(row, verdict))

    def _to_event(self, started_at: str) -> StorageChecked:
        report = self._report
        return StorageChecked(
            content_read=self._content,
            n_artifacts=report.n_artifacts,
            n_missing=len(report.missing),
            n_changed=len(report.changed),
            n_unchecked=len(report.unchecked) + len(report.uncheckable),
            n_orphans=len(report.orphans),
            orphan_bytes=report.orphan_bytes,
            bytes_read=report.bytes_read,
            started_at=started_at,
        )


class _Counter:
    """Adds up what several threads have read."""

    def __init__(self, progress: Progress | None) -> None:
        self.n_bytes = 0
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, n_bytes: int) -> None:
        with self._lock:
            self.n_bytes += n_bytes
            if self._progress is not None:
                self._progress(n_bytes)


def _in_threads(
    rows: Iterator[RowDict], judge: Callable[[RowDict], _Verdict], n_threads: int
) -> Iterator[tuple[RowDict, _Verdict]]:
    """Judge rows in several threads, and hand out row and verdict in their order; only a few rows wait at a time."""
    waiting: deque[tuple[RowDict, Future[_Verdict]]] = deque()
    pool = ThreadPoolExecutor(n_threads)
    try:
        for row in rows:
            waiting.append((row, pool.submit(judge, row)))
            if len(waiting) > 4 * n_threads:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _check_not_deleted(row: RowDict) -> None:
    """Refuse to verify what is deleted.

    Raises:
        ArtifactStateError: It is.
    """
    if row["state"] == DELETED:
        raise ArtifactStateError(row["uid"], row["state"], "has no content to verify")


def _finding(row: RowDict, verdict: _Verdict) -> Finding:
    return Finding(
        outcome=verdict.outcome,
        uid=row["uid"],
        key=row["key"],
        path=row["storage_path"],
        hash=row["hash"],
        size_bytes=row["size"],
        found_hash=verdict.found_hash,
        found_size_bytes=verdict.found_size_bytes,
        why=str(verdict.error) if verdict.error is not None else None,
    )


def _lines(place: LocationReport) -> Iterator[str]:
    """Say what was found at one location."""
    yield f"{place.root}: looked for the content of {place.n_artifacts:,} artifacts, read {place.bytes_read:,} bytes"
    for finding in (*place.missing, *place.changed):
        found = ""
        if finding.found_size_bytes is not None:
            read = f" with hash {finding.found_hash}" if finding.found_hash is not None else ""
            found = f": {finding.found_size_bytes:,} bytes{read} in place of {finding.size_bytes:,}"
        elif finding.why is not None:
            found = f": {finding.why}"
        yield f"{finding.outcome.upper()}: {_named(finding)} at {finding.path}{found}"
    for finding in (*place.unchecked, *place.uncheckable):
        yield f"NOT CHECKED: {_named(finding)}: {finding.why}"
    for finding in place.recovered:
        yield f"intact again: {_named(finding)} at {finding.path}"
    for orphan in place.orphans:
        written = f", written {orphan.written_at:%Y-%m-%d %H:%M} UTC" if orphan.written_at is not None else ""
        yield f"orphan: {orphan.path}, {orphan.size_bytes:,} bytes{written}"


def _named(finding: Finding) -> str:
    return f"{finding.uid} {finding.key}" if finding.key is not None else finding.uid


_COLUMNS: Final = (
    "position", "id", "uid", "key", "storage_path", "size", "hash", "hash_type", "content_status",
)  # fmt: skip
_ARTIFACTS: Final = (
    f"SELECT {', '.join(_COLUMNS)} FROM artifacts "  # noqa: S608 - names from this module
    "WHERE storage_id = ? AND state <> 'deleted' AND position > ? ORDER BY position LIMIT ?"
)
_TOTAL: Final = "SELECT count(*), coalesce(sum(size), 0) FROM artifacts WHERE storage_id = ? AND state <> 'deleted'"
