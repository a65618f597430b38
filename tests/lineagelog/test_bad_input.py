"""Everything a person may get wrong gives one clear error of this project's own tree, and nothing is recorded."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.registries.finding import REGISTRIES
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Write = Callable[[str, str], Path]
Refused = Callable[..., errors.LineageLogError]

BAD_VALUES: dict[str, Any] = {
    "not a number": float("nan"),
    "infinity": float("inf"),
    "deep inside": {"a": [{"b": float("nan")}]},
    "lone surrogate": "\ud800",
    "surrogate in a key": {"\udfff": 1},
    "bytes": b"abc",
    "two megabytes": "x" * 2_000_000,
    "two megabytes in all": ["x" * 1000] * 2000,
    "NUL": "a\x00b",
    "number beyond 64 bits": 2**64,
    "an object": object(),
    "a set": {1, 2},
    "keys that are numbers": {1: 2},
}
BAD_NAMES = ("", " ", "a\x00b", "a\nb", "a\x1bb", " a", "\ud800", "a\u202eb", "x" * 2000)
BAD_KEYS = (*BAD_NAMES, "/etc/passwd", "../up", "a//b", "a\\b", "a/./b")


@pytest.mark.parametrize("name", BAD_VALUES)
def test_parameters_the_log_cannot_hold(sqlite_store: Store, name: str) -> None:
    head = sqlite_store.log.head()
    with pytest.raises(errors.InvalidValueError, match="param"):
        ln.Run(ln.Transform("t"), params={"value": BAD_VALUES[name]}).save()
    assert sqlite_store.log.head() == head


def test_names_and_keys_with_control_characters(store: Store, frame: Frame, refused: Refused) -> None:
    for name in BAD_NAMES:
        for make in (
            lambda name=name: ln.Transform(name).save(),
            lambda name=name: ln.Run(ln.Transform("t"), name=name).save(),
            lambda name=name: ln.User("ada", name=name).save(),
            lambda name=name: ln.Artifact(frame(), version=name, run=False).save(),
            lambda name=name: store.login("ada", name=name),
        ):
            refused(errors.InvalidValueError, make)
    for key in BAD_KEYS:
        refused(errors.InvalidValueError, lambda key=key: ln.Artifact(frame(), key=key, run=False).save())  # type: ignore[misc]
    refused(errors.InvalidValueError, lambda: ln.Artifact(frame(), description="a\x00b", run=False).save())
    refused(errors.InvalidValueError, lambda: ln.Artifact(frame(), kind="poem", run=False).save(), "poem")


def test_changes_are_checked_like_new_values(store: Store, frame: Frame, refused: Refused) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    for field, value in (("description", "a\x00b"), ("version", "a\nb"), ("kind", "poem"), ("description", 3)):
        setattr(artifact, field, value)
        refused(errors.InvalidValueError, artifact.save)
        artifact.refresh()
    artifact.description = "fine"
    refused(errors.InvalidValueError, lambda: artifact.save(reason="a\x00b"), "reason")


def test_paths_that_cannot_be_read(store: Store, tmp_path: Path, refused: Refused) -> None:
    refused(errors.ObjectMissingError, lambda: ln.Artifact(tmp_path / "nope.csv"), "nope.csv")
    refused(errors.ObjectMissingError, lambda: ln.Artifact("a\x00b"))
    refused(errors.ObjectMissingError, lambda: ln.Artifact.from_dir(tmp_path / "nope"), "no folder")
    os.mkfifo(tmp_path / "pipe")
    refused(errors.UnsupportedFormatError, lambda: ln.Artifact(tmp_path / "pipe", key="pipe", run=False).save())
    (tmp_path / "empty").mkdir()
    refused(errors.UnsupportedFormatError, lambda: ln.Artifact(tmp_path / "empty", key="empty", run=False).save())
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/a").symlink_to("/etc/hostname")
    refused(errors.UnsupportedFormatError, lambda: ln.Artifact(tmp_path / "linked", key="linked", run=False).save())


def test_the_files_of_the_store_itself_are_no_artifacts(store: Store, store_folder: Path, refused: Refused) -> None:
    refused(errors.InvalidValueError, lambda: ln.Artifact(store_folder / ".lineagelog/config.json"), "own folder")
    refused(errors.LineageLogError, lambda: ln.Artifact(store_folder, key="all", run=False).save())


def test_objects_that_cannot_be_stored(store: Store, refused: Refused) -> None:
    refused(errors.UnsupportedFormatError, lambda: ln.Artifact(object()), "DataFrame")  # type: ignore[arg-type]
    unstorable = pd.DataFrame({"x": [object()]})
    refused(errors.LineageLogError, lambda: ln.Artifact(unstorable, key="t.parquet", run=False).save())
    with pytest.raises(TypeError, match="path"):
        ln.Artifact.from_dataframe("t.parquet")  # type: ignore[arg-type]


def test_addresses_of_databases_that_cannot_be_reached(tmp_path: Path) -> None:
    for url, error in (
        ("postgresql://ada:s3cret-word@localhost:1/nope", errors.StoreUnavailableError),
        ("mysql://ada:s3cret-word@localhost/nope", errors.InvalidValueError),
        ("postgresql://ada:s3cret-word@localhost/nope?schema=DROP TABLE", errors.InvalidValueError),
    ):
        with pytest.raises(error) as caught:
            Store.open(url)
        assert "s3cret-word" not in str(caught.value)
        with pytest.raises(error):
            ln.init(storage=tmp_path / "new", db=url)
        assert not (tmp_path / "new/.lineagelog").exists()
        assert not list(tmp_path.glob("new/.lineagelog*"))


def test_a_server_without_a_store_says_so(postgresql_address: str) -> None:
    with pytest.raises(errors.StorageError, match="prov init"):
        Store.open(postgresql_address)


def test_a_server_that_may_only_be_read_refuses_writes(postgresql_address: str, tmp_path: Path, frame: Frame) -> None:
    with Store.create(tmp_path / "store", db=postgresql_address) as store:
        artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
        head = store.log.head()
        with Store.open(f"{postgresql_address}&options=-c%20default_transaction_read_only%3Don") as reader:
            assert len(reader.Artifact.get(artifact.uid).load()) == 3
            with pytest.raises(errors.StoreReadOnlyError, match="can be read but not written"):
                reader.Artifact(frame(2), key="t.parquet", run=False).save()
        assert store.log.head() == head
        assert len(list((tmp_path / "store").rglob("*.parquet"))) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write whatever the permissions say")
def test_a_read_only_store_can_be_read_and_refuses_writes(tmp_path: Path, frame: Frame) -> None:
    store = Store.create(tmp_path / "store")
    artifact = store.Artifact(frame(), key="t.parquet", run=False).save()
    store.close()
    home = tmp_path / "store/.lineagelog"
    for path in (*home.rglob("*"), home):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with Store.open(tmp_path / "store") as reader:
            assert len(reader.Artifact.get(artifact.uid).load()) == 3
            with pytest.raises(errors.StoreReadOnlyError):
                reader.Artifact(frame(2), key="t.parquet", run=False).save()
    finally:
        for path in (home, *home.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_stores_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreNotFoundError, match="prov init"):
        ln.open(tmp_path / "nope")
    assert not (tmp_path / "nope").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.LineageLogError):
        ln.open(tmp_path / "file")
    with pytest.raises(errors.LineageLogError):
        ln.init(storage=tmp_path / "file")
    assert (tmp_path / "file").read_text() == ""


def test_a_store_cannot_be_named_by_control_characters(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidValueError, match="name"):
        ln.init(storage=tmp_path / "new", name="a\nb")
    assert not (tmp_path / "new").exists()


def test_settings_that_do_not_exist() -> None:
    with pytest.raises(errors.InvalidValueError, match="loud"):
        ln.settings.verbosity = "loud"  # type: ignore[assignment]


def test_records_of_another_store_are_refused(store: Store, tmp_path: Path, frame: Frame, refused: Refused) -> None:
    with Store.create(tmp_path / "other") as other:
        artifact = other.Artifact(frame(), key="t.parquet", run=False).save()
        transform = other.Transform("t").save()
        run = other.Run(transform).save()
        own = ln.Transform("own").save()
        for make in (
            lambda: ln.Artifact(frame(2), revises=artifact, run=False).save(),
            lambda: ln.Artifact(frame(2), key="t.parquet", run=run).save(),
            lambda: ln.Transform("t", revises=transform).save(),
            lambda: ln.Run(transform).save(),
            lambda: ln.Run(own, initiated_by_run=run).save(),
        ):
            refused(errors.InvalidValueError, make, "other")


def test_files_that_cannot_be_written(store: Store, tmp_path: Path, frame: Frame, refused: Refused) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    nowhere = tmp_path / "nowhere"
    refused(errors.ExportError, lambda: store.checkpoint(nowhere / "checkpoint.txt"), "nowhere")
    refused(errors.ExportError, lambda: artifact.view_lineage(nowhere / "lineage.svg"), "nowhere")
    refused(errors.ExportError, lambda: store.export(nowhere / "all.json"), "nowhere")
    (tmp_path / "folder.json").mkdir()
    refused(errors.ExportError, lambda: store.export(tmp_path / "folder.json"), "folder")


def test_a_kind_of_storage_that_does_not_exist(store: Store, refused: Refused) -> None:
    refused(errors.StorageError, lambda: ln.Storage("weird://bucket").save(), "weird")


def test_things_that_are_no_records(store: Store) -> None:
    head = store.log.head()
    with pytest.raises(TypeError, match="int"):
        ln.save([1])  # type: ignore[list-item]
    with pytest.raises(errors.InvalidValueError, match="NUL"):
        ln.connect("a\x00b")
    assert store.log.head() == head


@pytest.mark.parametrize("name", sorted(REGISTRIES))
def test_a_wrong_argument_is_told_by_the_name_of_the_class_and_the_nearest_one(store: Store, name: str) -> None:
    registry = getattr(store, name)
    for cls in (registry, getattr(ln, name)):
        parameters = [name for name in inspect.signature(registry.__init__).parameters if name != "self"]
        near = parameters[-1]
        with pytest.raises(TypeError) as caught:
            cls(**{f"{near}x": 1})
        text = str(caught.value)
        assert text.startswith(f"{name}() takes no argument '{near}x'; did you mean '{near}'?")
        assert all(parameter in text for parameter in parameters)
    with pytest.raises(TypeError, match=rf"^{name}\(\) takes .* positional arguments"):
        registry(*range(30))


def test_an_error_inside_a_constructor_stays_what_it_is(store: Store) -> None:
    with pytest.raises(TypeError, match="is_type is True or False") as caught:
        store.ULabel("a", is_type="yes")
    assert "takes" not in str(caught.value)
