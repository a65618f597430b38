"""Views of a log as it was: equal to what the log held then, kept for the next who asks, and never believed unseen."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.log import past
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.past import log_as_of
from lineagelog.adapters.log.verification import verify_log
from lineagelog.domain.errors import LogCorruptError, StoreReadOnlyError
from lineagelog.domain.event import NewEvent
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash

STORE = "store-id"
SECRET = b"known to this user alone"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "views"


@pytest.fixture
def view_of(folder: Path) -> Callable[..., Any]:
    """Open a view, and close it after a look."""

    def look(log: EventLog, position: int, see: Callable[[EventLog], Any] = lambda log: log.head()) -> Any:
        view = log_as_of(log.database, position, store_id=STORE, folder=folder, secret=SECRET)
        try:
            return see(view.log), view.was_altered
        finally:
            view.log.close()

    return look


def kept(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[0]) for path in (folder / STORE).iterdir())


def one_view(folder: Path) -> Path:
    (view,) = (folder / STORE).glob("*/view.db")
    return view


def test_a_view_holds_what_the_log_held_then(
    log: EventLog, history: list[NewEvent], view_of: Callable[..., Any], tables: Callable[[EventLog], Any]
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    expected = {}
    remaining = list(history)
    while remaining:
        n = chosen.randint(1, 4)
        log.append(remaining[:n])
        del remaining[:n]
        head = log.head()
        expected[head.position] = (head, tables(log))
    events = list(log.read())
    for position in chosen.sample(sorted(expected), 10):
        found, was_altered = view_of(
            log,
            position,
            lambda view: ((view.head(), tables(view)), list(view.read()), verify_log(view.database).problems),
        )
        assert found == (expected[position], events[:position], ())
        assert not was_altered


def test_a_view_is_built_on_the_nearest_earlier_one(
    log: EventLog, history: list[NewEvent], view_of: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(history)
    copied: list[tuple[int, int]] = []
    copy_events = past._copy_events

    def watched(*arguments: Any) -> None:
        copied.append(arguments[-2:])
        copy_events(*arguments)

    monkeypatch.setattr(past, "_copy_events", watched)
    for position in (10, 30, 20, 20, 31):
        view_of(log, position)
    assert copied == [(0, 10), (10, 30), (10, 20), (30, 31)]
    assert kept(folder) == [10, 20, 30, 31]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE users SET name = 'Somebody else'", "DELETE FROM artifacts"],
)
def test_a_doctored_view_is_noticed_and_made_anew(
    log: EventLog,
    history: list[NewEvent],
    view_of: Callable[..., Any],
    tables: Callable[[EventLog], Any],
    folder: Path,
    statement: str,
) -> None:
    log.append(history)
    expected = view_of(log, 30, tables)
    with sqlite3.connect(one_view(folder)) as connection:
        connection.execute(statement)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert view_of(log, 30, tables) == (expected[0], True)
    assert view_of(log, 30, tables) == (expected[0], False)


def test_a_view_with_a_fitting_hash_that_the_log_never_was_is_noticed(
    log: EventLog,
    history: list[NewEvent],
    view_of: Callable[..., Any],
    folder: Path,
    registered: Callable[..., NewEvent],
) -> None:
    log.append(history[:30])
    view_of(log, 20)
    shutil.rmtree(folder)
    other = EventLog.connect(None, create=True)
    other.append([registered() for _ in range(25)])
    view_of(other, 20)
    other.close()
    # The same number of events, but of another log.
    assert view_of(log, 20) == ((20, view_of(log, 20)[0].root), True)


def test_a_forged_view_with_a_fitting_description_is_noticed_without_the_secret(
    log: EventLog, history: list[NewEvent], view_of: Callable[..., Any], tables: Callable[[EventLog], Any], folder: Path
) -> None:
    log.append(history)
    expected = view_of(log, 30, tables)[0]
    view = one_view(folder)
    description = view.with_name("view.json")
    with sqlite3.connect(view) as connection:
        connection.execute("UPDATE users SET name = 'Somebody else'")
    connection.close()
    # The forger knows all of this software, and the head that the log had then.
    fields = json.loads(description.read_bytes())
    stamp = past._stamp(view, past._hash(view))
    for secret in (b"", b"another"):
        frontier = Frontier(30, bytes.fromhex(fields["frontier"]))
        with description.open("r+") as file:
            past._write_manifest(file.fileno(), frontier, stamp, frontier, secret)
        assert view_of(log, 30, tables) == (expected, True)
    assert view_of(log, 30, tables) == (expected, False)
    for path in (folder / STORE, view.parent, view, description):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b'{"position": 20, "frontier": "aa", "stamp": null}'])
def test_a_view_whose_description_is_damaged_is_made_anew(
    log: EventLog, history: list[NewEvent], view_of: Callable[..., Any], folder: Path, content: bytes
) -> None:
    log.append(history)
    view_of(log, 20)
    one_view(folder).with_name("view.json").write_bytes(content)
    assert view_of(log, 20)[1]
    assert json.loads(one_view(folder).with_name("view.json").read_bytes())["position"] == 20


def test_an_altered_event_is_named_and_nothing_kept(
    sqlite_address: Path, history: list[NewEvent], folder: Path, view_of: Callable[..., Any]
) -> None:
    log = EventLog.connect(sqlite_address, create=True)
    log.append(history)
    with sqlite3.connect(sqlite_address) as connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET reason = 'never said' WHERE position = 12")
    connection.close()
    assert view_of(log, 11)[0].position == 11
    with pytest.raises(LogCorruptError, match="event 12 is not as it was recorded"):
        view_of(log, 12)
    assert kept(folder) == [11]
    log.close()


def test_an_event_that_was_altered_with_its_leaf_hash_is_found_before_anything_is_shown(
    sqlite_address: Path, history: list[NewEvent], folder: Path, view_of: Callable[..., Any]
) -> None:
    log = EventLog.connect(sqlite_address, create=True)
    log.append(history)
    with sqlite3.connect(sqlite_address) as connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET reason = 'forged' WHERE position = 15")
        ((*columns, _),) = connection.execute("SELECT * FROM events WHERE position = 15")
        connection.execute(
            "UPDATE events SET leaf_hash = ? WHERE position = 15", (leaf_hash(encode_entry(columns)).hex(),)
        )
    connection.close()
    with pytest.raises(LogCorruptError, match="prov verify"):
        view_of(log, len(history) - 5)
    assert kept(folder) == []
    log.close()


def test_a_view_refuses_every_write(log: EventLog, history: list[NewEvent], view_of: Callable[..., Any]) -> None:
    log.append(history)
    for write in (lambda view: view.append([history[-1]]), lambda view: view.rebuild()):
        with pytest.raises(StoreReadOnlyError, match="as of event 20 is a view of the past"):
            view_of(log, 20, write)


def test_views_are_bounded_and_one_that_is_open_stays(
    log: EventLog, history: list[NewEvent], view_of: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(history)
    monkeypatch.setattr(past, "MAX_VIEWS", 2)
    held = log_as_of(log.database, 5, store_id=STORE, folder=folder, secret=SECRET)
    for position in (10, 15, 20):
        view_of(log, position)
    assert kept(folder) == [5, 15, 20]
    with held.log.database.snapshot() as snapshot:
        assert snapshot.read("SELECT count(*) FROM events") == [(5,)]
    held.log.close()
    view_of(log, 21)
    assert kept(folder) == [20, 21]


def test_where_nothing_can_be_kept_a_view_lives_as_long_as_it_is_open(
    log: EventLog, history: list[NewEvent], tmp_path: Path
) -> None:
    log.append(history)
    (tmp_path / "a file").write_text("")
    view = log_as_of(log.database, 20, store_id=STORE, folder=tmp_path / "a file", secret=SECRET)
    folder = Path(view.log.database._path).parent  # type: ignore[attr-defined]
    assert view.log.head().position == 20
    view.log.close()
    assert not folder.parent.exists()


def test_the_folder_may_be_removed_at_any_time(
    log: EventLog, history: list[NewEvent], view_of: Callable[..., Any], folder: Path
) -> None:
    log.append(history)
    first = view_of(log, 20)
    shutil.rmtree(folder)
    assert view_of(log, 20) == first
