"""From names and values to nodes: every name is looked up, every value is checked.

A name that is neither a field nor a relation of an artifact, run or collection is looked for among the features.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from lineagelog.domain.annotation import CATEGORICAL, SUBJECTS, check_feature_value
from lineagelog.domain.errors import InvalidValueError, UnknownFieldError
from lineagelog.domain.values import check_json, check_text, time_text
from lineagelog.projections.features import FeatureType
from lineagelog.projections.node import ALWAYS, Among, Compare, Join, Measured, Node, Not, Related, Selection, Worded
from lineagelog.projections.registry import REGISTRIES, Registry, Relation
from lineagelog.projections.table import Column, Kind, Scalar

Features: TypeAlias = Callable[[], Mapping[str, FeatureType]]
"""Tells the features by name, asked once a name is no field and no relation."""

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

_FEATURE_LOOKUPS: Final[dict[str, tuple[str, ...]]] = {
    "int": _COMPARISONS,
    "float": _COMPARISONS,
    "num": _COMPARISONS,
    "date": _COMPARISONS,
    "datetime": _COMPARISONS,
    "bool": LOOKUPS["bool"],
    "str": LOOKUPS["text"],
    "dict": LOOKUPS["json"],
    "list": LOOKUPS["json"],
    CATEGORICAL: LOOKUPS["text"],
}

_INT_LIMIT: Final = 2**63
# Names are stored in this normal form (`check_name`), so another spelling of one must be brought to it.
_NORMALISED: Final = frozenset({"key", "name"})
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PERIOD: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
"""A year, month or day as text."""
# A smaller number is hardly meant as a year.
_YEARS: Final = range(1000, 10_000)
_AFTER_ALL: Final = "~"
"""A text after every stored day and time."""
INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
"""How an index of a JSON list is written in a path."""
_NEAR_FEATURES: Final = 3
_MIN_UID_LENGTH: Final = 4
_json: Final = msgspec.json.Encoder()


def all_of(nodes: Sequence[Node]) -> Node:
    """Join by "and"; conditions over one relation become conditions on one related row, those on one feature one condition."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Join) and node.joiner == "and" else (node,))
    groups: dict[tuple[str, str], list[Node]] = {}
    measured: dict[str, list[Node]] = {}
    joined: list[Node] = []
    for node in flat:
        if isinstance(node, Related):
            groups.setdefault((node.registry, node.relation), []).append(node.node)
        elif isinstance(node, Measured):
            measured.setdefault(node.feature, []).append(node.node)
        else:
            joined.append(node)
    joined += [Related(*relation, all_of(inner)) for relation, inner in groups.items()]
    joined += [Measured(feature, all_of(inner)) for feature, inner in measured.items()]
    return joined[0] if len(joined) == 1 else Join("and", tuple(joined))


def negation(node: Node) -> Node:
    """Turn a node around; one turned around twice keeps to itself, and does not join others over its relation."""
    return Not(node)


def any_of(nodes: Sequence[Node]) -> Node:
    """Join by "or"; inside one relation if all are over that relation, so that `all_of` can see it."""
    if len(nodes) == 1:
        return nodes[0]
    relations = {(node.registry, node.relation) if isinstance(node, Related) else None for node in nodes}
    relation = relations.pop() if len(relations) == 1 else None
    if relation is not None:
        return Related(*relation, any_of([node.node for node in nodes if isinstance(node, Related)]))
    return Join("or", tuple(nodes))


def resolve(registry: Registry, name: str, value: object, features: Features | None = None) -> Node:
    """Turn one condition into a node.

    Args:
        registry: The registry.
        name: Relations, field or feature, and lookup, joined by `__`.
        value: What it is compared with.
        features: Tells the features.

    Raises:
        UnknownFieldError: A field, relation, feature or lookup does not exist.
        InvalidValueError: The value does not fit.
    """
    head, *rest = name.split("__")
    relation = registry.relations.get(head)
    if relation is not None:
        if not rest or (rest[0] in _RELATION_LOOKUPS and len(rest) == 1):
            return _relation_test(registry, head, relation, rest[0] if rest else "exact", value)
        target = REGISTRIES[relation.target]
        known = (
            target.find_column(rest[0]) is not None
            or rest[0] in target.relations
            or _is_feature(target, rest[0], features)
        )
        if not known and len(rest) == 1 and rest[0] in LOOKUPS["text"]:
            raise UnknownFieldError(f"{registry.name}.{head}", rest[0], _RELATION_LOOKUPS, "lookup")
        return Related(registry.name, head, resolve(target, "__".join(rest), value, features))
    column = registry.find_column(head)
    if column is None:
        return _measured(registry, [head, *rest], value, features)
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
        return Among("id", _check_target(subquery, registry.name, what))
    return _column_test(column, what, lookup, value)


