"""What every storage location promises: one contract on a local disk, in memory and on a real S3 protocol server."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lineagelog.adapters.storage import Storage, open_storage


@pytest.fixture(params=["local", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return open_storage(tmp_path / "root")
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
    (path / "inner" / "deep").mkdir(parents=True)
    (path / "b.csv").write_bytes(b"b")
    (path / "inner" / "ä b.csv").write_bytes(b"umlaut")
    (path / "inner" / "deep" / "z").write_bytes(b"")
    return path


def test_what_lies_in_a_folder_is_listed_with_a_folder_as_one_object(
    storage: Storage, source: Path, folder: Path
) -> None:
    assert list(storage.list_objects("objects")) == []
    for path in ("objects/a.csv", "objects/b c", "objects2/x", "other"):
        storage.put_file(source, path)
    storage.put_folder(folder, "objects/f.zarr")
    listed = {found.path: found for found in storage.list_objects("objects")}
    assert {path: (found.size_bytes, found.is_folder) for path, found in listed.items()} == {
        "objects/a.csv": (8, False),
        "objects/b c": (8, False),
        "objects/f.zarr": (7, True),
    }
    now = datetime.now(UTC)
    assert all(found.modified_at and abs(now - found.modified_at) < timedelta(minutes=2) for found in listed.values())
    storage.delete("objects/f.zarr")
    storage.delete("objects/a.csv")
    assert [found.path for found in storage.list_objects("objects")] == ["objects/b c"]


def test_a_commit_tells_of_each_byte_that_is_sent_once(
    storage: Storage, source: Path, folder: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 20_000_001)
    sent: list[int] = []
    with storage.stage_file(source) as one, storage.stage_folder(folder) as many, storage.stage_file(large) as parts:
        storage.commit_all([(one, "one.csv"), (many, "many"), (parts, "parts")], sent.append)
    # What was staged on a local disk lies there already.
    assert sum(sent) == (0 if storage.type == "local" else 8 + 7 + 20_000_001)
    assert all(storage.exists(path) for path in ("one.csv", "many", "parts"))
