"""A store with everything an export must say: runs that ended in every way, versions, several users, hostile text."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.annotation import (
    FeatureDefined,
    FeatureUpdated,
    FeatureValuesRemoved,
    FeatureValuesSet,
    LabelAttached,
    LabelDefined,
    LabelDetached,
    LabelUpdated,
    ParentAdded,
    ParentRemoved,
    ProjectAssigned,
    ProjectCreated,
    ProjectUnassigned,
    ProjectUpdated,
    RecordDefined,
    RecordUpdated,
)
from lineagelog.domain.artifact import (
    ArtifactRegistered,
    ArtifactSeenAgain,
    ArtifactTrusted,
    ArtifactUpdated,
    ArtifactVerified,
)
from lineagelog.domain.collection import CollectionRegistered, CollectionUpdated
from lineagelog.domain.disposal import ArtifactDeleted, ArtifactRestored, ArtifactTrashed
from lineagelog.domain.event import Change, Event, NewEvent
from lineagelog.domain.ids import Id, new_id, versioned_uid
from lineagelog.domain.policy import AttemptRefused, PolicyChanged
from lineagelog.domain.run import (
    EnvironmentRecorded,
    GitState,
    InputAccessed,
    RunAborted,
    RunFailed,
    RunFinished,
    RunStarted,
)
from lineagelog.domain.storage import (
    RemovedObject,
    StorageChecked,
    StorageCollected,
    StorageMadeDefault,
    StorageRegistered,
)
from lineagelog.domain.store import StoreCreated
from lineagelog.domain.transform import TransformRegistered
from lineagelog.domain.user import LoginFailed, UserLoggedIn, UserLoggedOut, UserRegistered
from lineagelog.exporters.document import to_prov
from lineagelog.exporters.export import ExportSummary, export
from lineagelog.exporters.mapping.stream import open_export
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.statement import Statement
from lineagelog.exporters.vocabulary import DEFAULT_BASE

STORE_UID = "Store0000001"
HOSTILE = 'He said "no"\n\\u0041 \\ é 数 🧪 \t%> <http://evil/> . } endBundle \x07\x7f\u2028\r\n\'\'\' """ ${x} -- {{}}'


@dataclass
class Recorder:
    """Appends events in order, and keeps the ids of what they made by the names the tests use."""

    log: EventLog
    ids: dict[str, Id] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    pending: list[NewEvent] = field(default_factory=list)

    def add(
        self, name: str, fact: Event, *, actor: str | None = None, run: str | None = None, reason: str | None = None
    ) -> Id:
        stream = self.ids.setdefault(name, new_id())
        self.versions[name] = version = self.versions.get(name, 0) + 1
        self.pending.append(
            NewEvent(
                stream=stream,
                version=version,
                fact=fact,
                actor=self.ids[actor] if actor else None,
                run=self.ids[run] if run else None,
                reason=reason,
            )
        )
        return stream

    def flush(self) -> None:
        self.log.append(self.pending)
        self.pending = []

    def start(self, run: str, transform: str, *, actor: str | None = "ada", **details: Any) -> None:
        fact = RunStarted(
            uid=f"Run{run:0>13}", transform=self.ids[transform], started_at="2026-11-21T09:00:00.000000Z", **details
        )
        self.add(run, fact, actor=actor)

    def read(self, run: str, artifact: str, *, actor: str | None = "ada", role: str = "input") -> None:
        at = "2026-11-21T09:00:01.000000Z"
        self.add(run, InputAccessed(artifact=self.ids[artifact], how="load", accessed_at=at, role=role), actor=actor)

    def save(self, name: str, run: str | None, *, number: int = 0, actor: str | None = "ada", **details: Any) -> None:
        stem = details.pop("stem", f"{name:0>16}")
        fact = ArtifactRegistered(
            uid=versioned_uid(stem, number),
            version_number=number,
            storage=self.ids["storage"],
            path=f".lineagelog/{name}",
            size_bytes=details.pop("size_bytes", 10),
            hash=details.pop("hash", "ab" * 32),
            run=self.ids[run] if run else None,
            **details,
        )
        self.add(name, fact, actor=actor, run=run)

    def collect(self, name: str, members: list[str], run: str | None, *, number: int = 0, **details: Any) -> None:
        fact = CollectionRegistered(
            uid=versioned_uid(details.pop("stem", f"{name:0>16}"), number),
            version_number=number,
            key=details.pop("key", name),
            artifacts=[self.ids[member] for member in members],
            hash=f"{number:064x}",
            run=self.ids[run] if run else None,
            **details,
        )
        self.add(name, fact, actor="ada", run=run)

    def label(self, name: str, subject: str, registry: str, *, of: str = "ULabel", **envelope: Any) -> None:
        self.add(name, LabelAttached(label=self.ids[subject], registry=of, subject=registry), **envelope)

    def value(self, name: str, registry: str, values: dict[str, Any], *, old: Any = None, **envelope: Any) -> None:
        changes = {self.ids[feature]: Change(old, value) for feature, value in values.items()}
        self.add(name, FeatureValuesSet(values=changes, subject=registry), **envelope)


