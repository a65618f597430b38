from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.adapters import program
from lineagelog.store import Store
from lineagelog.tracking.executing import execute, suggestions

PYTHON = sys.executable


def test_a_program_is_a_run_with_what_it_read_and_wrote(store: Store) -> None:
    Path("in.txt").write_text("b\na\n")
    Path("old.txt").write_text("written before")
    Path("sort.py").write_text("print('sorting'); open('out.txt', 'w').write(''.join(sorted(open('in.txt'))))\n")
    done = execute(
        [PYTHON, "sort.py", "--password", "hunter22"], inputs=["in.txt"], outputs=["*t.txt"], params={"k": 3}
    )
    run = done.run
    assert (run.status, done.exit_code, run.params) == ("finished", 0, {"k": 3})
    assert run.command == [PYTHON, "sort.py", "--password", "[redacted]"]
    assert (run.transform.key, run.transform.type) == ("sort.py", "script")
    assert run.transform.source_code == Path("sort.py").read_text()
    assert run.inputs.to_list("key") == ["in.txt"]
    assert [artifact.key for artifact in done.outputs] == ["out.txt"]
    assert done.outputs[0].load() == "a\nb\n"
    log = run.outputs.get(kind="run_log")
    assert (log.key, log.load()) == (f"runs/{run.uid}/log.txt", "sorting\n")


def test_the_same_input_is_one_artifact_and_may_be_named_by_its_uid(sqlite_store: Store) -> None:
    Path("in.txt").write_text("a\n")
    first = execute(["cat", "in.txt"], inputs=["in.txt"]).run.inputs.one()
    second = execute(["cat", "in.txt"], inputs=[first.uid, "*.txt"]).run.inputs.one()
    assert first == second


