"""Ask SPARQL questions of an export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to a query.

    Attributes:
        kind: `select`, `ask` or `graph`.
        columns: Names of the variables, for `select`.
        rows: One tuple for each solution: IRIs and texts as `str`, numbers, `bool`, aware `datetime`, `None` where unbound.
        answer: The answer of `ask`.
        text: Turtle text of `graph` (CONSTRUCT and DESCRIBE).
    """

    kind: Literal["select", "ask", "graph"]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    answer: bool | None = None
    text: str | None = None


def query(source: str | Path | Iterable[bytes], sparql: str, *, timeout_s: float = 30.0) -> QueryResult:
    """Answer a SPARQL 1.1 query over an export.

    Args:
        source: Path of an export in TriG (`.trig`) or N-Quads (`.nq`), or the bytes of an N-Quads export in chunks.
        sparql: A SELECT, ASK, CONSTRUCT or DESCRIBE query; the default graph is the union of all graphs.
        timeout_s: Longest time the query may take, seconds.

    Raises:
        QueryError: The query is malformed, refused (SERVICE, FROM, updates), or takes too long.
    """
    raise NotImplementedError
