from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog import domain
from lineagelog.domain import event
from lineagelog.domain.artifact import ArtifactRegistered
from lineagelog.domain.errors import InvalidValueError, LogCorruptError
from lineagelog.domain.event import TOPICS, Change, Event, NewEvent, RecordedEvent, UnknownEvent, decode, encode
from lineagelog.domain.ids import Id
from lineagelog.domain.run import RunFailed, RunStarted, RunUpdated
from lineagelog.domain.user import UserRegistered

for module in pkgutil.iter_modules(domain.__path__):
    importlib.import_module(f"lineagelog.domain.{module.name}")

# Stored payloads of every topic that was ever written. A file is never changed or removed, only added.
SAMPLES = Path(__file__).parent / "samples"
TIME = "2026-11-21T03:22:44.540332Z"


def sample(topic: str) -> str:
    return (SAMPLES / f"{topic}.json").read_text()


def test_every_topic_has_a_stored_sample_and_every_sample_a_reader() -> None:
    stored = {path.stem for path in SAMPLES.glob("*.json")}
    assert TOPICS.keys() <= stored, "store a sample of each new topic in tests/domain/samples"
    assert stored <= TOPICS.keys() | event._UPCASTERS.keys(), "a topic that was written once must stay readable"


@pytest.mark.parametrize("topic", sorted(path.stem for path in SAMPLES.glob("*.json")))
def test_stored_samples_are_readable_for_ever(topic: str) -> None:
    fact = decode(topic, sample(topic))
    assert not isinstance(fact, UnknownEvent)
    if topic in TOPICS:
        assert type(fact) is TOPICS[topic]
        assert json.loads(encode(fact)).items() <= msgspec.to_builtins(fact).items()
        payload = json.loads(sample(topic))
        whole = {name: msgspec.to_builtins(getattr(fact, name)) for name in payload}
        assert whole == payload, "no field of the stored sample was lost or changed"


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_facts_of_every_topic_read_back_equal(topic: str) -> None:
    fact = decode(topic, sample(topic))
    assert decode(topic, encode(fact)) == fact


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_samples_fill_every_field(topic: str) -> None:
    """A field left out of the sample would not be guarded by it."""
    assert json.loads(sample(topic)).keys() == set(TOPICS[topic].__struct_fields__)


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_topics_are_subject_participle_and_number_and_facts_are_frozen(topic: str) -> None:
    subject, participle, number = topic.split(".")
    assert subject.isidentifier()
    assert participle.isidentifier()
    assert int(number) >= 1
    fact = decode(topic, sample(topic))
    with pytest.raises(AttributeError):
        setattr(fact, fact.__struct_fields__[0], None)


def test_payloads_without_optional_fields_are_readable() -> None:
    assert decode("user.registered.1", '{"uid":"AbCdEfGh","handle":"mara"}') == UserRegistered(
        uid="AbCdEfGh", handle="mara"
    )


def test_defaults_are_not_written() -> None:
    assert encode(UserRegistered(uid="AbCdEfGh", handle="mara")) == '{"uid":"AbCdEfGh","handle":"mara"}'


def test_a_field_added_by_newer_software_is_ignored() -> None:
    assert decode("run.finished.1", f'{{"finished_at":"{TIME}","mood":"good"}}') == TOPICS["run.finished.1"](
        finished_at=TIME  # type: ignore[call-arg]
    )


def test_an_unknown_topic_is_kept_verbatim() -> None:
    payload = '{ "b" : 1.50, "a":"\\u00e9" }'
    fact = decode("moon.landed.1", payload)
    assert fact == UnknownEvent(unknown_topic="moon.landed.1", payload=payload)
    assert encode(fact) == payload


def test_a_recorded_event_shows_the_topic_of_its_fact() -> None:
    def recorded(fact: Event) -> RecordedEvent:
        return RecordedEvent(
            position=1, event_id=Id("e"), stream=Id("s"), version=1, recorded_at=TIME, fact=fact,
            actor=None, run=None, reason=None, context="{}",
        )  # fmt: skip

    assert recorded(UnknownEvent(unknown_topic="moon.landed.1", payload="{}")).topic == "moon.landed.1"
    assert recorded(UserRegistered(uid="a", handle="b")).topic == "user.registered.1"


def test_each_new_event_gets_an_id_of_its_own() -> None:
    fact = UserRegistered(uid="a", handle="b")
    first, second = (NewEvent(stream=Id("s"), version=1, fact=fact) for _ in range(2))
    assert first.event_id < second.event_id
    assert (first.originator_id, first.originator_version) == ("s", 1)


