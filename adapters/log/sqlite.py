"""The database adapter for SQLite: settings, the write lock, one connection per thread.

Settings. `synchronous=FULL`: in WAL mode with NORMAL a power cut loses acknowledged commits. `secure_delete`: nothing
that was removed stays readable in free pages. `trusted_schema=OFF`: a prepared file cannot run functions through views.
No memory map: a stray write through one would reach the file.

The lock. Each write transaction, and each checkpoint of the write-ahead log, runs under an `flock` on a file beside the database.
That gives waiting writers a fair order, and it keeps two of our connections from resetting the write-ahead log at the same time,
which corrupts the file in SQLite 3.7.0 to 3.51.2 (fixed in 3.51.3, 3.50.7 and 3.44.6).
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from lineagelog.adapters.log.database import Database, Transaction, UniquenessError, grouped, lacking
from lineagelog.adapters.log.schema import EVENTS, TRIGGERS
from lineagelog.domain.errors import (
    LineageLogError,
    StorageError,
    StoreBusyError,
    StoreReadOnlyError,
    StoreUnavailableError,
)
from lineagelog.domain.values import time_text
from lineagelog.projections import schema
from lineagelog.projections.functions import SQLITE_FUNCTIONS
from lineagelog.projections.reader import Reader, Row
from lineagelog.projections.table import Dialect, Scalar, create_indexes

LOCK_TIMEOUT_S: Final = 30.0
"""Longest wait for the write lock, seconds."""

_NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ncpfs", "fuse.sshfs"})
_FETCH_ROWS: Final = 500


class SQLiteDatabase(Database):
    """A database in one file, or in memory for views that live in one process only."""

    dialect: Dialect = "sqlite"

    def __init__(
        self,
        path: Path | None,
        *,
        create: bool = False,
        read_only: bool = False,
        scratch: bool = False,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        """Open a database.

        Args:
            path: The file; `None` for a private database in memory.
            create: Make the file if it does not exist, readable by its owner only.
            read_only: Nobody writes the file any more, so that it is read without locks.
            scratch: The file is thrown away unless all goes well, so that nothing is brought to the disk in between.
            lock_timeout_s: Longest wait for the write lock, seconds.

        Raises:
            StorageError: The file lies on a network file system, whose locks do not protect it, or is not a database.
            StoreReadOnlyError: The file is to be made in a folder that cannot be written.
            StoreUnavailableError: The file does not exist or cannot be reached.
        """
        self._path = path
        self._scratch = scratch
        self._timeout_s = lock_timeout_s
        self._local = threading.local()
        self._all: dict[_Connection, threading.Thread] = {}
        self._closed = False
        self._memory: _Connection | None = None
        self._cannot_write = read_only
        self.name = str(path) if path else "a database in memory"
        if path is None:
            self._memory = self._connect()
            return
        try:
            _refuse_network_file_system(path)
            if create and not path.exists():
                with suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            if not path.is_file():
                raise StoreUnavailableError(f"the database {path} does not exist; create a store with `prov init`")
            if not create:
                _refuse_other_file(path)
        except OSError as exc:
            if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and create:
                raise StoreReadOnlyError(
                    f"the database {path} cannot be made: {exc.strerror}; nothing was recorded. Choose a folder you may write"
                ) from exc
            raise StoreUnavailableError(
                f"the database {path} cannot be reached: {exc.strerror}; check the path and its permissions"
            ) from exc
        # Apart from `read_only`: what is only read because newer software writes it may change while it is open.
        self._cannot_write = read_only or not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
        self.read_only = self._cannot_write
        self._connection()

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query on its own and return all rows."""
        connection = self._connection()
        with connection.mutex, _translated(self.name):
            return connection.sqlite.execute(sql, parameters).fetchall()

    @contextmanager
    def _write(self) -> Iterator[Transaction]:
        connection = self._connection()
        with connection.mutex, connection.lock(self._timeout_s), _translated(self.name):
            connection.check_in_place()
            sqlite = connection.sqlite
            sqlite.execute("BEGIN IMMEDIATE")
            try:
                yield _SQLiteTransaction(sqlite)
                sqlite.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled the transaction back already.
                if sqlite.in_transaction:
                    sqlite.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """Open one consistent view for several reads, on a connection of its own."""
        if self._memory is not None:
            with _translated(self.name):
                yield _SQLiteReader(self._memory.sqlite, self.name)
            return
        self._refuse_if_closed()
        with _translated(self.name):
            connection = _Connection(self._path, read_only=self._cannot_write, reader=True)
        try:
            with _translated(self.name):
                connection.sqlite.execute("BEGIN")
                # BEGIN alone fixes nothing: the view is that of the first read.
                connection.sqlite.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                yield _SQLiteReader(connection.sqlite, self.name)
        finally:
            connection.close(self._timeout_s)

    def table_names(self) -> set[str]:
        """List the tables of the database."""
        return {name for (name,) in self.read("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    def column_names(self) -> Mapping[str, set[str]]:
        """List the columns of each table of the database, in one query."""
        sql = "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        return grouped(self.read(sql))

    def trigger_names(self) -> set[str]:
        """List the triggers that protect the log and are as we define them."""
        found = self.read("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        return {name for name, sql in found if sql == TRIGGERS["sqlite"].get(name)}

    def unique_index_names(self) -> set[str]:
        """List the indexes that keep a uniqueness rule, and are as we define them."""
        found = self.read(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql LIKE 'CREATE UNIQUE INDEX%'"
        )
        return {name for name, sql in found if sql in _unique_indexes()}

    def close(self) -> None:
        """Close all connections that belong to this process; calls that other threads have begun are waited for."""
        self._closed = True
        for connection in tuple(self._all):
            connection.close(self._timeout_s)
        self._all.clear()
        self._local = threading.local()

    def _connection(self) -> _Connection:
        self._refuse_if_closed()
        if self._memory is not None:
            return self._memory
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.pid != os.getpid():
            # A connection must not be carried across a fork: parent and child would share its locks.
            if connection is not None:
                self._all.clear()
            for other, thread in tuple(self._all.items()):
                if not thread.is_alive():
                    self._all.pop(other, None)
                    other.close(self._timeout_s)
            connection = self._local.connection = self._connect()
        return connection

    def _connect(self) -> _Connection:
        with _translated(self.name):
            connection = _Connection(self._path, read_only=self._cannot_write)
        self._all[connection] = threading.current_thread()
        return connection

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailableError(f"{self.name} has been closed; open the store again")


class _Connection:
    """A SQLite connection, and the descriptor through which its thread takes the write lock."""

    def __init__(self, path: Path | None, *, read_only: bool, reader: bool = False, scratch: bool = False) -> None:
        self.pid = os.getpid()
        # Closing a connection while another thread runs a statement on it would crash the interpreter.
        self.mutex = threading.RLock()
        self._reader = reader
        self._scratch = scratch
        self._lock_path: Path | None = None
        self._path = path
        self._identity = _identity(path)
        if path is None:
            self.sqlite = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            _add_functions(self.sqlite)
            return
        target = path.absolute().as_uri()
        if read_only:
            # Without write access the shared-memory file cannot be made; with no write-ahead log there is nothing
            # in it, and the database file alone is the whole truth.
            wal = path.with_name(path.name + "-wal")
            target += "?mode=ro" if wal.exists() and wal.stat().st_size else "?immutable=1"
        elif reader:
            # A connection that cannot write runs no checkpoint when it is closed, so it never needs the lock.
            target += "?mode=ro"
        else:
            target += "?mode=rw"
            self._lock_path = path.with_name(path.name + ".lock")
        self.sqlite = sqlite3.connect(
            target, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0, cached_statements=256
        )
        try:
            self._configure()
        except BaseException:
            self.sqlite.close()
            raise

    def _configure(self) -> None:
        settings = ["synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "trusted_schema=OFF", "mmap_size=0"]
        # A bulk append touches pages all over the indexes; 64 MB hold those of some hundred thousand rows. A view that is
        # streamed from passes each page once, and should not remember them.
        settings.append(f"cache_size={-2_000 if self._reader else -65_536}")
        if sys.platform == "darwin":
            # On macOS only F_FULLFSYNC reaches the medium.
            settings += ["fullfsync=ON", "checkpoint_fullfsync=ON"]
        if self._scratch:
            settings += ["synchronous=OFF", "secure_delete=OFF", "journal_mode=MEMORY"]
        for setting in settings:
            self.sqlite.execute(f"PRAGMA {setting}")
        _add_functions(self.sqlite)
        if (
            self._scratch
            or self._lock_path is None
            or self.sqlite.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        ):
            return
        # The database of another application is left as it is; whoever opened it by mistake is told elsewhere.
        tables = {name for (name,) in self.sqlite.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if not tables or "events" in tables:
            with self.lock(LOCK_TIMEOUT_S):
                self.sqlite.execute("PRAGMA journal_mode=WAL")

    @contextmanager
    def lock(self, timeout_s: float) -> Iterator[None]:
        """Hold the write lock of the database."""
        if self._lock_path is None:
            yield
            return
        descriptor = _take_lock(self._lock_path, timeout_s)
        try:
            yield
        finally:
            # A child forked meanwhile holds a copy of the descriptor; closing ours would not end the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def check_in_place(self) -> None:
        """Refuse to write to a file that has lost its name, where whatever is written would be lost with it.

        Raises:
            StoreUnavailableError: The file was moved, removed or replaced since it was opened.
        """
        if _identity(self._path) != self._identity:
            raise StoreUnavailableError(
                f"{self._path} was moved, removed or replaced by another file since it was opened; nothing was recorded. Open the "
                "store where it is now"
            )

    def close(self, timeout_s: float) -> None:
        """Close the connection under the lock, since closing the last one runs a checkpoint."""
        if self.pid != os.getpid():
            return
        with self.mutex:
            try:
                with self.lock(timeout_s):
                    self.sqlite.close()
            except StoreUnavailableError:
                # A writer holds the lock, so it has the database open, and ours is not the last connection.
                self.sqlite.close()


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Say which file a path leads to, whatever it is called; `None` if to none."""
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status is not None else None


class _SQLiteReader(Reader):
    dialect: Dialect = "sqlite"

    def __init__(self, sqlite: sqlite3.Connection, name: str) -> None:
        self._sqlite = sqlite
        self._name = name

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        with _translated(self._name):
            return self._sqlite.execute(sql, parameters).fetchall()

    def stream(self, sql: str, parameters: Sequence[Scalar] = ()) -> Iterator[Row]:
        with _translated(self._name):
            cursor = self._sqlite.execute(sql, parameters)
            while rows := cursor.fetchmany(_FETCH_ROWS):
                yield from rows


class _SQLiteTransaction(Transaction):
    def __init__(self, sqlite: sqlite3.Connection) -> None:
        self._sqlite = sqlite

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        return self._sqlite.execute(sql, parameters).fetchall()

    def execute(self, sql: str, parameters: Sequence[Scalar] = ()) -> None:
        self._sqlite.execute(sql, parameters)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Scalar]]) -> None:
        self._sqlite.executemany(sql, rows)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Scalar]]) -> None:
        marks = ", ".join("?" * len(columns))
        self._sqlite.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 - names from the schema only
            rows,
        )

    def now(self) -> str:
        return time_text(datetime.now(UTC))


def _take_lock(path: Path, timeout_s: float) -> int:
    """Take the lock that a file stands for: waited for in turn, but not for ever.

    Each call opens the file anew. On a shared descriptor a wait that was given up could take, or let go, the lock of a later one.

    Returns:
        The descriptor that holds the lock.

    Raises:
        StoreBusyError: The lock was not free in time.
        StoreUnavailableError: The file cannot be opened, as in a folder that was moved away.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StoreUnavailableError(
            f"{path} cannot be opened: {exc.strerror}; nothing was recorded. Check where the store lies, and its permissions"
        ) from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    else:
        return descriptor
    # The kernel hands a lock to those who block on it in their order, but knows no time limit; so a thread blocks.
    state = threading.Lock()
    outcome = {"taken": False, "given_up": False}
    done = threading.Event()

    def block() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with state:
            outcome["taken"] = True
            if outcome["given_up"]:
                os.close(descriptor)
        done.set()

    def give_up() -> bool:
        with state:
            outcome["given_up"] = not outcome["taken"]
        return outcome["given_up"]

    threading.Thread(target=block, name="lineagelog-lock", daemon=True).start()
    try:
        done.wait(timeout_s)
    except BaseException:
        # Interrupted, as by Ctrl-C: nobody must be left who takes the lock and keeps it.
        if not give_up():
            os.close(descriptor)
        raise
    if give_up():
        raise StoreBusyError(
            f"another process has held the store's write lock for {timeout_s:g} seconds; nothing was recorded. "
            f"Find it with `lsof {path}`, or try again"
        )
    return descriptor


@cache
def _unique_indexes() -> frozenset[str]:
    """Write all uniqueness rules; one with a condition, or over other columns, keeps nothing."""
    return frozenset(statement for table in (EVENTS, *schema.TABLES) for statement in create_indexes(table))


def _add_functions(sqlite: sqlite3.Connection) -> None:
    """Give a connection the functions that queries need and SQLite lacks."""
    for name, n_arguments, function in SQLITE_FUNCTIONS:
        sqlite.create_function(name, n_arguments, function, deterministic=True)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Raise errors of this project in place of the driver's."""
    try:
        yield
    except LineageLogError:
        raise
    except sqlite3.IntegrityError as exc:
        text = str(exc)
        if text.startswith("UNIQUE constraint failed: "):
            places = [
                part.strip().partition(".") for part in text.removeprefix("UNIQUE constraint failed: ").split(",")
            ]
            raise UniquenessError(places[0][0], tuple(column for _, _, column in places)) from exc
        raise StorageError(f"{name} refused a write: {exc}; nothing was recorded") from exc
    except sqlite3.OperationalError as exc:
        text = str(exc)
        if "readonly" in text or "read-only" in text:
            raise StoreReadOnlyError(f"{name} can be read but not written; nothing was recorded ({exc})") from exc
        if "full" in text:
            raise StoreUnavailableError(
                f"{name} cannot grow: {exc}; nothing was recorded, free space and try again"
            ) from exc
        if "locked" in text or "unable to open" in text or "disk" in text:
            raise StoreUnavailableError(f"{name} cannot be used now: {exc}; nothing was recorded, try again") from exc
        if text.startswith(("no such table", "no such column")) or "has no column named" in text:
            raise StorageError(lacking(name, text)) from exc
        raise StorageError(f"{name} could not carry out a statement: {exc}") from exc
    except sqlite3.ProgrammingError as exc:
        raise StorageError(f"{name} could not carry out a statement: {exc}") from exc
    except sqlite3.DatabaseError as exc:
        raise StorageError(f"{name} is damaged or not a SQLite database: {exc}; restore it from a backup") from exc


def _refuse_other_file(path: Path) -> None:
    """Refuse a file that is no SQLite database, before anything is made beside it.

    Raises:
        StoreUnavailableError: The file is empty.
        StorageError: It begins otherwise than a SQLite database (https://www.sqlite.org/fileformat.html, 1.3).
    """
    with path.open("rb") as file:
        header = file.read(16)
    if not header:
        raise StoreUnavailableError(f"the database {path} is empty; create a store with `prov init`")
    if header != b"SQLite format 3\x00":
        raise StorageError(f"{path} is not a SQLite database; give the path of a store, or restore it from a backup")


def _refuse_network_file_system(path: Path) -> None:
    """Refuse files whose locks other machines do not see (Linux; other systems are not checked).

    Raises:
        StorageError: The folder is mounted from another machine.
    """
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return
    folder = path.parent.resolve()
    best, kind = Path("/"), ""
    for line in mounts.read_text().splitlines():
        fields = line.split(" ")
        point = Path(fields[1].replace("\\040", " "))
        if len(fields) > 2 and folder.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, fields[2]
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StorageError(
            f"{folder} lies on a network file system ({kind}), where SQLite's locks do not hold; "
            "keep the store on a local disk, or use PostgreSQL: `prov init --db postgresql://…`"
        )
