"""What every storage location promises: content is put whole or not at all, never over other content, and read back by hash.

Saving takes two steps. `stage_file` reads the source once and answers with its hash, while the bytes are not yet anywhere a
reader looks; `Staged.commit` gives them their name, exclusively and durably. Between the two the caller may find that the content
is known already, and `discard` it. A writer that is killed leaves a temporary name or an orphan, never half an object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self, TypeAlias

from lineagelog.domain.errors import InvalidValueError, UnsupportedFormatError

SHA256: Final = "sha256"
SHA256_FOLDER: Final = "sha256-folder"
ETAG: Final = "etag"

OWN_FOLDER: Final = ".lineagelog"
"""Folder under a root that is written by this software only."""

Progress: TypeAlias = Callable[[int], object]
"""Called with the number of bytes done since the last call."""


class Hashed(NamedTuple):
    """What is known of a content.

    Attributes:
        size_bytes: Total size.
        hash: 64 hexadecimal characters: SHA-256 of a file, `folder_hash` of a folder, or `etag_hash` of a remote object
            that nobody has read. No two kinds can be equal.
        hash_type: `sha256`, `sha256-folder` or `etag`.
        n_files: Number of files of a folder, `None` for a file.
    """

    size_bytes: int
    hash: str
    hash_type: str = SHA256
    n_files: int | None = None


class StoredObject(NamedTuple):
    """What a location says of something that lies in it, without reading it.

    Attributes:
        path: Relative to the root.
        size_bytes: Size; of a folder, of all files in it.
        modified_at: Last write, UTC; of a folder, the latest one in it. `None` where the location does not say.
        is_folder: It is a folder.
    """

    path: str
    size_bytes: int
    modified_at: datetime | None
    is_folder: bool


class Staged(AbstractContextManager["Staged"]):
    """Content that has been read and hashed, and waits for its name. Leaving the `with` block discards what was not committed.

    Attributes:
        hashed: Size and hash of the content.
        committed: It has got its name.
    """

    def __init__(self, hashed: Hashed) -> None:
        self.hashed = hashed
        self.committed = False

    @property
    def size_bytes(self) -> int:
        """Total size."""
        return self.hashed.size_bytes

    @property
    def hash(self) -> str:
        """Hash of the content, 64 hexadecimal characters."""
        return self.hashed.hash

    @property
    def hash_type(self) -> str:
        """`sha256` or `sha256-folder`."""
        return self.hashed.hash_type

    @property
    def n_files(self) -> int | None:
        """Number of files of a folder, `None` for a file."""
        return self.hashed.n_files

    @abstractmethod
    def commit(self, path: str, progress: Progress | None = None) -> None:
        """Give the content its name; when this returns, a power cut cannot take it away.

        Args:
            path: Where it goes, relative to the root.
            progress: Called as bytes are sent to another machine.

        Raises:
            ContentChangedError: The source is no longer what was hashed.
            ObjectExistsError: Something lies at this path; it was not touched.
            StorageError: The location could not take it.
        """

    @abstractmethod
    def discard(self) -> None:
        """Remove what was staged; does nothing after `commit`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()


