"""Storage behind a URL, through fsspec: hash the local source, upload under the final name, read it back before it counts.

An upload is not trusted: servers accept wrong checksums, and the source may change after it was hashed. Each object is read back
in full and its SHA-256 compared; what differs is removed again. Objects appear under their name only when the upload is
complete, and a name that is taken is refused (on S3 by `If-None-Match: *`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from lineagelog.adapters.storage.base import Hashed, Progress, Staged, Storage, StoredObject, check_path, chunks
from lineagelog.adapters.storage.hashing import (
    BLOCK_BYTES,
    Fingerprint,
    Member,
    Sink,
    changed,
    fingerprint_of,
    hash_file,
    hashed_listing,
    list_folder,
    missing,
    nothing_in,
)
from lineagelog.adapters.storage.local import not_a_file, open_sink, replacing
from lineagelog.domain.errors import (
    DigestMismatchError,
    LineageLogError,
    ObjectExistsError,
    StorageError,
    StoreReadOnlyError,
    UnsupportedFormatError,
)

_EXTRAS: Final = {"s3": "lineagelog[s3]", "gs": "lineagelog[gcs]"}
_WITH_FOLDERS: Final = frozenset({"sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "dbfs"})


class _Source(NamedTuple):
    """A local file on its way to the location.

    Attributes:
        source: The file.
        path: Relative path inside the folder that is uploaded; empty for a single file.
        hashed: Its size and hash.
        fingerprint: What the file system said of it when it was hashed.
    """

    source: Path
    path: str
    hashed: Hashed
    fingerprint: Fingerprint


class RemoteStorage(Storage):
    """A bucket, or a part of one, or another location that fsspec reaches."""

    def __init__(self, root: str, kind: str, *, options: Mapping[str, Any] | None = None) -> None:
        """Prepare the file system; nothing is asked of the server yet.

        Args:
            root: URL in the form that `normalise_root` gives.
            kind: Protocol.
            options: Passed on to the file system.

        Raises:
            StorageError: The package for this protocol is missing, or it is unknown.
        """
        import fsspec

        self.root = root
        self.type = kind
        try:
            self._fs, self._base = fsspec.core.url_to_fs(root, **(options or {}))
        except ImportError as exc:
            raise StorageError(
                f"storage at {kind}:// needs a package that is not installed ({exc}); "
                f"install it with `pip install '{_EXTRAS.get(kind, 'the package named there')}'`"
            ) from exc
        except ValueError as exc:
            raise StorageError(
                f"storage at {root} cannot be used: {exc}; give a local path or a URL such as s3://bucket/prefix"
            ) from exc
        self._base = self._base.rstrip("/")

    def stage_file(self, source: Path, progress: Progress | None = None) -> Staged:
        """Hash a local file; the upload is `commit`."""
        hashed, fingerprint = hash_file(source, progress=progress)
        return _StagedForUpload(self, hashed, [_Source(source, "", hashed, fingerprint)], None)

    def stage_folder(self, source: Path, progress: Progress | None = None) -> Staged:
        """Hash a local folder; the upload is `commit`."""
        listed = list_folder(source)
        if not listed:
            raise nothing_in(source)
        members = []
        for path, fingerprint in listed:
            hashed, seen = hash_file(source / path, progress=progress, follow=False)
            if seen != fingerprint:
                raise changed(source)
            members.append(_Source(source / path, path, hashed, fingerprint))
        if list_folder(source) != listed:
            raise changed(source)
        listing = hashed_listing([(member.path, member.hashed.size_bytes, member.hashed.hash) for member in members])
        return _StagedForUpload(self, listing, members, source)

    def hash_in_place(self, path: str, progress: Progress | None = None) -> Hashed:
        """Read and hash a stored file or folder."""
        if not self.is_folder(path):
            return self._hash_object(path, None, progress)
        return hashed_listing(
            [(name, *self._hash_object(f"{path}/{name}", None, progress)[:2]) for name in self._names(path)]
        )

    def open_binary(self, path: str) -> BinaryIO:
        """Open a stored file for reading; blocks are fetched as they are read."""
        if self.is_folder(path):
            raise not_a_file(self.url(path))
        with self._translated(path):
            return cast("BinaryIO", self._fs.open(self._key(path), "rb"))

    def fetch(
        self, path: str, destination: Path, *, expected: str | None = None, progress: Progress | None = None
    ) -> Hashed:
        """Download a stored file or folder."""
        with replacing(destination) as temporary:
            if self.is_folder(path):
                listing = []
                for name in self._names(path):
                    place = temporary / name
                    if not place.resolve().is_relative_to(temporary.resolve()):
                        raise StorageError(f"{self.url(path)} holds the name {name!r}, which leads out of the folder")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with open_sink(place) as write:
                        part = self._hash_object(f"{path}/{name}", write, progress)
                    listing.append((name, part.size_bytes, part.hash))
                hashed = hashed_listing(listing)
            else:
                with open_sink(temporary) as write:
                    hashed = self._hash_object(path, write, progress)
            if expected is not None and hashed.hash != expected:
                raise DigestMismatchError(self.url(path), expected, hashed.hash)
        return hashed

    def local_path(self, path: str) -> Path | None:
        """Return `None`: there is no local path."""
        check_path(path)
        return None

    def exists(self, path: str) -> bool:
        """Tell whether an object lies at a path or under it."""
        with self._translated(path):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._key(path)))

    def is_folder(self, path: str) -> bool:
        """Tell whether objects lie under a path."""
        with self._translated(path):
            self._fs.invalidate_cache()
            return bool(self._fs.isdir(self._key(path)))

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """List what lies directly under a prefix."""
        with self._translated(prefix), suppress(FileNotFoundError, NotADirectoryError):
            self._fs.invalidate_cache()
            for info in self._fs.ls(self._key(prefix), detail=True):
                key = str(info["name"]).rstrip("/")
                name = key.rpartition("/")[2]
                if key == self._fs._strip_protocol(self._key(prefix)).rstrip("/"):  # noqa: SLF001
                    # The prefix itself: a file, or the mark of an empty folder.
                    continue
                stored = self._stored(f"{prefix}/{name}", info)
                if stored is not None:
                    yield stored

    def stat(self, path: str) -> StoredObject | None:
        """Say what lies at a path without reading it."""
        with self._translated(path):
            self._fs.invalidate_cache()
            try:
                info = self._fs.info(self._key(path))
            except (FileNotFoundError, NotADirectoryError):
                return None
            return self._stored(path, info)

    def delete(self, path: str) -> None:
        """Remove an object, or all objects under a path."""
        with self._translated(path), suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            self._fs.rm(self._key(path), recursive=True)

    def relative(self, path_or_url: str | Path) -> str | None:
        """Return the path relative to the root of a URL that lies under it, else `None`."""
        from lineagelog.adapters.storage import normalise_root

        text = str(path_or_url)
        if "://" not in text:
            return None
        try:
            address, _ = normalise_root(text)
        except ValueError:
            return None
        prefix = self.root.rstrip("/") + "/"
        path = address.removeprefix(prefix)
        return path if address.startswith(prefix) and path else None

    def url(self, path: str) -> str:
        """Return the URL of an object."""
        return f"{self.root.rstrip('/')}/{check_path(path)}"

    def clean_leftovers(self, older_than_s: float = 86_400.0) -> int:  # noqa: ARG002 - part of the interface
        """Do nothing: uploads have no temporary names."""
        return 0

    def upload(self, member: _Source, path: str) -> None:
        """Upload one file, and read it back.

        Raises:
            ContentChangedError: The file is no longer what was hashed; the upload was removed.
            DigestMismatchError: The location holds other bytes than were sent; they were removed.
            ObjectExistsError: The name is taken.
        """
        if fingerprint_of(member.source) != member.fingerprint:
            raise changed(member.source)
        with self._translated(path):
            # Not every kind of server knows exclusive writes, so the name is looked up as well.
            if self._fs.exists(self._key(path)):
                raise taken(self.url(path))
            if self.type in _WITH_FOLDERS:
                # Only there: on an object store this would make a missing bucket.
                self._fs.makedirs(self._key(path).rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(member.source), self._key(path), mode="create")
            self._fs.invalidate_cache()
        try:
            stored = self._hash_object(path, None, None)
            if fingerprint_of(member.source) != member.fingerprint:
                raise changed(member.source)
            if stored != member.hashed:
                raise DigestMismatchError(self.url(path), member.hashed.hash, stored.hash)
        except BaseException:
            self.delete(path)
            raise

    def take_back(self, path: str, places: list[str]) -> None:
        """Remove what a failed upload of a folder has put there; what others put there stays."""
        for place in places:
            self.delete(place)
        if not self._names(path):
            # Some file systems keep an empty folder, which would take the name.
            self.delete(path)

    def _stored(self, path: str, info: Mapping[str, Any]) -> StoredObject | None:
        if info["type"] != "directory":
            return StoredObject(path, int(info["size"] or 0), _modified(info), False)
        members = list(self._fs.find(self._key(path), detail=True).values())
        if not members:
            return None
        times = [time for time in map(_modified, members) if time is not None]
        size = sum(int(member["size"] or 0) for member in members)
        return StoredObject(path, size, max(times, default=None), True)

    def _key(self, path: str) -> str:
        return f"{self._base}/{check_path(path)}"

    def _names(self, path: str) -> list[str]:
        """List the files under a path, relative to it, sorted."""
        with self._translated(path):
            self._fs.invalidate_cache()
            keys = self._fs.find(self._key(path))
        prefix = self._fs._strip_protocol(self._key(path)).rstrip("/") + "/"  # noqa: SLF001 - fsspec has no public name for it
        return sorted((str(key).removeprefix(prefix) for key in keys), key=str.encode)

    def _hash_object(self, path: str, sink: Sink | None, progress: Progress | None) -> Hashed:
        digest = hashlib.sha256()
        size = 0
        with self._translated(path), self._fs.open(self._key(path), "rb", cache_type="none") as stream:
            for block in chunks(stream, BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                if sink is not None:
                    sink(block)
                if progress is not None:
                    progress(len(block))
        return Hashed(size, digest.hexdigest())

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Raise errors of this project in place of the file system's."""
        try:
            yield
        except LineageLogError:
            raise
        except FileExistsError as exc:
            raise taken(self.url(path)) from exc
        except FileNotFoundError as exc:
            raise missing(self.url(path)) from exc
        except PermissionError as exc:
            raise StoreReadOnlyError(
                f"{self.url(path)} cannot be used: access was refused ({exc}); check the credentials"
            ) from exc
        except NotImplementedError as exc:
            raise UnsupportedFormatError(f"storage at {self.type}:// cannot do this: {exc}") from exc
        except Exception as exc:  # each file system of fsspec has errors of its own, with no common base
            # botocore's ClientError, of which s3fs leaves some untranslated.
            response = getattr(exc.__cause__ or exc, "response", None)
            code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
            if code == "PreconditionFailed" or "PreconditionFailed" in str(exc):
                raise taken(self.url(path)) from exc
            if not isinstance(exc, OSError) and not _is_of_a_server(exc):
                raise
            raise StorageError(f"{self.url(path)} cannot be used now: {exc}; check the network and try again") from exc