def test_an_input_that_was_made_on_record_under_another_name_is_pointed_out(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in.txt").write_text("a\n")
    with ln.Run(ln.Transform("make")):
        made = ln.Artifact("in.txt", key="study/in.txt").save()
    capsys.readouterr()
    execute(["cat", "in.txt"], inputs=["in.txt"])
    assert (
        f"made by make; for a lineage that goes on to that, name it by its uid: --input {made.uid}"
        in capsys.readouterr().err
    )
    execute(["cat", "in.txt"], inputs=[made.uid])
    assert "made by" not in capsys.readouterr().err


def test_a_program_that_fails_is_a_failed_run_without_outputs(store: Store) -> None:
    done = execute(["sh", "-c", "echo partial > out.txt; echo why >&2; exit 7"], outputs=["out.txt"])
    assert (done.exit_code, done.outputs, done.run.status) == (7, (), "failed")
    assert (done.run.error_type, done.run.error_message) == ("ExitStatus", "sh ended with exit code 7")
    assert done.run.outputs.get(kind="run_log").load() == "why\n"
    assert done.run.transform.source_code == "echo partial > out.txt; echo why >&2; exit 7"


def test_an_output_that_is_not_written_fails_the_run(store: Store) -> None:
    Path("stale.txt").write_text("from last week")
    for output in ("never.txt", "stale*"):
        time.sleep(0.1)
        with pytest.raises(errors.ObjectMissingError, match="has not written"):
            execute(["true"], outputs=[output])
    assert [run.status for run in store.Run.all()] == ["failed", "failed"]


def test_what_cannot_be_run_or_read_leaves_nothing(store: Store) -> None:
    before = store.log.head()
    with pytest.raises(errors.ObjectMissingError, match="no program 'no-such-program'"):
        execute(["no-such-program"])
    Path("script.sh").write_text("echo\n")
    with pytest.raises(errors.StorageError, match=r"script.sh is not executable; run `chmod"):
        execute(["./script.sh"])
    with pytest.raises(errors.ObjectMissingError, match=r"no input '\*.none'"):
        execute(["true"], inputs=["*.none"])
    with pytest.raises(errors.InvalidValueError, match="is empty"):
        execute([])
    assert store.log.head() == before


def test_a_signal_reaches_the_program_and_aborts_the_run(
    store: Store,
    start_script: Callable[..., subprocess.Popen[str]],
    interrupt: Callable[[subprocess.Popen[str], signal.Signals], int],
) -> None:
    process = start_script(
        """
        import sys
        from lineagelog.cli import main
        sys.argv = ["prov", "run", "--", sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
        sys.exit(main())
        """
    )
    assert interrupt(process, signal.SIGTERM) == 128 + signal.SIGTERM
    run = store.Run.get()
    assert (run.status, run.error_type) == ("aborted", "SIGTERM")
    assert run.outputs.get(kind="run_log").load() == "ready\n"


PROV = [PYTHON, "-c", "from lineagelog.cli import main; main()"]


def test_a_script_without_an_interpreter_says_what_it_lacks(sqlite_store: Store) -> None:
    Path("script.sh").write_text("echo\n")
    Path("script.sh").chmod(0o755)
    with pytest.raises(errors.StorageError, match="first line must name its interpreter"):
        execute(["./script.sh"])
    assert sqlite_store.Run.get().status == "failed"


def test_what_goes_to_one_place_keeps_its_order_and_input_passes_through(
    sqlite_store: Store, script_environment: dict[str, str]
) -> None:
    code = (
        "import os, sys\nfor number in range(500): os.write(1 + number % 2, b'%d ' % number)\nprint(sys.stdin.read())"
    )
    done = subprocess.run(
        [*PROV, "run", "-q", PYTHON, "-c", code],
        input="through",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=script_environment,
        check=True,
    )
    assert done.stdout == " ".join(map(str, range(500))) + " through\n"
    log = sqlite_store.Run.get().log
    assert log is not None
    assert log.load() == done.stdout


def test_on_a_terminal_a_program_has_a_terminal_and_an_interrupt_reaches_it_once(
    sqlite_store: Store, script_environment: dict[str, str]
) -> None:
    code = """
import os, signal, sys, time
received = []
signal.signal(signal.SIGINT, lambda *_: received.append(1))
print(*os.get_terminal_size(1), sys.stderr.isatty())
while not received: time.sleep(0.01)
time.sleep(0.3)
print("interrupts:", len(received), file=sys.stderr)
sys.exit(5)
"""
    master, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    process = subprocess.Popen(
        [*PROV, "run", "-q", PYTHON, "-c", code],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=script_environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    seen = b""
    deadline = threading.Timer(60, process.kill)
    deadline.start()
    with suppress(OSError):
        while block := os.read(master, 1000):
            seen += block
            if seen.endswith(b"True\r\n"):
                os.write(master, b"\x03")
    os.close(master)
    assert process.wait() == 5
    deadline.cancel()
    assert seen.decode().replace("^C", "") == "77 33 True\r\ninterrupts: 1\r\n"
    run = sqlite_store.Run.get()
    assert run.log is not None
    assert (run.status, run.log.load()) == ("failed", "77 33 True\ninterrupts: 1\n")


def test_what_goes_on_in_the_background_is_pointed_out(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "_DRAIN_S", 0.2)
    done = execute(["sh", "-c", "sleep 3 & echo started"])
    assert done.run.status == "finished"
    assert "what it started goes on and can print no more" in capsys.readouterr().err


def test_a_program_that_tracks_itself_is_a_run_of_its_own(sqlite_store: Store) -> None:
    Path("inner.py").write_text("import lineagelog as ln\nln.track()\nln.finish()\n")
    outer = execute([PYTHON, "inner.py"]).run
    inner = sqlite_store.Run.get(initiated_by_run=outer)
    assert inner.transform == outer.transform
    assert inner.environment is not None


def test_long_output_is_kept_at_both_ends_and_secrets_are_not(sqlite_store: Store) -> None:
    code = "print('begin'); print('x' * 20_000_000); print('postgresql://ada:hunter22@host/db', end='')"
    log = execute([PYTHON, "-c", code]).run.outputs.get(kind="run_log").load()
    assert log.startswith("begin\n")
    assert log.endswith("postgresql://[redacted]@host/db")
    assert "bytes left out" in log
    assert len(log) < 17_000_000


def test_a_program_ends_when_nobody_reads_its_output(sqlite_store: Store) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with io.TextIOWrapper(os.fdopen(writing, "wb", buffering=0)) as unread:
        execution = execute(["yes"], output=unread, store=sqlite_store)
    assert (execution.run.status, execution.run.error_type) == ("aborted", "SIGPIPE")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_files_that_were_opened_and_not_declared_are_suggested(sqlite_store: Store) -> None:
    Path("a.csv").write_text("1")
    Path("höhe b.csv").write_text("2")
    code = """
for name in ("a.csv", "höhe b.csv"): open(name).read()
for name in ("made.txt", "out.txt"): open(name, "w").write(name)
"""
    done = execute([PYTHON, "-c", code], inputs=["a.csv"], outputs=["out.txt"], watch=True)
    assert suggestions(done, ["a.csv"], ["out.txt"]) == ["--input 'höhe b.csv'", "--output made.txt"]
    assert done.run.command[0] == PYTHON


def test_the_current_run_starts_it(sqlite_store: Store) -> None:
    with ln.Run(ln.Transform("pipeline")) as pipeline:
        inner = execute(["true"], project="Alpha").run
    assert inner.initiated_by_run == pipeline
    assert inner.projects.all().to_list("name") == ["Alpha"]
    assert inner.transform.type == "app"
