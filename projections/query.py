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

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgspec

from lineagelog.domain.errors import InvalidValueError, UnknownFieldError
from lineagelog.domain.values import check_json, check_text, parse_time, time_text
from lineagelog.projections.reader import Row
from lineagelog.projections.registry import REGISTRIES, Registry, Relation
from lineagelog.projections.schema import TABLES
from lineagelog.projections.table import Column, Dialect, Kind, Scalar, Table

if TYPE_CHECKING:
    import sqlalchemy as sa

Compiled: TypeAlias = "tuple[str, list[Scalar]]"

_COMPARISONS: Final = ("exact", "in", "gt", "gte", "lt", "lte", "range", "isnull")
_TEXT_LOOKUPS: Final = (
    "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "regex", "iregex",
)  # fmt: skip
_RELATION_LOOKUPS: Final = ("exact", "in", "isnull")
LOOKUPS: Final[dict[Kind, tuple[str, ...]]] = {
    "text": (*_COMPARISONS, *_TEXT_LOOKUPS),
    "id": (*_COMPARISONS, *_TEXT_LOOKUPS),
    "json": (*_COMPARISONS, *_TEXT_LOOKUPS),
    "int": _COMPARISONS,
    "time": _COMPARISONS,
    "bool": ("exact", "in", "isnull"),
}
"""The lookups of each kind of field."""

_INT_LIMIT: Final = 2**63
_MAX_SEARCH_WORDS: Final = 10
# Names are stored in this normal form (`check_name`), so another spelling of one must be brought to it.
_NORMALISED: Final = frozenset({"key", "name"})
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_json: Final = msgspec.json.Encoder()


class Readable(Protocol):
    """Anything that answers a query with rows."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks."""
        ...

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query, its parameters marked by `?`, and return all rows."""
        ...


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

    def resolve(self, registry: Registry) -> Node:
        """Look up every name and check every value.

        Raises:
            UnknownFieldError: A field, relation or lookup does not exist.
            InvalidValueError: A value does not fit its field.
        """
        nodes = [
            condition.resolve(registry) if isinstance(condition, Q) else _resolve(registry, *condition)
            for condition in self._conditions
        ]
        if self._joiner == "not":
            return _not(nodes[0])
        return _any(nodes) if self._joiner == "or" else _all(nodes)


@dataclass(frozen=True, slots=True)
class _Test:
    """One comparison of a column, or of a place inside a JSON column."""

    column: str
    operator: str
    values: tuple[Scalar, ...] = ()
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Join:
    """Nodes joined by `and` or `or`; without nodes, always true or never."""

    joiner: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class _Not:
    """The rows for which a node does not hold."""

    node: Node


@dataclass(frozen=True, slots=True)
class _Related:
    """The rows with a related row for which a node holds."""

    registry: str
    relation: str
    node: Node


@dataclass(frozen=True, slots=True)
class _Among:
    """The rows whose column is the id of a row of another query."""

    column: str
    query: Query


Node: TypeAlias = "_Test | _Join | _Not | _Related | _Among"

_ALWAYS: Final = _Join("and", ())


@dataclass(frozen=True, slots=True)
class _Order:
    """One key of the order.

    Attributes:
        relations: To-one relations that lead to the field; for a place, the registry and relation that it is a place of.
        column: The field; empty for the rank of a search and for a place.
        descending: Greatest first; rows without a value come last in either case.
        empty_first: Rows without a value come first, as in an order that was turned around.
        text: What was searched for, or the id of the record in whose relation the rows have places.
    """

    relations: tuple[str, ...]
    column: str
    descending: bool = False
    empty_first: bool = False
    text: str = ""

    def reversed(self) -> _Order:
        return replace(self, descending=not self.descending, empty_first=not self.empty_first)


@dataclass(frozen=True, slots=True)
class Query:
    """An immutable query over one registry; each method returns a new one.

    A value of a condition may be a `Query`, or an object whose attribute `query` is one.

    Attributes:
        registry: The registry.
        conditions: One node for each call of `filter` or `exclude`; all must hold.
        order: Keys of the order; rows that they leave equal come in the order of their positions.
        backward: The order of the positions is turned around.
        start: Rows to skip.
        count: Rows to keep at most.
        only_once: Leave repeated rows of chosen fields away.
    """

    registry: Registry
    conditions: tuple[Node, ...] = ()
    order: tuple[_Order, ...] = ()
    backward: bool = False
    start: int = 0
    count: int | None = None
    only_once: bool = False

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
        return self._with(Q(*conditions, **lookups).resolve(self.registry))

    def exclude(self, *conditions: Q, **lookups: object) -> Query:
        """Drop the rows that meet all conditions together: what `filter` would keep."""
        return self._with(_not(Q(*conditions, **lookups).resolve(self.registry)))

    def search(self, text: str) -> Query:
        """Keep the rows in whose search fields every word of the text occurs, the best match first.

        A field that is the text ranks before one that begins with it, then come those with a word that begins with it, those that
        hold it anywhere, and those that hold its words apart.
        """
        phrase = " ".join(_text(text, "the searched text").split())
        words = phrase.split(" ")[:_MAX_SEARCH_WORDS]
        found = [_any([_search_test(name, word) for name in self.registry.search]) for word in words]
        matching = self._with(_Join("and", tuple(found)))
        return replace(matching, order=(_Order((), "", text=phrase),)) if phrase else matching

    def order_by(self, *names: str) -> Query:
        """Order by fields, also of to-one relations; `-` before a name sorts downward. Rows without a value come last.

        Raises:
            UnknownFieldError: A field does not exist or cannot be sorted by.
        """
        order = []
        for name in names:
            relations, column = _to_one_path(self.registry, name.removeprefix("-"), "sortable field")
            order.append(_Order(relations, column.name, descending=name.startswith("-")))
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
            return _compiled(self, dialect, "rows")
        paths = tuple(_to_one_path(self.registry, name, "field") for name in fields)
        return _compiled(self, dialect, "fields", tuple((relations, column.name) for relations, column in paths))

    def compile_count(self, dialect: Dialect) -> Compiled:
        """Write the SQL that counts the rows: one row, one number."""
        return _compiled(self, dialect, "count")

    def compile_exists(self, dialect: Dialect) -> Compiled:
        """Write the SQL that tells whether there is a row: one row, one truth value."""
        return _compiled(self, dialect, "exists")

    def related_values(self, reader: Readable, ids: Sequence[str], path: str) -> dict[str, Any]:
        """Read one field over relations for many rows.

        Args:
            reader: Where to read.
            ids: Ids of rows of this registry.
            path: Relations and field, such as `created_by__handle`, or a place in a JSON field, such as `params__lr`. A path that
                ends with a relation means the uid.

        Returns:
            Row id to value, or to a list of values if a relation on the way is many-valued.

        Raises:
            UnknownFieldError: The path does not exist.
        """
        return _related_values(self.registry, reader, ids, path)

    def _with(self, node: Node) -> Query:
        settled = self._settled()
        return replace(settled, conditions=(*settled.conditions, node))

    def _settled(self) -> Query:
        """Make a query out of which the slice is a condition, so that what follows acts on the rows of the slice."""
        if not self.start and self.count is None:
            return self
        return replace(self, conditions=(_Among("id", self),), start=0, count=None)


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
    own = Query(registry).filter(id=record_id)
    order: tuple[_Order, ...] = ()
    if relation.through is not None and relation.through.order:
        order = (_Order((registry.name, name), "", text=str(record_id)),)
    return Query(REGISTRIES[relation.target], (_Related(registry.name, f"~{name}", _Among("id", own)),), order)


# From names and values to nodes.


def _check_q(condition: object) -> Q:
    if not isinstance(condition, Q):
        raise TypeError(f"a condition is a Q object or a keyword such as key='a.csv', not {type(condition).__name__}")
    return condition


def _all(nodes: Sequence[Node]) -> Node:
    """Join by "and"; conditions over one relation become conditions on one related row."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, _Join) and node.joiner == "and" else (node,))
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in flat:
        if isinstance(node, _Related):
            groups.setdefault((node.registry, node.relation), []).append(node.node)
    joined: list[Node] = [node for node in flat if not isinstance(node, _Related)]
    joined += [_Related(*relation, _all(inner)) for relation, inner in groups.items()]
    return joined[0] if len(joined) == 1 else _Join("and", tuple(joined))


