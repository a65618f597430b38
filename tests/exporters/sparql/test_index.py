"""A graph that is kept and brought up to date is the graph of an export that is made anew, after any history."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pyoxigraph
import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.annotation import (
    FeatureDefined,
    FeatureUpdated,
    FeatureValuesRemoved,
    LabelDefined,
    LabelDetached,
    LabelUpdated,
    ParentAdded,
    ParentRemoved,
    ProjectAssigned,
    ProjectCreated,
    ProjectUnassigned,
    ProjectUpdated,
)
from lineagelog.domain.artifact import ArtifactSeenAgain, ArtifactUpdated, ArtifactVerified
from lineagelog.domain.collection import CollectionUpdated
from lineagelog.domain.disposal import ArtifactDeleted, ArtifactRestored, ArtifactTrashed
from lineagelog.domain.event import Change, NewEvent
from lineagelog.domain.run import EnvironmentRecorded, RunAborted, RunFailed, RunFinished, RunUpdated
from lineagelog.domain.storage import StorageChecked, StorageUpdated
from lineagelog.domain.store import ExportMade
from lineagelog.domain.transform import TransformUpdated
from lineagelog.domain.user import UserUpdated
from lineagelog.exporters.sparql import index as index_module
from lineagelog.exporters.sparql.index import MemoryIndex, Source
from lineagelog.projections import schema
from lineagelog.projections.touched import ARCHIVES, OWNER, WITHOUT_OWNER

ALL = "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }"
COUNT = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"


def source(log: EventLog) -> Source:
    return Source(log.database.snapshot, lambda after, up_to: log.read(after=after, up_to=up_to))


@pytest.fixture
def index() -> Iterator[Callable[[EventLog], MemoryIndex]]:
    made: list[MemoryIndex] = []

    def make(log: EventLog) -> MemoryIndex:
        made.append(MemoryIndex(source(log)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many subjects each change described anew."""
    counts: list[int] = []
    change = index_module.Engine.change

    def counted(self: Any, change_: Any, chunks: Any) -> None:
        counts.append(len(change_.subjects))
        change(self, change_, chunks)

    monkeypatch.setattr(index_module.Engine, "change", counted)
    return counts


def triples(text: str | bytes, format_: pyoxigraph.RdfFormat) -> set[str]:
    # A store of Oxigraph writes the same number or time in one way only.
    store = pyoxigraph.Store()
    store.bulk_load(text, format_)
    return {str(quad) for quad in store}


def assert_is_fresh(index: MemoryIndex, log: EventLog, exporting: Any) -> None:
    answer = index.ask(ALL, timeout_s=60).text
    assert answer is not None
    kept = triples(answer, pyoxigraph.RdfFormat.TURTLE)
    fresh = triples(exporting(log, "n-triples"), pyoxigraph.RdfFormat.N_TRIPLES)
    assert sorted(kept - fresh)[:5] == sorted(fresh - kept)[:5] == []
    # What is there twice, in two graphs, would be counted twice.
    assert index.ask(COUNT, timeout_s=60).rows == ((len(fresh),),)


def test_a_graph_is_right_after_each_kind_of_event(
    memory: Any, log: EventLog, index: Any, exporting: Any, changes: list[int]
) -> None:
    events = [
        NewEvent(
            stream=event.stream,
            version=event.version,
            fact=event.fact,
            actor=event.actor,
            run=event.run,
            reason=event.reason,
        )
        for event in memory.log.read()
    ]
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    choose = random.Random(seed)
    kept = index(log)
    start, n_steps = 1, 0
    log.append(events[:1])
    assert_is_fresh(kept, log, exporting)
    while start < len(events):
        end = start + choose.choice((1, 1, 1, 2, 5, 10))
        log.append(events[start:end])
        start, n_steps = end, n_steps + 1
        assert_is_fresh(kept, log, exporting)
    # None of it was made anew.
    assert len(changes) == n_steps


def test_a_graph_is_right_after_any_history(basics: Any, index: Any, exporting: Any, changes: list[int]) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    choose = random.Random(seed)
    history = History(basics, choose)
    basics.flush()
    kept = index(basics.log)
    assert_is_fresh(kept, basics.log, exporting)
    for _ in range(40):
        for _ in range(choose.choice((1, 1, 3, 8))):
            history.act()
        basics.flush()
        assert_is_fresh(kept, basics.log, exporting)
    assert len(changes) > 20


