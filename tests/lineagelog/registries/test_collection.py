from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.domain.collection import collection_hash
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]

APPEND = """
    import sys
    import lineagelog as ln
    me = sys.argv[1]
    growing = ln.Collection.get(key="growing", version_number=0)
    for artifact in ln.Artifact.filter(key__startswith=f"{me}/"):
        growing.append(artifact)
"""

SAVE = """
    import lineagelog as ln
    artifacts = list(ln.Artifact.all())
    for number in range(1, len(artifacts)):
        ln.Collection(artifacts[:number], key="same").save()
"""


@pytest.fixture
def artifacts(store: Store, frame: Frame) -> list[ln.Artifact]:
    """Three tables, saved outside of any run."""
    return [ln.Artifact(frame(number), key=f"{number}.parquet", run=False).save() for number in (1, 2, 3)]


def facts(store: Store, since: int) -> list[Any]:
    """Return the facts that were recorded after a position."""
    return [event.fact for event in store.events(after=since)]


def test_a_collection_is_one_event_and_keeps_its_order(store: Store, artifacts: list[ln.Artifact]) -> None:
    before = store.log.head().position
    order = [artifacts[2], artifacts[0], artifacts[1]]
    saved = ln.Collection(order, key="iris", description="Iris, all sites", version="2026").save()
    (fact,) = facts(store, before)
    assert type(fact).__name__ == "CollectionRegistered"
    assert fact.artifacts == [artifact.id for artifact in order]
    assert fact.hash == saved.hash == collection_hash([artifact.hash for artifact in order])
    assert (saved.n_artifacts, len(saved), saved.version, saved.version_number, saved.is_latest) == (
        3,
        3,
        "2026",
        0,
        True,
    )
    found = ln.Collection.get(key="iris")
    assert list(found) == order
    assert found.artifacts.to_list("key") == ["3.parquet", "1.parquet", "2.parquet"]
    assert found.artifacts.to_dataframe()["key"].tolist() == ["3.parquet", "1.parquet", "2.parquet"]
    assert found.artifacts[0] == found.artifacts.first() == artifacts[2]
    assert found.artifacts.last() == artifacts[1]
    assert list(found.artifacts[1:]) == order[1:]
    assert found.artifacts.filter(key__startswith="1").one() == artifacts[0]
    assert ln.Collection.filter(artifacts=artifacts[0]).one() == found


