"""Whether the log is the one that was written: every column of every event against the Merkle tree, and the registries
against a replay.

Every event stores the hash of its leaf, so that an edited event is named by its position. The head row holds the root over all
leaves, so that whoever edits an event and its leaf is found as well. Whoever rewrites everything, head included, or takes the
last events away and sets the head back, can be found only with a checkpoint that was kept elsewhere.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

from lineagelog.adapters.log.comparison import Comparison
from lineagelog.adapters.log.database import Database
from lineagelog.adapters.log.event_log import missing_parts, read_table, to_recorded
from lineagelog.adapters.log.schema import EVENTS, READ_HEAD, TRIGGERS
from lineagelog.adapters.log.sqlite import SQLiteDatabase
from lineagelog.domain.errors import LogCorruptError, StorageError, StoreUnavailableError
from lineagelog.domain.event import RecordedEvent, is_known
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.values import parse_time
from lineagelog.projections import schema
from lineagelog.projections.projector import project_all
from lineagelog.projections.reader import Reader, Row
from lineagelog.projections.registry import REGISTRIES
from lineagelog.projections.table import Table, create_table, index_name, split_indexes

MAX_PROBLEMS: Final = 20
CLOCK_TOLERANCE: Final = timedelta(seconds=2)
"""So far back a clock that is kept right may step between two events."""
_BATCH: Final = 1_000
_PROGRESS: Final = 5_000
_EVENTS: Final = f"SELECT {', '.join(EVENTS.names)} FROM {EVENTS.name} ORDER BY position"  # noqa: S608 - names from the schema only
_REPAIR: Final = "; `prov rebuild` repairs it"
_RECORDED_AT: Final = EVENTS.names.index("recorded_at")
_TOPIC: Final = EVENTS.names.index("topic")


class Problem(NamedTuple):
    """Something that is not as it was recorded.

    Attributes:
        position: Position of the event concerned, `None` if it is not one event.
        what: What is wrong, in words.
        subject: The record that the event is about: its registry, its uid and its key or name; `None` if nothing tells.
    """

    position: int | None
    what: str
    subject: str | None = None


class ClockAnomaly(NamedTuple):
    """A place where the clock of the database's host was set back.

    Attributes:
        position: Position of the event.
        recorded_at: Time of it, UTC text of 27 characters.
        before: Time of the event before it.
    """

    position: int
    recorded_at: str
    before: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the log found.

    Attributes:
        n_events: Events that were read.
        root: Merkle tree head computed from them, 64 hexadecimal characters.
        problems: What is wrong: first the events, the lowest position first, then head and triggers, then the registries;
            at most 20 of each kind.
        roots: Number of events of a checkpoint to the tree head over them; sizes that the log does not reach are missing.
        clock_anomalies: Events recorded earlier than the one before them, by more than 2 seconds; at most 20. Their order is right
            all the same: it is that of the positions.
        unknown: Topic to number of events, of kinds that this software does not know.
    """

    n_events: int
    root: str
    problems: tuple[Problem, ...]
    roots: dict[int, str]
    clock_anomalies: tuple[ClockAnomaly, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)


