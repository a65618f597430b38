"""Objects that belong to no artifact are removed, and nothing else is, whoever is writing meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

import lineagelog as ln
from lineagelog import errors, location
from lineagelog.content import orphans, saving
from lineagelog.domain.disposal import ArtifactDeleted
from lineagelog.domain.ids import new_id
from lineagelog.domain.storage import StorageCollected
from lineagelog.projections import schema
from lineagelog.store import Store

Write = Callable[[str, str], Path]
NOW = timedelta(0)


def objects(store: Store) -> Path:
    """The folder of the content that the store has put into its storage location."""
    return Path(store.storage.root) / location.objects_of(store.uid)


def put_orphan(store: Store, name: str = "orphan.txt", *, age_s: float = 0, text: str = "nobody's") -> Path:
    path = objects(store) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.fixture
def saved(write: Write) -> Callable[..., ln.Artifact]:
    """Save a text file under a key."""

    def save(key: str, text: str = "content\n", **options: Any) -> ln.Artifact:
        return ln.Artifact(write(key, text), key=key, run=False, **options).save()

    return save


def test_old_orphans_are_removed_on_record_and_young_ones_stay(store: Store, saved: Any) -> None:
    artifact = saved("a.txt")
    old, young = put_orphan(store, "old.txt", age_s=90_000), put_orphan(store, "young.txt", age_s=80_000)
    folder = put_orphan(store, "old.zarr/inner/x", age_s=90_000).parents[1]
    assert {Path(found.path).name for found in store.check_storage().locations[0].orphans} == {
        "old.txt", "young.txt", "old.zarr",
    }  # fmt: skip

    planned = store.collect_orphans(dry_run=True)
    assert (planned.n_removed, planned.removed_bytes) == (2, 16)
    assert old.exists()
    report = store.collect_orphans()

    assert report.ok
    assert report.n_removed == 2
    assert [Path(orphan.path).name for orphan in report.locations[0].spared] == ["young.txt"]
    assert not old.exists()
    assert not folder.exists()
    assert young.exists()
    assert artifact.verify() == "intact"
    (fact,) = (event.fact for event in store.events() if isinstance(event.fact, StorageCollected))
    assert sorted((Path(one.path).name, one.size_bytes) for one in fact.objects) == [("old.txt", 8), ("old.zarr", 8)]
    assert store.collect_orphans(older_than=NOW).n_removed == 1
    before = store.log.head()
    assert store.collect_orphans(older_than=NOW).n_removed == 0
    assert store.log.head() == before


def test_the_name_of_an_object_spares_it_where_the_clock_of_the_location_is_wrong(sqlite_store: Store) -> None:
    path = put_orphan(sqlite_store, f"{new_id()}.txt", age_s=10_000_000)
    assert sqlite_store.collect_orphans().n_removed == 0
    assert path.exists()


def test_nothing_but_what_the_store_has_put_is_looked_at(sqlite_store: Store, tmp_path: Path) -> None:
    root = Path(sqlite_store.storage.root)
    (root / "mine.csv").write_text("registered in place")
    in_place = ln.Artifact(root / "mine.csv", run=False).save()
    stays = [
        root / "not-registered.csv",
        root / ".lineagelog" / "objects" / "of-another-store" / "x.csv",
        root / ".lineagelog" / "y",
    ]
    for path in stays:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not an orphan of this store")
        os.utime(path, (1, 1))
    assert sqlite_store.collect_orphans(older_than=NOW).n_removed == 0
    assert sqlite_store.check_storage().locations[0].orphans == ()
    assert all(path.exists() for path in stays)
    assert in_place.verify() == "intact"


def test_two_stores_that_share_a_location_leave_each_others_content(tmp_path: Path, write: Write) -> None:
    shared = tmp_path / "shared"
    stores = []
    for name in ("one", "two"):
        opened = Store.create(tmp_path / name)
        opened.Storage(shared).save().make_default()
        opened.Artifact(write(f"{name}.txt", name), key=f"{name}.txt", run=False).save()
        stores.append(opened)
    for opened in stores:
        assert opened.collect_orphans(older_than=NOW).n_removed == 0
    for opened in stores:
        assert opened.check_storage().ok
        opened.close()


def test_content_left_by_a_deletion_that_was_cut_off_is_an_orphan(store: Store, saved: Any) -> None:
    deleted, kept = saved("deleted.txt"), saved("kept.txt", "kept\n")
    for artifact, removed in ((deleted, True), (kept, False)):
        fact = ArtifactDeleted(
            storage=artifact.storage_id, path=artifact.storage_path, hash=artifact.hash, size_bytes=artifact.size,
            content_removed=removed,
        )  # fmt: skip
        store.append_next(schema.ARTIFACTS, artifact.id, lambda _, fact=fact: fact)
    paths = objects(store) / Path(deleted.storage_path).name, objects(store) / Path(kept.storage_path).name
    assert store.collect_orphans(older_than=NOW).n_removed == 1
    assert [path.exists() for path in paths] == [False, True]


def test_an_artifact_registered_after_the_listing_keeps_its_content(
    store: Store, saved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry is asked under the lock once more, whatever was seen before."""
    artifact = saved("a.txt")
    orphan = put_orphan(store)
    look_up = orphans._referred
    calls = []

    def late(*arguments: Any) -> set[str]:
        calls.append(1)
        return set() if len(calls) <= 2 else look_up(*arguments)

    monkeypatch.setattr(orphans, "_referred", late)
    report = store.collect_orphans(older_than=NOW)
    assert len(calls) > 3
    assert [Path(one.path).name for one in report.locations[0].removed] == [orphan.name]
    assert artifact.verify() == "intact"


