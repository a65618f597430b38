"""Storage behind a URL, through fsspec: hash the local source, upload under the final name, read it back before it counts.

An upload is not trusted: servers accept wrong checksums, and the source may change after it was hashed. Each object is read back
in full and its SHA-256 compared; what differs is removed again. Objects appear under their name only when the upload is
complete, and a name that is taken is refused. Reading begins again a few times where a connection breaks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from lineagelog.adapters.storage.base import (
    Hashed,
    Progress,
    Staged,
    Storage,
    StoredObject,
    check_path,
    chunks,
    etag_hash,
)
from lineagelog.adapters.storage.hashing import (
    BLOCK_BYTES,
    Fingerprint,
    Member,
    changed,
    fingerprint_of,
    hash_file,
    hash_member,
    hashed_listing,
    list_folder,
    missing,
    nothing_in,
)
from lineagelog.adapters.storage.local import not_a_file, open_sink, replacing, sync_trees
from lineagelog.adapters.storage.parallel import from_any_thread, in_order
from lineagelog.adapters.storage.retry import again, is_passing
from lineagelog.domain.errors import (
    DigestMismatchError,
    LineageLogError,
    ObjectExistsError,
    ObjectMissingError,
    StorageError,
    StoreReadOnlyError,
    UnsupportedFormatError,
)

_EXTRAS: Final = {
    "s3": "lineagelog[s3]",
    "gs": "lineagelog[gcs]",
    "http": "lineagelog[http]",
    "https": "lineagelog[http]",
    "abfs": "lineagelog[azure]",
    "abfss": "lineagelog[azure]",
    "az": "lineagelog[azure]",
}
_WITH_FOLDERS: Final = frozenset({"sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "dbfs"})

# Larger files are sent one after the other, since one of them alone keeps a connection busy.
_LARGE_BYTES: Final = 16 << 20


class Source(NamedTuple):
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
        self.root = root
        self.type = kind
        try:
            import fsspec

            self._fs, self._base = fsspec.core.url_to_fs(root, **(options or {}))
        except ImportError as exc:
            raise needs_package(kind, exc) from exc
        except ValueError as exc:
            raise StorageError(
                f"storage at {root} cannot be used: {exc}; give a local path or a URL such as s3://bucket/prefix"
            ) from exc
        self._base = self._base.rstrip("/")

    def stage_file(self, source: Path, progress: Progress | None = None) -> Staged:
        """Hash a local file; the upload is `commit`."""
        hashed, fingerprint = hash_file(source, progress=progress)
        return _StagedForUpload(self, hashed, [Source(source, "", hashed, fingerprint)], None)

    def stage_folder(self, source: Path, progress: Progress | None = None) -> Staged:
        """Hash a local folder; the upload is `commit`."""
        listed = list_folder(source)
        if not listed:
            raise nothing_in(source)
        hashes = in_order(partial(hash_member, source, progress=from_any_thread(progress)), listed)
        members = [
            Source(source / member.path, member.path, hashed, member.fingerprint)
            for member, hashed in zip(listed, hashes, strict=True)
        ]
        if list_folder(source) != listed:
            raise changed(source)
        listing = hashed_listing([(member.path, member.hashed.size_bytes, member.hashed.hash) for member in members])
        return _StagedForUpload(self, listing, members, source)

    def commit_all(self, staged: Sequence[tuple[Staged, str]], progress: Progress | None = None) -> None:
        """Upload several contents at a time."""
        report = from_any_thread(progress)
        small = [pair for pair in staged if pair[0].n_files is None and pair[0].size_bytes <= _LARGE_BYTES]
        for _ in in_order(lambda pair: pair[0].commit(pair[1], report), small):
            pass
        for content, path in staged:
            if not content.committed:
                content.commit(path, report)

    def hash_in_place(self, path: str, progress: Progress | None = None) -> Hashed:
        """Read and hash a stored file or folder."""
        return self._read(path, None, progress)

    def vouched_hash(self, path: str) -> Hashed:
        """Take the mark by which the location tells versions of an object apart."""
        with self._translated(path):
            self._fs.invalidate_cache()
            info = self._fs.info(self._key(path))
        etag = next((str(info[name]) for name in ("ETag", "etag", "e_tag") if info.get(name)), None)
        if etag is None or info["type"] == "directory":
            return super().vouched_hash(path)
        return etag_hash(self.url(path), int(info["size"] or 0), etag)

    def open_binary(self, path: str) -> BinaryIO:
        """Open a stored file for reading; blocks are fetched as they are read."""
        found = self.stat(path)
        if found is None:
            raise missing(self.url(path))
        if found.is_folder:
            raise not_a_file(self.url(path))
        with self._translated(path):
            return cast("BinaryIO", self._fs.open(self._key(path), "rb"))

    def fetch(
        self, path: str, destination: Path, *, expected: str | None = None, progress: Progress | None = None
    ) -> Hashed:
        """Download a stored file or folder."""
        with replacing(destination) as temporary:
            hashed = self._read(path, temporary, progress)
            if expected not in (None, hashed.hash) and not self._is_vouched(path, expected):
                # A byte may have flipped on the way; what is stored is accused only if it differs twice.
                _clear(temporary)
                hashed = self._read(path, temporary, None)
                if hashed.hash != expected:
                    raise DigestMismatchError(self.url(path), str(expected), hashed.hash)
            sync_trees([temporary])
        return hashed

    def local_path(self, path: str) -> Path | None:
        """Return `None`: there is no local path."""
        check_path(path)
        return None

    def in_file_system(self, path: str) -> tuple[Any, str]:
        """Return the file system, with its credentials and settings, and the key."""
        return self._fs, self._key(path)

    def exists(self, path: str) -> bool:
        """Tell whether an object lies at a path or under it."""
        with self._translated(path):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._key(path)))

    def stat(self, path: str) -> StoredObject | None:
        """Say what lies at a path without reading it."""
        with self._translated(path):
            self._fs.invalidate_cache()
            try:
                info = self._fs.info(self._key(path))
            except (FileNotFoundError, NotADirectoryError):
                return None
        if info["type"] != "directory":
            return StoredObject(path, int(info["size"] or 0), _modified(info), False)
        return as_one(path, self.list_files(path))

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
                path = f"{prefix}/{str(info['name']).rstrip('/').rpartition('/')[2]}"
                if str(info["name"]).rstrip("/") == self._stripped(prefix):
                    # The prefix itself: a file, or the mark of an empty folder.
                    continue
                if info["type"] != "directory":
                    yield StoredObject(path, int(info["size"] or 0), _modified(info), False)
                elif (folder := as_one(path, self.list_files(path))) is not None:
                    yield folder

    def list_files(self, path: str | None = None) -> Iterator[StoredObject]:
        """List all objects under a path."""
        prefix = self._stripped(path) + "/"
        with self._translated(path), suppress(FileNotFoundError, NotADirectoryError):
            self._fs.invalidate_cache()
            found = self._fs.find(self._key(path), detail=True)
            for key, info in found.items():
                name = str(key).removeprefix(prefix)
                if name and str(key).startswith(prefix):
                    full = name if path is None else f"{path}/{name}"
                    yield StoredObject(full, int(info["size"] or 0), _modified(info), False)

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

    def upload(self, member: Source, path: str, progress: Progress | None = None) -> None:
        """Upload one file, and read it back.

        Args:
            member: The file.
            path: Where it goes.
            progress: Called as bytes are sent, in any thread.

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
        if progress is not None:
            progress(member.hashed.size_bytes)
        try:
            stored = self.read_object(path, None, None)
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
        if self.is_folder(path) and next(self.list_files(path), None) is None:
            # Some file systems keep an empty folder, which would take the name.
            self.delete(path)

    def read_object(self, path: str, place: Path | None, progress: Progress | None) -> Hashed:
        """Read a single object, hash it, and write it to a place; where the connection breaks it is begun again.

        Raises:
            ObjectMissingError: There is no such object.
            StorageError: The location cannot be read.
        """
        reported = 0

        def read() -> Hashed:
            nonlocal reported
            digest, size = hashlib.sha256(), 0
            if place is not None:
                place.unlink(missing_ok=True)
            with open_sink(place) if place is not None else _no_sink() as write:
                for block in self._blocks(path):
                    digest.update(block)
                    write(block)
                    size += len(block)
                    if progress is not None and size > reported:
                        progress(size - reported)
                        reported = size
            return Hashed(size, digest.hexdigest())

        with self._translated(path):
            return again(read, self._is_passing)

    def _is_passing(self, exc: BaseException) -> bool:
        return is_passing(exc)

    def _blocks(self, path: str) -> Iterator[bytes]:
        with self._fs.open(self._key(path), "rb", cache_type="none") as stream:
            yield from chunks(stream, BLOCK_BYTES)

    def _hash_members(
        self, path: str, target: Path | None, progress: Progress | None
    ) -> Iterator[tuple[str, int, str]]:
        """Read the objects under a path, several at a time, and yield name, size and hash of each."""
        names = sorted((found.path.removeprefix(f"{path}/") for found in self.list_files(path)), key=str.encode)
        if not names:
            raise missing(self.url(path))

        def read(name: str) -> tuple[str, int, str]:
            place = target / name if target is not None else None
            if place is not None:
                if target is None or not place.resolve().is_relative_to(target.resolve()):
                    raise StorageError(f"{self.url(path)} holds the name {name!r}, which leads out of the folder")
                place.parent.mkdir(parents=True, exist_ok=True)
            part = self.read_object(f"{path}/{name}", place, progress)
            return name, part.size_bytes, part.hash

        return in_order(read, names)

    def _read(self, path: str, target: Path | None, progress: Progress | None) -> Hashed:
        """Read an object, or all objects under a path, and write them to a local place if there is one."""
        if self.is_folder(path):
            return hashed_listing(list(self._hash_members(path, target, from_any_thread(progress))))
        return self.read_object(path, target, progress)

    def _is_vouched(self, path: str, expected: str | None) -> bool:
        """Tell whether the recorded hash is one that the location vouched for, and still does."""
        try:
            return self.vouched_hash(path).hash == expected
        except (UnsupportedFormatError, ObjectMissingError):
            return False

    def _key(self, path: str | None) -> str:
        return f"{self._base}/{check_path(path)}" if path is not None else self._base

    def _stripped(self, path: str | None) -> str:
        return str(self._fs._strip_protocol(self._key(path))).rstrip("/")  # noqa: SLF001 - fsspec has no public name for it

    @contextmanager
    def _translated(self, path: str | None) -> Iterator[None]:
        """Raise errors of this project in place of the file system's."""
        try:
            yield
        except LineageLogError:
            raise
        except Exception as exc:  # each file system of fsspec has errors of its own, with no common base
            ours = self._translate(exc, path)
            if ours is None:
                raise
            raise ours from exc

    def _translate(self, exc: Exception, path: str | None) -> LineageLogError | None:
        return translated(exc, self._where(path))

    def _where(self, path: str | None) -> str:
        """Name what an error is about."""
        return self.url(path) if path is not None else self.root


