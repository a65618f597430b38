from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.projections.registry import REGISTRIES, inverse
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]


@pytest.fixture
def filled(store: Store, frame: Frame) -> Store:
    """Three artifacts, one of them in two versions, by two users and one run."""
    store.login("ada", name="Ada Lovelace")
    ln.Artifact(frame(1), key="raw/iris.parquet", description="Iris, raw", run=False).save()
    ln.Artifact(frame(2), key="raw/iris.parquet", description="Iris, measured again", run=False).save()
    store.login("grace", name="Grace Hopper")
    with ln.Run(ln.Transform("clean"), params={"level": {"depth": 3}}):
        ln.Artifact(frame(3), key="clean/iris.parquet", kind="report").save()
    ln.Artifact(frame(4, rows=5), key="clean/wine.parquet", run=False).save()
    return store


def test_get_by_uid_by_its_beginning_and_by_fields(filled: Store) -> None:
    first = ln.Artifact.filter(key="raw/iris.parquet").first()
    assert first is not None
    assert ln.Artifact.get(first.uid) == first
    assert ln.Artifact.get(first.uid[:16]).version_number == 1, "the stem means the latest version"
    assert ln.Artifact.get(key="clean/wine.parquet").n_observations == 5
    assert ln.Artifact.get(key="raw/iris.parquet").version_number == 1


def test_get_finds_the_newest_version_that_matches_also_where_that_is_not_the_latest(
    filled: Store, frame: Frame
) -> None:
    first, second = ln.Artifact.filter(key="raw/iris.parquet")
    moved = ln.Artifact(frame(5), key="raw/lilies.parquet", revises=second, run=False).save()
    assert ln.Artifact.get(key="raw/iris.parquet") == second, "the latest version has another key"
    assert ln.Artifact.get(first.uid[:16]) == moved
    moved.delete()
    assert ln.Artifact.get(first.uid[:16]) == second
    second.delete()
    assert ln.Artifact.get(key="raw/iris.parquet") == first, "the newest version lies in the trash"
    assert ln.Artifact.filter().all_states().get(key="raw/iris.parquet") == first
    first.delete()
    assert ln.Artifact.get(key="raw/iris.parquet", state="trashed") == second
    second.delete(permanent=True)
    assert ln.Artifact.filter().all_states().get(key="raw/iris.parquet") == first, "what can be restored goes first"


def test_get_of_nothing_or_of_several_is_an_error(filled: Store, refused: Refused) -> None:
    refused(errors.RecordNotFoundError, lambda: ln.Artifact.get("zzzzzzzzzzzzzzzz"), "zzzz")
    refused(errors.RecordNotFoundError, lambda: ln.Artifact.get("not a uid"), "letters and digits")
    refused(errors.RecordNotFoundError, lambda: ln.Artifact.get(key="nope"), "key='nope'")
    error = refused(
        errors.MultipleRecordsError, lambda: ln.Artifact.get(key__startswith="clean/"), "more than one Artifact"
    )
    assert "clean/wine.parquet" in str(error)
    assert "size=" not in str(error), "uid and key tell them apart"


def test_an_ambiguous_beginning_of_a_uid_names_the_candidates(store: Store, refused: Refused) -> None:
    for number in range(63):
        ln.Transform(f"t{number}").save()
    initials = [transform.uid[0] for transform in ln.Transform.all()]
    shared = next(initial for initial in initials if initials.count(initial) > 1)
    error = refused(errors.MultipleRecordsError, lambda: ln.Transform.get(shared), f"'{shared}'")
    assert "add characters" in str(error)


def test_one_first_last_and_slices(filled: Store, refused: Refused) -> None:
    wine = ln.Artifact.filter(key__endswith="wine.parquet")
    assert wine.one().key == "clean/wine.parquet"
    assert ln.Artifact.filter(key="nope").one_or_none() is None
    refused(errors.RecordNotFoundError, ln.Artifact.filter(key="nope").one)
    refused(errors.MultipleRecordsError, ln.Artifact.all().one)
    refused(errors.MultipleRecordsError, ln.Artifact.all().one_or_none)
    keys = [artifact.key for artifact in ln.Artifact.all()]
    assert keys == ["raw/iris.parquet", "raw/iris.parquet", "clean/iris.parquet", "clean/wine.parquet"]
    first, last = ln.Artifact.all().first(), ln.Artifact.all().last()
    assert first is not None
    assert last is not None
    assert (first.key, last.key) == (keys[0], keys[-1])
    assert [artifact.key for artifact in ln.Artifact.all()[1:3]] == keys[1:3]
    assert ln.Artifact.all()[3].key == keys[3]
    assert ln.Artifact.filter(key="nope").first() is None
    with pytest.raises(IndexError):
        ln.Artifact.all()[4]
    with pytest.raises(ValueError, match="last"):
        ln.Artifact.all()[-1]