def test_equal_content_is_the_version_that_exists_and_other_content_the_next(
    store: Store, artifacts: list[ln.Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    first = ln.Collection(artifacts[:2], key="iris").save()
    before = store.log.head()
    again = ln.Collection(artifacts[:2], name="iris").save()
    assert again == first
    assert store.log.head() == before
    assert f"Collection(uid={first.uid!r}" in capsys.readouterr().err
    turned = ln.Collection(artifacts[1::-1], key="iris").save()
    tagged = ln.Collection(artifacts[1::-1], key="iris", version="final").save()
    back = ln.Collection(artifacts[:2], key="iris").save()
    assert [collection.uid for collection in first.versions] == [c.uid for c in (first, turned, tagged, back)]
    assert [collection.version_number for collection in first.versions] == [0, 1, 2, 3]
    assert [collection.is_latest for collection in first.versions] == [False, False, False, True]
    assert {collection.uid[:16] for collection in first.versions} == {first.uid[:16]}
    assert ln.Collection.get(key="iris") == back
    assert list(first.refresh()) == artifacts[:2]


def test_append_makes_the_next_version(store: Store, artifacts: list[ln.Artifact]) -> None:
    first = ln.Collection(artifacts[0], key="iris", description="growing").save()
    second = first.append(artifacts[1])
    third = first.append([artifacts[2], artifacts[0]], description="grown")
    assert list(first) == artifacts[:1]
    assert list(second) == artifacts[:2]
    assert list(third) == artifacts
    assert [collection.description for collection in (first, second, third)] == ["growing", "growing", "grown"]
    before = store.log.head()
    assert first.append(artifacts[0]) == third
    assert store.log.head() == before
    assert not first.refresh().is_latest


def test_a_family_goes_on_under_another_key_but_not_under_that_of_another(
    store: Store, artifacts: list[ln.Artifact], refused: Refused
) -> None:
    first = ln.Collection(artifacts[:1], key="iris").save()
    second = ln.Collection(artifacts[:2], revises=first).save()
    third = ln.Collection(artifacts, key="flowers", revises=second).save()
    assert {collection.uid[:16] for collection in (second, third)} == {first.uid[:16]}
    assert second.key == "iris"
    other = ln.Collection(artifacts, key="other").save()
    assert other.uid[:16] != first.uid[:16]
    refused(errors.ConstraintError, lambda: ln.Collection(artifacts[:1], key="other", revises=third).save(), "family")


def test_what_cannot_be_a_collection_is_refused(
    store: Store, artifacts: list[ln.Artifact], refused: Refused, tmp_path: Path, frame: Frame
) -> None:
    refused(errors.InvalidValueError, lambda: ln.Collection([], key="x"), "at least one")
    refused(errors.InvalidValueError, lambda: ln.Collection([artifacts[0], artifacts[0]], key="x"), "twice")
    refused(errors.InvalidValueError, lambda: ln.Collection(artifacts), "key")
    saved = ln.Collection(artifacts[:1], key="x").save()
    refused(errors.UnsavedRecordError, lambda: saved.append(ln.Artifact(frame(9), key="9.parquet")), "save")
    refused(errors.UnsavedRecordError, lambda: ln.Collection(artifacts, key="y").append(artifacts[0]), "save")
    refused(errors.UnsavedRecordError, lambda: ln.Collection(artifacts, key="y").artifacts, "save")
    refused(errors.ImmutableFieldError, lambda: setattr(saved, "key", "y"), "key")
    for wrong in (3, ["1.parquet"], [saved]):
        with pytest.raises(TypeError):
            ln.Collection(wrong, key="x")  # type: ignore[arg-type]
    with Store.create(tmp_path / "other") as other:
        foreign = other.Artifact(frame(7), key="7.parquet", run=False).save()
        refused(errors.InvalidValueError, lambda: ln.Collection(foreign, key="x"), "store")


def test_new_artifacts_are_saved_with_their_collection(store: Store, frame: Frame, refused: Refused) -> None:
    new = [ln.Artifact(frame(number), key=f"{number}.parquet", run=False) for number in (1, 2)]
    described = ln.Collection(new, key="iris", run=False)
    assert list(described) == new
    assert len(described) == 2
    assert described.save().artifacts.to_list("key") == ["1.parquet", "2.parquet"]
    more = ln.Artifact(frame(3), key="3.parquet", run=False)
    ln.save([ln.Collection([more], key="other", run=False), more])
    assert ln.Collection.get(key="other").artifacts.one() == more
    same = [ln.Artifact(frame(4), key="4.parquet", run=False) for _ in range(2)]
    with pytest.raises(errors.InvalidValueError, match="twice"):
        ln.Collection(same, key="same", run=False).save()
    assert not ln.Collection.filter(key="same").exists()


def test_changes_are_on_record_with_old_and_new_value(store: Store, artifacts: list[ln.Artifact]) -> None:
    saved = ln.Collection(artifacts, key="iris", description="before").save()
    saved.description = "after"
    saved.save(reason="a typo")
    *_, event = saved.history()
    assert type(event.fact).__name__ == "CollectionUpdated"
    assert (event.fact.changes["description"].old, event.fact.changes["description"].new) == ("before", "after")
    assert event.reason == "a typo"


def test_the_run_is_on_record_and_loading_makes_inputs(store: Store, artifacts: list[ln.Artifact]) -> None:
    with ln.Run(ln.Transform("collect")) as maker:
        saved = ln.Collection(artifacts, key="iris").save()
    assert (saved.run, saved.transform) == (maker, maker.transform)
    with ln.Run(ln.Transform("train")) as reader:
        table = saved.load()
    assert table["x"].tolist() == [10, 11, 12, 20, 21, 22, 30, 31, 32]
    assert table.index.tolist() == list(range(9))
    assert set(reader.inputs) == set(artifacts)
    with ln.Run(ln.Transform("peek")) as peek:
        saved.load(is_run_input=False)
        assert [path.is_file() for path in saved.cache(is_run_input=False)] == [True] * 3
    assert not peek.inputs
    with pytest.raises(errors.RunClosedError):
        ln.Collection(artifacts[:1], key="late", run=peek).save()


def test_only_tables_are_loaded_as_one(
    store: Store, artifacts: list[ln.Artifact], write: Callable[[str, str], Path], refused: Refused
) -> None:
    text = ln.Artifact(write("note.txt", "x"), key="note.txt", run=False).save()
    mixed = ln.Collection([*artifacts, text], key="mixed", run=False).save()
    refused(errors.UnsupportedFormatError, mixed.load, "note.txt")


def test_lineage_is_that_of_all_artifacts(store: Store, frame: Frame, tmp_path: Path) -> None:
    runs, made = [], []
    for number in (1, 2):
        with ln.Run(ln.Transform(f"make {number}")) as run:
            made.append(ln.Artifact(frame(number), key=f"{number}.parquet").save())
        runs.append(run)
    saved = ln.Collection(made, key="iris", run=False).save()
    with ln.Run(ln.Transform("use")) as use:
        saved.load()
        result = ln.Artifact(frame(3), key="result.parquet").save()
    assert set(saved.upstream()["uid"]) == {record.uid for record in (*runs, *made)}
    assert {use.uid, result.uid} <= set(saved.downstream()["uid"])
    assert set(saved.lineage_graph().nodes) == {record.uid for record in (*runs, *made, use, result)}
    assert saved.view_lineage(tmp_path / "lineage.svg").read_text().count("make") >= 2


def test_describe_and_view_show_a_collection(
    store: Store, artifacts: list[ln.Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    saved = ln.Collection(artifacts, key="iris", description="Iris, all sites").save()
    capsys.readouterr()
    saved.describe()
    shown = capsys.readouterr().out
    for part in ("Iris, all sites", ".artifacts (3)", "1.parquet", "2.parquet", "3.parquet"):
        assert part in shown, part
    assert store.view()["Collection"]["key"].tolist() == ["iris"]
    (entry,) = [entry for entry in store.trail() if entry.event == "CollectionRegistered"]
    assert (entry.kind, entry.key) == ("Collection", "iris")
    assert entry.details["artifacts"] == ["1.parquet", "2.parquet", "3.parquet"]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_concurrent_append_is_lost(
    database: str, frame: Frame, start_script: Any, store_folder: Path, request: pytest.FixtureRequest
) -> None:
    db = None if database == "sqlite" else str(request.getfixturevalue("postgresql_address"))
    with Store.create(store_folder, db=db) as store, store.as_current():
        base = ln.Artifact(frame(0), key="base.parquet", run=False).save()
        new = [
            ln.Artifact(frame(10 * me + number), key=f"{me}/{number}.parquet", run=False)
            for me in (1, 2) for number in range(8)
        ]  # fmt: skip
        store.save(new)
        first = ln.Collection(base, key="growing").save()
        processes = [start_script(APPEND, name=f"append{me}.py", arguments=(str(me),)) for me in (1, 2)]
        for process in processes:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
        versions = list(first.versions)
        assert [version.version_number for version in versions] == list(range(17))
        assert [version.is_latest for version in versions] == [False] * 16 + [True]
        assert [len(version) for version in versions] == list(range(1, 18))
        assert set(versions[-1]) == {base, *new}
        assert store.verify().ok


def test_processes_that_save_one_collection_make_one_family(
    sqlite_store: Store, frame: Frame, start_script: Any
) -> None:
    sqlite_store.save([ln.Artifact(frame(number), key=f"{number}.parquet", run=False) for number in range(8)])
    processes = [start_script(SAVE, name=f"save{number}.py") for number in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    versions = list(ln.Collection.filter(key="same"))
    assert len({version.uid[:16] for version in versions}) == 1
    assert [version.version_number for version in versions] == list(range(len(versions)))
    assert [version.is_latest for version in versions] == [False] * (len(versions) - 1) + [True]
    assert len(versions) >= 7
