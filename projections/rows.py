"""Single rows by equality: the few look-ups that tracking makes, without the query compiler and its import."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from lineagelog.projections.reader import Row
from lineagelog.projections.table import Scalar, Table

RowDict: TypeAlias = dict[str, Any]
"""One row, column name to value."""

_CHUNK = 500


class Readable(Protocol):
    """Anything that answers a query with rows."""

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query, its parameters marked by `?`, and return all rows."""
        ...


def find(reader: Readable, table: Table, **equal: Scalar) -> list[RowDict]:
    """Read the rows whose columns have these values, in the order of their positions.

    Args:
        reader: Where to read.
        table: The table.
        equal: Column name to value; `None` finds empty columns.
    """
    conditions, parameters = [], []
    for name, value in equal.items():
        column = table.column(name).name
        conditions.append(f"{column} IS NULL" if value is None else f"{column} = ?")
        if value is not None:
            parameters.append(value)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"SELECT {', '.join(table.names)} FROM {table.name}{where} ORDER BY {table.names[0]}"  # noqa: S608 - names from the schema only
    return [dict(zip(table.names, row, strict=True)) for row in reader.read(sql, parameters)]


def find_one(reader: Readable, table: Table, **equal: Scalar) -> RowDict | None:
    """Read the first of the rows that `find` reads, or `None`."""
    rows = find(reader, table, **equal)
    return rows[0] if rows else None


def find_in(reader: Readable, table: Table, column: str, values: Iterable[Scalar], **equal: Scalar) -> list[RowDict]:
    """Read the rows whose column has any of these values, some hundred values to a statement."""
    name = table.column(column).name
    rows: list[RowDict] = []
    wanted = list(dict.fromkeys(values))
    also = "".join(f" AND {table.column(other).name} = ?" for other in equal)
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        sql = (
            f"SELECT {', '.join(table.names)} FROM {table.name} "  # noqa: S608 - names from the schema only
            f"WHERE {name} IN ({', '.join('?' * len(chunk))}){also}"
        )
        rows += [dict(zip(table.names, row, strict=True)) for row in reader.read(sql, [*chunk, *equal.values()])]
    return rows