class Storage(ABC):
    """A root under which artifacts lie. All paths are relative to it, with forward slashes and without `..`.

    Attributes:
        root: Absolute local path, or URL without credentials.
        type: `local`, or the protocol of the URL: `s3`, `gs`, `memory`, ….
        options: What another program of fsspec needs beside the URL to reach it; no credentials.
    """

    root: str
    type: str
    options: Mapping[str, Any] = {}

    @abstractmethod
    def stage_file(self, source: Path, progress: Progress | None = None) -> Staged:
        """Read and hash a local file.

        The source must stay as it is until `commit`: a remote location uploads from it.

        Args:
            source: A regular file; a symbolic link to one is followed.
            progress: Called as bytes are read.

        Raises:
            ContentChangedError: It changed while it was read.
            ObjectMissingError: There is no such file.
            UnsupportedFormatError: It is not a regular file.
        """

    @abstractmethod
    def stage_folder(self, source: Path, progress: Progress | None = None) -> Staged:
        """Read and hash a local folder with all its files. Empty folders are no content and are left out.

        Args:
            source: The folder. It may hold regular files and folders only: a symbolic link inside it, wherever it
                points, would make the content depend on what is not in the folder.
            progress: Called as bytes are read.

        Raises:
            ContentChangedError: It changed while it was read.
            ObjectMissingError: There is no such folder.
            UnsupportedFormatError: It holds a link or a special file, or no file at all.
        """

    def commit_all(self, staged: Sequence[tuple[Staged, str]], progress: Progress | None = None) -> None:
        """Commit several contents at a lower cost than one by one; when this returns, all have their names durably.

        After an error some may have got their names; `Staged.committed` tells which.

        Args:
            staged: Contents that were staged here, with the path of each.
            progress: Called as bytes are sent to another machine.
        """
        for content, path in staged:
            content.commit(path, progress)

    def put_file(self, source: Path, path: str, progress: Progress | None = None) -> Hashed:
        """Stage a file and commit it at once."""
        with self.stage_file(source, progress) as staged:
            staged.commit(path)
            return staged.hashed

    def put_folder(self, source: Path, path: str, progress: Progress | None = None) -> Hashed:
        """Stage a folder and commit it at once."""
        with self.stage_folder(source, progress) as staged:
            staged.commit(path)
            return staged.hashed

    @abstractmethod
    def hash_in_place(self, path: str, progress: Progress | None = None) -> Hashed:
        """Hash a file or folder that lies under the root.

        Raises:
            ContentChangedError: It changed while it was read.
            ObjectMissingError: Nothing lies there.
            UnsupportedFormatError: It is, or holds, something other than regular files.
        """

    def vouched_hash(self, path: str) -> Hashed:
        """Ask what the location itself says of an object, without reading it.

        Returns:
            Its SHA-256 where the location keeps one of all its bytes, else a hash of type `etag`: it is another one as
            soon as the object is another one, but says nothing of its bytes.

        Raises:
            ObjectMissingError: No file lies there.
            UnsupportedFormatError: The location says nothing of the kind; `hash_in_place` reads the content instead.
        """
        raise UnsupportedFormatError(
            f"{self.url(path)} has no checksum that its location vouches for; save it without checksum='server', so that "
            "it is read"
        )

    @abstractmethod
    def open_binary(self, path: str) -> BinaryIO:
        """Open a stored file for reading.

        Raises:
            ObjectMissingError: No file lies there.
        """

    @abstractmethod
    def fetch(
        self, path: str, destination: Path, *, expected: str | None = None, progress: Progress | None = None
    ) -> Hashed:
        """Copy a stored file or folder to a local path, whole or not at all; what lies there is replaced.

        Args:
            path: The stored object.
            destination: Where the copy goes; its parent folders are made.
            expected: Recorded hash of the content; a copy that differs is thrown away.
            progress: Called as bytes arrive.

        Raises:
            DigestMismatchError: The content is not the expected one.
            ObjectMissingError: Nothing lies at `path`.
        """

    @abstractmethod
    def local_path(self, path: str) -> Path | None:
        """Return the real path of an object, or `None` where the location is remote."""

    @abstractmethod
    def in_file_system(self, path: str) -> tuple[Any, str]:
        """Return a file system of fsspec that holds an object, and the object's path in it, for readers that want parts of it."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Tell whether a file or folder lies at a path."""

    @abstractmethod
    def stat(self, path: str) -> StoredObject | None:
        """Say what lies at a path without reading it; `None` if nothing does, or a folder without a file."""

    @abstractmethod
    def is_folder(self, path: str) -> bool:
        """Tell whether a folder lies at a path."""

    @abstractmethod
    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """List what lies directly in a folder, in no particular order; nothing if there is no such folder.

        Each file directly in it is one object, and each folder directly in it is one object, whatever it holds: a
        folder artifact is listed once, with the size of all its files. Folders that hold no file are not listed.

        Args:
            prefix: The folder, such as `.lineagelog/objects`.

        Raises:
            UnsupportedFormatError: Locations of this type cannot be listed.
        """

    @abstractmethod
    def list_files(self, path: str | None = None) -> Iterator[StoredObject]:
        """List all files in a folder and in the folders in it, in no particular order; nothing if there is no such folder.

        Args:
            path: The folder, the root by default.

        Raises:
            UnsupportedFormatError: Locations of this type cannot be listed.
        """

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file or folder; it is no error if nothing lies there."""

    @abstractmethod
    def relative(self, path_or_url: str | Path) -> str | None:
        """Return the path relative to the root of something that lies under it, else `None`.

        Links and `..` are resolved first, so that what only seems to lie under the root does not count. The
        root itself does not count either.
        """

    @abstractmethod
    def url(self, path: str) -> str:
        """Return the address of an object: a `file://` or other URL without credentials."""

    @abstractmethod
    def clean_leftovers(self, older_than_s: float = 86_400.0) -> int:
        """Remove what killed writers left under temporary names.

        Args:
            older_than_s: Leave alone what was written to within this time, seconds: its writer may be alive.

        Returns:
            Number of names removed.
        """


def etag_hash(url: str, size_bytes: int, etag: str) -> Hashed:
    """Make a hash of the mark by which a server tells versions of an object apart.

    The address is part of it: two servers may give one mark to different contents.
    """
    import hashlib
    import json

    text = f"{ETAG}\n{json.dumps(url)}\n{size_bytes}\n{json.dumps(etag)}\n"
    return Hashed(size_bytes, hashlib.sha256(text.encode()).hexdigest(), ETAG)


def check_path(path: str) -> str:
    """Accept a path relative to a root.

    Raises:
        InvalidValueError: Absolute, empty, or with an empty, `.` or `..` part, a backslash or a control character.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or any(ord(sign) < 32 for sign in path):
        raise InvalidValueError(
            "the storage path",
            f"{path!r} must be relative to the storage root, with forward slashes and without '.' or '..' parts",
        )
    return path


def chunks(stream: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    """Read a stream block by block."""
    while block := stream.read(block_bytes):
        yield block
