"""Storage locations: the roots under which artifacts lie, on a local disk or behind any URL that fsspec knows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from lineagelog.adapters.storage.base import Hashed, Progress, Staged, Storage, StoredObject
from lineagelog.adapters.storage.hashing import hash_local, verify
from lineagelog.domain.errors import InvalidValueError

__all__ = [
    "Hashed",
    "Progress",
    "Staged",
    "Storage",
    "StoredObject",
    "hash_local",
    "normalise_root",
    "open_storage",
    "verify",
]

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<rest>.*)", re.DOTALL)
_SAME_AS: Final = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "file": "local"}


def open_storage(
    root: str | Path,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Storage:
    """Open a storage location; the folder of a local one is made when something is first put into it.

    Args:
        root: Local path, or a URL such as `s3://bucket/prefix`.
        region: Region of a bucket; that of the environment or profile by default.
        endpoint_url: Address of a server that speaks the protocol of S3 and is not Amazon's; `AWS_ENDPOINT_URL` wins.
        options: Passed on to the file system of a URL, in place of what the environment says.

    Raises:
        InvalidValueError: The root is not an address.
        StorageError: The package for this kind of URL is missing.
    """
    address, kind = normalise_root(root)
    if kind == "local":
        from lineagelog.adapters.storage.local import LocalStorage

        return LocalStorage(address)
    if kind == "s3":
        from lineagelog.adapters.storage.s3 import S3Storage

        return S3Storage(address, region=region, endpoint_url=endpoint_url, options=options)
    if kind in ("http", "https"):
        from lineagelog.adapters.storage.http import HttpStorage

        return HttpStorage(address, kind, options=options)
    from lineagelog.adapters.storage.remote import RemoteStorage

    return RemoteStorage(address, kind, options=options)


def normalise_root(text: str | Path) -> tuple[str, str]:
    """Give the root of a storage location its one form.

    Args:
        text: Local path, or URL.

    Returns:
        Absolute local path without links, or URL without credentials, query and trailing slash; and the type.

    Raises:
        InvalidValueError: Empty, chained (`a::b`), or with a `..` part in a URL.
    """
    value = os.fspath(text)
    if not value.strip() or any(ord(sign) < 32 for sign in value):
        raise InvalidValueError("the storage root", f"{value!r} must be a path or a URL such as s3://bucket/prefix")
    match = _URL.fullmatch(value)
    if "::" in value and "://" in value:
        raise InvalidValueError("the storage root", "is a chain of addresses ('::'); give the address of one location")
    if match is None:
        return str(Path(value).expanduser().resolve()), "local"
    scheme = match["scheme"].lower()
    kind = _SAME_AS.get(scheme, scheme)
    if kind == "local":
        return str(Path(unquote(match["rest"])).resolve()), kind
    # What follows a question mark signs a request; it is no part of the place, and may be a secret.
    host, slash, path = match["rest"].partition("?")[0].partition("/")
    host = host.rpartition("@")[2]
    parts = [part for part in path.split("/") if part]
    if ".." in parts or (not host and kind != "memory"):
        raise InvalidValueError(
            "the storage root", f"{kind}://{host}{slash}{path} must name one location, without '..'"
        )
    return "/".join([f"{kind}://{host}", *parts]), kind
