"""Sudden death, cut connections, and addresses behind which there is no log: nothing acknowledged is lost, nothing half is left."""

from __future__ import annotations

import os
import random
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.adapters.log.postgresql import PostgreSQLDatabase
from lineagelog.domain.errors import (
    InvalidValueError,
    LineageLogError,
    StorageError,
    StoreReadOnlyError,
    StoreUnavailableError,
)
from lineagelog.domain.event import NewEvent

Registered = Callable[..., NewEvent]
PASSWORD = "hunter2-tiger"


def test_killed_writers_lose_nothing_that_was_acknowledged(
    sqlite_address: Path, run_processes: Callable[..., list[str]], assert_whole: Callable[[EventLog], None]
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    acknowledged = [line for line in run_processes("kill", sqlite_address, 60, seed) if line]
    assert len(acknowledged) > 60
    log = EventLog.connect(sqlite_address)
    recorded = [event.event_id for event in log.read()]
    lost = set(acknowledged) - set(recorded)
    assert not lost, f"{len(lost)} acknowledged events are not in the log"
    assert [event for event in recorded if event in set(acknowledged)] == acknowledged, (
        "they stand in the order of the answers"
    )
    assert_whole(log)
    assert log.database.read("PRAGMA integrity_check") == [("ok",)]
    log.close()


def cut_connections(address: str) -> None:
    """End all connections to the schema's database but this one, as a restart of the server would."""
    other = connect(address)
    other.read("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?", ("victim",))
    other.close()


def test_an_append_over_a_cut_connection_is_repeated_once(
    postgresql_address: str, registered: Registered, assert_whole: Callable[[EventLog], None]
) -> None:
    log = EventLog.connect(f"{postgresql_address}&application_name=victim", create=True)
    log.append([registered()])
    for _ in range(3):
        cut_connections(postgresql_address)
        log.append([registered(), registered()])
    assert log.head().position == 7
    assert_whole(log)
    log.close()


def test_a_read_over_a_cut_connection_is_repeated(postgresql_address: str, registered: Registered) -> None:
    log = EventLog.connect(f"{postgresql_address}&application_name=victim", create=True)
    log.append([registered()])
    cut_connections(postgresql_address)
    assert log.head().position == 1
    log.close()


def test_an_append_whose_answer_was_lost_is_not_recorded_twice(
    postgresql_address: str,
    registered: Registered,
    monkeypatch: pytest.MonkeyPatch,
    assert_whole: Callable[[EventLog], None],
) -> None:
    """The connection is cut after the commit and before the answer."""
    log = EventLog.connect(f"{postgresql_address}&application_name=victim", create=True)
    put = log._events.put
    calls = []

    def put_and_lose_the_answer(*args: Any, **kwargs: Any) -> Any:
        answer = put(*args, **kwargs)
        calls.append(1)
        if len(calls) == 1:
            cut_connections(postgresql_address)
            raise StoreUnavailableError("the connection was lost")
        return answer

    monkeypatch.setattr(log._events, "put", put_and_lose_the_answer)
    events = [registered(), registered()]
    recorded = log.append(events)
    assert [(event.position, event.event_id) for event in recorded] == [
        (1, events[0].event_id),
        (2, events[1].event_id),
    ]
    assert calls == [1]
    assert_whole(log)
    log.close()


def test_a_connection_cut_in_the_middle_of_a_write_rolls_it_back(
    postgresql_address: str, registered: Registered
) -> None:
    log = EventLog.connect(f"{postgresql_address}&application_name=victim", create=True)

    def write() -> None:
        with log.database.write() as transaction:
            transaction.execute("UPDATE log_head SET position = 99")
            cut_connections(postgresql_address)
            transaction.execute("UPDATE log_head SET position = 100")

    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        write()
    assert log.head().position == 0
    log.append([registered()])
    assert log.head().position == 1
    log.close()


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(address: Path | str, error: type[LineageLogError], *, create: bool = False) -> str:
    """Open a log that must be refused, and return everything that is shown of the error."""
    with pytest.raises(error) as caught:
        EventLog.connect(address, create=create)
    return "".join(traceback.format_exception(caught.value))


def test_a_missing_file_is_one_clear_error_and_stays_missing(tmp_path: Path) -> None:
    text = refused(tmp_path / "none.db", StoreUnavailableError)
    assert "none.db does not exist; create a store with `prov init`" in text
    assert "no such" in refused(tmp_path / "none" / "log.db", StoreUnavailableError, create=True).lower()
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("content", [b"a,b\n1,2\n" * 1000, b"short", b"SQLite format 4\x00" + b"\0" * 4096])
@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes, create: bool) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    assert "not a SQLite database" in refused(tmp_path / "data.csv", StorageError, create=create)
    assert listing(tmp_path) == {"data.csv": content}


def test_an_empty_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    assert "is empty; create a store" in refused(tmp_path / "log.db", StoreUnavailableError)
    assert listing(tmp_path) == {"log.db": b""}


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "log.db").mkdir()
    refused(tmp_path / "log.db", StoreUnavailableError)
    assert list((tmp_path / "log.db").iterdir()) == []


def test_the_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    assert "holds no store" in refused(path, StoreUnavailableError)
    assert path.read_bytes() == before


def test_a_damaged_database_is_one_of_our_errors(sqlite_address: Path, registered: Registered) -> None:
    log = EventLog.connect(sqlite_address, create=True)
    log.append([registered() for _ in range(200)])
    log.close()
    data = bytearray(sqlite_address.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 100] = b"\xff" * 100
    sqlite_address.write_bytes(data)
    with pytest.raises(StorageError):
        list(EventLog.connect(sqlite_address).read())