def _not(node: Node) -> Node:
    return node.node if isinstance(node, _Not) else _Not(node)


def _any(nodes: Sequence[Node]) -> Node:
    """Join by "or"; inside one relation if all are over that relation, so that `_all` can see it."""
    if len(nodes) == 1:
        return nodes[0]
    relations = {(node.registry, node.relation) if isinstance(node, _Related) else None for node in nodes}
    relation = relations.pop() if len(relations) == 1 else None
    if relation is not None:
        return _Related(*relation, _any([node.node for node in nodes if isinstance(node, _Related)]))
    return _Join("or", tuple(nodes))


def _resolve(registry: Registry, name: str, value: object) -> Node:
    """Turn one condition into a node."""
    head, *rest = name.split("__")
    relation = registry.relations.get(head)
    if relation is not None:
        if not rest or (rest[0] in _RELATION_LOOKUPS and len(rest) == 1):
            return _relation_test(registry, head, relation, rest[0] if rest else "exact", value)
        target = REGISTRIES[relation.target]
        known = target.find_column(rest[0]) is not None or rest[0] in target.relations
        if not known and len(rest) == 1 and rest[0] in LOOKUPS["text"]:
            raise UnknownFieldError(f"{registry.name}.{head}", rest[0], _RELATION_LOOKUPS, "lookup")
        return _Related(registry.name, head, _resolve(target, "__".join(rest), value))
    column = registry.find_column(head)
    if column is None:
        raise UnknownFieldError(registry.name, head, registry.choices)
    what = f"{registry.name}.{head}"
    lookup = "exact"
    if rest and rest[-1] in LOOKUPS[column.kind]:
        lookup = rest.pop()
    if column.kind == "json":
        return _json_test(column.name, what, tuple(rest), lookup, value)
    if rest:
        raise UnknownFieldError(what, "__".join(rest), LOOKUPS[column.kind], "lookup")
    subquery = _query_of(value)
    if subquery is not None:
        if lookup != "in" or column.name != "id":
            raise InvalidValueError(what, "cannot be compared with a query; write `id__in=` or name a relation")
        return _Among("id", _check_target(subquery, registry.name, what))
    return _column_test(column, what, lookup, value)


