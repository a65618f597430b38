"""The event log: append with idempotent retry, read by position, stream, actor, run or time.

The projection tables are kept by the appends themselves, in the same transaction; `rebuild` makes them anew from the events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import EventStore, IntegrityError

from lineagelog.adapters.log.connect import connect
from lineagelog.adapters.log.database import Database, UniquenessError
from lineagelog.adapters.log.mapper import TopicMapper
from lineagelog.adapters.log.recorder import Guard, SQLApplicationRecorder
from lineagelog.adapters.log.schema import EVENTS, READ_HEAD, check_format, create_log, restore_protection
from lineagelog.domain.errors import ConcurrentWriteError, LogCorruptError, StoreBusyError, StoreUnavailableError
from lineagelog.domain.event import NewEvent, RecordedEvent, decode
from lineagelog.domain.ids import Id
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.projections import schema
from lineagelog.projections.functions import lower_text
from lineagelog.projections.projector import project_all
from lineagelog.projections.reader import Reader, Row
from lineagelog.projections.table import Scalar, Table, create_indexes, create_table, split_indexes

_RETRIES: Final = 5
_REBUILD_BATCH: Final = 5_000
_ENVELOPE: Final = (
    "SELECT position, event_id, stream, version, topic, recorded_at, actor, run, reason, context, payload FROM events"
)
_SEALED: Final = f"SELECT {', '.join(EVENTS.names)} FROM {EVENTS.name}"  # noqa: S608 - names from the schema only
# Both halves are found by the index of streams; an OR would read every event. LIKE takes upper for lower case on one database.
_MENTIONED: Final = (
    "SELECT position FROM events WHERE stream = ? UNION ALL "
    "SELECT position FROM events WHERE stream = ? AND topic = ? AND replace(payload, ?, '') <> payload"
)


class Head(NamedTuple):
    """The end of the log.

    Attributes:
        position: Last position, 0 for an empty log.
        root: Merkle tree head, 64 hexadecimal characters.
    """

    position: int
    root: str


class EventLog:
    """The log of one store, and the projection tables that its appends keep.

    Attributes:
        database: Where it lies.
        missing: Projection tables, and columns (`artifacts.state`) of those that are there, which were not there when it was
            opened: removed, or not known to the software that made it. A rebuild makes them.
    """

    def __init__(self, database: Database, *, create: bool = False) -> None:
        """Open a log.

        Args:
            database: Where it lies.
            create: Create its tables, and those of the projections, if they are not there.

        Raises:
            StoreUnavailableError: There is no log in this database.
        """
        self.database = database
        if create:
            create_log(database)
        existing = database.column_names()
        if EVENTS.name not in existing:
            raise StoreUnavailableError(f"{database.name} holds no store; create one with `prov init`")
        check_format(database)
        if create and database.written_by_newer is None:
            create_projections(database)
            existing = database.column_names()
        self.missing = [name for table in schema.TABLES for name in missing_parts(table, existing)]
        self._recorder = SQLApplicationRecorder(database, create=False)
        self._events: EventStore[Any] = EventStore(mapper=TopicMapper(), recorder=self._recorder)

    @classmethod
    def connect(cls, address: str | Path | None, *, create: bool = False) -> EventLog:
        """Open the log at the address of a database (see `adapters/log/connect.py`)."""
        database = connect(address, create=create)
        try:
            return cls(database, create=create)
        except BaseException:
            database.close()
            raise

    def append(self, events: Sequence[NewEvent], *, guard: Guard | None = None) -> list[RecordedEvent]:
        """Append events and their projections in one transaction; all or none.

        A lost connection is retried: the event ids tell whether the lost attempt was recorded after all.

        Args:
            events: Events in their order.
            guard: Called under the lock, before anything is written; reads what the decision rests on, and raises if that
                has changed.

        Returns:
            The same events with their positions and times.

        Raises:
            ConcurrentWriteError: Another writer has continued one of the streams.
            ConstraintError: A uniqueness rule of a projection is broken.
            InvalidValueError: A fact cannot be encoded.
            StoreReadOnlyError: The store cannot be written.
            StoreUnavailableError: The database cannot be reached.
        """
        if not events:
            return []
        attempt = 0
        while True:
            recorded: list[RecordedEvent] = []
            try:
                self._events.put(events, projector=project_all, recorded=recorded, guard=guard)
            except IntegrityError as exc:
                earlier = self._recorded_before(events)
                if earlier is not None:
                    return earlier
                raise _conflict(exc) from exc
            except StoreBusyError:
                # It has waited long enough already.
                raise
            except StoreUnavailableError:
                attempt += 1
                if attempt >= _RETRIES or not self._came_back(attempt):
                    raise
                earlier = self._recorded_before(events)
                if earlier is not None:
                    return earlier
            else:
                return recorded

    def head(self) -> Head:
        """Read the end of the log."""
        ((position, _, root, _),) = self.database.read(READ_HEAD)
        return Head(position, root)

    def read(
        self,
        *,
        after: int = 0,
        up_to: int | None = None,
        event_id: str | None = None,
        stream: str | None = None,
        mentioned: tuple[str, str, str] | None = None,
        actor: str | None = None,
        run: str | None = None,
        topic: str | None = None,
        topics: Sequence[str] | None = None,
        reason: str | None = None,
        since: str | None = None,
        until: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[RecordedEvent]:
        """Read events in the order of the log; all conditions must hold.

        Args:
            after: Only events after this position.
            up_to: Only events up to this position.
            event_id: Only the event with this id.
            stream: Only events about this record.
            mentioned: Beside those of `stream`, events of another stream, with this topic, whose payload holds this text: stream,
                topic and text.
            actor: Only events by this user.
            run: Only events in this run.
            topic: Only events whose topic is this or begins with it and a full stop.
            topics: Only events of one of these topics.
            reason: Only events whose reason holds this text, in upper or lower case.
            since: Only events recorded at this time or later, text of 27 characters.
            until: Only events recorded before this time.
            newest_first: The last event first.
            limit: At most so many.
        """
        sql, parameters = f"{_ENVELOPE} WHERE position > ?", [after]
        conditions: tuple[tuple[str, Scalar], ...] = (
            ("position <= ?", up_to),
            ("event_id = ?", event_id),
            ("stream = ?", stream if mentioned is None else None),
            ("actor = ?", actor),
            ("run = ?", run),
            ("recorded_at >= ?", since),
            ("recorded_at < ?", until),
        )
        values: list[Scalar] = [*parameters]
        for condition, value in conditions:
            if value is not None:
                sql, values = f"{sql} AND {condition}", [*values, value]
        if mentioned is not None:
            sql = f"{sql} AND position IN ({_MENTIONED})"
            values += [stream, *mentioned]
        if topic is not None:
            sql = f"{sql} AND (topic = ? OR substr(topic, 1, {len(topic) + 1}) = ?)"
            values += [topic, f"{topic}."]
        if topics is not None:
            sql = f"{sql} AND topic IN ({', '.join('?' * len(topics)) or 'NULL'})"
            values += topics
        if reason is not None:
            sql = f"{sql} AND replace(lineagelog_lower(reason), ?, '') <> lineagelog_lower(reason)"
            values.append(lower_text(reason))
        sql += f" ORDER BY position{' DESC' if newest_first else ''}"
        if limit is not None:
            sql, values = f"{sql} LIMIT ?", [*values, limit]
            yield from map(to_recorded, self.database.read(sql, values))
            return
        with self.database.snapshot() as snapshot:
            yield from map(to_recorded, snapshot.stream(sql, values))

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Drop the projection tables and make them anew from the events, in one transaction.

        What protects the log, its triggers and uniqueness rules, is made anew as well where it is missing. Of a log that is not
        the one that was recorded nothing is made: the tables may be all that still tells what it said.

        Args:
            progress: Called with the number of events done and of all.

        Returns:
            Number of events replayed.

        Raises:
            LogCorruptError: An event was altered, added or taken away; nothing was changed.
        """
        with self.database.write() as transaction:
            restore_protection(self.database, transaction)
            existing = self.database.table_names()
            for table in schema.TABLES:
                if table.name in existing:
                    transaction.execute(f"DROP TABLE {table.name}")
                transaction.execute(create_table(table, self.database.dialect))
            ((last, _, root, _),) = transaction.read(READ_HEAD)
            frontier = Frontier()
            deferred = []
            for table in schema.TABLES:
                needed, at_end = split_indexes(table)
                deferred += at_end
                for statement in needed:
                    transaction.execute(statement)
            for start in range(0, last, _REBUILD_BATCH):
                rows = transaction.read(
                    f"{_SEALED} WHERE position > ? AND position <= ? ORDER BY position", (start, start + _REBUILD_BATCH)
                )
                _grow(frontier, rows, start, min(start + _REBUILD_BATCH, last))
                transaction.apply(project_all([to_recorded(row[:-1]) for row in rows]))
                if progress is not None:
                    progress(min(start + _REBUILD_BATCH, last), last)
            ((n_events,),) = transaction.read("SELECT count(*) FROM events")
            if n_events != last or frontier.root().hex() != root:
                raise _altered(f"its head is not that of the {n_events} events that are stored")
            for statement in deferred:
                transaction.execute(statement)
        return int(last)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _recorded_before(self, events: Sequence[NewEvent]) -> list[RecordedEvent] | None:
        """Find these very events in the log, as a retried append must."""
        sql = f"{_ENVELOPE} WHERE event_id = ?"
        rows = self.database.read(sql, (events[0].event_id,))
        if not rows:
            return None
        # Appends are whole: if the first event is there, all are, in one run of positions.
        first = rows[0][0]
        rows = self.database.read(
            f"{_ENVELOPE} WHERE position >= ? AND position < ? ORDER BY position", (first, first + len(events))
        )
        found = [to_recorded(row) for row in rows]
        if [event.event_id for event in found] != [event.event_id for event in events]:
            return None
        return found

    def _came_back(self, attempt: int) -> bool:
        """Wait a little, and tell whether the database answers again."""
        time.sleep(min(0.05 * 2**attempt, 1.0))
        try:
            self.head()
        except StoreUnavailableError:
            return attempt < _RETRIES - 1
        return True


