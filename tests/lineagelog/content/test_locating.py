"""Content behind URLs, registered where it is: buckets over HTTP, memory, and a web server."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lineagelog import errors
from lineagelog.adapters.storage import verify
from lineagelog.store import Store

Refused = Callable[..., errors.LineageLogError]

SECRET = "wJalrXUtnFEMI0K7MDENG0bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """Where content lies does not depend on the database."""
    return sqlite_store


@pytest.fixture
def web() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server, and the files on it by their path and query."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            if content is not None:
                self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bucket(s3_environment: str) -> Iterator[Any]:
    """A client of the server, and a bucket of the test's own."""
    import boto3

    client = boto3.client("s3")
    name = f"b-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    client.name = name
    yield client
    client.close()


def stored_bytes(store: Store) -> bytes:
    """Everything the store has written down, database files included."""
    text = "\n".join(f"{event.fact} {event.context} {event.reason}" for event in store.events())
    files = [path.read_bytes() for path in Path(store.folder or ".").rglob("*") if path.is_file()]
    return text.encode() + b"".join(files)


def test_an_object_under_no_location_registers_its_bucket(
    store: Store, bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.put_object(Bucket=bucket.name, Key="raw/x.csv", Body=b"a,b\n1,2\n")
    url = f"s3://{bucket.name}/raw/x.csv"
    head = store.log.head()
    artifact = store.Artifact(url, run=False)
    assert str(artifact.path) == url
    assert store.log.head() == head, "nothing is recorded before it is saved"
    artifact.save()
    assert (artifact.key, artifact.size, artifact.suffix) == ("raw/x.csv", 8, ".csv")
    assert artifact.hash == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert (artifact.storage.root, artifact.storage.type) == (f"s3://{bucket.name}", "s3")
    assert [event.topic for event in store.events(after=head.position)] == [
        "storage.registered.1",
        "artifact.registered.1",
    ]
    said = capsys.readouterr().err
    assert said.count("as a storage location") == 1
    assert list(artifact.load()["b"]) == [2]
    store.Artifact(url, run=False, key="again.csv").save()
    assert "as a storage location" not in capsys.readouterr().err
    assert store.Storage.filter(type="s3").count() == 1
    listed = bucket.list_objects_v2(Bucket=bucket.name)["Contents"]
    assert [found["Key"] for found in listed] == ["raw/x.csv"], "nothing is copied"


def test_a_prefix_is_a_folder_and_from_dir_registers_each_object(store: Store, bucket: Any) -> None:
    for key, body in (("f/a.txt", b"a"), ("f/sub/ä b.txt", b"umlaut"), ("f/", b""), ("other", b"x")):
        bucket.put_object(Bucket=bucket.name, Key=key, Body=body)
    folder = store.Artifact(f"s3://{bucket.name}/f/", run=False).save()
    assert (folder.key, folder.n_files, folder.size, folder.hash_type) == ("f", 2, 7, "sha256-folder")
    assert (folder.cache() / "sub" / "ä b.txt").read_bytes() == b"umlaut"
    members = store.Artifact.from_dir(f"s3://{bucket.name}/f")
    store.save(members)
    assert [member.key for member in members] == ["f/a.txt", "f/sub/ä b.txt"]
    named = store.Artifact.from_dir(f"s3://{bucket.name}/f", key="study")
    assert [member.key for member in named] == ["study/a.txt", "study/sub/ä b.txt"]
    with pytest.raises(errors.ObjectMissingError, match="no folder"):
        store.Artifact.from_dir(f"s3://{bucket.name}/nothing")


def test_a_file_on_a_web_server_is_registered_by_its_address(
    store: Store, web: tuple[str, dict[str, bytes]], refused: Refused
) -> None:
    host, files = web
    files["/data/x.csv?version=3"] = b"a\n1\n"
    artifact = store.Artifact(f"{host}/data/x.csv?version=3", run=False).save()
    assert (artifact.key, artifact.suffix, artifact.size) == ("data/x.csv", ".csv", 4)
    assert (artifact.storage.root, artifact.storage.type) == (host, "http")
    assert list(artifact.load()["a"]) == [1]
    files["/data/x.csv?version=4"] = b"a\n2\n"
    newer = store.Artifact(f"{host}/data/x.csv?version=4", run=False).save()
    assert newer.version_number == 1
    files["/data/x.csv?version=4"] = b"a\n3\n"
    with pytest.raises(errors.DigestMismatchError):
        verify(store.storage_backend(newer.storage_id), newer.storage_path, newer.hash)
    refused(errors.ObjectMissingError, lambda: store.Artifact(f"{host}/nothing.csv"), "nothing at")
    refused(errors.InvalidValueError, lambda: store.Artifact(f"{host}/data/"), "names no file")
    refused(errors.UnsupportedFormatError, lambda: store.Artifact.from_dir(f"{host}/data"), "each file")


def test_a_web_server_is_never_written(store: Store, web: tuple[str, dict[str, bytes]], write: Any) -> None:
    host, _ = web
    store.Storage(f"{host}/data").save().make_default()
    with pytest.raises(errors.StoreReadOnlyError, match="cannot be written"):
        store.Artifact(write("a.txt", "a"), key="a.txt", run=False).save()


@pytest.mark.parametrize(
    "query",
    [
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={SECRET}",
        f"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature={SECRET}&Expires=1",
        f"sv=2022-11-02&sig={SECRET}",
        f"token={SECRET}",
        f"x-goog-signature={SECRET}",
        f"api_key={SECRET}",
    ],
)
def test_a_signed_address_is_refused_and_leaves_no_trace(store: Store, refused: Refused, query: str) -> None:
    for place in ("https://host/x.csv", "s3://bucket/x.csv"):
        error = refused(errors.InvalidValueError, lambda place=place: store.Artifact(f"{place}?{query}"), "recorded")
        assert SECRET not in str(error)
    assert SECRET.encode() not in stored_bytes(store)


def test_credentials_of_a_web_address_are_refused(store: Store, refused: Refused) -> None:
    error = refused(errors.InvalidValueError, lambda: store.Artifact(f"https://ada:{SECRET}@host/x.csv"), "netrc")
    assert SECRET not in str(error)


def test_credentials_and_endpoint_come_from_the_environment_and_enter_no_event(
    store: Store, bucket: Any, monkeypatch: pytest.MonkeyPatch, s3_environment: str, write: Any, refused: Refused
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    storage = store.Storage(f"s3://{bucket.name}/deep", region="us-east-1", endpoint_url=f"{s3_environment}/").save()
    assert storage.endpoint_url == s3_environment
    storage.make_default()
    artifact = store.Artifact(write("a.txt", "abc"), key="a.txt", run=False).save()
    assert artifact.load() == "abc"
    assert artifact.path.read_bytes() == b"abc"
    storage.endpoint_url = "http://127.0.0.1:9"
    storage.save(reason="moved")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_environment)
    assert store.storage_backend(storage.id).exists(artifact.storage_path), "the environment wins"
    for wrong in (f"https://ada:{SECRET}@host", f"https://host?token={SECRET}", "host:9000", "s3://bucket"):
        error = refused(
            errors.InvalidValueError, lambda wrong=wrong: store.Storage("s3://b", endpoint_url=wrong), "alone"
        )
        assert SECRET not in str(error)
    assert SECRET.encode() not in stored_bytes(store)


def test_a_checksum_of_the_server_is_taken_where_it_is_a_sha256(store: Store, bucket: Any) -> None:
    bucket.put_object(Bucket=bucket.name, Key="x.bin", Body=b"vouched", ChecksumAlgorithm="SHA256")
    artifact = store.Artifact(f"s3://{bucket.name}/x.bin", checksum="server", run=False).save()
    assert (artifact.hash, artifact.hash_type) == (hashlib.sha256(b"vouched").hexdigest(), "sha256")


def test_an_etag_is_recorded_as_what_it_is_and_equals_no_content(
    store: Store, bucket: Any, write: Any, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    for key in ("one.bin", "two.bin"):
        bucket.put_object(Bucket=bucket.name, Key=key, Body=b"same")
    one, two = (f"s3://{bucket.name}/{key}" for key in ("one.bin", "two.bin"))
    first = store.Artifact(one, checksum="server", run=False).save()
    assert first.hash_type == "etag"
    assert "was not read" in capsys.readouterr().err
    second = store.Artifact(two, checksum="server", key="two", run=False).save()
    copied = store.Artifact(write("same.bin", "same"), run=False).save()
    assert len({first.id, second.id, copied.id}) == 3
    assert len({first.hash, second.hash, copied.hash}) == 3
    assert store.Artifact(one, checksum="server", run=False).save().id == first.id
    backend = store.storage_backend(first.storage_id)
    assert verify(backend, first.storage_path, first.hash, first.hash_type).hash_type == "etag"
    bucket.put_object(Bucket=bucket.name, Key="one.bin", Body=b"diff")
    with pytest.raises(errors.DigestMismatchError):
        verify(backend, first.storage_path, first.hash, first.hash_type)
    path = write("local.bin", "x")
    refused(errors.InvalidValueError, lambda: store.Artifact(path, checksum="server"), "behind a URL")
    refused(errors.InvalidValueError, lambda: store.Artifact(path, checksum="md5"), "must be")
