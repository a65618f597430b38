"""Files on a web server, read in place: registered by their address, hashed as they arrive, never written.

A query is part of an address (`?version=3`). Credentials and signatures are not: addresses that hold them are refused by
`plain_url` before anything is recorded. A user name and password come from `~/.netrc`, a proxy from the environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl, urlsplit

from lineagelog.adapters.storage import retry
from lineagelog.adapters.storage.base import Progress, Staged, StoredObject, check_path, chunks
from lineagelog.adapters.storage.hashing import BLOCK_BYTES
from lineagelog.adapters.storage.remote import RemoteStorage, needs_package
from lineagelog.domain.errors import (
    InvalidValueError,
    LineageLogError,
    ObjectMissingError,
    StoreReadOnlyError,
    UnsupportedFormatError,
)
from lineagelog.domain.redaction import is_signing_parameter, redact_url

_GONE_STATUS: Final = (404, 410)


class HttpStorage(RemoteStorage):
    """A host, or a folder on it, that answers to `GET`."""

    def __init__(self, root: str, kind: str, *, options: Mapping[str, Any] | None = None) -> None:
        """Prepare the client; see `RemoteStorage`."""
        try:
            from aiohttp import ClientTimeout
        except ImportError as exc:
            raise needs_package(kind, exc) from exc
        # Its own limit is five minutes for a whole file, however fast it comes.
        patience = ClientTimeout(total=None, sock_connect=retry.CONNECT_TIMEOUT_S, sock_read=retry.READ_TIMEOUT_S)
        # Without this header a server may send the bytes compressed, and others each time.
        client = {"trust_env": True, "headers": {"Accept-Encoding": "identity"}, "timeout": patience}
        # An address is sent as it was given: `%2F` in it is not `/`.
        super().__init__(root, kind, options={"client_kwargs": client, "encoded": True, **(options or {})})

    def stage_file(self, source: Path, progress: Progress | None = None) -> Staged:  # noqa: ARG002 - part of the interface
        """Refuse to write."""
        self._refuse()

    def stage_folder(self, source: Path, progress: Progress | None = None) -> Staged:  # noqa: ARG002
        """Refuse to write."""
        self._refuse()

    def delete(self, path: str) -> None:  # noqa: ARG002
        """Refuse to remove a file."""
        self._refuse()

    def stat(self, path: str) -> StoredObject | None:
        """Ask for a file; its size is 0 where the server does not tell."""
        try:
            with self._translated(path):
                info = self._fs.info(self._key(path))
        except ObjectMissingError:
            return None
        return StoredObject(path, int(info.get("size") or 0), None, False)

    def exists(self, path: str) -> bool:
        """Tell whether the server has such a file."""
        return self.stat(path) is not None

    def is_folder(self, path: str) -> bool:
        """Tell that there are no folders: a page that lists files is no listing that can be relied on."""
        check_path(path)
        return False

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Refuse to list."""
        raise self._unlisted(prefix)

    def list_files(self, path: str | None = None) -> Iterator[StoredObject]:
        """Refuse to list."""
        raise self._unlisted(path)

    def relative(self, path_or_url: str | Path) -> str | None:
        """Return the path and query of an address relative to the root, else `None`."""
        place, question, query = str(path_or_url).partition("?")
        path = super().relative(place)
        return f"{path}{question}{query}" if path is not None else None

    def _blocks(self, path: str) -> Iterator[bytes]:
        # A block size of 0 reads the answer as it comes, whether or not the server can send parts.
        with self._fs.open(self._key(path), "rb", block_size=0) as stream:
            yield from chunks(stream, BLOCK_BYTES)

    def _translate(self, exc: Exception, path: str | None) -> LineageLogError | None:
        # Whatever fails when a server is asked for a file, fsspec says that there is none; only the server can say that.
        cause = exc.__cause__ if isinstance(exc, FileNotFoundError) else None
        if isinstance(cause, Exception) and getattr(cause, "status", None) not in _GONE_STATUS:
            return super()._translate(cause, path)
        return super()._translate(exc, path)

    def _refuse(self) -> NoReturn:
        raise StoreReadOnlyError(
            f"{self.root} is read over HTTP and cannot be written; choose a storage location that can be, such as a folder "
            "or a bucket"
        )

    def _unlisted(self, path: str | None) -> UnsupportedFormatError:
        return UnsupportedFormatError(
            f"{self._where(path)}: a web server does not say reliably which files it has; pass the address of each file"
        )


def plain_url(url: str) -> str:
    """Accept the address of a file on a web server.

    Raises:
        InvalidValueError: It holds a user name, a password or a signature, or names no file.
    """
    shown = redact_url(url.partition("?")[0])
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise InvalidValueError("the artifact path", f"{shown!r} is not an address: {exc}") from exc
    if "@" in parts.netloc:
        raise InvalidValueError(
            "the artifact path",
            f"{shown!r} was given with a user name or password; put them into ~/.netrc and leave them out",
        )
    found = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if is_signing_parameter(name)]
    if found:
        raise InvalidValueError(
            "the artifact path",
            f"{shown!r} was given with {', '.join(found)}: a signed address ends to work and must not be recorded; download the "
            "file and register that, or register the object itself (s3://bucket/key) with credentials from the environment",
        )
    if parts.path.endswith("/") or not parts.path.strip("/"):
        raise InvalidValueError("the artifact path", f"{shown!r} names no file; give the address of one")
    return url.partition("#")[0]