def _grow(frontier: Frontier, rows: Sequence[Row], start: int, end: int) -> None:
    """Add the leaves of the events after `start` up to `end` to the tree, each compared with what it holds."""
    expected = start + 1
    leaves = []
    for row in rows:
        leaf = leaf_hash(encode_entry(row[:-1]))
        if row[0] != expected:
            break
        if leaf.hex() != row[-1]:
            raise _altered(f"event {expected} was changed after it was recorded")
        leaves.append(leaf)
        expected += 1
    if expected <= end:
        raise _altered(f"event {expected} is missing")
    frontier.extend(leaves)


def _altered(what: str) -> LogCorruptError:
    return LogCorruptError(
        f"the log is not as it was recorded: {what}; nothing was changed, for the registries may still tell what was there. "
        "Run `prov verify`, which names all that is wrong, and put a copy back that is whole"
    )


def create_projections(database: Database) -> None:
    """Create the projection tables that are not there; any number of processes may do so at once."""
    wanted = {table.name for table in schema.TABLES}
    if wanted <= database.table_names():
        return
    with database.write() as transaction:
        existing = database.table_names()
        for table in schema.TABLES:
            if table.name not in existing:
                transaction.execute(create_table(table, database.dialect))
                for statement in create_indexes(table):
                    transaction.execute(statement)


