from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Write = Callable[[str, str], Path]
Refused = Callable[..., errors.LineageLogError]


def test_a_file_is_described_by_what_it_holds(store: Store, write: Write) -> None:
    path = write("iris.csv", "a,b\n1,2\n3,4\n")
    artifact = ln.Artifact(path, key="raw/iris.csv", description="three species", kind="dataset", run=False).save()
    assert artifact.hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (artifact.hash_type, artifact.size, artifact.suffix, artifact.n_observations) == ("sha256", 12, ".csv", 2)
    assert (artifact.kind, artifact.description, artifact.key) == ("dataset", "three species", "raw/iris.csv")
    assert (len(artifact.uid), artifact.uid[16:], artifact.is_latest) == (20, "0000", True)


def test_a_folder_is_one_artifact(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub/b.txt").write_text("bb")
    artifact = ln.Artifact(folder, key="images", run=False).save()
    assert (artifact.n_files, artifact.size, artifact.hash_type) == (2, 3, "sha256-folder")
    assert (artifact.cache() / "sub/b.txt").read_text() == "bb"
    again = ln.Artifact(folder, key="images", run=False).save()
    assert again.uid == artifact.uid
    (folder / "sub/b.txt").rename(folder / "sub/c.txt")
    assert ln.Artifact(folder, key="images", run=False).save().uid == artifact.uid[:16] + "0001"


def test_the_files_of_a_folder_become_artifacts_with_keys_under_it(
    store: Store, store_folder: Path, tmp_path: Path
) -> None:
    for place in (tmp_path / "studies", store_folder / "studies"):
        (place / "sub").mkdir(parents=True)
        (place / "a.csv").write_text(f"x\n{place.parent.name}\n")
        (place / "sub/b.csv").write_text(f"y\n{place.parent.name}\n")
    copied = ln.save(ln.Artifact.from_dir(tmp_path / "studies", key="raw"))
    assert [artifact.key for artifact in copied] == ["raw/a.csv", "raw/sub/b.csv"]  # type: ignore[attr-defined]
    in_place = ln.save(ln.Artifact.from_dir(store_folder / "studies"))
    assert [artifact.key for artifact in in_place] == ["studies/a.csv", "studies/sub/b.csv"]  # type: ignore[attr-defined]
    assert not any(artifact.key_is_virtual for artifact in in_place)  # type: ignore[attr-defined]


def test_a_data_frame_comes_back_as_it_was(store: Store, frame: Frame) -> None:
    table = frame()
    artifact = ln.Artifact(table, key="t.parquet", run=False).save()
    assert (artifact.otype, artifact.suffix, artifact.kind, artifact.n_observations) == (
        "DataFrame",
        ".parquet",
        "dataset",
        3,
    )
    pd.testing.assert_frame_equal(artifact.load(), table)
    assert ln.Artifact.from_df(table, key="t.parquet", run=False).save().uid == artifact.uid


@pytest.mark.parametrize(
    ("name", "text", "loaded"),
    [("a.json", '{"x": [1, 2]}', {"x": [1, 2]}), ("a.txt", "hällo", "hällo"), ("a.md", "# hi", "# hi")],
)
def test_files_load_by_their_suffix(sqlite_store: Store, write: Write, name: str, text: str, loaded: object) -> None:
    assert ln.Artifact(write(name, text), key=name, run=False).save().load() == loaded


def test_equal_content_under_a_key_is_one_artifact_and_both_runs_have_it(store: Store, frame: Frame) -> None:
    with ln.Run(ln.Transform("first")) as first:
        made = ln.Artifact(frame(), key="t.parquet").save()
    with ln.Run(ln.Transform("second")) as second:
        again = ln.Artifact(frame(), key="t.parquet", description="once more").save()
    assert again.uid == made.uid
    assert again.run == first, "the first run generated it"
    assert [run.uid for run in made.output_of_runs] == [first.uid, second.uid]
    assert [artifact.uid for artifact in second.outputs] == [made.uid]
    *_, event = made.history()
    assert event.topic == "artifact.seen_again.1"
    assert (event.run, event.fact.description) == (second.id, "once more")
    assert ln.Artifact.all().count() == 1


def test_equal_content_under_another_key_is_a_second_artifact(store: Store, frame: Frame) -> None:
    first = ln.Artifact(frame(), key="a.parquet", run=False).save()
    second = ln.Artifact(frame(), key="b.parquet", run=False).save()
    assert second.hash == first.hash
    assert second.uid[:16] != first.uid[:16]
    pd.testing.assert_frame_equal(second.load(), frame())


def test_equal_content_without_a_key_is_found_wherever_it_is(store: Store, write: Write) -> None:
    first = ln.Artifact(write("a.txt", "same"), key="a.txt", run=False).save()
    assert ln.Artifact(write("b.txt", "same"), run=False).save().uid == first.uid
    other = ln.Artifact(write("c.txt", "other"), description="no key", run=False).save()
    assert other.key is None


def test_older_content_saved_again_is_the_latest_version(store: Store, frame: Frame) -> None:
    saved = [ln.Artifact(frame(number), key="t.parquet", run=False).save() for number in (1, 2, 1)]
    assert [artifact.uid[16:] for artifact in saved] == ["0000", "0001", "0002"]
    assert [version.is_latest for version in saved[0].versions] == [False, False, True]
    pd.testing.assert_frame_equal(ln.Artifact.get(key="t.parquet").load(), frame(1))


def test_hash_lookup_can_be_skipped(store: Store, frame: Frame) -> None:
    first = ln.Artifact(frame(), key="t.parquet", run=False).save()
    second = ln.Artifact(frame(), key="t.parquet", skip_hash_lookup=True, run=False).save()
    third = ln.Artifact(frame(), description="no key", skip_hash_lookup=True, run=False).save()
    assert second.uid == first.uid[:16] + "0001"
    assert third.uid[:16] != first.uid[:16]


def test_revises_goes_on_with_a_family_under_another_key(store: Store, frame: Frame, refused: Refused) -> None:
    first = ln.Artifact(frame(1), key="old.parquet", run=False).save()
    second = ln.Artifact(frame(2), key="new.parquet", revises=first, run=False).save()
    assert second.uid == first.uid[:16] + "0001"
    assert not first.refresh().is_latest
    # Both keys lead to the family now.
    third = ln.Artifact(frame(3), key="old.parquet", run=False).save()
    assert third.uid == first.uid[:16] + "0002"
    other = ln.Artifact(frame(4), key="other.parquet", run=False).save()
    refused(
        errors.ConstraintError,
        lambda: ln.Artifact(frame(5), key="old.parquet", revises=other, run=False).save(),
        "another family",
    )
    with pytest.raises(errors.UnsavedRecordError):
        ln.Artifact(frame(6), revises=ln.Artifact(frame(7), key="x.parquet"))


def test_a_version_tag_is_found_and_may_change(store: Store, frame: Frame) -> None:
    ln.Artifact(frame(1), key="t.parquet", version="1.0", run=False).save()
    second = ln.Artifact(frame(2), key="t.parquet", version="draft", run=False).save()
    second.version = "2.0"
    second.save()
    assert ln.Artifact.get(key="t.parquet", version="1.0").version_number == 0
    assert ln.Artifact.get(key="t.parquet").version == "2.0"


def test_a_change_keeps_old_and_new_value_and_the_reason(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", description="first", run=False).save()
    user = store.login("ada", name="Ada")
    artifact.description, artifact.kind = "second", "report"
    artifact.save(reason="review of Tuesday")
    *_, event = artifact.history()
    changes = {name: (change.old, change.new) for name, change in event.fact.changes.items()}
    assert changes == {"description": ("first", "second"), "kind": ("dataset", "report")}
    assert (event.reason, event.actor) == ("review of Tuesday", user.id)
    assert ln.Artifact.get(artifact.uid).description == "second"
    assert artifact.updated_at > artifact.created_at
    head = store.log.head()
    artifact.save()
    assert store.log.head() == head, "nothing had changed"


def test_what_identifies_an_artifact_cannot_be_assigned(store: Store, frame: Frame, refused: Refused) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    for field in (
        "uid",
        "key",
        "hash",
        "size",
        "suffix",
        "run_id",
        "created_by_id",
        "created_at",
        "storage_path",
        "is_latest",
    ):
        error = refused(errors.ImmutableFieldError, lambda field=field: setattr(artifact, field, "x"), field)  # type: ignore[misc]
        assert "description" in str(error)
    refused(errors.UnknownFieldError, lambda: setattr(artifact, "descripton", "x"), "did you mean 'description'")


def test_two_people_changing_one_artifact_cannot_overwrite_each_other(
    store: Store, frame: Frame, refused: Refused
) -> None:
    mine = ln.Artifact(frame(), key="t.parquet", run=False).save()
    theirs = ln.Artifact.get(mine.uid)
    theirs.description = "theirs"
    theirs.save()
    mine.description = "mine"
    refused(errors.ConcurrentWriteError, mine.save, "refresh")
    mine.refresh().description = "mine, knowing theirs"
    mine.save()
    assert [event.topic for event in mine.history()] == [
        "artifact.registered.1",
        "artifact.updated.1",
        "artifact.updated.1",
    ]


def test_a_record_seen_again_can_be_changed_at_once(store: Store, frame: Frame, write: Write) -> None:
    first = ln.Artifact(frame(), key="t.parquet", run=False).save()
    again = ln.Artifact(frame(), key="t.parquet", run=False).save()
    again.description = "known for long"
    again.save()
    twins = [ln.Artifact(write(f"{number}.txt", "twin"), run=False) for number in range(2)]
    ln.save(twins)
    assert twins[0].uid == twins[1].uid
    twins[1].description = "of two"
    twins[1].save()
    assert first.refresh().description == "known for long"


def test_a_tampered_file_is_not_loaded(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(1), key="t.parquet", run=False).save()
    artifact.load()
    other = ln.Artifact(frame(2), key="u.parquet", run=False).save()
    path = Path(artifact.path)
    path.chmod(0o644)
    path.write_bytes(Path(other.path).read_bytes())
    for read in (artifact.load, artifact.cache, ln.Artifact.get(artifact.uid).load):
        with pytest.raises(errors.DigestMismatchError, match=artifact.hash):
            read()


def test_a_file_changed_after_it_was_loaded_is_not_loaded_whatever_its_time_says(store: Store, write: Write) -> None:
    artifact = store.Artifact(write("t.txt", "right"), key="t.txt", run=False).save()
    assert artifact.load() == "right"
    path = artifact.cache()
    before = path.stat()
    path.write_text("wrong")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(errors.DigestMismatchError):
        artifact.load()


def test_a_tampered_folder_is_not_served(store: Store, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    (tmp_path / "many/a.txt").write_text("a")
    artifact = ln.Artifact(tmp_path / "many", key="many", run=False).save()
    path = artifact.cache()
    (path / "a.txt").chmod(0o644)
    (path / "a.txt").write_text("b")
    with pytest.raises(errors.DigestMismatchError):
        artifact.cache()


def test_missing_content_is_said_to_be_missing(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    Path(artifact.path).unlink()
    for read in (artifact.load, artifact.cache, artifact.open):
        with pytest.raises(errors.ObjectMissingError, match=Path(artifact.path).name):
            read()


def test_a_failed_read_is_no_input(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    Path(artifact.path).unlink()
    with pytest.raises(errors.ObjectMissingError), ln.Run(ln.Transform("read")) as run:
        artifact.load()
    assert not run.inputs


def test_formats_that_can_run_code_need_trust(sqlite_store: Store, tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    artifact = ln.Artifact(path, key="model.pkl", kind="model", run=False).save()
    with pytest.raises(errors.UnsupportedFormatError, match="trust"):
        artifact.load()
    assert artifact.load(trust=True) == {"weights": [1, 2]}


def test_an_unsaved_artifact_has_no_history(store: Store, frame: Frame, refused: Refused) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False)
    for call in (artifact.load, artifact.cache, artifact.open, artifact.refresh, artifact.history, artifact.upstream):
        refused(errors.UnsavedRecordError, call, "save")


def test_saving_many_is_all_or_nothing(store: Store, write: Write, frame: Frame, refused: Refused) -> None:
    assert store.folder is not None
    gone = write("gone.txt", "gone")
    artifacts = [
        ln.Artifact(frame(), key="t.parquet", run=False),
        ln.Artifact(write("a.txt", "a"), key="a.txt", run=False),
        ln.Artifact(gone, key="gone.txt", run=False),
    ]
    gone.unlink()
    refused(errors.ObjectMissingError, lambda: ln.save(artifacts), "gone.txt")
    assert not [path for path in store.folder.rglob("*") if path.is_file() and path.suffix in (".parquet", ".txt")]
    gone.write_text("back")
    before = store.log.head().position
    ln.save(artifacts)
    (registered,) = {event.recorded_at for event in store.events(after=before)}
    assert registered, "one transaction has one time"
    assert store.log.head().position == before + 3


def test_a_call_may_save_several_versions_of_one_key(store: Store, frame: Frame) -> None:
    artifacts = [ln.Artifact(frame(number), key="t.parquet", run=False) for number in (1, 2, 2, 1)]
    ln.save(artifacts)
    assert [artifact.version_number for artifact in artifacts] == [0, 1, 1, 2]
    assert [version.is_latest for version in ln.Artifact.all()] == [False, False, True]


def test_a_bulk_saved_older_version_knows_that_it_is_not_the_latest(store: Store, frame: Frame) -> None:
    artifacts = [ln.Artifact(frame(number), key="t.parquet", run=False) for number in (1, 2)]
    ln.save(artifacts)
    assert [artifact.is_latest for artifact in artifacts] == [False, True]


def test_records_are_equal_when_they_are_the_same_record(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    assert ln.Artifact.get(artifact.uid) == artifact
    assert len({artifact, ln.Artifact.get(artifact.uid)}) == 1
    assert artifact.uid in repr(artifact)
    assert artifact != artifact.storage


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_a_frame_is_written_as_its_key_says(store: Store, suffix: str) -> None:
    import pandas as pd

    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y,\n z"]})
    saved = ln.Artifact.from_dataframe(table, key=f"processed/batch{suffix}").save()
    assert (saved.suffix, saved.n_observations) == (suffix, 2)
    assert str(saved.path).endswith(suffix)
    pd.testing.assert_frame_equal(saved.load(), table, check_dtype=False)
    again = ln.Artifact.from_dataframe(table, key=f"processed/batch{suffix}").save()
    assert again.uid == saved.uid, "equal frames give equal bytes"


def test_a_frame_under_a_key_of_another_format_is_refused(store: Store) -> None:
    import pandas as pd

    with pytest.raises(errors.UnsupportedFormatError, match="choose such a key"):
        ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="table.xlsx")


@pytest.mark.parametrize("damage", ["removed", "altered"])
def test_saving_again_what_storage_has_lost_keeps_the_bytes(
    store: Store, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "t.txt"
    source.write_text("precious")
    first = ln.Artifact(source, key="t.txt").save()
    stored = Path(str(first.path))
    stored.unlink()
    if damage == "altered":
        stored.write_text("rubbish!")
    again = ln.Artifact(source, key="t.txt").save()
    assert "gone or altered" in capsys.readouterr().err
    assert again.uid != first.uid
    assert again.load() == "precious"


def test_a_description_that_is_not_taken_is_said(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "t.txt"
    source.write_text("x")
    ln.Artifact(source, key="t.txt", description="one").save()
    again = ln.Artifact(source, key="t.txt", description="two").save()
    assert again.description == "one"
    assert "stays 'one'" in capsys.readouterr().err


def test_options_reach_the_reader_of_a_table(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text("a;b\n1,5;2\n")
    saved = ln.Artifact(source, key="t.csv").save()
    assert saved.load(sep=";", decimal=",").to_dict("list") == {"a": [1.5], "b": [2]}
    with pytest.raises(TypeError, match="options for tables only"):
        _text(store, tmp_path).load(sep=";")


def _text(store: Store, tmp_path: Path) -> ln.Artifact:
    path = tmp_path / "note.txt"
    path.write_text("x")
    return ln.Artifact(path, key="note.txt").save()


def test_from_dir_leaves_no_file_out_and_follows_no_link(store: Store, tmp_path: Path, refused: Refused) -> None:
    folder, elsewhere = tmp_path / "raw", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        place.mkdir()
        (place / "a.txt").write_text(place.name)
    (folder / "linked").symlink_to(elsewhere)
    refused(errors.UnsupportedFormatError, lambda: ln.Artifact.from_dir(folder), "symbolic link 'linked'")
    (folder / "linked").unlink()
    os.mkfifo(folder / "pipe")
    refused(errors.UnsupportedFormatError, lambda: ln.Artifact.from_dir(folder), "pipe")
    (folder / "pipe").unlink()
    assert [artifact.key for artifact in ln.Artifact.from_dir(folder)] == ["raw/a.txt"]


def test_saving_a_known_folder_again_says_so_in_one_line(
    sqlite_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw").mkdir()
    for number in range(30):
        (tmp_path / f"raw/{number}.txt").write_text(str(number))
    first = ln.save(ln.Artifact.from_dir(tmp_path / "raw"))
    capsys.readouterr()
    again = ln.save(ln.Artifact.from_dir(tmp_path / "raw"))
    assert [artifact.uid for artifact in again] == [artifact.uid for artifact in first]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "second saving" in line]
    assert "30 of 30" in line
