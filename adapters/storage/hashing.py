"""SHA-256 of files and folders, and the proof that they did not change while they were read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from lineagelog.adapters.storage.base import ETAG, SHA256, SHA256_FOLDER, Hashed, Progress
from lineagelog.adapters.storage.parallel import from_any_thread, in_order
from lineagelog.domain.artifact import folder_hash
from lineagelog.domain.errors import (
    ContentChangedError,
    DigestMismatchError,
    ObjectMissingError,
    StorageError,
    UnsupportedFormatError,
)

if TYPE_CHECKING:
    from lineagelog.adapters.storage.base import Storage

BLOCK_BYTES: Final = 1 << 20

# From here on hashing one block while the next is read and written pays for the second thread.
_PIPELINED_FROM_BYTES: Final = 8 * BLOCK_BYTES

# Kernels stamp files with the time of the last clock tick, at most 10 ms apart.
_TICK_NS: Final = 12_000_000

Sink = Callable[[bytes], object]


class Fingerprint(NamedTuple):
    """What the file system says of a file; two equal ones mean that nobody wrote to it in between.

    Attributes:
        size_bytes: Size.
        modified_ns: Time of the last write.
        changed_ns: Time of the last change of content or inode; unlike the one before, no program can set it.
        device: Device number.
        inode: Inode number; a file that was replaced has another.
    """

    size_bytes: int
    modified_ns: int
    changed_ns: int
    device: int
    inode: int


class Member(NamedTuple):
    """A file inside a folder.

    Attributes:
        path: Relative to the folder, with forward slashes.
        fingerprint: What the file system says of it.
    """

    path: str
    fingerprint: Fingerprint


def hash_local(path: Path, progress: Progress | None = None) -> Hashed:
    """Hash a local file or folder.

    Raises:
        ContentChangedError: It changed while it was read.
        ObjectMissingError: Nothing lies there.
        UnsupportedFormatError: It is, or holds, something other than regular files.
    """
    if path.is_dir():
        return hash_folder(path, progress=progress)
    return hash_file(path, progress=progress)[0]


def hash_file(
    path: Path, sink: Sink | None = None, *, progress: Progress | None = None, follow: bool = True
) -> tuple[Hashed, Fingerprint]:
    """Read a file once, hash it, and hand the same bytes on.

    Args:
        path: A regular file.
        sink: Given each block that was hashed.
        progress: Called as bytes are read.
        follow: Follow a symbolic link to a file.

    Raises:
        ContentChangedError: It changed while it was read.
        ObjectMissingError: There is no such file.
        UnsupportedFormatError: It is not a regular file.
    """
    digest = hashlib.sha256()
    size = 0
    with _opened(path, follow=follow) as descriptor, ExitStack() as stack:
        before = _fingerprint(os.fstat(descriptor))
        update: Sink = digest.update
        if before.size_bytes >= _PIPELINED_FROM_BYTES:
            update = stack.enter_context(in_background(digest.update))
        while block := _read(descriptor, path):
            update(block)
            size += len(block)
            if size > before.size_bytes:
                # A file that grows as fast as it is read would never end.
                raise changed(path)
            if sink is not None:
                sink(block)
            if progress is not None:
                progress(len(block))
        after = _fingerprint(os.fstat(descriptor))
    # The name may lead to another file by now, while the open one rests unchanged.
    if not (before == after == fingerprint_of(path, follow=follow)) or size != after.size_bytes:
        raise changed(path)
    return Hashed(size, digest.hexdigest()), after


def hash_folder(
    folder: Path,
    open_sink: Callable[[str], AbstractContextManager[Sink]] | None = None,
    *,
    progress: Progress | None = None,
) -> Hashed:
    """Read each file of a folder once, several at a time, and hash the listing.

    Args:
        folder: The folder.
        open_sink: Called with the relative path of each file, in several threads; opens what is given its blocks.
        progress: Called as bytes are read.

    Raises:
        ContentChangedError: Something in it changed, came or went while it was read.
        ObjectMissingError: There is no such folder.
        UnsupportedFormatError: It holds a link or a special file, or no file at all.
    """
    before = list_folder(folder)
    if not before:
        raise nothing_in(folder)
    report = from_any_thread(progress)

    def read(member: Member) -> tuple[str, int, str]:
        with open_sink(member.path) if open_sink is not None else nullcontext() as sink:
            hashed = hash_member(folder, member, sink, progress=report)
        return member.path, hashed.size_bytes, hashed.hash

    listing = list(in_order(read, before))
    if list_folder(folder) != before:
        raise changed(folder)
    return hashed_listing(listing)


def hash_member(folder: Path, member: Member, sink: Sink | None = None, *, progress: Progress | None = None) -> Hashed:
    """Read a file of a folder once, hash it, and hand the same bytes on.

    Raises:
        ContentChangedError: It is not, or no longer, the one that was listed.
    """
    try:
        hashed, seen = hash_file(folder / member.path, sink, progress=progress, follow=False)
    except ObjectMissingError as exc:
        raise changed(folder) from exc
    if seen != member.fingerprint:
        raise changed(folder)
    return hashed


@contextmanager
def in_background(update: Sink) -> Iterator[Sink]:
    """Hash in another thread: each call returns while its block is being hashed; at the end all of them are."""
    pending: list[Future[object]] = []
    alone = False

    def update_next(block: bytes) -> None:
        nonlocal alone
        # One block behind at most, so that memory stays bounded and the order holds.
        if pending:
            pending.pop().result()
        if not alone:
            try:
                pending.append(pool.submit(update, block))
                return
            except RuntimeError:
                # No thread begins once the interpreter is ending, when the log of a script is saved.
                alone = True
        update(block)

    with ThreadPoolExecutor(1, thread_name_prefix="lineagelog-hash") as pool:
        yield update_next
        if pending:
            pending.pop().result()


def hashed_listing(listing: list[tuple[str, int, str]]) -> Hashed:
    """Make the hash of a folder from relative path, size and SHA-256 of each file."""
    return Hashed(sum(size for _, size, _ in listing), folder_hash(listing), SHA256_FOLDER, len(listing))


def list_folder(folder: Path, *, skip: str | None = None) -> list[Member]:
    """List the files of a folder and of the folders in it, sorted by path.

    Args:
        folder: The folder.
        skip: Name of folders in it that are passed over.

    Raises:
        ObjectMissingError: There is no such folder.
        UnsupportedFormatError: It holds a link, a special file, or a name that is not Unicode.
    """
    members: list[Member] = []
    pending = [("", folder)]
    while pending:
        prefix, current = pending.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    path = f"{prefix}{entry.name}"
                    if entry.name == skip:
                        continue
                    if entry.is_symlink():
                        raise UnsupportedFormatError(
                            f"the folder {folder} holds the symbolic link {path!r}, which is not saved: a link is not "
                            "content; replace it by what it points to, or remove it"
                        )
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((f"{path}/", Path(entry.path)))
                        continue
                    if not entry.is_file(follow_symlinks=False):
                        raise not_regular(Path(entry.path))
                    _check_unicode(path, folder)
                    members.append(Member(path, _fingerprint(entry.stat(follow_symlinks=False))))
        except FileNotFoundError as exc:
            if current == folder:
                raise missing(folder) from exc
            raise changed(folder) from exc
        except OSError as exc:
            raise StorageError(
                f"the folder {current} cannot be read: {exc.strerror or exc}; check its permissions"
            ) from exc
    return sorted(members, key=lambda member: member.path.encode())


def fingerprint_of(path: Path, *, follow: bool = True) -> Fingerprint | None:
    """Ask the file system about a path; `None` if nothing lies there."""
    try:
        return _fingerprint(os.stat(path, follow_symlinks=follow))  # noqa: PTH116 - the descriptor's twin above is os.fstat
    except OSError:
        return None


def wait_for_next_tick(path: Path) -> None:
    """Wait until a later write to a file, or to one in a folder, must show in its time stamp.

    A file written in the present tick of the kernel's clock could be written again in the same tick, and would look
    untouched. The wait is at most 12 ms, and none for a file that is older.
    """
    if path.is_dir():
        stamps = [member.fingerprint.changed_ns for member in list_folder(path)]
    else:
        stamp = fingerprint_of(path)
        stamps = [] if stamp is None else [stamp.changed_ns]
    if stamps:
        age = time.time_ns() - max(stamps)
        if 0 <= age < _TICK_NS:
            time.sleep((_TICK_NS - age) / 1e9)


def verify(
    storage: Storage, path: str, expected: str, hash_type: str = SHA256, progress: Progress | None = None
) -> Hashed:
    """Read a stored object again and compare it with what was recorded.

    Args:
        storage: Where it lies.
        path: The object, relative to the root.
        expected: Recorded hash.
        hash_type: `sha256`, `sha256-folder` or `etag`.
        progress: Called as bytes are read.

    Returns:
        What was found. A `hash_type` of `etag` says that no bytes were compared: none were read when it was recorded.

    Raises:
        DigestMismatchError: The content is another.
        ObjectMissingError: Nothing lies there.
        UnsupportedFormatError: Hashes of this type cannot be checked.
    """
    if hash_type not in (SHA256, SHA256_FOLDER, ETAG):
        raise UnsupportedFormatError(
            f"{storage.url(path)} was recorded with a hash of type {hash_type!r}, which this version cannot check; "
            f"it knows {SHA256}, {SHA256_FOLDER} and {ETAG}: update lineagelog"
        )
    if hash_type == ETAG:
        found = storage.vouched_hash(path)
    else:
        found = storage.hash_in_place(path, progress)
        if found.hash != expected and storage.local_path(path) is None:
            # A byte may have flipped on the way; what is stored is accused only if it differs twice.
            found = storage.hash_in_place(path, progress)
    if (found.hash, found.hash_type) != (expected, hash_type):
        raise DigestMismatchError(storage.url(path), expected, found.hash)
    return found


def changed(path: Path) -> ContentChangedError:
    """Say that a path changed while it was read."""
    return ContentChangedError(
        f"{path} changed while it was being read, so nothing was saved; wait until its writer is done and try again"
    )


def missing(path: Path | str) -> ObjectMissingError:
    """Say that nothing lies at a path."""
    return ObjectMissingError(f"{path} does not exist; check the path")


def nothing_in(folder: Path) -> UnsupportedFormatError:
    """Say that a folder has no content."""
    return UnsupportedFormatError(f"the folder {folder} holds no files, so there is nothing to save; add a file first")


def not_regular(path: Path) -> UnsupportedFormatError:
    """Say that a path is something that has no content of its own."""
    return UnsupportedFormatError(
        f"{path} is neither a file nor a folder but a link, pipe, socket or device, which cannot be saved; "
        "write its content to a file first"
    )


@contextmanager
def _opened(path: Path, *, follow: bool) -> Iterator[int]:
    # O_NONBLOCK keeps the opening of a pipe from waiting for a writer that may never come.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as exc:
        raise missing(path) from exc
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            raise not_regular(path) from exc
        raise StorageError(f"{path} cannot be read: {exc.strerror or exc}; check its permissions") from exc
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise not_regular(path)
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path) -> bytes:
    try:
        return os.read(descriptor, BLOCK_BYTES)
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror or exc}; check the disk") from exc


def _fingerprint(status: os.stat_result) -> Fingerprint:
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)


def _check_unicode(path: str, folder: Path) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as exc:
        raise UnsupportedFormatError(
            f"the folder {folder} holds a file whose name is not Unicode: {path!r}; rename it"
        ) from exc