def _relation_test(registry: Registry, name: str, relation: Relation, lookup: str, value: object) -> Node:
    what = f"{registry.name}.{name}"
    # The key of the related row stands in the row itself: nothing has to be joined.
    own_key = relation.column if relation.target_column == "id" and relation.through is None else None
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    if lookup == "isnull":
        missing = _truth(value, f"{what}__isnull")
        there = _Test(own_key, "not_null") if own_key else _Related(registry.name, name, _ALWAYS)
        return _Not(there) if missing else there

    def holds(node: _Test | _Among) -> Node:
        if own_key and node.column == "id":
            return replace(node, column=own_key)
        return _Related(registry.name, name, node)

    subquery = _query_of(value)
    if lookup == "exact":
        if subquery is not None:
            raise InvalidValueError(what, f"cannot equal a query; write `{name}__in=`")
        column, text = _identity(value, relation.target, what)
        return holds(_Test(column, "eq", (text,)))
    if subquery is not None:
        return holds(_Among("id", _check_target(subquery, relation.target, what)))
    items = _items(value, what)
    wanted: dict[str, list[Scalar]] = {}
    for item in items:
        if item is not None:
            column, text = _identity(item, relation.target, what)
            wanted.setdefault(column, []).append(text)
    nodes = [holds(_Test(column, "in", (_array(texts),))) for column, texts in wanted.items()]
    if any(item is None for item in items):
        nodes.append(_relation_test(registry, name, relation, "isnull", True))
    return _any(nodes or [_Test("id", "in", ("[]",))])


def _identity(value: object, target: str, what: str) -> tuple[str, Scalar]:
    """Find out which row is meant: by a record, an id or a uid."""
    registry = REGISTRIES[target]
    if isinstance(value, str):
        if _ID.fullmatch(value):
            return "id", value
        if len(value) == registry.uid_length and value.isascii() and value.isalnum():
            return "uid", value
        raise InvalidValueError(
            what,
            f"is a {target}, and {value!r} is neither an id nor a whole uid; pass the record, or name a field of it: "
            f"`{what.rpartition('.')[2]}__{registry.lookup_field}=`",
        )
    names = [cls.__name__ for cls in type(value).__mro__]
    found = next((name for name in names if name in REGISTRIES), target)
    record_id = getattr(value, "id", None)
    if found != target or (record_id is None and not hasattr(value, "id")):
        raise InvalidValueError(what, f"is a {target}, not {type(value).__name__}; pass the record, its id or its uid")
    if not isinstance(record_id, str):
        raise InvalidValueError(what, f"was compared with a {target} that is not saved; call save() first")
    return "id", record_id


def _query_of(value: object) -> Query | None:
    found = value if isinstance(value, Query) else getattr(value, "query", None)
    return found if isinstance(found, Query) else None


def _check_target(query: Query, target: str, what: str) -> Query:
    if query.registry.name != target:
        raise InvalidValueError(what, f"is a {target}, and the query is one of {query.registry.name}")
    return query


def _column_test(column: Column, what: str, lookup: str, value: object) -> Node:
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    if lookup == "isnull":
        return _Test(column.name, "null" if _truth(value, f"{what}__isnull") else "not_null")
    if lookup in _TEXT_LOOKUPS:
        return _text_test(column.name, lookup, _value(column, what, value), what)
    if column.kind == "time":
        return _time_test(column.name, what, lookup, value)
    if lookup == "range":
        low, high = (_value(column, what, bound) for bound in _bounds(value, what))
        return _Join("and", (_Test(column.name, "gte", (low,)), _Test(column.name, "lte", (high,))))
    if lookup == "in":
        items = _items(value, what)
        texts = [_value(column, what, item) for item in items if item is not None]
        among = _Test(column.name, "in", (_array(texts),))
        return _any([among, _Test(column.name, "null")]) if len(texts) < len(items) else among
    return _Test(column.name, "eq" if lookup == "exact" else lookup, (_value(column, what, value),))


def _text_test(column: str, lookup: str, value: Scalar, what: str, path: tuple[str, ...] = ()) -> _Test:
    """Turn a lookup in a text into an operator that needs no escaping: positions and bounds in place of patterns."""
    text = str(value)
    if lookup in ("regex", "iregex"):
        try:
            re.compile(text)
        except re.error as exc:
            raise InvalidValueError(what, f"was compared with the regular expression {text!r}: {exc}") from exc
        return _Test(column, lookup, (text,), path)
    if lookup == "startswith":
        above = _successor(text)
        return _Test(column, "gte", (text,), path) if above is None else _Test(column, "between", (text, above), path)
    if lookup in ("istartswith", "endswith", "iendswith"):
        return _Test(column, lookup, (text, len(text)), path) if text else _Test(column, "gte", ("",), path)
    return _Test(column, lookup, (text,), path)


def _search_test(column: str, word: str) -> _Test:
    # Any short word occurs somewhere in some random uid; people type the beginning of one.
    return _text_test(column, "istartswith" if column == "uid" else "icontains", word, column)


