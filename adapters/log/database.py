"""What the log needs of a database: a locked write transaction, reads, and a snapshot to stream from.

All SQL of the project marks parameters by `?`. Each adapter raises the errors of `domain/errors.py` and nothing of its driver's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from lineagelog.domain.errors import ConstraintError, SchemaVersionError, StoreReadOnlyError
from lineagelog.projections.reader import Reader, Row
from lineagelog.projections.table import Dialect, Insert, Operation, Scalar, batches


class UniquenessError(ConstraintError):
    """A row would break a uniqueness rule; the whole transaction was rolled back.

    Attributes:
        table: Table of the rule.
        columns: Columns of the rule.
    """

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        super().__init__(table, columns)
        self.table = table
        self.columns = columns

    def __str__(self) -> str:
        return f"another row of {self.table} has the same {', '.join(self.columns)} already"


def lacking(name: str, what: str) -> str:
    """Say that a table or column is not there, and how it is made.

    Args:
        name: The database as an error may call it.
        what: The driver's words.
    """
    return (
        f"{name} lacks a table or column ({what}): an older version has made the store, or somebody removed it; "
        "`prov rebuild` makes it from the log"
    )


def grouped(pairs: Iterable[Row]) -> dict[str, set[str]]:
    """Gather pairs of table and column by table."""
    columns: dict[str, set[str]] = {}
    for table, column in pairs:
        columns.setdefault(table, set()).add(column)
    return columns


class Transaction(ABC):
    """A write transaction that holds the log's lock."""

    @abstractmethod
    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query and return all rows."""

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Scalar] = ()) -> None:
        """Run a statement."""

    @abstractmethod
    def execute_many(self, sql: str, rows: Sequence[Sequence[Scalar]]) -> None:
        """Run a statement once for each row."""

    @abstractmethod
    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Scalar]]) -> None:
        """Insert rows by the fastest way the driver knows."""

    def apply(self, operations: Sequence[Operation]) -> None:
        """Carry out operations on rows, each statement once for many."""
        for statement, rows in batches(operations):
            if isinstance(statement, Insert) and not statement.or_ignore and statement.position_of is None:
                self.insert_rows(statement.table.name, statement.table.names, rows)
            else:
                self.execute_many(statement.sql(), rows)

    @abstractmethod
    def now(self) -> str:
        """Read the clock of the database's host: UTC text of 27 characters."""


class Database(ABC):
    """One database, used from any number of threads and processes.

    Attributes:
        dialect: `sqlite` or `postgresql`.
        name: The database as an error may call it: a path, or a URL without credentials.
        read_only: Writes are refused.
        written_by_newer: Why they are, if newer software has written to the log; `None` if it has not.
    """

    dialect: Dialect
    name: str
    read_only: bool = False
    written_by_newer: str | None = None

    def write(self) -> AbstractContextManager[Transaction]:
        """Begin a write transaction: waits for the log's lock, commits at the end, rolls back on an error.

        Raises:
            StoreReadOnlyError: The database was opened for reading.
            SchemaVersionError: Newer software has written to the log.
            StoreUnavailableError: The database cannot be reached, or the lock was not free in time.
            UniquenessError: A row broke a uniqueness rule.
        """
        self.check_writable()
        return self._write()

    def check_writable(self) -> None:
        """Refuse writes to what is only read.

        Raises:
            StoreReadOnlyError: The database was opened for reading.
            SchemaVersionError: Newer software has written to the log.
        """
        if self.written_by_newer is not None:
            raise SchemaVersionError(
                f"{self.written_by_newer}; nothing was recorded. Install a newer lineagelog to write to it"
            )
        if self.read_only:
            raise StoreReadOnlyError(
                f"{self.name} can be read but not written; nothing was recorded. Check the permissions of the file "
                "and its folder"
            )

    @abstractmethod
    def _write(self) -> AbstractContextManager[Transaction]:
        """Begin a write transaction."""

    @abstractmethod
    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query on its own and return all rows."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Reader]:
        """Open one consistent view for several reads, on a connection of its own."""

    @abstractmethod
    def table_names(self) -> set[str]:
        """List the tables of the database."""

    @abstractmethod
    def column_names(self) -> Mapping[str, set[str]]:
        """List the columns of each table of the database, in one query."""

    @abstractmethod
    def trigger_names(self) -> set[str]:
        """List the triggers that protect the log and are as we define them."""

    @abstractmethod
    def unique_index_names(self) -> set[str]:
        """List the indexes that keep a uniqueness rule, and are as we define them."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections; the object is not used afterwards."""