class _StagedForUpload(Staged):
    def __init__(self, storage: RemoteStorage, hashed: Hashed, members: list[_Source], folder: Path | None) -> None:
        super().__init__(hashed)
        self._storage = storage
        self._members: list[_Source] | None = members
        self._folder = folder

    def commit(self, path: str) -> None:
        if self._members is None:
            raise RuntimeError("what was staged has been committed or discarded already; stage it again")
        if self._storage.exists(path):
            raise taken(self._storage.url(path))
        done: list[str] = []
        try:
            for member in self._members:
                place = f"{path}/{member.path}" if member.path else path
                self._storage.upload(member, place)
                done.append(place)
            if self._folder is not None:
                found = list_folder(self._folder)
                if found != [Member(member.path, member.fingerprint) for member in self._members]:
                    raise changed(self._folder)
        except BaseException:
            self._storage.take_back(path, done)
            raise
        self._members = None

    def discard(self) -> None:
        self._members = None


def taken(name: str) -> ObjectExistsError:
    """Say that something lies where an object was to be put."""
    return ObjectExistsError(
        f"something lies at {name} already and was left as it is; choose another path, or delete it first"
    )


def _modified(info: Mapping[str, Any]) -> datetime | None:
    """Find the time of the last write; each file system of fsspec has its own name for it."""
    for name in ("LastModified", "last_modified", "updated", "mtime", "modified", "created"):
        value = info.get(name)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return None


def _is_of_a_server(exc: Exception) -> bool:
    module = type(exc).__module__.partition(".")[0]
    return module in {
        "botocore",
        "aiobotocore",
        "aiohttp",
        "gcsfs",
        "google",
        "azure",
        "requests",
        "urllib3",
        "paramiko",
    }