def _successor(prefix: str) -> str | None:
    """Return the least text above all that begin with a prefix, in the order of code points; `None` if there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Surrogates are no characters: they cannot be stored or compared.
            return prefix[:-1] + ("\ue000" if last == 0xD7FF else chr(last + 1))
        prefix = prefix[:-1]
    return None


def _time_test(column: str, what: str, lookup: str, value: object) -> Node:
    """Compare a time; a date means its whole day, in UTC."""
    if lookup == "range":
        low, high = _bounds(value, what)
        return _Join("and", (_time_test(column, what, "gte", low), _time_test(column, what, "lte", high)))
    if lookup == "in":
        return _any([_column_test(Column(column, "time"), what, "exact", item) for item in _items(value, what)])
    first, after = _moments(value, what)
    if lookup == "exact":
        return _Test(column, "eq", (first,)) if after is None else _Test(column, "between", (first, after))
    if after is not None and lookup in ("gt", "lte"):
        return _Test(column, {"gt": "gte", "lte": "lt"}[lookup], (after,))
    return _Test(column, lookup, (first,))


def _moments(value: object, what: str) -> tuple[str, str | None]:
    """Return the stored text of a moment; of a date, its first moment and the first one after it."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if _DAY.fullmatch(value) else datetime.fromisoformat(value)
        except ValueError as exc:
            raise InvalidValueError(what, f"is a time, and {value!r} is not ISO 8601, such as 2026-11-21") from exc
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidValueError(what, f"was compared with {value.isoformat()}, which has no time zone; add one")
        return time_text(value), None
    if isinstance(value, date):
        first = datetime.combine(value, time(), UTC)
        try:
            return time_text(first), time_text(first + timedelta(days=1))
        except OverflowError:
            return time_text(first), "~"  # after every stored time, as a text
    raise InvalidValueError(what, f"is a time, not {type(value).__name__}; pass a datetime, a date or ISO 8601 text")


def _json_test(column: str, what: str, path: tuple[str, ...], lookup: str, value: object) -> Node:
    """Compare a place inside a JSON column with a value of the same type: 1 is not "1" and not True, but equals 1.0."""
    what = ".".join((what, *path))
    for part in path:
        _text(part, what)
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    if lookup == "isnull":
        return _Test(column, "json_null" if _truth(value, f"{what}__isnull") else "json_not_null", (), path)
    if not path:
        raise InvalidValueError(what, f"is compared part by part: write `{what.rpartition('.')[2]}__name=`")
    if lookup == "in":
        items = _items(value, what)
        plain = [_json_scalar(item, what) for item in items if item is not None]
        among = _Test(column, "json_in", (_json.encode(plain).decode(),), path)
        return _any([among, _Test(column, "json_null", (), path)]) if len(plain) < len(items) else among
    if lookup == "range":
        low, high = _bounds(value, what)
        bounds = (_json_test(column, what, path, "gte", low), _json_test(column, what, path, "lte", high))
        return _Join("and", bounds)
    scalar = _json_scalar(value, what)
    if lookup in _TEXT_LOOKUPS:
        if not isinstance(scalar, str):
            raise InvalidValueError(what, f"was compared by {lookup} with {type(value).__name__}; pass text")
        test = _text_test(column, lookup, scalar, what, path)
        return replace(test, operator=f"json_text_{test.operator}")
    operator = "eq" if lookup == "exact" else lookup
    if isinstance(scalar, bool):
        if operator != "eq":
            raise InvalidValueError(what, "was compared by size with a bool, which has no order")
        return _Test(column, "json_bool", ("true" if scalar else "false",), path)
    if isinstance(scalar, str):
        return _Test(column, f"json_text_{operator}", (scalar,), path)
    return _Test(column, f"json_number_{operator}", (_json.encode(scalar).decode(),), path)


def _json_scalar(value: object, what: str) -> str | int | float | bool:
    plain = check_json(value, what)
    if plain is None or isinstance(plain, list | dict):
        raise InvalidValueError(what, f"cannot be compared with {type(value).__name__}; compare its parts one by one")
    return plain


