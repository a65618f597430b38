"""The tables of the log itself: events, the head, and how far followers of the log have read.

Events are append-only: triggers refuse UPDATE, DELETE and TRUNCATE. Whoever owns the database can drop them; `verify` notices.
"""

from __future__ import annotations

from typing import Final

from lineagelog.adapters.log.database import Database, Transaction
from lineagelog.domain.errors import LogCorruptError
from lineagelog.domain.store import FORMAT_VERSION
from lineagelog.projections.table import Column, Table, create_indexes, create_table, index_name

EVENTS: Final = Table(
    "events",
    (
        Column("position", "int", doc="place in the whole log, from 1, without gaps"),
        Column("event_id", "id", doc="UUIDv7 made by the client"),
        Column("stream", "id", doc="record the fact is about"),
        Column("version", "int", doc="place in the stream, from 1"),
        Column("topic", doc="stored name of the kind of fact"),
        Column("recorded_at", "time", doc="when it was recorded, by the clock of the database's host"),
        Column("actor", "id", null=True, doc="user who did it"),
        Column("run", "id", null=True, doc="run it was done in"),
        Column("reason", null=True, doc="why, in the user's words"),
        Column("context", "json", doc="authentication, session, host, software"),
        Column("payload", "json", doc="the fact"),
        Column("leaf_hash", doc="Merkle leaf over all columns before it, hexadecimal"),
    ),
    unique=(("event_id",), ("stream", "version")),
)

HEAD: Final = Table(
    "log_head",
    (
        Column("id", "int", doc="always 1"),
        Column("format", "int", doc="form in which the store is written"),
        Column("position", "int", doc="last position given out"),
        Column("frontier", doc="peaks of the Merkle tree, hexadecimal"),
        Column("root", doc="Merkle tree head, hexadecimal"),
    ),
)

TRACKING: Final = Table(
    "log_tracking",
    (
        Column("application_name", doc="follower of a log"),
        Column("notification_id", "int", doc="last position it has handled"),
    ),
)

LOG_TABLES: Final = (EVENTS, HEAD, TRACKING)
"""The tables of the log, in the order in which they are created."""

TRIGGERS: Final = {
    "sqlite": {
        "events_refuse_update": "CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events "
        "BEGIN SELECT RAISE(ABORT, 'events are never changed'); END",
        "events_refuse_delete": "CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events "
        "BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END",
    },
    "postgresql": {
        "events_refuse_change": "CREATE TRIGGER events_refuse_change BEFORE UPDATE OR DELETE ON events "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change_of_events()",
        "events_refuse_truncate": "CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_events()",
    },
}
"""Triggers that keep events as they are, by dialect and name."""

REFUSE_BODY: Final = "BEGIN RAISE EXCEPTION 'events are never changed or deleted'; END"
REFUSE_FUNCTION: Final = (
    f"CREATE OR REPLACE FUNCTION refuse_change_of_events() RETURNS trigger LANGUAGE plpgsql AS $$ {REFUSE_BODY} $$"
)

READ_HEAD: Final = "SELECT position, frontier, root, format FROM log_head WHERE id = 1"


def create_log(database: Database) -> None:
    """Create the tables of the log if they are not there; any number of processes may do so at once."""
    if EVENTS.name in database.table_names():
        return
    with database.write() as transaction:
        # Another process may have been first while this one waited for the lock. The catalogue itself is read: functions such
        # as to_regclass answer from a cache, which waiting for an advisory lock does not renew.
        if EVENTS.name not in database.table_names():
            for table in LOG_TABLES:
                transaction.execute(create_table(table, database.dialect))
                for statement in create_indexes(table):
                    transaction.execute(statement)
            if database.dialect == "postgresql":
                transaction.execute(REFUSE_FUNCTION)
            for statement in TRIGGERS[database.dialect].values():
                transaction.execute(statement)
            transaction.execute(
                "INSERT INTO log_head (id, format, position, frontier, root) VALUES (1, ?, 0, '', ?)",
                (FORMAT_VERSION, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            )


def restore_protection(database: Database, transaction: Transaction) -> None:
    """Make the triggers and uniqueness rules of the log anew where they were removed or altered."""
    existing, on_table = database.trigger_names(), " ON events" if database.dialect == "postgresql" else ""
    if database.dialect == "postgresql":
        transaction.execute(REFUSE_FUNCTION)
    for name, statement in TRIGGERS[database.dialect].items():
        if name not in existing:
            transaction.execute(f"DROP TRIGGER IF EXISTS {name}{on_table}")
            transaction.execute(statement)
    indexes = database.unique_index_names()
    for columns, statement in zip(EVENTS.unique, create_indexes(EVENTS), strict=True):
        name = index_name("unique", EVENTS, columns)
        if name not in indexes:
            transaction.execute(f"DROP INDEX IF EXISTS {name}")
            transaction.execute(statement)


def refuse_writes(database: Database, store_format: int) -> None:
    """Only read a database from now on, since newer software has written to it."""
    database.read_only = True
    database.written_by_newer = (
        f"{database.name} is written in store format {store_format}; this software knows formats up to {FORMAT_VERSION}, and only "
        "reads it"
    )


def check_format(database: Database) -> None:
    """Only read a store that holds what a newer version of the software has written.

    Raises:
        LogCorruptError: The head of the log is gone.
    """
    rows = database.read(READ_HEAD)
    if not rows:
        raise LogCorruptError(f"the head of the log in {database.name} is gone; restore the store from a backup")
    ((_, _, _, number),) = rows
    if number > FORMAT_VERSION:
        refuse_writes(database, number)
