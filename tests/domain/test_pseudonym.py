"""What is left of names once an event was anonymised: nothing, in no field of no kind of event."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, get_args, get_origin

import msgspec
import pytest

from lineagelog.domain import pseudonym
from lineagelog.domain.artifact import ArtifactRegistered, ArtifactUpdated
from lineagelog.domain.collection import CollectionRegistered, collection_hash
from lineagelog.domain.event import TOPICS, Change, Context, Event, RecordedEvent, UnknownEvent, encode
from lineagelog.domain.ids import Id, new_id, time_of_id, versioned_uid
from lineagelog.domain.pseudonym import CONTEXT, LEFT_OUT, RULES, Pseudonyms, Rule
from lineagelog.domain.run import RunStarted
from lineagelog.domain.user import UserRegistered

TIME = "2026-11-21T03:22:44.540332Z"
CANARIES = (
    "Lovelace", "/home/lovelace/secret.csv", "s3://lovelace/lovelace/x.lovelace", "https://lovelace.example/lovelace?u=lovelace",
    "x.lovelace", ".lovelace", "--lovelace=lovelace", "lovelace@lovelace.example", "objects/lovelace", "struct<lovelace: string>",
    "git@lovelace:lovelace.git", "data.lovelace.csv", "2026-11-21T03:22:44.540332Z lovelace",
)  # fmt: skip
REGISTERING = {
    "user": "user.registered.1", "storage": "storage.registered.1", "transform": "transform.registered.1", "run": "run.started.1",
    "artifact": "artifact.registered.1", "collection": "collection.registered.1", "label": "label.defined.1",
    "record": "record.defined.1", "feature": "feature.defined.1", "project": "project.created.1",
}  # fmt: skip


def recorded(fact: Event, **envelope: Any) -> RecordedEvent:
    """Put a fact into an envelope."""
    defaults: dict[str, Any] = {"actor": None, "run": None, "reason": None, "context": "{}", "recorded_at": TIME}
    return RecordedEvent(
        position=1, event_id=new_id(), version=1, fact=fact, **{"stream": new_id(), **defaults, **envelope}
    )


def planted(annotation: Any, canary: str, topic: str) -> Any:
    """Make a value of a type with the canary wherever text may stand."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return planted(next(one for one in arguments if one is not type(None)), canary, topic)
    if annotation is Change:
        return Change({canary: [canary, 1.5, {canary: canary}]}, canary)
    if origin is dict:
        return {canary: planted(arguments[1], canary, topic)}
    if origin is list:
        return [planted(arguments[0], canary, topic)]
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation(**dict(fields(annotation, canary, topic)))
    return {str: canary, int: 7, bool: True, float: 0.5, Any: {canary: [canary]}}[annotation]


def fields(kind: type[msgspec.Struct], canary: str, topic: str) -> Iterator[tuple[str, Any]]:
    """Plant the canary in every field of a fact; of a change, under the name of every field that can change."""
    for field in msgspec.structs.fields(kind):
        value = planted(field.type, canary, topic)
        if field.name == "changes":
            changed = TOPICS.get(REGISTERING.get(topic.partition(".")[0], ""))
            known = dict(fields(changed, canary, "")) if changed is not None else {}
            value |= {name: Change(old, old) for name, old in msgspec.to_builtins(known).items()}
        yield field.name, value


def test_every_field_of_every_fact_is_classified() -> None:
    assert set(RULES) | LEFT_OUT == set(TOPICS), "say what becomes of these topics in an anonymised fixture"
    assert not set(RULES) & LEFT_OUT
    for topic, rules in RULES.items():
        assert set(rules) == set(TOPICS[topic].__struct_fields__), f"say what becomes of these fields of {topic}"
    assert set(CONTEXT) == set(Context.__struct_fields__)
    nested: Mapping[str, Mapping[str, Rule]] = {"git": pseudonym._GIT}
    from lineagelog.domain.run import GitState

    assert set(nested["git"]) == set(GitState.__struct_fields__)


@pytest.mark.parametrize("canary", CANARIES)
def test_no_name_in_any_field_survives(canary: str) -> None:
    for topic, kind in TOPICS.items():
        if topic in LEFT_OUT:
            continue
        fact = kind(**dict(fields(kind, canary, topic)))
        planted_in = encode(fact)
        assert "lovelace" in planted_in.lower() or topic in ("storage.checked.1",), topic
        context = msgspec.json.encode(Context(**dict(fields(Context, canary, "")))).decode()
        event = recorded(
            fact, stream=Id(canary), actor=canary, run=canary, reason=canary, context=context, recorded_at=canary
        )
        changed = Pseudonyms(keep_numbers=True).event(event)
        assert changed is not None
        assert "lovelace" not in f"{msgspec.json.encode(changed).decode()}{encode(changed.fact)}".lower(), topic


