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
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

from lineagelog.adapters.log.database import Database
from lineagelog.adapters.log.event_log import create_projections, missing_parts, read_table, to_recorded
from lineagelog.adapters.log.schema import EVENTS, READ_HEAD, TRIGGERS
from lineagelog.adapters.log.sqlite import SQLiteDatabase
from lineagelog.domain.errors import LogCorruptError, StorageError, StoreUnavailableError
from lineagelog.domain.event import RecordedEvent, is_known
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.values import parse_time
from lineagelog.projections import schema
from lineagelog.projections.projector import project_all
from lineagelog.projections.reader import Reader, Row
from lineagelog.projections.table import Table, index_name

MAX_PROBLEMS: Final = 20
CLOCK_TOLERANCE: Final = timedelta(seconds=2)
"""So far back a clock that is kept right may step between two events."""
_BATCH: Final = 5_000
_RECORDED_AT: Final = EVENTS.names.index("recorded_at")
_TOPIC: Final = EVENTS.names.index("topic")


class Problem(NamedTuple):
    """Something that is not as it was recorded.

    Attributes:
        position: Position of the event concerned, `None` if it is not one event.
        what: What is wrong, in words.
    """

    position: int | None
    what: str


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
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Read the whole log in one consistent view and check it.

    Args:
        database: Where it lies.
        checkpoint_sizes: Numbers of events that checkpoints speak of.
        projections: Also replay the events and compare every row of every registry.
        progress: Called with the number of events done and of all.
    """
    problems: list[Problem] = []
    consequences = _missing_protection(database)
    with _replica(wanted=projections) as replica, database.snapshot() as snapshot:
        ((head_position, head_peaks, head_root, _),) = snapshot.read(READ_HEAD)
        frontier, expected = Frontier(), 1
        wanted = frozenset(checkpoint_sizes)
        roots = {0: frontier.root().hex()} if 0 in wanted else {}
        batch: list[RecordedEvent] = []
        replayable = True
        clock = _Clock()
        unknown: Counter[str] = Counter()
        sql = f"SELECT {', '.join(EVENTS.names)} FROM {EVENTS.name} ORDER BY position"  # noqa: S608 - names from the schema only
        for row in _readable(snapshot.stream(sql), consequences):
            *columns, stored_leaf = row
            position = row[0]
            if position != expected and len(problems) < MAX_PROBLEMS:
                problems.append(
                    Problem(expected, f"is missing or out of order: the next stored position is {position}")
                )
            expected = position + 1
            leaf = leaf_hash(encode_entry(columns))
            if leaf.hex() != stored_leaf and len(problems) < MAX_PROBLEMS:
                problems.append(
                    Problem(position, "was changed after it was recorded: its content does not give its leaf hash")
                )
            frontier.extend((leaf,))
            clock.see(position, row[_RECORDED_AT])
            if not is_known(row[_TOPIC]):
                unknown[row[_TOPIC]] += 1
            if frontier.size in wanted:
                roots[frontier.size] = frontier.root().hex()
            if replica is not None and replayable:
                try:
                    batch.append(to_recorded(tuple(columns)))
                except LogCorruptError as exc:
                    problems.append(Problem(position, f"cannot be read as an event: {exc.__cause__ or exc}"))
                    replayable = False
                if len(batch) >= _BATCH:
                    replayable = _replay(replica, batch, consequences)
            if progress is not None and frontier.size % _BATCH == 0:
                progress(frontier.size, head_position)
        if progress is not None:
            progress(frontier.size, head_position)
        consequences += _compare_head(frontier, head_position, head_peaks, head_root, leaves_fit=not problems)
        if replica is not None and replayable and _replay(replica, batch, consequences):
            consequences += _compare_tables(replica, snapshot, database.column_names())
    return Verification(
        frontier.size, frontier.root().hex(), (*problems, *consequences), roots, tuple(clock.anomalies), unknown
    )


class _Clock:
    """Looks whether times go back from one event to the next."""

    def __init__(self) -> None:
        self.anomalies: list[ClockAnomaly] = []
        self._before = ""

    def see(self, position: int, recorded_at: str) -> None:
        before, self._before = self._before, recorded_at
        # Text of one form is compared as it is; most events need no more.
        if recorded_at >= before or len(self.anomalies) >= MAX_PROBLEMS:
            return
        try:
            is_far = parse_time(before) - parse_time(recorded_at) > CLOCK_TOLERANCE
        except (ValueError, TypeError):
            # A time that is none was tampered with, which the leaf hash tells.
            return
        if is_far:
            self.anomalies.append(ClockAnomaly(position, recorded_at, before))


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
            f"the trigger {name}, which keeps events from being changed, was removed or altered; `prov rebuild` makes it anew",
        )
        for name in sorted(missing)
    ]
    existing = database.unique_index_names()
    problems += [
        Problem(
            None, f"the index {name}, which keeps a rule of {table.name}, was removed; `prov rebuild` makes it anew"
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


@contextmanager
def _replica(*, wanted: bool) -> Iterator[SQLiteDatabase | None]:
    """Make an empty database for the replay, on disk, since a log may be larger than memory."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="lineagelog-verify-") as folder:
        replica = SQLiteDatabase(Path(folder) / "replica.db", create=True)
        try:
            create_projections(replica)
            yield replica
        finally:
            replica.close()


def _replay(replica: SQLiteDatabase, batch: list[RecordedEvent], problems: list[Problem]) -> bool:
    """Carry out what events do, and tell whether that was possible: events that were tampered with may contradict each other."""
    try:
        with replica.write() as transaction:
            transaction.apply(project_all(batch))
    except StoreUnavailableError:
        raise
    except Exception as exc:  # noqa: BLE001 - what was tampered with may fail in any way, and is to be reported, not to end the check
        problems.append(Problem(None, f"the events cannot be replayed, or contradict each other: {exc}"))
        return False
    batch.clear()
    return True


def _compare_tables(replica: SQLiteDatabase, live: Reader, existing: Mapping[str, Collection[str]]) -> list[Problem]:
    problems: list[Problem] = []
    with replica.snapshot() as expected:
        for table in schema.TABLES:
            missing = missing_parts(table, existing)
            if missing:
                kind = "table" if missing == [table.name] else "column"
                problems += [
                    Problem(None, f"the {kind} {name} is missing; `prov rebuild` makes it anew") for name in missing
                ]
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
        return f"has a row that no event made in the table {table.name}", found
    assert wanted is not None
    if found is None or found_key != wanted_key:
        return f"has lost its row in the table {table.name}", wanted
    changed = [name for name, old, new in zip(table.names, wanted, found, strict=True) if old != new]
    what = ", ".join(changed)
    return (
        f"made a row in the table {table.name} that does not say what the log says ({what}); `prov rebuild` repairs it",
        found,
    )