def test_a_run_that_comes_to_have_too_many_derivations_loses_them(
    basics: Any, index: Any, exporting: Any, changes: list[int]
) -> None:
    for number in range(110):
        basics.save(f"in{number}", None)
    basics.start("run", "clean")
    for number in range(100):
        basics.read("run", f"in{number}")
    for number in range(100):
        basics.save(f"out{number}", "run")
    basics.flush()
    kept = index(basics.log)
    derived = "SELECT (COUNT(*) AS ?n) { ?a prov:qualifiedDerivation ?b }"
    assert kept.ask(derived, timeout_s=60).rows == ((10_000,),)
    for number in range(100, 102):
        basics.read("run", f"in{number}")
        basics.save(f"out{number}", "run")
        basics.flush()
        assert_is_fresh(kept, basics.log, exporting)
        assert kept.ask(derived, timeout_s=60).rows == ((0,),)
    assert len(changes) == 2


def test_every_table_says_whose_its_rows_are() -> None:
    assert {*OWNER, *WITHOUT_OWNER, *ARCHIVES} >= set(schema.TABLES)
    assert all(column in table.names for table, column in OWNER.items())


class History:
    """Random events that a store could have recorded."""

    def __init__(self, recorder: Any, choose: random.Random) -> None:
        self.r = recorder
        self.choose = choose
        self.open: list[str] = ["parent"]
        self.artifacts: list[str] = []
        self.collections: list[str] = []
        self.states: dict[str, str] = {}
        self.links: set[tuple[str, str, str]] = set()
        self.values: dict[tuple[str, str], Any] = {}
        self.registries: dict[str, str] = {}
        self.stems: dict[str, tuple[str, int]] = {}
        self.has_parent = False
        self.n = 0
        r = self.r
        for name in ("good", "fine"):
            r.add(name, LabelDefined(uid=f"L{name:0>7}", name=name), actor="ada")
        for name, dtype in (("note", "str"), ("weight", "float")):
            r.add(name, FeatureDefined(uid=f"F{name:0>11}", name=name, dtype=dtype), actor="ada")
        for name in ("screen", "idle"):
            r.add(name, ProjectCreated(uid=f"P{name:0>12}", name=name), actor="ada")
        environment = EnvironmentRecorded(hash="ef" * 32, python="3", implementation="C", platform="L", packages={})
        r.add("environment", environment)
        r.start("parent", "clean", environment=r.ids["environment"])
        self.save()

    def act(self) -> None:
        self.n += 1
        acts = (
            self.save, self.save, self.read, self.begin, self.end, self.see, self.update, self.dispose, self.verify, self.collect,
            self.link, self.link, self.unlink, self.set, self.remove, self.parent, self.update_others,
        )  # fmt: skip
        self.choose.choice(acts)()

    def a_run(self) -> str | None:
        return self.choose.choice([None, *self.open])

    def actor(self) -> str | None:
        return self.choose.choice(("ada", None))

    def save(self) -> None:
        name, run = f"a{self.n}", self.a_run()
        previous = self.choose.choice([None, *self.artifacts])
        details: dict[str, Any] = {}
        if previous is not None and self.stems[previous][1] == 0 and self.choose.random() < 0.3:
            details = {"number": 1, "stem": self.stems[previous][0], "revises": self.r.ids[previous]}
            self.stems[previous] = (self.stems[previous][0], 1)
        self.stems[name] = (details.get("stem", f"{name:0>16}"), details.get("number", 0))
        self.r.save(name, run, key=name, actor=self.actor(), **details)
        self.artifacts.append(name)
        self.states[name] = "live"

    def read(self) -> None:
        usable = [name for name in self.artifacts if self.states[name] != "deleted"]
        if self.open and usable:
            role = self.choose.choice(("input", "model"))
            self.r.read(self.choose.choice(self.open), self.choose.choice(usable), role=role)

    def begin(self) -> None:
        name = f"r{self.n}"
        initiator = self.choose.choice([None, *self.open])
        environment = self.choose.choice((None, self.r.ids["environment"]))
        details = {"initiated_by": self.r.ids[initiator]} if initiator else {}
        self.r.start(name, "clean", actor=self.actor(), environment=environment, **details)
        self.open.append(name)

    def end(self) -> None:
        if self.open:
            run = self.open.pop(self.choose.randrange(len(self.open)))
            # Also earlier than what it made was recorded, as by a clock that is behind.
            at = self.choose.choice(("2026-11-21T09:00:02.000000Z", "2099-01-01T00:00:00.000000Z"))
            ends = (
                RunFinished(finished_at=at),
                RunFailed(finished_at=at, error_type="ValueError", message="no"),
                RunAborted(finished_at=at, why="SIGINT"),
            )
            self.r.add(run, self.choose.choice(ends), actor="ada")

    def see(self) -> None:
        if self.open:
            run = self.choose.choice(self.open)
            self.r.add(self.choose.choice(self.artifacts), ArtifactSeenAgain(run=self.r.ids[run]), run=run)

    def update(self) -> None:
        changes = {"description": Change(None, f"d{self.n}")}
        if self.collections and self.choose.random() < 0.3:
            self.r.add(self.choose.choice(self.collections), CollectionUpdated(changes=changes))
        else:
            self.r.add(self.choose.choice(self.artifacts), ArtifactUpdated(changes=changes), actor="ada", reason="x")

    def update_others(self) -> None:
        name = {"name": Change(None, f"n{self.n}")}
        facts = (
            ("good", LabelUpdated(changes=name)), ("weight", FeatureUpdated(changes={"unit": Change(None, "kg")})),
            *[("weight", FeatureUpdated(changes={"dtype": Change(None, dtype)})) for dtype in ("float", "num", "int")],
            ("screen", ProjectUpdated(changes=name)), ("ada", UserUpdated(changes=name)),
            ("clean", TransformUpdated(changes={"description": Change(None, f"n{self.n}")})),
            ("storage", StorageUpdated(changes={"description": Change(None, f"n{self.n}")})),
            ("store", ExportMade(
                format="trig", scope="all", up_to_position=1, root="", n_statements=1, sha256="", size_bytes=1
            )),
        )  # fmt: skip
        subject, fact = self.choose.choice(facts)
        self.r.add(subject, fact, actor="ada")
        if self.open and self.choose.random() < 0.5:
            change = {"transform_id": Change(None, self.r.ids["clean"]), **name}
            self.r.add(self.choose.choice(self.open), RunUpdated(changes=change))

    def dispose(self) -> None:
        name = self.choose.choice(self.artifacts)
        state = self.states[name]
        if state == "live":
            self.r.add(name, ArtifactTrashed(), actor=self.actor())
            self.states[name] = "trash"
        elif state == "trash" and self.choose.random() < 0.5:
            self.r.add(name, ArtifactRestored(latest=self.r.ids[name]))
            self.states[name] = "live"
        elif state == "trash":
            gone = ArtifactDeleted(
                storage=self.r.ids["storage"], path="x", hash="ab" * 32, size_bytes=10, content_removed=True
            )
            self.r.add(name, gone, run=self.a_run(), reason="r")
            self.states[name] = "deleted"

    def verify(self) -> None:
        if self.choose.random() < 0.3:
            checked = StorageChecked(
                content_read=True, n_artifacts=6, n_missing=1, n_changed=0, n_unchecked=0, n_orphans=1, orphan_bytes=5,
                bytes_read=50, started_at="2026-11-21T09:06:00.000000Z",
            )  # fmt: skip
            self.r.add("storage", checked, actor=self.actor())
        else:
            self.r.add(self.choose.choice(self.artifacts), ArtifactVerified(outcome="intact"), run=self.a_run())

    def collect(self) -> None:
        name = f"c{self.n}"
        members = self.choose.sample(self.artifacts, min(3, len(self.artifacts)))
        self.r.collect(name, members, self.a_run(), key=name)
        self.collections.append(name)

    def subject(self) -> tuple[str, str]:
        kinds = {"Artifact": self.artifacts, "Run": self.open, "Collection": self.collections}
        registry = self.choose.choice([kind for kind, names in kinds.items() if names])
        return self.choose.choice(kinds[registry]), registry

    def link(self) -> None:
        (name, registry), to = self.subject(), self.choose.choice(("good", "fine", "screen", "idle"))
        if (name, registry, to) in self.links:
            return
        self.links.add((name, registry, to))
        if to in ("good", "fine"):
            self.r.label(name, to, registry, actor=self.actor(), run=self.a_run())
        else:
            self.r.add(name, ProjectAssigned(project=self.r.ids[to], subject=registry), actor="ada")

    def unlink(self) -> None:
        if self.links:
            name, registry, to = self.choose.choice(sorted(self.links))
            self.links.remove((name, registry, to))
            fact = (
                LabelDetached(label=self.r.ids[to], registry="ULabel", subject=registry)
                if to in ("good", "fine")
                else ProjectUnassigned(project=self.r.ids[to], subject=registry)
            )
            self.r.add(name, fact, actor=self.actor(), reason="r")

    def set(self) -> None:
        (name, registry), feature = self.subject(), self.choose.choice(("note", "weight"))
        value = "x" if feature == "note" else self.n
        self.r.value(name, registry, {feature: value}, old=self.values.get((name, feature)), run=self.a_run())
        self.values[name, feature] = value
        self.registries[name] = registry

    def remove(self) -> None:
        if self.values:
            name, feature = self.choose.choice(sorted(self.values))
            change = {self.r.ids[feature]: Change(self.values.pop((name, feature)), None)}
            self.r.add(name, FeatureValuesRemoved(values=change, subject=self.registries[name]))

    def parent(self) -> None:
        fact = ParentRemoved if self.has_parent else ParentAdded
        self.has_parent = not self.has_parent
        self.r.add("fine", fact(parent=self.r.ids["good"], registry="ULabel"), actor="ada")
