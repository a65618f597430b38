"""Fixtures: a part of a store as a log of its own, which says the same of it, and anonymised nothing of people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.adapters.log.event_log import read_table
from lineagelog.domain.event import UnknownEvent
from lineagelog.domain.ids import new_id
from lineagelog.domain.version import VERSION
from lineagelog.fixture import FORMAT
from lineagelog.projections import schema
from lineagelog.pytest_plugin import assert_replay_agrees
from lineagelog.recording import open_recorded
from lineagelog.store import Store

NAMES = ("lovelace", "curie", "tumour", "hopkins")
UNEQUAL = {"revision", "checked_at"}
"""Columns that count or date events which a part leaves out."""


@pytest.fixture
def study(store: Store, frame: Callable[..., pd.DataFrame], tmp_path: Path) -> ln.Artifact:
    """A study with everything that tells of people, and a second one that has nothing to do with the figure of the first."""
    store.login("lovelace", name="Ada Lovelace", email="ada@lovelace.example")
    ln.Feature("tumour site", dtype="str", description="where hopkins looked").save()
    ln.Feature("age of curie", dtype="int").save()
    lab = ln.Record("hopkins", is_type=True).save()
    sample = ln.Record("tumour 7", type=lab, description="curie").save()
    project = ln.Project("hopkins", url="https://hopkins.example/tumour").save()
    raw = ln.Artifact(frame(1), key="hopkins/raw tumour.csv", description="by curie", run=False).save()
    clean = ln.Transform("hopkins/clean_tumour.py", type="script").save()
    with ln.Run(clean, name="curie's", params={"tumour": "lovelace", "n": 3, "where": {"hopkins": [1.5]}}) as run:
        raw.load()
        table = ln.Artifact(frame(2), key="hopkins/clean tumour.parquet").save()
        run.labels.add(sample)
    with ln.Run(ln.Transform("plot")):
        table.load()
        figure = ln.Artifact(frame(3), key="hopkins/figure.csv", description="curie").save()
        figure.features.add_values({"tumour site": "hopkins", "age of curie": 66})
        figure.features.add_values({"tumour site": "lovelace"}, reason="curie said so")
        figure.records.add(sample)
        figure.projects.add(project)
    ln.Collection([raw, figure], key="hopkins all").save()
    store.login("curie", name="Marie Curie")
    ln.Artifact(frame(4), key="hopkins/raw tumour.csv").save()
    figure.description = "tumour figure"
    figure.save(reason="lovelace asked")
    with suppress(ValueError), ln.Run(ln.Transform("other")):
        ln.Artifact(frame(5), key="other.csv").save().delete(reason="curie")
        raise ValueError("tumour of hopkins")
    with pytest.raises(errors.UserNotFoundError):
        store.login("hopkins")
    store.append([store.new_event(UnknownEvent(unknown_topic="moon.landed.1", payload='{"by":"curie"}'), new_id())])
    store.export(tmp_path / "hopkins.json")
    return figure


def rows(store: Store, table: Any) -> list[dict[str, Any]]:
    """Read a table."""
    with store.log.database.snapshot() as snapshot:
        return [dict(zip(table.names, row, strict=True)) for row in read_table(snapshot, table)]


def assert_says_the_same(part: Store, store: Store) -> None:
    """Compare each row of a part with the row of the store that the same event made."""
    positions = {event.event_id: event.position for event in store.events()}
    place = {event.position: positions[event.event_id] for event in part.events()}
    for table in schema.TABLES:
        held = [
            {
                name: place[value] if name.endswith("position") else value
                for name, value in row.items()
                if name not in UNEQUAL
            }
            for row in rows(part, table)
        ]
        live = [
            {name: value for name, value in row.items() if name not in UNEQUAL}
            for row in rows(store, table)
            if row["position"] in place.values()
        ]
        assert held == sorted(live, key=lambda row: [row[name] for name in table.key]), table.name


def test_a_part_says_of_its_records_what_the_store_does(store: Store, study: ln.Artifact, tmp_path: Path) -> None:
    summary = store.fixture(tmp_path / "part.jsonl", subject=study)
    with open_recorded(tmp_path / "part.jsonl") as part:
        assert_replay_agrees(part)
        assert part.verify().ok
        assert_says_the_same(part, store)
        # It is minimal: nothing of the other study, of log-ins that made nothing, or of the export.
        assert {transform.key for transform in part.Transform.all()} == {"hopkins/clean_tumour.py", "plot"}
        assert {artifact.key for artifact in part.Artifact.all()} == {
            "hopkins/raw tumour.csv", "hopkins/clean tumour.parquet", "hopkins/figure.csv",
        }  # fmt: skip
        assert not part.Collection.all()
        assert part.log.head().position == summary.n_events < store.log.head().position - 1 - 8
        pd.testing.assert_frame_equal(
            part.Artifact.get(study.uid).upstream(), store.Artifact.get(study.uid).upstream(), check_like=True
        )


def test_a_part_around_any_record_says_what_the_store_does(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "recorded" / "logs" / f"{VERSION}.jsonl"
    with open_recorded(golden) as store:
        subjects = [
            *store.Run.all(),
            *store.Transform.all(),
            *store.Collection.all(),
            *store.Artifact.all().all_states(),
        ]
        assert len(subjects) > 10
        for subject, direction in zip(subjects, cycle(["upstream", "downstream", "both"])):
            store.fixture(tmp_path / "part.jsonl", subject=subject, direction=direction, record=False)
            with open_recorded(tmp_path / "part.jsonl") as part:
                assert_replay_agrees(part)
                assert_says_the_same(part, store)


def test_nothing_of_people_is_left_and_the_study_has_the_same_form(
    store: Store, study: ln.Artifact, tmp_path: Path
) -> None:
    n_events = store.log.head().position
    summary = store.fixture(tmp_path / "all.jsonl", anonymise=True, shift_times=True)
    text = (tmp_path / "all.jsonl").read_text()
    secrets = [*NAMES, store.uid, study.uid, study.hash, store.id]
    assert [secret for secret in secrets if secret.lower() in text.lower()] == []
    head = json.loads(text.splitlines()[0])
    assert head["derived"] == {"from_events": n_events, "anonymised": True, "times_shifted": True}
    # The export and the kind of event that nobody knows.
    assert summary.n_left_out == 2

    with open_recorded(tmp_path / "all.jsonl") as fixture:
        assert_replay_agrees(fixture)
        assert fixture.verify().ok
        for table in schema.TABLES:
            if table is not schema.SEARCH_WORDS:
                assert len(rows(fixture, table)) == len(rows(store, table)), table.name
        (figure,) = [one for one in fixture.Artifact.all() if one.features.get_values()]
        assert figure.key is not None
        assert re.fullmatch(r"folder\d+/file\d+\.csv", figure.key)
        shape = ["depth", "kind"]
        assert figure.upstream()[shape].to_dict() == study.upstream()[shape].to_dict()
        assert figure.features.get_values().keys() == {"name 1", "name 2"}
        assert [event.topic for event in figure.history()] == [event.topic for event in study.history()]
        assert min(event.recorded_at for event in fixture.events()) == "2000-01-01T00:00:00.000000Z"
        fixture.export(tmp_path / "fixture.json")
        fixture.login("tester", name="A test goes on with it")

    with store.as_of(n_events) as past:
        past.fixture(tmp_path / "again.jsonl", anonymise=True, shift_times=True, record=False)
    assert (tmp_path / "again.jsonl").read_text() == text


def test_a_fixture_is_on_record_and_says_no_more_than_it_must(store: Store, study: ln.Artifact, tmp_path: Path) -> None:
    before = store.log.head()
    summary = store.fixture(tmp_path / "part.jsonl", subject=study.uid, anonymise=True, direction="both", max_depth=1)
    (event,) = store.events(after=before.position)
    assert event.fact.format == FORMAT  # type: ignore[attr-defined]
    assert event.fact.n_statements == summary.n_events  # type: ignore[attr-defined]
    assert event.fact.scope == f"artifact {study.uid} both to depth 1, anonymised"  # type: ignore[attr-defined]
    with open_recorded(tmp_path / "part.jsonl") as fixture:
        assert fixture.verify().ok
        # The run before it is there, since its output refers to it, but not what that run read.
        assert fixture.Run.count() == 2
        assert fixture.Artifact.count() == 2
    for options, error in (
        ({"direction": "both"}, errors.InvalidValueError),
        ({"shift_times": True}, errors.InvalidValueError),
        ({"subject": "zzzzzzzz"}, errors.RecordNotFoundError),
    ):
        with pytest.raises(error):
            store.fixture(tmp_path / "none.jsonl", **options)
    with pytest.raises(errors.ExportError, match="folder"):
        store.fixture(tmp_path, anonymise=True)
    assert not (tmp_path / "none.jsonl").exists()
    assert store.log.head().position == before.position + 1
