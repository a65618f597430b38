"""Runs that are started at a prompt, in real sessions on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lineagelog.store import Store

TRACK = "import lineagelog as ln; run = ln.track()"


class Session:
    """An interpreter that is typed to. What it prints is read until it asks for the next line."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], prompt: bytes) -> None:
        self._terminal, inside = pty.openpty()
        self._prompt = prompt
        # The basic prompt of every Python answers to a terminal that can do nothing.
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment | {"TERM": "dumb"},
            start_new_session=True,
        )
        os.close(inside)
        self.shown = self._read()

    def type(self, *lines: str) -> None:
        for line in lines:
            os.write(self._terminal, line.encode() + b"\n")
            self.shown += self._read()

    def end(self) -> int:
        os.write(self._terminal, b"exit()\n")
        self.shown += self._read()
        return self.process.wait(30)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)

    def _read(self) -> bytes:
        shown = b""
        while not shown.endswith(self._prompt):
            try:
                shown += os.read(self._terminal, 4096)
            except OSError:
                # The other side has ended.
                break
        return shown


@pytest.fixture
def session(request: pytest.FixtureRequest, script_environment: dict[str, str], tmp_path: Path) -> Iterator[Session]:
    arguments, prompt = request.param
    # What IPython keeps of other sessions is nobody's business here.
    started = Session(arguments, script_environment | {"IPYTHONDIR": str(tmp_path), "PYTHONWARNINGS": ""}, prompt)
    yield started
    started.close()


PYTHON = pytest.param((["-q"], b">>> "), id="python")
IPYTHON = pytest.param((["-m", "IPython", "--simple-prompt", "--no-banner"], b"]: "), id="ipython")


@pytest.mark.parametrize("session", [PYTHON, IPYTHON], indirect=True)
def test_what_was_typed_is_the_source_and_an_error_does_not_end_the_run(sqlite_store: Store, session: Session) -> None:
    session.type("x = 41", TRACK)
    run = sqlite_store.Run.get()
    assert run.transform.source_code is None, "nobody knows yet what will be typed"
    session.type("x += 1", "1 / 0", "print(x)")
    assert b"ZeroDivisionError" in session.shown
    assert run.refresh().status == "started"
    assert session.end() == 0
    run.refresh()
    assert run.status == "finished"
    assert run.transform.type == "script"
    source = run.transform.source_code or ""
    assert f"{TRACK}\nx += 1\n1 / 0\nprint(x)\n" in source
    assert ("x = 41" in source) is (run.transform.key == "ipython"), "Python's own history may hold other sessions"
    assert run.transform.uid[:12] == sqlite_store.Transform.all().first().uid[:12]
    assert run.transform.uid in sqlite_store.to_prov(run).get_provn()


@pytest.mark.parametrize("session", [PYTHON], indirect=True)
def test_a_session_whose_terminal_is_closed_is_aborted_with_what_was_typed(
    sqlite_store: Store, session: Session
) -> None:
    session.type(TRACK, "x = 42")
    # A signal between the prompt and the wait for a line is seen with the line only.
    time.sleep(0.5)
    session.process.send_signal(signal.SIGHUP)
    assert session.process.wait(30) == -signal.SIGHUP
    run = sqlite_store.Run.get()
    assert (run.status, run.error_type) == ("aborted", "SIGHUP")
    assert (run.transform.source_code or "").endswith(f"{TRACK}\nx = 42\n")


def test_what_no_editor_keeps_is_no_source(sqlite_store: Store, script_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-i"],
        input=f"{TRACK}\nln.finish()\n",
        env=script_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "nothing keeps what is typed" in done.stderr
    run = sqlite_store.Run.get()
    assert (run.status, run.transform.key, run.transform.source_code) == ("finished", "python", None)
