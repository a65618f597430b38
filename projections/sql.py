"""From queries to SQL: SQLAlchemy turns their shape into a statement, the values go to the database as parameters.

A shape is what remains of a query without its values; one statement serves all queries of one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from lineagelog.domain.errors import UnknownFieldError
from lineagelog.domain.values import parse_time
from lineagelog.projections.condition import INDEX, array_text
from lineagelog.projections.node import Compare, Join, Measured, Node, Not, Order, Related, Selection, Worded
from lineagelog.projections.reader import Row
from lineagelog.projections.registry import REGISTRIES, Registry
from lineagelog.projections.schema import FEATURE_VALUES, SEARCH_WORDS, TABLES
from lineagelog.projections.table import Dialect, Kind, Scalar, Table

if TYPE_CHECKING:
    import sqlalchemy as sa

Compiled: TypeAlias = "tuple[str, list[Scalar]]"


class Readable(Protocol):
    """Anything that answers a query with rows."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks."""
        ...

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query, its parameters marked by `?`, and return all rows."""
        ...


Shape: TypeAlias = "tuple[Any, ...]"


def compiled(query: Selection, dialect: Dialect, mode: str, fields: tuple[Any, ...] = ()) -> Compiled:
    """Write the SQL of a query.

    Args:
        query: The query.
        dialect: The database's.
        mode: What is asked: its `rows`, chosen `fields` of them, their `count`, or whether one `exists`.
        fields: For each field the to-one relations that lead to it, and its column.
    """
    values: list[Scalar] = []
    sql, slots, constants = _statement(dialect, mode, fields, _query_shape(query, values))
    return sql, [values[slot] if slot >= 0 else constants[-slot - 1] for slot in slots]


def _query_shape(query: Selection, values: list[Scalar]) -> Shape:
    conditions = tuple(_shape(node, values) for node in query.effective())
    order = tuple(
        (key.relations, key.column, key.descending, key.empty_first, *_slot(key, values)) for key in query.order
    )
    start = limit = None
    if query.count is not None:
        values.append(query.count)
        limit = len(values) - 1
    if query.start:
        values.append(query.start)
        start = len(values) - 1
    return (query.registry.name, conditions, order, query.backward, limit, start, query.only_once)


def _slot(key: Order, values: list[Scalar]) -> tuple[int, str]:
    """Give the text of a key a slot; of a searched one, what decides how it is compared is a part of the shape."""
    start = len(values)
    if key.column:
        return start, ""
    if key.relations:
        values.append(key.text)
        return start, ""
    values.extend((key.text.lower() if key.text.isascii() else key.text, len(key.text), key.text))
    if not key.text.isascii():
        return start, "text words"
    return start, "ascii word" if key.text.isalnum() else "ascii words"


def _shape(node: Node, values: list[Scalar]) -> Shape:
    if isinstance(node, Compare):
        start = len(values)
        values.extend(node.path)
        values.extend(node.values)
        parts = tuple(INDEX.fullmatch(part) is not None for part in node.path)
        return ("test", node.column, node.operator, parts, start)
    if isinstance(node, Join):
        return (node.joiner, tuple(_shape(inner, values) for inner in node.nodes))
    if isinstance(node, Not):
        return ("not", _shape(node.node, values))
    if isinstance(node, Related):
        return ("related", node.registry, node.relation, _shape(node.node, values))
    if isinstance(node, Measured):
        values.append(node.feature)
        return ("measured", len(values) - 1, _shape(node.node, values))
    if isinstance(node, Worded):
        start = len(values)
        values.extend(bound for word in node.words for bound in word)
        return ("worded", start, tuple(len(word) for word in node.words))
    return ("among", node.column, _query_shape(node.query, values))


@lru_cache(maxsize=1024)
def _statement(
    dialect: Dialect, mode: str, fields: tuple[Any, ...], shape: Shape
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

    def statement(self, mode: str, fields: tuple[Any, ...], shape: Shape) -> Any:
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

    def select(self, shape: Shape, fields: tuple[Any, ...] | None = None, *, ordered: bool = True) -> Any:
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

    def order_key(self, table: Any, registry: Registry, key: Shape) -> Any:
        relations, column, descending, empty_first, slot, kind = key
        if not column:
            rank = self.place(table, relations, slot) if relations else self.rank(table, registry, slot, kind)
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

    def rank(self, table: Any, registry: Registry, slot: int, kind: str) -> Any:
        """Number the quality of a search match from 0.

        Args:
            table: The table of the registry.
            registry: The registry.
            slot: Where the searched text, its length, and the text as it was written stand.
            kind: `ascii` or `text`, and whether it is one `word` or several `words`.
        """
        sa = self.sa
        alphabet, _, extent = kind.partition(" ")
        suffix = "_ascii" if alphabet == "ascii" else ""
        number = [sa.literal_column(str(n)) for n in range(4)]
        columns = [table.c[name] for name in registry.search if name != "uid"]
        length = self.value(slot + 1)
        # Lowering keeps the number of characters, so that a text that begins with another and is as long is the same.
        begin = [(column, self.test(column, f"istartswith{suffix}", slot)) for column in columns]
        begin.append((table.c.uid, sa.func.substr(table.c.uid, number[1], length) == self.value(slot + 2)))
        same = sa.or_(*(sa.and_(sa.func.length(column) == length, test) for column, test in begin))
        begins = (sa.or_(*(test for _, test in begin)), sa.case((same, number[0]), else_=number[1]))
        if extent == "word":
            return sa.case(begins, else_=number[2])
        holds = sa.or_(*(self.test(column, f"icontains{suffix}", slot) for column in columns))
        return sa.case(begins, (holds, number[2]), else_=number[3])

    def condition(self, table: Any, registry: Registry, shape: Shape) -> Any:
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
        if kind == "measured":
            measured = self.alias(FEATURE_VALUES)
            ours = measured.c.feature_id == self.value(shape[1])
            holding = sa.select(measured.c.subject_id).select_from(measured).correlate(None)
            return table.c.id.in_(holding.where(ours, self.condition(measured, registry, shape[2])))
        if kind == "worded":
            return self.worded(table, registry, *shape[1:])
        return self.related(table, *shape[1:])

    def related(self, table: Any, registry_name: str, name: str, shape: Shape) -> Any:
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

    def worded(self, table: Any, registry: Registry, start: int, lengths: tuple[int, ...]) -> Any:
        """Look for words: read the rows with the first, and look at each for the others."""
        sa = self.sa
        tests: list[Any] = []
        for length in lengths:
            words = self.alias(SEARCH_WORDS)
            ours = words.c.registry == self.literal(registry.name)
            # A union is searched through both indexes; an "or" of the two would look at every row on PostgreSQL.
            found = [sa.select(words.c.position).where(ours, self.test(words.c.word, "between", start))]
            if length > 2:
                named = self.alias(registry.table)
                found.append(sa.select(named.c.position).where(self.test(named.c.uid, "between", start + 2)))
            among = table.c.position.in_(sa.union_all(*(one.correlate(None) for one in found)))
            if tests:
                # Common words are mostly written out: one row is asked for such a word quicker than all that hold it are read.
                same = self.alias(SEARCH_WORDS)
                whole = sa.select(sa.literal_column("1")).where(
                    same.c.registry == self.literal(registry.name),
                    same.c.word == self.value(start),
                    same.c.position == table.c.position,
                )
                # PostgreSQL would turn an EXISTS into a list of all such rows; a single value it looks up for each row.
                held = whole.limit(sa.literal_column("1")).correlate(table).scalar_subquery().is_not(None)
                found[0] = found[0].where(words.c.word > self.value(start))
                among = table.c.position.in_(sa.union_all(*(one.correlate(None) for one in found)))
                among = sa.or_(held, among)
            tests.append(among)
            start += length
        return sa.and_(*tests)

    def test(self, text: Any, operator: str, start: int) -> Any:
        """Compare a column or text with the values from a slot on."""
        sa = self.sa
        value = self.value(start)
        if operator.endswith("_ascii"):
            return self.ascii_test(text, operator.removesuffix("_ascii"), start)
        if operator == "null":
            return text.is_(None)
        if operator == "not_null":
            return text.is_not(None)
        if operator == "between":
            return sa.and_(text >= value, text < self.value(start + 1))
        if operator == "in":
            return text.in_(self.array(value, self.kind_of(text)))
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
            # The column itself, looked at as a whole; JSON is stored in one form.
            nothing = self.literal("null")
            return column != nothing if operator == "not_null" else column == nothing
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
        elif operator == "has":
            held = sa.case((kind == self.literal("array"), levels[-1].c.value), else_=self.literal("[]"))
            held = sa.func.json_each(held).table_valued("type", "atom", name=self.name())
            item = sa.func.json_each(self.value(first)).table_valued("type", "atom", name=self.name())
            same_kind = sa.or_(
                item.c.type == held.c.type, sa.and_(item.c.type.in_(number_kinds), held.c.type.in_(number_kinds))
            )
            same = sa.and_(item.c.atom == held.c.atom, same_kind)
            tests.append(
                sa.select(sa.literal_column("1")).select_from(held, item).where(same).correlate(levels[-1]).exists()
            )
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
        if operator == "has":
            held = value.op("@>")(sa.cast(self.value(first), sa.Text).op("::")(jsonb))
            return sa.and_(kind == self.literal("array"), held)
        if operator.startswith("text_"):
            text = sa.collate(sa.func.jsonb_extract_path_text(sa.func.jsonb_build_array(value), self.literal("0")), "C")
            return sa.and_(kind == self.literal("string"), self.test(text, operator.removeprefix("text_"), first))
        wanted = sa.cast(self.value(first), sa.Text).op("::")(jsonb)
        return sa.and_(kind == self.literal("number"), self.compare(value, operator.removeprefix("number_"), wanted))

    def compare(self, left: Any, operator: str, right: Any) -> Any:
        if operator == "eq":
            return left == right
        return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator]

    def array(self, value: Any, kind: Kind) -> Any:
        """Unfold the values of an `in` list from the one parameter that holds them."""
        sa = self.sa
        if self.sqlite:
            items = sa.func.json_each(value).table_valued("value", name=self.name())
            # SQLite reads some decimal numbers a last bit off.
            item = sa.func.lineagelog_number(items.c.value) if kind == "real" else items.c.value
            return sa.select(item).select_from(items).correlate(None)
        texts = sa.func.jsonb_array_elements_text(sa.cast(value, sa.Text).op("::")(sa.literal_column("jsonb")))
        if kind == "real":
            return sa.select(sa.cast(texts, sa.Double))
        return sa.select(sa.cast(texts, sa.BigInteger) if kind in ("int", "bool") else sa.collate(texts, "C"))

    @staticmethod
    def kind_of(column: Any) -> Kind:
        source = getattr(column.table, "element", column.table)
        return next(table.column(column.name).kind for table in TABLES if table.name == source.name)

    def find(self, text: Any, part: Any) -> Any:
        return (
            self.sa.func.instr(text, part) if self.sqlite else self.sa.func.strpos(text, part)
        ) > self.sa.literal_column("0")

    def tail(self, text: Any, length: Any) -> Any:
        # `substr` with a start below 0 counts from the end.
        return self.sa.func.substr(text, -length) if self.sqlite else self.sa.func.right(text, length)

    def lower(self, text: Any) -> Any:
        return self.sa.func.lineagelog_lower(text)

    def ascii_test(self, text: Any, operator: str, start: int) -> Any:
        """Look for lowered ASCII whatever the case.

        Of other letters only U+0130 and U+212A become ASCII, so that on SQLite its own functions will do; they are faster.
        """
        value = self.value(start)
        if operator == "istartswith":
            text = self.sa.func.substr(text, self.sa.literal_column("1"), self.value(start + 1))
        elif operator == "iendswith":
            text = self.tail(text, self.value(start + 1))
        if self.sqlite:
            for letter, lowered in (("\u0130", "i"), ("\u212a", "k")):
                text = self.sa.func.replace(text, self.literal(letter), self.literal(lowered))
            text = self.sa.func.lower(text)
        else:
            text = self.lower(text)
        return self.find(text, value) if operator == "icontains" else text == value

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


def read_related(registry: Registry, reader: Readable, ids: Sequence[str], path: str) -> dict[str, Any]:
    """Read one field over relations for many rows; see `Query.related_values`."""
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
    name, *inside = parts or ["name" if registry.lookup_field == "name" else "uid"]
    column = registry.find_column(name)
    if column is None:
        raise UnknownFieldError(registry.name, name, registry.choices)
    if inside and column.kind != "json":
        raise UnknownFieldError(f"{registry.name}.{name}", "__".join(inside), (), "part")
    among = base.c.id.in_(writer.array(writer.value(0), "text"))
    order = (*places, table.c.position)
    query = sa.select(base.c.id, table.c[column.name], *order).select_from(source).where(among).distinct()
    compiled = query.order_by(*order).compile(dialect=_dialect(reader.dialect))
    found: dict[str, Any] = {row_id: [] for row_id in ids} if many else {}
    for row_id, stored, *_ in reader.read(str(compiled), [array_text(list(ids))]):
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
        elif isinstance(value, list) and INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
