"""Which records are the parents of which: a label's wider terms, or the transforms whose results a transform reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from lineagelog.projections import schema
from lineagelog.projections.lineage import Readable, transform_children, transform_parents
from lineagelog.projections.rows import RowDict, find_in
from lineagelog.projections.table import Table


class Hierarchy(NamedTuple):
    """A record with all its parents and perhaps children.

    Attributes:
        subject: Id of the record asked for.
        rows: Rows of the records, by id.
        edges: Ids of parent and child, the nearest first.
    """

    subject: str
    rows: Mapping[str, RowDict]
    edges: tuple[tuple[str, str], ...]


def hierarchy(
    reader: Readable, table: Table, subject: str, *, with_children: bool = False, max_depth: int | None = None
) -> Hierarchy:
    """Follow the parents of a record, and its children if asked to; a cycle is walked once.

    Args:
        reader: Where to read.
        table: Registry of the record.
        subject: Its id.
        with_children: Follow the children as well.
        max_depth: So many steps; to the end by default.
    """
    upward: _Next
    downward: _Next
    if table is schema.TRANSFORMS:
        upward = partial(transform_parents, reader)
        downward = partial(transform_children, reader)
    else:
        upward = _linked(reader, "source_id", "target_id")
        downward = _linked(reader, "target_id", "source_id")
    edges = dict.fromkeys((parent, child) for child, parent in _walk(subject, upward, max_depth))
    if with_children:
        edges |= dict.fromkeys(_walk(subject, downward, max_depth))
    ids = dict.fromkeys((subject, *(node for edge in edges for node in edge)))
    found = {row["id"]: row for row in find_in(reader, table, "id", ids)}
    return Hierarchy(subject, {node: found[node] for node in ids if node in found}, tuple(edges))


_Next = Callable[[Iterable[str]], Iterable[tuple[str, str]]]


def _walk(subject: str, following: _Next, max_depth: int | None) -> list[tuple[str, str]]:
    """Collect the steps away from a record, level by level."""
    steps: list[tuple[str, str]] = []
    known, level = {subject}, [subject]
    while level and (max_depth is None or max_depth > 0):
        max_depth = max_depth - 1 if max_depth is not None else None
        found = list(following(level))
        steps += found
        level = list(dict.fromkeys(other for _, other in found if other not in known))
        known.update(level)
    return steps


def _linked(reader: Readable, here: str, there: str) -> _Next:
    def following(level: Iterable[str]) -> Iterable[tuple[str, str]]:
        rows = find_in(reader, schema.LINKS, here, level, kind="parent")
        return sorted((row[here], row[there]) for row in rows)

    return following