def _is_feature(registry: Registry, name: str, features: Features | None) -> bool:
    return registry.name in SUBJECTS and features is not None and name in features()


def _measured(registry: Registry, parts: list[str], value: object, features: Features | None) -> Node:
    """Turn a condition on a feature into a node."""
    known = features() if features is not None and registry.name in SUBJECTS else {}
    for end in range(len(parts), 0, -1):
        # The name of a feature may itself hold `__`; the longest one that exists is meant.
        name = unicodedata.normalize("NFC", "__".join(parts[:end]))
        feature = known.get(name)
        if feature is not None:
            return _feature_test(name, feature, parts[end:], value, features)
    near = difflib.get_close_matches(parts[0], known, n=_NEAR_FEATURES)
    raise UnknownFieldError(registry.name, parts[0], (*registry.choices, *near))


def _feature_test(name: str, feature: FeatureType, rest: list[str], value: object, features: Features | None) -> Node:
    """Compare the value of a feature; a row without one meets `isnull` alone."""
    what = f"the feature {name!r}"
    kind, _, category = feature.dtype.removesuffix("]").partition("[")
    target = REGISTRIES.get(category)
    if target is not None and rest and (target.find_column(rest[0]) is not None or rest[0] in target.relations):
        node = resolve(target, "__".join(rest), value, features)
        return Measured(feature.id, Among("text_value", Selection(target, (node,))))
    lookups = _FEATURE_LOOKUPS[kind]
    lookup = rest.pop() if rest and rest[-1] in lookups else "exact"
    if rest and kind not in ("dict", "list"):
        raise UnknownFieldError(what, "__".join(rest), lookups, "lookup")
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    there = Measured(feature.id, Compare("value", "json_not_null", (), tuple(rest)))
    if lookup == "isnull":
        return negation(there) if _truth(value, f"{what}__isnull") else there
    if lookup == "in" and _query_of(value) is None:
        items = _items(value, what)
        values = [item for item in items if item is not None]
        among = Measured(feature.id, _value_test(name, kind, target, rest, lookup, values))
        return among if len(values) == len(items) else any_of([among, negation(there)])
    return Measured(feature.id, _value_test(name, kind, target, rest, lookup, value))


def _value_test(name: str, kind: str, target: Registry | None, path: list[str], lookup: str, value: object) -> Node:
    """Compare the columns of `feature_values` with a value of the feature's type."""
    what = f"the feature {name!r}"
    if target is not None:
        return _category_test(what, target, lookup, value)
    if kind in ("dict", "list"):
        return _json_test("value", what, tuple(path), lookup, value)
    if kind == "datetime":
        return _time_test("text_value", what, lookup, value)
    if kind in ("str", CATEGORICAL):
        return _column_test(Column("text_value"), what, lookup, value)

    if kind == "date":
        return _date_test("text_value", name, lookup, value)

    def plain(one: object) -> Scalar:
        if kind == "bool":
            return float(bool(check_feature_value(name, kind, one)))
        # A number is stored twice, exactly in JSON and as a double, which is what comparisons look at.
        type_name = "num" if kind == "int" and isinstance(one, float) else kind
        return float(check_feature_value(name, type_name, one))  # type: ignore[arg-type]

    column = "number_value"
    if lookup == "range":
        low, high = map(plain, _bounds(value, what))
        return Join("and", (Compare(column, "gte", (low,)), Compare(column, "lte", (high,))))
    if lookup == "in":
        return Compare(column, "in", (array_text([plain(item) for item in _items(value, what)]),))
    return Compare(column, "eq" if lookup == "exact" else lookup, (plain(value),))


