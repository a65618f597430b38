"""Many writers and readers at once, in processes of their own."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lineagelog.adapters.log import postgresql
from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.sqlite import SQLiteDatabase
from lineagelog.domain.errors import ConcurrentWriteError, ConstraintError, StoreBusyError, StoreUnavailableError
from lineagelog.domain.event import NewEvent
from lineagelog.domain.user import UserUpdated

Registered = Callable[..., NewEvent]


def test_processes_that_create_one_log_and_append_at_once_leave_no_gap(
    database_address: Path | str, run_processes: Callable[..., list[str]], assert_whole: Callable[[EventLog], None]
) -> None:
    told = sorted(
        (int(position), event_id)
        for position, event_id in map(str.split, run_processes("race", database_address, 8, 50))
    )
    assert [position for position, _ in told] == list(range(1, 401))
    log = EventLog.connect(database_address)
    assert [(event.position, event.event_id) for event in log.read()] == told
    assert_whole(log)
    log.close()


def test_readers_that_poll_never_miss_an_event(log: EventLog, registered: Registered) -> None:
    n_writers, n_appends = 4, 25
    done = threading.Event()

    def write(_: int) -> None:
        for _ in range(n_appends):
            log.append([registered(), registered()])

    def poll() -> list[int]:
        seen: list[int] = []
        while True:
            finished = done.is_set()
            seen += [event.position for event in log.read(after=seen[-1] if seen else 0, limit=7)]
            if finished and len(seen) >= 2 * n_writers * n_appends:
                return seen

    with ThreadPoolExecutor(n_writers + 2) as pool:
        readers = [pool.submit(poll) for _ in range(2)]
        list(pool.map(write, range(n_writers)))
        done.set()
        for reader in readers:
            assert reader.result(60) == list(range(1, 2 * n_writers * n_appends + 1))


def test_of_writers_of_one_version_exactly_one_wins(log: EventLog, registered: Registered) -> None:
    first = registered()
    log.append([first])
    barrier = threading.Barrier(4)

    def change(number: int) -> bool:
        barrier.wait(30)
        try:
            log.append([NewEvent(stream=first.stream, version=2, fact=UserUpdated(changes={}), reason=str(number))])
        except ConcurrentWriteError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(change, range(4))) == [False, False, False, True]
    assert len(list(log.read(stream=first.stream))) == 2


def test_of_writers_of_one_handle_exactly_one_wins(
    log: EventLog, registered: Registered, assert_whole: Callable[[EventLog], None]
) -> None:
    barrier = threading.Barrier(4)

    def register(_: int) -> bool:
        barrier.wait(30)
        try:
            log.append([registered("mara")])
        except ConstraintError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(register, range(4))) == [False, False, False, True]
    assert log.database.read("SELECT count(*) FROM users") == [(1,)]
    assert_whole(log)


def test_threads_that_have_ended_leave_no_connection_behind(log: EventLog) -> None:
    for _ in range(10):
        thread = threading.Thread(target=log.head)
        thread.start()
        thread.join()
    assert len(log.database._all) <= 2  # type: ignore[attr-defined]


def test_a_child_that_closes_an_inherited_log_does_not_disturb_its_parent(
    log: EventLog, registered: Registered
) -> None:
    child = os.fork()
    if child == 0:
        try:
            log.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    log.append([registered()])
    assert log.head().position == 1


def test_a_lock_that_stays_taken_is_reported_and_nothing_recorded(sqlite_address: Path, registered: Registered) -> None:
    EventLog.connect(sqlite_address, create=True).close()
    log = EventLog(SQLiteDatabase(sqlite_address, lock_timeout_s=0.2))
    holder = os.open(f"{sqlite_address}.lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    started = time.monotonic()
    with pytest.raises(
        StoreUnavailableError, match=r"has held the store's write lock for 0\.2 seconds; nothing was recorded"
    ):
        log.append([registered()])
    assert time.monotonic() - started < 5, "an append that has waited is not tried again"
    assert log.head().position == 0, "readers do not wait for the lock"
    os.close(holder)
    log.append([registered()])
    assert log.head().position == 1
    log.close()


def test_a_wait_that_was_given_up_does_not_let_go_the_lock_of_the_next(sqlite_address: Path) -> None:
    database = SQLiteDatabase(sqlite_address, create=True, lock_timeout_s=0.1)
    holder = os.open(f"{sqlite_address}.lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    for _ in range(3):
        with pytest.raises(StoreBusyError):
            database.write().__enter__()
    os.close(holder)
    other = os.open(f"{sqlite_address}.lock", os.O_RDWR)
    with database.write() as transaction:
        # The threads of the waits that were given up have the lock to themselves in the meantime, and let it go.
        time.sleep(0.2)
        assert transaction.read("SELECT 1") == [(1,)]
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    database.close()


def test_reading_and_closing_a_view_needs_no_lock(sqlite_address: Path, registered: Registered) -> None:
    log = EventLog.connect(sqlite_address, create=True)
    log.append([registered()])
    holder = os.open(f"{sqlite_address}.lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    started = time.monotonic()
    assert len(list(log.read())) == 1
    assert time.monotonic() - started < 5
    os.close(holder)
    log.close()


def test_writers_on_postgresql_wait_no_longer_than_the_limit(
    postgresql_address: str, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog.connect(postgresql_address, create=True)
    other = connect(postgresql_address)
    monkeypatch.setattr(postgresql, "_LOCK_TIMEOUT", "200ms")
    with other.write():
        with ThreadPoolExecutor(1) as pool, pytest.raises(StoreBusyError, match="nothing was recorded, try again"):
            pool.submit(log.append, [registered()]).result(30)
        assert log.head().position == 0, "readers do not wait for the lock"
    log.append([registered()])
    assert log.head().position == 1
    log.close()
    other.close()


def test_logs_in_two_schemas_do_not_wait_for_each_other(
    postgresql_server: str, postgresql_address: str, registered: Registered
) -> None:
    neighbour = connect(f"{postgresql_server}&schema=public")
    log = EventLog.connect(postgresql_address, create=True)
    with neighbour.write():
        log.append([registered()])
    assert log.head().position == 1
    neighbour.close()
    log.close()
