"""Bars on a terminal, and silence everywhere else; the terminal is a real one of the kernel."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from lineagelog.store import Store

CODE = """
import sys
import lineagelog as ln
from lineagelog import progress
progress.SHOW_FROM_BYTES = 1_000_000
from pathlib import Path
if "off" in sys.argv:
    ln.settings.progress_bars = False
root = Path(sys.argv[1])
artifacts = [ln.Artifact(root / name, key=name, run=False) for name in ("a", "b", "many")]
ln.save(artifacts)
artifacts[0].cache()
"""


def run_on_terminal(arguments: list[str], env: dict[str, str], *, code: str = CODE) -> str:
    """Run a script whose standard error is a terminal, and return what it wrote there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=theirs, stdout=subprocess.DEVNULL, env={**os.environ, **env}
    )
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 4096):
            written += block
    except OSError:
        # Linux says so when the last program has closed the terminal.
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0, written.decode()
    return written.decode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data/many").mkdir(parents=True)
    for name in ("a", "b", "many/c", "many/d"):
        (tmp_path / "data" / name).write_bytes(os.urandom(1_500_000))
    return tmp_path / "data"


def test_many_artifacts_show_one_bar_over_all_their_bytes(sqlite_store: Store, data: Path) -> None:
    shown = run_on_terminal([str(data)], {"LINEAGELOG_STORE": str(sqlite_store.folder)})
    assert "hashing 3 artifacts" in shown
    assert "6.00M" in shown
    assert "hashing a" not in shown
    assert "checking a:" in shown
    assert "B/s" in shown


@pytest.mark.parametrize(("arguments", "env"), [(["off"], {}), ([], {"LINEAGELOG_QUIET": "1"})])
def test_bars_can_be_switched_off(sqlite_store: Store, data: Path, arguments: list[str], env: dict[str, str]) -> None:
    shown = run_on_terminal([str(data), *arguments], {"LINEAGELOG_STORE": str(sqlite_store.folder), **env})
    assert "hashing" not in shown


def test_without_a_terminal_nothing_is_shown(sqlite_store: Store, data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(data)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LINEAGELOG_STORE": str(sqlite_store.folder)},
    )
    assert "hashing" not in done.stderr


UPLOAD = """
import sys
import lineagelog as ln
from lineagelog import progress
progress.SHOW_FROM_BYTES = 1_000_000
from pathlib import Path
root = Path(sys.argv[1])
artifacts = ln.save([ln.Artifact(root / name, key=name, run=False) for name in ("a", "b", "many")])
ln.settings.cache_dir = sys.argv[2]
artifacts[2].cache()
"""


def test_what_goes_to_a_bucket_and_comes_from_it_shows_its_bytes(
    s3_environment: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # One upload in parts, of several sizes of part.
    (data / "a").write_bytes(os.urandom(20_000_000))
    with Store.create(f"s3://bucket/progress-{os.getpid()}") as store:
        shown = run_on_terminal(
            [str(data), str(tmp_path / "cache")], {"LINEAGELOG_STORE": str(store.folder)}, code=UPLOAD
        )
    for bar in ("hashing 3 artifacts", "uploading 3 artifacts", "downloading many"):
        assert bar in shown
    assert re.search(r"uploading 3 artifacts: +[1-9]\d*%.*/24\.5M", shown), "the bar does not move"
    assert "uploading a" not in shown
