"""A history that holds every kind of event, and the check that a log is whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from lineagelog.adapters.log.event_log import EventLog, read_table
from lineagelog.adapters.log.schema import EVENTS, HEAD
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
from lineagelog.domain.event import Change, Context, Event, NewEvent, UnknownEvent
from lineagelog.domain.ids import Id, new_id, versioned_uid
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.policy import AttemptRefused, PolicyChanged
from lineagelog.domain.run import (
    EnvironmentRecorded,
    GitState,
    InputAccessed,
    RunAborted,
    RunFailed,
    RunFinished,
    RunStarted,
    RunUpdated,
)
from lineagelog.domain.storage import (
    RemovedObject,
    StorageChecked,
    StorageCollected,
    StorageMadeDefault,
    StorageRegistered,
    StorageUpdated,
)
from lineagelog.domain.store import CheckpointSealed, ExportMade, KeyRegistered, StoreCreated
from lineagelog.domain.transform import TransformRegistered, TransformUpdated
from lineagelog.domain.user import LoginFailed, UserLoggedIn, UserLoggedOut, UserRegistered, UserUpdated
from lineagelog.projections import schema

TIME = "2026-11-21T03:22:44.540332Z"
PROCESSES = Path(__file__).parent / "processes.py"
Tables: TypeAlias = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def run_processes() -> Callable[..., list[str]]:
    """Run `processes.py`, and return the lines it printed."""
    import subprocess

    def run(*arguments: object) -> list[str]:
        done = subprocess.run(
            [sys.executable, str(PROCESSES), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture
def tables() -> Callable[[EventLog], Tables]:
    """All rows of all projection tables, in their order."""

    def read(log: EventLog) -> Tables:
        with log.database.snapshot() as snapshot:
            return {table.name: list(read_table(snapshot, table)) for table in schema.TABLES}

    return read


@pytest.fixture
def assert_whole(tables: Callable[[EventLog], Tables]) -> Callable[[EventLog], None]:
    """Check that positions have no gap, the head follows from the events, and the tables do as well."""

    def check(log: EventLog) -> None:
        frontier = Frontier()
        rows = log.database.read(f"SELECT {', '.join(EVENTS.names)} FROM events ORDER BY position")
        for expected, row in enumerate(rows, start=1):
            assert row[0] == expected, "positions have a gap"
            leaf = leaf_hash(encode_entry(row[:-1]))
            assert leaf.hex() == row[-1]
            frontier.extend([leaf])
        ((position, peaks, root),) = log.database.read(f"SELECT position, frontier, root FROM {HEAD.name}")
        assert (position, peaks, root) == (len(rows), frontier.to_bytes().hex(), frontier.root().hex())
        assert len({(row[2], row[3]) for row in rows}) == len(rows), "a version of a stream was given out twice"
        live = tables(log)
        assert log.rebuild() == len(rows)
        assert tables(log) == live

    return check


@pytest.fixture
def registered() -> Callable[..., NewEvent]:
    """Make the event of a new user; handles are unique unless given."""

    def make(handle: str | None = None, **envelope: Any) -> NewEvent:
        stream = new_id()
        fact = UserRegistered(uid=stream[-12:], handle=handle or f"user-{stream}")
        return NewEvent(**{"stream": stream, "version": 1, "fact": fact} | envelope)

    return make


class _Story:
    """Collects events, counting the versions of each stream."""

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self._versions: dict[Id, int] = {}
        self.envelope: dict[str, Any] = {}

    def add(self, stream: Id, fact: Event) -> Id:
        self._versions[stream] = self._versions.get(stream, 0) + 1
        self.events.append(NewEvent(stream=stream, version=self._versions[stream], fact=fact, **self.envelope))
        return stream


@pytest.fixture
def history() -> list[NewEvent]:
    """A history that holds every kind of event, and the cases that matter to the tables."""
    story = _Story()
    user, store, other = new_id(), new_id(), new_id()
    session = new_id()
    context = msgspec.json.encode(Context(session=session, host="lab-1", os_user="mara", software="test 1")).decode()
    story.add(user, UserRegistered(uid="00000001", handle="mara", name="Mara", email="mara@example.org"))
    story.envelope = {"actor": user, "context": context}
    story.add(store, StoreCreated(uid="S" * 12, name="mydata", modules=["bio"]))
    story.add(user, UserLoggedIn(session=session))
    story.add(user, UserUpdated(changes={"name": Change("Mara", "Mara Ölmez"), "mood": Change(None, "good")}))
    story.add(other, UserRegistered(uid="00000002", handle="ben"))
    story.add(store, LoginFailed(handle="nobody", why="no such user"))
    storage = story.add(new_id(), StorageRegistered(uid="L" * 12, root="/data", type="local"))
    story.add(storage, StorageUpdated(changes={"description": Change(None, "disk")}))
    story.add(store, StorageMadeDefault(storage=storage))
    code = story.add(
        new_id(),
        TransformRegistered(uid="T" * 12 + "0000", version_number=0, key="train.py", type="script", hash="1" * 64),
    )
    newer = story.add(
        new_id(),
        TransformRegistered(
            uid="T" * 12 + "0001",
            version_number=1,
            key="train.py",
            type="script",
            source_code="print('é')\n",
            revises=code,
        ),
    )
    story.add(
        newer, TransformUpdated(changes={"description": Change(None, "second"), "key": Change("train.py", "fit.py")})
    )
    environment = story.add(
        new_id(),
        EnvironmentRecorded(
            hash="e" * 64,
            python="3.11",
            implementation="CPython",
            platform="Linux",
            packages={"b": "2", "a": "1"},
            hardware={"n_cpus": 2},
            conda="base",
            conda_packages={"libblas": "3.9"},
        ),
    )
    runs = [new_id() for _ in range(4)]
    for number, run in enumerate(runs):
        story.envelope = {"actor": user, "context": context, "run": run, "reason": f"try {number}"}
        story.add(
            run,
            RunStarted(
                uid=f"R{number}" * 8, transform=newer, started_at=TIME, name="fit" if number else None,
                params={"z": 1, "a": [0.1, None, {"ü": True}]} if number else {}, redacted=["a.b"] if number else [],
                initiated_by=runs[0] if number else None, environment=environment,
                git=GitState(commit="c" * 40, dirty=True, remote="https://example.org/r") if number else None,
                command=["python", "fit.py"],
            ),
        )  # fmt: skip
    story.envelope = {"actor": user, "context": context, "run": runs[1]}
    previous = None
    versions = []
    for number in range(3):
        previous = story.add(
            new_id(),
            ArtifactRegistered(
                uid=versioned_uid("A" * 16, number), version_number=number, storage=storage, path=f"p/{number}", size_bytes=2**40,
                hash=f"{number}" * 64, key="data/iris.parquet", run=runs[1] if number else None, transform=newer, revises=previous,
                n_observations=150, n_variables=2,
                table_schema={"z": "double", "ä": "string"} if number else None,
                kind="dataset", suffix=".parquet", key_is_virtual=bool(number),
            ),
        )  # fmt: skip
        versions.append(previous)
    story.add(
        new_id(),
        ArtifactRegistered(
            uid=versioned_uid("B" * 16, 0), version_number=0, storage=storage, path="q", size_bytes=0, hash="f" * 64,
            hash_type="sha256-folder", n_files=3,
        ),
    )  # fmt: skip
    story.add(versions[1], ArtifactSeenAgain(run=runs[2], transform=newer))
    story.add(versions[1], ArtifactSeenAgain(run=runs[2], transform=newer, description="third time, same edge"))
    story.add(versions[1], ArtifactSeenAgain())
    story.add(versions[1], ArtifactTrusted(format="pickle", how="load"))
    story.add(
        versions[2],
        ArtifactUpdated(changes={"description": Change(None, "x"), "key": Change("data/iris.parquet", "iris")}),
    )
    for outcome in ("missing", "changed", "intact"):
        found = "9" * 64 if outcome == "changed" else None
        story.add(versions[1], ArtifactVerified(outcome=outcome, found_hash=found, found_size_bytes=found and 7))
    for read in (True, False):
        story.add(
            storage,
            StorageChecked(
                content_read=read, n_artifacts=4, n_missing=1, n_changed=1, n_unchecked=0, n_orphans=2, orphan_bytes=2**40,
                bytes_read=9 if read else 0, started_at=TIME,
            ),
        )  # fmt: skip
    orphans = [RemovedObject(f".lineagelog/objects/S/{number}", number) for number in range(2)]
    story.add(storage, StorageCollected(objects=orphans, older_than_s=86_400.0))
    story.add(runs[2], InputAccessed(artifact=versions[2], how="load", accessed_at=TIME))
    story.add(runs[2], InputAccessed(artifact=versions[2], how="cache", accessed_at=TIME))
    story.add(runs[2], InputAccessed(artifact=versions[2], how="load", accessed_at=TIME, role="reference"))
    _dispose(story, versions, storage)
    story.add(runs[2], RunUpdated(changes={"name": Change("fit", "renamed"), "params": Change({}, {"b": 2})}))
    _annotate(story, versions[2], runs[2], versions)
    story.add(runs[0], RunUpdated(changes={"transform_id": Change(newer, code)}))
    cells = {"is_consecutive": False, "stale_cells": [2], "unrun_cells": [4], "imports": {"pandas": "2.2.3"}}
    story.add(runs[0], RunFinished(finished_at=TIME, **cells))
    story.add(runs[1], RunFailed(finished_at=TIME, error_type="ValueError", message="bad", traceback="…"))
    story.add(runs[2], RunAborted(finished_at=TIME, why="SIGINT"))
    story.add(store, ExportMade(format="prov-json", scope="all", up_to_position=9, root="0" * 64, n_statements=3))
    story.add(store, KeyRegistered(verifier_key="lineagelog/S+12345678+AQ=="))
    story.add(store, CheckpointSealed(up_to_position=9, root="0" * 64, key="12345678"))
    story.add(store, KeyRegistered(verifier_key="lineagelog/S+87654321+AQ==", replaces="12345678"))
    story.add(new_id(), UnknownEvent(unknown_topic="moon.landed.1", payload='{ "crew": 2 }'))
    story.add(user, UserLoggedOut(session=session))
    story.add(store, PolicyChanged(changes={"require_reason": Change(old=False, new=True)}))
    story.add(
        store, AttemptRefused(attempt="artifact.updated.1", why="no reason was given", registry="Artifact", uid="x")
    )
    return story.events


def _dispose(story: _Story, versions: list[Id], storage: Id) -> None:
    """Put versions into the trash and take them out, and delete one of them."""
    story.add(versions[2], ArtifactTrashed(latest=versions[1]))
    story.add(versions[1], ArtifactTrashed(latest=versions[0]))
    story.add(versions[2], ArtifactRestored(latest=versions[2], superseded=versions[0]))
    story.add(versions[1], ArtifactRestored(latest=versions[2]))
    story.add(
        versions[0],
        ArtifactDeleted(
            storage=storage, path="p/0", hash="0" * 64, size_bytes=2**40, content_removed=True, latest=versions[2]
        ),
    )


def _annotate(story: _Story, artifact: Id, run: Id, versions: list[Id]) -> None:
    """Add every kind of annotation, and take some of them back."""
    kind = story.add(new_id(), LabelDefined(uid="L" * 8, name="Study", is_type=True))
    label = story.add(new_id(), LabelDefined(uid="M" * 8, name="Candidate", type=kind, reference="x"))
    story.add(label, LabelUpdated(changes={"name": Change("Candidate", "Candidate marker")}))
    sample = story.add(new_id(), RecordDefined(uid="S" * 16, name="Sample", is_type=True))
    record = story.add(new_id(), RecordDefined(uid="T" * 16, name="P53", type=sample))
    story.add(record, RecordUpdated(changes={"description": Change(None, "mutant")}))
    features = [
        story.add(new_id(), FeatureDefined(uid=f"F{number}" * 6, name=f"f{number}", dtype=dtype, synonyms=["g"]))
        for number, dtype in enumerate(("float", "str", "dict", "bool"))
    ]
    story.add(features[0], FeatureUpdated(changes={"unit": Change(None, "kg"), "synonyms": Change(["g"], ["g", "h"])}))
    project = story.add(new_id(), ProjectCreated(uid="P" * 12, name="Screen"))
    story.add(project, ProjectUpdated(changes={"url": Change(None, "https://example.org")}))
    first = story.add(
        new_id(),
        CollectionRegistered(
            uid=versioned_uid("C" * 16, 0), version_number=0, key="all", artifacts=versions[:2], hash="a" * 64
        ),
    )
    collection = story.add(
        new_id(),
        CollectionRegistered(
            uid=versioned_uid("C" * 16, 1), version_number=1, key="all", artifacts=versions[::-1], hash="b" * 64, run=run,
            revises=first,
        ),
    )  # fmt: skip
    story.add(collection, CollectionUpdated(changes={"description": Change(None, "x")}))
    for subject, registry in ((artifact, "Artifact"), (run, "Run"), (collection, "Collection")):
        story.add(subject, LabelAttached(label=label, registry="ULabel", subject=registry))
        story.add(subject, LabelAttached(label=record, registry="Record", subject=registry))
        story.add(subject, LabelDetached(label=label, registry="ULabel", subject=registry))
        story.add(subject, LabelAttached(label=label, registry="ULabel", subject=registry))
        story.add(subject, ProjectAssigned(project=project, subject=registry))
        values: list[Any] = [0.5, "x", {"a": [1]}, True]
        story.add(
            subject,
            FeatureValuesSet(
                values={f: Change(None, v) for f, v in zip(features, values, strict=True)}, subject=registry
            ),
        )
        story.add(subject, FeatureValuesSet(values={features[0]: Change(0.5, 2)}, subject=registry))
        story.add(subject, FeatureValuesRemoved(values={features[1]: Change("x", None)}, subject=registry))
    story.add(artifact, ProjectUnassigned(project=project, subject="Artifact"))
    for child, parent, registry in ((record, sample, "Record"), (label, kind, "ULabel")):
        story.add(child, ParentAdded(parent=parent, registry=registry))
    story.add(label, ParentRemoved(parent=kind, registry="ULabel"))


@pytest.fixture
def reopened(database_address: Path | str, log: EventLog) -> Iterator[EventLog]:
    """A second process's view of `log`."""
    again = EventLog.connect(database_address)
    yield again
    again.close()
