"""Queries over the registries: `field__lookup=value`, relations of any depth, JSON paths, `Q` with and, or, not."""

from __future__ import annotations

from typing import Any, TypeAlias

from lineagelog.projections.registry import Registry
from lineagelog.projections.table import Dialect, Scalar

Compiled: TypeAlias = "tuple[str, list[Scalar]]"


class Q:
    """Conditions that can be joined by `&` and `|` and turned around by `~`."""

    def __init__(self, *conditions: Q, **lookups: object) -> None:
        raise NotImplementedError

    def __and__(self, other: Q) -> Q:
        raise NotImplementedError

    def __or__(self, other: Q) -> Q:
        raise NotImplementedError

    def __invert__(self) -> Q:
        raise NotImplementedError


class Query:
    """An immutable query over one registry; each method returns a new one. A value of a condition may be a `Query`, or an object
    whose attribute `query` is one.
    """

    registry: Registry

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def filter(self, *conditions: Q, **lookups: object) -> Query:
        """Keep the rows that meet all conditions."""
        raise NotImplementedError

    def exclude(self, *conditions: Q, **lookups: object) -> Query:
        """Drop the rows that meet all conditions together."""
        raise NotImplementedError

    def order_by(self, *names: str) -> Query:
        """Order by fields, also of to-one relations; `-` for descending. Rows without a value come last."""
        raise NotImplementedError

    def reverse(self) -> Query:
        """Turn the order around, for `last()`."""
        raise NotImplementedError

    def slice(self, start: int, count: int | None) -> Query:
        """Skip `start` rows and keep at most `count` of those that follow, both within an earlier slice."""
        raise NotImplementedError

    def distinct(self) -> Query:
        """Keep one of equal rows; matters for `compile(fields=…)` alone, since registry rows never repeat."""
        raise NotImplementedError

    def search(self, text: str) -> Query:
        """Keep the rows in whose search fields the text occurs, the best match first."""
        raise NotImplementedError

    def compile(self, dialect: Dialect, *, fields: tuple[str, ...] | None = None) -> Compiled:
        """Write the SQL: all columns in the order of the table, or the named fields (paths over to-one relations too)."""
        raise NotImplementedError

    def compile_count(self, dialect: Dialect) -> Compiled:
        """Write the SQL that counts the rows: one row, one number."""
        raise NotImplementedError

    def compile_exists(self, dialect: Dialect) -> Compiled:
        """Write the SQL that tells whether there is a row: one row, one truth value."""
        raise NotImplementedError

    def related_values(self, reader: Any, ids: list[str], path: str) -> dict[str, Any]:
        """Read one field over relations for many rows: row id to value, or to a list of values over a many-valued relation."""
        raise NotImplementedError


def related(registry: Registry, name: str, record: Any) -> Query:
    """Query the rows that a record's relation leads to, such as a run's `inputs`.

    Args:
        registry: Registry of the record.
        name: Name of the relation.
        record: The record or its id.
    """
    raise NotImplementedError
