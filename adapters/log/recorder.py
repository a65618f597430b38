"""Recorders of the `eventsourcing` library over both databases: one transaction for events, projections and the head.

The library's own SQL recorders are not used: on PostgreSQL they take an exclusive table lock and send arrays of composites as
text, on SQLite their ids are reused after a delete, and neither has gap-free positions or a head.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)

from lineagelog.adapters.log.database import Database, Transaction, UniquenessError
from lineagelog.adapters.log.schema import EVENTS, READ_HEAD, create_log, refuse_writes
from lineagelog.domain import clock
from lineagelog.domain.event import NewEvent, RecordedEvent
from lineagelog.domain.ids import new_id
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.store import FORMAT_VERSION
from lineagelog.domain.values import time_text
from lineagelog.projections.table import Operation, Scalar

Projector: TypeAlias = Callable[[Sequence[RecordedEvent]], Sequence[Operation]]

Guard: TypeAlias = Callable[[Transaction], None]

_COLUMNS: Final = EVENTS.names
_SELECT: Final = "SELECT stream, version, topic, payload FROM events"
POLL_INTERVAL_S: Final = 0.1
"""How often a subscription looks for events of other processes, seconds."""


@dataclass(frozen=True)
class LogEntry(StoredEvent):
    """A stored event with the envelope of the log.

    Attributes:
        event: The event it was made from.
    """

    event: NewEvent


class SQLRecorder:
    """What all recorders share: the database, and the append."""

    def __init__(self, database: Database, *, create: bool = True) -> None:
        """Use a database.

        Args:
            database: Where the log lies.
            create: Create the tables of the log if they are not there.
        """
        self.database = database
        if create:
            create_log(database)

    def _append(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        projector: Projector | None = None,
        recorded: list[RecordedEvent] | None = None,
        tracking: Tracking | None = None,
        guard: Guard | None = None,
    ) -> list[int]:
        """Append events in one transaction.

        Args:
            stored_events: Events in their order.
            projector: Translates the recorded events into row operations of the same transaction.
            recorded: Receives the recorded events, if they are `LogEntry`.
            tracking: Position of another log that these events follow from.
            guard: Looks, under the lock, whether what was decided still holds, and raises if it does not.

        Returns:
            Positions of the events.

        Raises:
            IntegrityError: The stream has such a version, the event id is known, or a projection's rule is broken.
        """
        if not stored_events and tracking is None:
            return []
        try:
            with self.database.write() as transaction:
                if guard is not None:
                    guard(transaction)
                positions = self._write_events(transaction, stored_events, projector, recorded)
                if tracking is not None:
                    _write_tracking(transaction, tracking)
        except UniquenessError as exc:
            raise IntegrityError(str(exc)) from exc
        return positions

    def _write_events(
        self,
        transaction: Transaction,
        stored_events: Sequence[StoredEvent],
        projector: Projector | None,
        recorded: list[RecordedEvent] | None,
    ) -> list[int]:
        if not stored_events:
            return []
        ((last_position, peaks, _, format_),) = transaction.read(READ_HEAD)
        if format_ > FORMAT_VERSION:
            # Newer software came while this log was open.
            refuse_writes(self.database, format_)
            self.database.check_writable()
        frontier = Frontier(last_position, bytes.fromhex(peaks))
        source = clock.current_clock()
        now = time_text(source.now()) if source.is_stepped else transaction.now()
        rows: list[tuple[Scalar, ...]] = []
        leaves: list[bytes] = []
        news: list[RecordedEvent] = []
        newest = format_
        for position, stored in enumerate(stored_events, start=last_position + 1):
            columns = _columns(stored, position, now)
            leaf = leaf_hash(encode_entry(columns))
            leaves.append(leaf)
            rows.append((*columns, leaf.hex()))
            if isinstance(stored, LogEntry):
                news.append(_recorded(stored.event, position, now))
                newest = max(newest, stored.event.fact.store_format)
        transaction.insert_rows(EVENTS.name, _COLUMNS, rows)
        if projector is not None:
            transaction.apply(projector(news))
        frontier.extend(leaves)
        if newest > format_:
            # From now on software that does not know the new kind of event only reads.
            transaction.execute("UPDATE log_head SET format = ? WHERE id = 1", (newest,))
        transaction.execute(
            "UPDATE log_head SET position = ?, frontier = ?, root = ? WHERE id = 1",
            (frontier.size, frontier.to_bytes().hex(), frontier.root().hex()),
        )
        if recorded is not None:
            recorded.extend(news)
        return list(range(last_position + 1, frontier.size + 1))


class SQLAggregateRecorder(SQLRecorder, AggregateRecorder):
    """Events by stream."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events; positions are not returned, as the port demands."""
        self._append(stored_events, **kwargs)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Read the events of one stream, in the order of their versions."""
        sql, parameters = f"{_SELECT} WHERE stream = ?", [cast("Scalar", str(originator_id))]
        if gt is not None:
            sql, parameters = f"{sql} AND version > ?", [*parameters, gt]
        if lte is not None:
            sql, parameters = f"{sql} AND version <= ?", [*parameters, lte]
        sql += f" ORDER BY version{' DESC' if desc else ''}"
        if limit is not None:
            sql, parameters = f"{sql} LIMIT ?", [*parameters, limit]
        as_uuid = isinstance(originator_id, UUID)
        return [
            StoredEvent(UUID(stream) if as_uuid else stream, version, topic, payload.encode())
            for stream, version, topic, payload in self.database.read(sql, parameters)
        ]


class SQLApplicationRecorder(SQLAggregateRecorder, ApplicationRecorder):
    """Events by stream and by position."""

    def __init__(self, database: Database, *, create: bool = True) -> None:
        super().__init__(database, create=create)
        self._listeners: set[threading.Event] = set()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events and return their positions."""
        positions = self._append(stored_events, **kwargs)
        for listener in tuple(self._listeners):
            listener.set()
        return positions

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Read events in the order of their positions.

        Positions are given out under the log's lock, so an event with a lower position than one that was read can
        never appear later.
        """
        sql = "SELECT stream, version, topic, payload, position FROM events WHERE position >= ?"
        parameters: list[Scalar] = [(start or 0) + (0 if inclusive_of_start else 1)]
        if stop is not None:
            sql, parameters = f"{sql} AND position <= ?", [*parameters, stop]
        if topics:
            sql = f"{sql} AND topic IN ({', '.join('?' * len(topics))})"
            parameters += topics
        rows = self.database.read(f"{sql} ORDER BY position LIMIT ?", [*parameters, limit])
        return [
            Notification(_stream_id(stream), version, topic, payload.encode(), position)
            for stream, version, topic, payload, position in rows
        ]

    def max_notification_id(self) -> int | None:
        """Return the last position, or `None` for an empty log."""
        ((position, *_),) = self.database.read(READ_HEAD)
        return position or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Follow the log from after a position: events of this process at once, those of others within 0.1 s."""
        return _PollingSubscription(self, gt, topics)

    def listen(self, event: threading.Event) -> None:
        """Set an event after each append of this process."""
        self._listeners.add(event)

    def unlisten(self, event: threading.Event) -> None:
        """Undo `listen`."""
        self._listeners.discard(event)


