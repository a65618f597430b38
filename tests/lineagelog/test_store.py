from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psycopg
import pytest

import lineagelog as ln
from lineagelog import current, errors, location
from lineagelog.domain.event import UnknownEvent
from lineagelog.domain.ids import new_id
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]


def test_init_makes_the_store_current_and_names_it_after_its_folder(tmp_path: Path) -> None:
    store = ln.init(storage=tmp_path / "mydata")
    assert store.name == "mydata"
    assert ln.current_store() is store
    assert store.folder == tmp_path / "mydata"
    assert (tmp_path / "mydata/.lineagelog/config.json").is_file()
    assert [user.handle for user in ln.User.all()] == ["anonymous"]
    assert ln.Storage.get().root == str(tmp_path / "mydata")


def test_init_over_an_existing_store_changes_nothing(
    store: Store, store_folder: Path, refused: Callable[..., object]
) -> None:
    before = sorted(path.name for path in (store_folder / ".lineagelog").iterdir())
    refused(errors.StoreExistsError, lambda: ln.init(storage=store_folder, name="other"), "open it with")
    assert sorted(path.name for path in (store_folder / ".lineagelog").iterdir()) == before
    with Store.open(store_folder) as again:
        assert again.name == "study"


def test_a_database_holds_one_store(postgresql_address: str, tmp_path: Path) -> None:
    first = Store.create(tmp_path / "a", db=postgresql_address)
    with pytest.raises(errors.StoreExistsError, match="holds a store already"):
        Store.create(tmp_path / "b", db=postgresql_address)
    assert not location.has_store(tmp_path / "b")
    assert not (tmp_path / "b").exists()
    first.close()


def test_a_store_on_a_server_is_opened_by_folder_and_by_url(
    postgresql_address: str, tmp_path: Path, frame: Frame
) -> None:
    with Store.create(tmp_path / "team", db=postgresql_address) as store:
        artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
    with Store.open(tmp_path / "team") as by_folder, Store.open(postgresql_address) as by_url:
        assert by_folder.id == by_url.id
        pd.testing.assert_frame_equal(by_url.Artifact.get(artifact.uid).load(), frame())


def test_unknown_modules_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidValueError, match="bionty"):
        ln.init(storage=tmp_path / "mydata", modules=["bionty"])
    assert not (tmp_path / "mydata").exists()


