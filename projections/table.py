"""How a projection table is described, and the SQL text that follows from it.

The description is plain data. DDL and the statements of the projection are made from it as text and run on the database driver
itself; the query language builds SQLAlchemy tables from it (`projections/query.py`) when a first query is made. SQLAlchemy
takes 0.3 s of processor time to import, more than a whole tracked script may cost, and Core constructs on the append path
cost half of its throughput.

Statements mark their parameters by `?`; the PostgreSQL adapter rewrites that for its driver.

All text is compared by bytes on both databases (`BINARY` on SQLite, `COLLATE "C"` on PostgreSQL), times are UTC text of 27
characters, JSON is text: what was written is what is read, bit for bit, so that a rebuilt table can be compared with the live one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["id", "text", "int", "real", "bool", "time", "json"]
Dialect: TypeAlias = Literal["sqlite", "postgresql"]

_SQL_TYPES: Final[dict[Dialect, dict[Kind, str]]] = {
    "sqlite": {
        "id": "TEXT",
        "text": "TEXT",
        "int": "INTEGER",
        "real": "REAL",
        "bool": "INTEGER",
        "time": "TEXT",
        "json": "TEXT",
    },
    "postgresql": {
        "id": 'TEXT COLLATE "C"',
        "text": 'TEXT COLLATE "C"',
        "int": "BIGINT",
        "real": "DOUBLE PRECISION",
        "bool": "SMALLINT",
        "time": 'TEXT COLLATE "C"',
        "json": 'TEXT COLLATE "C"',
    },
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its name.
        kind: Its type, in terms both databases share.
        null: It may be empty.
        doc: What it holds.
    """

    name: str
    kind: Kind = "text"
    null: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One projection table. There is one object for each, compared by identity.

    Attributes:
        name: Name in the database.
        columns: Columns; the first is the primary key unless `key` names others.
        unique: Column groups that are unique; named `unique_<table>_<columns>`.
        indexes: Column groups that are indexed.
        key: Columns of the primary key, which is also the order of the rows.
        clustered: The rows lie in the index of the primary key itself, where the database can do that.
        names: Names of all columns.
    """

    name: str
    columns: tuple[Column, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    key: tuple[str, ...] = ()
    clustered: bool = False
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))
        object.__setattr__(self, "key", self.key or self.names[:1])

    def column(self, name: str) -> Column:
        """Look a column up by name."""
        return self.columns[self.names.index(name)]


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert rows into a table.

    Attributes:
        table: The table.
        or_ignore: A row that breaks a uniqueness rule is left away.
        position_of: The rows belong to rows of this table, and their `position` is read there: in its place, after the other
            values, stands the id of that row.
    """

    table: Table
    or_ignore: bool = False
    position_of: Table | None = None

    def sql(self) -> str:
        """Write the statement, one placeholder for each column."""
        if self.position_of is not None:
            names = [name for name in self.table.names if name != "position"]
            return (
                f"INSERT INTO {self.table.name} ({', '.join(names)}, position) "  # noqa: S608 - names from the schema only
                f"SELECT {', '.join('?' * len(names))}, position FROM {self.position_of.name} WHERE id = ?"
            )
        conflict = " ON CONFLICT DO NOTHING" if self.or_ignore else ""
        return (
            f"INSERT INTO {self.table.name} ({', '.join(self.table.names)}) "  # noqa: S608 - names from the schema only
            f"VALUES ({', '.join('?' * len(self.table.names))}){conflict}"
        )


