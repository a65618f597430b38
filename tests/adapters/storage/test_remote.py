"""Storage behind a URL, on fsspec's memory and on a real S3 protocol server over HTTP."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.storage import Storage, hash_local, open_storage, verify
from lineagelog.adapters.storage.hashing import BLOCK_BYTES
from lineagelog.adapters.storage.remote import RemoteStorage
from lineagelog.domain.errors import (
    ContentChangedError,
    DigestMismatchError,
    InvalidValueError,
    ObjectExistsError,
    ObjectMissingError,
    StorageError,
    UnsupportedFormatError,
)


@pytest.fixture(params=["memory", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    if request.param == "memory":
        return open_storage(f"memory://{uuid.uuid4().hex}/deep")
    return open_storage(f"s3://bucket/{uuid.uuid4().hex}", options=request.getfixturevalue("s3_options"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "iris.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "studies"
    (path / "inner").mkdir(parents=True)
    (path / "b.csv").write_bytes(b"b")
    (path / "inner" / "ä b.csv").write_bytes(b"umlaut")
    return path


def test_put_reads_back_and_answers_like_a_local_disk(storage: Storage, source: Path, folder: Path) -> None:
    for path, place in ((source, "ab/x.csv"), (folder, "ab/f")):
        put = storage.put_folder if path.is_dir() else storage.put_file
        stored = put(path, place)
        assert stored == hash_local(path) == verify(storage, place, stored.hash, stored.hash_type)
        assert storage.exists(place)
        assert storage.is_folder(place) == path.is_dir()
        assert storage.local_path(place) is None
    with storage.open_binary("ab/x.csv") as stream:
        assert stream.read() == source.read_bytes()
    with pytest.raises(ObjectMissingError, match="is a folder"):
        storage.open_binary("ab/f")


def test_existing_object_is_never_overwritten(storage: Storage, source: Path, folder: Path) -> None:
    stored = storage.put_file(source, "x")
    source.write_bytes(b"other")
    with pytest.raises(ObjectExistsError, match="left as it is"):
        storage.put_file(source, "x")
    storage.put_folder(folder, "f")
    for put in (lambda: storage.put_folder(folder, "f"), lambda: storage.put_file(source, "f")):
        with pytest.raises(ObjectExistsError):
            put()
    assert storage.hash_in_place("x") == stored


def test_a_name_taken_between_look_and_upload_is_refused_by_the_server(
    s3_options: dict[str, Any], source: Path
) -> None:
    storage = open_storage(f"s3://bucket/{uuid.uuid4().hex}", options=s3_options)
    assert isinstance(storage, RemoteStorage)
    stored = storage.put_file(source, "x")
    source.write_bytes(b"other")
    # What a second writer would do that looked before the first one wrote.
    with pytest.raises(ObjectExistsError), storage._translated("x"):
        storage._fs.put_file(str(source), storage._key("x"), mode="create")
    assert storage.hash_in_place("x") == stored


def test_a_source_that_changes_after_it_was_hashed_is_not_uploaded(
    storage: Storage, source: Path, folder: Path
) -> None:
    file, listing = storage.stage_file(source), storage.stage_folder(folder)
    source.write_bytes(b"a,b\n1,3\n")
    (folder / "late").write_bytes(b"late")
    with pytest.raises(ContentChangedError):
        file.commit("x")
    with pytest.raises(ContentChangedError):
        listing.commit("f")
    assert not storage.exists("x")
    assert not storage.exists("f")
    assert not storage.exists("f/b.csv")


def test_an_upload_that_arrives_changed_is_removed(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(f"memory://{uuid.uuid4().hex}")
    assert isinstance(storage, RemoteStorage)
    upload = storage._fs.put_file

    def damage(local: str, key: str, **options: Any) -> None:
        upload(local, key, **options)
        with storage._fs.open(key, "wb") as file:
            file.write(b"damaged!")

    monkeypatch.setattr(storage._fs, "put_file", damage)
    with pytest.raises(DigestMismatchError):
        storage.put_file(source, "x")
    assert not storage.exists("x")


def test_fetch_replaces_the_destination_only_by_the_expected_content(
    storage: Storage, source: Path, folder: Path, tmp_path: Path
) -> None:
    stored, listed = storage.put_file(source, "x"), storage.put_folder(folder, "f")
    target = tmp_path / "cache"
    assert storage.fetch("x", target / "x", expected=stored.hash) == stored
    assert storage.fetch("f", target / "f", expected=listed.hash) == listed == hash_local(target / "f")
    with pytest.raises(DigestMismatchError):
        storage.fetch("x", target / "x", expected="0" * 64)
    with pytest.raises(ObjectMissingError, match="does not exist"):
        storage.fetch("nothing", target / "nothing")
    assert (target / "x").read_bytes() == source.read_bytes()
    assert sorted(path.name for path in target.iterdir()) == ["f", "x"]


def test_several_blocks_are_uploaded_and_reported(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(range(256)) * (BLOCK_BYTES // 256 * 2) + b"tail")
    done: list[int] = []
    stored = storage.put_file(tmp_path / "big", "big", done.append)
    assert sum(done) == stored.size_bytes == 2 * BLOCK_BYTES + 4


def test_delete_and_missing(storage: Storage, source: Path, folder: Path) -> None:
    storage.put_file(source, "x")
    storage.put_folder(folder, "f")
    for path in ("x", "f", "nothing"):
        storage.delete(path)
        assert not storage.exists(path)
        with pytest.raises(ObjectMissingError):
            storage.hash_in_place(path)


def test_relative_and_url_are_each_other_turned_round(storage: Storage) -> None:
    assert storage.relative(storage.url("a/b.csv")) == "a/b.csv"
    assert storage.relative(storage.root) is None
    for stranger in ("/a/b", "s3://other/a", f"{storage.root}2/a", f"{storage.root}/../a"):
        assert storage.relative(stranger) is None
    with pytest.raises(InvalidValueError):
        storage.url("../x")


def test_a_bucket_that_is_not_there_is_one_clear_error(s3_options: dict[str, Any], source: Path) -> None:
    with pytest.raises(StorageError, match="s3://nobody-made-this"):
        open_storage("s3://nobody-made-this/x", options=s3_options).put_file(source, "x")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(StorageError, match=r"lineagelog\[gcs\]"):
        open_storage("gs://bucket/x")
    with pytest.raises(StorageError, match="nothing-like-it"):
        open_storage("nothing-like-it://bucket/x")


def test_links_are_refused_before_anything_is_uploaded(storage: Storage, folder: Path) -> None:
    (folder / "link").symlink_to("b.csv")
    with pytest.raises(UnsupportedFormatError, match="link"):
        storage.put_folder(folder, "f")
    assert not storage.exists("f")