def as_nobody(task: Callable[[], str]) -> str:
    """Run a function as a user without privileges, and return what it returns: to root no file is read-only."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            os.write(send, task().encode())
        except BaseException:  # noqa: BLE001 - the parent shows it
            os.write(send, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def what_happens(address: Path, event: NewEvent, *, create: bool = False) -> str:
    try:
        log = EventLog.connect(address, create=create)
        events = len(list(log.read()))
    except LineageLogError as exc:
        return f"{type(exc).__name__} on opening: {exc}"
    try:
        log.append([event])
    except LineageLogError as exc:
        return f"{events} read; {type(exc).__name__}: {exc}"
    return "written"


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder that every user may enter."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    folder = tmp_path / "public"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o755), (0o444, 0o555), (0o666, 0o555)])
def test_a_log_that_may_only_be_read_is_read_and_not_written(
    public: Path, registered: Registered, file_mode: int, folder_mode: int
) -> None:
    path = public / "log.db"
    log = EventLog.connect(path, create=True)
    log.append([registered()])
    log.close()
    (public / "log.db.lock").unlink()
    path.chmod(file_mode)
    public.chmod(folder_mode)
    before = listing(public)
    answer = as_nobody(lambda: what_happens(path, registered()))
    assert answer.startswith("1 read; StoreReadOnlyError: ")
    assert "can be read but not written; nothing was recorded. Check the permissions" in answer
    assert listing(public) == before
    public.chmod(0o755)


def test_a_folder_that_may_not_be_written_holds_no_new_log(public: Path, registered: Registered) -> None:
    public.chmod(0o555)
    answer = as_nobody(lambda: what_happens(public / "log.db", registered(), create=True))
    assert answer.startswith("StoreReadOnlyError on opening: ")
    assert "cannot be made: Permission denied; nothing was recorded" in answer
    assert listing(public) == {}
    public.chmod(0o755)


def test_a_file_that_may_not_be_reached_is_one_clear_error(public: Path, registered: Registered) -> None:
    path = public / "log.db"
    EventLog.connect(path, create=True).close()
    path.chmod(0o600)
    if os.getuid() == 0:
        answer = as_nobody(lambda: what_happens(path, registered()))
        assert answer.startswith("StoreUnavailableError on opening: ")
        assert "cannot be reached: Permission denied" in answer
    public.chmod(0o000)
    answer = as_nobody(lambda: what_happens(path, registered()))
    assert answer.startswith("StoreUnavailableError on opening: ")
    assert "cannot be reached: Permission denied; check the path and its permissions" in answer
    public.chmod(0o755)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://mara:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://mara:{PASSWORD}@no-such-host.invalid/x",
        f"postgresql://mara@127.0.0.1:1/x?password={PASSWORD}",
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_an_unreachable_server_is_one_clear_error_without_the_password(url: str, create: bool) -> None:
    text = refused(url, StoreUnavailableError, create=create)
    assert "cannot be reached: " in text
    assert "check that the server runs and the URL is right" in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://mara:{PASSWORD}@@db/x",
        f"postgresql://mara:{PASSWORD}/x@db/x",
        f"postgresql://mara:12/{PASSWORD}@db/x",
        f"postgresql://mara:?{PASSWORD}@db/x",
        f"postgresql://mara:#{PASSWORD}@db/x",
        f"postgresql://mara:%{PASSWORD}@db/x",
        f"postgresql://mara:{PASSWORD}@db:port/x",
        f"postgresql://mara:{PASSWORD}@db/x?no_such_parameter=1",
        f"mysql://mara:{PASSWORD}@db/x",
        f"postgresql://mara:{PASSWORD}@db/x?schema=Robert';DROP",
    ],
)
def test_a_malformed_url_is_refused_without_showing_the_password(url: str) -> None:
    text = refused(url, InvalidValueError)
    assert PASSWORD not in text
    assert "the database " in text


def test_parameters_of_the_url_reach_the_server_unchanged(postgresql_address: str) -> None:
    database = PostgreSQLDatabase(
        f"{postgresql_address}&application_name=a%20b%2Bc+d&options=-c%20work_mem%3D8MB", create=True
    )
    assert database.read("SELECT current_setting('application_name'), current_setting('work_mem')") == [
        ("a b+c+d", "8MB")
    ]
    assert database.schema in postgresql_address
    database.close()


def test_a_database_for_reading_only_is_read_and_not_written(postgresql_address: str, registered: Registered) -> None:
    log = EventLog.connect(postgresql_address, create=True)
    log.append([registered()])
    log.close()
    reader = EventLog.connect(f"{postgresql_address}&options=-c%20default_transaction_read_only%3Don")
    assert len(list(reader.read())) == 1
    with pytest.raises(StoreReadOnlyError, match="can be read but not written; nothing was recorded"):
        reader.append([registered()])
    reader.close()


def test_a_role_that_may_only_read_is_told_so(
    postgresql_server: str, postgresql_address: str, registered: Registered
) -> None:
    import psycopg

    log = EventLog.connect(postgresql_address, create=True)
    log.append([registered()])
    schema = log.database.schema  # type: ignore[attr-defined]
    role = f"reader_{schema}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
        try:
            reader = EventLog.connect(postgresql_address.replace("//postgres:", f"//{role}:"))
            assert len(list(reader.read())) == 1
            with pytest.raises(StoreReadOnlyError):
                reader.append([registered()])
            reader.close()
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
    assert log.head().position == 1
    log.close()
