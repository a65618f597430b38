from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.content import remarks
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]

DEFINE = """
    import lineagelog as ln
    uids = [ln.ULabel(name=f"label {number}").save().uid for number in range(25)]
    uids += [ln.Feature(name=f"feature {number}", dtype=int).save().uid for number in range(25)]
    print(",".join(uids))
"""


def facts(store: Store, since: int) -> list[Any]:
    """Return the facts that were recorded after a position."""
    return [event.fact for event in store.events(after=since)]


def make(kind: str) -> Any:
    """Describe one definition of each registry."""
    return {
        "ULabel": lambda: ln.ULabel(name="checked", description="by hand"),
        "Record": lambda: ln.Record(name="checked", description="by hand"),
        "Feature": lambda: ln.Feature(name="checked", dtype=float, description="by hand"),
        "Project": lambda: ln.Project(name="checked", description="by hand"),
    }[kind]()


DEFINED = {
    "ULabel": "LabelDefined",
    "Record": "RecordDefined",
    "Feature": "FeatureDefined",
    "Project": "ProjectCreated",
}
UPDATED = {
    "ULabel": "LabelUpdated",
    "Record": "RecordUpdated",
    "Feature": "FeatureUpdated",
    "Project": "ProjectUpdated",
}


@pytest.mark.parametrize("kind", DEFINED)
def test_a_definition_is_one_event_and_is_found_by_name(store: Store, kind: str) -> None:
    before = store.log.head().position
    defined = make(kind).save()
    (fact,) = facts(store, before)
    assert type(fact).__name__ == DEFINED[kind]
    assert (fact.uid, fact.name, fact.description) == (defined.uid, "checked", "by hand")
    assert getattr(ln, kind).get(name="checked") == defined
    assert getattr(ln, kind).search("hand").one() == defined
    assert defined.created_by.handle == "anonymous"