def test_what_a_query_counts_is_what_it_shows(filled: Store) -> None:
    for query in (
        ln.Artifact.all(),
        ln.Artifact.filter(key__startswith="raw/"),
        ln.Artifact.all()[1:3],
        ln.Artifact.filter(key="nope"),
        ln.Artifact.search("iris"),
        ln.Artifact.filter(is_latest=True).exclude(kind="report"),
    ):
        assert query.count() == len(query) == len(list(query)) == len(query.to_dataframe()) == len(query.values("uid"))
        assert bool(query) == query.exists() == (query.count() > 0)


def test_conditions_over_relations_and_json(filled: Store) -> None:
    assert ln.Artifact.filter(created_by__handle="ada").count() == 2
    assert ln.Artifact.filter(transform__key="clean").one().key == "clean/iris.parquet"
    assert ln.Run.filter(params__level__depth__gte=3).count() == 1
    assert ln.Run.filter(outputs__key__icontains="IRIS").count() == 1
    both = ln.Artifact.filter(ln.Q(kind="report") | ln.Q(n_observations__gt=4))
    assert [artifact.key for artifact in both] == ["clean/iris.parquet", "clean/wine.parquet"]
    assert ln.Artifact.filter(~ln.Q(key__contains="iris")).one().key == "clean/wine.parquet"
    assert ln.Artifact.filter(created_at__lt=datetime.now().astimezone()).count() == 4


def test_unknown_fields_and_lookups_are_named_with_choices(filled: Store, refused: Refused) -> None:
    error = refused(errors.UnknownFieldError, lambda: ln.Artifact.filter(kye="x"), "kye")
    assert "did you mean 'key'" in str(error)
    refused(errors.UnknownFieldError, lambda: ln.Artifact.filter(key__sounds_like="x"), "sounds_like")
    refused(errors.UnknownFieldError, lambda: ln.Artifact.filter(created_by__hobby="x"), "hobby")
    refused(errors.UnknownFieldError, lambda: ln.Artifact.all().order_by("hobby"), "hobby")
    refused(errors.UnknownFieldError, lambda: ln.Artifact.all().values("hobby"), "hobby")
    refused(errors.UnknownFieldError, lambda: ln.Artifact.to_dataframe(include="created_by__hobby"), "hobby")


def test_values_and_lists(filled: Store) -> None:
    assert ln.Artifact.filter(kind="report").values("key", "created_by__handle") == [
        {"key": "clean/iris.parquet", "created_by__handle": "grace"}
    ]
    assert ln.Artifact.all().order_by("-key").to_list("key")[0] == "raw/iris.parquet"
    assert ln.Artifact.filter(kind="report").values_list("n_observations") == [(3,)]


def test_data_frames_hold_typed_columns_and_what_is_included(filled: Store) -> None:
    table = ln.Artifact.to_dataframe(include=["created_by__name", "input_of_runs__uid"])
    assert list(table["created_by__name"]) == ["Ada Lovelace"] * 2 + ["Grace Hopper"] * 2
    assert table.index.name == "uid"
    assert list(table["created_by"]) == ["ada", "ada", "grace", "grace"]
    assert str(table["created_at"].dtype) == "datetime64[us, UTC]" or str(table["created_at"].dtype).endswith("UTC]")
    assert table["size"].dtype == "int64"
    assert len(ln.Artifact.filter(key="nope").to_dataframe()) == 0
    assert len(ln.Artifact.df()) == 4


