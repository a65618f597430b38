"""What a store is and how much it holds, in one look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lineagelog import location
from lineagelog.domain.artifact import LIVE
from lineagelog.domain.version import VERSION
from lineagelog.projections import schema
from lineagelog.projections.rows import find_one

if TYPE_CHECKING:
    from lineagelog.store import Store

_COUNTED: Final = {
    "artifacts": schema.ARTIFACTS,
    "runs": schema.RUNS,
    "transforms": schema.TRANSFORMS,
    "users": schema.USERS,
    "storages": schema.STORAGES,
    "collections": schema.COLLECTIONS,
    "ulabels": schema.ULABELS,
    "records": schema.RECORDS,
    "features": schema.FEATURES,
    "projects": schema.PROJECTS,
}


@dataclass(frozen=True, slots=True)
class Overview:
    """A store at one moment.

    Attributes:
        name: Its name.
        uid: Its short name, part of the IRIs of everything in it.
        id: UUIDv7 of the store.
        location: Its folder, or the URL of its database if it was opened by that.
        database: `sqlite` or `postgresql`.
        address: Path of the database, or its URL without credentials.
        read_only: It can be read but not written.
        user: Handle of who acts on it now.
        storage: Root of the location where new artifacts go.
        counts: Number of records of each registry.
        position: Last position of the log, which is the number of events.
        root: Merkle tree head over them, 64 hexadecimal characters.
        database_bytes: Size of the database on disk.
        content_bytes: Size of the content of all artifacts.
        created_at: When the store was created, UTC text of 27 characters.
        software: Version of the software that looks.
    """

    name: str
    uid: str
    id: str
    location: str
    database: str
    address: str
    read_only: bool
    user: str
    storage: str | None
    counts: Mapping[str, int]
    position: int
    root: str
    database_bytes: int
    content_bytes: int
    created_at: str | None
    software: str = VERSION


def overview(store: Store) -> Overview:
    """Look at a store.

    Raises:
        UserNotFoundError: `LINEAGELOG_USER` or a kept log-in names a user the store does not know.
    """
    database = store.log.database
    head = store.log.head()
    own = find_one(database, schema.STORES, id=store.id) or {}
    default = find_one(database, schema.STORAGES, id=own.get("default_storage_id"))
    user = find_one(database, schema.USERS, id=store.session.actor) or {}
    counts = {}
    for name, table in _COUNTED.items():
        # What is in the trash or deleted is not listed either.
        shown = f" WHERE state = '{LIVE}'" if table is schema.ARTIFACTS else ""
        ((counts[name],),) = database.read(f"SELECT count(*) FROM {table.name}{shown}")  # noqa: S608 - names from the schema
    total = f"SELECT coalesce(sum(size), 0) FROM {schema.ARTIFACTS.name} WHERE content_removed = 0"  # noqa: S608
    ((content_bytes,),) = database.read(total)
    return Overview(
        name=store.name,
        uid=store.uid,
        id=store.id,
        location=str(store.folder or database.name),
        database=database.dialect,
        address=database.name,
        read_only=database.read_only,
        user=str(user.get("handle", "")),
        storage=store.resolve_root(default["root"]) if default is not None else None,
        counts=counts,
        position=head.position,
        root=head.root,
        database_bytes=_database_bytes(store),
        content_bytes=int(content_bytes),
        created_at=own.get("created_at"),
    )


def _database_bytes(store: Store) -> int:
    if store.log.database.dialect == "postgresql":
        ((size,),) = store.log.database.read(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'"
        )
        return int(size)
    if store.folder is None:
        return 0
    # The write-ahead log beside the database is part of it.
    return sum(path.stat().st_size for path in location.home(store.folder).glob(f"{location.DATABASE}*"))
