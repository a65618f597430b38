"""Local copies of content that lies elsewhere: one per content for all processes of a user, checked, and bounded in size.

    content/ab/<hash><suffix>   a file or folder, read-only, whole from the moment it has this name
    stamps/ab/<hash><suffix>    that it was found right (`adapters/stamp.py`); locked by who uses it; its time is the last use
    incoming/<hash><suffix>/    what is on its way in or out
    locks/<hash><suffix>        locked by who is bringing it in or throwing it out
    in_place/ab/<hash>-<path>   stamps of content that lies in a local storage, and is not copied

Locks are those of the kernel (`flock`), which lets go when a process ends, however it ends. What a killed process left in
`incoming` is removed by the next that looks there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from lineagelog.adapters.stamp import VALID_FOR_S, SeenFile, Stamp, observe, read_stamp, write_stamp
from lineagelog.adapters.storage.base import Progress, Storage
from lineagelog.adapters.storage.hashing import hash_local, wait_for_next_tick
from lineagelog.domain.errors import DigestMismatchError, StorageError

SHARED_FROM_BYTES: Final = 4_000_000
"""Smaller content in a local storage is read again by each process, which takes no longer than to look up a stamp."""

_MAX_IN_USE: Final = 256
"""So many contents a process keeps from being thrown out, the last it asked for; each takes a file descriptor."""

_MAX_REMEMBERED: Final = 1000
"""Folders of more files are looked up in their stamp rather than kept in memory."""

_SHARE_UNSEEN: Final = 64
"""The size of the cache is added up again when a process has brought in this fraction of the limit."""

_SUFFIX: Final = re.compile(r"(?:\.[A-Za-z0-9_\-]{1,20}){1,4}")


class Content(NamedTuple):
    """What is recorded of a content.

    Attributes:
        hash: 64 hexadecimal characters.
        hash_type: `sha256` or `sha256-folder`.
        size_bytes: Total size.
        suffix: File name extension, by which programs know what it is.
    """

    hash: str
    hash_type: str
    size_bytes: int
    suffix: str


class Copy(NamedTuple):
    """A local copy.

    Attributes:
        path: Where it is.
        was_altered: Somebody had written to the copy that was there; this is a new one.
    """

    path: Path
    was_altered: bool


class CacheInfo(NamedTuple):
    """What a cache holds.

    Attributes:
        folder: Where it is.
        limit_bytes: Size beyond which content is thrown out.
        n_contents: Number of files and folders.
        size_bytes: Their size.
        n_in_use: How many of them running processes have asked for.
    """

    folder: Path
    limit_bytes: int
    n_contents: int
    size_bytes: int
    n_in_use: int


class _Entry(NamedTuple):
    """A content in the cache.

    Attributes:
        name: Its name there.
        size_bytes: Its size.
        last_used: When somebody asked for it, seconds since 1970; 0 if it was never found whole.
    """

    name: str
    size_bytes: int
    last_used: float


class ContentCache:
    """The local copies of one user.

    Attributes:
        folder: Where they lie.
        limit_bytes: Beyond this size, what was not used for the longest time is thrown out, unless a process uses it.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Name the folder; it is made when something is first put into it."""
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._in_use: OrderedDict[str, int] = OrderedDict()
        self._remembered: dict[tuple[str, str], tuple[SeenFile, ...]] = {}
        self._guard = threading.Lock()
        self._n_unseen_bytes: int | None = None

    def get(self, content: Content, source: Storage, path: str, progress: Progress | None = None) -> Copy:
        """Return a local copy that is right; of all processes that ask at once, one fetches it.

        Args:
            content: What it has to be.
            source: Where it comes from.
            path: The object there.
            progress: Called as bytes arrive.

        Raises:
            DigestMismatchError: The source holds another content.
            ObjectMissingError: The source does not hold it.
            StorageError: The cache cannot take it; it is as it was before.
        """
        name = _name(content)
        with self._translated(content):
            if self._take(name, content):
                return Copy(self._place(name), was_altered=False)
            with self._locked(name):
                # Whoever held the lock before may have fetched it.
                if self._take(name, content):
                    return Copy(self._place(name), was_altered=False)
                was_there = os.path.lexists(self._place(name))
                is_right = was_there and self._check(name, content, progress)
                if not is_right:
                    self._make_room(content.size_bytes)
                    self._bring_in(name, content, source, path, progress)
                    self._stamp(name, content)
                if not self._take(name, content):
                    raise StorageError(f"{self._place(name)} was changed while it was written; try again")
        return Copy(self._place(name), was_altered=was_there and not is_right)

    def check_in_place(self, content: Content, place: Path, check: Callable[[], object]) -> None:
        """Make sure that content in a local storage is right; it is read unless a process has found it right before.

        Args:
            content: What it has to be.
            place: Where it lies.
            check: Reads it, and raises if it is another.
        """
        key = (str(place), content.hash)
        # Taken before the content is read: of what is written meanwhile nothing is known.
        seen = observe(place)
        if seen is not None and self._remembered.get(key) == seen:
            return
        is_shared = content.size_bytes >= SHARED_FROM_BYTES
        stamp_path = self._stamp_in_place(key)
        if is_shared and seen is not None and _stamp_holds(stamp_path, place, content.hash):
            self._remember(key, seen)
            return
        check()
        if seen is None:
            return
        self._remember(key, seen)
        if is_shared:
            # A home that cannot be written must not stop the work; the next process reads the content again.
            with suppress(OSError):
                self._make_folder()
                write_stamp(stamp_path, Stamp(content.hash, time.time(), seen))

    def info(self) -> CacheInfo:
        """Count what is there."""
        entries = self._entries()
        size = sum(entry.size_bytes for entry in entries)
        n_in_use = sum(self._is_in_use(entry.name) for entry in entries)
        return CacheInfo(self.folder, self.limit_bytes, len(entries), size, n_in_use)

    def discard(self, content: Content) -> bool | None:
        """Remove the copy of one content, which this process uses no more.

        Returns:
            Whether there was one and it is gone; `None` if another process uses it.
        """
        name = _name(content)
        with self._guard:
            descriptor = self._in_use.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)
        if not os.path.lexists(self._place(name)):
            return False
        with self._translated(content):
            return self._throw_out(name) or None

    def clear(self) -> tuple[int, int]:
        """Remove everything that no running process uses.

        Returns:
            Number of contents removed, and their size in bytes.
        """
        with self._translated(None):
            self._remove_leftovers(max_age_s=0)
            removed = [entry for entry in self._entries() if self._throw_out(entry.name)]
        return len(removed), sum(entry.size_bytes for entry in removed)

    def _take(self, name: str, content: Content) -> bool:
        """Use a copy if it is there and right as far as its stamp tells; it is not thrown out while this process lives."""
        stamp_path = self._stamp_path(name)
        try:
            descriptor = os.open(stamp_path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            stamp = read_stamp(descriptor) if _is_open_as(descriptor, stamp_path) else None
            if stamp is None or not stamp.holds(self._place(name), content.hash):
                os.close(descriptor)
                return False
            os.utime(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        with self._guard:
            released = [self._in_use.pop(name, None)]
            self._in_use[name] = descriptor
            if len(self._in_use) > _MAX_IN_USE:
                released.append(self._in_use.popitem(last=False)[1])
        for former in released:
            if former is not None:
                os.close(former)
        return True

    def _check(self, name: str, content: Content, progress: Progress | None) -> bool:
        """Read a copy that has no stamp, or was touched since, and give it a new stamp if it is right."""
        place = self._place(name)
        try:
            wait_for_next_tick(place)
            seen = observe(place)
            found = hash_local(place, progress)
        except StorageError:
            return False
        if seen is None or (found.hash, found.hash_type) != (content.hash, content.hash_type):
            return False
        write_stamp(self._stamp_path(name), Stamp(content.hash, time.time(), seen))
        return True

    def _stamp(self, name: str, content: Content) -> None:
        """Give a stamp to a copy that has just been written, and is as it was hashed on its way."""
        seen = observe(self._place(name))
        if seen is not None:
            write_stamp(self._stamp_path(name), Stamp(content.hash, time.time(), seen))

    def _bring_in(self, name: str, content: Content, source: Storage, path: str, progress: Progress | None) -> None:
        """Fetch content under another name, and give it its own once it is whole, right and read-only."""
        incoming = self.folder / "incoming" / name
        _remove(incoming)
        incoming.mkdir(parents=True)
        try:
            fetched = incoming / "content"
            hashed = source.fetch(path, fetched, expected=content.hash, progress=progress)
            if hashed.hash_type != content.hash_type:
                raise DigestMismatchError(source.url(path), content.hash, hashed.hash)
            _make_read_only(fetched)
            place = self._place(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(place):
                # No rename replaces a folder that holds something.
                place.rename(incoming / "altered")
            fetched.rename(place)
        finally:
            _remove(incoming)

    def _make_room(self, size_bytes: int) -> None:
        """Throw out what was not used for the longest time until there is room for so many bytes."""
        self._make_folder()
        missing = self._n_missing_bytes(size_bytes)
        if missing > 0 and missing > sum(entry.size_bytes for entry in self._entries()):
            # Not even an empty cache would do, so that nothing is thrown out for it.
            raise _no_room()
        unseen = (self._n_unseen_bytes or 0) + size_bytes
        if self._n_unseen_bytes is None or unseen * _SHARE_UNSEEN >= self.limit_bytes:
            self._remove_leftovers()
            self._shrink(lambda total: total + size_bytes > self.limit_bytes)
            unseen = 0
        self._n_unseen_bytes = unseen
        if self._n_missing_bytes(size_bytes) > 0:
            self._shrink(lambda _: self._n_missing_bytes(size_bytes) > 0)
        if self._n_missing_bytes(size_bytes) > 0:
            raise _no_room()

    def _n_missing_bytes(self, size_bytes: int) -> int:
        return size_bytes - shutil.disk_usage(self.folder).free

    def _shrink(self, is_too_large: Callable[[int], bool]) -> None:
        entries = self._entries()
        total = sum(entry.size_bytes for entry in entries)
        for entry in sorted(entries, key=lambda entry: entry.last_used):
            if not is_too_large(total):
                return
            if self._throw_out(entry.name):
                total -= entry.size_bytes

    def _throw_out(self, name: str) -> bool:
        """Remove a content, unless a process uses it or is bringing it in."""
        with self._locked(name, wait=False) as is_mine:
            if not is_mine:
                return False
            if not os.path.lexists(self._place(name)):
                return False
            stamp_path = self._stamp_path(name)
            with _opened(stamp_path) as descriptor:
                if descriptor is not None:
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        return False
                    stamp_path.unlink(missing_ok=True)
                # Under its own name content is whole or absent, also while it is removed.
                leaving = self.folder / "incoming" / name / "leaving"
                leaving.parent.mkdir(parents=True, exist_ok=True)
                self._place(name).rename(leaving)
                _remove(leaving.parent)
        return True

    def _is_in_use(self, name: str) -> bool:
        with _opened(self._stamp_path(name)) as descriptor:
            if descriptor is None:
                return False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _remove_leftovers(self, *, max_age_s: float = VALID_FOR_S) -> None:
        """Remove what killed processes left, and stamps that count no more."""
        for leftover in _list(self.folder / "incoming"):
            with self._locked(leftover.name, wait=False) as is_mine:
                if is_mine:
                    _remove(leftover)
        for folder in _list(self.folder / "in_place"):
            for stamp in _list(folder):
                with suppress(FileNotFoundError):
                    if time.time() - stamp.stat().st_mtime >= max_age_s:
                        stamp.unlink()

    def _entries(self) -> list[_Entry]:
        return [self._entry(place) for folder in _list(self.folder / "content") for place in _list(folder)]

    def _entry(self, place: Path) -> _Entry:
        with _opened(self._stamp_path(place.name)) as descriptor:
            last_used = os.fstat(descriptor).st_mtime if descriptor is not None else 0.0
            if not place.is_dir():
                with suppress(FileNotFoundError):
                    return _Entry(place.name, place.stat().st_size, last_used)
            stamp = read_stamp(descriptor) if descriptor is not None else None
        size = stamp.size_bytes if stamp is not None else sum(file.size_bytes for file in observe(place) or ())
        return _Entry(place.name, size, last_used)

    def _place(self, name: str) -> Path:
        return self.folder / "content" / name[:2] / name

    def _stamp_path(self, name: str) -> Path:
        return self.folder / "stamps" / name[:2] / name

    def _stamp_in_place(self, key: tuple[str, str]) -> Path:
        place, content_hash = key
        digest = hashlib.sha256(os.fsencode(place)).hexdigest()
        return self.folder / "in_place" / content_hash[:2] / f"{content_hash}-{digest[:16]}"

    def _remember(self, key: tuple[str, str], seen: tuple[SeenFile, ...]) -> None:
        if len(seen) <= _MAX_REMEMBERED:
            self._remembered[key] = seen

    def _make_folder(self) -> None:
        # Who can write here can make content look right that is not.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of a content; yields whether it was got, which without waiting is not sure."""
        path = self.folder / "locks" / name
        self._make_folder()
        path.parent.mkdir(exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                # The one before has removed the file; a lock on what has no name holds nobody off.
                if _is_open_as(descriptor, path):
                    break
            except BlockingIOError:
                os.close(descriptor)
                yield False
                return
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    @contextmanager
    def _translated(self, content: Content | None) -> Iterator[None]:
        """Say what can be done if the cache cannot be written."""
        try:
            yield
        except (OSError, StorageError) as exc:
            cause = exc if not isinstance(exc, StorageError) else exc.__cause__
            if not isinstance(cause, OSError):
                raise
            if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                what = f" for {content.size_bytes:,} bytes of content" if content is not None else ""
                raise StorageError(
                    f"there is no room{what} in the local cache {self.folder}: {cause.strerror}; nothing was kept. Free "
                    "space with `prov cache clear`, or choose another place with ln.settings.cache_dir"
                ) from exc
            if isinstance(exc, StorageError):
                raise
            raise StorageError(
                f"the local cache {self.folder} cannot be used: {cause.strerror or cause}; choose another place with "
                "ln.settings.cache_dir, or check its permissions"
            ) from exc


def _no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _name(content: Content) -> str:
    """Name a content in the cache; whatever a record says, the name leads nowhere else."""
    if not re.fullmatch("[0-9a-f]{64}", content.hash):
        raise StorageError(
            f"content is recorded with the hash {content.hash!r}, which is no SHA-256; run `prov verify`"
        )
    return content.hash + (content.suffix if _SUFFIX.fullmatch(content.suffix) else "")


def _stamp_holds(stamp_path: Path, place: Path, content_hash: str) -> bool:
    with _opened(stamp_path) as descriptor:
        stamp = read_stamp(descriptor) if descriptor is not None else None
    return stamp is not None and stamp.holds(place, content_hash)


def _is_open_as(descriptor: int, path: Path) -> bool:
    """Tell whether a path still leads to the file that is open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_read_only(path: Path) -> None:
    """Take the right to write off a file, or the files of a folder; who removes the folder needs that of the folders."""
    if path.is_dir():
        for parent, _, names in os.walk(path):
            for name in names:
                (Path(parent) / name).chmod(0o444)
    else:
        path.chmod(0o444)


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