def test_data_frames_hold_feature_values_and_labels(filled: Store) -> None:
    for name, dtype in (
        ("gc", float),
        ("count", int),
        ("day", "date"),
        ("tissue", "cat[ULabel]"),
        ("size", str),
        ("unused", int),
    ):
        ln.Feature(name, dtype=dtype).save()
    liver = ln.ULabel("liver").save()
    first, *_, last = ln.Artifact.all()
    first.features.add_values({"gc": 0.5, "count": 3, "day": "2026-11-21", "tissue": "liver"})
    last.features.add_values({"gc": 1, "size": "large"})
    first.labels.add(liver)
    table = ln.Artifact.to_dataframe(include=["features", "ulabels"])
    assert table["gc"].dtype == "float64"
    assert table["count"].dtype == "Int64"
    assert table["day"][first.uid] == pd.Timestamp("2026-11-21")
    assert list(table["tissue"]) == ["liver", None, None, None]
    assert list(table["ulabels"]) == [["liver"], [], [], []]
    assert table["gc"][last.uid] == 1
    assert table["size (feature)"][last.uid] == "large"
    assert table["size"].dtype == "int64", "the field of the registry"
    assert "unused" not in table
    assert ln.Artifact.filter(gc__gte=0.5, tissue=liver).to_dataframe(include="features")["count"].dtype == "int64"
    assert ln.Artifact.filter(gc__gt=5).to_dataframe(include="features").empty


def test_a_feature_that_does_not_exist_is_named_when_it_is_asked_for(filled: Store, refused: Refused) -> None:
    ln.Feature("cell_type", dtype="cat[ULabel]").save()
    refused(errors.UnknownFieldError, lambda: ln.Artifact.filter(cel_type="T cell"), "cell_type")
    assert ln.Artifact.filter(cell_type__isnull=True).count() == 4
    assert ln.Run.filter(outputs__cell_type__isnull=True).count() == 1


def test_search_finds_text_in_keys_and_descriptions(filled: Store) -> None:
    assert {artifact.key for artifact in ln.Artifact.search("IRIS")} == {"raw/iris.parquet", "clean/iris.parquet"}
    assert ln.Artifact.search("measured").one().version_number == 1
    assert ln.Artifact.search("iris", limit=1).count() == 1
    assert not ln.Artifact.search("100%")
    assert [user.handle for user in ln.User.search("lovelace")] == ["ada"]


def test_lookup_gives_attributes(filled: Store) -> None:
    users = ln.User.lookup()
    assert users.ada.name == "Ada Lovelace"
    assert {"ada", "grace", "anonymous"} <= set(dir(users))
    artifacts = ln.Artifact.lookup()
    assert artifacts.raw_iris_parquet.version_number == 0
    assert artifacts.raw_iris_parquet_2.version_number == 1
    assert artifacts["raw/iris.parquet"].version_number == 1
    assert repr(users) == "<lookup of 3 User records: ada, anonymous, grace>"
    with pytest.raises(
        AttributeError, match=r"no User is called 'adda' \(did you mean 'ada'\?\); there are: ada, anonymous"
    ):
        _ = users.adda
    with pytest.raises(KeyError, match="no User is called 'Ada'"):
        users["Ada"]
    with pytest.raises(errors.UnknownFieldError, match="did you mean 'handle'"):
        ln.User.lookup("handel")


def test_every_registry_answers_like_a_query_of_all_its_records(filled: Store) -> None:
    artifact = ln.Artifact.get(key="clean/wine.parquet")
    artifact.projects.add(ln.Project(name="screen").save())
    artifact.labels.add(ln.ULabel(name="good").save())
    kind = ln.Record(name="Sample", is_type=True).save()
    ln.Record(name="P53", type=kind).save()
    ln.Feature(name="weight", dtype=float).save()
    ln.Collection([artifact], key="all").save()
    for name in REGISTRIES:
        registry = getattr(ln, name)
        records = list(registry.filter())
        assert registry.count() == len(records) > 0, name
        assert registry.exists()
        assert list(registry) == list(registry.all()) == list(registry.distinct()) == registry.to_list() == records
        assert list(registry.exclude(uid=records[0].uid)) == records[1:]
        assert registry.first() == registry[0] == records[0]
        assert registry.last() == records[-1]
        assert list(registry[1:3]) == records[1:3]
        assert list(registry.order_by("-uid")) == sorted(records, key=lambda record: record.uid, reverse=True)
        assert registry.values("uid") == [{"uid": record.uid} for record in records]
        assert registry.values_list("uid") == [(record.uid,) for record in records]
        if len(records) == 1:
            assert registry.one() == registry.one_or_none() == records[0]
            continue
        for refuses in (registry.one, registry.one_or_none):
            with pytest.raises(errors.MultipleRecordsError, match=f"more than one {name} matches"):
                refuses()


