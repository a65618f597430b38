from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.log import event_log
from lineagelog.adapters.log.database import UniquenessError
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.schema import TRIGGERS
from lineagelog.domain.errors import (
    ConcurrentWriteError,
    ConstraintError,
    InvalidValueError,
    SchemaVersionError,
    StorageError,
    StoreUnavailableError,
)
from lineagelog.domain.event import TOPICS, NewEvent
from lineagelog.domain.ids import new_id
from lineagelog.domain.merkle import EMPTY_ROOT
from lineagelog.domain.user import UserRegistered, UserUpdated
from lineagelog.projections import schema
from lineagelog.projections.projector import project_all
from lineagelog.projections.table import Insert

Registered = Callable[..., NewEvent]


def count(log: EventLog) -> int:
    ((n_events,),) = log.database.read("SELECT count(*) FROM events")
    return int(n_events)


def test_an_empty_log_has_the_head_of_the_empty_tree(log: EventLog) -> None:
    assert log.head() == (0, EMPTY_ROOT.hex())
    assert list(log.read()) == []
    assert log.append([]) == []


def test_what_is_appended_is_read_back_equal(log: EventLog, reopened: EventLog, history: list[NewEvent]) -> None:
    recorded = [event for new in history for event in log.append([new])]
    assert [event.position for event in recorded] == list(range(1, len(history) + 1))
    for new, event in zip(history, recorded, strict=True):
        assert (event.event_id, event.stream, event.version, event.fact) == (
            new.event_id,
            new.stream,
            new.version,
            new.fact,
        )
        assert (event.actor, event.run, event.reason, event.context) == (new.actor, new.run, new.reason, new.context)
    assert list(log.read()) == list(reopened.read()) == recorded
    assert reopened.head() == log.head()


def test_the_history_of_these_tests_holds_every_kind_of_event(history: list[NewEvent]) -> None:
    assert {event.fact.topic for event in history} >= TOPICS.keys()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_appends_of_any_size_make_the_same_log(
    log: EventLog, history: list[NewEvent], size: int, assert_whole: Callable[[EventLog], None]
) -> None:
    for start in range(0, len(history), size):
        log.append(history[start : start + size])
    assert [event.fact for event in log.read()] == [event.fact for event in history]
    assert_whole(log)


def test_rebuilt_tables_equal_the_live_ones_and_none_is_empty(
    log: EventLog, history: list[NewEvent], tables: Callable[[EventLog], Any]
) -> None:
    log.append(history)
    live = tables(log)
    assert all(live.values()), "the history leaves no table untested"
    done: list[tuple[int, int]] = []
    assert log.rebuild(progress=lambda n, of: done.append((n, of))) == len(history)
    assert done == [(len(history), len(history))]
    assert tables(log) == live


def test_a_rebuild_repairs_tables_and_keeps_their_rules(
    log: EventLog, history: list[NewEvent], tables: Callable[[EventLog], Any], registered: Registered
) -> None:
    log.append(history)
    live = tables(log)
    with log.database.write() as transaction:
        transaction.execute("UPDATE artifacts SET hash = ?", ("tampered",))
        transaction.execute("DELETE FROM edges")
        transaction.execute("DROP TABLE users")
    log.rebuild()
    assert tables(log) == live
    with pytest.raises(ConstraintError):
        log.append([registered("mara")])


def test_a_rebuild_that_fails_leaves_the_tables_as_they_were(
    log: EventLog, history: list[NewEvent], tables: Callable[[EventLog], Any]
) -> None:
    log.append(history)
    live = tables(log)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log.rebuild(progress=interrupt)
    assert tables(log) == live


