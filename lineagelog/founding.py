"""How a store comes into being, whole or not at all, and how it is deleted."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lineagelog import location
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.schema import LOG_TABLES
from lineagelog.asking import forget_index
from lineagelog.domain.errors import (
    ConcurrentWriteError,
    DomainError,
    InvalidValueError,
    StorageError,
    StoreExistsError,
    StoreReadOnlyError,
)
from lineagelog.domain.event import Event, NewEvent
from lineagelog.domain.ids import ANONYMOUS_UID, SHORT_UID_LENGTH, STORAGE_UID_LENGTH, Id, new_id, new_uid
from lineagelog.domain.storage import StorageMadeDefault, StorageRegistered
from lineagelog.domain.store import StoreCreated
from lineagelog.domain.user import ANONYMOUS_HANDLE, UserRegistered
from lineagelog.domain.values import check_name
from lineagelog.projections import schema
from lineagelog.session import Session

if TYPE_CHECKING:
    from lineagelog.store import Store

CREATED_EVENT_ID: Final = Id("00000000-0000-7000-8000-000000000001")
"""Id of the event that creates a store, the same in every log, so that a log can hold only one."""

SELF_ROOT: Final = "."
"""Root, as recorded, of the storage that is the store's own folder: the folder may move."""


def create(
    storage: str | os.PathLike[str], *, name: str | None = None, db: str | None = None, modules: Sequence[str] = ()
) -> Path:
    """Create a store as `Store.create` says.

    Returns:
        Its folder.
    """
    from lineagelog.adapters.storage import normalise_root

    root, kind = normalise_root(os.fspath(storage))
    folder = Path(root) if kind == "local" else Path.cwd()
    name = check_name(name if name is not None else root.rstrip("/").rpartition("/")[2] or "store", "the store's name")
    if modules:
        raise InvalidValueError("modules", f"{', '.join(modules)} are not known; this version has the core only")
    target = location.home(folder)
    if target.is_dir():
        raise StoreExistsError(
            f"there is a store in {folder} already; open it with `prov connect {folder}` or, in Python, "
            f"ln.connect({str(folder)!r}), or choose another folder"
        )
    if kind != "local":
        _check_remote(root)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    # Everything is built under another name and then renamed, so that there is a whole store or none.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f"{location.FOLDER}-", dir=folder))
    except OSError as exc:
        raise StorageError(f"no store can be made in {folder}: {exc.strerror}; choose a folder you may write") from exc
    try:
        config, password = _fill(building, root, kind, name, db)
        location.write_config(building, config, password)
        try:
            building.rename(target)
        except OSError as exc:
            raise StoreExistsError(f"another process has just created a store in {folder}; open that one") from exc
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        with suppress(OSError):
            for path in made:
                path.rmdir()
        raise
    return folder


def _fill(building: Path, root: str, kind: str, name: str, db: str | None) -> tuple[location.Config, str | None]:
    """Make the log of a new store and its first events."""
    log = EventLog.connect(db if db is not None else building / location.DATABASE, create=True)
    try:
        if log.head().position:
            raise StoreExistsError(
                f"{log.database.name} holds a store already; connect to it with `prov connect URL` or, in Python, "
                "ln.connect(URL), or add ?schema=NAME to the URL for a new one"
            )
        store_id, user_id, storage_id = new_id(), new_id(), new_id()
        recorded_root = SELF_ROOT if kind == "local" and db is None else root
        facts: list[tuple[Id, int, Event]] = [
            (user_id, 1, UserRegistered(uid=ANONYMOUS_UID, handle=ANONYMOUS_HANDLE)),
            (store_id, 1, StoreCreated(uid=new_uid(SHORT_UID_LENGTH), name=name)),
            (storage_id, 1, StorageRegistered(uid=new_uid(STORAGE_UID_LENGTH), root=recorded_root, type=kind)),
            (store_id, 2, StorageMadeDefault(storage=storage_id)),
        ]
        context = Session.encoded_context("anonymous", None)
        events = [
            NewEvent(
                stream=stream,
                version=version,
                fact=fact,
                actor=user_id,
                context=context,
                event_id=CREATED_EVENT_ID if isinstance(fact, StoreCreated) else new_id(),
            )
            for stream, version, fact in facts
        ]
        try:
            log.append(events)
        except ConcurrentWriteError as exc:
            raise StoreExistsError(f"another process has just created a store in {log.database.name}") from exc
    finally:
        log.close()
    if db is None:
        return location.Config(store_id, name, None), None
    url, password = location.without_password(db)
    return location.Config(store_id, name, url), password


def delete(store: Store, *, force: bool) -> str:
    """Delete a store as `Store.delete` says.

    Returns:
        What was left behind, in words.
    """
    store.check_is_present()
    roots = [backend.root for backend in store.storage_backends()]
    left = f"the content of {_count_artifacts(store)} artifacts under {', '.join(roots)}"
    if not force:
        raise DomainError(
            f"nothing was deleted: deleting {store.name} would destroy its log of {store.log.head().position} events for "
            f"good and leave {left}; pass force=True (or --force) if that is meant"
        )
    if store.log.database.read_only:
        raise StoreReadOnlyError(f"{store.name} can be read but not written; nothing was deleted")
    if store.log.database.dialect == "postgresql":
        store.log.database.drop([table.name for table in (*LOG_TABLES, *schema.TABLES)])  # type: ignore[attr-defined]
    store.close()
    if store.folder is not None:
        home = location.home(store.folder)
        for path in (
            *(home / f"{location.DATABASE}{ending}" for ending in ("", "-wal", "-shm", ".lock")),
            home / "config.json",
            home / "secrets.json",
            home / ".gitignore",
        ):
            path.unlink(missing_ok=True)
        shutil.rmtree(home / location.CHECKPOINTS, ignore_errors=True)
        with suppress(OSError):
            (store.folder / location.objects_of(store.uid)).rmdir()
        with suppress(OSError):
            (home / location.OBJECTS).rmdir()
            home.rmdir()
    forget_index(store)
    location.forget_store(store.id)
    return left


def _count_artifacts(store: Store) -> int:
    """Count the artifacts of a store."""
    ((count,),) = store.log.database.read(f"SELECT count(*) FROM {schema.ARTIFACTS.name}")  # noqa: S608 - a name from the schema
    return int(count)


def _check_remote(root: str) -> None:
    """Make sure that a remote storage can be used before anything is created."""
    from lineagelog.adapters.storage import open_storage

    open_storage(root).exists(".lineagelog")