def missing_parts(table: Table, existing: Mapping[str, Collection[str]]) -> list[str]:
    """Name what a database lacks of a table: the table itself, or columns such as `artifacts.state`.

    Args:
        table: The table as it has to be.
        existing: Columns that are there, by table.
    """
    columns = existing.get(table.name)
    if columns is None:
        return [table.name]
    return [f"{table.name}.{name}" for name in table.names if name not in columns]


def read_events(reader: Reader, streams: Collection[str] | None = None) -> Iterator[RecordedEvent]:
    """Stream the events of one view of a database in the order of the log.

    Args:
        reader: The view.
        streams: Only events about these records.
    """
    for row in reader.stream(f"{_ENVELOPE} ORDER BY position"):
        if streams is None or row[2] in streams:
            yield to_recorded(row)


def read_table(reader: Reader, table: Table) -> Iterator[Row]:
    """Stream the rows of a projection table in the order of its primary key."""
    names = ", ".join(table.names)
    return reader.stream(f"SELECT {names} FROM {table.name} ORDER BY {', '.join(table.key)}")  # noqa: S608 - names from the schema only


def to_recorded(row: Row) -> RecordedEvent:
    """Read one row of the log."""
    position, event_id, stream, version, topic, recorded_at, actor, run, reason, context, payload = row
    return RecordedEvent(
        position=position,
        event_id=event_id,
        stream=stream,
        version=version,
        recorded_at=recorded_at,
        fact=decode(topic, payload),
        actor=actor and Id(actor),
        run=run and Id(run),
        reason=reason,
        context=context,
    )


def _conflict(exc: IntegrityError) -> Exception:
    cause = exc.__cause__
    if isinstance(cause, UniquenessError) and cause.table != EVENTS.name:
        return cause
    return ConcurrentWriteError(
        "another writer changed the same record first; nothing was recorded. Load the record again and repeat the change"
    )
