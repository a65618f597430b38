"""Storage on a local disk: copy and hash in one pass, then fsync and an exclusive move to the final name.

Staged bytes lie in `.lineagelog-staging` under the root, on the same file system as their final name, so that the move is one
step of the file system. Crash points: before the move a leftover stays in that folder (`clean_leftovers`); after it the object is
whole and durable, though perhaps known to nobody yet. The bytes are brought to the medium by the commit, many files at once: a
file system writes the journal once for all that wait at the same time, and what is discarded never pays for it.

Stored files are read-only, so that nobody who was given the path of one changes it by mistake.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote

from lineagelog.adapters.storage.base import Hashed, Progress, Staged, Storage, StoredObject, check_path
from lineagelog.adapters.storage.hashing import (
    Sink,
    hash_file,
    hash_folder,
    hash_local,
    list_folder,
    missing,
    wait_for_next_tick,
)
from lineagelog.adapters.storage.parallel import in_order
from lineagelog.domain.errors import (
    DigestMismatchError,
    InvalidValueError,
    LineageLogError,
    ObjectExistsError,
    ObjectMissingError,
    StorageError,
)

STAGING: Final = ".lineagelog-staging"
_READ_ONLY: Final = 0o444


class LocalStorage(Storage):
    """A folder on a disk of this machine."""

    type = "local"

    def __init__(self, root: str) -> None:
        """Name the folder; it is made when something is first put into it.

        Args:
            root: Absolute path without links, as `normalise_root` gives it.
        """
        self.root = root
        self._root = Path(root)

    def stage_file(self, source: Path, progress: Progress | None = None) -> Staged:
        """Copy and hash a file in one pass; what was hashed is what was copied."""
        temporary = self._temporary_name(source)
        try:
            with open_sink(temporary, mode=_READ_ONLY, name=self.name) as write:
                hashed, _ = hash_file(source, write, progress=progress)
        except BaseException:
            _remove(temporary)
            raise
        return _StagedLocally(self, temporary, hashed)

    def stage_folder(self, source: Path, progress: Progress | None = None) -> Staged:
        """Copy and hash a folder in one pass."""
        if self._root.is_relative_to(source.resolve()):
            raise StorageError(
                f"the folder {source} holds the storage location {self.root} itself; save a folder outside of it, or "
                "parts of it one by one"
            )
        temporary = self._temporary_name(source)
        try:
            hashed = _copy_folder(source, temporary, progress, mode=_READ_ONLY, name=self.name)
        except BaseException:
            _remove(temporary)
            raise
        return _StagedLocally(self, temporary, hashed)

    def hash_in_place(self, path: str, progress: Progress | None = None) -> Hashed:
        """Hash a file or folder under the root."""
        place = self._place(path)
        wait_for_next_tick(place)
        return hash_local(place, progress)

    def open_binary(self, path: str) -> BinaryIO:
        """Open a stored file for reading."""
        place = self._place(path)
        if place.is_dir():
            raise not_a_file(str(place))
        try:
            return place.open("rb")
        except FileNotFoundError as exc:
            raise missing(place) from exc
        except OSError as exc:
            raise _failed(f"{place} cannot be opened", exc) from exc

    def fetch(
        self, path: str, destination: Path, *, expected: str | None = None, progress: Progress | None = None
    ) -> Hashed:
        """Copy a stored file or folder to a local path."""
        place = self._place(path)
        with replacing(destination) as temporary:
            if place.is_dir():
                hashed = _copy_folder(place, temporary, progress)
            else:
                with open_sink(temporary) as write:
                    hashed, _ = hash_file(place, write, progress=progress)
            if expected is not None and hashed.hash != expected:
                raise DigestMismatchError(self.url(path), expected, hashed.hash)
            sync_trees([temporary])
        return hashed

    def local_path(self, path: str) -> Path:
        """Return the real path of an object."""
        return self._place(path)

    def in_file_system(self, path: str) -> tuple[Any, str]:
        """Return the local file system, and the absolute path."""
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem(), str(self._place(path))

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder lies at a path."""
        return self._place(path).exists()

    def stat(self, path: str) -> StoredObject | None:
        """Say what lies at a path without reading it."""
        return _listed(path, self._place(path))

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder lies at a path."""
        return self._place(path).is_dir()

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """List what lies directly in a folder."""
        folder = self._place(prefix)
        try:
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise _failed(f"{folder} cannot be listed", exc) from exc
        with entries:
            for entry in entries:
                if f"{prefix}/{entry.name}" == STAGING:
                    continue
                listed = _listed(f"{prefix}/{entry.name}", Path(entry.path))
                if listed is not None:
                    yield listed

    def list_files(self, path: str | None = None) -> Iterator[StoredObject]:
        """List all files in a folder."""
        place = self._place(path) if path is not None else self._root
        if place.is_dir():
            for member in list_folder(place):
                seen = member.fingerprint
                modified = datetime.fromtimestamp(seen.modified_ns / 1e9, UTC)
                full = member.path if path is None else f"{path}/{member.path}"
                if not full.startswith(f"{STAGING}/"):
                    yield StoredObject(full, seen.size_bytes, modified, False)

    def delete(self, path: str) -> None:
        """Remove a file or folder, and make the removal durable."""
        place = self._place(path)
        try:
            _remove(place)
            if place.parent.is_dir():
                sync_folder(place.parent)
        except OSError as exc:
            raise _failed(f"{place} cannot be removed", exc) from exc

    def relative(self, path_or_url: str | Path) -> str | None:
        """Return the path relative to the root of something that lies under it, else `None`."""
        text = os.fspath(path_or_url)
        if text.startswith("file://"):
            text = unquote(text.removeprefix("file://"))
        elif "://" in text:
            return None
        place = Path(text).expanduser().resolve()
        if place == self._root or not place.is_relative_to(self._root):
            return None
        path = place.relative_to(self._root).as_posix()
        return None if path.split("/")[0] == STAGING else path

    def url(self, path: str) -> str:
        """Return the `file://` URL of an object."""
        return (self._root / check_path(path)).as_uri()

    def clean_leftovers(self, older_than_s: float = 86_400.0) -> int:
        """Remove what killed writers left in the staging folder."""
        limit = time.time() - older_than_s
        n_removed = 0
        with suppress(FileNotFoundError):
            for leftover in list((self._root / STAGING).iterdir()):
                if _last_written(leftover) <= limit:
                    _remove(leftover)
                    n_removed += 1
        return n_removed

    def commit_all(
        self,
        staged: Sequence[tuple[Staged, str]],
        progress: Progress | None = None,  # noqa: ARG002 - what was staged is on this disk already
    ) -> None:
        """Bring all contents to the medium, move each to its name, then bring the names to the medium."""
        contents = [(content, path) for content, path in staged if isinstance(content, _StagedLocally)]
        if len(contents) != len(staged):
            raise TypeError("only what was staged by this location can be committed to it")
        places = {path: self._place_for(path) for _, path in contents}
        folders = {place.parent for place in places.values()}
        try:
            sync_trees([content.temporary() for content, _ in contents])
        except StorageError as exc:
            if all(content.temporary().exists() for content, _ in contents):
                raise
            raise self.swept_away() from exc
        try:
            for folder in folders:
                _make_folders(folder)
            for content, path in contents:
                content.move_to(places[path])
            for folder in folders:
                sync_folder(folder)
        except OSError as exc:
            if isinstance(exc, LineageLogError):
                raise
            raise _failed(f"{self.name} cannot be written", exc) from exc

    def swept_away(self) -> ObjectMissingError:
        """Say that somebody has removed what was staged."""
        return ObjectMissingError(
            f"what was copied to {self.name} was removed before it got its name, as by a collection of orphans that spared it for "
            "too short a time; nothing was registered: save it again"
        )

    @property
    def name(self) -> str:
        """What it is called in messages, in place of paths made of ids, which say nothing to anybody."""
        return f"the storage location {self.root}"

    def _place_for(self, path: str) -> Path:
        """Find the real place of a path that is to be written."""
        place = self._place(check_path(path))
        if path.split("/")[0] == STAGING:
            raise InvalidValueError(
                "the storage path", f"{path!r} lies where unfinished writes are kept; choose another"
            )
        return place

    def _temporary_name(self, source: Path) -> Path:
        if not source.exists():
            # Told before anything is made on the disk.
            raise missing(source)
        staging = self._root / STAGING
        try:
            _make_folders(staging)
        except OSError as exc:
            raise _failed(f"{self.name} cannot be written", exc) from exc
        return staging / f"{os.getpid()}-{secrets.token_hex(8)}"

    def _place(self, path: str) -> Path:
        """Find the real place of a path, and make sure that no link leads out of the root.

        Raises:
            InvalidValueError: The path is not relative to the root.
            StorageError: It leads out of the root.
        """
        place = (self._root / check_path(path)).resolve()
        if not place.is_relative_to(self._root):
            raise StorageError(
                f"{path!r} leads out of the storage location {self.root} through a symbolic link, to {place}; "
                "remove the link, or register that folder as a storage location"
            )
        return place


class _StagedLocally(Staged):
    def __init__(self, storage: LocalStorage, temporary: Path, hashed: Hashed) -> None:
        super().__init__(hashed)
        self._storage = storage
        self._temporary: Path | None = temporary

    def commit(self, path: str, progress: Progress | None = None) -> None:
        self._storage.commit_all([(self, path)], progress)

    def discard(self) -> None:
        if self._temporary is not None:
            _remove(self._temporary)
            self._temporary = None

    def temporary(self) -> Path:
        """Return where the content lies until it is committed."""
        if self._temporary is None:
            raise RuntimeError("what was staged has been committed or discarded already; stage it again")
        return self._temporary

    def move_to(self, place: Path) -> None:
        """Give the content its final name, exclusively; the name is not durable yet."""
        temporary = self.temporary()
        try:
            if temporary.is_dir():
                _move_folder(temporary, place)
            else:
                _move_file(temporary, place)
        except FileExistsError as exc:
            raise ObjectExistsError(
                f"something lies at {place} already and was left as it is; choose another path, or delete it first"
            ) from exc
        except OSError as exc:
            if isinstance(exc, FileNotFoundError) and not temporary.exists():
                raise self._storage.swept_away() from exc
            raise _failed(f"{self._storage.name} cannot be written", exc) from exc
        self._temporary = None
        self.committed = True


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Give a temporary name beside a destination, and move what was written there to the destination at the end.

    Raises:
        StorageError: The destination cannot be written.
    """
    temporary = destination.with_name(f".{destination.name[:60]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    aside = temporary.with_suffix(".old")
    try:
        _make_folders(destination.parent)
        yield temporary
        if destination.is_dir():
            # No rename replaces a folder that holds something, so it steps aside first.
            destination.rename(aside)
        try:
            temporary.rename(destination)
        except OSError:
            if aside.exists():
                aside.rename(destination)
            raise
        sync_folder(destination.parent)
    except LineageLogError:
        raise
    except OSError as exc:
        raise _failed(f"{destination} cannot be written", exc) from exc
    finally:
        _remove(temporary)
        _remove(aside)


def sync_file(descriptor: int) -> None:
    """Bring the bytes of an open file to the medium."""
    if sys.platform == "darwin":
        # On macOS fsync stops at the drive's cache.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_trees(paths: Iterable[Path]) -> None:
    """Bring files, and folders with all that is in them, to the medium."""

    def sync(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)

    def members() -> Iterator[Path]:
        for path in paths:
            yield path
            if path.is_dir():
                yield from path.rglob("*")

    try:
        for _ in in_order(sync, members()):
            pass
    except OSError as exc:
        raise _failed("the content cannot be brought to the disk", exc) from exc


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the medium; without this a new file may be nameless after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def not_a_file(name: str) -> ObjectMissingError:
    """Say that a folder lies where a file was to be opened."""
    return ObjectMissingError(f"{name} is a folder, not a file; use cache() and open the files in it")


@contextmanager
def open_sink(path: Path, *, mode: int = 0o666, name: str | None = None) -> Iterator[Sink]:
    """Open a new file for writing; `sync_trees` brings it to the medium.

    Args:
        path: The file.
        mode: Its permissions, less those that the process's mask takes away.
        name: What people call the place that is written, its path by default.
    """
    failure = f"{name or path} cannot be written"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as exc:
        raise _failed(failure, exc) from exc

    def write(block: bytes) -> None:
        try:
            view = memoryview(block)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as exc:
            raise _failed(failure, exc) from exc

    try:
        yield write
    finally:
        os.close(descriptor)


def _copy_folder(
    source: Path, target: Path, progress: Progress | None, *, mode: int = 0o666, name: str | None = None
) -> Hashed:
    """Copy a folder file by file, and hash it."""

    def sink_for(path: str) -> AbstractContextManager[Sink]:
        place = target / path
        if "/" in path:
            place.parent.mkdir(parents=True, exist_ok=True)
        return open_sink(place, mode=mode, name=name)

    try:
        target.mkdir()
        hashed = hash_folder(source, sink_for, progress=progress)
    except LineageLogError:
        raise
    except OSError as exc:
        raise _failed(f"the folder {source} cannot be copied to {name or target}", exc) from exc
    return hashed


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, and make their names durable."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        sync_folder(folder.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file lies where a folder is needed", str(folder))


