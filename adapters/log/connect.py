"""Which database adapter an address means."""

from __future__ import annotations

from pathlib import Path

from lineagelog.adapters.log.database import Database


def connect(address: str | Path | None, *, create: bool = False) -> Database:
    """Open the database at an address.

    Args:
        address: Path of a SQLite file, as such or as text, URL of a PostgreSQL database, or `None` for a SQLite database in
            memory.
        create: Make the file or schema if it does not exist.

    Raises:
        StoreUnavailableError: It cannot be reached or does not exist.
    """
    if isinstance(address, str) and "://" in address:
        from lineagelog.adapters.log.postgresql import PostgreSQLDatabase

        return PostgreSQLDatabase(address, create=create)
    from lineagelog.adapters.log.sqlite import SQLiteDatabase

    return SQLiteDatabase(Path(address) if address is not None else None, create=create)