@dataclass(frozen=True, slots=True)
class Update:
    """Set some columns of the rows found by others.

    Attributes:
        table: The table.
        assign: Columns to set, in the order of the parameters.
        where: Columns to compare, whose parameters follow.
    """

    table: Table
    assign: tuple[str, ...]
    where: tuple[str, ...]

    def sql(self) -> str:
        """Write the statement."""
        assignments = ", ".join(f"{name} = ?" for name in self.assign)
        conditions = " AND ".join(f"{name} = ?" for name in self.where)
        return f"UPDATE {self.table.name} SET {assignments} WHERE {conditions}"  # noqa: S608 - names from the schema only


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the rows found by some columns: a link, a value or a word that no longer holds, never a record.

    Attributes:
        table: The table.
        where: Columns to compare, in the order of the parameters.
        position_of: The rows belong to a row of this table, whose id follows; see `Insert`.
    """

    table: Table
    where: tuple[str, ...]
    position_of: Table | None = None

    def sql(self) -> str:
        """Write the statement."""
        conditions = " AND ".join(f"{name} = ?" for name in self.where)
        if self.position_of is not None:
            conditions += f" AND position = (SELECT position FROM {self.position_of.name} WHERE id = ?)"  # noqa: S608 - names from the schema only
        return f"DELETE FROM {self.table.name} WHERE {conditions}"  # noqa: S608 - names from the schema only


@dataclass(frozen=True, slots=True)
class Archive:
    """Copy the rows found by some columns to the table of those that are past; deleting them is the next statement.

    It counts as a statement of the table it reads, so that it keeps its place between inserts and deletes; nothing else
    writes the other table.

    Attributes:
        table: The table.
        past: Where the copies go: the same columns, and those that say how a row ended, which come first in the parameters.
        where: Columns to compare, whose parameters follow.
    """

    table: Table
    past: Table
    where: tuple[str, ...]

    def sql(self) -> str:
        """Write the statement."""
        names = self.table.names
        added = ", ".join("?" for name in self.past.names if name not in names)
        conditions = " AND ".join(f"{name} = ?" for name in self.where)
        return (
            f"INSERT INTO {self.past.name} ({', '.join(self.past.names)}) "  # noqa: S608 - names from the schema only
            f"SELECT {', '.join(names)}, {added} FROM {self.table.name} WHERE {conditions}"
        )


_WITH_SOURCE: Final = frozenset({Insert, Delete})

Statement: TypeAlias = Insert | Update | Delete | Archive
Scalar: TypeAlias = "str | int | float | None"
Operation: TypeAlias = tuple[Statement, tuple[Scalar, ...]]


def create_table(table: Table, dialect: Dialect) -> str:
    """Write the DDL of a table without its secondary indexes."""
    types = _SQL_TYPES[dialect]
    lines = []
    for column in table.columns:
        # Only a key of one column of whole numbers is SQLite's own row number.
        constraint = " PRIMARY KEY" if table.key == (column.name,) else "" if column.null else " NOT NULL"
        lines.append(f"    {column.name} {types[column.kind]}{constraint}")
    if len(table.key) > 1:
        lines.append(f"    PRIMARY KEY ({', '.join(table.key)})")
    body = ",\n".join(lines)
    options = f" STRICT{', WITHOUT ROWID' if table.clustered else ''}" if dialect == "sqlite" else ""
    return f"CREATE TABLE {table.name} (\n{body}\n){options}"


def create_indexes(table: Table) -> Iterator[str]:
    """Write the DDL of a table's indexes, the unique ones first."""
    for columns in table.unique:
        yield f"CREATE UNIQUE INDEX {index_name('unique', table, columns)} ON {table.name} ({', '.join(columns)})"
    for columns in table.indexes:
        yield f"CREATE INDEX {index_name('index', table, columns)} ON {table.name} ({', '.join(columns)})"


def split_indexes(table: Table) -> tuple[list[str], list[str]]:
    """Write the DDL of a table's indexes for a replay of events into an empty table.

    Returns:
        Those that a replay needs: by which rows are found, or whose rule keeps rows away that events repeat on purpose. And those
        that are better made at the end, in one pass each; a rule that is broken is found then as well.
    """
    statements = list(create_indexes(table))
    # Rows without an id are found by their rule.
    needed = [columns == ("id",) or "id" not in table.names for columns in table.unique]
    needed += [False] * len(table.indexes)
    return (
        [statement for statement, at_once in zip(statements, needed, strict=True) if at_once],
        [statement for statement, at_once in zip(statements, needed, strict=True) if not at_once],
    )


def index_name(prefix: str, table: Table, columns: Sequence[str]) -> str:
    """Name an index after what it covers; short enough for PostgreSQL's 63 bytes."""
    return f"{prefix}_{table.name}_{'_'.join(columns)}"[:63]


def batches(operations: Sequence[Operation]) -> list[tuple[Statement, list[tuple[Scalar, ...]]]]:
    """Group operations so that each statement runs once over many rows, without changing what they do together.

    Operations on different tables do not depend on one another, since no table refers to another by a constraint; the order
    within a table is kept. One that reads a position comes after what was done to the table it reads.
    """
    groups: list[tuple[Statement, list[tuple[Scalar, ...]]]] = []
    last_of_table: dict[str, int] = {}
    for statement, row in operations:
        last = last_of_table.get(statement.table.name, -1)
        source = statement.position_of if type(statement) in _WITH_SOURCE else None  # type: ignore[union-attr]
        if last >= 0 and groups[last][0] is statement and (source is None or last > last_of_table.get(source.name, -1)):
            groups[last][1].append(row)
        else:
            last_of_table[statement.table.name] = len(groups)
            groups.append((statement, [row]))
    return groups