def record_basics(log: EventLog) -> Recorder:
    """A store with one user, one storage location, one transform."""
    recorder = Recorder(log)
    recorder.add("store", StoreCreated(uid=STORE_UID, name=f"study {HOSTILE}"))
    recorder.add("ada", UserRegistered(uid="Ada00001", handle="ada", name="Ada Lovelace", email="ada@example.org"))
    recorder.add("storage", StorageRegistered(uid="Stor00000001", root="/data/é <x>", type="local"), actor="ada")
    recorder.add(
        "clean",
        TransformRegistered(
            uid="Clean0000000" + "0000",
            version_number=0,
            key="clean.py",
            type="script",
            hash="cd" * 32,
            source_code="1",
        ),
        actor="ada",
    )
    return recorder


def record_rich(log: EventLog) -> Recorder:
    """A store in which every kind of event happens."""
    r = record_basics(log)
    r.add("store", StorageMadeDefault(storage=r.ids["storage"]), actor="ada")
    r.add("store", LoginFailed(handle="mallory", why="no such user"))
    r.add("store", PolicyChanged(changes={"require_reason": Change(old=False, new=True)}))
    r.add(
        "store", AttemptRefused(attempt="artifact.updated.1", why="no reason was given", registry="Artifact", uid="x")
    )
    r.add("bob", UserRegistered(uid="Bob00001", handle="bob"))
    session = new_id()
    r.add("bob", UserLoggedIn(session=session), actor="bob")
    r.add(
        "environment",
        EnvironmentRecorded(
            hash="ef" * 32,
            python="3.11.9",
            implementation="CPython",
            platform="Linux x86_64",
            packages={"numpy": "2.0"},
            hardware={"cpu": "Some Processor", "n_cpus": 8},
            conda="study",
            conda_packages={"libblas": "3.9"},
        ),
    )
    r.add(
        "clean2",
        TransformRegistered(
            uid="Clean0000000" + "0001",
            version_number=1,
            key="clean.py",
            type="script",
            description=HOSTILE,
            source_redacted=True,
            reference="https://example.org/clean",
            reference_type="url",
            revises=r.ids["clean"],
        ),
        actor="bob",
    )
    r.save("raw", None, key="raw/é data.csv", suffix=".csv", description=HOSTILE, kind="dataset", size_bytes=3 * 10**9)
    r.save("folder", None, key="folder", hash_type="sha256-folder", n_files=3, actor=None)
    git = GitState(commit="0" * 40, dirty=True, remote="https://example.org/r.git", branch="main", path="clean.py")
    r.start(
        "parent",
        "clean",
        environment=r.ids["environment"],
        git=git,
        name=HOSTILE,
        params={"alpha": 0.5, "text": HOSTILE, "token": "[redacted]"},
        redacted=["token"],
        command=["python", "clean.py", HOSTILE],
    )
    r.start("child", "clean2", actor="bob", initiated_by=r.ids["parent"])
    r.start("nobody", "clean2", actor=None)
    r.start("open", "clean", environment=r.ids["environment"], container="c0" * 32, actor=None)
    r.read("parent", "raw")
    r.read("parent", "folder", role="training set: é")
    r.save(
        "table",
        "parent",
        key="table.parquet",
        suffix=".parquet",
        otype="DataFrame",
        n_observations=150,
        n_variables=1,
        table_schema={HOSTILE: "double"},
    )
    r.read("parent", "table")
    r.save(
        "table2",
        "parent",
        number=1,
        stem=f"{'table':0>16}",
        key="table.parquet",
        revises=r.ids["table"],
        hash="12" * 32,
    )
    r.read("child", "table2", actor="bob")
    r.save("figure", "child", key="figure.png", suffix=".png", kind="plot", actor="bob")
    r.add("table", ArtifactSeenAgain(run=r.ids["child"]), actor="bob", run="child")
    r.add("raw", ArtifactTrusted(format="pickle", how="load"), actor="bob", run="child")
    r.add("raw", ArtifactSeenAgain(run=r.ids["child"]), actor="bob", run="child")
    r.flush()
    r.add("figure", ArtifactUpdated(changes={"description": Change(None, "a figure")}), actor="bob")
    r.save("other", "open", key="other.txt")
    finished = RunFinished(
        finished_at="2026-11-21T09:05:00.123456Z",
        is_consecutive=False,
        stale_cells=[2],
        unrun_cells=[4, 5],
        imports={"numpy": "2.0"},
    )
    r.add("parent", finished, actor="ada")
    failed = RunFailed(
        finished_at="2026-11-21T09:05:00.000000Z",
        error_type="ValueError",
        message=HOSTILE,
        traceback="Traceback /home/me",
    )
    r.add("child", failed, actor="bob")
    r.add("nobody", RunAborted(finished_at="2026-11-21T09:05:01.000000Z", why="SIGINT"))
    r.add("bob", UserLoggedOut(session=session), actor="bob")
    define_vocabulary(r)
    annotate(r)
    check_content(r)
    dispose(r)
    r.flush()
    return r


