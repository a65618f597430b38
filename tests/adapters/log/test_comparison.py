"""The comparison of the registries with the log says what a replay says, and needs none where nothing differs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lineagelog.adapters.log import comparison
from lineagelog.adapters.log.comparison import Comparison
from lineagelog.adapters.log.database import Database, UniquenessError
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.verification import verify_log
from lineagelog.domain.annotation import (
    FeatureValuesRemoved,
    FeatureValuesSet,
    LabelAttached,
    LabelDefined,
    LabelDetached,
    LabelUpdated,
)
from lineagelog.domain.artifact import ArtifactRegistered, ArtifactUpdated, ArtifactVerified
from lineagelog.domain.disposal import ArtifactRestored, ArtifactTrashed
from lineagelog.domain.errors import StorageError
from lineagelog.domain.event import Change, Event, NewEvent
from lineagelog.domain.ids import Id, new_id, versioned_uid
from lineagelog.domain.run import InputAccessed, RunFinished, RunStarted, RunUpdated
from lineagelog.projections import schema
from lineagelog.projections.table import Table

TIME = "2026-11-21T03:22:44.540332Z"


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def agrees(database: Database, events: list[Any], size: int) -> bool:
    with database.snapshot() as live:
        compared = Comparison(live)
        follows = all(compared.follow(events[start : start + size]) for start in range(0, len(events), size))
        return follows and compared.agrees()


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_every_kind_of_event_is_compared_without_a_replay(log: EventLog, history: list[NewEvent], size: int) -> None:
    log.append(history)
    assert agrees(log.database, list(log.read()), size)


def test_a_long_history_of_changes_is_compared_without_a_replay(log: EventLog, chance: random.Random) -> None:
    log.append(_wander(chance, 400))
    events = list(log.read())
    for size in (1, chance.randint(2, 30), 1_000):
        assert agrees(log.database, events, size), f"in batches of {size}"
    assert verify_log(log.database, replay=True).problems == ()


def test_whatever_is_changed_is_seen_by_both(log: EventLog, history: list[NewEvent], chance: random.Random) -> None:
    log.append(history)
    events, done = list(log.read()), 0
    while done < 25:
        table = chance.choice(schema.TABLES)
        with _tampered(log.database, table, chance) as what:
            if what is None:
                continue
            done += 1
            assert not agrees(log.database, events, chance.choice([1, 20, 1_000])), f"{table.name}: {what}"
            assert verify_log(log.database, replay=True).problems, f"{table.name}: {what}"
    assert agrees(log.database, events, 1_000)


def test_an_event_that_lies_about_the_old_value_is_left_to_the_replay(log: EventLog) -> None:
    label = new_id()
    log.append(
        [
            NewEvent(stream=label, version=1, fact=LabelDefined(uid="L" * 8, name="left right")),
            NewEvent(stream=label, version=2, fact=LabelUpdated(changes={"name": Change("left", "up")})),
        ]
    )
    # The word that the second event does not take away stays, on record.
    assert ("right",) in log.database.read("SELECT word FROM search_words")
    assert not agrees(log.database, list(log.read()), 10)
    assert verify_log(log.database).problems == ()


def test_more_than_memory_should_hold_is_left_to_the_replay(
    log: EventLog, history: list[NewEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(history)
    monkeypatch.setattr(comparison, "MAX_PENDING", 2)
    assert not agrees(log.database, list(log.read()), 10)
    assert verify_log(log.database).problems == ()


@contextmanager
def _tampered(database: Database, table: Table, chance: random.Random) -> Iterator[str | None]:
    """Change one row as whoever can write the tables may, and put all back; `None` if it cannot be done to this table."""
    selected = f"SELECT {', '.join(table.names)} FROM {table.name}"
    rows = database.read(selected)
    row = list(chance.choice(rows))
    keys = " AND ".join(f"{name} = ?" for name in table.key)
    key = [row[table.names.index(name)] for name in table.key]
    kind = chance.choice(["edit", "edit", "remove", "move", "copy"])
    place = chance.randrange(1, len(table.columns)) if kind == "edit" else 0
    column = table.columns[place]
    if place == 0:
        row[0] = chance.choice([row[0] + 1, 0, 10**6, 2**63 - 1, -(2**63)])
    elif column.kind in ("int", "bool", "real"):
        row[place] = (row[place] or 0) + chance.choice([1, 1_000])
    else:
        row[place] = chance.choice([f"{row[place] or ''}x", ""]) if row[place] else "x"
    try:
        with database.write() as transaction:
            if kind != "copy":
                transaction.execute(f"DELETE FROM {table.name} WHERE {keys}", key)
            if kind != "remove":
                transaction.insert_rows(table.name, table.names, [row])
    except (UniquenessError, StorageError):
        yield None
        return
    yield f"{kind} {column.name} of the row {key}"
    with database.write() as transaction:
        transaction.execute(f"DELETE FROM {table.name}")
        transaction.insert_rows(table.name, table.names, rows)


def _wander(chance: random.Random, n: int) -> list[NewEvent]:
    """Make events that take things back, do them again, and repeat each other."""
    events: list[NewEvent] = []
    versions: dict[Id, int] = {}
    descriptions: dict[Id, str | None] = {}
    storage, features = new_id(), [new_id() for _ in range(3)]

    def add(stream: Id, fact: Event, run: Id | None = None) -> None:
        versions[stream] = versions.get(stream, 0) + 1
        events.append(NewEvent(stream=stream, version=versions[stream], fact=fact, run=run))

    runs: list[Id] = []
    artifacts: list[Id] = []
    labels = [new_id() for _ in range(4)]
    for number, label in enumerate(labels):
        add(label, LabelDefined(uid=f"{number:08d}", name=f"name {number}"))
    for number in range(n):
        if number % 40 == 0:
            runs.append(new_id())
            add(runs[-1], RunStarted(uid=f"{number:016d}", transform=new_id(), started_at=TIME))
        if number % 8 == 0:
            artifacts.append(new_id())
            fact = ArtifactRegistered(
                uid=versioned_uid(f"{number:016d}", 0), version_number=0, storage=storage, path=f"p/{number}", size_bytes=1,
                hash=f"{number:064x}", key=f"data/{number}.csv", run=runs[-1],
            )  # fmt: skip
            add(artifacts[-1], fact, runs[-1])
        one, run = chance.choice(artifacts[-6:]), chance.choice(runs)
        label, feature = chance.choice(labels), chance.choice(features)
        match chance.randrange(8):
            case 0:
                add(run, InputAccessed(artifact=one, how="load", accessed_at=TIME))
            case 1:
                add(one, LabelAttached(label=label, registry="ULabel", subject="Artifact"))
            case 2:
                add(one, LabelDetached(label=label, registry="ULabel", subject="Artifact"))
            case 3:
                values = {feature: Change(None, chance.choice([1, "x", None, 0.5]))}
                add(one, FeatureValuesSet(values=values, subject="Artifact"))
            case 4:
                add(one, FeatureValuesRemoved(values={feature: Change(1, None)}, subject="Artifact"))
            case 5:
                old, new = descriptions.get(one), chance.choice([None, "left", "left right", "up"])
                descriptions[one] = new
                add(one, ArtifactUpdated(changes={"description": Change(old, new)}))
            case 6:
                state = chance.choice([ArtifactTrashed(latest=None), ArtifactRestored(latest=one)])
                add(one, chance.choice([state, ArtifactVerified(outcome="intact")]))
            case 7:
                moved = RunUpdated(changes={"transform_id": Change(None, new_id())})
                add(run, chance.choice([moved, RunFinished(finished_at=TIME)]))
    return events
