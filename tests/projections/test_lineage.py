"""Closures, their depth, and the graphs and tables made of them, on both databases."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.artifact import ArtifactRegistered, ArtifactSeenAgain
from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.event import Event, NewEvent
from lineagelog.domain.ids import Id, new_id, new_uid, versioned_uid
from lineagelog.domain.run import InputAccessed, RunStarted
from lineagelog.domain.transform import TransformRegistered
from lineagelog.domain.user import UserRegistered
from lineagelog.projections.lineage import (
    Closure,
    closure,
    nodes,
    rows,
    to_networkx,
    transform_children,
    transform_parents,
)

AT = "2026-11-21T03:22:44.540332Z"


class Story:
    """Writes a log step by step; records are known by short names."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.ids: dict[str, Id] = {}
        self._versions: dict[Id, int] = {}
        self._events: list[NewEvent] = []
        self._user = self._add(UserRegistered(uid=new_uid(8), handle="ada"), "ada")

    def transform(self, name: str) -> None:
        fact = TransformRegistered(uid=versioned_uid(new_uid(12), 0), version_number=0, key=f"{name}.py", type="script")
        self._add(fact, name)

    def run(self, name: str, reads: Iterable[str] = (), makes: Iterable[str] = (), transform: str = "t") -> None:
        if transform not in self.ids:
            self.transform(transform)
        if name not in self.ids:
            self._add(RunStarted(uid=new_uid(16), transform=self.ids[transform], started_at=AT), name)
        for artifact in reads:
            if artifact not in self.ids:
                self._artifact(artifact, None)
            self._add(InputAccessed(artifact=self.ids[artifact], how="load", accessed_at=AT), name)
        for artifact in makes:
            if artifact in self.ids:
                self._add(ArtifactSeenAgain(run=self.ids[name]), artifact)
            else:
                self._artifact(artifact, self.ids[name])

    def save(self) -> None:
        self.log.append(self._events)
        self._events = []

    def closure(self, *names: str, runs: Iterable[str] = (), **options: Any) -> Closure:
        artifacts = [self.ids[name] for name in names]
        return closure(self.log.database, artifact_ids=artifacts, run_ids=[self.ids[name] for name in runs], **options)

    def named(self, found: dict[str, int] | Any) -> dict[str, int]:
        names = {record: name for name, record in self.ids.items()}
        return {names[record]: depth for record, depth in found.items()}

    def _artifact(self, name: str, run: Id | None) -> None:
        fact = ArtifactRegistered(
            uid=versioned_uid(new_uid(16), 0), version_number=0, storage="s", path=name, size_bytes=1, hash="0" * 64,
            key=f"{name}.csv", suffix=".csv", run=run,
        )  # fmt: skip
        self._add(fact, name)

    def _add(self, fact: Event, name: str) -> Id:
        stream = self.ids.setdefault(name, new_id())
        self._versions[stream] = self._versions.get(stream, 0) + 1
        actor = self.ids.get("ada") if self._versions else None
        self._events.append(NewEvent(stream=stream, version=self._versions[stream], fact=fact, actor=actor))
        return stream


@pytest.fixture
def story(log: EventLog) -> Story:
    return Story(log)


def test_depth_counts_steps_from_artifact_to_artifact(story: Story) -> None:
    story.run("r1", makes=["raw", "log"])
    story.run("r2", reads=["raw"], makes=["clean"])
    story.run("r3", reads=["clean", "raw"], makes=["figure"])
    story.save()
    up = story.closure("figure", direction="upstream")
    assert story.named(up.artifacts) == {"figure": 0, "raw": 1, "clean": 1}
    assert story.named(up.runs) == {"r3": 1, "r1": 2, "r2": 2}
    assert [edge.depth for edge in up.edges] == [1, 1, 1, 2, 2, 2]
    down = story.closure("raw", direction="downstream")
    assert story.named(down.artifacts) == {"raw": 0, "clean": 1, "figure": 1}
    assert story.named(down.runs) == {"r2": 1, "r3": 1}
    both = story.closure("clean")
    assert story.named(both.artifacts) == {"clean": 0, "raw": 1, "figure": 1}
    assert "log" not in story.named(both.artifacts)
    of_run = story.closure(runs=["r2"])
    assert story.named(of_run.artifacts) == {"raw": 1, "clean": 1, "figure": 2}
    assert story.named(of_run.runs) == {"r2": 0, "r1": 2, "r3": 2}


@pytest.mark.parametrize("max_depth", [0, 1, 2, 3, 8, 9, 20])
def test_a_depth_limit_cuts_the_closure_and_nothing_else(story: Story, max_depth: int) -> None:
    for n in range(12):
        reads = [f"a{n - 1}"] * (n > 0) + [f"a{n - 3}"] * (n > 3)
        story.run(f"r{n}", reads=reads, makes=[f"a{n}"])
    story.save()
    whole = story.closure("a11", direction="upstream")
    limited = story.closure("a11", direction="upstream", max_depth=max_depth)
    assert limited.edges == tuple(edge for edge in whole.edges if edge.depth <= max_depth)
    assert dict(limited.artifacts) == {node: depth for node, depth in whole.artifacts.items() if depth <= max_depth}
    assert dict(limited.runs) == {node: depth for node, depth in whole.runs.items() if depth <= max_depth}