REFUSED: list[tuple[str, Event]] = [
    ("number for text", UserRegistered(uid="a", handle=3)),  # type: ignore[arg-type]
    ("text for number", ArtifactRegistered(uid="a", version_number="1", storage="s", path="p", size_bytes=1, hash="h")),  # type: ignore[arg-type]
    ("missing text", UserRegistered(uid=None, handle="b")),  # type: ignore[arg-type]
    ("NaN", RunStarted(uid="a", transform="t", started_at=TIME, params={"x": float("nan")})),
    ("infinity", RunStarted(uid="a", transform="t", started_at=TIME, params={"x": [float("inf")]})),
    ("bytes", RunStarted(uid="a", transform="t", started_at=TIME, params={"x": b"abc"})),  # type: ignore[dict-item]
    ("set", RunStarted(uid="a", transform="t", started_at=TIME, params={"x": {1, 2}})),  # type: ignore[dict-item]
    ("object", RunStarted(uid="a", transform="t", started_at=TIME, params={"x": object()})),  # type: ignore[dict-item]
    ("number as key", RunStarted(uid="a", transform="t", started_at=TIME, params={1: "x"})),  # type: ignore[dict-item]
    ("lone surrogate", UserRegistered(uid="a", handle="b", name="\ud800")),
    ("NUL", UserRegistered(uid="a", handle="b", name="x\x00y")),
    ("NUL after a backslash", UserRegistered(uid="a", handle="b", name="x\\\x00y")),
    ("NUL in a key", RunUpdated(changes={"a\x00": Change(None, 1)})),
    ("NaN in a change", RunUpdated(changes={"a": Change(None, float("nan"))})),
]


@pytest.mark.parametrize("fact", [fact for _, fact in REFUSED], ids=[name for name, _ in REFUSED])
def test_what_would_not_read_back_is_refused(fact: Event) -> None:
    with pytest.raises(InvalidValueError, match=f"^{type(fact).__name__} cannot be recorded: "):
        encode(fact)


def test_text_that_spells_the_escape_of_nul_is_ordinary_text() -> None:
    fact = UserRegistered(uid="a", handle="b", name=r"\u0000 and \\u0000")
    assert decode(fact.topic, encode(fact)) == fact


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]", "null", "{}", '{"uid":1,"handle":"b"}', '{"uid":"a","handle":"b"', '{"uid":"a","handle":null}'],
)
def test_a_broken_payload_of_a_known_topic_is_an_error(payload: str) -> None:
    with pytest.raises(LogCorruptError, match=r"topic user\.registered\.1 cannot be read.*prov verify"):
        decode("user.registered.1", payload)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=12,
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@settings(print_blob=True)
@given(params=st.dictionaries(texts, json_values, max_size=5), command=st.lists(texts), name=st.none() | texts)
def test_any_value_of_jsons_data_model_reads_back_equal(
    params: dict[str, Any], command: list[str], name: str | None
) -> None:
    fact = RunStarted(uid="a", transform="t", started_at=TIME, params=params, command=command, name=name)
    again = decode(fact.topic, encode(fact))
    assert again == fact
    assert encode(again) == encode(fact)


@settings(print_blob=True)
@given(message=texts, traceback=st.none() | texts)
def test_any_text_reads_back_equal(message: str, traceback: str | None) -> None:
    fact = RunFailed(finished_at=TIME, error_type="E", message=message, traceback=traceback)
    assert decode(fact.topic, encode(fact)) == fact


@pytest.fixture
def teapot(monkeypatch: pytest.MonkeyPatch) -> type[Event]:
    """A kind of fact in its third form, with upcasters from the two before."""
    monkeypatch.setattr(event, "TOPICS", dict(TOPICS))
    monkeypatch.setattr(event, "_UPCASTERS", dict(event._UPCASTERS))
    monkeypatch.setattr(event, "_decoders", {})

    @event.recorded_as("tea.made.3")
    class TeaMade(Event, frozen=True):
        kind: str
        cups: int
        warm: bool = True

    @event.upcast("tea.made.1", "tea.made.2")
    def add_cups(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "cups": "1"}

    @event.upcast("tea.made.2", "tea.made.3")
    def count_cups(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "cups": int(old["cups"])}

    return TeaMade


def test_old_payloads_are_lifted_step_by_step(teapot: type[Event]) -> None:
    expected = teapot(kind="green", cups=1)  # type: ignore[call-arg]
    assert decode("tea.made.1", '{"kind":"green"}') == expected
    assert decode("tea.made.2", '{"kind":"green","cups":"1"}') == expected
    assert decode("tea.made.3", '{"kind":"green","cups":1}') == expected


@pytest.mark.parametrize(
    "payload", ["{}", "[1]", "nonsense", '{"kind":"green","cups":"many"}', '{"kind":3,"cups":"1"}']
)
def test_a_broken_payload_of_an_old_topic_is_an_error(teapot: type[Event], payload: str) -> None:
    with pytest.raises(LogCorruptError, match=r"topic tea\.made\.2 cannot be read"):
        decode("tea.made.2", payload)


def test_a_topic_belongs_to_one_class(teapot: type[Event]) -> None:
    with pytest.raises(RuntimeError, match=r"tea.made.3 belongs to TeaMade already"):

        @event.recorded_as("tea.made.3")
        class Coffee(Event, frozen=True):
            pass
