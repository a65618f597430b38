from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog.projections import schema
from lineagelog.projections.table import (
    Archive,
    Column,
    Delete,
    Insert,
    Operation,
    Table,
    Update,
    batches,
    create_indexes,
    create_table,
    index_name,
)

ONE = Table("one", (Column("position", "int"), Column("a", null=True), Column("b", null=True)), unique=(("a",),))
TWO = Table("two", (Column("position", "int"), Column("a", null=True), Column("b", null=True)), unique=(("a",),))
# What is deleted is kept here; nothing else writes it.
PAST = {
    table: Table(f"past_{table.name}", (*table.columns, Column("ended", "int")), key=("position", "ended"))
    for table in (ONE, TWO)
}
ADD = {table: Insert(table, or_ignore=True) for table in (ONE, TWO)}
SET = {table: Update(table, ("b",), ("a",)) for table in (ONE, TWO)}
KEEP = {table: Archive(table, PAST[table], ("a",)) for table in (ONE, TWO)}
DROP = {table: Delete(table, ("a",)) for table in (ONE, TWO)}


def test_ddl_of_both_databases() -> None:
    table = Table(
        "t", (Column("position", "int"), Column("on", "bool"), Column("at", "time", null=True)), indexes=(("on", "at"),)
    )
    assert create_table(table, "sqlite") == (
        "CREATE TABLE t (\n    position INTEGER PRIMARY KEY,\n    on INTEGER NOT NULL,\n    at TEXT\n) STRICT"
    )
    assert create_table(table, "postgresql") == (
        'CREATE TABLE t (\n    position BIGINT PRIMARY KEY,\n    on SMALLINT NOT NULL,\n    at TEXT COLLATE "C"\n)'
    )
    assert list(create_indexes(table)) == ["CREATE INDEX index_t_on_at ON t (on, at)"]


def test_statements_mark_their_parameters() -> None:
    assert Insert(ONE).sql() == "INSERT INTO one (position, a, b) VALUES (?, ?, ?)"
    assert ADD[ONE].sql() == "INSERT INTO one (position, a, b) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    assert (
        Update(ONE, ("a", "b"), ("position", "a")).sql() == "UPDATE one SET a = ?, b = ? WHERE position = ? AND a = ?"
    )
    assert DROP[ONE].sql() == "DELETE FROM one WHERE a = ?"
    assert KEEP[ONE].sql() == (
        "INSERT INTO past_one (position, a, b, ended) SELECT position, a, b, ? FROM one WHERE a = ?"
    )


def test_a_position_is_read_from_the_row_it_belongs_to() -> None:
    add, drop = Insert(TWO, position_of=ONE), Delete(TWO, ("a",), position_of=ONE)
    assert add.sql() == "INSERT INTO two (a, b, position) SELECT ?, ?, position FROM one WHERE id = ?"
    assert drop.sql() == "DELETE FROM two WHERE a = ? AND position = (SELECT position FROM one WHERE id = ?)"
    rows: list[Operation] = [(ADD[ONE], (n, f"{n}", None)) for n in range(3)]
    # The third row must be there before its position is read; the first two need not wait for each other.
    grouped = batches(
        [rows[0], rows[1], (add, ("x", None, "0")), (SET[ONE], ("b", "0")), rows[2], (add, ("y", None, "2"))]
    )
    assert [(statement, len(values)) for statement, values in grouped] == [
        (ADD[ONE], 2), (add, 1), (SET[ONE], 1), (ADD[ONE], 1), (add, 1)
    ]  # fmt: skip


def test_rows_that_lie_in_their_key_have_no_number_of_their_own() -> None:
    table = Table("t", (Column("position", "int"), Column("word")), key=("word", "position"), clustered=True)
    assert create_table(table, "sqlite").endswith("PRIMARY KEY (word, position)\n) STRICT, WITHOUT ROWID")
    assert create_table(table, "postgresql").endswith("PRIMARY KEY (word, position)\n)")


def test_columns_are_found_by_name() -> None:
    assert ONE.names == ("position", "a", "b")
    assert ONE.column("b") is ONE.columns[2]
    with pytest.raises(ValueError):
        ONE.column("c")


def test_names_of_indexes_are_short_enough_and_differ() -> None:
    names = [
        index_name(prefix, table, columns)
        for table in schema.TABLES
        for prefix, groups in (("unique", table.unique), ("index", table.indexes))
        for columns in groups
    ]
    assert len(set(names)) == len(names)
    assert all(len(name.encode()) <= 63 for name in names)


@pytest.mark.parametrize("table", schema.TABLES, ids=lambda table: table.name)
def test_every_column_is_explained_and_every_index_names_columns(table: Table) -> None:
    assert all(column.doc for column in table.columns)
    assert len(set(table.names)) == len(table.names)
    for columns in (*table.unique, *table.indexes):
        assert set(columns) <= set(table.names)
    assert table.names[0] == "position", "the order of the log is the order of every list"


tables = st.sampled_from([ONE, TWO])
inserts = st.builds(
    lambda table, position, a: (ADD[table], (position, a, None)), tables, st.integers(0, 9), st.sampled_from("xyz")
)
updates = st.builds(lambda table, b, a: (SET[table], (b, a)), tables, st.sampled_from("pqr"), st.sampled_from("xyz"))
removals = st.builds(lambda table, a: [(table, a)], tables, st.sampled_from("xyz"))


def _numbered(steps: list[Operation | list[tuple[Table, str]]]) -> list[Operation]:
    """Write each removal as the two statements it is, with its place as the number of its event."""
    operations: list[Operation] = []
    for number, step in enumerate(steps):
        if isinstance(step, list):
            ((table, a),) = step
            operations += [(KEEP[table], (number, a)), (DROP[table], (a,))]
        else:
            operations.append(step)
    return operations


@settings(print_blob=True, max_examples=150, deadline=None)
@given(st.lists(inserts | updates | removals, max_size=25).map(_numbered))
def test_grouped_operations_do_what_they_would_do_one_by_one(operations: list[Operation]) -> None:
    def content(grouped: bool) -> list[object]:
        with sqlite3.connect(":memory:") as connection:
            for table in (ONE, TWO, *PAST.values()):
                connection.execute(create_table(table, "sqlite"))
                for statement in create_indexes(table):
                    connection.execute(statement)
            if grouped:
                for group, rows in batches(operations):
                    connection.executemany(group.sql(), rows)
            else:
                for single, row in operations:
                    connection.execute(single.sql(), row)
            found = [
                connection.execute(f"SELECT * FROM {table.name} ORDER BY {', '.join(table.key)}").fetchall()
                for table in (ONE, TWO, *PAST.values())
            ]
        connection.close()
        return found

    assert content(grouped=True) == content(grouped=False)


def test_runs_of_one_statement_become_one_group() -> None:
    operations: list[Operation] = [
        (ADD[ONE], (1, "x", None)), (ADD[TWO], (1, "x", None)), (ADD[ONE], (2, "y", None)), (SET[ONE], ("p", "x")),
        (ADD[ONE], (3, "z", None)),
    ]  # fmt: skip
    assert [(group, len(rows)) for group, rows in batches(operations)] == [
        (ADD[ONE], 2), (ADD[TWO], 1), (SET[ONE], 1), (ADD[ONE], 1),
    ]  # fmt: skip
    assert batches([]) == []