def test_a_run_that_saves_its_own_input_again_ends_the_walk(story: Story) -> None:
    story.run("r1", makes=["a"])
    story.run("r2", reads=["a"], makes=["b", "a"])
    story.run("r3", reads=["b"], makes=["a"])
    story.save()
    found = story.closure("a")
    assert set(story.named(found.runs)) == {"r1", "r2", "r3"}
    assert sorted(edge.kind for edge in found.edges) == ["generated", "generated", "seen", "seen", "used", "used"]
    assert len({edge.position for edge in found.edges}) == 6


def test_random_graphs_agree_with_a_walk_in_python(story: Story) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for n in range(60):
        known = [name for name in story.ids if name.startswith("a") and name != "ada"]
        reads = {chance.choice(known) for _ in range(chance.randrange(4))} if known else set()
        again = {chance.choice(known)} if known and chance.random() < 0.2 else set()
        story.run(
            f"r{n}", reads=sorted(reads), makes=[*sorted(again), *(f"a{n}-{m}" for m in range(chance.randrange(3)))]
        )
    story.save()
    edges = story.log.database.read("SELECT run_id, artifact_id, kind FROM edges")
    for name in chance.sample(sorted(name for name in story.ids if name[0] == "a" and name != "ada"), 15):
        for direction in ("upstream", "downstream"):
            distance, level = {story.ids[name]: 0}, [story.ids[name]]
            while level:
                reached = []
                for node in level:
                    for run, artifact, kind in edges:
                        source, target = (
                            (artifact, run) if (kind == "used") is (direction == "downstream") else (run, artifact)
                        )
                        if source == node and target not in distance:
                            distance[target] = distance[node] + 1
                            reached.append(target)
                level = reached
            found = story.closure(name, direction=direction)
            assert dict(found.artifacts) | dict(found.runs) == {node: (n + 1) // 2 for node, n in distance.items()}


def test_a_record_without_lineage_is_alone(story: Story) -> None:
    story.run("r")
    story.run("q", reads=["a"])
    story.save()
    alone = closure(story.log.database, run_ids=[story.ids["r"]])
    assert (alone.edges, dict(alone.artifacts), dict(alone.runs)) == ((), {}, {story.ids["r"]: 0})
    assert closure(story.log.database).edges == ()


@pytest.mark.parametrize(
    "options", [{"direction": "sideways"}, {"max_depth": -1}, {"max_depth": True}, {"max_depth": 1.5}]
)
def test_unknown_directions_and_depths_are_refused(log: EventLog, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(options))):
        closure(log.database, **options)


def test_the_graph_is_the_same_as_data_table_and_networkx(story: Story) -> None:
    story.run("r1", makes=["raw"], transform="upload")
    story.run("r2", reads=["raw"], makes=["clean", "raw"], transform="clean-up")
    story.save()
    graph = nodes(story.log.database, story.closure("clean"))
    assert {node.key for node in graph.artifacts.values()} == {"raw.csv", "clean.csv"}
    assert {node.transform_key for node in graph.runs.values()} == {"upload.py", "clean-up.py"}
    assert {node.user for node in graph.artifacts.values()} == {"ada"}
    uid = {name: (graph.artifacts.get(record) or graph.runs.get(record)) for name, record in story.ids.items()}
    flow = [(uid["r2"].uid, uid["clean"].uid, "generated"), (uid["raw"].uid, uid["r2"].uid, "used")]  # type: ignore[union-attr]
    table = [(row["source"], row["target"], row["kind"]) for row in rows(graph)]
    assert set(flow) <= set(table)
    assert len(table) == len(graph.edges) == 4
    built = to_networkx(graph)
    assert sorted((u, v, data["kind"]) for u, v, data in built.edges(data=True)) == sorted(table)
    assert built.nodes[uid["clean"].uid]["subject"] is True  # type: ignore[union-attr]
    assert built.nodes[uid["r1"].uid]["node"] == "run"  # type: ignore[union-attr]


def test_transforms_know_their_parents_and_children(story: Story) -> None:
    for name in ("upload", "clean", "train", "other"):
        story.transform(name)
    story.run("r1", makes=["raw"], transform="upload")
    story.run("r2", reads=["raw"], makes=["data"], transform="clean")
    story.run("r3", reads=["data", "raw"], makes=["model"], transform="train")
    story.run("r4", reads=["data"], makes=["more"], transform="clean")
    story.run("r5", makes=["more"], transform="other")
    story.run("r6", reads=["more"], transform="train")
    story.save()
    database, ids = story.log.database, story.ids
    train, clean, upload, other = (ids[name] for name in ("train", "clean", "upload", "other"))
    assert transform_parents(database, [train]) == [(train, upload), (train, clean), (train, other)]
    assert transform_parents(database, [clean]) == [(clean, upload)]
    assert sorted(transform_parents(database, [clean, train])) == sorted(
        [(clean, upload), (train, upload), (train, clean), (train, other)]
    )
    assert transform_children(database, [upload]) == [(upload, clean), (upload, train)]
    assert transform_children(database, [train]) == []
