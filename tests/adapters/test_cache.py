"""Local copies, shared by real processes: fetched once, right, whole or absent, and bounded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from lineagelog.adapters import cache as module
from lineagelog.adapters.cache import Content, ContentCache
from lineagelog.adapters.stamp import VALID_FOR_S, read_stamp, write_stamp
from lineagelog.adapters.storage import Storage, hash_local, open_storage
from lineagelog.domain.errors import DigestMismatchError, ObjectMissingError, StorageError

Put: TypeAlias = Callable[..., Content]
Start: TypeAlias = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def source(tmp_path: Path) -> Storage:
    """Where content comes from."""
    (tmp_path / "source").mkdir()
    return open_storage(tmp_path / "source")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    cache = ContentCache(tmp_path / "cache", 1_000_000)
    yield cache
    release(cache)


@pytest.fixture
def put(source: Storage) -> Put:
    """Put a file into the source, or a folder if a dictionary is given."""

    def put(name: str, content: bytes | dict[str, bytes]) -> Content:
        path = Path(source.root) / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            for member, data in content.items():
                (path / member).parent.mkdir(parents=True, exist_ok=True)
                (path / member).write_bytes(data)
        hashed = hash_local(path)
        return Content(hashed.hash, hashed.hash_type, hashed.size_bytes, path.suffix)

    return put


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that has `cache`, `source`, `content` of the object `name`, and `report`, a progress that it prints."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        beginning = f"""
            import os, sys, time
            from pathlib import Path
            from lineagelog.adapters.cache import Content, ContentCache
            from lineagelog.adapters.storage import hash_local, open_storage
            root = Path({str(tmp_path)!r})
            source, cache = open_storage(root / "source"), ContentCache(root / "cache", 100_000_000)
            def content(name):
                hashed = hash_local(root / "source" / name)
                return Content(hashed.hash, hashed.hash_type, hashed.size_bytes, "")
            def say(text):
                os.write(1, f"{{text}}\\n".encode())
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(beginning) + textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def release(cache: ContentCache) -> None:
    """Use no content any more, as at the end of the process."""
    while cache._in_use:
        os.close(cache._in_use.popitem()[1])


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line and process.stderr is not None:
        raise AssertionError(process.stderr.read())
    return line.strip()