def test_what_is_unknown_or_speaks_of_the_log_itself_is_left_out() -> None:
    assert Pseudonyms().event(recorded(UnknownEvent(unknown_topic="moon.landed.1", payload="{}"))) is None
    for topic in LEFT_OUT:
        assert Pseudonyms().event(recorded(TOPICS[topic](**dict(fields(TOPICS[topic], "x", topic))))) is None


def test_equal_stays_equal_and_form_stays() -> None:
    names = Pseudonyms()
    paths = [
        "raw/Site A/iris.csv",
        "raw/Site B/iris.csv",
        "raw/Site A/iris.tar.gz",
        "iris",
        "s3://b/raw/x.weird",
        "/raw",
    ]
    assert [pseudonym.path(names, path) for path in paths] == [
        "folder1/folder2/file1.csv", "folder1/folder3/file1.csv", "folder1/folder2/file1.tar.gz", "file1",
        "s3://host1.example/folder1/file2", "/file3",
    ]  # fmt: skip
    params = {"alpha": [1, 1.0, True, None, "x", "2026-05-01"], "beta": {"alpha": "x", "gamma": 1}}
    assert pseudonym.json(names, params) == {
        "key1": [1, 1.5, True, None, "text 1", "2000-01-01"], "key2": {"key1": "text 1", "key3": 1},
    }  # fmt: skip
    assert pseudonym.places(names, ["alpha[4]", "beta.gamma"]) == ["key1[4]", "key2.key3"]
    assert pseudonym.json(Pseudonyms(keep_numbers=True), [1, 2.5, "x"]) == [1, 2.5, "text 1"]
    assert [pseudonym.argument(names, text) for text in ("train.py", "--lr=0.1", "-v", "out")] == [
        "argument1.py", "--option1=argument2", "-option2", "argument3",
    ]  # fmt: skip


def test_ids_and_times_keep_their_order_and_form() -> None:
    names = Pseudonyms(shift=timedelta(days=-365))
    ids = [new_id() for _ in range(50)]
    replaced = [names.id(one) for one in ids]
    assert [names.id(one) for one in ids] == replaced
    assert sorted(replaced) == replaced
    assert not set(ids) & set(replaced)
    assert all(pseudonym.UUID7.fullmatch(one) for one in replaced)
    made, was = time_of_id(replaced[0]), time_of_id(ids[0])
    assert made is not None
    assert was is not None
    assert was - made == timedelta(days=365)
    assert names.time(TIME) == "2025-11-21T03:22:44.540332Z"
    first, second = (pseudonym.versioned(names, versioned_uid("A" * 16, number)) for number in (0, 61))
    assert first[:-4] == second[:-4] != "A" * 16
    assert (first[-4:], second[-4:]) == ("0000", "000z")
    assert re.fullmatch(r"[0-9A-Za-z]{8}", pseudonym.uid(names, "Ada00001"))
    assert pseudonym.uid(names, "00000000") == "00000000"


def test_collections_still_have_the_hash_of_their_members() -> None:
    names, stream = Pseudonyms(), new_id()
    artifact = ArtifactRegistered(
        uid="A" * 20,
        version_number=0,
        storage=new_id(),
        path=f".lineagelog/objects/S/{stream}.csv",
        size_bytes=1,
        hash="a" * 64,
    )
    of_artifact = names.event(recorded(artifact, stream=stream))
    collection = CollectionRegistered(
        uid="C" * 20, version_number=0, key="all", artifacts=[stream], hash=collection_hash(["a" * 64])
    )
    of_collection = names.event(recorded(collection))
    assert of_artifact is not None
    assert of_collection is not None
    assert isinstance(of_artifact.fact, ArtifactRegistered)
    assert isinstance(of_collection.fact, CollectionRegistered)
    assert of_collection.fact.artifacts == [of_artifact.stream]
    assert of_collection.fact.hash == collection_hash([of_artifact.fact.hash]) != collection.hash
    assert of_artifact.fact.path == f".lineagelog/objects/file1/{of_artifact.stream}.csv".replace("file", "folder")


def test_what_a_change_says_agrees_with_what_was_registered() -> None:
    names = Pseudonyms()
    user = names.event(recorded(UserRegistered(uid="Ada00001", handle="ada", name="Ada", email="ada@example.com")))
    run = names.event(recorded(RunStarted(uid="R" * 16, transform=new_id(), started_at=TIME, params={"a": 1}, pid=7)))
    update = names.event(
        recorded(ArtifactUpdated(changes={"key": Change("a/b.csv", "a/c.csv"), "secret": Change(None, "b")}))
    )
    assert user is not None
    assert run is not None
    assert update is not None
    assert user.fact == UserRegistered(
        uid=user.fact.uid,
        handle="user1",
        name="Person 1",
        email="address1@example.org",  # type: ignore[attr-defined]
    )
    assert run.fact.params == {"key1": 1}  # type: ignore[attr-defined]
    assert run.fact.pid is None  # type: ignore[attr-defined]
    assert update.fact == ArtifactUpdated(
        changes={"key": Change("folder1/file1.csv", "folder1/file2.csv"), "field1": Change(None, "text 1")}
    )
