from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.artifact import ArtifactRegistered, ArtifactSeenAgain, ArtifactUpdated
from lineagelog.domain.event import TOPICS, Change, Event, NewEvent, RecordedEvent, UnknownEvent, decode
from lineagelog.domain.ids import Id, new_id
from lineagelog.domain.run import InputAccessed, RunAborted, RunFailed, RunFinished, RunStarted
from lineagelog.domain.transform import TransformRegistered
from lineagelog.domain.user import UserLoggedIn, UserLoggedOut, UserRegistered, UserUpdated
from lineagelog.projections import projector, schema
from lineagelog.projections.projector import HANDLERS, WITHOUT_ROWS, inserted_row, project
from lineagelog.projections.table import Table

SAMPLES = Path(__file__).parent.parent / "domain" / "samples"
TIME = "2026-11-21T03:22:44.540332Z"
ACTOR = new_id()


class Story:
    """A log in memory that is told in short sentences."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.versions: dict[Id, int] = {}

    def add(self, fact: Event, stream: Id | None = None) -> RecordedEvent:
        stream = stream or new_id()
        self.versions[stream] = self.versions.get(stream, 0) + 1
        (recorded,) = self.log.append([NewEvent(stream=stream, version=self.versions[stream], fact=fact, actor=ACTOR)])
        return recorded

    def row(self, table: Table, record: RecordedEvent) -> dict[str, Any]:
        (row,) = self.log.database.read(
            f"SELECT {', '.join(table.names)} FROM {table.name} WHERE id = ?", (record.stream,)
        )
        return dict(zip(table.names, row, strict=True))

    def edges(self) -> list[tuple[Any, ...]]:
        return self.log.database.read("SELECT run_id, artifact_id, kind, role FROM edges ORDER BY position")


@pytest.fixture
def story() -> Iterator[Story]:
    log = EventLog.connect(None, create=True)
    yield Story(log)
    log.close()


def artifact(number: int = 0, **fields: Any) -> ArtifactRegistered:
    return ArtifactRegistered(
        **{
            "uid": f"{'A' * 16}000{number}",
            "version_number": number,
            "storage": "s",
            "path": "p",
            "size_bytes": 1,
            "hash": "h",
        }
        | fields
    )


def run(**fields: Any) -> RunStarted:
    return RunStarted(**{"uid": "r" * 16, "transform": "t", "started_at": TIME} | fields)


def test_every_kind_of_event_is_projected_or_listed_as_standing_in_the_log_alone() -> None:
    kinds = {*TOPICS.values(), UnknownEvent}
    assert HANDLERS.keys() | WITHOUT_ROWS == kinds
    assert not HANDLERS.keys() & WITHOUT_ROWS


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_projecting_is_a_pure_function(topic: str) -> None:
    event = RecordedEvent(
        position=7, event_id=new_id(), stream=new_id(), version=3, recorded_at=TIME,
        fact=decode(topic, (SAMPLES / f"{topic}.json").read_text()), actor=ACTOR, run=None, reason=None, context='{"host":"lab"}',
    )  # fmt: skip
    first = project(event)
    projector._contexts.clear()
    assert [(type(s), s.table, s.sql(), row) for s, row in first] == [
        (type(s), s.table, s.sql(), row) for s, row in project(event)
    ]
    for statement, row in first:
        assert statement.sql().count("?") == len(row)


def test_a_registering_event_tells_the_row_it_inserts(story: Story) -> None:
    event = story.add(artifact(key="a.csv", run="r"))
    assert inserted_row(event) == story.row(schema.ARTIFACTS, event)


def test_only_the_last_version_is_the_latest(story: Story) -> None:
    first = story.add(artifact(0))
    second = story.add(artifact(1, revises=first.stream))
    other = story.add(artifact(0, uid="B" * 16 + "0000"))
    assert [story.row(schema.ARTIFACTS, event)["is_latest"] for event in (first, second, other)] == [0, 1, 1]
    old = story.add(TransformRegistered(uid="T" * 16, version_number=0, key="k", type="script"))
    new = story.add(
        TransformRegistered(uid="T" * 12 + "0001", version_number=1, key="k", type="script", revises=old.stream)
    )
    assert [story.row(schema.TRANSFORMS, event)["is_latest"] for event in (old, new)] == [0, 1]
    assert story.row(schema.TRANSFORMS, new)["stem"] == "T" * 12


def test_edges_tell_what_a_run_used_made_and_saw_again(story: Story) -> None:
    running = story.add(run())
    made = story.add(artifact(0, run=running.stream))
    known = story.add(artifact(0, uid="B" * 16 + "0000"))
    story.add(ArtifactSeenAgain(run=running.stream), known.stream)
    story.add(ArtifactSeenAgain(), known.stream)
    for role in ("input", "input", "reference"):
        story.add(InputAccessed(artifact=known.stream, how="load", accessed_at=TIME, role=role), running.stream)
    assert story.edges() == [
        (running.stream, made.stream, "generated", "output"),
        (running.stream, known.stream, "seen", "output"),
        (running.stream, known.stream, "used", "input"),
        (running.stream, known.stream, "used", "reference"),
    ]


def test_revisions_count_the_events_of_a_record(story: Story) -> None:
    running = story.add(run())
    known = story.add(artifact())
    user = story.add(UserRegistered(uid="u", handle="mara"))
    for _ in range(2):
        story.add(InputAccessed(artifact=known.stream, how="load", accessed_at=TIME), running.stream)
        story.add(ArtifactSeenAgain(run=running.stream), known.stream)
        story.add(UserLoggedIn(session=new_id()), user.stream)
    story.add(ArtifactUpdated(changes={}), known.stream)
    assert story.row(schema.RUNS, running)["revision"] == story.versions[running.stream] == 3
    assert story.row(schema.ARTIFACTS, known)["revision"] == story.versions[known.stream] == 4
    assert story.row(schema.USERS, user)["revision"] == story.versions[user.stream] == 3


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (RunFinished(finished_at=TIME), ("finished", TIME, None, None, None)),
        (RunFailed(finished_at=TIME, error_type="E", message="m", traceback="t"), ("failed", TIME, "E", "m", "t")),
        (RunAborted(finished_at=TIME, why="SIGINT"), ("aborted", TIME, "SIGINT", None, None)),
    ],
    ids=["finished", "failed", "aborted"],
)
def test_endings_of_runs(story: Story, ending: Event, expected: tuple[str | None, ...]) -> None:
    running = story.add(run())
    assert story.row(schema.RUNS, running)["status"] == "started"
    story.add(ending, running.stream)
    row = story.row(schema.RUNS, running)
    assert (
        tuple(row[n] for n in ("status", "finished_at", "error_type", "error_message", "error_traceback")) == expected
    )


def test_changes_set_columns_and_pass_over_what_is_none(story: Story) -> None:
    user = story.add(UserRegistered(uid="u", handle="mara", email="m@example.org"))
    changed = story.add(
        UserUpdated(
            changes={"name": Change(None, "Mara"), "email": Change("m@example.org", None), "mood": Change(None, 1)}
        ),
        user.stream,
    )
    row = story.row(schema.USERS, user)
    assert (row["name"], row["email"], row["handle"]) == ("Mara", None, "mara")
    assert (row["updated_at"], row["created_at"]) == (changed.recorded_at, user.recorded_at)


def test_values_of_json_columns_are_kept_as_text(story: Story) -> None:
    params = {"z": [1, {"ü": None}], "a": 0.1}
    running = story.add(run(params=params, command=["a b", "c"]))
    row = story.row(schema.RUNS, running)
    assert json.loads(row["params"]) == params
    assert list(json.loads(row["params"])) == ["z", "a"]
    assert json.loads(row["command"]) == ["a b", "c"]


def test_sessions_begin_and_end(story: Story) -> None:
    user = story.add(UserRegistered(uid="u", handle="mara"))
    session = new_id()
    begun = story.add(UserLoggedIn(session=session), user.stream)
    ended = story.add(UserLoggedOut(session=session), user.stream)
    assert story.log.database.read("SELECT * FROM sessions") == [
        (begun.position, session, user.stream, begun.recorded_at, ended.recorded_at)
    ]


def test_two_versions_with_one_number_cannot_both_exist(story: Story) -> None:
    from lineagelog.domain.errors import ConstraintError

    story.add(artifact(0, key="a.csv"))
    with pytest.raises(ConstraintError, match="key, version_number"):
        story.add(artifact(0, key="a.csv", uid="B" * 16 + "0000"))
    with pytest.raises(ConstraintError):
        story.add(artifact(0))
