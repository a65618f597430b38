"""What the log relies on in a database, on both adapters."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.database import Database, UniquenessError
from lineagelog.domain.errors import ConstraintError, StorageError, StoreReadOnlyError
from lineagelog.projections.table import Column, Table, create_indexes, create_table

THINGS = Table(
    "things",
    (Column("position", "int"), Column("name"), Column("size", "int", null=True), Column("tag", null=True)),
    unique=(("name",), ("size", "tag")),
)
INSERT = "INSERT INTO things (position, name, size, tag) VALUES (?, ?, ?, ?)"


@pytest.fixture
def things(database: Database) -> Database:
    """A database with an empty table."""
    with database.write() as transaction:
        transaction.execute(create_table(THINGS, database.dialect))
        for statement in create_indexes(THINGS):
            transaction.execute(statement)
    return database


def names(database: Database) -> list[str]:
    return [name for (name,) in database.read("SELECT name FROM things ORDER BY position")]


def test_a_write_is_seen_once_it_is_committed(things: Database) -> None:
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "a", None, None))
        assert transaction.read("SELECT name FROM things WHERE position = ?", (1,)) == [("a",)]
    assert names(things) == ["a"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_any_error_rolls_the_whole_write_back(things: Database, error: type[BaseException]) -> None:
    def write_and_fail() -> None:
        with things.write() as transaction:
            transaction.execute(INSERT, (1, "a", None, None))
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert names(things) == []
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "b", None, None))
    assert names(things) == ["b"]


@pytest.mark.parametrize("n_rows", [0, 1, 3, 49, 50, 51, 4001])
def test_rows_are_inserted_whatever_their_number(things: Database, n_rows: int) -> None:
    rows = [(n, f"name {n}", None, "a\tb\\n\n'\"?%s\u00e9\U0001f600") for n in range(1, n_rows + 1)]
    with things.write() as transaction:
        transaction.insert_rows("things", THINGS.names, rows)
    assert things.read("SELECT position, name, size, tag FROM things ORDER BY position") == rows
    with things.snapshot() as snapshot:
        assert list(snapshot.stream("SELECT position, name, size, tag FROM things ORDER BY position")) == rows


def test_statements_run_once_for_each_row(things: Database) -> None:
    with things.write() as transaction:
        transaction.execute_many(INSERT, [])
        transaction.execute_many(INSERT, [(1, "a", 1, None)])
        transaction.execute_many(INSERT, [(2, "b", 2, None), (3, "c", 3, None)])
        transaction.execute_many("UPDATE things SET size = ? WHERE name = ?", [(10, "a"), (30, "c")])
    assert things.read("SELECT size FROM things ORDER BY position") == [(10,), (2,), (30,)]


def test_percent_signs_and_question_marks_in_values_are_plain_text(things: Database) -> None:
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "100% of what? %s %(x)s", None, None))
    assert things.read("SELECT name FROM things WHERE name LIKE '100%' AND tag IS NULL AND name = ?",
                       ("100% of what? %s %(x)s",)) == [("100% of what? %s %(x)s",)]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "columns"),
    [((2, "a", None, None), ("name",)), ((2, "b", 1, "t"), ("size", "tag")), ((1, "b", 2, None), ("position",))],
)
def test_a_uniqueness_error_names_table_and_columns(
    things: Database, row: tuple[object, ...], columns: tuple[str, ...]
) -> None:
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "a", 1, "t"))
    with pytest.raises(UniquenessError) as caught, things.write() as transaction:
        transaction.execute_many(INSERT, [(3, "c", None, None), row])  # type: ignore[list-item]
    assert (caught.value.table, caught.value.columns) == ("things", columns)
    assert isinstance(caught.value, ConstraintError)
    assert str(caught.value) == f"another row of things has the same {', '.join(columns)} already"
    assert names(things) == ["a"], "the statement before the broken rule was rolled back as well"


@pytest.mark.parametrize("n_rows", [1, 49, 60])
def test_bulk_inserts_report_broken_rules_alike(things: Database, n_rows: int) -> None:
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "taken", None, None))
    rows = [(n + 10, f"name {n}", None, None) for n in range(n_rows - 1)]
    with pytest.raises(UniquenessError) as caught, things.write() as transaction:
        transaction.insert_rows("things", THINGS.names, [*rows, (2, "taken", None, None)])
    assert (caught.value.table, caught.value.columns) == ("things", ("name",))
    assert names(things) == ["taken"]


def test_text_is_ordered_by_bytes(things: Database) -> None:
    words = ["a", "B", "b", "A", "é", "z", "Z", "_", "1", "\U0001f600", "\uffee"]
    with things.write() as transaction:
        transaction.insert_rows("things", THINGS.names, [(n, word, None, None) for n, word in enumerate(words)])
    found = [name for (name,) in things.read("SELECT name FROM things ORDER BY name")]
    assert found == sorted(words, key=str.encode)


def test_a_column_without_null_refuses_it(things: Database) -> None:
    with pytest.raises(StorageError), things.write() as transaction:
        transaction.execute("INSERT INTO things (position) VALUES (?)", (1,))
    assert names(things) == []


def test_a_malformed_statement_is_one_of_our_errors(things: Database) -> None:
    with pytest.raises(StorageError, match="could not carry out a statement"):
        things.read("SELECT nothing FROM WHERE")
    with pytest.raises(StorageError), things.snapshot() as snapshot:
        snapshot.read("SELECT nothing FROM WHERE")
    assert names(things) == []


def test_a_snapshot_does_not_see_later_writes(things: Database) -> None:
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "before", None, None))
    with things.snapshot() as snapshot:
        assert snapshot.read("SELECT count(*) FROM things") == [(1,)]
        with things.write() as transaction:
            transaction.execute(INSERT, (2, "after", None, None))
        assert snapshot.read("SELECT count(*) FROM things") == [(1,)]
        assert list(snapshot.stream("SELECT name FROM things ORDER BY position")) == [("before",)]
    assert names(things) == ["before", "after"]


def test_a_snapshot_begins_when_it_is_opened(things: Database) -> None:
    with things.snapshot() as snapshot:
        with things.write() as transaction:
            transaction.execute(INSERT, (1, "after", None, None))
        assert snapshot.read("SELECT count(*) FROM things") == [(0,)]


def test_two_streams_of_one_snapshot_run_side_by_side(things: Database) -> None:
    with things.write() as transaction:
        transaction.insert_rows("things", THINGS.names, [(n, f"{n:05}", None, None) for n in range(5000)])
    with things.snapshot() as snapshot:
        up = snapshot.stream("SELECT position FROM things ORDER BY position")
        down = snapshot.stream("SELECT position FROM things WHERE position < ? ORDER BY position DESC", (5000,))
        assert all(a + b == (a[0], 4999 - a[0]) for a, b in zip(up, down, strict=True))


def test_a_stream_may_be_left_before_its_end(things: Database) -> None:
    with things.write() as transaction:
        transaction.insert_rows("things", THINGS.names, [(n, f"{n:05}", None, None) for n in range(5000)])
    with things.snapshot() as snapshot:
        for row in snapshot.stream("SELECT position FROM things ORDER BY position"):
            if row[0] == 3:
                break
        assert snapshot.read("SELECT count(*) FROM things") == [(5000,)]


def test_a_snapshot_refuses_writes_and_leaves_none(things: Database) -> None:
    with pytest.raises(StorageError), things.snapshot() as snapshot:
        snapshot.read("INSERT INTO things (position, name) VALUES (1, 'smuggled') RETURNING position")
    assert names(things) == []


def test_a_database_for_reading_refuses_writes_before_they_begin(things: Database) -> None:
    things.read_only = True
    with pytest.raises(StoreReadOnlyError, match="can be read but not written; nothing was recorded"):
        things.write()
    assert names(things) == []


def test_the_clock_gives_text_of_27_characters_that_never_runs_back(things: Database) -> None:
    with things.write() as transaction:
        first, second = transaction.now(), transaction.now()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first)
    assert first <= second


def test_tables_and_triggers_are_listed(things: Database) -> None:
    assert things.table_names() == {"things"}
    assert things.trigger_names() == set()


def test_threads_write_one_after_the_other(things: Database) -> None:
    n_threads, n_writes = 4, 15

    def count_up() -> None:
        for _ in range(n_writes):
            with things.write() as transaction:
                ((last,),) = transaction.read("SELECT coalesce(max(position), 0) FROM things")
                transaction.execute(INSERT, (last + 1, f"thing {last + 1}", None, None))

    run_all([count_up] * n_threads)
    assert names(things) == [f"thing {n}" for n in range(1, n_threads * n_writes + 1)]


def test_threads_read_while_one_writes(things: Database) -> None:
    done = threading.Event()

    def write() -> None:
        try:
            for number in range(20):
                with things.write() as transaction:
                    transaction.insert_rows(
                        "things", THINGS.names, [(2 * number + half, f"{number} {half}", None, None) for half in (0, 1)]
                    )
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            ((count,),) = things.read("SELECT count(*) FROM things")
            assert count % 2 == 0, "half of a transaction was seen"

    run_all([write, read, read])
    assert len(names(things)) == 40


def test_a_forked_child_uses_connections_of_its_own(things: Database) -> None:
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "parent", None, None))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with things.write() as transaction:
                transaction.execute(INSERT, (2, "child", None, None))
            status = 0 if names(things) == ["parent", "child"] else 2
            things.close()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    with things.write() as transaction:
        transaction.execute(INSERT, (3, "parent again", None, None))
    assert names(things) == ["parent", "child", "parent again"]


def test_a_closed_database_leaves_its_data_to_the_next(things: Database, database_address: Path | str) -> None:
    with things.write() as transaction:
        transaction.execute(INSERT, (1, "kept", None, None))
    things.close()
    again = connect(database_address)
    try:
        assert names(again) == ["kept"]
    finally:
        again.close()


def test_closing_while_another_thread_reads_ends_it_with_an_error_of_ours(things: Database) -> None:
    started = threading.Event()

    def read() -> None:
        with pytest.raises(StorageError):  # noqa: PT012 - it is the loop that must end so
            while True:
                things.read("SELECT count(*) FROM things")
                started.set()

    def close() -> None:
        started.wait(30)
        things.close()

    run_all([read, close])
    with pytest.raises(StorageError, match="has been closed; open the store again"):
        things.read("SELECT 1")


def run_all(tasks: list[object]) -> None:
    """Run functions in threads, and raise the first error of any."""
    errors: list[BaseException] = []

    def guarded(task: object) -> None:
        try:
            task()  # type: ignore[operator]
        except BaseException as exc:  # noqa: BLE001 - raised again by the caller's thread
            errors.append(exc)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads)
