"""Artifacts read through local copies, which processes share and settings bound."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.adapters import cache as adapter
from lineagelog.content import caching
from lineagelog.content.caching import content_cache
from lineagelog.store import Store

Write = Callable[[str, str], Path]


@pytest.fixture
def bucket(s3_environment: str) -> str:
    """The URL of an empty place on the S3 server."""
    return f"s3://bucket/{uuid.uuid4().hex}"


def forge(path: Path, text: str) -> None:
    """Write other text of the same size, and put the file's own time back."""
    before = path.stat()
    path.chmod(0o644)
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_a_second_process_reads_the_copy_of_the_first(
    sqlite_store: Store, bucket: str, write: Write, run_script: Any, tmp_path: Path
) -> None:
    from upath import UPath

    sqlite_store.Storage(bucket).save().make_default()
    artifact = ln.Artifact(write("t.txt", "right"), key="t.txt", run=False).save()
    path = artifact.cache()
    assert path.is_relative_to(tmp_path / "xdg-cache/lineagelog")
    remote = UPath(artifact.path)
    remote.unlink()
    code = f"""
        import lineagelog as ln
        artifact = ln.Artifact.get({artifact.uid!r})
        print(artifact.cache(), artifact.load())
    """
    assert run_script(code).stdout == f"{path} right\n"


def test_an_altered_copy_is_fetched_again_and_an_altered_source_is_refused(
    sqlite_store: Store, bucket: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    from upath import UPath

    sqlite_store.Storage(bucket).save().make_default()
    artifact = ln.Artifact(write("t.txt", "right"), key="t.txt", run=False).save()
    forge(artifact.cache(), "wrong")
    capsys.readouterr()
    assert artifact.load() == "right"
    assert "the cached copy of t.txt had been altered" in capsys.readouterr().err
    UPath(artifact.path).write_text("wrong")
    assert artifact.load() == "right"
    forge(artifact.cache(), "wrong")
    with pytest.raises(errors.DigestMismatchError, match=artifact.hash):
        artifact.load()


def test_the_copies_of_deleted_content_go_with_it_unless_they_serve_another(
    sqlite_store: Store, bucket: str, write: Write, run_script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_store.Storage(bucket).save().make_default()
    one, twin, other = (
        ln.Artifact(write(f"{key}.txt", text), key=f"{key}.txt", run=False).save()
        for key, text in (("one", "same"), ("twin", "same"), ("other", "other"))
    )
    copies = {artifact.uid: artifact.cache() for artifact in (one, twin, other)}
    assert copies[one.uid] == copies[twin.uid]
    capsys.readouterr()
    one.delete(permanent=True, reason="test")
    assert copies[twin.uid].read_text() == "same"
    assert "copy" not in capsys.readouterr().err
    twin.delete(permanent=True, reason="test")
    assert not copies[twin.uid].exists()
    assert "removed 1 local copy of deleted content" in capsys.readouterr().err
    # A process that uses the copy keeps it.
    code = f"""
        import subprocess, sys
        import lineagelog as ln
        path = ln.Artifact.get({other.uid!r}).cache()
        delete = "import lineagelog as ln; ln.Artifact.get({other.uid!r}).delete(permanent=True, reason='test')"
        done = subprocess.run([sys.executable, "-c", delete], stderr=subprocess.PIPE, text=True)
        print(path.exists(), done.returncode, "another process uses" in done.stderr)
    """
    assert run_script(code).stdout.splitlines()[-1] == "True 0 True"
    assert copies[other.uid].read_text() == "other"


def test_a_large_local_file_is_read_once_for_all_processes_and_refused_once_touched(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "many").mkdir()
    for name in "ab":
        (tmp_path / "many" / name).write_text(name * adapter.SHARED_FROM_BYTES)
    artifact = ln.Artifact(tmp_path / "many", key="many", run=False).save()
    folder = artifact.cache()
    # What another process would begin with.
    caching._cache_in.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr("lineagelog.adapters.storage.verify", None)
        assert artifact.cache() == folder
    forge(folder / "b", "x" * adapter.SHARED_FROM_BYTES)
    with pytest.raises(errors.DigestMismatchError):
        artifact.cache()


def test_a_home_that_cannot_be_written_does_not_stop_the_reading_of_local_content(
    sqlite_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ln.settings.cache_dir = tmp_path / "file/cache"
    (tmp_path / "t.txt").write_text("x" * adapter.SHARED_FROM_BYTES)
    artifact = ln.Artifact(tmp_path / "t.txt", key="t.txt", run=False).save()
    assert len(artifact.load()) == adapter.SHARED_FROM_BYTES


def test_settings_name_folder_and_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ln.settings.cache_dir == tmp_path / "xdg-cache/lineagelog"
    assert 10**8 < ln.settings.cache_limit < 10**16
    monkeypatch.setenv("LINEAGELOG_CACHE_DIR", str(tmp_path / "a"))
    monkeypatch.setenv("LINEAGELOG_CACHE_LIMIT", "1.5 GB")
    assert (ln.settings.cache_dir, ln.settings.cache_limit) == (tmp_path / "a", 1_500_000_000)
    ln.settings.cache_dir, ln.settings.cache_limit = tmp_path / "b", "20 kB"
    assert content_cache().info()[:2] == (tmp_path / "b", 20_000)
    assert "cache_limit=20,000" in repr(ln.settings)


@pytest.mark.parametrize("size", ["", "much", "-1", -1, True, 1.5, "1 PB", "1e9"])
def test_a_limit_that_is_no_size_is_refused(size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.InvalidValueError, match="20 GB"):
        ln.settings.cache_limit = size
    if isinstance(size, str) and size:
        monkeypatch.setenv("LINEAGELOG_CACHE_LIMIT", size)
        with pytest.raises(errors.InvalidValueError, match="LINEAGELOG_CACHE_LIMIT"):
            content_cache()
