"""The verbs of the package: make, open and choose a store, log in, save, look around."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lineagelog import current, location
from lineagelog.content import bulk
from lineagelog.domain.errors import StoreExistsError
from lineagelog.store import Store
from lineagelog.text import clean

if TYPE_CHECKING:
    import pandas as pd

    from lineagelog.registries.record import BaseRecord
    from lineagelog.registries.run import Run
    from lineagelog.registries.user import User


def init(
    storage: str | os.PathLike[str],
    *,
    name: str | None = None,
    db: str | None = None,
    modules: Sequence[str] = (),
) -> Store:
    """Create a store and make it the current one; see `Store.create`.

    Args:
        storage: Where new artifacts go: a local folder, or a URL such as `s3://bucket/prefix`.
        name: Name of the store.
        db: URL of a PostgreSQL database; SQLite in the store's folder by default.
        modules: Names of registries beyond the core.
    """
    created = Store.create(storage, name=name, db=db, modules=modules)
    current.set_current_store(created)
    return created


def open(address: str | os.PathLike[str]) -> Store:  # noqa: A001 - `ln.open(…)` opens a store
    """Open a store beside the current one, named as for `connect`; see `Store.open`."""
    return Store.open(location.address_of(os.fspath(address)))


def connect(address: str | os.PathLike[str], *, keep: bool = False) -> Store:
    """Open a store and make it the current one.

    Args:
        address: Folder of the store, URL of its database, or the name or id of a store that was used before.
        keep: Later processes that start in the working directory find this store as well.

    Raises:
        StoreNotFoundError: There is no store at this address, or several have this name.
        StoreExistsError: The working directory holds another store, which would be found first.
    """
    text = location.address_of(os.fspath(address))
    opened = Store.open(text)
    if keep:
        try:
            _keep(opened, text)
        except BaseException:
            opened.close()
            raise
    current.set_current_store(opened)
    return opened


def current_store() -> Store:
    """Return the current store: the connected one, that of `LINEAGELOG_STORE`, or the nearest upward."""
    return current.current_store()


def current_run() -> Run | None:
    """Return the run in which things happen now in the current store, or `None`."""
    return current.current_run(current.current_store())


def as_of(point: int | str | datetime) -> Store:
    """Open the current store as it was at a time or position; see `Store.as_of`."""
    return current.current_store().as_of(point)


def close() -> None:
    """Close the current store."""
    opened = current._store
    if opened is not None:
        opened.close()
    current.set_current_store(None)


def list_stores() -> list[dict[str, str]]:
    """List the stores this user has created or connected to: `name`, `id` and `location` of each."""
    return location.known_stores()


def delete(address: str | os.PathLike[str], *, force: bool = False) -> str:
    """Delete the log and registries of a store, named as for `connect`, for good; see `Store.delete`."""
    opened = Store.open(location.address_of(os.fspath(address)))
    try:
        left = opened.delete(force=force)
    finally:
        opened.close()
    if opened.folder is not None:
        location.forget_pointer(opened.folder, Path.cwd())
    return left


def login(handle: str, *, name: str | None = None, email: str | None = None, reason: str | None = None) -> User:
    """Log a user in to the current store for this process; see `Store.login`."""
    return current.current_store().login(handle, name=name, email=email, reason=reason)


def logout() -> None:
    """Log the user out of the current store; what follows is anonymous."""
    current.current_store().logout()


def save(records: Sequence[BaseRecord], *, reason: str | None = None) -> list[BaseRecord]:
    """Save several records, new artifacts in one transaction."""
    return bulk.save(records, reason=reason)


def view(limit: int = 10) -> dict[str, pd.DataFrame]:
    """Show the latest additions of every registry, as tables in a notebook and as text elsewhere, and return them.

    Args:
        limit: At most so many of each.
    """
    from lineagelog.lineage import in_notebook

    frames = _Tables(current.current_store().view(limit))
    if in_notebook():
        from IPython.display import HTML, display

        for name, frame in frames.items():
            display(HTML(f"<h4>{name}</h4>{frame.to_html()}"))  # type: ignore[no-untyped-call]
        return frames
    for name, frame in frames.items():
        table = clean(frame.to_string(max_colwidth=40), keep="\n")
        print(f"{name}\n{table}\n")  # noqa: T201 - printing is what it is for
    return frames


class _Tables(dict[str, "pd.DataFrame"]):
    """Tables that have been shown already: a notebook is not to show them again as the value of its cell."""

    def _ipython_display_(self) -> None:
        pass


def _keep(opened: Store, address: str) -> None:
    """Leave in the working directory what later processes need to find a store."""
    here = Path.cwd()
    if opened.folder is None:
        url, password = location.without_password(address)
        location.attach(here, location.Config(opened.id, opened.name, url), password)
    elif opened.folder != here and location.point_to(opened.folder, here) is None:
        raise StoreExistsError(
            f"{here} holds a store of its own, which is found first; work on {opened.name} from another folder, "
            "or name it with --store or LINEAGELOG_STORE"
        )