def verify_log(
    database: Database,
    *,
    checkpoint_sizes: Collection[int] = (),
    projections: bool = True,
    replay: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Read the whole log in one consistent view and check it.

    Args:
        database: Where it lies.
        checkpoint_sizes: Numbers of events that checkpoints speak of.
        projections: Also compare every row of every registry with what the events say.
        replay: Make the registries anew for that, which is otherwise done only to name what differs.
        progress: Called with the number of events done and of all.
    """
    consequences = _missing_protection(database)
    existing = database.column_names()
    comparable = not consequences and not any(missing_parts(table, existing) for table in schema.TABLES)
    with database.snapshot() as snapshot:
        ((head_position, head_peaks, head_root, _),) = snapshot.read(READ_HEAD)
        comparison = Comparison(snapshot) if projections and comparable and not replay else None
        chain, readable = _Chain(checkpoint_sizes), projections
        stream = _readable(snapshot.stream(_EVENTS), consequences)
        while rows := list(islice(stream, _BATCH)):
            chain.extend(rows)
            if readable:
                batch = chain.decode(rows)
                readable = batch is not None
                if comparison is not None and (batch is None or not _holds(partial(comparison.follow, batch))):
                    comparison = None
            if progress is not None and chain.frontier.size % _PROGRESS == 0:
                progress(chain.frontier.size, head_position)
        if progress is not None:
            progress(chain.frontier.size, head_position)
        of_head = _compare_head(chain.frontier, head_position, head_peaks, head_root, leaves_fit=not chain.problems)
        consequences += of_head
        if readable and not (comparison is not None and _holds(comparison.agrees)):
            consequences += _differences(snapshot, existing)
        if chain.problems or of_head:
            # A rebuild would be refused: what follows from an altered log is not what was recorded.
            consequences = [problem._replace(what=problem.what.removesuffix(_REPAIR)) for problem in consequences]
        problems = tuple(_named(snapshot, [*chain.problems, *consequences]))
    size, root = chain.frontier.size, chain.frontier.root().hex()
    return Verification(size, root, problems, chain.roots, tuple(chain.clock_anomalies), chain.unknown)


class _Chain:
    """Follows the events in their order: positions, leaf hashes, times, and the tree that grows over them."""

    def __init__(self, checkpoint_sizes: Collection[int]) -> None:
        self.frontier = Frontier()
        self.problems: list[Problem] = []
        self.clock_anomalies: list[ClockAnomaly] = []
        self.unknown: Counter[str] = Counter()
        self.roots = {0: self.frontier.root().hex()} if 0 in checkpoint_sizes else {}
        self._sizes = sorted(checkpoint_sizes)
        self._position = 0
        self._recorded_at = ""

    def extend(self, rows: list[Row]) -> None:
        """Check some rows of the log."""
        leaves = [leaf_hash(encode_entry(row[:-1])) for row in rows]
        self._grow(leaves)
        expected = range(self._position + 1, self._position + 1 + len(rows))
        if [row[0] for row in rows] != [*expected] or [leaf.hex() for leaf in leaves] != [row[-1] for row in rows]:
            self._blame(rows, leaves)
        self._position = rows[-1][0]
        times = [self._recorded_at, *(row[_RECORDED_AT] for row in rows)]
        # Text of one form is compared as it is; most events need no more.
        if times != sorted(times):
            for before, row in zip(times, rows, strict=False):
                self._see(row[0], row[_RECORDED_AT], before)
        self._recorded_at = times[-1]
        for topic, n_events in Counter([row[_TOPIC] for row in rows]).items():
            if not is_known(topic):
                self.unknown[topic] += n_events

    def decode(self, rows: list[Row]) -> list[RecordedEvent] | None:
        """Read rows as events; `None` if one of them is none."""
        events = []
        for row in rows:
            try:
                events.append(to_recorded(row[:-1]))
            except LogCorruptError as exc:
                self.problems.append(Problem(row[0], f"cannot be read as an event: {exc.__cause__ or exc}"))
                return None
        return events

    def _grow(self, leaves: list[bytes]) -> None:
        start = self.frontier.size
        for size in self._sizes:
            if self.frontier.size < size <= start + len(leaves):
                self.frontier.extend(leaves[self.frontier.size - start : size - start])
                self.roots[size] = self.frontier.root().hex()
        self.frontier.extend(leaves[self.frontier.size - start :])

    def _blame(self, rows: list[Row], leaves: list[bytes]) -> None:
        """Name the events that are wrong."""
        expected = self._position + 1
        for row, leaf in zip(rows, leaves, strict=True):
            found = []
            if row[0] != expected:
                found.append(Problem(expected, f"is missing or out of order: the next stored position is {row[0]}"))
            if leaf.hex() != row[-1]:
                what = "was changed after it was recorded: its content does not give its leaf hash"
                found.append(Problem(row[0], what))
            self.problems += found[: max(0, MAX_PROBLEMS - len(self.problems))]
            expected = row[0] + 1

    def _see(self, position: int, recorded_at: str, before: str) -> None:
        """Look whether the clock was set back."""
        if recorded_at >= before or len(self.clock_anomalies) >= MAX_PROBLEMS:
            return
        try:
            is_far = parse_time(before) - parse_time(recorded_at) > CLOCK_TOLERANCE
        except (ValueError, TypeError):
            # A time that is none was tampered with, which the leaf hash tells.
            return
        if is_far:
            self.clock_anomalies.append(ClockAnomaly(position, recorded_at, before))


def _holds(compared: Callable[[], bool]) -> bool:
    """Compare what events do with the registries. What was tampered with may fail in any way; a replay will say in which."""
    try:
        return compared()
    except StoreUnavailableError:
        raise
    except Exception:  # noqa: BLE001 - see above
        return False


def _named(reader: Reader, problems: list[Problem]) -> Iterator[Problem]:
    """Say which record a problem is about, as far as the log or the registries still tell."""
    for problem in problems:
        subject = None
        if problem.position is not None:
            # Damaged tables may not even answer.
            with suppress(StorageError):
                subject = _subject(reader, problem.position)
        yield problem._replace(subject=subject)


def _subject(reader: Reader, position: int) -> str | None:
    sql = f"SELECT stream FROM {EVENTS.name} WHERE position = ?"  # noqa: S608 - names from the schema only
    streams = [stream for (stream,) in reader.read(sql, (position,))]
    for registry in REGISTRIES.values():
        table = registry.table
        name = next(name for name in ("key", "name", "handle", "root", "uid") if name in table.names)
        sql = f"SELECT uid, {name} FROM {table.name} WHERE position = ? OR id = ?"  # noqa: S608 - names from the schema only
        for uid, known_as in reader.read(sql, (position, streams[0] if streams else "")):
            text = f"{registry.name} {uid}" + (f" ({known_as})" if known_as and known_as != uid else "")
            # Whoever tampered with the table may have written lines of his own into a name.
            return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return None


def _readable(rows: Iterator[Row], problems: list[Problem]) -> Iterator[Row]:
    """Pass rows on, up to one that the database itself cannot read, such as text that is not UTF-8."""
    try:
        yield from rows
    except StoreUnavailableError:
        raise
    except StorageError as exc:
        problems.append(Problem(None, f"the rows of a table cannot be read to the end: {exc}"))


def _missing_protection(database: Database) -> list[Problem]:
    missing = set(TRIGGERS[database.dialect]) - database.trigger_names()
    problems = [
        Problem(
            None,
            f"the trigger {name}, which keeps events from being changed, was removed or altered{_REPAIR}",
        )
        for name in sorted(missing)
    ]
    existing = database.unique_index_names()
    problems += [
        Problem(
            None,
            f"the index {name}, which keeps a rule of {table.name}, was removed or altered{_REPAIR}",
        )
        for table in (EVENTS, *schema.TABLES)
        for name in (index_name("unique", table, columns) for columns in table.unique)
        if name not in existing and table.name in database.table_names()
    ]
    return problems


def _compare_head(frontier: Frontier, position: int, peaks: str, root: str, *, leaves_fit: bool) -> list[Problem]:
    problems = []
    if position != frontier.size:
        problems.append(Problem(None, f"the head speaks of {position} events, but {frontier.size} are stored"))
    elif root != frontier.root().hex() or peaks != frontier.to_bytes().hex():
        # With every leaf right, somebody has edited events and computed their leaves anew, or edited the head alone.
        cause = ": events were changed together with their leaf hashes, or the head was" if leaves_fit else ""
        problems.append(Problem(None, f"the tree root of the head is not that of the events{cause}"))
    return problems


def _differences(live: Reader, existing: Mapping[str, Collection[str]]) -> list[Problem]:
    """Replay the events into an empty database, and name the rows in which the live tables differ from it."""
    problems: list[Problem] = []
    # On disk, since a log may be larger than memory.
    with tempfile.TemporaryDirectory(prefix="lineagelog-verify-") as folder:
        replica = SQLiteDatabase(Path(folder) / "replica.db", create=True, scratch=True)
        try:
            with replica.write() as transaction:
                for table in schema.TABLES:
                    for statement in (create_table(table, replica.dialect), *split_indexes(table)[0]):
                        transaction.execute(statement)
            # What cannot be read of the events themselves has been reported.
            rows = _readable(live.stream(_EVENTS), [])
            while batch := [to_recorded(row[:-1]) for row in islice(rows, _BATCH)]:
                if not _replay(replica, batch, problems):
                    return problems
            if _replay(
                replica, [], problems, rules=[rule for table in schema.TABLES for rule in split_indexes(table)[1]]
            ):
                problems += _compare_tables(replica, live, existing)
        finally:
            replica.close()
    return problems


def _replay(
    replica: SQLiteDatabase, batch: list[RecordedEvent], problems: list[Problem], rules: Sequence[str] = ()
) -> bool:
    """Carry out what events do, and tell whether that was possible: events that were tampered with may contradict each other."""
    try:
        with replica.write() as transaction:
            transaction.apply(project_all(batch))
            for rule in rules:
                if rule.startswith("CREATE UNIQUE"):
                    transaction.execute(rule)
    except StoreUnavailableError:
        raise
    except Exception as exc:  # noqa: BLE001 - what was tampered with may fail in any way, and is to be reported, not to end the check
        problems.append(Problem(None, f"the events cannot be replayed, or contradict each other: {exc}"))
        return False
    return True


def _compare_tables(replica: SQLiteDatabase, live: Reader, existing: Mapping[str, Collection[str]]) -> list[Problem]:
    problems: list[Problem] = []
    with replica.snapshot() as expected:
        for table in schema.TABLES:
            missing = missing_parts(table, existing)
            if missing:
                kind = "table" if missing == [table.name] else "column"
                problems += [Problem(None, f"the {kind} {name} is missing{_REPAIR}") for name in missing]
                continue
            n_found, key = 0, [table.names.index(name) for name in table.key]
            for wanted, found in zip_longest(read_table(expected, table), _readable(read_table(live, table), problems)):
                if wanted == found:
                    continue
                n_found += 1
                if n_found > MAX_PROBLEMS:
                    break
                keys = [row and [row[column] for column in key] for row in (wanted, found)]
                difference, row = _difference(table, (wanted, found), keys)
                problems.append(Problem(row[0], difference))
                if keys[0] != keys[1]:
                    # The rows after a missing or added one are shifted; comparing them says nothing more.
                    break
    return problems


def _difference(table: Table, rows: Sequence[Row | None], keys: Sequence[Any]) -> tuple[str, Row]:
    """Tell how the row of a table differs from the one that the events give, and which of the two it is about."""
    (wanted, found), (wanted_key, found_key) = rows, keys
    if found is not None and (wanted is None or found_key < wanted_key):
        return f"has a row that no event made in the table {table.name}{_REPAIR}", found
    assert wanted is not None
    if found is None or found_key != wanted_key:
        return f"has lost its row in the table {table.name}{_REPAIR}", wanted
    changed = [name for name, old, new in zip(table.names, wanted, found, strict=True) if old != new]
    what = ", ".join(changed)
    return (
        f"made a row in the table {table.name} that does not say what the log says ({what}){_REPAIR}",
        found,
    )