class _StagedForUpload(Staged):
    def __init__(self, storage: RemoteStorage, hashed: Hashed, members: list[Source], folder: Path | None) -> None:
        super().__init__(hashed)
        self._storage = storage
        self._members: list[Source] | None = members
        self._folder = folder

    def commit(self, path: str, progress: Progress | None = None) -> None:
        if self._members is None:
            raise RuntimeError("what was staged has been committed or discarded already; stage it again")
        if self._storage.exists(path):
            raise taken(self._storage.url(path))
        done: list[str] = []
        report = from_any_thread(progress)

        def upload(member: Source) -> None:
            place = f"{path}/{member.path}" if member.path else path
            self._storage.upload(member, place, report)
            done.append(place)

        try:
            small = [member for member in self._members if member.hashed.size_bytes <= _LARGE_BYTES]
            for _ in in_order(upload, small):
                pass
            for member in self._members:
                if member.hashed.size_bytes > _LARGE_BYTES:
                    upload(member)
            if self._folder is not None:
                found = list_folder(self._folder)
                if found != [Member(member.path, member.fingerprint) for member in self._members]:
                    raise changed(self._folder)
        except BaseException:
            if self._folder is not None:
                self._storage.take_back(path, done)
            raise
        self._members = None
        self.committed = True

    def discard(self) -> None:
        self._members = None


