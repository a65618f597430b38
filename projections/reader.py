"""How projections and exporters read a database, whichever adapter stands behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from lineagelog.projections.table import Dialect, Scalar

Row: TypeAlias = tuple[Any, ...]


class Reader(Protocol):
    """Reads within one consistent view of a database.

    Attributes:
        dialect: `sqlite` or `postgresql`.
    """

    @property
    def dialect(self) -> Dialect:
        """Which SQL the database speaks."""
        ...

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query, its parameters marked by `?`, and return all rows."""
        ...

    def stream(self, sql: str, parameters: Sequence[Scalar] = ()) -> Iterator[Row]:
        """Run a query and hand out its rows as they are fetched; memory does not grow with their number."""
        ...
