"""A store on each database, checked against a replay of its log after every test; scripts that run in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pytest

from lineagelog import current, message
from lineagelog.domain.errors import LineageLogError
from lineagelog.domain.policy import AttemptRefused
from lineagelog.preferences import settings
from lineagelog.pytest_plugin import assert_replay_agrees
from lineagelog.store import Store

RunScript: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]
StartScript: TypeAlias = Callable[..., "subprocess.Popen[str]"]
Refused: TypeAlias = Callable[..., LineageLogError]


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the stores, log-ins and settings of whoever runs the tests out of them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg-config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    for name in ("STORE", "USER", "QUIET", "CACHE_DIR", "CACHE_LIMIT"):
        monkeypatch.delenv(f"LINEAGELOG_{name}", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    message._said.clear()
    yield
    opened = current._store
    if opened is not None:
        opened.close()
    current.set_current_store(None)
    current.set_process_run(None)
    settings.track_run_inputs, settings.verbosity = True, "info"
    settings.cache_dir = settings.cache_limit = None


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store, the current one. After the test its log must be whole and its tables what a replay gives."""
    db = None if request.param == "sqlite" else str(request.getfixturevalue("postgresql_address"))
    yield from _checked(Store.create(tmp_path / "store", name="study", db=db))


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """An empty store on SQLite, the current one; for tests of what does not depend on the database."""
    yield from _checked(Store.create(tmp_path / "store", name="study"))


def _checked(store: Store) -> Iterator[Store]:
    with store.as_current():
        yield store
        current.set_process_run(None)
    if not store.closed:
        assert_replay_agrees(store)
        report = store.verify()
        assert report.ok, report.to_text()
        store.close()


@pytest.fixture
def refused(store: Store) -> Refused:
    """Call something that must be refused with one clear error of this project, and nothing recorded but the refusal."""

    def call(error: type[LineageLogError], function: Callable[[], object], match: str | None = None) -> LineageLogError:
        before = store.log.head()
        with pytest.raises(error, match=match) as caught:
            function()
        # That somebody was refused may be on record itself.
        assert {event.topic for event in store.events(after=before.position)} <= {AttemptRefused.topic}
        assert str(caught.value), "the error says nothing"
        return caught.value

    return call


@pytest.fixture
def frame() -> Callable[..., pd.DataFrame]:
    """Make a small table that differs with its argument."""

    def make(number: int = 1, rows: int = 3) -> pd.DataFrame:
        return pd.DataFrame({"x": [number * 10 + row for row in range(rows)], "name": ["ä"] * rows})

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a text file outside of any storage."""

    def make(name: str, text: str) -> Path:
        path = tmp_path / "outside" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return make


@pytest.fixture
def script_environment(store_folder: Path) -> dict[str, str]:
    """The environment of a script that tracks itself in the store of the test."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return inherited | {"LINEAGELOG_STORE": str(store_folder), "PYTHONWARNINGS": "error"}


@pytest.fixture
def store_folder(tmp_path: Path) -> Path:
    """The folder of the test's store."""
    return tmp_path / "store"


@pytest.fixture
def start_script(tmp_path: Path, script_environment: dict[str, str]) -> Iterator[StartScript]:
    """Start Python code as a script in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(
        code: str, *, name: str = "script.py", folder: Path | None = None, arguments: tuple[str, ...] = (), **env: str
    ) -> subprocess.Popen[str]:
        path = (folder or tmp_path / "scripts") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        process = subprocess.Popen(
            [sys.executable, str(path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=script_environment | env,
            cwd=path.parent,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run_script(start_script: StartScript) -> RunScript:
    """Run Python code as a script to its end, which must come as expected."""

    def run(code: str, *, returncode: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
        process = start_script(code, **options)
        out, err = process.communicate(timeout=120)
        assert process.returncode == returncode, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[str], signal.Signals], int]:
    """Wait until a script says that it is ready, send it a signal, and return its exit code."""

    def send(process: subprocess.Popen[str], number: signal.Signals) -> int:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "ready\n", line + (process.stderr.read() if process.stderr else "")
        process.send_signal(number)
        process.communicate(timeout=60)
        return process.returncode

    return send


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition, at most half a minute."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            time.sleep(0.01)

    return wait