def _category_test(what: str, target: Registry, lookup: str, value: object) -> Node:
    """Compare a category: by its record or id, else by its name."""
    subquery = _query_of(value)
    if subquery is not None:
        if lookup != "in":
            raise InvalidValueError(what, "cannot equal a query; write `__in=`")
        return Among("text_value", _check_target(subquery, target.name, what))

    def named(test: str, wanted: object) -> Node:
        node = _column_test(target.table.column("name"), what, test, wanted)
        return Among("text_value", Selection(target, (node,)))

    if lookup not in ("exact", "in"):
        return named(lookup, value)
    ids: list[Scalar] = []
    names: list[str] = []
    for item in [value] if lookup == "exact" else _items(value, what):
        if isinstance(item, str) and not _ID.fullmatch(item):
            names.append(item)
        else:
            ids.append(_identity(item, target.name, what)[1])
    nodes: list[Node] = [Compare("text_value", "in", (array_text(ids),))] if ids or not names else []
    return any_of([*nodes, named("in", names)] if names else nodes)


def _relation_test(registry: Registry, name: str, relation: Relation, lookup: str, value: object) -> Node:
    what = f"{registry.name}.{name}"
    # The key of the related row stands in the row itself: nothing has to be joined.
    own_key = relation.column if relation.target_column == "id" and relation.through is None else None
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    if lookup == "isnull":
        missing = _truth(value, f"{what}__isnull")
        there = Compare(own_key, "not_null") if own_key else Related(registry.name, name, ALWAYS)
        return Not(there) if missing else there

    def holds(node: Compare | Among) -> Node:
        if own_key and node.column == "id":
            return replace(node, column=own_key)
        return Related(registry.name, name, node)

    subquery = _query_of(value)
    if lookup == "exact":
        if subquery is not None:
            raise InvalidValueError(what, f"cannot equal a query; write `{name}__in=`")
        column, text = _identity(value, relation.target, what)
        return holds(Compare(column, "eq", (text,)))
    if subquery is not None:
        return holds(Among("id", _check_target(subquery, relation.target, what)))
    items = _items(value, what)
    wanted: dict[str, list[Scalar]] = {}
    for item in items:
        if item is not None:
            column, text = _identity(item, relation.target, what)
            wanted.setdefault(column, []).append(text)
    nodes = [holds(Compare(column, "in", (array_text(texts),))) for column, texts in wanted.items()]
    if any(item is None for item in items):
        nodes.append(_relation_test(registry, name, relation, "isnull", True))
    return any_of(nodes or [Compare("id", "in", ("[]",))])


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


def _query_of(value: object) -> Selection | None:
    found = value if isinstance(value, Selection) else getattr(value, "query", None)
    return found if isinstance(found, Selection) else None


def _check_target(query: Selection, target: str, what: str) -> Selection:
    if query.registry.name != target:
        raise InvalidValueError(what, f"is a {target}, and the query is one of {query.registry.name}")
    return query


def _column_test(column: Column, what: str, lookup: str, value: object) -> Node:
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    if lookup == "isnull":
        return Compare(column.name, "null" if _truth(value, f"{what}__isnull") else "not_null")
    if lookup in _TEXT_LOOKUPS:
        return _text_test(column.name, lookup, _value(column, what, value), what)
    if column.kind == "time":
        return _time_test(column.name, what, lookup, value)
    if lookup == "range":
        low, high = (_value(column, what, bound) for bound in _bounds(value, what))
        return Join("and", (Compare(column.name, "gte", (low,)), Compare(column.name, "lte", (high,))))
    if lookup == "in":
        items = _items(value, what)
        texts = [_value(column, what, item) for item in items if item is not None]
        among = Compare(column.name, "in", (array_text(texts),))
        return any_of([among, Compare(column.name, "null")]) if len(texts) < len(items) else among
    return Compare(column.name, "eq" if lookup == "exact" else lookup, (_value(column, what, value),))


