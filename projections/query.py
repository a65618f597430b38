"""Queries over the registries: `field__lookup=value`, relations of any depth, JSON paths, `Q` with and, or, not.

A query is checked name by name and value by value when a condition is added, and becomes SQL when it is run. In between stand
nodes: plain values that hold the columns and relations found in `registry.py`, never a text of the user's. SQLAlchemy turns
their shape into SQL, once for each shape; the values go to the database as parameters.

A condition that meets an empty field does not hold, and its opposite does: `exclude` gives exactly the rows that `filter` leaves
out. Relations become semi-joins, so that no row appears twice. Text is compared by its characters; the `i…` lookups lower both
sides with the same function on both databases. Of regular expressions the part that Python and PostgreSQL share means the same
on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from lineagelog.domain.errors import UnknownFieldError
from lineagelog.domain.values import check_text
from lineagelog.projections.condition import (
    LOOKUPS,
    Features,
    all_of,
    any_of,
    negation,
    resolve,
    search_test,
    to_one_path,
)
from lineagelog.projections.node import ALWAYS, NEVER, Among, Node, Order, Related, Selection
from lineagelog.projections.registry import REGISTRIES, Registry
from lineagelog.projections.sql import Compiled, Readable, compiled, read_related
from lineagelog.projections.table import Dialect
from lineagelog.projections.words import searched_words

__all__ = ["LOOKUPS", "Compiled", "Q", "Query", "Readable", "related"]

_MAX_SEARCH_WORDS: Final = 10


class Q:
    """Conditions that can be joined by `&` and `|` and turned around by `~`."""

    __slots__ = ("_conditions", "_joiner")

    def __init__(self, *conditions: Q, **lookups: object) -> None:
        """Join conditions by "and".

        Args:
            conditions: Other `Q` objects.
            lookups: Conditions, written `field__lookup=value`.
        """
        self._joiner = "and"
        self._conditions: tuple[Q | tuple[str, object], ...] = (*map(_check_q, conditions), *lookups.items())

    def __and__(self, other: Q) -> Q:
        return self._join("and", (self, _check_q(other)))

    def __or__(self, other: Q) -> Q:
        return self._join("or", (self, _check_q(other)))

    def __invert__(self) -> Q:
        return self._join("not", (self,))

    def __repr__(self) -> str:
        inner = ", ".join(
            repr(condition) if isinstance(condition, Q) else f"{condition[0]}={condition[1]!r}"
            for condition in self._conditions
        )
        return f"Q({inner})" if self._joiner == "and" else f"{self._joiner}({inner})"

    @staticmethod
    def _join(joiner: str, conditions: tuple[Q, ...]) -> Q:
        joined = Q()
        joined._joiner, joined._conditions = joiner, conditions
        return joined

    def resolve(self, registry: Registry, features: Features | None = None) -> Node:
        """Look up every name and check every value.

        Args:
            registry: The registry that is asked.
            features: Tells the features, if they may be named.

        Raises:
            UnknownFieldError: A field, relation, feature or lookup does not exist.
            InvalidValueError: A value does not fit its field.
        """
        nodes = [
            condition.resolve(registry, features)
            if isinstance(condition, Q)
            else resolve(registry, *condition, features)
            for condition in self._conditions
        ]
        if self._joiner == "not":
            return negation(nodes[0])
        return any_of(nodes) if self._joiner == "or" else all_of(nodes)


@dataclass(frozen=True, slots=True)
class Query(Selection):
    """An immutable query over one registry; each method returns a new one.

    A value of a condition may be a `Query`, or an object whose attribute `query` is one.

    A query that starts at a registry leaves out the rows that the registry shows only to those who ask for them: artifacts
    in the trash or deleted, and logs and reports of runs. It shows them once a condition names the field that tells them,
    `state` or `kind`; so does `all_states`.
    Relations are history and lead to all rows.

    Attributes:
        features: Tells the features by name; without it no feature can be named.
    """

    features: Features | None = field(default=None, compare=False, repr=False)

    def filter(self, *conditions: Q, **lookups: object) -> Query:
        """Keep the rows that meet all conditions.

        Several conditions over one many-valued relation mean the same related row if they are joined by "and" in one call; in
        several calls each may mean another.

        Args:
            conditions: `Q` objects.
            lookups: Conditions, written `field__lookup=value`.

        Raises:
            UnknownFieldError: A field, relation or lookup does not exist.
            InvalidValueError: A value does not fit its field.
        """
        return self._with(self._resolve(conditions, lookups))

    def exclude(self, *conditions: Q, **lookups: object) -> Query:
        """Drop the rows that meet all conditions together: what `filter` would keep."""
        return self._with(negation(self._resolve(conditions, lookups)))

    def search(self, text: str) -> Query:
        """Keep the rows that hold every word of the text, each as the beginning of a word in a search field, the best match first.

        Where words begin is told in `words.py`; of the text the first ten count. A word of four or more letters and digits also
        finds the uids that begin with it. A text without a letter or digit finds nothing, an empty one all rows.

        A field that is the text ranks before one that begins with it, then come those that hold it further on, and those that
        hold its words apart.
        """
        phrase = " ".join(check_text(text, "the searched text").split())
        if not phrase:
            return self._with(ALWAYS)
        words = dict.fromkeys(searched_words(phrase)[:_MAX_SEARCH_WORDS])
        matching = self._with(search_test(words) if words else NEVER)
        return replace(matching, order=(Order((), "", text=phrase),))

    def order_by(self, *names: str) -> Query:
        """Order by fields, also of to-one relations; `-` before a name sorts downward. Rows without a value come last.

        Raises:
            UnknownFieldError: A field does not exist or cannot be sorted by.
        """
        order = []
        for name in names:
            relations, column = to_one_path(self.registry, name.removeprefix("-"), "sortable field")
            order.append(Order(relations, column.name, descending=name.startswith("-")))
        return replace(self._settled(), order=tuple(order), backward=False)

    def reverse(self) -> Query:
        """Turn the order around."""
        settled = self._settled()
        return replace(settled, order=tuple(key.reversed() for key in settled.order), backward=not settled.backward)

    def slice(self, start: int, count: int | None) -> Query:
        """Skip `start` rows and keep at most `count` of those that follow, both within an earlier slice."""
        if start < 0 or (count is not None and count < 0):
            raise ValueError(f"a slice begins at 0 or later and keeps 0 or more rows, not {start} and {count}")
        left = None if self.count is None else max(self.count - start, 0)
        limits = [limit for limit in (left, count) if limit is not None]
        return replace(self, start=self.start + start, count=min(limits) if limits else None)

    def all_states(self) -> Query:
        """Show also the rows that the registry shows only to those who ask for them."""
        return replace(self, whole=True)

    def distinct(self) -> Query:
        """Leave repeated rows away; matters for `compile(fields=…)` alone, since the rows of a registry never repeat."""
        return replace(self, only_once=True)

    def compile(self, dialect: Dialect, *, fields: Sequence[str] | None = None) -> Compiled:
        """Write the SQL.

        Args:
            dialect: The database's.
            fields: Fields to read, also of to-one relations; all columns in the order of the table by default.

        Returns:
            The statement, its parameters marked by `?`, and their values.

        Raises:
            UnknownFieldError: A field does not exist.
        """
        if fields is None:
            return compiled(self, dialect, "rows")
        paths = tuple(to_one_path(self.registry, name, "field") for name in fields)
        return compiled(self, dialect, "fields", tuple((relations, column.name) for relations, column in paths))

    def compile_count(self, dialect: Dialect) -> Compiled:
        """Write the SQL that counts the rows: one row, one number."""
        return compiled(self, dialect, "count")

    def compile_exists(self, dialect: Dialect) -> Compiled:
        """Write the SQL that tells whether there is a row: one row, one truth value."""
        return compiled(self, dialect, "exists")

    def related_values(self, reader: Readable, ids: Sequence[str], path: str) -> dict[str, Any]:
        """Read one field over relations for many rows.

        Args:
            reader: Where to read.
            ids: Ids of rows of this registry.
            path: Relations and field, such as `created_by__handle`, or a place in a JSON field, such as `params__lr`. A path that
                ends with a relation means the name of a label, record, feature or project, and the uid of others.

        Returns:
            Row id to value, or to a list of values if a relation on the way is many-valued.

        Raises:
            UnknownFieldError: The path does not exist.
        """
        return read_related(self.registry, reader, ids, path)

    def _resolve(self, conditions: tuple[Q, ...], lookups: dict[str, object]) -> Node:
        # The features are read once, however many conditions name one, and not at all if none does.
        return Q(*conditions, **lookups).resolve(self.registry, None if self.features is None else cache(self.features))

    def _with(self, node: Node) -> Query:
        settled = self._settled()
        return replace(settled, conditions=(*settled.conditions, node))

    def _settled(self) -> Query:
        """Make a query out of which the slice is a condition, so that what follows acts on the rows of the slice."""
        if not self.start and self.count is None:
            return self
        return replace(self, conditions=(Among("id", self),), start=0, count=None)


def related(registry: Registry, name: str, record: object) -> Query:
    """Query the rows that a record's relation leads to, such as a run's `inputs`.

    Args:
        registry: Registry of the record.
        name: Name of the relation.
        record: The record or its id.

    Raises:
        UnknownFieldError: There is no such relation.
    """
    relation = registry.relations.get(name)
    if relation is None:
        raise UnknownFieldError(registry.name, name, tuple(registry.relations), "relation")
    record_id = getattr(record, "id", record)
    own = Query(registry, whole=True).filter(id=record_id)
    order: tuple[Order, ...] = ()
    if relation.through is not None and relation.through.order:
        order = (Order((registry.name, name), "", text=str(record_id)),)
    leading = Related(registry.name, f"~{name}", Among("id", own))
    return Query(REGISTRIES[relation.target], (leading,), order, whole=True)


def _check_q(condition: object) -> Q:
    if not isinstance(condition, Q):
        raise TypeError(f"a condition is a Q object or a keyword such as key='a.csv', not {type(condition).__name__}")
    return condition
