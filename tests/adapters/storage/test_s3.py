"""What a bucket does that other locations do not: uploads in parts, proof by ETag, names given exclusively."""

from __future__ import annotations

import io
import random
import uuid
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.storage import hash_local, open_storage, s3
from lineagelog.adapters.storage.s3 import S3Storage
from lineagelog.domain.errors import ContentChangedError, DigestMismatchError, ObjectExistsError, StorageError

PART = 5 << 20


@pytest.fixture
def storage(s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> S3Storage:
    # The smallest part that the protocol allows.
    monkeypatch.setattr(s3, "PART_BYTES", PART)
    storage = open_storage(f"s3://bucket/{uuid.uuid4().hex}", options=s3_options)
    assert isinstance(storage, S3Storage)
    return storage


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"a,b\n1,2\n")
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(random.Random(1).randbytes(2 * PART + 7))
    return path


def unfinished(storage: S3Storage) -> list[str]:
    found = storage._client.list_multipart_uploads(Bucket="bucket", Prefix=storage._prefix)
    return [upload["Key"].removeprefix(f"{storage._prefix}/") for upload in found.get("Uploads", ())]


def test_etags_prove_an_upload_without_reading_it_back(
    storage: S3Storage, small: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(storage, "read_object", lambda *_: pytest.fail("it was read back"))
        stored = [storage.put_file(path, path.name) for path in (small, large)]
    assert stored == [hash_local(small), hash_local(large)]
    assert [storage.hash_in_place(path.name) for path in (small, large)] == stored
    assert storage._head("large")["ETag"].endswith('-3"')


def test_where_the_etag_proves_nothing_the_object_is_read_back(
    storage: S3Storage, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exclusively = storage._exclusively

    def with_other_etag(*arguments: Any) -> str:
        exclusively(*arguments)
        return "0" * 32

    monkeypatch.setattr(storage, "_exclusively", with_other_etag)
    assert storage.put_file(small, "x") == hash_local(small)


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_byte_that_flips_on_the_way_is_found(
    storage: S3Storage, size: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flip(params: dict[str, Any], **_: Any) -> None:
        params["body"] = io.BytesIO(b"X" + params["body"].read()[1:])

    storage._client.meta.events.register("before-call.s3.PutObject", flip)
    storage._client.meta.events.register("before-call.s3.UploadPart", flip)
    with pytest.raises(DigestMismatchError):
        storage.put_file(request.getfixturevalue(size), "x")
    assert not storage.exists("x")


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_name_that_another_writer_took_meanwhile_is_refused_by_the_server(
    storage: S3Storage, size: str, small: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = storage.put_file(small, "x")
    small.write_bytes(b"other")
    # What a writer does that looked before the first one wrote.
    monkeypatch.setattr(storage, "exists", lambda _: False)
    with pytest.raises(ObjectExistsError, match="left as it is"):
        storage.put_file(request.getfixturevalue(size), "x")
    assert storage.hash_in_place("x") == stored
    assert unfinished(storage) == []


def test_an_answer_that_was_lost_is_no_conflict(storage: S3Storage, small: Path, large: Path) -> None:
    """The request is made twice, as by a client that never saw the first answer."""
    client = storage._client
    for name, path in (("put_object", small), ("complete_multipart_upload", large)):
        call = getattr(client, name)

        def twice(call: Any = call, **request: Any) -> Any:
            call(**request)
            return call(**request)

        setattr(client, name, twice)
        assert storage.put_file(path, path.name) == hash_local(path)
        assert storage.hash_in_place(path.name) == hash_local(path)


def test_a_source_that_changes_while_its_parts_are_sent_leaves_nothing(storage: S3Storage, large: Path) -> None:
    def change(**_: Any) -> None:
        with large.open("r+b") as file:
            file.seek(2 * PART)
            file.write(b"changed")

    storage._client.meta.events.register("after-call.s3.CreateMultipartUpload", change)
    with pytest.raises(ContentChangedError):
        storage.put_file(large, "x")
    assert not storage.exists("x")
    assert unfinished(storage) == []


def test_uploads_that_killed_writers_left_are_ended_and_those_of_others_are_not(storage: S3Storage) -> None:
    for place in (".lineagelog/objects/killed", "raw/by-others"):
        storage._client.create_multipart_upload(Bucket="bucket", Key=f"{storage._prefix}/{place}")
    # The server says that all uploads began in 2010.
    assert storage.clean_leftovers(50 * 365 * 86_400) == 0
    assert storage.clean_leftovers(0) == 1
    assert unfinished(storage) == ["raw/by-others"]


def test_parts_that_are_read_are_all_of_one_version(storage: S3Storage, small: Path, large: Path) -> None:
    storage.put_file(large, "x")
    blocks = storage._blocks("x")
    next(blocks)
    storage._client.upload_file(str(large), "bucket", f"{storage._prefix}/x", ExtraArgs={"Metadata": {"a": "b"}})
    other = random.Random(2).randbytes(2 * PART + 7)
    storage._client.put_object(Bucket="bucket", Key=f"{storage._prefix}/x", Body=other)
    with pytest.raises(ContentChangedError):
        list(blocks)


def test_an_empty_object_and_odd_names_are_content(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    for path in ("none", "ä b+c&d=%41.csv", "a#b"):
        storage.put_file(tmp_path / "none", path)
        assert storage.hash_in_place(path).size_bytes == 0
        assert storage.exists(path)
    assert {found.path for found in storage.list_files("x")} == set()


def test_a_server_that_is_not_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    nowhere = {"key": "k", "secret": "s3cret-word", "endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(StorageError, match="check the network") as raised:
        open_storage("s3://bucket/x", options=nowhere).exists("y")
    assert "s3cret-word" not in str(raised.value)
