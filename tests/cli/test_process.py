"""The command as a process: its entry point, its pipes, its exit codes, what it imports."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lineagelog.cli import exits

PROV = [sys.executable, "-c", "from lineagelog.cli import main; main()"]


def prov(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROV, *arguments], capture_output=True, text=True, timeout=60, **options)


def test_a_session_from_init_to_verify() -> None:
    assert prov("init", "--storage", "./mydata").returncode == exits.DONE
    assert prov("login", "ana", "--name", "Ana").returncode == exits.DONE
    script = Path("script.py")
    script.write_text(
        "import lineagelog as ln\n"
        "ln.settings.verbosity = 0\n"
        "ln.track()\n"
        "open('a.csv', 'w').write('a\\n1\\n')\n"
        "ln.Artifact('a.csv', key='a.csv').save()\n"
        "ln.finish()\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=60)
    log = prov("log", "--what", "artifact", "--json")
    entry = json.loads(log.stdout)
    assert (entry["who"], entry["key"]) == ("ana", "a.csv")
    assert prov("export", "--all", "-o", "p.trig").returncode == exits.DONE
    verified = prov("verify")
    assert (verified.returncode, verified.stderr) == (exits.DONE, "")


def test_error_is_one_line_without_traceback() -> None:
    result = prov("info")
    assert result.returncode == exits.NOT_FOUND
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: there is no store in")


def test_argument_that_is_no_unicode_is_refused(story: Any) -> None:
    result = subprocess.run([*PROV, "login", "ana", "--name", b"A\xff"], capture_output=True, timeout=60)
    assert result.returncode == exits.REFUSED
    assert b"lone surrogate" in result.stderr


def test_reader_that_stops_reading_is_no_error(story: Any) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run([*PROV, "log", "--all"], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert process.returncode == exits.PIPE_CLOSED
    assert process.stderr == b""


def test_interrupt_ends_the_command_in_one_line(story: Any) -> None:
    # A command that takes long, until it is interrupted.
    waiting = (
        "from lineagelog.store import Store\nimport time\n"
        "def wait(*_, **__):\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "Store.rebuild = wait\n"
        "from lineagelog.cli import main\nmain()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", waiting, "rebuild"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors == "error: interrupted\n"
    assert process.returncode == exits.INTERRUPTED


@pytest.mark.parametrize("no_color", [False, True])
def test_colour_is_for_terminals_only(story: Any, no_color: bool) -> None:
    environment = {**os.environ, "TERM": "xterm-256color", **({"NO_COLOR": "1"} if no_color else {})}
    assert "\x1b" not in prov("show", story.raw, env=environment).stdout
    master, slave = pty.openpty()
    process = subprocess.Popen([*PROV, "show", story.raw], stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    process.wait(timeout=60)
    os.close(master)
    assert b"raw/iris.csv" in shown
    # Bold headings are no colour.
    assert not any(f"\x1b[{code}m".encode() in shown for code in (*range(30, 38), *range(90, 98)))
    assert b"\x1b[1m" in shown


def test_help_loads_neither_the_store_nor_heavy_libraries() -> None:
    check = (
        "import sys\nfrom lineagelog.cli.app import run\nrun(sys.argv[1:])\n"
        "heavy = {'lineagelog.store', 'sqlalchemy', 'pandas', 'pyarrow', 'rdflib', 'prov', 'rich.table', 'networkx'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", check, "--help"], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]"


def test_info_and_log_load_no_heavy_libraries(story: Any) -> None:
    check = (
        "import sys\nfrom lineagelog.cli.app import run\nrun(['info'])\nrun(['log'])\n"
        "heavy = {'sqlalchemy', 'pandas', 'numpy', 'pyarrow', 'rdflib', 'prov', 'networkx', 'fsspec'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]"