def dispose(r: Recorder) -> None:
    """Put one artifact into the trash, take another one out of it, and delete two for good, one of them in a run."""
    r.add("folder", ArtifactTrashed(), actor="ada", reason="old")
    r.add("figure", ArtifactTrashed(), actor="ada")
    r.add("figure", ArtifactRestored(latest=r.ids["figure"]), actor="bob")
    for name, removed, envelope in (
        ("other", False, {"run": "open", "actor": "bob", "reason": HOSTILE}),
        ("table", True, {}),
    ):
        gone = ArtifactDeleted(
            storage=r.ids["storage"], path=f".lineagelog/{name}", hash="ab" * 32, size_bytes=10, content_removed=removed,
            latest=r.ids["table2"] if name == "table" else None,
        )  # fmt: skip
        r.add(name, gone, **envelope)


def check_content(r: Recorder) -> None:
    """Find one artifact changed, by a person and in a run, and whole again; check the location, and collect what is left."""
    r.add("table", ArtifactVerified(outcome="changed", found_hash="0" * 64, found_size_bytes=11), actor="bob")
    r.add("table", ArtifactVerified(outcome="intact"), actor="ada", run="open")
    r.add("figure", ArtifactVerified(outcome="missing"))
    checked = StorageChecked(
        content_read=True, n_artifacts=6, n_missing=1, n_changed=0, n_unchecked=0, n_orphans=1, orphan_bytes=5, bytes_read=50,
        started_at="2026-11-21T09:06:00.000000Z",
    )  # fmt: skip
    r.add("storage", checked, actor="bob")
    r.add("storage", StorageCollected(objects=[RemovedObject(".lineagelog/objects/x", 5)], older_than_s=86_400.0))