def _value(column: Column, what: str, value: object) -> Scalar:
    """Check a value and give it the form in which the column is stored."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
    if column.kind == "bool":
        if not isinstance(value, bool):
            raise InvalidValueError(what, f"is True or False, not {type(value).__name__}")
        return int(value)
    if column.kind == "int":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidValueError(what, f"is a whole number, not {type(value).__name__}")
        if not -_INT_LIMIT <= value < _INT_LIMIT:
            raise InvalidValueError(what, f"was compared with {value}, which is beyond 64 bits")
        return value
    text = _text(getattr(value, "id", value) if column.kind == "id" else value, what)
    return unicodedata.normalize("NFC", text) if column.name in _NORMALISED else text


def _text(value: object, what: str) -> str:
    return check_text(value, what)


def _truth(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError(what, f"is True or False, not {type(value).__name__}")
    return value


def _items(value: object, what: str) -> list[object]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidValueError(f"{what}__in", f"is a list, not {type(value).__name__}")
    return list(value)


def _bounds(value: object, what: str) -> tuple[Any, Any]:
    bounds = value if isinstance(value, tuple | list) else ()
    if len(bounds) != 2:
        raise InvalidValueError(f"{what}__range", "is a pair: the lowest and the highest value")
    return bounds[0], bounds[1]


def _array(values: Sequence[Scalar]) -> str:
    # One parameter holds any number of values: SQLite allows 32,766 parameters, and the statement stays the same.
    return _json.encode(values).decode()


def _to_one_path(registry: Registry, path: str, kind: str) -> tuple[tuple[str, ...], Column]:
    """Resolve a field over to-one relations."""
    *names, last = path.split("__")
    for name in names:
        relation = registry.relations.get(name)
        if relation is None or relation.many:
            choices = tuple(name for name, relation in registry.relations.items() if not relation.many)
            raise UnknownFieldError(registry.name, name, choices, "to-one relation")
        registry = REGISTRIES[relation.target]
    column = registry.find_column(last)
    if column is None or (column.kind == "json" and kind == "sortable field"):
        raise UnknownFieldError(registry.name, last, (*registry.fields, *registry.aliases), kind)
    return tuple(names), column


# From nodes to SQL. A shape is what remains of a query without its values; one statement serves all queries of one shape.

_Shape: TypeAlias = "tuple[Any, ...]"


def _compiled(query: Query, dialect: Dialect, mode: str, fields: tuple[Any, ...] = ()) -> Compiled:
    values: list[Scalar] = []
    sql, slots, constants = _statement(dialect, mode, fields, _query_shape(query, values))
    return sql, [values[slot] if slot >= 0 else constants[-slot - 1] for slot in slots]


def _query_shape(query: Query, values: list[Scalar]) -> _Shape:
    conditions = tuple(_shape(node, values) for node in query.conditions)
    order = tuple(
        (key.relations, key.column, key.descending, key.empty_first, _slot(key, values)) for key in query.order
    )
    start = limit = None
    if query.count is not None:
        values.append(query.count)
        limit = len(values) - 1
    if query.start:
        values.append(query.start)
        start = len(values) - 1
    return (query.registry.name, conditions, order, query.backward, limit, start, query.only_once)


def _slot(key: _Order, values: list[Scalar]) -> int:
    if not key.column:
        values.append(key.text)
    return len(values) - 1


def _shape(node: Node, values: list[Scalar]) -> _Shape:
    if isinstance(node, _Test):
        start = len(values)
        values.extend(node.path)
        values.extend(node.values)
        parts = tuple(_INDEX.fullmatch(part) is not None for part in node.path)
        return ("test", node.column, node.operator, parts, start)
    if isinstance(node, _Join):
        return (node.joiner, tuple(_shape(inner, values) for inner in node.nodes))
    if isinstance(node, _Not):
        return ("not", _shape(node.node, values))
    if isinstance(node, _Related):
        return ("related", node.registry, node.relation, _shape(node.node, values))
    return ("among", node.column, _query_shape(node.query, values))


@lru_cache(maxsize=1024)
def _statement(
    dialect: Dialect, mode: str, fields: tuple[Any, ...], shape: _Shape
) -> tuple[str, tuple[int, ...], tuple[Scalar, ...]]:
    """Write the statement of a shape.

    Returns:
        The SQL; for each `?` the slot of its value, below 0 if the value is a constant; the constants.
    """
    compiled = _Writer(dialect).statement(mode, fields, shape).compile(dialect=_dialect(dialect))
    slots: list[int] = []
    constants: list[Scalar] = []
    for name in compiled.positiontup or ():
        if name.startswith("value_"):
            slots.append(int(name.removeprefix("value_")))
        else:
            constants.append(compiled.params[name])
            slots.append(-len(constants))
    return str(compiled), tuple(slots), tuple(constants)


@cache
def _dialect(name: Dialect) -> sa.Dialect:
    if name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.dialect(paramstyle="qmark")
    from sqlalchemy.dialects import postgresql

    return postgresql.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]


@cache
def _table(table: Table) -> sa.TableClause:
    import sqlalchemy as sa

    return sa.table(table.name, *(sa.column(name) for name in table.names))


class _Writer:
    """Builds the expression of one statement; table aliases are numbered through it."""

    def __init__(self, dialect: Dialect) -> None:
        import sqlalchemy as sa

        self.sa = sa
        self.sqlite = dialect == "sqlite"
        self.n_aliases = 0

    def statement(self, mode: str, fields: tuple[Any, ...], shape: _Shape) -> Any:
        sa = self.sa
        if mode == "rows":
            return self.select(shape)
        if mode == "fields":
            return self.select(shape, fields)
        inner = self.select(shape, (), ordered=False)
        if mode == "exists":
            return sa.select(inner.exists())
        if shape[4] is None and shape[5] is None:
            return inner.with_only_columns(sa.func.count(), maintain_column_froms=True)
        return sa.select(sa.func.count()).select_from(inner.subquery(self.name()))

    def select(self, shape: _Shape, fields: tuple[Any, ...] | None = None, *, ordered: bool = True) -> Any:
        """Write a whole query: all columns, chosen fields, or for `()` the id."""
        sa = self.sa
        registry_name, conditions, order, backward, limit, start, only_once = shape
        registry = REGISTRIES[registry_name]
        table = self.alias(registry.table)
        if fields is None:
            columns: list[Any] = [table.c[name] for name in registry.table.names]
        elif fields:
            columns = [self.reach(table, registry, *field).label(f"f{n}") for n, field in enumerate(fields)]
        else:
            columns = [table.c.id]
        query = sa.select(*columns).select_from(table).correlate(None)
        if conditions:
            query = query.where(*(self.condition(table, registry, node) for node in conditions))
        if fields and only_once:
            # Rows without a place of their own are put in the order of what they show.
            query = query.distinct().order_by(*columns)
        elif ordered or limit is not None or start is not None:
            keys = [self.order_key(table, registry, key) for key in order]
            position = table.c.position
            query = query.order_by(*keys, position.desc() if backward else position.asc())
        if limit is not None:
            query = query.limit(self.value(limit))
        if start is not None:
            query = query.offset(self.value(start))
        return query

    def order_key(self, table: Any, registry: Registry, key: _Shape) -> Any:
        relations, column, descending, empty_first, slot = key
        if not column:
            rank = self.place(table, relations, slot) if relations else self.rank(table, registry, slot)
            return rank.desc() if descending else rank.asc()
        expression = self.reach(table, registry, relations, column)
        ordered = expression.desc() if descending else expression.asc()
        if not relations and not registry.table.column(column).null:
            return ordered  # an index can serve it
        return ordered.nulls_first() if empty_first else ordered.nulls_last()

    def reach(self, table: Any, registry: Registry, relations: tuple[str, ...], column: str) -> Any:
        """Read a field over to-one relations."""
        if not relations:
            return table.c[column]
        relation = registry.relations[relations[0]]
        target_registry = REGISTRIES[relation.target]
        target = self.alias(target_registry.table)
        inner = self.reach(target, target_registry, relations[1:], column)
        query = (
            self.sa.select(inner)
            .select_from(target)
            .where(target.c[relation.target_column] == table.c[relation.column])
        )
        return query.correlate(table).scalar_subquery()

    def place(self, table: Any, relation: tuple[str, ...], slot: int) -> Any:
        """Read the place that a row has among those related to one record."""
        registry, name = relation
        through = REGISTRIES[registry].relations[name].through
        assert through is not None
        link = self.alias(through.table)
        ours = self.sa.and_(link.c[through.near] == self.value(slot), link.c[through.far] == table.c.id)
        kinds = self.sa.or_(*(link.c.kind == self.literal(kind) for kind in through.kinds))
        return self.sa.select(link.c[through.order]).where(ours, kinds).correlate(table).scalar_subquery()

    def rank(self, table: Any, registry: Registry, slot: int) -> Any:
        """Number the quality of a search match from 0."""
        sa = self.sa
        phrase = self.lower(self.value(slot))
        texts = [sa.func.coalesce(self.lower(table.c[name]), self.literal("")) for name in registry.search]
        spaced = texts
        for separator in "/_-.":
            spaced = [sa.func.replace(text, self.literal(separator), self.literal(" ")) for text in spaced]
        length = sa.func.length(phrase)
        begins = [sa.func.substr(text, sa.literal_column("1"), length) == phrase for text in texts]
        blank = self.literal(" ")
        words = [self.find(blank.op("||")(text), blank.op("||")(phrase)) for text in spaced]
        return sa.case(
            (sa.or_(*(text == phrase for text in texts)), sa.literal_column("0")),
            (sa.or_(*begins), sa.literal_column("1")),
            (sa.or_(*words), sa.literal_column("2")),
            (sa.or_(*(self.find(text, phrase) for text in texts)), sa.literal_column("3")),
            else_=sa.literal_column("4"),
        )

    def condition(self, table: Any, registry: Registry, shape: _Shape) -> Any:
        sa = self.sa
        kind = shape[0]
        if kind == "test":
            _, column, operator, path, start = shape
            if operator.startswith("json_"):
                return self.json_test(table.c[column], operator.removeprefix("json_"), path, start)
            return self.test(table.c[column], operator, start)
        if kind == "and":
            return sa.and_(sa.true(), *(self.condition(table, registry, node) for node in shape[1]))
        if kind == "or":
            return sa.or_(sa.false(), *(self.condition(table, registry, node) for node in shape[1]))
        if kind == "not":
            # NULL counts as "does not hold" before it is turned around.
            return sa.case(
                (self.condition(table, registry, shape[1]), sa.literal_column("0")), else_=sa.literal_column("1")
            ) == (sa.literal_column("1"))
        if kind == "among":
            return table.c[shape[1]].in_(self.select(shape[2], (), ordered=False))
        return self.related(table, *shape[1:])

    def related(self, table: Any, registry_name: str, name: str, shape: _Shape) -> Any:
        """Write a semi-join; `~` before the name follows the relation from its target back.

        Relations that follow one another become joins within it: SQLite's parser bears few nested queries.
        """
        sa = self.sa
        outer = key = source = None
        tests: list[Any] = []
        while True:
            registry = REGISTRIES[registry_name]
            relation = registry.relations[name.removeprefix("~")]
            other = REGISTRIES[relation.target]
            here, there, through = relation.column, relation.target_column, relation.through
            if name.startswith("~"):
                other, here, there = registry, there, here
                through = through and through.turned()
            steps: list[tuple[Any, str]] = []
            if through is not None:
                link = self.alias(through.table)
                steps.append((link, through.near))
                if through.kinds:
                    tests.append(sa.or_(*(link.c.kind == self.literal(kind) for kind in through.kinds)))
                there = "id"
            # What stands in the link itself needs no look at the target.
            by_id = through is not None and shape[0] == "test" and shape[1] == "id" and not through.mixed
            is_there = through is not None and shape == ("and", ()) and not through.mixed
            target = self.alias(other.table)
            if not by_id and not is_there:
                steps.append((target, there))
            for step, column in steps:
                if source is None:
                    outer, key, source = table.c[here], step.c[column], step
                    if through is None and other.table.column(there).null:
                        tests.append(key.is_not(None))
                else:
                    source = source.join(step, table.c[here] == step.c[column])
                if through is not None:
                    table, here = step, through.far
            if by_id and through is not None:
                tests.append(self.test(link.c[through.far], shape[2], shape[4]))
            table = target
            if shape[0] != "related":
                break
            registry_name, name, shape = shape[1:]
        if not by_id and not is_there:
            tests.append(self.condition(target, other, shape))
        assert outer is not None
        return outer.in_(sa.select(key).select_from(source).correlate(None).where(*tests))

    def test(self, text: Any, operator: str, start: int) -> Any:
        """Compare a column or text with the values from a slot on."""
        sa = self.sa
        value = self.value(start)
        if operator == "null":
            return text.is_(None)
        if operator == "not_null":
            return text.is_not(None)
        if operator == "between":
            return sa.and_(text >= value, text < self.value(start + 1))
        if operator == "in":
            return text.in_(self.array(value, self.is_int(text)))
        if operator == "contains":
            return self.find(text, value)
        if operator == "iexact":
            return self.lower(text) == self.lower(value)
        if operator == "icontains":
            return self.find(self.lower(text), self.lower(value))
        if operator == "istartswith":
            head = sa.func.substr(self.lower(text), sa.literal_column("1"), self.value(start + 1))
            return head == self.lower(value)
        if operator == "endswith":
            return self.tail(text, self.value(start + 1)) == value
        if operator == "iendswith":
            return self.tail(self.lower(text), self.value(start + 1)) == self.lower(value)
        if operator in ("regex", "iregex"):
            ignore_case = sa.literal_column("1" if operator == "iregex" else "0")
            return sa.func.lineagelog_regexp(value, text, ignore_case) == sa.literal_column("1")
        if operator == "eq":
            return text == value
        return {"gt": text > value, "gte": text >= value, "lt": text < value, "lte": text <= value}[operator]

    def json_test(self, column: Any, operator: str, path: tuple[bool, ...], start: int) -> Any:
        return (
            self.json_sqlite(column, operator, path, start)
            if self.sqlite
            else self.json_postgresql(column, operator, path, start)
        )

    def json_sqlite(self, column: Any, operator: str, path: tuple[bool, ...], start: int) -> Any:
        """Step through the levels with `json_each`, whose keys are decoded: a path text cannot hold every key."""
        sa = self.sa
        levels: list[Any] = []
        tests: list[Any] = []
        source = column
        for number in range(len(path)):
            level = sa.func.json_each(source).table_valued("key", "value", "type", "atom", name=self.name())
            levels.append(level)
            tests.append(sa.cast(level.c.key, sa.Text) == self.value(start + number))
            nested = level.c.type.in_([self.literal("object"), self.literal("array")])
            source = sa.case((nested, level.c.value), else_=self.literal("{}"))
        first = start + len(path)
        if not levels:
            # The column itself: never empty, so it only has to be looked at as a whole.
            return sa.true() if operator == "not_null" else sa.false()
        kind, atom = levels[-1].c.type, levels[-1].c.atom
        number_kinds = [self.literal("integer"), self.literal("real")]
        if operator in ("null", "not_null"):
            tests.append(kind != self.literal("null"))
        elif operator == "bool":
            tests.append(kind == self.value(first))
        elif operator == "in":
            item = sa.func.json_each(self.value(first)).table_valued("type", "atom", name=self.name())
            same_kind = sa.or_(item.c.type == kind, sa.and_(item.c.type.in_(number_kinds), kind.in_(number_kinds)))
            among = sa.select(sa.literal_column("1")).select_from(item).where(item.c.atom == atom, same_kind)
            tests.append(among.correlate(levels[-1]).exists())
        elif operator.startswith("text_"):
            tests += [kind == self.literal("text"), self.test(atom, operator.removeprefix("text_"), first)]
        else:
            wanted = sa.func.json_extract(self.value(first), self.literal("$"))
            tests += [kind.in_(number_kinds), self.compare(atom, operator.removeprefix("number_"), wanted)]
        found = sa.select(sa.literal_column("1")).select_from(*levels).where(*tests).correlate(column.table).exists()
        return sa.not_(found) if operator == "null" else found

    def json_postgresql(self, column: Any, operator: str, path: tuple[bool, ...], start: int) -> Any:
        """Compare as `jsonb`, whose equality respects types; only a plain index may reach into a list."""
        sa = self.sa
        jsonb = sa.literal_column("jsonb")
        value = column.op("::")(jsonb)
        for number, is_index in enumerate(path):
            part = sa.cast(self.value(start + number), sa.Text)
            value = sa.func.jsonb_extract_path(value, part) if is_index else sa.func.jsonb_object_field(value, part)
        first = start + len(path)
        kind = sa.func.coalesce(sa.func.jsonb_typeof(value), self.literal("null"))
        if operator == "null":
            return kind == self.literal("null")
        if operator == "not_null":
            return kind != self.literal("null")
        if operator == "bool":
            return value == sa.cast(self.value(first), sa.Text).op("::")(jsonb)
        if operator == "in":
            items = sa.func.jsonb_array_elements(sa.cast(self.value(first), sa.Text).op("::")(jsonb))
            return value.in_(sa.select(items))
        if operator.startswith("text_"):
            text = sa.collate(sa.func.jsonb_extract_path_text(sa.func.jsonb_build_array(value), self.literal("0")), "C")
            return sa.and_(kind == self.literal("string"), self.test(text, operator.removeprefix("text_"), first))
        wanted = sa.cast(self.value(first), sa.Text).op("::")(jsonb)
        return sa.and_(kind == self.literal("number"), self.compare(value, operator.removeprefix("number_"), wanted))

    def compare(self, left: Any, operator: str, right: Any) -> Any:
        if operator == "eq":
            return left == right
        return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator]

    def array(self, value: Any, is_int: bool) -> Any:
        """Unfold the values of an `in` list from the one parameter that holds them."""
        sa = self.sa
        if self.sqlite:
            items = sa.func.json_each(value).table_valued("value", name=self.name())
            return sa.select(items.c.value).select_from(items).correlate(None)
        texts = sa.func.jsonb_array_elements_text(sa.cast(value, sa.Text).op("::")(sa.literal_column("jsonb")))
        return sa.select(sa.cast(texts, sa.BigInteger) if is_int else sa.collate(texts, "C"))

    @staticmethod
    def is_int(column: Any) -> bool:
        source = getattr(column.table, "element", column.table)
        return any(table.name == source.name and table.column(column.name).kind in ("int", "bool") for table in TABLES)

    def find(self, text: Any, part: Any) -> Any:
        return (
            self.sa.func.instr(text, part) if self.sqlite else self.sa.func.strpos(text, part)
        ) > self.sa.literal_column("0")

    def tail(self, text: Any, length: Any) -> Any:
        # `substr` with a start below 0 counts from the end.
        return self.sa.func.substr(text, -length) if self.sqlite else self.sa.func.right(text, length)

    def lower(self, text: Any) -> Any:
        return self.sa.func.lineagelog_lower(text)

    def literal(self, text: str) -> Any:
        """Write one of the project's own words into the statement."""
        return self.sa.literal_column(f"'{text}'")

    def value(self, slot: int) -> Any:
        return self.sa.bindparam(f"value_{slot}")

    def alias(self, table: Table) -> Any:
        return _table(table).alias(self.name())

    def name(self) -> str:
        self.n_aliases += 1
        return f"t{self.n_aliases}"


