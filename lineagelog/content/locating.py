"""Where the content of an artifact lies that is registered in place behind a URL, and which storage location that is.

A URL under no registered location makes its bucket or host one, when the artifact is saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lineagelog import message
from lineagelog.domain.errors import ConcurrentWriteError, ConstraintError, InvalidValueError
from lineagelog.domain.ids import Id
from lineagelog.projections import schema
from lineagelog.projections.rows import find_one

if TYPE_CHECKING:
    from upath import UPath

    from lineagelog.adapters.storage import Storage, StoredObject
    from lineagelog.store import Store

_WEB = ("http", "https")


class Address(NamedTuple):
    """A place behind a URL.

    Attributes:
        storage_id: Id of the location it lies under, `None` if that is not registered yet.
        root: Root of the location.
        path: The rest, relative to the root.
    """

    storage_id: Id | None
    root: str
    path: str

    @property
    def name(self) -> str:
        """The path as people write it: without the query of an address on a web server."""
        return self.path.partition("?")[0] if self.root.startswith(_WEB) else self.path


class RemoteObject(NamedTuple):
    """Something found behind a URL.

    Attributes:
        address: Where it is.
        found: What its location says of it.
    """

    address: Address
    found: StoredObject


def is_url(text: str) -> bool:
    """Tell whether a text is the address of something that is not on this machine."""
    return "://" in text and not text.startswith("file://")


def locate(store: Store, url: str) -> Address:
    """Find the location a URL lies under: a registered one, else its bucket or host.

    Raises:
        InvalidValueError: The URL holds a credential or signature, or names no object.
    """
    from lineagelog.adapters.storage import normalise_root

    scheme, _, rest = url.partition("://")
    if scheme.lower() in _WEB:
        from lineagelog.adapters.storage.http import plain_url

        url = plain_url(url)
    elif "?" in rest:
        raise InvalidValueError(
            "the artifact path",
            f"{url.partition('?')[0]!r} was given with a query, which may sign it and must not be recorded; give the address of "
            "the object alone, and credentials in the environment",
        )
    place, question, query = url.partition("?")
    address, _ = normalise_root(place)
    address += question + query
    registered = store.find_storage(address)
    if registered is not None:
        root = find_one(store.log.database, schema.STORAGES, id=registered[0])
        assert root is not None
        return Address(registered[0], root["root"], registered[1])
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    if not path:
        raise InvalidValueError(
            "the artifact path", f"{address!r} names a whole location; give the address of an object in it"
        )
    return Address(None, f"{scheme}://{host}", path)


def find(store: Store, url: str) -> RemoteObject | None:
    """Find out what lies behind a URL, without reading it."""
    address = locate(store, url)
    found = backend(store, address).stat(address.path)
    return RemoteObject(address, found) if found is not None else None


def find_all(store: Store, url: str) -> list[RemoteObject]:
    """List the objects under a URL."""
    address = locate(store, url)
    found = sorted(backend(store, address).list_files(address.path), key=lambda member: member.path)
    return [RemoteObject(address._replace(path=member.path), member) for member in found]


def backend(store: Store, address: Address) -> Storage:
    """Open the location of an address, registered or not."""
    from lineagelog.adapters.storage import open_storage

    if address.storage_id is not None:
        return store.storage_backend(address.storage_id)
    return open_storage(address.root)


def path_of(storage: Storage, path: str) -> Path | UPath:
    """Return the path of a stored object: a local one, or one of `universal_pathlib`."""
    local = storage.local_path(path)
    if local is not None:
        return local
    from upath import UPath

    remote: UPath = UPath(storage.url(path), **storage.options)
    return remote


def register(store: Store, address: Address) -> tuple[Id, str]:
    """Make sure that the location of an address is registered.

    Returns:
        Id of the location, and the path relative to its root.
    """
    url = f"{address.root}/{address.path}"
    place = store.find_storage(url)
    if place is None:
        try:
            store.Storage(address.root).save()
        except (ConcurrentWriteError, ConstraintError):
            # Another process has just registered it.
            if store.find_storage(url) is None:
                raise
        else:
            message.info(f"registered {address.root} as a storage location, since {url} lies there")
        place = store.find_storage(url)
        assert place is not None, url
    return place