FEATURES = {
    "weight": "float", "count": "int", "note": "str", "valid": "bool", "day": "date", "moment": "datetime",
    "layout": "dict", "phase": "cat", "quality": "cat[ULabel]", "sample": "cat[Record]",
}  # fmt: skip


def define_vocabulary(r: Recorder) -> None:
    """Define labels and records with types and parents, a feature of each type, and projects."""
    r.add("grade", LabelDefined(uid="Lgrade01", name="Grade", is_type=True), actor="ada")
    good = LabelDefined(uid="Lgood001", name=HOSTILE, type=r.ids["grade"], reference="x", description="d")
    r.add("good", good, actor="ada")
    r.add("good", LabelUpdated(changes={"name": Change(HOSTILE, f"good {HOSTILE}")}), actor="bob")
    r.add("fine", LabelDefined(uid="Lfine001", name="fine", type=r.ids["grade"]), actor="bob")
    r.add("unused", LabelDefined(uid="Lunused1", name="unused"), actor="bob")
    r.add("fine", ParentAdded(parent=r.ids["good"], registry="ULabel"), actor="bob")
    r.add("fine", ParentAdded(parent=r.ids["unused"], registry="ULabel"), actor="bob")
    r.add("fine", ParentRemoved(parent=r.ids["unused"], registry="ULabel"), actor="bob")
    r.add("Sample", RecordDefined(uid="Rsample000000000", name="Sample", is_type=True), actor="ada")
    r.add("p53", RecordDefined(uid="Rp53000000000000", name="P53", type=r.ids["Sample"]), actor="ada")
    r.add("p53", RecordUpdated(changes={"description": Change(None, HOSTILE)}), actor="ada")
    for name, dtype in FEATURES.items():
        r.add(name, FeatureDefined(uid=f"F{name:0>11}", name=name, dtype=dtype, synonyms=["w", "é"]), actor="ada")
    r.add("weight", FeatureUpdated(changes={"unit": Change(None, "kg")}), actor="ada")
    r.add("screen", ProjectCreated(uid="Pscreen00000", name="Screen", description=HOSTILE), actor="bob")
    r.add("screen", ProjectUpdated(changes={"url": Change(None, "https://example.org/screen")}), actor="bob")
    r.add("idle", ProjectCreated(uid="Pidle0000000", name="Idle"), actor="bob")


def annotate(r: Recorder) -> None:
    """Put annotations on artifacts, runs and collections, in runs and outside, and take some back."""
    r.collect("first", ["table", "raw"], None, key="set", description=HOSTILE)
    stem = f"{'first':0>16}"
    r.collect("second", ["figure", "table", "raw"], "parent", number=1, stem=stem, key="set", revises=r.ids["first"])
    r.add("second", CollectionUpdated(changes={"description": Change(None, "all")}), actor="ada")
    r.label("table", "fine", "Artifact", actor="bob", run="parent")
    r.label("table", "p53", "Artifact", of="Record", actor="bob", run="child")
    r.label("figure", "p53", "Artifact", of="Record")
    r.label("parent", "good", "Run", actor="ada")
    r.label("second", "unused", "Collection", actor="ada")
    r.label("raw", "good", "Artifact", actor="ada")
    detached = LabelDetached(label=r.ids["good"], registry="ULabel", subject="Artifact")
    r.add("raw", detached, actor="bob", run="open", reason=HOSTILE)
    # A label that comes back is another annotation, and each was taken off by an event of its own.
    r.label("raw", "good", "Artifact", actor="ada")
    r.add("raw", detached, actor="ada")
    for subject, registry in (("table", "Artifact"), ("parent", "Run"), ("second", "Collection"), ("raw", "Artifact")):
        r.add(subject, ProjectAssigned(project=r.ids["screen"], subject=registry), actor="ada")
    r.add("raw", ProjectUnassigned(project=r.ids["screen"], subject="Artifact"), actor="ada")
    values: dict[str, Any] = {
        "weight": 2, "count": 3, "note": HOSTILE, "valid": True, "day": "2026-11-21", "moment": "2026-11-21T08:00:00.000000Z",
        "layout": {"b": [1, HOSTILE]}, "phase": "late", "quality": r.ids["good"], "sample": r.ids["p53"],
    }  # fmt: skip
    r.value("table", "Artifact", values, actor="bob", run="parent")
    r.value("table", "Artifact", {"count": 4}, old=3, actor="ada", reason="counted again")
    r.value("child", "Run", {"weight": 0.5, "note": "x"})
    removed = {r.ids["note"]: Change("x", None)}
    r.add("child", FeatureValuesRemoved(values=removed, subject="Run"), actor="ada")
    r.value("first", "Collection", {"valid": False}, actor="ada")


