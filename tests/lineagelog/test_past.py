"""Time travel: a view answers as the store did, is never changed, and says when a time makes no sense."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog.domain.errors import (
    ArtifactDeletedError,
    InvalidValueError,
    LineageLogError,
    RecordNotFoundError,
    StoreReadOnlyError,
)
from lineagelog.store import Store


def what_it_says(store: Store) -> dict[str, Any]:
    """What a store answers to questions of every kind."""
    artifacts = store.Artifact.filter().all_states().order_by("position")
    head = store.log.head()
    return {
        "head": head,
        "artifacts": artifacts.values("uid", "key", "state", "is_latest", "description", "run__uid"),
        "live": store.Artifact.count(),
        "found": store.Artifact.search("number").to_list("uid"),
        "labels": [sorted(a.ulabels.to_list("name")) for a in artifacts],
        "values": [a.features.get_values() for a in artifacts],
        "lineage": [sorted(map(str, a.lineage_graph().edges())) for a in artifacts],
        "history": [[(e.position, e.topic) for e in a.history()] for a in artifacts],
        "trail": [(e.position, e.who, e.key, e.changes) for e in store.trail()],
        "runs": store.Run.filter().values("uid", "status"),
        "views": {name: frame.to_csv() for name, frame in store.view(100).items()},
        "statements": str(store.to_prov().get_provn()),
    }


class _Acts:
    """Random deeds of users, chosen by a seed."""

    def __init__(self, store: Store, seed: int, frame: Callable[..., pd.DataFrame]) -> None:
        self.store, self.random, self.frame, self.n = store, random.Random(seed), frame, 0
        self.label = store.ULabel("good").save()
        self.feature = store.Feature("mass", dtype="float").save()
        self.transform = store.Transform("clean.py").save()

    def act(self) -> None:
        self.n += 1
        artifacts = list(self.store.Artifact.filter(state="live"))
        chosen = self.random.choice(artifacts) if artifacts else None
        deeds: list[Callable[[], Any]] = [self._save]
        if chosen is not None:
            deeds += [
                lambda: self._describe(chosen),
                lambda: chosen.ulabels.add(self.label),
                lambda: chosen.features.add_values({"mass": self.n / 2}, reason="measured"),
                chosen.delete,
                lambda: self._run(chosen),
                lambda: self.store.login(self.random.choice(["ana", "bo"]), name=f"Name {self.n}"),
            ]
        trashed = list(self.store.Artifact.filter(state="trashed"))
        if trashed:
            deeds += [self.random.choice(trashed).restore, lambda: trashed[0].delete(permanent=True, reason="old")]
        self.random.choice(deeds)()

    def _save(self) -> None:
        key = f"data/{self.random.randint(1, 3)}.csv"
        ln.Artifact.from_dataframe(self.frame(self.n), key=key, description=f"number {self.n}").save()

    def _describe(self, artifact: Any) -> None:
        artifact.description = f"number {self.n}, corrected"
        artifact.save(reason="typo")

    def _run(self, artifact: Any) -> None:
        with self.store.Run(self.transform):
            artifact.cache()
            self._save()


def test_a_view_answers_every_question_as_the_store_did(store: Store, frame: Callable[..., pd.DataFrame]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    acts = _Acts(store, seed, frame)
    told = []
    for _ in range(12):
        for _ in range(3):
            acts.act()
        told.append(what_it_says(store))
    for expected in acts.random.sample(told, 6):
        with store.as_of(expected["head"].position) as past:
            assert what_it_says(past) == expected
            report = past.verify()
            assert report.ok, report.to_text()


def test_a_time_means_the_last_event_recorded_by_then(store: Store) -> None:
    for name in ("one", "two", "three"):
        ln.ULabel(name).save()
    events = list(store.events())
    for event in events[1:]:
        last = max(other.position for other in events if other.recorded_at <= event.recorded_at)
        with store.as_of(event.recorded_at) as past:
            assert past.log.head().position == last
    second = ln.ULabel.get(name="two").created_at
    for moment in (second, second.astimezone(timezone(timedelta(hours=-9))), second.isoformat()):
        with ln.as_of(moment) as past:
            assert "three" not in past.ULabel.to_list("name") or events[-1].recorded_at == events[-2].recorded_at
            assert "two" in past.ULabel.to_list("name")


def test_a_time_without_a_zone_is_utc_and_said(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    text = (datetime.now(UTC) - timedelta(microseconds=1)).replace(tzinfo=None).isoformat()
    with store.as_of(text) as past:
        assert past.log.head() == store.log.head()
    assert f"{text} names no time zone and is taken as {text}+00:00" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("point", "match"),
    [
        (0, "has the events 1 to 4"),
        (5, "has the events 1 to 4"),
        (-1, "has the events"),
        (1, "was created by event 2"),
        ("1999-01-01T00:00Z", "begins at 20"),
        ("2999-01-01T00:00Z", "lies in the future; the last event, 4, is of 20"),
        ("yesterday", "is no time"),
        (True, "give a time"),
        (None, "give a time"),
        (2.0, "give a time"),
    ],
)
def test_points_without_a_past_are_refused(sqlite_store: Store, point: Any, match: str) -> None:
    with pytest.raises(InvalidValueError, match=match):
        sqlite_store.as_of(point)


def test_every_change_of_a_view_is_refused_before_anything_happens(
    store: Store, frame: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    artifact = ln.Artifact.from_dataframe(frame(), key="a.csv").save()
    label = ln.ULabel("good").save()
    folder = tmp_path / "store"

    def files() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_size) for path in folder.rglob("*") if "log.db" not in path.name)

    before, head = files(), store.log.head()
    with store.as_of(head.position) as past:
        old = past.Artifact.get(artifact.uid)
        old_label = past.ULabel.get(name="good")
        old.description = "new"
        changes: list[Callable[[], Any]] = [
            old.save,
            old.delete,
            lambda: old.delete(permanent=True, reason="x"),
            lambda: old.ulabels.add(old_label),
            lambda: past.Artifact.filter().delete(),
            lambda: past.Artifact.from_dataframe(frame(2), key="b.csv").save(),
            lambda: past.ULabel("bad").save(),
            lambda: past.Transform("t").save(),
            lambda: past.Storage(tmp_path / "elsewhere").save(),
            lambda: past.login("ana", name="Ana"),
            past.logout,
            past.rebuild,
            lambda: past.delete(force=True),
            past.collect_orphans,
            past.check_storage,
        ]
        for change in changes:
            with pytest.raises(StoreReadOnlyError, match="is a view of the past, which cannot be changed"):
                change()
        with past.as_current(), pytest.raises(StoreReadOnlyError):
            ln.Run(ln.Transform("t")).save()
    assert (files(), store.log.head()) == (before, head)
    assert label.refresh().name == "good"


def test_content_is_read_from_where_it_is_and_the_reading_is_on_record(
    store: Store, frame: Callable[..., pd.DataFrame]
) -> None:
    artifact = ln.Artifact.from_dataframe(frame(), key="a.csv").save()
    position = store.log.head().position
    artifact.description = "newer"
    artifact.save()
    with store.as_of(position) as past:
        old = past.Artifact.get(artifact.uid)
        assert old.description is None
        with ln.Run(ln.Transform("report").save()) as run:
            pd.testing.assert_frame_equal(old.load(), frame())
        assert run.inputs.to_list("uid") == [artifact.uid]
        artifact.delete(permanent=True, reason="personal data")
        assert past.Artifact.get(artifact.uid).state == "live"
        with pytest.raises(ArtifactDeletedError, match="personal data"):
            old.load()


def test_an_export_of_the_past_is_on_record_with_its_position(store: Store, tmp_path: Path) -> None:
    ln.ULabel("one").save()
    position = store.log.head().position
    label = ln.ULabel("two").save()
    with store.as_of(position) as past:
        root = past.log.head().root
        past.export(tmp_path / "past.json")
        assert past.sparql("ASK { ?s ?p ?o }").answer
        with pytest.raises(RecordNotFoundError):
            past.ULabel.get(label.uid)
    exported = list(store.events(topic="export.made.1"))[-1].fact
    assert (exported.up_to_position, exported.root) == (position, root)  # type: ignore[attr-defined]


def test_a_view_of_a_view_is_one_of_the_store(store: Store) -> None:
    for name in ("one", "two", "three"):
        ln.ULabel(name).save()
    head = store.log.head().position
    with store.as_of(head - 1) as past, past.as_of(head - 2) as earlier:
        assert earlier.ULabel.to_list("name") == ["one"]
        assert earlier.present is store
        with pytest.raises(InvalidValueError, match=f"events 1 to {head - 1}"):
            past.as_of(head)


def test_who_looks_may_be_unknown_to_the_past(store: Store) -> None:
    position = store.log.head().position
    store.login("ana", name="Ana")
    with store.as_of(position) as past:
        assert past.user.handle == "ana"
        assert past.User.to_list("handle") == ["anonymous"]
        assert past.overview().position == position
        assert "as of event" in repr(past)


def test_views_of_two_stores_do_not_mix(store: Store, tmp_path: Path) -> None:
    with Store.create(tmp_path / "other", name="other") as other:
        with store.as_of(4) as one, other.as_of(4) as two:
            assert (one.name, two.name) == ("study", "other")
        with pytest.raises(LineageLogError):
            other.as_of(400)
