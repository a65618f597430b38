"""What the file system said of content when it was last read and found right, kept for whoever asks next.

The kernel sets the time of an inode's last change with every write, replacement and `chmod`, and no program can set it back. If it
says the same as before, nobody has written to the content, and a second process need not read 10 GB again. Damage below the file
system stays unseen (a medium that rots, a disk that was written to elsewhere), as does a person who rewrites the stamp as well; so
a stamp counts for a limited time, and only as far as its folder is the user's own.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from lineagelog.adapters.storage.hashing import Fingerprint, fingerprint_of, list_folder
from lineagelog.domain.errors import StorageError

VALID_FOR_S: Final = 7 * 86_400
"""After this time content is read again, which finds what happened below the file system."""


class SeenFile(NamedTuple):
    """A file as it was when its content was right.

    Attributes:
        path: Relative to the folder, empty for a content that is one file.
        size_bytes: Size.
        modified_ns: Time of the last write.
        changed_ns: Time of the last change of content or inode.
        inode: Inode number; a file that was replaced has another.
    """

    path: str
    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int


class Stamp(msgspec.Struct, frozen=True):
    """That content was right at a time.

    Attributes:
        hash: The hash it was compared with.
        checked_at: When, seconds since 1970.
        files: All files it consists of.
    """

    hash: str
    checked_at: float
    files: tuple[SeenFile, ...]

    @property
    def size_bytes(self) -> int:
        """Total size."""
        return sum(file.size_bytes for file in self.files)

    def holds(self, path: Path, expected: str) -> bool:
        """Tell whether content is what was expected, as far as can be told without reading it."""
        return (
            self.hash == expected and 0 <= time.time() - self.checked_at < VALID_FOR_S and observe(path) == self.files
        )


def observe(path: Path) -> tuple[SeenFile, ...] | None:
    """Ask the file system about a file, or all files of a folder; `None` if there is none, or something that is no content."""
    if path.is_dir():
        try:
            return tuple(_seen(member.path, member.fingerprint) for member in list_folder(path))
        except StorageError:
            return None
    fingerprint = fingerprint_of(path)
    return None if fingerprint is None else (_seen("", fingerprint),)


def read_stamp(descriptor: int) -> Stamp | None:
    """Read a stamp; `None` if it was left half written."""
    size = os.fstat(descriptor).st_size
    try:
        return msgspec.json.decode(os.pread(descriptor, size, 0), type=Stamp)
    except msgspec.MsgspecError:
        return None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write a stamp in its place, so that who holds the file open keeps it; half of one is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(stamp))


def _seen(path: str, fingerprint: Fingerprint) -> SeenFile:
    # The number of the device is left out: it may change when the machine starts anew.
    return SeenFile(path, fingerprint.size_bytes, fingerprint.modified_ns, fingerprint.changed_ns, fingerprint.inode)