def record_many(log: EventLog, n: int) -> None:
    """A chain of runs of which each reads two artifacts, and saves, annotates and collects ten; `n` artifacts in all."""
    r = record_basics(log)
    r.add("bob", UserRegistered(uid="Bob00001", handle="bob"))
    define_vocabulary(r)
    for number in range(n // 10):
        run = f"run{number}"
        r.start(run, "clean")
        for back in (1, 2):
            if number >= back:
                r.read(run, f"artifact{number * 10 - back}")
        for output in range(10):
            name = f"artifact{number * 10 + output}"
            r.save(name, run, key=f"data/{name}.csv", suffix=".csv", hash=f"{number * 10 + output:064x}")
            r.label(name, "good", "Artifact", actor="ada", run=run)
            r.value(name, "Artifact", {"weight": 0.5, "note": name}, actor="ada", run=run)
        r.collect(f"collection{number}", [f"artifact{number * 10 + output}" for output in range(10)], run)
        r.add(run, ProjectAssigned(project=r.ids["screen"], subject="Run"), actor="ada")
        r.add(run, RunFinished(finished_at="2026-11-21T09:05:00.123456Z"), actor="ada")
        if len(r.pending) > 10_000:
            r.flush()
    r.flush()


@pytest.fixture
def rich(log: EventLog) -> EventLog:
    """A store in which every kind of event happened, on each database."""
    return record_rich(log).log


@pytest.fixture
def memory() -> Iterator[Recorder]:
    """The same in memory, for tests that do not depend on the database."""
    log = EventLog.connect(None, create=True)
    yield record_rich(log)
    log.close()


@pytest.fixture
def basics() -> Iterator[Recorder]:
    """A store in memory with one user, one storage location and one transform."""
    log = EventLog.connect(None, create=True)
    yield record_basics(log)
    log.close()


@pytest.fixture
def many() -> Callable[[EventLog, int], None]:
    """Record a chain of runs with so many artifacts."""
    return record_many


@pytest.fixture
def hostile() -> str:
    """A text with something that each format must escape."""
    return HOSTILE


class Exporting:
    """Exports of a log as it is now."""

    def __call__(self, log: EventLog, fmt: str, scope: Scope = ALL) -> bytes:
        return self.with_summary(log, fmt, scope)[0]

    def with_summary(self, log: EventLog, fmt: str, scope: Scope = ALL) -> tuple[bytes, ExportSummary]:
        head, out = log.head(), io.BytesIO()
        with log.database.snapshot() as reader:
            summary = export(reader, out, format=fmt, scope=scope, head_position=head.position, head_root=head.root)
        return out.getvalue(), summary

    def document(self, log: EventLog, scope: Scope = ALL) -> Any:
        head = log.head()
        with log.database.snapshot() as reader:
            return to_prov(reader, scope=scope, head_position=head.position, head_root=head.root)

    def statements(self, log: EventLog, scope: Scope = ALL) -> list[Statement]:
        head = log.head()
        with log.database.snapshot() as reader:
            opened = open_export(
                reader,
                scope=scope,
                head_position=head.position,
                head_root=head.root,
                software="test 1",
                base=DEFAULT_BASE,
            )
            return list(opened.statements)


@pytest.fixture
def exporting() -> Exporting:
    """Make exports in any format, as a document of the `prov` library, or as statements."""
    return Exporting()
