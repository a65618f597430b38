from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]

LABEL = """
    import sys
    import lineagelog as ln
    artifact = ln.Artifact.get(key="t.parquet")
    me = int(sys.argv[1])
    for number in range(20):
        artifact.labels.add(ln.ULabel(name=f"{me} {number}").save())
        artifact.labels.add(ln.ULabel(name=f"shared {number}").save())
        artifact.features.add_values({f"n{me}": number, "shared": number})
"""


def facts(store: Store, since: int) -> list[Any]:
    """Return the facts that were recorded after a position."""
    return [event.fact for event in store.events(after=since)]


@pytest.fixture
def subjects(store: Store, frame: Frame) -> dict[str, Any]:
    """One record of each registry that can be annotated."""
    run = ln.Run(ln.Transform("measure")).save()
    artifact = ln.Artifact(frame(), key="t.parquet", run=run).save()
    collection = ln.Collection(artifact, key="all", run=run).save()
    return {"Artifact": artifact, "Run": run, "Collection": collection}


@pytest.fixture(params=["Artifact", "Run", "Collection"])
def subject(request: pytest.FixtureRequest, subjects: dict[str, Any]) -> Any:
    """Each of them in turn."""
    return subjects[request.param]


def test_labels_of_both_registries_are_put_on_and_taken_off(store: Store, subject: Any) -> None:
    good = ln.ULabel(name="good").save()
    sample = ln.Record(name="Sample", is_type=True).save()
    mouse = ln.Record(name="mouse 7", type=sample).save()
    before = store.log.head().position
    subject.labels.add([good, mouse], reason="seen under the microscope")
    kind = subject.registry.name
    assert [(type(fact).__name__, fact.label, fact.registry, fact.subject) for fact in facts(store, before)] == [
        ("LabelAttached", good.id, "ULabel", kind), ("LabelAttached", mouse.id, "Record", kind),
    ]  # fmt: skip
    assert {event.reason for event in store.events(after=before)} == {"seen under the microscope"}
    assert list(subject.labels) == [good, mouse]
    assert len(subject.labels) == 2
    assert good in subject.labels
    assert list(subject.ulabels) == [good]
    assert subject.records.one() == mouse
    assert repr(subject.labels) == "<Labels [good, mouse 7]>"
    table = subject.labels.to_dataframe()
    assert table.loc[mouse.uid].tolist() == ["Record", "mouse 7", "Sample", None]
    assert getattr(ln, kind).filter(ulabels=good, records__type=sample).one() == subject

    before = store.log.head().position
    subject.labels.remove(good, reason="it was dirt")
    (fact,) = facts(store, before)
    assert (type(fact).__name__, fact.label, fact.subject) == ("LabelDetached", good.id, kind)
    assert list(subject.labels) == [mouse]


def test_a_label_that_is_there_and_one_that_is_not_record_nothing(store: Store, subject: Any) -> None:
    good, bad = ln.ULabel(name="good").save(), ln.ULabel(name="bad").save()
    subject.ulabels.add([good, good])
    before = store.log.head()
    subject.ulabels.add(good)
    subject.labels.add(good)
    subject.labels.remove(bad)
    subject.ulabels.remove([])
    assert store.log.head() == before
    assert subject.ulabels.to_list("name") == ["good"]


def test_what_cannot_be_a_label_is_refused(subject: Any, refused: Refused, tmp_path: Any) -> None:
    kind = ln.ULabel(name="quality", is_type=True).save()
    good = ln.ULabel(name="good", type=kind).save()
    refused(errors.InvalidValueError, lambda: subject.labels.add([good, kind]), "is a type")
    refused(errors.UnsavedRecordError, lambda: subject.labels.add(ln.ULabel(name="unsaved")), "save")
    for wrong in ("good", 3, ln.Project(name="p").save(), [good, "good"]):
        with pytest.raises(TypeError, match="ULabel"):
            subject.labels.add(wrong)
    with pytest.raises(TypeError, match="Project"):
        subject.projects.add(good)
    with Store.create(tmp_path / "other") as other:
        refused(errors.InvalidValueError, lambda: subject.labels.add(other.ULabel(name="y").save()), "store")
    assert list(subject.labels) == []


