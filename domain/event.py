"""What an event is: the frozen fact, its lasting topic, and the envelope that says who, when and in which run.

A topic such as `run.started.1` is the stored name of a kind of fact: classes may move, topics stay. A fact only grows by
optional fields with a default. Any other change is a new topic number, and an upcaster from the older one stands beside the
new class.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from lineagelog.domain.errors import InvalidValueError, LogCorruptError
from lineagelog.domain.ids import Id, new_id
from lineagelog.domain.values import Json


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact: something that happened, in the past tense. Fields that hold their default are not written.

    Attributes:
        topic: Its stored name.
        store_format: Form of a store that may hold it (`FORMAT_VERSION`): software that knows only lower ones does not know this
            kind of fact, and must not write after it.
    """

    topic: ClassVar[str] = ""
    store_format: ClassVar[int] = 1


class Change(msgspec.Struct, frozen=True):
    """One changed field of a record.

    Attributes:
        old: Value before the change.
        new: Value after it.
    """

    old: Json
    new: Json


class UnknownEvent(Event, frozen=True):
    """A fact of a kind this version of the software does not know; it is kept and shown as it is.

    Attributes:
        unknown_topic: The stored topic.
        payload: The stored payload, JSON text.
    """

    unknown_topic: str
    payload: str


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an event came from, the same for all events of one session.

    Attributes:
        auth: How the actor was authenticated: `declared` (said so), `anonymous`, or the name of a proof.
        session: Id of the process session that made the event.
        host: Name of the machine.
        os_user: Name of the operating system's user.
        software: Name and version of the software that made the event.
    """

    auth: str = "declared"
    session: str | None = None
    host: str | None = None
    os_user: str | None = None
    software: str | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to the log.

    Attributes:
        stream: Id of the record the fact is about.
        version: Place in that stream, from 1; the log refuses a place that is taken.
        fact: What happened.
        actor: Id of the user who did it.
        run: Id of the run it was done in.
        reason: Why, in the user's words.
        context: Encoded `Context`.
        event_id: Made by the client, so that a repeated append is recognised.
    """

    stream: Id
    version: int
    fact: Event
    actor: Id | None = None
    run: Id | None = None
    reason: str | None = None
    context: str = "{}"
    event_id: Id = msgspec.field(default_factory=new_id)

    # The library's event store knows an event's stream by these two names.
    @property
    def originator_id(self) -> str:
        """The stream, as the event store calls it."""
        return self.stream

    @property
    def originator_version(self) -> int:
        """The version, as the event store calls it."""
        return self.version


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log.

    Attributes:
        position: Place in the whole log, from 1, without gaps.
        event_id: Id of the event.
        stream: Id of the record the fact is about.
        version: Place in that stream, from 1.
        recorded_at: When it was recorded: UTC, microseconds, as text of 27 characters.
        fact: What happened.
        actor: Id of the user who did it.
        run: Id of the run it was done in.
        reason: Why, in the user's words.
        context: Encoded `Context`.
    """

    position: int
    event_id: Id
    stream: Id
    version: int
    recorded_at: str
    fact: Event
    actor: Id | None
    run: Id | None
    reason: str | None
    context: str

    @property
    def topic(self) -> str:
        """The stored name of the fact's kind."""
        return self.fact.unknown_topic if isinstance(self.fact, UnknownEvent) else self.fact.topic


EventType = TypeVar("EventType", bound=type[Event])
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

TOPICS: Final[dict[str, type[Event]]] = {}
"""Every topic the software writes, with its class."""

_UPCASTERS: Final[dict[str, tuple[str, Upcaster]]] = {}
_decoders: Final[dict[str, msgspec.json.Decoder[Event]]] = {}
_encoder: Final = msgspec.json.Encoder()
# With an odd backslash before it, the text itself spells the escape.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def recorded_as(topic: str, *, store_format: int = 1) -> Callable[[EventType], EventType]:
    """Give an event class its stored topic.

    Args:
        topic: Subject, past participle and number, such as `run.started.1`.
        store_format: `FORMAT_VERSION` of the software that first knows it.
    """

    def register(cls: EventType) -> EventType:
        if topic in TOPICS:
            raise RuntimeError(f"the topic {topic} belongs to {TOPICS[topic].__name__} already")
        TOPICS[topic] = cls
        cls.topic = topic
        cls.store_format = store_format
        return cls

    return register


def upcast(old_topic: str, new_topic: str) -> Callable[[Upcaster], Upcaster]:
    """Register the function that lifts a payload of an old topic to the next one."""

    def register(function: Upcaster) -> Upcaster:
        _UPCASTERS[old_topic] = (new_topic, function)
        return function

    return register


def is_known(topic: str) -> bool:
    """Tell whether this software knows a kind of fact, be it by an upcaster."""
    return topic in TOPICS or topic in _UPCASTERS


def encode(fact: Event) -> str:
    """Write a fact as JSON, and make sure that it reads back equal.

    Raises:
        InvalidValueError: A field holds a value of another type than it declares, or one that JSON would change without
            a word, such as NaN or bytes; or text with a NUL, which PostgreSQL cannot hold. Constructors check nothing, so
            this is the gate.
    """
    if isinstance(fact, UnknownEvent):
        return fact.payload
    try:
        data = _encoder.encode(fact)
        again = _decoder(fact.topic).decode(data)
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as exc:
        raise InvalidValueError(type(fact).__name__, f"cannot be recorded: {exc}") from exc
    if again != fact:
        fields = [name for name in fact.__struct_fields__ if getattr(again, name) != getattr(fact, name)]
        raise InvalidValueError(
            type(fact).__name__, f"cannot be recorded: {', '.join(fields)} would not read back from JSON as it is"
        )
    if b"\\u0000" in data and _NUL.search(data):
        raise InvalidValueError(type(fact).__name__, "cannot be recorded: it holds a NUL character; remove it")
    return data.decode()


def decode(topic: str, payload: str) -> Event:
    """Read a stored fact; payloads of old topics are lifted to the present one.

    Args:
        topic: The stored topic.
        payload: The stored JSON.

    Raises:
        LogCorruptError: The payload of a known topic is not one.
    """
    if not is_known(topic):
        return UnknownEvent(unknown_topic=topic, payload=payload)
    try:
        if topic in TOPICS:
            return _decoder(topic).decode(payload)
        data: dict[str, Any] = msgspec.json.decode(payload, type=dict[str, Any])
        current = topic
        while current in _UPCASTERS:
            current, lift = _UPCASTERS[current]
            data = lift(data)
        return msgspec.convert(data, TOPICS[current])
    except (msgspec.DecodeError, ValueError, LookupError, RecursionError) as exc:
        raise LogCorruptError(
            f"an event of topic {topic} cannot be read: {exc}; run `prov verify` to find the place"
        ) from exc


def _decoder(topic: str) -> msgspec.json.Decoder[Event]:
    decoder = _decoders.get(topic)
    if decoder is None:
        decoder = _decoders[topic] = msgspec.json.Decoder(TOPICS[topic])
    return decoder
