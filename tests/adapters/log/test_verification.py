"""`verify_log` finds every way of tampering that can be found, and names the place."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.log.database import Database, Transaction
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.schema import EVENTS, REFUSE_FUNCTION, TRIGGERS
from lineagelog.adapters.log.verification import Verification, verify_log
from lineagelog.domain.errors import LogCorruptError
from lineagelog.domain.event import NewEvent
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.values import time_text
from lineagelog.projections import schema
from lineagelog.projections.table import index_name

N_COLUMNS = len(EVENTS.names)


@pytest.fixture
def whole(log: EventLog, history: list[NewEvent]) -> EventLog:
    """A log that holds every kind of event."""
    log.append(history)
    return log


@contextmanager
def unprotected(database: Database) -> Iterator[Transaction]:
    """Do what an owner of the database can: take the triggers away, write, and put them back."""
    suffix = " ON events" if database.dialect == "postgresql" else ""
    with database.write() as transaction:
        for name in TRIGGERS[database.dialect]:
            transaction.execute(f"DROP TRIGGER {name}{suffix}")
        yield transaction
        for statement in TRIGGERS[database.dialect].values():
            transaction.execute(statement)


def whats(found: Verification) -> str:
    return "; ".join(f"{problem.position}: {problem.what}" for problem in found.problems)


def test_a_whole_log_has_no_problems(whole: EventLog) -> None:
    calls: list[tuple[int, int]] = []
    found = verify_log(whole.database, progress=lambda done, total: calls.append((done, total)))
    assert found.problems == ()
    assert (found.n_events, found.root) == whole.head()
    assert calls[-1] == (found.n_events, found.n_events)


def test_an_empty_log_is_whole(log: EventLog) -> None:
    assert verify_log(log.database, checkpoint_sizes=(0,)).problems == ()


@pytest.mark.parametrize("column", EVENTS.names)
def test_an_edit_of_any_column_is_found_and_named(whole: EventLog, column: str) -> None:
    position = random.Random(column).randrange(2, whole.head().position)
    ((kind),) = [known.kind for known in EVENTS.columns if known.name == column]
    changed = {"position": "position + 1000000", "version": "version + 1000000"}.get(
        column, f"coalesce({column}, '') || 'x'"
    )
    assert kind in ("int", "id", "text", "time", "json")
    with unprotected(whole.database) as transaction:
        transaction.execute(f"UPDATE events SET {column} = {changed} WHERE position = ?", (position,))
    found = verify_log(whole.database)
    assert found.problems, column
    assert found.problems[0].position == position, whats(found)


def test_an_empty_column_is_not_an_empty_text(whole: EventLog) -> None:
    with unprotected(whole.database) as transaction:
        transaction.execute("UPDATE events SET reason = '' WHERE position = 3 AND reason IS NULL")
    assert verify_log(whole.database).problems[0].position == 3


def test_an_edit_with_a_fitting_leaf_hash_is_found_by_the_head(whole: EventLog) -> None:
    with unprotected(whole.database) as transaction:
        _rewrite(transaction, 5, lambda row: [*row[:5], "2020-01-01T00:00:00.000000Z", *row[6:]])
    found = verify_log(whole.database)
    assert "tree root" in whats(found)


def test_a_removed_event_is_found_and_named(whole: EventLog) -> None:
    with unprotected(whole.database) as transaction:
        transaction.execute("DELETE FROM events WHERE position = 4")
    found = verify_log(whole.database)
    assert found.problems[0].position == 4
    assert "missing" in found.problems[0].what


def test_swapped_events_are_found(whole: EventLog) -> None:
    with unprotected(whole.database) as transaction:
        for old, new in ((4, -4), (7, 4), (-4, 7)):
            transaction.execute("UPDATE events SET position = ? WHERE position = ?", (new, old))
    assert verify_log(whole.database).problems[0].position == 4


def test_an_inserted_event_is_found(whole: EventLog) -> None:
    last = whole.head().position
    with unprotected(whole.database) as transaction:
        ((*row,),) = transaction.read(f"SELECT {', '.join(EVENTS.names)} FROM events WHERE position = 2")
        row[0], row[1], row[3] = last + 1, "00000000-0000-7000-8000-0000000000ff", 900
        row[-1] = leaf_hash(encode_entry(row[:-1])).hex()
        transaction.insert_rows("events", EVENTS.names, [row])
    assert "head" in whats(verify_log(whole.database))


def test_a_log_cut_short_is_found_by_the_head_and_behind_it_by_a_checkpoint(whole: EventLog) -> None:
    head = whole.head()
    with unprotected(whole.database) as transaction:
        transaction.execute("DELETE FROM events WHERE position > ?", (head.position - 3,))
    assert "head" in whats(verify_log(whole.database, projections=False))
    # Now the head is set back as well, and the tables are made anew: nothing inside the database tells any more.
    with whole.database.write() as transaction:
        _set_head(transaction)
    whole.rebuild()
    found = verify_log(whole.database, checkpoint_sizes=(head.position,))
    assert found.problems == ()
    assert not found.roots, "the log is shorter than the checkpoint"


def test_a_log_rewritten_as_a_whole_is_found_by_a_checkpoint(whole: EventLog) -> None:
    head = whole.head()
    with unprotected(whole.database) as transaction:
        _rewrite(transaction, 5, lambda row: [*row[:5], "2020-01-01T00:00:00.000000Z", *row[6:]])
        _set_head(transaction)
    whole.rebuild()
    found = verify_log(whole.database, checkpoint_sizes=(head.position,))
    assert found.problems == ()
    assert found.roots[head.position] != head.root


def test_the_root_at_an_earlier_checkpoint_is_the_head_of_that_time(log: EventLog, history: list[NewEvent]) -> None:
    log.append(history[:7])
    then = log.head()
    log.append(history[7:])
    assert verify_log(log.database, checkpoint_sizes=(then.position,)).roots == {then.position: then.root}


def test_a_removed_trigger_is_found(whole: EventLog) -> None:
    suffix = " ON events" if whole.database.dialect == "postgresql" else ""
    name = next(iter(TRIGGERS[whole.database.dialect]))
    with whole.database.write() as transaction:
        transaction.execute(f"DROP TRIGGER {name}{suffix}")
    assert name in whats(verify_log(whole.database))
    whole.rebuild()
    assert verify_log(whole.database).problems == (), "a rebuild makes the protection anew"


def test_a_trigger_that_refuses_nothing_any_more_is_found(whole: EventLog) -> None:
    with whole.database.write() as transaction:
        if whole.database.dialect == "postgresql":
            transaction.execute(REFUSE_FUNCTION.replace("RAISE EXCEPTION", "RAISE NOTICE"))
        else:
            for name, statement in TRIGGERS["sqlite"].items():
                transaction.execute(f"DROP TRIGGER {name}")
                transaction.execute(f"{statement[: statement.index('BEGIN')]}BEGIN SELECT 1; END")
    found = whats(verify_log(whole.database))
    assert all(name in found for name in TRIGGERS[whole.database.dialect])


@pytest.mark.parametrize(
    "change",
    [
        "context = 'x' WHERE topic = 'run.started.1'",
        """topic = 'artifact.updated.1', payload = '{"changes":{"n_files":{"old":1,"new":"x"}}}' WHERE position = 11""",
    ],
)
def test_events_that_cannot_be_replayed_do_not_end_the_check(whole: EventLog, change: str) -> None:
    with unprotected(whole.database) as transaction:
        transaction.execute(f"UPDATE events SET {change}")
    found = verify_log(whole.database)
    assert "cannot be replayed" in whats(found)
    assert "its content does not give its leaf hash" in found.problems[0].what


def test_what_the_database_cannot_read_does_not_end_the_check(sqlite_address: Path, history: list[NewEvent]) -> None:
    log = EventLog.connect(sqlite_address, create=True)
    log.append(history)
    with unprotected(log.database) as transaction:
        transaction.execute("UPDATE events SET payload = CAST(x'ff' AS TEXT) WHERE position = 3")
    assert "cannot be read" in whats(verify_log(log.database))
    log.close()


def test_a_registry_that_lost_a_column_does_not_end_the_check(whole: EventLog) -> None:
    with whole.database.write() as transaction:
        transaction.execute("ALTER TABLE artifacts DROP COLUMN otype")
    assert "otype" in whats(verify_log(whole.database))


def test_a_log_without_its_head_is_refused_by_name(whole: EventLog) -> None:
    with whole.database.write() as transaction:
        transaction.execute("DELETE FROM log_head")
    with pytest.raises(LogCorruptError, match="head"):
        EventLog(whole.database)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        *((table, "edited") for table in schema.TABLES),
        *(
            (table, change)
            for table in (schema.RUNS, schema.SEARCH_WORDS)
            for change in ("removed", "added", "dropped")
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_changed_registry_is_found_and_a_rebuild_repairs_it(whole: EventLog, table: Any, change: str) -> None:
    column = table.columns[-1]
    edited = "1" if column.kind in ("int", "bool") else f"coalesce({column.name}, '') || 'x'"
    statement = {
        "edited": f"UPDATE {table.name} SET {column.name} = {edited}",
        "removed": f"DELETE FROM {table.name}",
        "added": None,
        "dropped": f"DROP TABLE {table.name}",
    }[change]
    with whole.database.write() as transaction:
        if statement is not None:
            transaction.execute(statement)
        else:
            ((*row,),) = transaction.read(f"SELECT {', '.join(table.names)} FROM {table.name} LIMIT 1")
            for index, known in enumerate(table.columns):
                row[index] = 10**9 if index == 0 else f"{row[index]}x" if known.kind in ("id", "text") else row[index]
            if ("stem", "version_number") in table.unique:
                row[table.names.index("version_number")] = 77
            transaction.insert_rows(table.name, table.names, [row])
    assert f"table {table.name}" in whats(verify_log(whole.database))
    whole.rebuild()
    assert verify_log(whole.database).problems == ()


@pytest.mark.parametrize(
    "forge",
    [
        "UPDATE events SET reason = 'I was told to' WHERE position = 9",
        "DELETE FROM events WHERE position = 9",
        "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
        "UPDATE events SET position = position + 1 WHERE position = (SELECT max(position) FROM events)",
        "UPDATE log_head SET root = 'x'",
    ],
)
def test_a_rebuild_makes_nothing_of_an_altered_log(
    whole: EventLog, forge: str, tables: Callable[[EventLog], Any]
) -> None:
    """What an altered log gives is not to take the place of registries that may still tell what was recorded."""
    with unprotected(whole.database) as transaction:
        transaction.execute(forge)
        transaction.execute("UPDATE artifacts SET description = 'forged'")
    before = tables(whole)
    with pytest.raises(LogCorruptError, match="nothing was changed"):
        whole.rebuild()
    assert tables(whole) == before
    found = whats(verify_log(whole.database))
    assert "table artifacts" in found
    assert "prov rebuild" not in found, "advice that would be refused"


def test_every_single_bit_flip_of_an_event_changes_its_leaf(whole: EventLog) -> None:
    """The encoding is what the tree protects: no flipped bit, in any column, may give the same leaf."""
    rows = whole.database.read(f"SELECT {', '.join(EVENTS.names)} FROM events ORDER BY position LIMIT 12")
    n_flips = 0
    for row in rows:
        columns = row[:-1]
        original = encode_entry(columns)
        for index, bit in itertools.product(range(len(columns)), range(7)):
            text = "" if columns[index] is None else str(columns[index])
            for place in range(0, len(text), 5):
                flipped = text[:place] + chr(ord(text[place]) ^ (1 << bit)) + text[place + 1 :]
                n_flips += 1
                assert encode_entry([*columns[:index], flipped, *columns[index + 1 :]]) != original
    assert n_flips > 5_000


def _rewrite(transaction: Transaction, position: int, edit: Callable[[list[Any]], list[Any]]) -> None:
    """Edit an event and give it the leaf hash that fits."""
    ((*row,),) = transaction.read(f"SELECT {', '.join(EVENTS.names)} FROM events WHERE position = ?", (position,))
    row = edit(row)
    row[-1] = leaf_hash(encode_entry(row[:-1])).hex()
    assert len(row) == N_COLUMNS
    assignments = ", ".join(f"{name} = ?" for name in EVENTS.names)
    transaction.execute(f"UPDATE events SET {assignments} WHERE position = ?", (*row, position))


def _set_head(transaction: Transaction) -> None:
    """Make the head fit the events, as one would who knows how it is made."""
    frontier = Frontier()
    frontier.extend(
        bytes.fromhex(leaf) for (leaf,) in transaction.read("SELECT leaf_hash FROM events ORDER BY position")
    )
    transaction.execute(
        "UPDATE log_head SET position = ?, frontier = ?, root = ? WHERE id = 1",
        (frontier.size, frontier.to_bytes().hex(), frontier.root().hex()),
    )


@pytest.mark.parametrize("columns", EVENTS.unique, ids="-".join)
def test_a_removed_uniqueness_rule_is_found(whole: EventLog, columns: tuple[str, ...]) -> None:
    name = index_name("unique", EVENTS, columns)
    with whole.database.write() as transaction:
        transaction.execute(f"DROP INDEX {name}")
    assert name in whats(verify_log(whole.database))


def test_a_gap_is_reported_once_and_no_intact_event_is_blamed(whole: EventLog) -> None:
    ((position,),) = whole.database.read("SELECT min(position) FROM artifacts")
    with unprotected(whole.database) as transaction:
        transaction.execute("DELETE FROM events WHERE position = ?", (position,))
    found = verify_log(whole.database)
    assert [problem.position for problem in found.problems if "missing or out of order" in problem.what] == [position]
    assert {problem.position for problem in found.problems} <= {position, None}


def test_a_removed_rule_of_a_registry_is_found_and_made_anew(whole: EventLog) -> None:
    name = index_name("unique", schema.ARTIFACTS, ("key", "version_number"))
    with whole.database.write() as transaction:
        transaction.execute(f"DROP INDEX {name}")
    assert name in whats(verify_log(whole.database))
    whole.rebuild()
    assert verify_log(whole.database).problems == ()


@pytest.mark.parametrize("table", [EVENTS, schema.EDGES], ids=lambda table: table.name)
@pytest.mark.parametrize("weaker", ["{columns}) WHERE position < 0", "{columns}, position)"])
def test_a_rule_that_keeps_nothing_any_more_is_found_and_made_anew(whole: EventLog, table: Any, weaker: str) -> None:
    name, columns = index_name("unique", table, table.unique[0]), ", ".join(table.unique[0])
    with whole.database.write() as transaction:
        transaction.execute(f"DROP INDEX {name}")
        transaction.execute(f"CREATE UNIQUE INDEX {name} ON {table.name} ({weaker.format(columns=columns)}")
    assert name in whats(verify_log(whole.database))
    whole.rebuild()
    assert verify_log(whole.database).problems == ()


def test_a_clock_that_was_set_back_is_told_and_is_no_damage(
    log: EventLog, registered: Callable[..., NewEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2026, 10, 25, 0, 59, tzinfo=UTC)
    ticks = [0.0, 10.0, 9.0, 7.0, 8.0, 4.0, 3600.0, 0.0, 1.0]
    clock = iter([time_text(start + timedelta(seconds=tick)) for tick in ticks])
    with log.database.write() as transaction:
        kind = type(transaction)
    monkeypatch.setattr(kind, "now", lambda _self: next(clock))
    for _ in ticks:
        log.append([registered()])
    found = verify_log(log.database)
    # Two seconds at most are the trembling of a clock that is kept right.
    assert [anomaly.position for anomaly in found.clock_anomalies] == [6, 8]
    assert (found.clock_anomalies[1].before, found.clock_anomalies[1].recorded_at) == (
        "2026-10-25T01:59:00.000000Z",
        "2026-10-25T00:59:00.000000Z",
    )
    assert found.problems == ()
    assert [event.position for event in log.read()] == list(range(1, len(ticks) + 1))
