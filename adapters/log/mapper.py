"""How our events pass through the library's event store: by lasting topics, never by module paths."""

from __future__ import annotations

from typing import Any

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from lineagelog.adapters.log.recorder import LogEntry
from lineagelog.domain import event
from lineagelog.domain.event import NewEvent, UnknownEvent
from lineagelog.domain.ids import Id
from lineagelog.domain.values import check_text


class TopicMapper(Mapper[Any]):
    """Maps new events to stored ones and back; the envelope travels in `LogEntry`."""

    def __init__(self) -> None:
        super().__init__(transcoder=JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Encode an event, checking that it can be decoded.

        Raises:
            InvalidValueError: The fact or the reason cannot be recorded.
        """
        new: NewEvent = domain_event
        fact = new.fact
        if new.reason is not None:
            check_text(new.reason, "the reason")
        topic = fact.unknown_topic if isinstance(fact, UnknownEvent) else fact.topic
        return LogEntry(new.stream, new.version, topic, event.encode(fact).encode(), new)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """Decode an event; the library's `StoredEvent` carries no envelope, so only stream, version and fact are known."""
        return NewEvent(
            stream=Id(str(stored_event.originator_id)),
            version=stored_event.originator_version,
            fact=event.decode(stored_event.topic, stored_event.state.decode()),
        )