def test_the_nearest_store_upward_is_the_current_one(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = sqlite_store.folder / "raw" / "2026"  # type: ignore[operator]
    deep.mkdir(parents=True)
    ln.close()
    monkeypatch.chdir(deep)
    assert ln.current_store().id == sqlite_store.id


def test_a_pointer_leads_to_the_store_and_moves_with_it(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    assert sqlite_store.folder is not None
    pointer = location.point_to(sqlite_store.folder, project)
    assert pointer == project / ".lineagelog"
    assert location.discover(project / "src") == sqlite_store.folder
    assert Store.open(project).id == sqlite_store.id
    ln.close()
    monkeypatch.chdir(project)
    assert ln.current_store().id == sqlite_store.id


def test_a_pointer_to_nowhere_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/.lineagelog").write_text("store: ../gone\n")
    monkeypatch.chdir(tmp_path / "project")
    with pytest.raises(errors.StoreNotFoundError, match="points to a store that is not there"):
        ln.current_store()


def test_without_any_store_the_error_says_how_to_make_one() -> None:
    with pytest.raises(errors.StoreNotFoundError, match="prov init"):
        ln.Artifact.filter()


def test_environment_variable_names_the_store(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Store.create(tmp_path / "other")
    ln.close()
    monkeypatch.setenv("LINEAGELOG_STORE", str(tmp_path / "other"))
    assert ln.current_store().id == other.id


def test_connect_by_path_and_by_name(tmp_path: Path) -> None:
    first, second = ln.init(storage=tmp_path / "first"), ln.init(storage=tmp_path / "second")
    assert ln.connect("first").id == first.id
    assert ln.current_store().id == first.id
    assert ln.connect(tmp_path / "second").id == second.id
    assert {entry["name"] for entry in ln.list_stores()} == {"first", "second"}
    with pytest.raises(errors.StoreNotFoundError, match="third"):
        ln.connect("third")


def test_stores_with_one_name_in_two_folders_are_two_stores(tmp_path: Path, frame: Frame) -> None:
    first, second = ln.init(storage=tmp_path / "a/study"), ln.init(storage=tmp_path / "b/study")
    assert first.id != second.id
    first.Artifact(frame(), key="t.parquet", run=False).save()
    assert (first.Artifact.all().count(), second.Artifact.all().count()) == (1, 0)


def test_several_stores_side_by_side_keep_their_records_apart(store: Store, tmp_path: Path, frame: Frame) -> None:
    with Store.create(tmp_path / "second") as second:
        ours = store.Artifact(frame(1), key="t.parquet", run=False).save()
        theirs = second.Artifact(frame(2), key="t.parquet", run=False).save()
        assert (ours.version_number, theirs.version_number) == (0, 0)
        assert ln.Artifact.get().uid == ours.uid
        with second.as_current():
            assert ln.Artifact.get().uid == theirs.uid
        assert ln.Artifact.get().uid == ours.uid
        run = second.Run(second.Transform("t")).save()
        with pytest.raises(errors.InvalidValueError, match="belongs to the store"):
            run.add_input(ours)
        assert not store.Run.all()


def test_a_run_of_one_store_does_not_claim_what_is_saved_in_another(store: Store, tmp_path: Path, frame: Frame) -> None:
    with Store.create(tmp_path / "second") as second, store.Run(store.Transform("t")):
        assert second.Artifact(frame(), key="t.parquet").save().run is None


def test_a_moved_store_still_finds_its_content(sqlite_store: Store, tmp_path: Path, frame: Frame) -> None:
    artifact = sqlite_store.Artifact(frame(), key="t.parquet", run=False).save()
    sqlite_store.close()
    shutil.move(tmp_path / "store", tmp_path / "elsewhere")
    with Store.open(tmp_path / "elsewhere") as moved:
        again = moved.Artifact.get(artifact.uid)
        pd.testing.assert_frame_equal(again.load(), frame())
        assert moved.Storage.get().root == str(tmp_path / "elsewhere")
        # A file under the new place of the root is in place, as it was under the old one.
        (tmp_path / "elsewhere/in_place.csv").write_text("a\n1\n")
        assert moved.Artifact(tmp_path / "elsewhere/in_place.csv", run=False).save().key == "in_place.csv"
        assert moved.verify().ok


def test_delete_needs_force_and_leaves_content(store: Store, store_folder: Path, frame: Frame) -> None:
    path = store.Artifact(frame(), key="t.parquet", run=False).save().path
    head = store.log.head()
    with pytest.raises(errors.DomainError, match="nothing was deleted") as caught:
        ln.delete(store_folder)
    assert "1 artifacts" in str(caught.value)
    assert store.log.head() == head
    left = store.delete(force=True)
    assert "1 artifacts" in left
    assert Path(path).is_file()
    assert not ln.list_stores()
    with pytest.raises(errors.StorageError):
        Store.open(store_folder)


@pytest.mark.parametrize("shared", [True, False])
def test_delete_takes_only_its_own_from_a_server(postgresql_address: str, tmp_path: Path, shared: bool) -> None:
    address, _, name = postgresql_address.partition("&schema=")
    with psycopg.connect(address, autocommit=True) as connection:
        if shared:
            connection.execute(f"CREATE SCHEMA {name}")
            connection.execute(f"CREATE TABLE {name}.theirs (x int)")
        Store.create(tmp_path / "store", db=postgresql_address).delete(force=True)
        left = connection.execute(
            "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(%s)", (name,)
        ).fetchall()
        assert left == ([("theirs",)] if shared else [])
        assert connection.execute("SELECT to_regnamespace(%s) IS NULL", (name,)).fetchone() == (not shared,)
    Store.create(tmp_path / "again", db=postgresql_address).close()


def test_a_closed_store_says_so(sqlite_store: Store, frame: Frame) -> None:
    artifact = sqlite_store.Artifact(frame(), key="t.parquet", run=False).save()
    sqlite_store.close()
    artifact.description = "too late"
    with pytest.raises(errors.StorageError, match="was closed"):
        artifact.save()


def test_a_store_of_a_newer_version_is_read_verified_and_exported_and_takes_no_writes(
    tmp_path: Path, frame: Frame, capfd: pytest.CaptureFixture[str]
) -> None:
    with Store.create(tmp_path / "store") as store:
        artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
        landed = UnknownEvent(unknown_topic="moon.landed.1", payload='{ "crew": 2 }')
        store.append([store.new_event(landed, new_id())])
    with sqlite3.connect(tmp_path / "store/.lineagelog/store.db") as connection:
        connection.execute("UPDATE log_head SET format = 99")
    connection.close()
    with Store.open(tmp_path / "store") as newer:
        assert "is written in store format 99" in capfd.readouterr().err
        assert newer.Artifact.get(artifact.uid).load().equals(frame())
        assert newer.trail(limit=1).__next__().details == {"payload": '{ "crew": 2 }'}
        newer.export(tmp_path / "newer.events.csv")
        assert "moon.landed.1" in (tmp_path / "newer.events.csv").read_text()
        assert "not on record" in capfd.readouterr().err
        report = newer.verify()
        assert report.ok
        assert any("1 moon.landed.1" in what for what in report.not_checked)
        assert any(what.startswith("the registries, which newer software") for what in report.not_checked)
        assert "the registries are what" not in report.to_text()
        found = newer.Artifact.get(artifact.uid)
        found.description = "written by an older version"
        for write in (found.save, lambda: newer.login("ada", name="Ada"), newer.rebuild):
            with pytest.raises(errors.SchemaVersionError, match="format 99"):
                write()
        copied = newer.record_log(tmp_path / "newer.jsonl")
        with Store.open_recorded(copied) as copy, pytest.raises(errors.SchemaVersionError, match="format 99"):
            copy.login("ada", name="Ada")


def test_a_damaged_configuration_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    Store.create(tmp_path / "store").close()
    (tmp_path / "store/.lineagelog/config.json").write_text("{")
    with pytest.raises(errors.StoreUnavailableError, match=r"config\.json"):
        Store.open(tmp_path / "store")


def test_a_database_password_is_kept_apart_and_not_shown(postgresql_address: str, tmp_path: Path) -> None:
    user, _, rest = postgresql_address.removeprefix("postgresql://").partition("@")
    url = f"postgresql://{user.partition(':')[0]}:s3cret-word@{rest}"
    with Store.create(tmp_path / "team", db=url) as store:
        folder = tmp_path / "team/.lineagelog"
        assert "s3cret-word" not in (folder / "config.json").read_text()
        assert (folder / "secrets.json").stat().st_mode & 0o077 == 0
        assert "s3cret-word" not in repr(store) + str(ln.list_stores())
        assert not any("s3cret-word" in event.context + str(event.fact) for event in store.events())
    Store.open(tmp_path / "team").close()


def test_rebuild_gives_the_same_tables(store: Store, frame: Frame) -> None:
    with store.Run(store.Transform("t")) as run:
        first = store.Artifact(frame(1), key="t.parquet").save()
    with store.Run(store.Transform("u")) as other:
        first.load()
        store.Artifact(frame(2), key="t.parquet").save()
    before = store.Artifact.to_dataframe(), store.Run.to_dataframe()
    assert store.rebuild() == store.log.head().position
    pd.testing.assert_frame_equal(store.Artifact.to_dataframe(), before[0])
    pd.testing.assert_frame_equal(store.Run.to_dataframe(), before[1])
    assert [artifact.uid for artifact in other.inputs] == [first.uid]
    assert run.refresh().status == "finished"


def test_view_shows_the_latest_additions(store: Store, frame: Frame, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        store.Artifact(frame(number), key=f"t{number}.parquet", run=False).save()
    frames = ln.view(limit=2)
    assert list(frames["Artifact"]["key"]) == ["t2.parquet", "t1.parquet"]
    assert "Run" not in frames
    assert "t2.parquet" in capsys.readouterr().out


def test_a_search_without_its_table_names_the_rebuild(store: Store, refused: Callable[..., object]) -> None:
    store.ULabel("checked").save()
    with store.log.database.write() as transaction:
        transaction.execute("DROP TABLE search_words")
    refused(errors.StorageError, lambda: store.ULabel.search("check").first(), "search_words")
    refused(errors.StorageError, lambda: store.ULabel("other").save(), "search_words")
    store.rebuild()
    assert [label.name for label in store.ULabel.search("check")] == ["checked"]


def test_a_store_of_an_older_version_names_what_its_tables_lack_until_they_are_rebuilt(
    store: Store, store_folder: Path, frame: Frame, refused: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = store.Artifact(frame(), key="a.parquet", run=False).save()
    with store.log.database.write() as transaction:
        transaction.execute("DROP TABLE collections")
        transaction.execute("ALTER TABLE artifacts DROP COLUMN otype")
        transaction.execute("ALTER TABLE runs DROP COLUMN error_type")
    capsys.readouterr()
    with Store.open(store_folder) as older:
        warned = capsys.readouterr().err
        assert warned.count("prov rebuild") == len(warned.splitlines()) == 1
        for lacking in ("collections", "artifacts.otype", "runs.error_type"):
            assert lacking in warned
        refused(errors.StorageError, lambda: older.Artifact.get(artifact.uid), "otype.*prov rebuild")
        refused(errors.StorageError, lambda: older.Artifact(frame(2), key="b", run=False).save(), "prov rebuild")
        assert not list((store_folder / ".lineagelog-staging").iterdir())
        report = older.verify().to_text()
        for lacking in ("table collections", "column artifacts.otype", "column runs.error_type"):
            assert f"the {lacking} is missing; `prov rebuild`" in report
        older.rebuild()
    with Store.open(store_folder) as mended:
        assert capsys.readouterr().err == ""
        assert mended.Collection.filter().count() == 0
        assert mended.Artifact.get(artifact.uid).otype == "DataFrame"


def test_a_store_is_named_alike_wherever_it_can_be_named(
    sqlite_store: Store, store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(store_folder), Store.create(tmp_path / "second", name="twin") as twin:
        pass
    with ln.open("twin") as opened:
        assert opened.id == twin.id
    monkeypatch.setenv("LINEAGELOG_STORE", "twin")
    current.set_current_store(None)
    assert ln.current_store().id == twin.id
    ln.close()
    monkeypatch.setenv("LINEAGELOG_STORE", twin.id)
    assert ln.current_store().id == twin.id
    ln.close()
    monkeypatch.setenv("LINEAGELOG_STORE", "twain")
    with pytest.raises(errors.StoreNotFoundError, match=r"'twain'.*prov list"):
        ln.current_store()
    with pytest.raises(errors.DomainError, match="nothing was deleted"):
        ln.delete("twin")
    ln.delete("twin", force=True)
    with pytest.raises(errors.StoreNotFoundError, match="'twin'"):
        ln.open("twin")
    with Store.create(tmp_path / "third", name="study"), pytest.raises(errors.StoreNotFoundError, match="2 stores"):
        ln.delete("study", force=True)
