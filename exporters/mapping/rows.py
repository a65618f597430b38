"""What all mappings read with: rows of a query for all records or for some, and the values that every table has.

Each query has one place `{these}` after the id of the records it is about, which becomes all of them or a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from lineagelog.domain.errors import ExportError
from lineagelog.exporters.block import Fillings, Moments, Names
from lineagelog.exporters.statement import Moment
from lineagelog.exporters.vocabulary import CREATED, MODIFIED, local_name
from lineagelog.projections.reader import Reader, Row

Ids: TypeAlias = frozenset[str] | None
"""Ids of some records; `None` stands for all of them."""

Columns: TypeAlias = list[tuple[Any, ...]]
"""Rows, turned round."""

_CHUNK: Final = 500
_BLOCK: Final = 500
Id = TypeVar("Id", str, int)
TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
"""A moment as the log writes it."""

_TIMES: Final = re.compile(f"(?:{TIME.pattern})*")
_TIME_LENGTH: Final = 27


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


def columns_of(reader: Reader, sql: str, ids: Ids, *, keep: Callable[[Row], bool] | None = None) -> Iterator[Columns]:
    """Stream a query as the columns of some rows at a time.

    Args:
        reader: One consistent view of the store.
        sql: The query.
        ids: Ids of the records it is about; `None` for all.
        keep: Which rows to take; all by default.
    """
    rows = rows_of(reader, sql, ids)
    if keep is not None:
        rows = filter(keep, rows)
    return blocks_of(rows)


def blocks_of(rows: Iterator[Row]) -> Iterator[Columns]:
    """Turn some rows at a time into columns."""
    while block := list(islice(rows, _BLOCK)):
        yield list(zip(*block, strict=True))


def names(prefix: str, uids: Sequence[str | None]) -> Names:
    """Name the records of these uids."""
    present = [uid for uid in uids if uid is not None]
    together = "".join(present)
    # What stays as it is by `local_name`, found out for all of them at once.
    if together.isascii() and together.isalnum() and "" not in present and not any(map(str.isdigit, present)):
        return Names(uids, prefix)
    return Names([None if uid is None else local_name(uid) for uid in uids], prefix)


def event_names(prefix: str, positions: Iterable[int]) -> Names:
    """Name what came of the events at these positions."""
    return Names([f"e{position}" for position in positions], prefix)


def moments(texts: Sequence[str | None]) -> Moments:
    """Take times of the log as they are.

    Raises:
        ExportError: One of them is not of the form that all times of a log have.
    """
    present = [text for text in texts if text is not None]
    if set(map(len, present)) - {_TIME_LENGTH} or not _TIMES.fullmatch("".join(present)):
        wrong = next(text for text in present if not TIME.fullmatch(text))
        raise ExportError(f"{wrong!r} is not a time as the log writes it; run `prov verify` to find the event")
    return Moments(texts)


def moment(text: str) -> Moment:
    """Take one time of the log as it is.

    Raises:
        ExportError: It is not of the form that all times of a log have.
    """
    moments([text])
    return Moment(text)


def dates(created_at: Sequence[str], updated_at: Sequence[str]) -> Fillings:
    """Say when records were made, and when they were changed, if they were."""
    changed = [None if new == old else new for old, new in zip(created_at, updated_at, strict=True)]
    return (CREATED, moments(created_at)), (MODIFIED, moments(changed))


def unless(empty: Any, values: Sequence[Any]) -> list[Any]:
    """Take the values, but nothing where they say nothing, such as `"{}"`."""
    return [None if value == empty else value for value in values]