class SQLTrackingRecorder(SQLRecorder, TrackingRecorder):
    """How far a follower has read another log."""

    def insert_tracking(self, tracking: Tracking) -> None:
        """Record that a position has been handled; it must be higher than the one before."""
        try:
            with self.database.write() as transaction:
                _write_tracking(transaction, tracking)
        except UniquenessError as exc:
            raise IntegrityError(str(exc)) from exc

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the last handled position of a log, or `None`."""
        sql = "SELECT notification_id FROM log_tracking WHERE application_name = ?"
        rows = self.database.read(sql, (application_name,))
        return rows[0][0] if rows else None


class SQLProcessRecorder(SQLTrackingRecorder, SQLApplicationRecorder, ProcessRecorder):
    """Events, and the position of another log they follow from, in one transaction."""


class _PollingSubscription(ListenNotifySubscription[SQLApplicationRecorder]):
    """A subscription that is woken by this process and looks for the events of others at intervals."""

    def __init__(self, recorder: SQLApplicationRecorder, gt: int | None, topics: Sequence[str]) -> None:
        self._ticker = threading.Thread(target=self._tick, name="lineagelog-subscription", daemon=True)
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        recorder.listen(self._has_been_notified)
        self._ticker.start()

    def stop(self) -> None:
        super().stop()
        self._recorder.unlisten(self._has_been_notified)

    def _tick(self) -> None:
        pause = threading.Event()
        while not self._has_been_stopped:
            pause.wait(POLL_INTERVAL_S)
            self._has_been_notified.set()


def _write_tracking(transaction: Transaction, tracking: Tracking) -> None:
    rows = transaction.read(
        "SELECT notification_id FROM log_tracking WHERE application_name = ?", (tracking.application_name,)
    )
    if not rows:
        sql = "INSERT INTO log_tracking (notification_id, application_name) VALUES (?, ?)"
    elif rows[0][0] < tracking.notification_id:
        sql = "UPDATE log_tracking SET notification_id = ? WHERE application_name = ?"
    else:
        raise UniquenessError("log_tracking", ("application_name", "notification_id"))
    transaction.execute(sql, (tracking.notification_id, tracking.application_name))


def _columns(stored: StoredEvent, position: int, now: str) -> tuple[str | int | None, ...]:
    """Lay out the columns of an event that the leaf hash covers, in the order of the table."""
    try:
        payload = stored.state.decode()
    except UnicodeDecodeError as exc:
        raise DataError(f"the state of an event of {stored.originator_id} is not text; the log holds JSON") from exc
    if not isinstance(stored, LogEntry):
        # An event of another application of the library: it has no envelope.
        return (
            position, new_id(), str(stored.originator_id), stored.originator_version, stored.topic, now,
            None, None, None, "{}", payload,
        )  # fmt: skip
    event = stored.event
    return (
        position, event.event_id, event.stream, event.version, stored.topic, now,
        event.actor, event.run, event.reason, event.context, payload,
    )  # fmt: skip


def _recorded(event: NewEvent, position: int, now: str) -> RecordedEvent:
    return RecordedEvent(
        position=position,
        event_id=event.event_id,
        stream=event.stream,
        version=event.version,
        recorded_at=now,
        fact=event.fact,
        actor=event.actor,
        run=event.run,
        reason=event.reason,
        context=event.context,
    )


def _stream_id(stream: str) -> UUID | str:
    """The library names streams by UUID or by text; those that are UUIDs are given back as such."""
    try:
        return UUID(stream)
    except ValueError:
        return stream