def alter(path: Path, content: bytes) -> None:
    """Write other content of the same size, and put the file's own time back."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_copy_is_read_only_named_by_its_hash_and_fetched_once(cache: ContentCache, source: Storage, put: Put) -> None:
    content = put("a.csv", b"a,b\n1,2\n")
    n_bytes: list[int] = []
    first = cache.get(content, source, "a.csv", n_bytes.append)
    source.delete("a.csv")
    assert cache.get(content, source, "a.csv", n_bytes.append) == first
    assert (first.path.name, first.was_altered) == (f"{content.hash}.csv", False)
    assert (first.path.read_bytes(), first.path.stat().st_mode & 0o777) == (b"a,b\n1,2\n", 0o444)
    assert sum(n_bytes) == content.size_bytes
    assert ContentCache(cache.folder, 1).get(content, source, "a.csv") == first


def test_a_folder_is_kept_as_one_content(cache: ContentCache, source: Storage, put: Put) -> None:
    content = put("many.zarr", {"0/0": b"x", "0/1": b"y", ".zgroup": b"{}"})
    path = cache.get(content, source, "many.zarr").path
    source.delete("many.zarr")
    assert hash_local(path)[1:] == (content.hash, "sha256-folder", 3)
    assert {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file()} == {0o444}
    assert cache.get(content, source, "many.zarr").path == path
    assert cache.info()[2:4] == (1, content.size_bytes)


def test_a_copy_that_was_altered_is_fetched_again_whatever_its_time_says(
    cache: ContentCache, source: Storage, put: Put
) -> None:
    content = put("a.txt", b"right")
    path = cache.get(content, source, "a.txt").path
    alter(path, b"wrong")
    again = cache.get(content, source, "a.txt")
    assert (again.path.read_bytes(), again.was_altered) == (b"right", True)
    alter(path, b"wrong")
    source.delete("a.txt")
    with pytest.raises(ObjectMissingError):
        cache.get(content, source, "a.txt")


@pytest.mark.parametrize("change", ["alter", "add", "remove", "link"])
def test_any_change_in_a_folder_is_found(cache: ContentCache, source: Storage, put: Put, change: str) -> None:
    content = put("many", {"a": b"right", "deep/b": b"b"})
    path = cache.get(content, source, "many").path
    if change == "alter":
        alter(path / "a", b"wrong")
    elif change == "add":
        (path / "deep/c").touch()
    elif change == "remove":
        (path / "a").unlink()
    else:
        (path / "a").unlink()
        (path / "a").symlink_to("deep/b")
    again = cache.get(content, source, "many")
    assert again.was_altered
    assert hash_local(path).hash == content.hash


def test_a_copy_that_was_only_touched_is_read_and_kept(cache: ContentCache, source: Storage, put: Put) -> None:
    content = put("a.txt", b"right")
    path = cache.get(content, source, "a.txt").path
    os.utime(path)
    source.delete("a.txt")
    n_bytes: list[int] = []
    assert cache.get(content, source, "a.txt", n_bytes.append) == (path, False)
    assert cache.get(content, source, "a.txt", n_bytes.append) == (path, False)
    assert n_bytes == [5]


def test_an_old_stamp_counts_no_more(cache: ContentCache, source: Storage, put: Put) -> None:
    content = put("a.txt", b"right")
    cache.get(content, source, "a.txt")
    (stamp_path,) = (cache.folder / "stamps").glob("*/*")
    with stamp_path.open("rb") as file:
        stamp = read_stamp(file.fileno())
    assert stamp is not None
    for checked_at in (time.time() - VALID_FOR_S - 1, time.time() + 3600):
        write_stamp(stamp_path, type(stamp)(stamp.hash, checked_at, stamp.files))
        n_bytes: list[int] = []
        cache.get(content, source, "a.txt", n_bytes.append)
        assert n_bytes == [5]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"hash":1}'])
def test_a_damaged_stamp_is_none(cache: ContentCache, source: Storage, put: Put, damage: bytes) -> None:
    content = put("a.txt", b"right")
    path = cache.get(content, source, "a.txt").path
    (stamp_path,) = (cache.folder / "stamps").glob("*/*")
    stamp_path.write_bytes(damage)
    assert cache.get(content, source, "a.txt").path == path


def test_wrong_content_never_gets_the_name(cache: ContentCache, source: Storage, put: Put, tmp_path: Path) -> None:
    content = put("a.txt", b"right")
    (tmp_path / "source/a.txt").write_bytes(b"wrong")
    with pytest.raises(DigestMismatchError, match=content.hash):
        cache.get(content, source, "a.txt")
    assert cache.info().n_contents == 0
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


def test_ten_processes_fetch_a_content_once(start: Start, tmp_path: Path, put: Put) -> None:
    content = put("big", os.urandom(3_000_000))
    go = tmp_path / "go"
    processes = [
        start(
            """
            n_bytes = []
            wanted = content("big")
            say("ready")
            while not (root / "go").exists():
                time.sleep(0.001)
            copy = cache.get(wanted, source, "big", n_bytes.append)
            assert hash_local(copy.path).hash == wanted.hash
            say(sum(n_bytes))
            """
        )
        for _ in range(10)
    ]
    assert [line_of(process) for process in processes] == ["ready"] * 10
    go.touch()
    assert sorted(int(line_of(process)) for process in processes) == [0] * 9 + [content.size_bytes]
    assert not list((tmp_path / "cache/locks").iterdir())


def test_a_killed_downloader_blocks_nobody_and_leaves_nothing(
    start: Start, tmp_path: Path, cache: ContentCache, source: Storage, put: Put
) -> None:
    content = put("big", {"a": os.urandom(3_000_000), "b": b"b"})
    process = start(
        """
        def stop(n_bytes):
            say("half way")
            time.sleep(600)
        cache.get(content("big"), source, "big", stop)
        """
    )
    assert line_of(process) == "half way"
    assert not list((tmp_path / "cache/content").glob("*/*"))
    assert list((tmp_path / "cache/incoming").iterdir())
    waiting = start('say("waiting")\nsay(cache.get(content("big"), source, "big").path)')
    assert line_of(waiting) == "waiting"
    process.send_signal(signal.SIGKILL)
    assert hash_local(Path(line_of(waiting))).hash == content.hash
    assert not list((tmp_path / "cache/incoming").iterdir())

    # What nobody asks for again is removed with the next content.
    left = start('cache.get(content("other"), source, "other", lambda n: (say("half way"), time.sleep(600)))')
    put("other", b"other")
    assert line_of(left) == "half way"
    left.kill()
    left.wait()
    assert list((tmp_path / "cache/incoming").iterdir())
    cache.get(put("third", b"third"), source, "third")
    assert not list((tmp_path / "cache/incoming").iterdir())


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_content_is_whole_or_absent(
    start: Start, tmp_path: Path, cache: ContentCache, source: Storage, put: Put, seed: int
) -> None:
    names = [f"n{number}" for number in range(6)]
    contents = {name: put(name, {"a": os.urandom(200_000), "b/c": name.encode()}) for name in names}
    process = start(
        f"""
        import random
        picks = random.Random({seed})
        cache.limit_bytes = 500_000
        say("ready")
        while True:
            name = picks.choice({names!r})
            cache.get(content(name), source, name)
        """
    )
    assert line_of(process) == "ready"
    time.sleep(0.15 + seed * 0.11)
    process.kill()
    process.wait()
    for place in (tmp_path / "cache/content").glob("*/*"):
        assert hash_local(place).hash == place.name
    for name, content in contents.items():
        assert hash_local(cache.get(content, source, name).path).hash == content.hash


def test_what_was_not_used_for_the_longest_time_is_thrown_out(cache: ContentCache, source: Storage, put: Put) -> None:
    contents = {name: put(name, name.encode() * 300_000) for name in "abcd"}
    for name in "abc":
        cache.get(contents[name], source, name)
    cache.get(contents["a"], source, "a")
    release(cache)
    cache.get(contents["d"], source, "d")
    assert {path.name for path in (cache.folder / "content").glob("*/*")} == {contents[name].hash for name in "acd"}
    assert cache.info()[1:] == (1_000_000, 3, 900_000, 1)


def test_what_a_live_process_uses_stays(start: Start, cache: ContentCache, source: Storage, put: Put) -> None:
    used, free, last = put("used", b"u" * 600_000), put("free", b"f" * 300_000), put("last", b"l" * 900_000)
    process = start('cache.get(content("used"), source, "used")\nsay("ready")\ntime.sleep(600)')
    assert line_of(process) == "ready"
    cache.get(free, source, "free")
    release(cache)
    cache.get(last, source, "last")
    release(cache)
    assert {path.name for path in (cache.folder / "content").glob("*/*")} == {used.hash, last.hash}
    assert cache.clear() == (1, 900_000)
    assert cache.info()[2:] == (1, 600_000, 1)
    process.kill()
    process.wait()
    assert cache.clear() == (1, 600_000)
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


def test_content_that_is_larger_than_the_limit_or_the_disk(cache: ContentCache, source: Storage, put: Put) -> None:
    content = put("large", b"x" * 1_500_000)
    assert cache.get(content, source, "large").path.exists()
    before = cache.info()
    impossible = content._replace(hash="0" * 64, size_bytes=2**60)
    with pytest.raises(StorageError, match=r"no room for 1,152,921,504,606,846,976 bytes .*`prov cache clear`"):
        cache.get(impossible, source, "large")
    assert cache.info() == before


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(start: Start, tmp_path: Path, put: Put) -> None:
    put("big", {"a": b"a", "b": os.urandom(300_000)})
    process = start(
        """
        import resource, sys
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            cache.get(content("big"), source, "big")
        except Exception as exc:
            say(f"{type(exc).__name__}: {exc}")
        """
    )
    answer = line_of(process)
    assert answer.startswith("StorageError: there is no room for 300,001 bytes"), answer
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_made_is_one_clear_error(source: Storage, put: Put, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be used: .*; choose another place with ln\.settings\.cache_dir"):
        ContentCache(tmp_path / "file/cache", 1000).get(put("a", b"a"), source, "a")


@pytest.mark.parametrize("suffix", ["/../../x", ".a/b", "." + "x" * 300, ".\0", "..", ".\n"])
def test_a_hostile_suffix_leads_nowhere(cache: ContentCache, source: Storage, put: Put, suffix: str) -> None:
    content = put("a.txt", b"a")._replace(suffix=suffix)
    assert cache.get(content, source, "a.txt").path.name == content.hash
    with pytest.raises(StorageError, match="no SHA-256"):
        cache.get(content._replace(hash="../../../x"), source, "a.txt")


def test_few_contents_are_kept_in_use(
    cache: ContentCache, source: Storage, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_IN_USE", 2)
    for name in "abc":
        cache.get(put(name, name.encode()), source, name)
    assert cache.info().n_in_use == len(cache._in_use) == 2


def test_large_content_in_place_is_read_by_one_process_for_all(
    cache: ContentCache, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARED_FROM_BYTES", 6)
    content, place = put("a.txt", b"rights"), tmp_path / "source/a.txt"
    checks: list[str] = []

    def check(of: ContentCache, wanted: Content = content) -> None:
        of.check_in_place(wanted, place, lambda: checks.append("read"))

    check(cache)
    check(cache)
    assert len(checks) == 1
    another = ContentCache(cache.folder, 1)
    check(another)
    assert len(checks) == 1
    alter(place, b"wrongs")
    check(another)
    check(cache)
    check(ContentCache(cache.folder, 1), content._replace(hash="f" * 64))
    assert len(checks) == 3

    def refuse() -> Any:
        raise DigestMismatchError("a", "b", "c")

    alter(place, b"again!")
    for _ in range(2):
        with pytest.raises(DigestMismatchError):
            cache.check_in_place(content, place, refuse)