def test_a_rebuild_in_batches_equals_one_in_one_piece(
    log: EventLog, history: list[NewEvent], tables: Callable[[EventLog], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(history)
    live = tables(log)
    monkeypatch.setattr(event_log, "_REBUILD_BATCH", 3)
    log.rebuild()
    assert tables(log) == live


def test_repeating_an_append_records_nothing_again(log: EventLog, registered: Registered) -> None:
    events = [registered() for _ in range(3)]
    first = log.append(events)
    log.append([registered()])
    assert log.append(events) == first
    assert log.append(events[:1]) == first[:1]
    assert log.append(events[:2]) == first[:2]
    assert count(log) == 4


def test_half_known_events_are_a_conflict_and_record_nothing(log: EventLog, registered: Registered) -> None:
    known, new = registered(), registered()
    log.append([known])
    for events in ([known, new], [new, known]):
        with pytest.raises(ConcurrentWriteError):
            log.append(events)
    assert count(log) == 1


def test_the_second_writer_of_a_version_is_told_so(log: EventLog, reopened: EventLog, registered: Registered) -> None:
    first = registered()
    log.append([first])
    change = UserUpdated(changes={})
    log.append([NewEvent(stream=first.stream, version=2, fact=change)])
    with pytest.raises(
        ConcurrentWriteError, match="another writer changed the same record first; nothing was recorded"
    ):
        reopened.append([registered(), NewEvent(stream=first.stream, version=2, fact=change)])
    assert count(log) == 2
    reopened.append([NewEvent(stream=first.stream, version=3, fact=change)])
    assert count(log) == 3


def test_a_broken_rule_of_a_table_keeps_the_event_out(
    log: EventLog, registered: Registered, assert_whole: Callable[[EventLog], None]
) -> None:
    log.append([registered("mara")])
    head = log.head()
    with pytest.raises(UniquenessError) as caught:
        log.append([registered(), registered("mara"), registered()])
    assert (caught.value.table, caught.value.columns) == ("users", ("handle",))
    assert log.head() == head
    assert count(log) == 1
    assert_whole(log)


def test_a_projection_that_fails_keeps_the_event_out(
    log: EventLog, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(events: Any) -> Any:
        return [*project_all(events), (Insert(schema.EDGES), (1, None, None, None, None, None, None, None))]

    monkeypatch.setattr(event_log, "project_all", broken)
    with pytest.raises(StorageError):
        log.append([registered()])
    assert (count(log), log.head().position) == (0, 0)
    assert log.database.read("SELECT count(*) FROM users") == [(0,)]


@pytest.mark.parametrize(
    "bad",
    [{"fact": UserRegistered(uid="a", handle=3)}, {"fact": UserRegistered(uid="a", handle="\x00")}, {"reason": "a\x00b"},
     {"reason": "\ud800"}],
    ids=["type", "NUL in the fact", "NUL in the reason", "surrogate in the reason"],
)  # fmt: skip
def test_a_value_that_cannot_be_recorded_keeps_the_whole_append_out(
    log: EventLog, registered: Registered, bad: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValueError):
        log.append([registered(), registered(**bad)])
    assert count(log) == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET reason = 'x'", "DELETE FROM events", "DELETE FROM events WHERE position = 1"]
)
def test_recorded_events_are_neither_changed_nor_deleted(log: EventLog, registered: Registered, statement: str) -> None:
    log.append([registered()])
    before = list(log.read())
    with pytest.raises(StorageError, match="events are never"), log.database.write() as transaction:
        transaction.execute(statement)
    assert list(log.read()) == before


def test_recorded_events_are_not_truncated(postgresql_address: str, registered: Registered) -> None:
    log = EventLog.connect(postgresql_address, create=True)
    log.append([registered()])
    with pytest.raises(StorageError, match="events are never"), log.database.write() as transaction:
        transaction.execute("TRUNCATE events")
    assert count(log) == 1
    log.close()


def test_the_triggers_that_protect_the_log_are_listed(log: EventLog) -> None:
    assert log.database.trigger_names() == TRIGGERS[log.database.dialect].keys()


def test_a_log_that_newer_software_has_written_to_is_only_read(
    database_address: Path | str,
    log: EventLog,
    registered: Callable[..., NewEvent],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log.append([registered()])
    # What newer software does when it records a kind of fact that this one does not know.
    monkeypatch.setattr(UserRegistered, "store_format", 2)
    log.append([registered(), registered()])
    monkeypatch.undo()
    for create in (False, True):
        newer = EventLog.connect(database_address, create=create)
        assert newer.database.read_only
        assert len(list(newer.read())) == newer.head().position == 3
        for write in (lambda: newer.append([registered()]), newer.rebuild):  # noqa: B023 - called within this turn
            with pytest.raises(
                SchemaVersionError,
                match=r"is written in store format 2; this software knows formats up to 1.*nothing was",
            ):
                write()
        newer.close()
    with pytest.raises(SchemaVersionError):
        # It was open before.
        log.append([registered()])


def test_a_database_without_a_log_is_refused(database_address: Path | str) -> None:
    from lineagelog.adapters.log.connect import connect

    connect(database_address, create=True).close()
    with pytest.raises(StoreUnavailableError, match=r"create .*with `prov init`"):
        EventLog.connect(database_address)


def test_creating_a_log_that_is_there_keeps_it(
    database_address: Path | str, log: EventLog, registered: Registered
) -> None:
    log.append([registered()])
    again = EventLog.connect(database_address, create=True)
    assert again.head() == log.head()
    again.close()


def test_reading_by_each_condition(log: EventLog, history: list[NewEvent]) -> None:
    recorded = log.append(history)
    actor, run, stream = history[0].stream, history[13].run, history[0].stream
    assert list(log.read(after=5, up_to=9)) == recorded[5:9]
    assert list(log.read(stream=stream)) == [event for event in recorded if event.stream == stream]
    assert list(log.read(actor=actor)) == [event for event in recorded if event.actor == actor] != recorded
    assert list(log.read(run=run)) == [event for event in recorded if event.run == run] != []
    for topic in ("user", "user.registered", "user.registered.1", "run"):
        assert list(log.read(topic=topic)) == [e for e in recorded if f"{e.topic}.".startswith(f"{topic}.")] != []
    assert list(log.read(topic="use")) == []
    assert list(log.read(newest_first=True)) == recorded[::-1]
    assert list(log.read(limit=3)) == recorded[:3]
    assert (
        list(log.read(newest_first=True, limit=2, topic="user"))
        == [e for e in recorded if e.topic[:5] == "user."][:-3:-1]
    )
    moment = recorded[0].recorded_at
    assert list(log.read(since=moment)) == recorded
    assert list(log.read(until=moment)) == []
    assert list(log.read(stream=new_id())) == []


def test_a_log_in_memory_works_like_any_other(
    history: list[NewEvent], assert_whole: Callable[[EventLog], None]
) -> None:
    log = EventLog.connect(None, create=True)
    log.append(history)
    assert [event.fact for event in log.read()] == [event.fact for event in history]
    assert_whole(log)
    log.close()
