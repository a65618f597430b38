"""Time travel: a store as it was at an earlier position of its log, or at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from lineagelog import location, message
from lineagelog.domain import clock
from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.values import time_text
from lineagelog.preferences import settings

if TYPE_CHECKING:
    from lineagelog.store import Store

Point: TypeAlias = "int | str | datetime"
"""A position of the log, or a time: text in ISO 8601, or a datetime."""

_FOLDER = "past"


def as_of(store: Store, point: Point) -> Store:
    """Open a store as it was.

    Args:
        store: The store, or a view of it as of a later time.
        point: Position of the last event to be seen, or a time, which means the last event recorded at or before it. A time
            without a zone is taken as UTC, a date as its first moment, and a message says so.

    Returns:
        A store that answers every question as the store would have then, and refuses to be changed. Close it after use.

    Raises:
        InvalidValueError: There was no store yet, the position or time lies in the future, or it is no time.
        LogCorruptError: The events up to there are not those that were recorded.
    """
    from lineagelog.adapters.log.past import log_as_of
    from lineagelog.founding import CREATED_EVENT_ID
    from lineagelog.store import Store as StoreClass

    position = _position(store, point)
    ((created,),) = store.log.database.read("SELECT position FROM events WHERE event_id = ?", (CREATED_EVENT_ID,))
    if position < created:
        raise InvalidValueError(
            "as_of", f"is {point!r}, but {store.name} was created by event {created}; choose a position from there on"
        )
    present = store.present
    view = log_as_of(
        present.log.database,
        position,
        store_id=store.id,
        folder=settings.cache_dir / _FOLDER,
        secret=location.view_secret(),
    )
    if view.was_altered:
        message.warn("a view of the past that was kept had been altered, or is not of this log; it was made anew")
    return StoreClass(view.log, present.folder, present.address, present=present)


def _position(store: Store, point: Point) -> int:
    """Find the last event that is to be seen."""
    head = store.log.head().position
    if isinstance(point, int) and not isinstance(point, bool):
        if not 1 <= point <= head:
            raise InvalidValueError("as_of", f"is {point}, but the log of {store.name} has the events 1 to {head}")
        return point
    moment = _moment(point)
    rows = store.log.database.read(
        "SELECT position, recorded_at FROM events WHERE recorded_at <= ? ORDER BY position DESC LIMIT 1",
        (time_text(moment),),
    )
    if not rows:
        ((first,),) = store.log.database.read("SELECT recorded_at FROM events WHERE position = 1")
        raise InvalidValueError("as_of", f"is {moment.isoformat()}, but {store.name} begins at {first}")
    ((position, recorded_at),) = rows
    # Nobody knows yet what will have happened by then.
    if position == head and moment > clock.now() and time_text(moment) > recorded_at:
        raise InvalidValueError(
            "as_of", f"is {moment.isoformat()}, which lies in the future; the last event, {head}, is of {recorded_at}"
        )
    return int(position)


def _moment(point: object) -> datetime:
    if isinstance(point, datetime):
        moment = point
    elif isinstance(point, str):
        try:
            moment = datetime.fromisoformat(point.strip())
        except ValueError as exc:
            raise InvalidValueError(
                "as_of", f"is {point!r}, which is no time; write 2026-05-01T12:00Z, or give the position of an event"
            ) from exc
    else:
        raise InvalidValueError("as_of", f"is {point!r}; give a time, such as 2026-05-01T12:00Z, or a position")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
        message.info(f"{point} names no time zone and is taken as {moment.isoformat()}")
    return moment