def _move_file(temporary: Path, place: Path) -> None:
    """Give a file its final name; a name that is taken is an error, unlike with `rename`."""
    try:
        os.link(temporary, place, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # No hard links on this file system: an empty file claims the name, and is replaced by the content.
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        temporary.replace(place)
    else:
        temporary.unlink()


def _move_folder(temporary: Path, place: Path) -> None:
    """Give a folder its final name: an empty folder claims it, and a rename may replace that one only while it is empty."""
    place.mkdir()
    try:
        temporary.rename(place)
    except OSError:
        with suppress(OSError):
            place.rmdir()
        raise


def _listed(path: str, place: Path) -> StoredObject | None:
    """Say what lies at a place; `None` if it is gone by now, or a folder without a file."""
    try:
        if not place.is_dir() or place.is_symlink():
            status = place.lstat()
            return StoredObject(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC), False)
        size, latest = 0, None
        for parent, _, names in os.walk(place):
            for name in names:
                status = (Path(parent) / name).lstat()
                size += status.st_size
                latest = max(latest or 0.0, status.st_mtime)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise _failed(f"{place} cannot be listed", exc) from exc
    if latest is None:
        return None
    return StoredObject(path, size, datetime.fromtimestamp(latest, UTC), True)


def _last_written(path: Path) -> float:
    """Return when a staged file, or anything in a staged folder, was last written; now if it is just being moved."""
    try:
        latest = path.lstat().st_mtime
        if path.is_dir():
            for member in path.rglob("*"):
                latest = max(latest, member.lstat().st_mtime)
    except FileNotFoundError:
        return time.time()
    return latest


def _remove(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _failed(what: str, exc: OSError) -> StorageError:
    return StorageError(f"{what}: {exc.strerror or exc}; check permissions and free space, then try again")