def taken(name: str) -> ObjectExistsError:
    """Say that something lies where an object was to be put."""
    return ObjectExistsError(
        f"something lies at {name} already and was left as it is; choose another path, or delete it first"
    )


def needs_package(kind: str, exc: ImportError) -> StorageError:
    """Say which package reaches locations of a kind."""
    extra = _EXTRAS.get(kind)
    install = f"install it with `pip install '{extra}'`" if extra is not None else "install the package named there"
    return StorageError(f"storage at {kind}:// needs a package that is not installed ({exc}); {install}")


def translated(exc: Exception, url: str) -> LineageLogError | None:
    """Turn an error of a file system into one of this project; `None` if it is no error of a file system or server."""
    if isinstance(exc, FileExistsError):
        return taken(url)
    if isinstance(exc, FileNotFoundError):
        return missing(url)
    if isinstance(exc, PermissionError):
        return StoreReadOnlyError(f"{url} cannot be used: access was refused ({exc}); check the credentials")
    if isinstance(exc, NotImplementedError):
        return UnsupportedFormatError(f"{url}: a location of this type cannot do this ({exc})")
    if isinstance(exc, OSError) or type(exc).__module__.partition(".")[0] in _SERVER_LIBRARIES:
        return StorageError(f"{url} cannot be used now: {exc or type(exc).__name__}; check the network and try again")
    return None


def as_one(path: str, members: Iterator[StoredObject]) -> StoredObject | None:
    """Sum the files of a folder up; `None` if there are none. What bears the path itself is no folder, and stays as it is."""
    size, latest, some = 0, None, False
    for member in members:
        if member.path == path:
            return member
        some = True
        size += member.size_bytes
        if member.modified_at is not None and (latest is None or member.modified_at > latest):
            latest = member.modified_at
    return StoredObject(path, size, latest, True) if some else None


_SERVER_LIBRARIES: Final = frozenset(
    {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "requests", "urllib3", "paramiko"}
)


@contextmanager
def _no_sink() -> Iterator[Any]:
    yield len


def _clear(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