def test_every_relation_is_an_attribute_and_leads_back(filled: Store) -> None:
    first, second = ln.Artifact.filter(key="raw/iris.parquet")
    label = ln.ULabel(name="good").save()
    weight = ln.Feature(name="weight", dtype=float).save()
    second.labels.add(label)
    second.features.add_values({"weight": 1})
    collection = ln.Collection([first, second], key="all").save()
    assert list(label.artifacts) == list(weight.artifacts) == [second]
    assert label.runs.count() == 0
    assert list(first.collections) == [collection]
    assert list(first.revised_by) == [second]
    assert first.created_by.created_artifacts.filter(key__startswith="raw").count() == 2
    for name, registry in REGISTRIES.items():
        assert all(inverse(registry, relation) for relation, how in registry.relations.items() if how.many)
        for record in getattr(ln, name):
            for relation, how in registry.relations.items():
                if relation == "features":
                    continue
                related = getattr(record, relation)
                others = list(related) if how.many else [related] if related is not None else []
                ids = {other.id for other in others}
                assert {other.registry.name for other in others} <= {how.target}
                found = getattr(ln, how.target).filter(id__in=ids)
                assert found.count() == len(ids)
                assert not ids or record in list(getattr(ln, name).filter(**{f"{relation}__id__in": ids})), (
                    name,
                    relation,
                )
    with pytest.raises(AttributeError, match="Artifact has no attribute 'kye'; did you mean 'key'"):
        _ = first.kye
    with pytest.raises(AttributeError, match="Artifact has no attribute 'ulable'; did you mean 'ulabels'"):
        _ = first.ulable


def test_view_shows_tables_in_a_notebook_once(
    filled: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    ln.Artifact.filter(key="clean/wine.parquet").one().labels.add(ln.ULabel(name="<b>bold</b>").save())
    monkeypatch.setattr("lineagelog.lineage.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    capsys.readouterr()
    frames = ln.view(1)
    assert len(shown) == len(frames) == len(list(filter(len, frames.values())))
    assert any("<h4>ULabel</h4>" in html and "&lt;b&gt;bold&lt;/b&gt;" in html for html in shown)
    frames._ipython_display_()  # type: ignore[attr-defined]
    assert capsys.readouterr().out == ""


def test_settings_say_and_change_where_new_artifacts_go(
    filled: Store, tmp_path: Path, refused: Refused, frame: Frame
) -> None:
    settings = ln.settings
    assert settings is ln.setup.settings
    assert settings.user == ln.User.get(handle="grace")
    first = settings.storage
    settings.storage = tmp_path / "elsewhere"
    assert settings.storage == filled.storage != first
    assert ln.Artifact(frame(7), key="far.parquet", run=False).save().storage == settings.storage
    assert "storage='" in repr(settings)
    assert "user='grace'" in repr(settings)
    settings.storage = first
    assert filled.storage == first
    made = [type(event.fact).__name__ for event in filled.events() if event.topic == "storage.made_default.1"]
    assert len(made) == 3


def test_a_setting_that_does_not_exist_or_is_no_switch_is_refused(refused: Refused) -> None:
    refused(
        errors.UnknownFieldError,
        lambda: setattr(ln.settings, "track_run_input", False),
        "did you mean 'track_run_inputs'",
    )
    refused(errors.InvalidValueError, lambda: setattr(ln.settings, "progress_bars", "no"), "must be True or False")
    refused(errors.InvalidValueError, lambda: setattr(ln.settings, "verbosity", "loud"), "silent, warning, info")
    assert ln.settings.progress_bars is True


def test_a_query_shows_its_records(filled: Store) -> None:
    assert "clean/wine.parquet" in repr(ln.Artifact.all())
    assert "<table" in ln.Artifact.all()._repr_html_()
    assert repr(ln.Artifact) == "<registry Artifact>"


def test_describe_tells_where_an_artifact_comes_from_and_went(
    filled: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = ln.Artifact.get(key="clean/iris.parquet")
    with ln.Run(ln.Transform("plot")) as run:
        artifact.load()
    artifact.describe()
    shown = capsys.readouterr().out
    for expected in (artifact.uid, "clean/iris.parquet", "grace", artifact.hash, run.uid, "clean"):
        assert expected in shown
    run.describe()
    assert artifact.uid in capsys.readouterr().out
    for record in (artifact.transform, artifact.storage, artifact.created_by):
        assert record is not None
        record.describe()
        assert record.uid in capsys.readouterr().out


def test_describe_shows_control_characters_and_does_not_send_them(
    store: Store, frame: Frame, capsys: pytest.CaptureFixture[str]
) -> None:
    ln.Artifact(frame(), key="t.parquet", description="red \x1b[31m alert", run=False).save().describe()
    assert "\x1b[31m" not in capsys.readouterr().out