@pytest.mark.parametrize("grace", [NOW, timedelta(hours=1)])
def test_a_writer_whose_object_was_collected_gets_an_error_and_the_grace_spares_it(
    store: Store, write: Write, monkeypatch: pytest.MonkeyPatch, grace: timedelta
) -> None:
    commit = saving._commit

    def commit_and_collect(*arguments: Any) -> None:
        commit(*arguments)
        store.collect_orphans(older_than=grace)

    monkeypatch.setattr(saving, "_commit", commit_and_collect)
    artifact = ln.Artifact(write("a.txt", "a"), key="a.txt", run=False)
    if grace == NOW:
        with pytest.raises(errors.ObjectMissingError, match="save it again"):
            artifact.save()
        assert ln.Artifact.filter().count() == 0
        monkeypatch.undo()
    assert artifact.save().load() == "a"
    assert store.check_storage().ok


@pytest.mark.parametrize(("grace", "may_fail"), [(NOW, True), (timedelta(minutes=5), False)])
def test_a_writer_beside_a_collector_loses_nothing_that_was_acknowledged(
    sqlite_store: Store, write: Write, grace: timedelta, may_fail: bool
) -> None:
    acknowledged: list[str] = []
    refused: list[Exception] = []
    done = threading.Event()

    def save_many() -> None:
        with Store.open(sqlite_store.folder or "") as own:
            for number in range(40):
                try:
                    path = write(f"{number}.txt", str(number))
                    acknowledged.append(own.Artifact(path, key=f"{number}.txt", run=False).save().uid)
                except errors.StorageError as exc:
                    refused.append(exc)
        done.set()

    writer = threading.Thread(target=save_many)
    writer.start()
    while not done.is_set():
        sqlite_store.collect_orphans(older_than=grace)
    writer.join()
    assert len(acknowledged) + len(refused) == 40
    assert may_fail or not refused, refused
    report = sqlite_store.check_storage()
    assert report.ok, report.to_text()
    assert {artifact.uid for artifact in ln.Artifact.filter()} == set(acknowledged)
    print(f"{len(refused)} of 40 saves were refused")


def test_a_removal_that_is_cut_off_is_finished_by_the_next_one(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put_orphan(sqlite_store)
    backend = sqlite_store.storage_backend(sqlite_store.default_storage_id)

    def die(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "delete", die)
    with pytest.raises(KeyboardInterrupt):
        sqlite_store.collect_orphans(older_than=NOW)
    monkeypatch.undo()
    assert path.exists()
    assert len(sqlite_store.check_storage().locations[0].orphans) == 1
    assert sqlite_store.collect_orphans(older_than=NOW).n_removed == 1
    assert not path.exists()


def test_what_cannot_be_removed_is_reported(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_orphan(sqlite_store)
    backend = sqlite_store.storage_backend(sqlite_store.default_storage_id)

    def refuse(path: str) -> None:
        raise errors.StorageError(f"{path} cannot be removed")

    monkeypatch.setattr(backend, "delete", refuse)
    report = sqlite_store.collect_orphans(older_than=NOW)
    assert not report.ok
    assert report.n_removed == 0
    assert "cannot be removed" in report.locations[0].failed[0][1]


def test_leftovers_of_killed_writers_are_removed_with_the_orphans(sqlite_store: Store, write: Write) -> None:
    backend = sqlite_store.storage_backend(sqlite_store.default_storage_id)
    staged = backend.stage_file(write("a.txt", "a"))
    assert sqlite_store.collect_orphans().locations[0].n_leftovers == 0
    assert sqlite_store.collect_orphans(older_than=NOW).locations[0].n_leftovers == 1
    with pytest.raises(errors.StorageError):
        staged.commit("x")


@pytest.mark.parametrize("age", [timedelta(seconds=-1), timedelta(days=40_000)])
def test_an_impossible_age_is_refused(store: Store, refused: Any, age: timedelta) -> None:
    refused(errors.InvalidValueError, lambda: store.collect_orphans(older_than=age), "older_than")


def test_a_store_that_can_only_be_read_is_not_collected(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put_orphan(sqlite_store)
    monkeypatch.setattr(sqlite_store.log.database, "read_only", True)
    assert sqlite_store.collect_orphans(older_than=NOW, dry_run=True).n_removed == 1
    with pytest.raises(errors.StoreReadOnlyError):
        sqlite_store.collect_orphans(older_than=NOW)
    assert path.exists()


def test_a_location_inside_a_stores_own_folder_is_refused(store: Store, refused: Any) -> None:
    refused(errors.InvalidValueError, lambda: ln.Storage(objects(store)), "own folder")
    refused(errors.InvalidValueError, lambda: ln.Storage("memory://b/.lineagelog/x"), "own folder")
    fsspec.filesystem("memory").pipe("/own-folder/.lineagelog/x", b"x")
    ln.Storage("memory://own-folder").save()
    refused(errors.InvalidValueError, lambda: ln.Artifact("memory://own-folder/.lineagelog/x"), "own folder")
    store.check_storage()
