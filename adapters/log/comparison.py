"""Whether the registries are what the events say, told without making them a second time.

The rows that an event makes lie at its position in the live tables, so that both sides are read in the order of the log and
compared as they come. A row that a later event changes differs until that event is reached: the columns in which it does are
remembered until then, and at the end there may be none left. Nothing else of the tables is held in memory.

The answer is yes or no. No is also said where an answer would take more than memory allows; `verification.py` then replays the
events in a database of its own, and names what differs.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from lineagelog.domain.event import RecordedEvent
from lineagelog.projections import schema
from lineagelog.projections.projector import SEARCHED, project_rows, word_operations
from lineagelog.projections.reader import Reader, Row
from lineagelog.projections.table import Archive, Delete, Insert, Operation, Scalar, Statement, Table, Update
from lineagelog.projections.words import words_of

MAX_PENDING: Final = 200_000
"""So many rows may wait for the events that make them what they are; they take some 600 bytes each."""

_LINKS: Final = (schema.LINKS, schema.FEATURE_VALUES)
"""Tables whose rows are also removed, each found by its uniqueness rule, and then kept in another table."""

_PAST: Final = (schema.PAST_LINKS, schema.PAST_FEATURE_VALUES)
_BY_POSITION: Final = tuple(table for table in schema.TABLES if table not in (*_PAST, schema.SEARCH_WORDS))
_WORDS: Final = (
    f"SELECT registry || ' ' || field || ' ' || CAST(position AS TEXT) || ' ' || word FROM {schema.SEARCH_WORDS.name}"  # noqa: S608
)
_MAX_PARAMETERS: Final = 5_000
_LOWEST: Final = -(2**63)
"""A row that no event made may have any position that the databases can hold."""

_Columns: TypeAlias = dict[int, tuple[Scalar, Scalar]]
"""Of one row, the place of a column to what the events have made of it so far, and to what the live table says."""


class _Was(NamedTuple):
    """What an event says that a searched field was; the words of the row follow from it."""

    table: Table
    column: int
    old: str


class _DiffersError(Exception):
    """The tables are not what the events say, or it takes a replay to tell."""


class Comparison:
    """Holds the live tables against events, as they are passed in the order of the log."""

    def __init__(self, live: Reader) -> None:
        self._live = live
        self._next = _LOWEST
        self._pending: dict[Table, dict[Scalar, _Columns]] = defaultdict(dict)
        self._absent: dict[Table, dict[Row, Row]] = defaultdict(dict)
        self._n_past: Counter[Table] = Counter()
        self._words = 0
        # The hash of text is keyed with a secret of this process, unless somebody has set it.
        self._agrees = sys.flags.hash_randomization == 1 and os.environ.get("PYTHONHASHSEED") in (None, "", "random")

    def follow(self, events: Sequence[RecordedEvent]) -> bool:
        """Compare what some events make with what lies at their positions; return whether all has agreed so far."""
        if self._agrees and events:
            try:
                self._follow(events)
            except _DiffersError:
                self._agrees = False
        return self._agrees

    def agrees(self) -> bool:
        """Tell, after the last event, whether the tables are what all events together say."""
        return (
            self._agrees
            and not any(self._pending.values())
            and not any(self._absent.values())
            and not any(self._read(table, self._next, None, limit=1) for table in _BY_POSITION)
            and all(self._live.read(f"SELECT count(*) FROM {t.name}") == [(self._n_past[t],)] for t in _PAST)  # noqa: S608
            and self._words == sum(hash(text) for (text,) in self._live.stream(_WORDS))
        )

    def _follow(self, events: Sequence[RecordedEvent]) -> None:
        operations: dict[Table, list[tuple[Any, Row]]] = defaultdict(list)
        words: list[Operation] = []
        for recorded in events:
            done = project_rows(recorded)
            if done and done[0][0].table in SEARCHED:
                statement, row = done[0]
                if type(statement) is Insert:
                    self._add_words(statement.table, row)
                else:
                    operations[statement.table] += _were(statement.table, recorded)
                    words += word_operations(recorded, statement, row)
            for operation in done:
                operations[operation[0].table].append(operation)
        last = events[-1].position
        positions: dict[Scalar, Scalar] = {}
        for table in _BY_POSITION:
            live, of_table = self._read(table, self._next, last), operations[table]
            if table in _LINKS:
                self._follow_links(table, of_table, live)
            elif all(type(statement) is Insert for statement, _ in of_table):
                self._compare(table, [row for _, row in of_table], live)
            else:
                self._compare(table, self._changed(table, of_table, positions), live)
        for statement, (registry, field, word, id_) in words:
            # A record that is not there has no words either.
            if id_ in positions:
                value = hash(f"{registry} {field} {positions[id_]} {word}")
                self._words += value if isinstance(statement, Insert) else -value
        self._next = last + 1
        n_pending = sum([len(rows) for rows in self._pending.values()])
        if n_pending + sum([len(rows) for rows in self._absent.values()]) > MAX_PENDING:
            raise _DiffersError

    def _compare(self, table: Table, expected: list[Row], live: list[Row]) -> None:
        """Compare the rows that some events make with those at their positions."""
        if expected == live:
            return
        if table is schema.EDGES:
            expected = self._without_repeated(table, expected, live)
        if len(expected) != len(live):
            raise _DiffersError
        for made, found in zip(expected, live, strict=True):
            if made != found:
                pairs = enumerate(zip(made, found, strict=True))
                columns = {place: pair for place, pair in pairs if pair[0] != pair[1]}
                if table.names[1] != "id" or 0 in columns or 1 in columns:
                    raise _DiffersError
                self._pending[table][made[1]] = columns

    def _without_repeated(self, table: Table, expected: list[Row], live: list[Row]) -> list[Row]:
        """Leave out the rows that the uniqueness rule kept out of the table, since an earlier one says the same."""
        there = {row[0] for row in live}
        key = _getter(table, table.unique[0])
        missing = [row for row in expected if row[0] not in there]
        first = {key(row): row[0] for row in (*live, *self._find(table, table.unique[0], map(key, missing)))}
        if any(first.get(key(row), row[0]) >= row[0] for row in missing):
            raise _DiffersError
        return [row for row in expected if row[0] in there]

    def _changed(self, table: Table, operations: list[tuple[Any, Row]], positions: dict[Scalar, Scalar]) -> list[Row]:
        """Return the rows that some events make as their last change leaves them, and change those of earlier events."""
        inserts = [row for statement, row in operations if type(statement) is Insert]
        made = {row[1]: list(row) for row in inserts}
        if len(made) != len(inserts):
            raise _DiffersError
        pending = self._pending[table]
        found, of_run = self._touched(table, operations, made)
        touched: set[Scalar] = set()
        begun: dict[Scalar, list[Scalar]] = {}
        for statement, row in operations:
            if type(statement) is Insert:
                begun[row[1]] = made[row[1]]
                continue
            if type(statement) is _Was:
                self._check_old(statement, row[0], begun, found, pending)
                if row[0] in begun or row[0] in found:
                    positions[row[0]] = (begun.get(row[0]) or found[row[0]])[0]
                continue
            columns, values = _places(table, statement.assign), row[:-1]
            ids: Iterable[Scalar] = row[-1:]
            if statement.where == ("run_id",):
                place = table.names.index("run_id")
                ids = [*of_run[row[-1]], *(id_ for id_, known in begun.items() if known[place] == row[-1])]
            elif statement.where != ("id",):
                raise _DiffersError
            for id_ in ids:
                if id_ in begun:
                    known = begun[id_]
                    for column, value in zip(columns, values, strict=True):
                        known[column] = value
                elif id_ in pending or id_ in found:
                    touched.add(id_)
                    known_columns = pending.setdefault(id_, {})
                    for column, value in zip(columns, values, strict=True):
                        beside = known_columns[column][1] if column in known_columns else found[id_][column]
                        known_columns[column] = (value, beside)
        for id_ in touched:
            if all(value == beside for value, beside in pending[id_].values()):
                del pending[id_]
        return [tuple(row) for row in made.values()]

    def _touched(
        self, table: Table, operations: list[tuple[Any, Row]], made: Collection[Scalar]
    ) -> tuple[dict[Scalar, Row], dict[Scalar, list[Scalar]]]:
        """Read the rows of earlier events that these change, as far as they are not known, and which of them belong to a run."""
        pending, unknown, runs = self._pending[table], set(), set()
        for statement, row in operations:
            id_ = row[-1]
            if type(statement) is _Was:
                unknown.add(id_)
            elif type(statement) is Update and statement.where == ("run_id",):
                runs.add(id_)
            elif type(statement) is Update and id_ not in made:
                known = pending.get(id_)
                if known is None or not known.keys() >= set(_places(table, statement.assign)):
                    unknown.add(id_)
        of_run: dict[Scalar, list[Scalar]] = defaultdict(list)
        found = {row[1]: row for row in self._find(table, ("id",), ((id_,) for id_ in unknown))}
        if runs:
            for row in self._find(table, ("run_id",), ((run,) for run in runs)):
                found[row[1]] = row
                of_run[row[table.names.index("run_id")]].append(row[1])
        return found, of_run

    def _check_old(
        self,
        was: _Was,
        id_: Scalar,
        begun: dict[Scalar, list[Scalar]],
        found: dict[Scalar, Row],
        pending: dict[Scalar, _Columns],
    ) -> None:
        """Make sure that an event speaks truly of what a field was, as the words that it takes away do."""
        value: Scalar = was.old
        if id_ in begun:
            value = begun[id_][was.column]
        elif was.column in pending.get(id_, ()):
            value = pending[id_][was.column][0]
        elif id_ in found:
            value = found[id_][was.column]
        if str(value or "") != was.old:
            raise _DiffersError

    def _follow_links(self, table: Table, operations: list[tuple[Statement, Row]], live: list[Row]) -> None:
        """Compare links or values: each stands alone under its uniqueness rule until an event ends it."""
        absent, rule = self._absent[table], table.unique[0]
        if (
            not absent
            and [*map(itemgetter(1), operations)] == live
            and all(type(one) is Insert for one, _ in operations)
        ):
            return
        key, n = _getter(table, rule), len(rule)
        here = {key(row): row for row in live}
        named = {key(row) if type(statement) is Insert else row[-n:] for statement, row in operations}
        # Those that the events have made and nothing has ended.
        kept = {key(row) for row in self._find(table, rule, named - here.keys() - absent.keys())}
        ended = []
        for statement, row in operations:
            if isinstance(statement, Insert):
                name = key(row)
                if here.get(name) == row:
                    if name in absent:
                        raise _DiffersError
                    kept.add(name)
                elif name not in absent and name not in kept:
                    absent[name] = row
                elif not statement.or_ignore:
                    raise _DiffersError
            else:
                name = row[-n:]
                if name in kept or not isinstance(statement, Archive | Delete):
                    raise _DiffersError
                if name in absent and isinstance(statement, Archive):
                    ended.append((*absent[name], *row[:-n]))
                elif isinstance(statement, Delete):
                    absent.pop(name, None)
        if not here.keys() <= kept:
            raise _DiffersError
        if ended:
            self._compare_past(_PAST[_LINKS.index(table)], ended)

    def _compare_past(self, table: Table, ended: list[Row]) -> None:
        key = _getter(table, table.key)
        live = {key(row): row for row in self._find(table, table.key, map(key, ended))}
        if any(live.get(key(row)) != row for row in ended):
            raise _DiffersError
        self._n_past[table] += len(ended)

    def _add_words(self, table: Table, row: Row) -> None:
        """Add the words of a row to the sum over all words; it is of hashes that nobody outside of this process can foresee."""
        registry, fields = SEARCHED[table]
        for name, place in fields:
            if row[place]:
                prefix = f"{registry.name} {name} {row[0]} "
                self._words += sum([hash(prefix + word) for word in words_of(str(row[place]))])

    def _read(self, table: Table, first: int, last: int | None, limit: int | None = None) -> list[Row]:
        """Read the live rows at some positions."""
        sql = f"SELECT {', '.join(table.names)} FROM {table.name} WHERE position >= ?"  # noqa: S608 - names from the schema only
        bound = "" if last is None else " AND position <= ?"
        sql += f"{bound} ORDER BY {', '.join(table.key)}{f' LIMIT {limit}' if limit is not None else ''}"
        return self._live.read(sql, (first,) if last is None else (first, last))

    def _find(self, table: Table, columns: tuple[str, ...], values: Iterable[Row]) -> Iterator[Row]:
        """Read the live rows of earlier events that have one of some values."""
        names, selected = ", ".join(columns), ", ".join(table.names)
        marks = f"({', '.join('?' * len(columns))})"
        wanted, n = list(dict.fromkeys(values)), _MAX_PARAMETERS // len(columns)
        for some in (wanted[start : start + n] for start in range(0, len(wanted), n)):
            sql = f"SELECT {selected} FROM {table.name} WHERE ({names}) IN (VALUES {', '.join([marks] * len(some))})"  # noqa: S608
            parameters = [value for one in some for value in one]
            if table not in _PAST:
                sql, parameters = f"{sql} AND position < ?", [*parameters, self._next]
            yield from self._live.read(sql, parameters)


def _were(table: Table, recorded: RecordedEvent) -> Iterator[tuple[_Was, Row]]:
    changes = getattr(recorded.fact, "changes", {})
    _, fields = SEARCHED.get(table, (None, ()))
    for name, place in fields:
        if name in changes:
            yield _Was(table, place, str(changes[name].old or "")), (recorded.stream,)


def _places(table: Table, columns: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(table.names.index(name) for name in columns)


def _getter(table: Table, columns: tuple[str, ...]) -> Callable[[Row], Row]:
    """Return the function that reads some columns of a row; there are several."""
    return itemgetter(*_places(table, columns))
