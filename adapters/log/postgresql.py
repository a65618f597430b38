"""The database adapter for PostgreSQL: one connection per thread, an advisory lock for writers, COPY for bulk.

Writers take `pg_advisory_xact_lock` before they read the head row. Waiting on the lock is fair; waiting on the head row itself
(`SELECT … FOR UPDATE`) gave a third of the throughput and three times the worst wait. The lock's key is made from the name of
the schema, so that stores in one database do not wait for each other.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from lineagelog.adapters.log.database import Database, Transaction, UniquenessError, grouped, lacking
from lineagelog.adapters.log.schema import REFUSE_BODY, TRIGGERS
from lineagelog.domain.errors import (
    InvalidValueError,
    LineageLogError,
    StorageError,
    StoreBusyError,
    StoreReadOnlyError,
    StoreUnavailableError,
)
from lineagelog.domain.redaction import redact_url
from lineagelog.projections.functions import POSTGRESQL_COLLATIONS, postgresql_functions
from lineagelog.projections.reader import Reader, Row
from lineagelog.projections.table import Dialect, Scalar

if TYPE_CHECKING:
    import psycopg

DEFAULT_SCHEMA: Final = "lineagelog"
_HOST: Final = re.compile(r"(?:\[[^\[\]@]*\]|[^:\[\]@]*)(?::\d*)?")
_SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_COPY_FROM_ROWS: Final = 50
_FETCH_ROWS: Final = 2000
_LOCK_TIMEOUT: Final = "30s"
_URL_HINT: Final = "write it as postgresql://user:password@host:port/database, special characters percent-encoded"


class PostgreSQLDatabase(Database):
    """One schema of a PostgreSQL database."""

    dialect: Dialect = "postgresql"

    def __init__(self, url: str, *, create: bool = False) -> None:
        """Connect.

        Args:
            url: `postgresql://user:password@host:port/database?schema=name`; the schema is `lineagelog` by default, other
                parameters go to libpq.
            create: Make the schema if it does not exist.

        Raises:
            StoreUnavailableError: The server cannot be reached or refuses the log-in.
            InvalidValueError: The URL is malformed.
        """
        self._conninfo, self.schema = split_url(url)
        self.name = redact_url(url)
        self._local = threading.local()
        self._pid = os.getpid()
        self._closed = False
        self._all: dict[psycopg.Connection[Row], threading.Thread] = {}
        digest = hashlib.sha256(f"lineagelog:{self.schema}".encode()).digest()
        self._lock_key = int.from_bytes(digest[:8], "big", signed=True)
        if create:
            with self._write() as transaction:
                transaction.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
                _create_functions(transaction)
        self.read_only = self._is_read_only()

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query on its own and return all rows."""
        import psycopg

        with _translated(self.name):
            connection = self._connection()
            try:
                return connection.execute(_percent(sql), parameters).fetchall()
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
            # The server or the network has cut an idle connection; a read can simply be repeated on a new one.
            return self._connection().execute(_percent(sql), parameters).fetchall()

    @contextmanager
    def _write(self) -> Iterator[Transaction]:
        with _translated(self.name):
            connection = self._connection()
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock_key,))
                yield _PostgreSQLTransaction(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """Open one consistent view for several reads, on a connection of its own."""
        with _translated(self.name):
            connection = self._connect()
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                # BEGIN alone fixes nothing: the view is that of the first query.
                connection.execute("SELECT 1")
                yield _PostgreSQLReader(connection, self.name)
            finally:
                connection.close()

    def table_names(self) -> set[str]:
        """List the tables of the schema."""
        sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = ?"
        return {name for (name,) in self.read(sql, (self.schema,))}

    def column_names(self) -> Mapping[str, set[str]]:
        """List the columns of each table of the schema, in one query."""
        sql = (
            "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE n.nspname = ? AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
        )
        return grouped(self.read(sql, (self.schema,)))

    def trigger_names(self) -> set[str]:
        """List the triggers that protect the log, are enabled, and are as we define them."""
        sql = (
            "SELECT t.tgname::text, pg_get_triggerdef(t.oid), p.prosrc FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE n.nspname = ? AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')"
        )
        # The server writes definitions in its own way: with the name of the schema, and DELETE before UPDATE.
        return {
            name
            for name, definition, body in self.read(sql, (self.schema,))
            if body.strip() == REFUSE_BODY
            and definition.replace(f"{self.schema}.", "").replace("DELETE OR UPDATE", "UPDATE OR DELETE")
            == TRIGGERS["postgresql"].get(name)
        }

    def unique_index_names(self) -> set[str]:
        """List the indexes that keep a uniqueness rule, and are as we define them."""
        # The view `pg_indexes` fails when somebody drops a table of another schema at the same moment. An index with a
        # condition, or over other columns than its name says, keeps nothing.
        sql = (
            "SELECT c.relname::text, t.relname::text, ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY "
            "AS k(attnum, place) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.place) "
            "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ? AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
        )
        found = self.read(sql, (self.schema,))
        return {name for name, table, columns in found if name == f"unique_{table}_{'_'.join(columns)}"[:63]}

    def drop(self, tables: Sequence[str]) -> None:
        """Remove tables and our functions, and the schema itself if nothing else lies in it: it may be shared with others."""
        with self.write() as transaction:
            for table in tables:
                transaction.execute(f"DROP TABLE IF EXISTS {table}")
            functions = transaction.read(
                "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = ?::text::regnamespace "
                "AND (p.proname LIKE 'lineagelog\\_%' OR p.proname = 'refuse_change_of_events')",
                (self.schema,),
            )
            for (function,) in functions:
                transaction.execute(f"DROP FUNCTION {function}")
            others = (
                "SELECT 1 FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass "
                "AND refobjid = ?::text::regnamespace LIMIT 1"
            )
            if self.schema != "public" and not transaction.read(others, (self.schema,)):
                transaction.execute(f"DROP SCHEMA {self.schema}")

    def close(self) -> None:
        """Close all connections that belong to this process."""
        self._forget_parent()
        self._closed = True
        for connection in tuple(self._all):
            connection.close()
        self._all.clear()
        self._local = threading.local()

    def _is_read_only(self) -> bool:
        ((read_only, may_create),) = self.read(
            "SELECT current_setting('transaction_read_only') = 'on', "
            "coalesce(has_table_privilege(to_regclass('events'), 'INSERT'), true)"
        )
        return bool(read_only or not may_create)

    def _connection(self) -> psycopg.Connection[Row]:
        self._forget_parent()
        if self._closed:
            raise StoreUnavailableError(f"{self.name} has been closed; open the store again")
        connection: psycopg.Connection[Row] | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed or connection.broken:
            for other, thread in tuple(self._all.items()):
                if other is connection or not thread.is_alive():
                    self._all.pop(other, None)
                    other.close()
            connection = self._local.connection = self._connect()
            self._all[connection] = threading.current_thread()
        return connection

    def _forget_parent(self) -> None:
        """Let go of inherited connections: over one socket parent and child would read each other's answers."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._all.clear()
            self._local = threading.local()

    def _connect(self) -> psycopg.Connection[Row]:
        import psycopg

        try:
            connection: psycopg.Connection[Row] = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10)
        except psycopg.ProgrammingError:
            # The driver's text may quote a piece of the password.
            raise InvalidValueError("the database URL", f"cannot be read; {_URL_HINT}") from None
        connection.execute(
            "SELECT set_config('search_path', %s, false), set_config('TimeZone', 'UTC', false), "
            "set_config('synchronous_commit', 'on', false), set_config('lock_timeout', %s, false)",
            (self.schema, _LOCK_TIMEOUT),
        )
        return connection


class _PostgreSQLReader(Reader):
    dialect: Dialect = "postgresql"

    def __init__(self, connection: psycopg.Connection[Row], name: str) -> None:
        self._connection = connection
        self._name = name
        self._n_cursors = 0

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        with _translated(self._name):
            return self._connection.execute(_percent(sql), parameters).fetchall()

    def stream(self, sql: str, parameters: Sequence[Scalar] = ()) -> Iterator[Row]:
        self._n_cursors += 1
        name = f"lineagelog_{self._n_cursors}"
        with _translated(self._name), self._connection.cursor(name=name) as cursor:
            cursor.itersize = _FETCH_ROWS
            cursor.execute(_percent(sql), parameters)
            yield from cursor


class _PostgreSQLTransaction(Transaction):
    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        return self._connection.execute(_percent(sql), parameters).fetchall()

    def execute(self, sql: str, parameters: Sequence[Scalar] = ()) -> None:
        self._connection.execute(_percent(sql), parameters)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Scalar]]) -> None:
        if len(rows) == 1:
            self._connection.execute(_percent(sql), rows[0])
            return
        with self._connection.cursor() as cursor:
            cursor.executemany(_percent(sql), rows)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Scalar]]) -> None:
        names = ", ".join(columns)
        if len(rows) < _COPY_FROM_ROWS:
            marks = ", ".join("?" * len(columns))
            self.execute_many(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608 - names from the schema only
            return
        with self._connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def now(self) -> str:
        ((moment,),) = self._connection.execute(
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        ).fetchall()
        return str(moment)


def split_url(url: str) -> tuple[str, str]:
    """Take our own parameter `schema` out of a database URL.

    Returns:
        The URL for libpq, and the name of the schema.

    Raises:
        InvalidValueError: Not a PostgreSQL URL, or the schema is not a plain lower-case name.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise InvalidValueError("the database URL", "must begin with postgresql://; without --db the store uses SQLite")
    user, _, hosts = parts.netloc.rpartition("@")
    names = [parameter.partition("=")[:2] for parameter in parts.query.split("&") if parameter]
    if (
        "@" in user + parts.path
        or parts.fragment
        or not all(_HOST.fullmatch(host) for host in hosts.split(","))
        or not all(equals and "@" not in name for name, equals in names)
    ):
        # The URL is not shown: where it is cut wrongly, any part of it may be one of the password.
        raise InvalidValueError("the database URL", f"cannot be read; {_URL_HINT}")
    schema = DEFAULT_SCHEMA
    parameters = []
    # libpq's parameters are passed on as they are: it does not read `+` as a space, as forms do.
    for parameter in parts.query.split("&"):
        name, _, value = parameter.partition("=")
        if name == "schema":
            schema = value
        elif parameter:
            parameters.append(parameter)
    if not _SCHEMA_NAME.fullmatch(schema):
        raise InvalidValueError("the database schema", f"{schema!r} must be lower-case letters, digits and '_'")
    return urlunsplit(parts._replace(scheme="postgresql", query="&".join(parameters))), schema


def _create_functions(transaction: Transaction) -> None:
    """Create the functions that queries need, with the best collation the server has."""
    if transaction.read("SELECT 1 WHERE to_regprocedure('lineagelog_regexp(text, text, integer)') IS NOT NULL"):
        return
    # A server lists collations of all encodings; only those that fit its own can be named.
    found = transaction.read(
        "SELECT collname::text FROM pg_collation WHERE collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding()))"
    )
    names = {name for (name,) in found}
    collation = next(name for name in POSTGRESQL_COLLATIONS if name in names)
    for statement in postgresql_functions(collation):
        transaction.execute(statement)


@lru_cache(maxsize=512)
def _percent(sql: str) -> Any:
    """Rewrite `?` parameters for psycopg, which wants `%s` and doubled percent signs."""
    return sql.replace("%", "%%").replace("?", "%s")


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Raise errors of this project in place of the driver's."""
    import psycopg
    from psycopg import errors

    try:
        yield
    except LineageLogError:
        raise
    except errors.UniqueViolation as exc:
        columns = re.search(r"\((.*?)\)=", exc.diag.message_detail or "")
        names = tuple(part.strip().strip('"') for part in columns.group(1).split(",")) if columns else ()
        raise UniquenessError(exc.diag.table_name or "", names) from exc
    except (errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege) as exc:
        raise StoreReadOnlyError(
            f"{name} does not allow this write; nothing was recorded ({_first_line(exc)})"
        ) from exc
    except errors.LockNotAvailable as exc:
        raise StoreBusyError(
            f"other writers have held the log of {name} for {_LOCK_TIMEOUT}; nothing was recorded, try again"
        ) from exc
    except (errors.UndefinedTable, errors.UndefinedColumn) as exc:
        raise StorageError(lacking(name, _first_line(exc))) from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        raise StoreUnavailableError(
            f"{name} cannot be reached: {_first_line(exc)}; check that the server runs and the URL is right, then try again"
        ) from exc
    except psycopg.Error as exc:
        raise StorageError(f"{name} could not carry out a statement: {_first_line(exc)}") from exc


def _first_line(exc: Exception) -> str:
    from lineagelog.domain.redaction import redact_text

    lines = str(exc).strip().splitlines()
    return redact_text(lines[0])[0] if lines else type(exc).__name__