def _related_values(registry: Registry, reader: Readable, ids: Sequence[str], path: str) -> dict[str, Any]:
    writer = _Writer(reader.dialect)
    sa = writer.sa
    base = table = writer.alias(registry.table)
    source: Any = base
    parts = path.split("__")
    many = False
    places: list[Any] = []
    while parts and parts[0] in registry.relations:
        relation = registry.relations[parts.pop(0)]
        target = REGISTRIES[relation.target]
        related = writer.alias(target.table)
        here, there = table.c[relation.column], related.c[relation.target_column]
        through = relation.through
        if through is not None:
            link = writer.alias(through.table)
            matching = link.c[through.near] == here
            if through.kinds:
                matching = sa.and_(matching, sa.or_(*(link.c.kind == writer.literal(k) for k in through.kinds)))
            source = source.join(link, matching)
            here = link.c[through.far]
            if through.order:
                places.append(link.c[through.order])
        source = source.join(related, here == there)
        registry, table, many = target, related, many or relation.many
    name, *inside = parts or ["uid"]
    column = registry.find_column(name)
    if column is None:
        raise UnknownFieldError(registry.name, name, registry.choices)
    if inside and column.kind != "json":
        raise UnknownFieldError(f"{registry.name}.{name}", "__".join(inside), (), "part")
    among = base.c.id.in_(writer.array(writer.value(0), is_int=False))
    order = (*places, table.c.position)
    query = sa.select(base.c.id, table.c[column.name], *order).select_from(source).where(among).distinct()
    compiled = query.order_by(*order).compile(dialect=_dialect(reader.dialect))
    found: dict[str, Any] = {row_id: [] for row_id in ids} if many else {}
    for row_id, stored, *_ in reader.read(str(compiled), [_array(list(ids))]):
        value = _inside(_python(column.kind, stored), inside)
        if many:
            found[row_id].append(value)
        else:
            found[row_id] = value
    return found


def _python(kind: Kind, value: Any) -> Any:
    """Turn a stored value into what users see."""
    if value is None:
        return None
    if kind == "time":
        return parse_time(value)
    if kind == "bool":
        return bool(value)
    return msgspec.json.decode(value) if kind == "json" else value


def _inside(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
