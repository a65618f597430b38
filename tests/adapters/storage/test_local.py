"""Local storage: content is put whole or not at all, over nothing, and from nowhere but where it was asked."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lineagelog.adapters.storage import Storage, hash_local, local, normalise_root, open_storage, verify
from lineagelog.adapters.storage.hashing import BLOCK_BYTES
from lineagelog.adapters.storage.local import STAGING
from lineagelog.domain.artifact import folder_hash
from lineagelog.domain.errors import (
    ContentChangedError,
    DigestMismatchError,
    InvalidValueError,
    ObjectExistsError,
    ObjectMissingError,
    StorageError,
    UnsupportedFormatError,
)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "root"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "iris.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "studies"
    (path / "inner" / "deep").mkdir(parents=True)
    (path / "empty").mkdir()
    (path / "b.csv").write_bytes(b"b")
    (path / "inner" / "ä.csv").write_bytes(b"umlaut")
    (path / "inner" / "deep" / "z").write_bytes(b"")
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def left_behind(storage: Storage) -> list[Path]:
    """Every file under the root, staged ones included."""
    return [path for path in Path(storage.root).rglob("*") if path.is_file()]


def test_put_file_stores_the_bytes_and_answers_with_their_hash(storage: Storage, source: Path) -> None:
    done: list[int] = []
    stored = storage.put_file(source, "ab/cd.csv", done.append)
    assert stored == (8, sha256(b"a,b\n1,2\n"), "sha256", None)
    assert (Path(storage.root) / "ab/cd.csv").read_bytes() == b"a,b\n1,2\n"
    assert sum(done) == 8
    assert left_behind(storage) == [Path(storage.root) / "ab/cd.csv"]
    assert source.exists()


def test_content_of_several_blocks_is_hashed_as_one(storage: Storage, tmp_path: Path) -> None:
    content = random.Random(5).randbytes(2 * BLOCK_BYTES + 17)
    (tmp_path / "big").write_bytes(content)
    done: list[int] = []
    assert storage.put_file(tmp_path / "big", "big", done.append).hash == sha256(content)
    assert len(done) == 3
    assert storage.hash_in_place("big").hash == sha256(content)


def test_an_empty_file_is_content(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    assert storage.put_file(tmp_path / "none", "none") == (0, sha256(b""), "sha256", None)


def test_existing_object_is_never_overwritten(storage: Storage, source: Path, folder: Path) -> None:
    storage.put_file(source, "x")
    source.write_bytes(b"other")
    with pytest.raises(ObjectExistsError, match="left as it is"):
        storage.put_file(source, "x")
    with pytest.raises(ObjectExistsError):
        storage.put_folder(folder, "x")
    assert (Path(storage.root) / "x").read_bytes() == b"a,b\n1,2\n"
    assert len(left_behind(storage)) == 1


def test_existing_folder_is_never_merged_into(storage: Storage, source: Path, folder: Path) -> None:
    storage.put_folder(folder, "x")
    before = storage.hash_in_place("x")
    for put in (lambda: storage.put_folder(folder, "x"), lambda: storage.put_file(source, "x")):
        with pytest.raises(ObjectExistsError):
            put()
    assert storage.hash_in_place("x") == before
    assert len(left_behind(storage)) == 3


def test_only_one_of_many_writers_gets_a_name(storage: Storage, tmp_path: Path) -> None:
    contents = [f"writer {number}".encode() for number in range(8)]
    barrier = threading.Barrier(len(contents))
    won: list[bytes] = []

    def put(number: int) -> None:
        path = tmp_path / str(number)
        path.write_bytes(contents[number])
        with storage.stage_file(path) as staged:
            barrier.wait()
            try:
                staged.commit("same")
            except ObjectExistsError:
                return
            won.append(contents[number])

    threads = [threading.Thread(target=put, args=(number,)) for number in range(len(contents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [(Path(storage.root) / "same").read_bytes()]
    assert len(left_behind(storage)) == 1


def test_staged_content_is_seen_by_nobody_until_it_is_committed(storage: Storage, source: Path) -> None:
    with storage.stage_file(source) as staged:
        assert (staged.size_bytes, staged.hash, staged.hash_type, staged.n_files) == staged.hashed
        assert not storage.exists("x")
        staged.commit("x")
        assert storage.exists("x")
        with pytest.raises(RuntimeError, match="already"):
            staged.commit("y")


def test_discarded_content_leaves_nothing(storage: Storage, source: Path, folder: Path) -> None:
    for staged in (storage.stage_file(source), storage.stage_folder(folder)):
        staged.discard()
        staged.discard()
        with pytest.raises(RuntimeError):
            staged.commit("x")
    assert left_behind(storage) == []


def test_folder_is_stored_with_the_hash_of_its_listing(storage: Storage, folder: Path) -> None:
    stored = storage.put_folder(folder, "f")
    members = [
        ("b.csv", 1, sha256(b"b")),
        ("inner/deep/z", 0, sha256(b"")),
        ("inner/ä.csv", 6, sha256(b"umlaut")),
    ]
    assert stored == (7, folder_hash(members), "sha256-folder", 3)
    assert storage.hash_in_place("f") == stored == hash_local(folder)
    assert storage.is_folder("f")
    assert not (Path(storage.root) / "f" / "empty").exists()


def test_a_link_inside_a_folder_is_refused_by_name(storage: Storage, folder: Path, source: Path) -> None:
    for target in (source, folder / "b.csv", folder / "inner", "missing"):
        (folder / "inner" / "link").symlink_to(target)
        for read in (storage.stage_folder, hash_local):
            with pytest.raises(UnsupportedFormatError, match="inner/link"):
                read(folder)
        (folder / "inner" / "link").unlink()
    assert left_behind(storage) == []


def test_special_files_are_refused_without_waiting(storage: Storage, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsupportedFormatError, match="pipe"):
        storage.stage_file(tmp_path / "pipe")
    with pytest.raises(UnsupportedFormatError, match="device"):
        storage.stage_file(Path("/dev/null"))
    (tmp_path / "pipe").rename(folder / "pipe")
    with pytest.raises(UnsupportedFormatError, match="pipe"):
        storage.stage_folder(folder)
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(folder)
        try:
            # The path of a socket may be 108 characters long.
            unix.bind("socket")
        finally:
            os.chdir(here)
        with pytest.raises(UnsupportedFormatError, match="socket"):
            storage.stage_folder(folder)
    assert left_behind(storage) == []


def test_what_has_no_content_is_refused(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "hollow" / "inner").mkdir(parents=True)
    with pytest.raises(UnsupportedFormatError, match="holds no files"):
        storage.stage_folder(tmp_path / "hollow")
    with pytest.raises(UnsupportedFormatError):
        storage.stage_file(tmp_path / "hollow")
    for stage in (storage.stage_file, storage.stage_folder):
        with pytest.raises(ObjectMissingError, match="does not exist"):
            stage(tmp_path / "nothing")
    assert left_behind(storage) == []


def test_a_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(StorageError, match="holds the storage location"):
        open_storage(tmp_path / "root").stage_folder(tmp_path)


def test_stored_digest_is_always_that_of_the_stored_bytes_while_a_writer_changes_the_file(
    storage: Storage, tmp_path: Path
) -> None:
    source = tmp_path / "busy"
    source.write_bytes(b"0" * 3 * BLOCK_BYTES)
    stop = threading.Event()

    def write() -> None:
        number = 0
        with source.open("r+b", buffering=0) as file:
            while not stop.is_set():
                number += 1
                file.seek(number * 7919 % (3 * BLOCK_BYTES - 64))
                file.write(f"{number:064}".encode())
                time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    refused = 0
    try:
        for number in range(25):
            try:
                stored = storage.put_file(source, f"copy-{number}")
            except ContentChangedError:
                refused += 1
                assert not storage.exists(f"copy-{number}")
            else:
                assert sha256((Path(storage.root) / f"copy-{number}").read_bytes()) == stored.hash
    finally:
        stop.set()
        writer.join()
    assert refused > 0
    assert len(left_behind(storage)) == 25 - refused


def test_a_file_that_is_replaced_or_grows_while_it_is_read_is_refused(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "data"

    def replace(_: int) -> None:
        (tmp_path / "new").write_bytes(b"1" * 10)
        (tmp_path / "new").replace(source)

    def append(_: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    def same_size_and_time(_: int) -> None:
        status = source.stat()
        source.write_bytes(b"2" * 10)
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))

    for change in (replace, append, same_size_and_time):
        source.write_bytes(b"0" * 10)
        time.sleep(0.02)
        with pytest.raises(ContentChangedError, match="try again"):
            storage.put_file(source, "x", change)
    assert left_behind(storage) == []


def test_a_folder_in_which_files_come_or_go_while_it_is_read_is_refused(storage: Storage, folder: Path) -> None:
    def add(_: int) -> None:
        (folder / "late").write_bytes(b"late")

    def remove(_: int) -> None:
        (folder / "inner" / "ä.csv").unlink(missing_ok=True)

    def link(_: int) -> None:
        (folder / "inner" / "ä.csv").unlink(missing_ok=True)
        (folder / "inner" / "ä.csv").symlink_to("/etc/hostname")

    for change in (add, remove):
        with pytest.raises(ContentChangedError):
            storage.put_folder(folder, "x", change)
        (folder / "inner" / "ä.csv").write_bytes(b"umlaut")
        (folder / "late").unlink(missing_ok=True)
    with pytest.raises(UnsupportedFormatError):
        storage.put_folder(folder, "x", link)
    assert left_behind(storage) == []


def test_in_place_content_written_just_now_and_again_is_noticed(storage: Storage) -> None:
    root = Path(storage.root)
    root.mkdir()
    for number in range(20):
        (root / "x").write_bytes(b"old")

        def change(_: int, value: bytes = f"{number:03}".encode()) -> None:
            (root / "x").write_bytes(value)

        with pytest.raises(ContentChangedError):
            storage.hash_in_place("x", change)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "./a", "a\\b", "a\0b", "a\nb"])
def test_paths_that_are_not_relative_to_the_root_are_refused(storage: Storage, source: Path, path: str) -> None:
    with pytest.raises(InvalidValueError):
        storage.put_file(source, path)
    for use in (storage.exists, storage.delete, storage.open_binary, storage.local_path, storage.url):
        with pytest.raises(InvalidValueError):
            use(path)
    assert left_behind(storage) == []


def test_no_link_leads_out_of_the_root(storage: Storage, source: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    Path(storage.root).mkdir()
    (Path(storage.root) / "door").symlink_to(outside)
    for use in (storage.open_binary, storage.hash_in_place, storage.delete):
        with pytest.raises(StorageError, match="leads out"):
            use("door/secret")
    with pytest.raises(StorageError, match="leads out"):
        storage.put_file(source, "door/new")
    assert storage.relative(Path(storage.root) / "door" / "secret") is None
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_relative_resolves_before_it_compares(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(storage.root)
    (root / "a").mkdir(parents=True)
    (tmp_path / "way-in").symlink_to(root)
    assert storage.relative(root / "a" / "x.csv") == "a/x.csv"
    assert storage.relative(root / "a" / ".." / "x.csv") == "x.csv"
    assert storage.relative(tmp_path / "way-in" / "x.csv") == "x.csv"
    assert storage.relative((root / "x y.csv").as_uri()) == "x y.csv"
    monkeypatch.chdir(root)
    assert storage.relative("a/x.csv") == "a/x.csv"
    for stranger in (
        root,
        root / "..",
        root / ".." / "root2" / "x",
        f"{root}2/x",
        "s3://bucket/x",
        root / STAGING / "x",
    ):
        assert storage.relative(stranger) is None


def test_verify_tells_a_changed_object_from_a_missing_one(storage: Storage, source: Path, folder: Path) -> None:
    stored, listed = storage.put_file(source, "x"), storage.put_folder(folder, "f")
    assert verify(storage, "x", stored.hash) == stored
    assert verify(storage, "f", listed.hash, "sha256-folder") == listed
    (Path(storage.root) / "x").write_bytes(b"a,b\n1,3\n")
    (Path(storage.root) / "f" / "b.csv").rename(Path(storage.root) / "f" / "c.csv")
    with pytest.raises(DigestMismatchError, match=stored.hash):
        verify(storage, "x", stored.hash)
    with pytest.raises(DigestMismatchError):
        verify(storage, "f", listed.hash, "sha256-folder")
    with pytest.raises(UnsupportedFormatError, match="md5"):
        verify(storage, "x", stored.hash, "md5")
    storage.delete("x")
    with pytest.raises(ObjectMissingError):
        verify(storage, "x", stored.hash)


def test_fetch_replaces_the_destination_only_by_the_expected_content(
    storage: Storage, source: Path, folder: Path, tmp_path: Path
) -> None:
    stored, listed = storage.put_file(source, "x"), storage.put_folder(folder, "f")
    target = tmp_path / "cache" / "deep"
    assert storage.fetch("x", target / "x.csv", expected=stored.hash) == stored
    assert storage.fetch("f", target / "f", expected=listed.hash) == listed == storage.fetch("f", target / "f")
    assert hash_local(target / "f").hash == listed.hash
    for path, place in (("x", target / "x.csv"), ("f", target / "f")):
        with pytest.raises(DigestMismatchError):
            storage.fetch(path, place, expected="0" * 64)
    assert (target / "x.csv").read_bytes() == b"a,b\n1,2\n"
    with pytest.raises(ObjectMissingError):
        storage.fetch("nothing", target / "nothing")
    assert sorted(path.name for path in target.iterdir()) == ["f", "x.csv"]


def test_open_binary_reads_files_only(storage: Storage, source: Path, folder: Path) -> None:
    storage.put_file(source, "x")
    storage.put_folder(folder, "f")
    with storage.open_binary("x") as stream:
        assert stream.read() == b"a,b\n1,2\n"
    for path, text in (("f", "is a folder"), ("nothing", "does not exist")):
        with pytest.raises(ObjectMissingError, match=text):
            storage.open_binary(path)


def test_delete_removes_files_and_folders_and_is_content_with_nothing(
    storage: Storage, source: Path, folder: Path
) -> None:
    storage.put_file(source, "x")
    storage.put_folder(folder, "f")
    for path in ("x", "f", "x", "a/b"):
        storage.delete(path)
        assert not storage.exists(path)


def test_a_writer_that_is_killed_leaves_a_leftover_and_no_object(storage: Storage, source: Path) -> None:
    script = (
        "import os, signal, sys, pathlib\n"
        "from lineagelog.adapters.storage import open_storage\n"
        "staged = open_storage(sys.argv[1]).stage_file(pathlib.Path(sys.argv[2]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, storage.root, str(source)], check=False)
    assert done.returncode == -9
    assert len(left_behind(storage)) == 1
    assert storage.clean_leftovers() == 0
    with storage.stage_file(source) as staged:
        assert storage.clean_leftovers(3600) == 0
        staged.commit("x")
    assert storage.clean_leftovers(0) == 1
    assert left_behind(storage) == [Path(storage.root) / "x"]


@pytest.mark.parametrize("is_moved", [False, True])
def test_staged_content_that_a_collection_removed_is_said_to_be_gone(
    storage: Storage, source: Path, is_moved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = storage.stage_file(source)
    sync = local.sync_trees

    def sync_and_sweep(paths: list[Path]) -> None:
        if is_moved:
            sync(paths)
        assert storage.clean_leftovers(0) == 1
        if not is_moved:
            sync(paths)

    monkeypatch.setattr(local, "sync_trees", sync_and_sweep)
    with pytest.raises(ObjectMissingError, match=r"removed before it got its name.*save it again"):
        staged.commit("a.txt")
    assert not storage.exists("a.txt")


def test_a_root_that_cannot_be_written_gives_one_clear_error(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        open_storage(tmp_path / "file" / "root").put_file(source, "x")
    # Nothing can be made there, not even by root.
    with pytest.raises(StorageError, match="cannot be written"):
        open_storage("/proc/lineagelog").put_file(source, "x")


def test_opening_a_local_root_makes_nothing_and_imports_no_url_library(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from lineagelog.adapters.storage import open_storage\n"
        "storage = open_storage(sys.argv[1])\n"
        "assert not storage.exists('x') and storage.relative(sys.argv[1] + '/x') == 'x' and storage.clean_leftovers() == 0\n"
        "assert not pathlib.Path(sys.argv[1]).exists()\n"
        "print([name for name in ('fsspec', 'pandas', 'pyarrow') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "r")], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("given", "root", "kind"),
    [
        ("s3://bucket/a/b/", "s3://bucket/a/b", "s3"),
        ("S3://bucket", "s3://bucket", "s3"),
        ("s3a://KEY:SECRET@bucket//a?X-Amz-Signature=SECRET", "s3://bucket/a", "s3"),
        ("gcs://bucket/x", "gs://bucket/x", "gs"),
        ("https://user:SECRET@host:8080/data", "https://host:8080/data", "https"),
        ("memory://", "memory://", "memory"),
        ("memory:///a/b", "memory:///a/b", "memory"),
        ("file:///tmp/a%20b/../c", "/tmp/c", "local"),
    ],
)
def test_a_root_has_one_form_without_secrets(given: str, root: str, kind: str) -> None:
    assert normalise_root(given) == (root, kind)
    assert normalise_root(root) == (root, kind)


def test_a_local_root_is_absolute_and_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert normalise_root("link/../link/x") == (str(tmp_path / "real" / "x"), "local")
    assert normalise_root(Path("real")) == (str(tmp_path / "real"), "local")


@pytest.mark.parametrize("given", ["", "  ", "a\0b", "s3://", "s3://b/../c", "simplecache::s3://bucket", "s3://a::b/c"])
def test_what_is_no_root_is_refused(given: str) -> None:
    with pytest.raises(InvalidValueError, match="the storage root"):
        normalise_root(given)


def test_stored_files_are_read_only_and_can_be_deleted(storage: Storage, source: Path, folder: Path) -> None:
    storage.put_file(source, "x")
    storage.put_folder(folder, "f")
    stored = left_behind(storage)
    assert len(stored) == 4
    assert all(path.stat().st_mode & 0o222 == 0 and path.stat().st_mode & 0o400 for path in stored)
    assert source.stat().st_mode & 0o200, "the file it was made from is not touched"
    storage.delete("x")
    storage.delete("f")
    assert left_behind(storage) == []


def test_many_contents_are_committed_at_once_and_none_twice(storage: Storage, tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]))
    staged = [(storage.stage_file(path), f"many/{path.name}") for path in paths]
    storage.put_file(paths[0], "many/7")
    with pytest.raises(ObjectExistsError):
        storage.commit_all(staged)
    committed = [path for content, path in staged if content.committed]
    assert all(storage.exists(path) for path in committed)
    for content, _ in staged:
        content.discard()
    assert len(left_behind(storage)) == len(committed) + 1


def test_hashing_a_large_file_in_the_background_gives_the_same_hash(storage: Storage, tmp_path: Path) -> None:
    content = random.Random(7).randbytes(9 * BLOCK_BYTES + 1)
    (tmp_path / "big").write_bytes(content)
    assert storage.put_file(tmp_path / "big", "big").hash == sha256(content)