def _text_test(column: str, lookup: str, value: Scalar, what: str, path: tuple[str, ...] = ()) -> Compare:
    """Turn a lookup in a text into an operator that needs no escaping: positions and bounds in place of patterns."""
    text = str(value)
    if lookup in ("regex", "iregex"):
        try:
            re.compile(text)
        except re.error as exc:
            raise InvalidValueError(what, f"was compared with the regular expression {text!r}: {exc}") from exc
        return Compare(column, lookup, (text,), path)
    if lookup == "startswith":
        above = _successor(text)
        return (
            Compare(column, "gte", (text,), path) if above is None else Compare(column, "between", (text, above), path)
        )
    # A text of ASCII letters can be looked for without the project's own function.
    operator = lookup
    if lookup in ("iexact", "icontains", "istartswith", "iendswith") and text.isascii():
        operator, text = f"{lookup}_ascii", text.lower()
    if lookup in ("istartswith", "endswith", "iendswith"):
        return Compare(column, operator, (text, len(text)), path) if text else Compare(column, "gte", ("",), path)
    return Compare(column, operator, (text,), path)


def search_test(words: Iterable[tuple[str, str]]) -> Worded:
    """Look for words in the search fields, and for the beginning of a uid.

    Args:
        words: Each as it was written and as it is compared.
    """
    tests = []
    # The rows with the first are read, and looked at for the others: a long word is likely to be a rare one.
    for written, folded in sorted(words, key=lambda word: -len(word[1])):
        # Nearly any three letters begin the uid of some record among many.
        uids = (written,) if len(written) >= _MIN_UID_LENGTH and written.isascii() else ()
        tests.append(tuple(bound for beginning in (folded, *uids) for bound in (beginning, _after(beginning))))
    return Worded(tuple(tests))


def _after(prefix: str) -> str:
    """Return the least text above all that begin with a prefix of letters and digits."""
    return str(_successor(prefix))


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
    """Compare a time; a year, month or day means all of it, in UTC."""
    if lookup == "range":
        low, high = _bounds(value, what)
        return Join("and", (_time_test(column, what, "gte", low), _time_test(column, what, "lte", high)))
    if lookup == "in":
        return any_of([_column_test(Column(column, "time"), what, "exact", item) for item in _items(value, what)])
    return _span_test(column, lookup, *_moments(value, what))


def _date_test(column: str, name: str, lookup: str, value: object) -> Node:
    """Compare the days that are the values of a feature; a year or month means all its days."""
    what = f"the feature {name!r}"
    if lookup == "range":
        low, high = _bounds(value, what)
        return Join("and", (_date_test(column, name, "gte", low), _date_test(column, name, "lte", high)))
    if lookup == "in":
        items = _items(value, what)
        days = [item for item in items if isinstance(item, date) or (isinstance(item, str) and _DAY.fullmatch(item))]
        texts = [str(check_feature_value(name, "date", day)) for day in days]
        longer = [_date_test(column, name, "exact", item) for item in items if item not in days]
        return any_of([Compare(column, "in", (array_text(texts),)), *longer] if texts or not longer else longer)
    period = _period(value, what)
    if period is None:
        return _span_test(column, lookup, str(check_feature_value(name, "date", value)), None)
    first, after = period
    return _span_test(column, lookup, first.isoformat(), after.isoformat() if after is not None else _AFTER_ALL)


def _span_test(column: str, lookup: str, first: str, after: str | None) -> Compare:
    """Compare with one value or, if `after` is given, with all from the first to just before that."""
    if lookup == "exact":
        return Compare(column, "eq", (first,)) if after is None else Compare(column, "between", (first, after))
    if after is not None and lookup in ("gt", "lte"):
        return Compare(column, {"gt": "gte", "lte": "lt"}[lookup], (after,))
    return Compare(column, lookup, (first,))


