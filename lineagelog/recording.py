"""Recorded logs: what happened in a store as a file, and a store made from such a file."""

from __future__ import annotations

import os
from pathlib import Path

from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.errors import ObjectMissingError
from lineagelog.store import Store
from lineagelog.writing import written_whole


def record_log(store: Store, path: str | os.PathLike[str]) -> Path:
    """Write the whole log of a store to a file, one line of JSON for each event; whole or not at all.

    Only the log is written, not the content of artifacts.

    Args:
        store: The store; nothing is recorded in it.
        path: File to write, by custom ending in `.jsonl`; it is replaced when the recording is complete.

    Returns:
        The path.

    Raises:
        ExportError: The file cannot be written.
        LogCorruptError: The log is not the one that was written.
    """
    from lineagelog.adapters.log.transfer import write_log

    target = Path(path)
    with written_whole(target, f"the log cannot be recorded to {target}") as out:
        out.writelines(write_log(store.log.database, store.uid))
    return target


def open_recorded(
    path: str | os.PathLike[str], *, db: str | Path | None = None, folder: str | os.PathLike[str] | None = None
) -> Store:
    """Make a store from a recorded log: the same events at the same positions, with the same ids and times.

    Args:
        path: File that `record_log` wrote.
        db: URL of an empty PostgreSQL schema, or path of a SQLite file to make; in memory by default.
        folder: Folder that holds the content of the store's own storage. Without it the content of artifacts that were
            saved there cannot be read.

    Returns:
        The store. It is not added to the list of known stores, and does not become the current one.

    Raises:
        LogCorruptError: The file is not as it was recorded; nothing was written.
        ObjectMissingError: There is no such file.
        StoreExistsError: The database holds a store already.
    """
    from lineagelog.adapters.log.transfer import read_log

    source = Path(path)
    try:
        lines = source.open("rb")
    except (OSError, ValueError) as exc:
        raise ObjectMissingError(f"the recorded log {source} cannot be read: {exc}; check the path") from exc
    made = isinstance(db, Path) and not db.exists()
    with lines:
        database = connect(db, create=True)
        try:
            read_log(database, lines, str(source))
            return Store(EventLog(database), Path(folder).resolve() if folder is not None else None)
        except BaseException:
            database.close()
            if made:
                _remove(db)
            raise


def _remove(database: str | Path | None) -> None:
    """Take away the SQLite file that was made for a log that could not be read."""
    assert isinstance(database, Path)
    # Other files whose names begin alike are not ours.
    for ending in ("", "-wal", "-shm", "-journal", ".lock"):
        database.with_name(f"{database.name}{ending}").unlink(missing_ok=True)
