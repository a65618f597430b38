from __future__ import annotations

import uuid
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


@pytest.fixture(params=["memory", "s3"])
def remote_root(request: pytest.FixtureRequest) -> str:
    """The URL of an empty place, in this process and behind HTTP."""
    name = uuid.uuid4().hex
    if request.param == "memory":
        return f"memory://{name}"
    request.getfixturevalue("s3_environment")
    return f"s3://bucket/{name}"


def test_a_file_under_a_storage_root_is_registered_where_it_is(store: Store, store_folder: Path) -> None:
    path = store_folder / "raw" / "iris.csv"
    path.parent.mkdir()
    path.write_text("a,b\n1,2\n3,4\n")
    artifact = store.Artifact(path, run=False).save()
    assert (artifact.key, artifact.key_is_virtual, artifact.n_observations) == ("raw/iris.csv", False, 2)
    assert artifact.path == path
    assert not list((store_folder / ".lineagelog").glob("objects/*"))


def test_a_file_elsewhere_is_copied(store: Store, write: Write) -> None:
    path = write("iris.csv", "a,b\n1,2\n")
    artifact = store.Artifact(path, key="raw/iris.csv", run=False).save()
    assert artifact.key_is_virtual
    assert artifact.path != path
    path.unlink()
    assert list(artifact.load()["b"]) == [2]


def test_a_key_given_for_a_file_in_place_is_a_name_beside_its_path(store: Store, store_folder: Path) -> None:
    path = store_folder / "messy name (1).csv"
    path.write_text("a\n1\n")
    artifact = store.Artifact(path, key="clean/name.csv", run=False).save()
    assert (artifact.key, artifact.path, artifact.key_is_virtual) == ("clean/name.csv", path, True)


def test_a_second_root_keeps_its_files_in_place(store: Store, tmp_path: Path) -> None:
    instrument = tmp_path / "instrument"
    instrument.mkdir()
    (instrument / "run.txt").write_text("hello")
    before = store.Artifact(instrument / "run.txt", key="copied.txt", run=False).save()
    storage = store.Storage(instrument, description="the sequencer").save()
    after = store.Artifact(instrument / "run.txt", run=False).save()
    assert before.storage.uid == store.storage.uid
    assert (after.storage.uid, after.key) == (storage.uid, "run.txt")
    assert storage.type == "local"


def test_a_root_is_registered_once(store: Store, tmp_path: Path) -> None:
    first = store.Storage(tmp_path / "second").save()
    head = store.log.head()
    assert store.Storage(tmp_path / "second").save() == first
    assert store.log.head() == head


def test_the_innermost_root_takes_a_file(store: Store, store_folder: Path) -> None:
    inner = store_folder / "inner"
    inner.mkdir()
    (inner / "a.txt").write_text("a")
    storage = store.Storage(inner).save()
    artifact = store.Artifact(inner / "a.txt", run=False).save()
    assert (artifact.storage.uid, artifact.key) == (storage.uid, "a.txt")


def test_make_default_sends_new_content_there(store: Store, tmp_path: Path, frame: Frame) -> None:
    second = store.Storage(tmp_path / "second").save().make_default()
    artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
    assert artifact.storage.uid == second.uid
    assert Path(artifact.path).is_relative_to(tmp_path / "second")
    head = store.log.head()
    second.make_default()
    assert store.log.head() == head


def test_description_of_a_storage_changes_with_old_and_new(store: Store) -> None:
    storage = store.storage
    storage.description = "the lab's disk"
    storage.save(reason="asked by the auditor")
    *_, event = storage.history()
    assert event.fact.changes["description"].new == "the lab's disk"
    assert event.reason == "asked by the auditor"
    with pytest.raises(errors.ImmutableFieldError, match="description"):
        storage.root = "/elsewhere"


def test_credentials_in_a_root_never_enter_the_log(store: Store) -> None:
    storage = store.Storage("memory://key:s3cret-word@bucket/prefix").save()
    assert "s3cret-word" not in storage.root
    assert not any("s3cret-word" in str(event.fact) for event in store.events())


def test_content_goes_to_a_remote_default_and_comes_back_checked(
    store: Store, remote_root: str, frame: Frame, write: Write
) -> None:
    store.Storage(remote_root).save().make_default()
    table = store.Artifact(frame(), key="t.parquet", run=False).save()
    text = store.Artifact(write("notes.txt", "hello"), key="notes.txt", run=False).save()
    pd.testing.assert_frame_equal(table.load(), frame())
    assert text.load() == "hello"
    assert str(text.path).startswith(remote_root)
    with text.open() as handle:
        assert handle.read() == b"hello"
    # A second copy is served from the local cache, whose content is checked as well.
    cached = text.cache()
    cached.chmod(0o644)
    cached.write_text("forged")
    assert text.cache().read_text() == "hello"


def test_a_remote_folder_round_trips(store: Store, remote_root: str, tmp_path: Path) -> None:
    store.Storage(remote_root).save().make_default()
    folder = tmp_path / "many"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub/b.txt").write_text("b")
    artifact = store.Artifact(folder, key="many", run=False).save()
    assert artifact.n_files == 2
    cached = artifact.cache()
    assert (cached / "sub/b.txt").read_text() == "b"


def test_a_remote_file_is_registered_where_it_is(store: Store, remote_root: str) -> None:
    from upath import UPath

    storage = store.Storage(remote_root).save()
    (UPath(remote_root) / "raw").mkdir(parents=True, exist_ok=True)
    (UPath(remote_root) / "raw/a.txt").write_text("abc")
    artifact = store.Artifact(f"{remote_root}/raw/a.txt", run=False).save()
    assert (artifact.key, artifact.size, artifact.storage.uid) == ("raw/a.txt", 3, storage.uid)
    assert artifact.load() == "abc"
    (UPath(remote_root) / "raw/a.txt").write_text("xyz")
    artifact.cache().unlink()
    with pytest.raises(errors.DigestMismatchError):
        artifact.load()


def test_a_remote_file_that_is_missing_is_refused(store: Store, remote_root: str, refused: Refused) -> None:
    refused(errors.ObjectMissingError, lambda: store.Artifact(f"{remote_root}/a.txt"), "nothing at")


def test_a_store_may_be_made_over_a_remote_storage(remote_root: str, frame: Frame) -> None:
    store = ln.init(storage=remote_root, name="remote")
    assert store.folder == Path.cwd()
    artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
    assert str(artifact.path).startswith(remote_root)
    assert store.verify().ok
    ln.close()
    assert ln.Artifact.get(artifact.uid).key == "t.parquet"


def test_the_folder_of_the_store_is_registered_once(store: Store, store_folder: Path) -> None:
    head = store.log.head()
    again = ln.Storage(store_folder).save()
    assert again == store.storage
    assert store.log.head() == head