def _moments(value: object, what: str) -> tuple[str, str | None]:
    """Return the stored text of a moment; of a year, month or day, its first moment and the first one after it."""
    period = _period(value, what)
    if period is not None:
        first, after = (
            time_text(datetime.combine(day, time(), UTC)) if day is not None else _AFTER_ALL for day in period
        )
        return first, after
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as exc:
            raise InvalidValueError(
                what, f"is a time, and {value!r} is not ISO 8601, such as 2026-11-21, 2026-11 or 2026"
            ) from exc
    if not isinstance(value, datetime):
        raise InvalidValueError(
            what, f"is a time, not {type(value).__name__}; pass a datetime, a date, a year or ISO 8601 text"
        )
    if value.tzinfo is None:
        raise InvalidValueError(what, f"was compared with {value.isoformat()}, which has no time zone; add one")
    return time_text(value), None


def _period(value: object, what: str) -> tuple[date, date | None] | None:
    """Return the first day of a year, month or day and the first one after it; of a moment or anything else `None`."""
    year: int | None = None
    month: int | None = None
    day: int | None = None
    if isinstance(value, date) and not isinstance(value, datetime):
        year, month, day = value.year, value.month, value.day
    elif isinstance(value, int) and value in _YEARS:
        year = value
    elif isinstance(value, str) and (found := _PERIOD.fullmatch(value)):
        year, month, day = (int(part) if part else None for part in found.groups())
    if year is None:
        return None
    try:
        first = date(year, 1 if month is None else month, 1 if day is None else day)
    except ValueError as exc:
        raise InvalidValueError(what, f"was compared with {value!r}, which is no year, month or day: {exc}") from exc
    if day is not None:
        return first, first + timedelta(days=1) if first < date.max else None
    if month is not None and month < 12:
        return first, date(year, month + 1, 1)
    return first, date(year + 1, 1, 1) if year < date.max.year else None


def _json_test(column: str, what: str, path: tuple[str, ...], lookup: str, value: object) -> Node:
    """Compare a place inside a JSON column with a value of the same type: 1 is not "1" and not True, but equals 1.0."""
    what = ".".join((what, *path))
    for part in path:
        _text(part, what)
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    if lookup == "isnull":
        return Compare(column, "json_null" if _truth(value, f"{what}__isnull") else "json_not_null", (), path)
    if not path:
        raise InvalidValueError(what, f"is compared part by part: write `{what.rpartition('.')[2]}__name=`")
    if lookup == "in":
        items = _items(value, what)
        plain = [_json_scalar(item, what) for item in items if item is not None]
        among = Compare(column, "json_in", (_json.encode(plain).decode(),), path)
        return any_of([among, Compare(column, "json_null", (), path)]) if len(plain) < len(items) else among
    if lookup == "range":
        low, high = _bounds(value, what)
        bounds = (_json_test(column, what, path, "gte", low), _json_test(column, what, path, "lte", high))
        return Join("and", bounds)
    scalar = _json_scalar(value, what)
    if lookup == "contains":
        # A list contains what equals one of its items, a text contains another; which of them is there, only the row can tell.
        among = Compare(column, "json_has", (_json.encode([scalar]).decode(),), path)
        if not isinstance(scalar, str):
            return among
        return any_of([among, replace(_text_test(column, lookup, scalar, what, path), operator="json_text_contains")])
    if lookup in _TEXT_LOOKUPS:
        if not isinstance(scalar, str):
            raise InvalidValueError(what, f"was compared by {lookup} with {type(value).__name__}; pass text")
        test = _text_test(column, lookup, scalar, what, path)
        return replace(test, operator=f"json_text_{test.operator}")
    operator = "eq" if lookup == "exact" else lookup
    if isinstance(scalar, bool):
        if operator != "eq":
            raise InvalidValueError(what, "was compared by size with a bool, which has no order")
        return Compare(column, "json_bool", ("true" if scalar else "false",), path)
    if isinstance(scalar, str):
        return Compare(column, f"json_text_{operator}", (scalar,), path)
    return Compare(column, f"json_number_{operator}", (_json.encode(scalar).decode(),), path)


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


def array_text(values: Sequence[Scalar]) -> str:
    """Write the values of an `in` list as one parameter."""
    # One parameter holds any number of values: SQLite allows 32,766 parameters, and the statement stays the same.
    return _json.encode(values).decode()


def to_one_path(registry: Registry, path: str, kind: str) -> tuple[tuple[str, ...], Column]:
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