@pytest.mark.parametrize("kind", DEFINED)
def test_a_name_that_exists_gives_the_existing_record_and_says_so(
    store: Store, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make(kind).save()
    before = store.log.head()
    again = make(kind)
    again.description = "somebody else's words"
    again.save()
    assert store.log.head() == before
    assert again == first
    assert again.description == "by hand"
    told = capsys.readouterr().err
    assert f"using {kind}(uid={first.uid!r}, name='checked'), which exists" in told
    assert "keeps its description" in told


@pytest.mark.parametrize("kind", DEFINED)
def test_a_change_keeps_the_old_and_the_new_value_and_the_reason(store: Store, kind: str, refused: Refused) -> None:
    defined = make(kind).save()
    defined.description = "by two people"
    defined.save(reason="asked for by a reviewer")
    *_, event = defined.history()
    assert type(event.fact).__name__ == UPDATED[kind]
    assert (event.fact.changes["description"].old, event.fact.changes["description"].new) == (
        "by hand",
        "by two people",
    )
    assert event.reason == "asked for by a reviewer"
    assert getattr(ln, kind).get(defined.uid).description == "by two people"
    refused(errors.ImmutableFieldError, lambda: setattr(defined, "name", "other"), "name")


def test_one_name_may_stand_under_two_types(store: Store) -> None:
    sample = ln.Record(name="Sample", is_type=True).save()
    treatment = ln.Record(name="Treatment", is_type=True).save()
    records = [ln.Record(name="control", type=kind).save() for kind in (sample, treatment, None)]
    assert len({record.uid for record in records}) == 3
    assert [record.type for record in records] == [sample, treatment, None]
    assert list(sample.instances) == [records[0]]
    assert ln.Record.filter(type=treatment).one() == records[1]
    assert ln.Record(name="control").save() == records[2]


def test_a_type_must_be_a_saved_type_of_the_registry(store: Store, refused: Refused) -> None:
    plain = ln.ULabel(name="plain").save()
    refused(errors.InvalidValueError, lambda: ln.ULabel(name="x", type=plain), "is_type=True")
    refused(errors.UnsavedRecordError, lambda: ln.ULabel(name="x", type=ln.ULabel(name="y", is_type=True)), "save")
    with pytest.raises(TypeError, match="ULabel"):
        ln.ULabel(name="x", type=ln.Record(name="Sample", is_type=True).save())  # type: ignore[type-var]
    with pytest.raises(TypeError, match="is_type"):
        ln.ULabel(name="x", is_type="yes")  # type: ignore[arg-type]


def test_a_name_cannot_be_a_type_and_none(store: Store, refused: Refused) -> None:
    ln.ULabel(name="quality", is_type=True).save()
    refused(errors.ConstraintError, lambda: ln.ULabel(name="quality").save(), "is a type")


def test_a_feature_keeps_its_dtype(store: Store, refused: Refused) -> None:
    ln.Feature(name="gc_content", dtype=float, unit="1").save()
    refused(errors.ConstraintError, lambda: ln.Feature(name="gc_content", dtype=int).save(), "dtype float")
    refused(errors.InvalidValueError, lambda: ln.Feature(name="x", dtype="flaot"), "flaot")
    refused(errors.InvalidValueError, lambda: ln.Feature(name="x", dtype="cat[Artifact]"), "cat")


@pytest.mark.parametrize(
    ("dtype", "recorded"),
    [(int, "int"), (float, "float"), (str, "str"), (bool, "bool"), (date, "date"), (datetime, "datetime"), (dict, "dict"),
     (list, "list"), ("num", "num"), ("cat", "cat"), ("cat[ULabel]", "cat[ULabel]"), ("cat[Record]", "cat[Record]")],
)  # fmt: skip
def test_a_dtype_is_a_python_type_or_its_name(sqlite_store: Store, dtype: Any, recorded: str) -> None:
    assert ln.Feature(name="x", dtype=dtype).save().refresh().dtype == recorded


def test_a_feature_that_is_called_like_a_field_is_pointed_out(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    ln.Feature(name="size", dtype=int).save()
    assert "'size' is also a field of Artifact, which" in capsys.readouterr().err
    ln.Feature(name="gc_content", dtype=float).save()
    assert capsys.readouterr().err == ""


def test_synonyms_of_a_feature_can_be_changed(store: Store) -> None:
    feature = ln.Feature(name="temperature", dtype=float, unit="K", synonyms=["temp"]).save()
    feature.synonyms.append("T")
    feature.unit = "°C"
    feature.save()
    *_, event = feature.history()
    assert event.fact.changes["synonyms"].old == ["temp"]
    assert event.fact.changes["synonyms"].new == ["temp", "T"]
    assert ln.Feature.get(name="temperature").synonyms == ["temp", "T"]
    assert ln.Feature.get(name="temperature").unit == "°C"


def test_credentials_in_a_reference_are_taken_out(store: Store) -> None:
    label = ln.ULabel(name="x", reference="https://ada:hunter22@example.org/").save()
    assert "hunter22" not in str(label.reference)
    project = ln.Project(name="x", url="https://ada:hunter22@example.org/").save()
    project.url = "https://ada:hunter23@example.org/"
    project.save()
    assert not [event for event in store.events() if "hunter2" in repr(event)]


@pytest.mark.parametrize("name", ["", " x", "a\nb", "\u202ex", 3, None])
def test_names_that_could_mislead_are_refused(store: Store, refused: Refused, name: Any) -> None:
    for describe in (ln.ULabel, ln.Record, ln.Project, lambda name: ln.Feature(name, int)):
        refused(errors.InvalidValueError, lambda describe=describe: describe(name), "name")  # type: ignore[misc]


def test_parents_and_children(store: Store) -> None:
    first, second, child = (ln.Record(name=name).save() for name in ("line A", "culture B", "replicate"))
    before = store.log.head().position
    child.parents.add([first, second], reason="from the lab book")
    child.parents.add(first)
    added = facts(store, before)
    assert [(type(fact).__name__, fact.parent, fact.registry) for fact in added] == [
        ("ParentAdded", first.id, "Record"), ("ParentAdded", second.id, "Record"),
    ]  # fmt: skip
    assert [event.reason for event in store.events(after=before)] == ["from the lab book"] * 2
    assert list(child.parents) == [first, second]
    assert list(first.children) == [child]
    assert ln.Record.filter(parents__name="culture B").one() == child
    before = store.log.head().position
    child.parents.remove(first)
    child.parents.remove(first)
    (removed,) = facts(store, before)
    assert (type(removed).__name__, removed.parent) == ("ParentRemoved", first.id)
    assert child.parents.to_list("name") == ["culture B"]


def test_nothing_becomes_its_own_ancestor(store: Store, refused: Refused) -> None:
    labels = [ln.ULabel(name=name).save() for name in ("root", "branch", "leaf")]
    for parent, child in itertools.pairwise(labels):
        child.parents.add(parent)
    refused(errors.InvalidValueError, lambda: labels[0].parents.add(labels[2]), "ancestor")
    refused(errors.InvalidValueError, lambda: labels[0].parents.add(labels[0]), "ancestor")
    labels[2].parents.add(labels[0])
    assert set(labels[2].parents) == set(labels[:2])


def test_a_cycle_that_two_writers_would_make_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (ln.ULabel(name=name).save() for name in ("egg", "hen"))
    append, raced = store.append_all_next, []

    def race(*args: Any, **options: Any) -> Any:
        # Between the look at the ancestors and the append, another writer adds the opposite link.
        if not raced:
            raced.append(True)
            second.parents.add(first)
        return append(*args, **options)

    monkeypatch.setattr(store, "append_all_next", race)
    with pytest.raises(errors.InvalidValueError, match="own ancestor"):
        first.parents.add(second)
    assert list(first.parents) == []
    assert not list(store.events(stream=first.id, topic="parent.added"))
    assert list(second.parents) == [first]


def test_parents_are_of_the_same_registry_and_store(store: Store, refused: Refused, tmp_path: Any) -> None:
    label = ln.ULabel(name="x").save()
    record = ln.Record(name="x").save()
    with pytest.raises(TypeError, match="ULabel"):
        label.parents.add(record)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="get"):
        label.parents.add("x")
    refused(errors.UnsavedRecordError, lambda: label.parents.add(ln.ULabel(name="y")), "save")
    with Store.create(tmp_path / "other") as other:
        refused(errors.InvalidValueError, lambda: label.parents.add(other.ULabel(name="y").save()), "store")


@pytest.mark.parametrize(
    ("name", "other"), [("Sample", "sample"), ("treatment", "treatmnet"), ("P53 mutant", "P53mutant")]
)
def test_a_similar_name_is_pointed_out_once(
    store: Store, name: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for describe in (ln.ULabel, ln.Record, ln.Project, lambda name: ln.Feature(name, int)):
        first = describe(name).save()
        capsys.readouterr()
        describe(other).save()
        assert capsys.readouterr().err.count(f"similar name exists: {name!r} (uid={first.uid!r})") == 1


def test_a_new_family_with_a_similar_key_is_pointed_out(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process looks so many times only, and other tests may have used them up.
    monkeypatch.setattr(remarks, "_looks", iter(range(50)))
    artifact = ln.Artifact([1], key="raw/measured_cells.json", run=False).save()
    ln.Collection([artifact], "training set", run=False).save()
    ln.Transform("cluster cells").save()
    assert "similar" not in capsys.readouterr().err
    ln.Artifact([2], key="raw/mesured_cells.json", run=False).save()
    assert f"an Artifact with a similar key exists: {artifact.key!r} (uid={artifact.uid!r})" in capsys.readouterr().err
    ln.Collection([artifact], "Trainings set", run=False).save()
    assert "a Collection with a similar key exists: 'training set'" in capsys.readouterr().err
    ln.Transform("clustr cells").save()
    assert "a Transform with a similar key exists: 'cluster cells'" in capsys.readouterr().err


def test_keys_that_belong_together_are_not_called_similar(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process looks so many times only, and other tests may have used them up.
    monkeypatch.setattr(remarks, "_looks", iter(range(50)))
    ln.Artifact([1], key="raw/measured_cells.json", run=False).save()
    # A version, another folder, another type, another number, and what is saved with others.
    ln.Artifact([2], key="raw/measured_cells.json", run=False).save()
    ln.Artifact([3], key="new/mesured_cells.json", run=False).save()
    ln.Artifact({"x": 3}, key="raw/mesured_cells.yaml", run=False).save()
    ln.Artifact([4], key="raw/measured_cells2.json", run=False).save()
    ln.Artifact([4], key="raw/measured_cells3.json", run=False).save()
    ln.save(
        [
            ln.Artifact([number], key=f"raw/{name}_cells.json", run=False)
            for number, name in enumerate(("mesured", "measurd"))
        ]
    )
    shown = capsys.readouterr().err
    assert "similar" not in shown


def test_a_user_with_a_similar_handle_is_pointed_out(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.login("ada.lovelace", name="Ada")
    store.login("ada.lovlace", name="Ada")
    assert "similar handle exists: 'ada.lovelace'" in capsys.readouterr().err
    ln.User("Ada.Lovelace").save()
    assert "similar handle exists" in capsys.readouterr().err


def test_other_names_and_silence_give_no_hint(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("replicate 1", "replicate 2", "control", "x"):
        ln.Record(name=name).save()
    ln.settings.verbosity = "warning"
    ln.Record(name="Control").save()
    assert "similar" not in capsys.readouterr().err


def test_two_processes_that_define_one_name_get_one_record(sqlite_store: Store, start_script: Any) -> None:
    processes = [start_script(DEFINE, name=f"define{number}.py") for number in range(2)]
    uids = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        uids.append(out.splitlines()[-1])
    assert uids[0] == uids[1]
    assert (sqlite_store.ULabel.all().count(), sqlite_store.Feature.all().count()) == (25, 25)


def test_the_new_registries_are_shown_by_view_and_counted(store: Store) -> None:
    for kind in DEFINED:
        make(kind).save()
    frames = store.view()
    assert set(DEFINED) <= set(frames)
    assert all(frames[kind]["name"].tolist() == ["checked"] for kind in DEFINED)
    counts = store.overview().counts
    assert [counts[name] for name in ("ulabels", "records", "features", "projects", "collections")] == [1, 1, 1, 1, 0]


def test_describe_shows_type_parents_and_children(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    sample = ln.Record(name="Sample", is_type=True).save()
    first = ln.Record(name="P53mutant1", type=sample).save()
    child = ln.Record(name="replicate", type=sample).save()
    child.parents.add(first)
    child.describe()
    shown = capsys.readouterr().out
    assert f"{sample.uid} Sample" in shown
    assert f"{first.uid} P53mutant1" in shown