@pytest.mark.parametrize("name", ["labels", "ulabels", "records", "projects", "features"])
def test_annotations_are_added_and_not_assigned(subjects: dict[str, Any], name: str) -> None:
    with pytest.raises(AttributeError, match="add and remove"):
        setattr(subjects["Artifact"], name, [])


def test_an_unsaved_record_cannot_be_annotated(store: Store, refused: Refused, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet")
    good = ln.ULabel(name="good").save()
    refused(errors.UnsavedRecordError, lambda: artifact.labels.add(good), "save")
    refused(errors.UnsavedRecordError, lambda: artifact.projects, "save")
    refused(errors.UnsavedRecordError, lambda: artifact.features.add_values({}), "save")


def test_projects_are_assigned_and_taken_back(store: Store, subject: Any) -> None:
    project = ln.Project(name="Screen 2026", url="https://example.org/screen").save()
    before = store.log.head().position
    subject.projects.add(project)
    subject.projects.add(project)
    kind = subject.registry.name
    (fact,) = facts(store, before)
    assert (type(fact).__name__, fact.project, fact.subject) == ("ProjectAssigned", project.id, kind)
    assert getattr(ln, kind).filter(projects=project).one() == subject
    before = store.log.head().position
    subject.projects.remove(project)
    (fact,) = facts(store, before)
    assert (type(fact).__name__, fact.project) == ("ProjectUnassigned", project.id)
    assert not subject.projects


def test_values_of_every_type_come_back_as_python_values(store: Store, subject: Any) -> None:
    cell = ln.Record(name="T cell").save()
    good = ln.ULabel(name="good").save()
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    cases: dict[str, tuple[Any, Any, Any]] = {
        "int": (int, np.int64(3), 3),
        "float": (float, np.float32(0.5), 0.5),
        "whole": (float, 2, 2),
        "num": ("num", 2.5, 2.5),
        "str": (str, "DMSO", "DMSO"),
        "bool": (bool, False, False),
        "day": (date, "2025-10-31", date(2025, 10, 31)),
        "date": (date, date(2025, 10, 31), date(2025, 10, 31)),
        "datetime": (datetime, moment, moment.astimezone(UTC)),
        "text time": (datetime, "2026-03-01T12:30:00+02:00", moment.astimezone(UTC)),
        "dict": (dict, {"assay": {"type": "RNA-seq"}}, {"assay": {"type": "RNA-seq"}}),
        "list": (list, (1, "a"), [1, "a"]),
        "cat": ("cat", "free text", "free text"),
        "by name": ("cat[Record]", "T cell", "T cell"),
        "by uid": ("cat[Record]", cell.uid, "T cell"),
        "by record": ("cat[ULabel]", good, "good"),
    }
    features = {name: ln.Feature(name=name, dtype=dtype).save() for name, (dtype, _, _) in cases.items()}
    before = store.log.head().position
    subject.features.add_values({name: given for name, (_, given, _) in cases.items()})
    (fact,) = facts(store, before)
    assert type(fact).__name__ == "FeatureValuesSet"
    assert fact.subject == subject.registry.name
    assert {change.old for change in fact.values.values()} == {None}
    assert fact.values[features["by name"].id].new == cell.id
    values = subject.features.get_values()
    assert values == {name: expected for name, (_, _, expected) in cases.items()}
    assert list(values) == list(cases)
    assert values["datetime"].tzinfo is not None
    assert len(subject.features) == len(cases)
    assert subject.features["bool"] is False
    assert getattr(ln, subject.registry.name).filter(float__gte=0.5).one() == subject


def test_a_new_value_takes_the_place_of_the_old_one_in_one_event(store: Store, subject: Any) -> None:
    gc, unit = ln.Feature(name="gc", dtype=float).save(), ln.Feature(name="n", dtype=int).save()
    subject.features.add_values({"gc": 0.4, "n": 1})
    before = store.log.head().position
    subject.features.add_values({gc: 0.6, "n": 1}, reason="counted again")
    ((event),) = store.events(after=before)
    assert {key: (change.old, change.new) for key, change in event.fact.values.items()} == {gc.id: (0.4, 0.6)}
    assert event.reason == "counted again"
    before = store.log.head()
    subject.features.add_values({"gc": 0.6})
    subject.features.add_values({})
    assert store.log.head() == before
    subject.features.remove_values(["gc", unit])
    *_, fact = facts(store, before.position)
    assert type(fact).__name__ == "FeatureValuesRemoved"
    assert {key: (change.old, change.new) for key, change in fact.values.items()} == {
        gc.id: (0.6, None), unit.id: (1, None),
    }  # fmt: skip
    before = store.log.head()
    subject.features.remove_values("gc")
    assert store.log.head() == before
    assert subject.features.get_values() == {}


def test_a_feature_is_put_on_without_a_value_and_gets_one_later(
    store: Store, subject: Any, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = getattr(ln, subject.registry.name)
    cell = ln.Feature(name="cell_type", dtype="cat[ULabel]", synonyms=["cell"]).save()
    gc, count = ln.Feature(name="gc", dtype=float).save(), ln.Feature(name="n", dtype=int).save()
    before = store.log.head().position
    subject.features.add([cell, "gc"], reason="columns")
    subject.features.add("cell")
    ((event),) = store.events(after=before)
    assert (event.fact.values.keys(), event.reason) == ({cell.id, gc.id}, "columns")
    assert (subject.features.get_values(), len(subject.features), "gc" in subject.features) == ({}, 0, False)
    # It has the feature, and no value: queries for a value pass it over.
    assert list(registry.filter(features=cell)) == list(registry.filter(features__name="gc")) == [subject]
    assert not registry.filter(cell_type__isnull=False).exists()
    assert subject in list(registry.filter(gc__isnull=True))
    assert registry.filter(uid=subject.uid).to_dataframe(include="features__name").iloc[0]["features__name"] == [
        "cell_type",
        "gc",
    ]
    assert "gc" not in registry.filter(uid=subject.uid).to_dataframe(include="features")
    capsys.readouterr()
    subject.describe()
    assert "cell_type: cat[ULabel]\n" in capsys.readouterr().out
    subject.features.add_values({"gc": 0.5, "n": 1})
    assert subject.features.get_values() == {"gc": 0.5, "n": 1}
    assert subject.features.get_values("gc") == subject.features.get_values([gc, cell]) == {"gc": 0.5}
    assert list(registry.filter(gc__gte=0.5)) == [subject]
    subject.features.add([gc, count])
    assert subject.features.get_values() == {"gc": 0.5, "n": 1}
    subject.features.remove_values()
    assert subject.features.to_dataframe().empty
    assert not registry.filter(features__isnull=False).exists()
    refused(errors.RecordNotFoundError, lambda: subject.features.add("cel_type"), "did you mean 'cell_type'")
    refused(errors.RecordNotFoundError, lambda: subject.features.get_values("nothing"), "the name 'nothing'")
    with pytest.raises(TypeError, match=r"put on by add\(\)"):
        subject.features.add_values([gc])


def test_a_synonym_names_the_feature(store: Store, subjects: dict[str, Any]) -> None:
    ln.Feature(name="temperature", dtype=float, synonyms=["temp"]).save()
    subjects["Artifact"].features.add_values({"temp": 37.5})
    assert subjects["Artifact"].features.get_values() == {"temperature": 37.5}
    with pytest.raises(TypeError, match="twice"):
        subjects["Artifact"].features.add_values({"temp": 1.0, "temperature": 2.0})


@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [(int, 1.5), (int, True), (int, "1"), (float, "0.5"), (float, float("nan")), (str, 3), (bool, 1), (date, "31.10.2025"),
     (date, datetime(2025, 1, 1, tzinfo=UTC)), (datetime, datetime(2025, 1, 1)), (datetime, "yesterday"), (dict, [1]),
     (dict, {1: 2}), (list, {1}), ("cat", 3), (int, None), (int, 2**63)],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_and_nothing_is_set(
    subjects: dict[str, Any], refused: Refused, dtype: Any, wrong: Any
) -> None:
    artifact = subjects["Artifact"]
    ln.Feature(name="x", dtype=dtype).save()
    ln.Feature(name="right", dtype=int).save()
    refused(errors.InvalidValueError, lambda: artifact.features.add_values({"right": 1, "x": wrong}), "'x'")
    assert artifact.features.get_values() == {}


def test_an_unknown_feature_says_what_was_meant_and_how_to_define_it(
    subjects: dict[str, Any], refused: Refused
) -> None:
    features = subjects["Artifact"].features
    ln.Feature(name="gc_content", dtype=float).save()
    said = refused(errors.RecordNotFoundError, lambda: features.add_values({"gc_contents": 0.5}))
    assert "did you mean 'gc_content'" in str(said)
    said = refused(
        errors.RecordNotFoundError, lambda: features.add_values({"gc_content": 0.5, "day": date(2026, 1, 1)})
    )
    assert "ln.Feature(name='day', dtype=date).save()" in str(said)
    refused(errors.RecordNotFoundError, lambda: features.remove_values("day"), "day")
    refused(errors.UnsavedRecordError, lambda: features.add_values({ln.Feature("y", int): 1}), "save")
    for wrong in ({3: 1}, [("gc_content", 1)]):
        with pytest.raises(TypeError):
            features.add_values(wrong)


def test_a_category_must_exist_and_be_clear(subjects: dict[str, Any], refused: Refused, tmp_path: Any) -> None:
    features = subjects["Artifact"].features
    ln.Feature(name="cell", dtype="cat[Record]").save()
    ln.Record(name="T cell").save()
    said = refused(errors.RecordNotFoundError, lambda: features.add_values({"cell": "T cel"}))
    assert "did you mean 'T cell'" in str(said)
    assert "ln.Record(name='T cel').save()" in str(said)
    kind = ln.Record(name="kind", is_type=True).save()
    ln.Record(name="T cell", type=kind).save()
    refused(errors.MultipleRecordsError, lambda: features.add_values({"cell": "T cell"}), "uid")
    refused(errors.UnsavedRecordError, lambda: features.add_values({"cell": ln.Record(name="new")}), "save")
    label = ln.ULabel(name="T cell").save()
    for wrong in (label, 3, ["T cell"]):
        with pytest.raises(TypeError, match="Record"):
            features.add_values({"cell": wrong})
    with Store.create(tmp_path / "other") as other:
        foreign = other.Record(name="T cell").save()
        refused(errors.InvalidValueError, lambda: features.add_values({"cell": foreign}), "store")


def test_what_was_put_on_a_record_does_not_hinder_a_change_of_its_fields(
    store: Store, subjects: dict[str, Any]
) -> None:
    artifact = subjects["Artifact"]
    other = ln.Artifact.get(artifact.uid)
    ln.Feature(name="n", dtype=int).save()
    artifact.labels.add(ln.ULabel(name="good").save())
    other.features.add_values({"n": 1})
    artifact.description = "labelled"
    artifact.save()
    other.description = "not read again"
    with pytest.raises(errors.ConcurrentWriteError, match="refresh"):
        other.save()
    assert artifact.refresh().description == "labelled"


def test_a_closed_run_can_still_be_annotated(store: Store) -> None:
    with ln.Run(ln.Transform("t")) as run:
        pass
    run.labels.add(ln.ULabel(name="good").save())
    assert run.labels.to_dataframe()["name"].tolist() == ["good"]


def test_events_of_annotations_belong_to_the_run_around_them(store: Store, subjects: dict[str, Any]) -> None:
    good = ln.ULabel(name="good").save()
    with ln.Run(ln.Transform("annotate")) as run:
        before = store.log.head().position
        subjects["Artifact"].labels.add(good)
        (event,) = store.events(after=before)
    assert event.run == run.id


def test_the_trail_names_labels_projects_features_and_categories(store: Store, subjects: dict[str, Any]) -> None:
    artifact = subjects["Artifact"]
    ln.Feature(name="cell", dtype="cat[Record]").save()
    kind = ln.Record(name="Cell", is_type=True).save()
    cell = ln.Record(name="T cell", type=kind).save()
    cell.parents.add(ln.Record(name="lymphocyte", type=kind).save())
    since = store.log.head().position
    artifact.features.add_values({"cell": cell})
    artifact.labels.add(cell)
    artifact.projects.add(ln.Project(name="Screen").save())
    entries = [entry for entry in store.trail(newest_first=False) if entry.position > since]
    assert [(entry.event, entry.kind, entry.key, entry.details) for entry in entries] == [
        ("FeatureValuesSet", "Artifact", "t.parquet", {}),
        ("LabelAttached", "Artifact", "t.parquet", {"label": "T cell"}),
        ("ProjectCreated", "Project", "Screen", {}),
        ("ProjectAssigned", "Artifact", "t.parquet", {"project": "Screen"}),
    ]
    assert {name: (change.old, change.new) for name, change in entries[0].changes.items()} == {"cell": (None, "T cell")}
    told = {entry.event: entry for entry in store.trail(record=cell.uid)}
    assert told["RecordDefined"].details == {"type": "Cell"}
    assert (told["ParentAdded"].kind, told["ParentAdded"].details) == ("Record", {"parent": "lymphocyte"})


def test_describe_shows_features_and_labels(subject: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ln.Feature(name="temperature", dtype=float, unit="°C").save()
    ln.Feature(name="day", dtype=date).save()
    subject.features.add_values({"temperature": 37.5, "day": "2026-01-02"})
    subject.labels.add([ln.ULabel(name="good").save(), ln.Record(name="mouse 7").save()])
    subject.projects.add(ln.Project(name="Screen").save())
    capsys.readouterr()
    subject.describe()
    shown = capsys.readouterr().out
    for part in (
        "Features",
        "temperature: float = 37.5 °C",
        "day: date = 2026-01-02",
        "Labels",
        "good",
        "mouse 7",
        "Screen",
    ):
        assert part in shown, part
    table = subject.features.to_dataframe()
    assert table.loc["temperature"].tolist() == ["float", "°C", 37.5]


def test_processes_that_annotate_one_artifact_do_not_conflict(
    sqlite_store: Store, frame: Frame, start_script: Any
) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    for name in ("n0", "n1", "shared"):
        ln.Feature(name=name, dtype=int).save()
    processes = [start_script(LABEL, name=f"label{me}.py", arguments=(str(me),)) for me in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    expected = {f"{who} {number}" for who in ("0", "1", "shared") for number in range(20)}
    assert set(artifact.ulabels.to_list("name")) == expected
    assert artifact.features.get_values() == {"n0": 19, "n1": 19, "shared": 19}
    attached = [
        e.fact.label for e in sqlite_store.events(stream=artifact.id) if type(e.fact).__name__ == "LabelAttached"
    ]
    assert len(attached) == len(set(attached)) == len(expected)
    # Each change begins with the value that the one before it left.
    last: dict[str, Any] = {}
    for event in sqlite_store.events(stream=artifact.id):
        for feature, change in getattr(event.fact, "values", {}).items():
            assert change.old == last.get(feature)
            last[feature] = change.new


@pytest.mark.parametrize("given", ["name", "new", "record"])
def test_a_tracked_run_is_assigned_to_a_project(store: Store, frame: Frame, given: str) -> None:
    if given != "new":
        ln.Project(name="Screen 2026").save()
    project: Any = ln.Project.get(name="Screen 2026") if given == "record" else "Screen 2026"
    run = ln.track(ln.Transform("t"), project=project)
    artifact = ln.Artifact(frame(), key="t.parquet").save()
    ln.finish()
    project = ln.Project.get(name="Screen 2026")
    assert list(run.projects) == [project]
    assert ln.Run.filter(projects=project).one() == run
    assert ln.Artifact.filter(run__projects=project).one() == artifact


def test_a_project_that_cannot_be_one_starts_no_run(store: Store, refused: Refused, tmp_path: Any) -> None:
    refused(errors.InvalidValueError, lambda: ln.track(ln.Transform("t"), project=""), "project")
    with pytest.raises(TypeError, match="Project"):
        ln.track(ln.Transform("t"), project=3)  # type: ignore[arg-type]
    with Store.create(tmp_path / "other") as other:
        foreign = other.Project("p").save()
        refused(errors.InvalidValueError, lambda: ln.track(ln.Transform("t"), project=foreign), "store")
    assert not ln.Run.all().exists()
