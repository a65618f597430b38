"""What all mappings read with: rows of a query for all records or for some, and the values that every table has.

Each query has one place `{these}` after the id of the records it is about, which becomes all of them or a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias, TypeVar

from lineagelog.domain.errors import ExportError
from lineagelog.exporters.statement import Attributes, Moment, Name, Value
from lineagelog.projections.reader import Reader, Row

Ids: TypeAlias = frozenset[str] | None
"""Ids of some records; `None` stands for all of them."""

_CHUNK: Final = 500
Id = TypeVar("Id", str, int)
TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
"""A moment as the log writes it."""


def rows_of(reader: Reader, sql: str, ids: Ids) -> Iterator[Row]:
    """Stream a query: all its rows, or those of some ids in a lasting order."""
    if ids is None:
        return reader.stream(sql.format(these="IS NOT NULL"))
    return chunked(reader, sql, ids)


def chunked(reader: Reader, sql: str, ids: Iterable[Id]) -> Iterator[Row]:
    """Run a query for some ids or positions, a few hundred at a time; the order is theirs, which is lasting."""
    remaining = iter(sorted(ids))
    while chunk := tuple(islice(remaining, _CHUNK)):
        yield from reader.read(sql.format(these=f"IN ({', '.join('?' * len(chunk))})"), chunk)


def referred(reader: Reader, column: str, **ids: Iterable[str]) -> frozenset[str]:
    """Collect the ids that a column of some rows holds; the keywords name the tables."""
    found: set[str] = set()
    for table, rows in ids.items():
        sql = f"SELECT DISTINCT {column} FROM {table} WHERE id {{these}} AND {column} IS NOT NULL"  # noqa: S608 - names from this module
        found.update(str(id_) for (id_,) in chunked(reader, sql, rows))
    return frozenset(found)


class Groups:
    """Rows of a stream by their first column, taken in the order in which the keys come."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def take(self, key: str) -> Iterator[Row]:
        """Hand out the rest of each row that has this key."""
        while self._next is not None and self._next[0] == key:
            yield self._next[1:]
            self._next = next(self._rows, None)


def present(attributes: Sequence[tuple[Name, Value | None]]) -> Attributes:
    """Keep the attributes that have a value."""
    return tuple((name, value) for name, value in attributes if value is not None)


def moment(text: str | None) -> Moment | None:
    """Take a time of the log as it is.

    Raises:
        ExportError: It is not of the form that all times of a log have.
    """
    if text is None:
        return None
    if not TIME.fullmatch(text):
        raise ExportError(f"{text!r} is not a time as the log writes it; run `prov verify` to find the event")
    return Moment(text)
