from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.store import Store
from lineagelog.tracking.lost import close_lost, lost_runs

RunScript = Callable[..., "subprocess.CompletedProcess[str]"]
StartScript = Callable[..., "subprocess.Popen[str]"]
Interrupt = Callable[["subprocess.Popen[str]", signal.Signals], int]

TRACK = """
    '''Clean the table.

    More words.
    '''
    import lineagelog as ln
    ln.track()
"""


def test_a_script_that_ends_without_finish_is_finished(store: Store, run_script: RunScript, tmp_path: Path) -> None:
    done = run_script(TRACK, name="clean.py", arguments=("--level", "3"))
    run = store.Run.get()
    assert run.status == "finished"
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at
    transform = run.transform
    assert (transform.key, transform.type, transform.description) == ("clean.py", "script", "Clean the table.")
    assert transform.source_code == (tmp_path / "scripts/clean.py").read_text()
    assert run.command[-3:] == [str(tmp_path / "scripts/clean.py"), "--level", "3"]
    assert run.host
    assert "finished Run" in done.stderr
    assert done.stdout == ""


def test_finish_ends_the_run_at_once(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import lineagelog as ln
        run = ln.track(name="first try")
        assert ln.finish().status == "finished"
        assert ln.Run.get(run.uid).status == "finished"
        try:
            ln.finish()
        except ln.errors.NoRunError as error:
            assert "ln.track()" in str(error)
        else:
            raise AssertionError("there was nothing to finish")
        """
    )
    assert sqlite_store.Run.get().name == "first try"


def test_the_same_source_is_the_same_version_and_changed_source_the_next(
    sqlite_store: Store, run_script: RunScript
) -> None:
    run_script(TRACK)
    run_script(TRACK)
    run_script(TRACK + "    print('changed')\n")
    first, second, third = sqlite_store.Run.all()
    assert first.transform == second.transform
    assert third.transform.uid[:12] == first.transform.uid[:12]
    assert third.transform != first.transform
    assert [version.is_latest for version in third.transform.versions] == [False, True]
    # Going back to the old source is the old version, which is not rewritten.
    run_script(TRACK)
    assert sqlite_store.Run.all()[3].transform == first.transform
    assert first.transform.runs.count() == 3


def test_one_environment_is_recorded_for_equal_runs(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(TRACK)
    run_script(TRACK)
    first, second = sqlite_store.Run.all()
    assert first.environment_id == second.environment_id
    assert [event.topic for event in sqlite_store.events(topic="environment.recorded")] == ["environment.recorded.1"]
    environment = first.environment
    assert environment is not None
    assert "msgspec" in environment["packages"]
    assert environment["python"].startswith("3.")


def test_a_uid_keeps_a_renamed_script_one_family(sqlite_store: Store, run_script: RunScript) -> None:
    code = "import lineagelog as ln\nln.track('1LCd8kco9lZU')\n"
    run_script(code, name="old.py")
    run_script(code + "print()\n", name="new.py")
    old, new = sqlite_store.Transform.all()
    assert (old.uid, new.uid) == ("1LCd8kco9lZU0000", "1LCd8kco9lZU0001")
    assert (old.key, new.key, old.is_latest, new.is_latest) == ("old.py", "new.py", False, True)


def test_parameters_are_kept_and_secrets_are_not(store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import datetime, pathlib
        import numpy as np
        import lineagelog as ln
        ln.track(params={
            "lr": 0.1, "layers": [64, {"size": 8}], "seed": np.int64(7), "day": datetime.date(2026, 11, 21),
            "path": pathlib.Path("data/in.csv"), "none": None, "on": True,
            "database": {"url": "postgresql://ada:hunter22@host/db", "password": "hunter22"},
        })
        """
    )
    run = store.Run.get()
    database = run.params.pop("database")
    assert run.params == {
        "lr": 0.1,
        "layers": [64, {"size": 8}],
        "seed": 7,
        "day": "2026-11-21",
        "path": "data/in.csv",
        "none": None,
        "on": True,
    }
    assert "hunter22" not in str(database)
    assert not any("hunter22" in str(event.fact) for event in store.events(topic="run"))
    assert store.Run.filter(params__layers__1__size__gte=8).count() == 1
    assert store.Run.filter(params__lr__gt=0.5).count() == 0


def test_an_exception_makes_the_run_failed_with_its_traceback(store: Store, run_script: RunScript) -> None:
    done = run_script(TRACK + "    def divide():\n        return 1 / 0\n    divide()\n", returncode=1)
    run = store.Run.get()
    assert (run.status, run.error_type, run.error_message) == ("failed", "ZeroDivisionError", "division by zero")
    assert "in divide" in (run.error_traceback or "")
    assert "ZeroDivisionError" in done.stderr, "the exception must still be shown"


def test_an_exit_code_makes_the_run_failed_or_finished(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(TRACK + "    import sys\n    sys.exit('no input')\n", name="a.py", returncode=1)
    run_script(TRACK + "    raise SystemExit(3)\n", name="b.py", returncode=3)
    run_script(TRACK + "    exit()\n", name="c.py")
    text, code, none = sqlite_store.Run.all()
    assert (text.status, text.error_type, text.error_message) == ("failed", "SystemExit", "no input")
    assert (code.status, code.error_type, code.error_message) == ("failed", "SystemExit", "exit code 3")
    assert none.status == "finished"


def test_an_error_whose_text_cannot_be_made_ends_the_run(sqlite_store: Store, run_script: RunScript) -> None:
    error = "class Broken(Exception):\n        def __str__(self):\n            return 1 / 0\n"
    run_script(f"{TRACK}    {error}    raise Broken\n", returncode=1)
    run = sqlite_store.Run.get()
    assert (run.status, run.error_type) == ("failed", "Broken")
    assert "ZeroDivisionError" in (run.error_message or "")


def test_an_exit_of_another_thread_is_not_that_of_the_run(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        TRACK
        + "    import sys, threading\n    thread = threading.Thread(target=sys.exit, args=(3,))\n"
        + "    thread.start()\n    thread.join()\n"
    )
    assert sqlite_store.Run.get().status == "finished"


@pytest.mark.parametrize(
    ("number", "name", "returncode"),
    [(number, number.name, -number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_an_interrupt_makes_the_run_aborted(
    sqlite_store: Store,
    start_script: StartScript,
    interrupt: Interrupt,
    number: signal.Signals,
    name: str,
    returncode: int,
) -> None:
    process = start_script(TRACK + "    import time\n    print('ready', flush=True)\n    time.sleep(60)\n")
    assert interrupt(process, number) == returncode
    run = sqlite_store.Run.get()
    assert (run.status, run.error_type) == ("aborted", name)


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_signal_handler_of_the_scripts_own_decides(
    sqlite_store: Store, start_script: StartScript, interrupt: Interrupt, first: bool
) -> None:
    handler = "\n    import signal, sys\n    signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
    wait = "    import time\n    print('ready', flush=True)\n    time.sleep(60)\n"
    process = start_script("    pass" + handler + TRACK + wait if first else TRACK + handler + wait)
    assert interrupt(process, signal.SIGTERM) == 9
    run = sqlite_store.Run.get()
    assert (run.status, run.error_message) == ("failed", "exit code 9")


def test_a_termination_in_the_middle_of_a_write_ends_the_process(store: Store, start_script: StartScript) -> None:
    process = start_script(
        TRACK
        + """
    import os, signal
    import lineagelog.tracking.script
    lineagelog.tracking.script._ABORT_TIMEOUT_S = 0.5
    with ln.current_store().log.database.write():
        os.kill(os.getpid(), signal.SIGTERM)
        """
    )
    _, err = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    assert "in the middle of a write" in err
    assert store.Run.get().status == "started"


def test_a_second_track_ends_the_first_run(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import lineagelog as ln
        first = ln.track(ln.Transform("one"))
        second = ln.track(ln.Transform("two"))
        assert ln.Run.get(first.uid).status == "finished"
        assert ln.Run.get(second.uid).status == "started"
        assert second.initiated_by_run is None, "the first had ended"
        """
    )
    assert [run.status for run in sqlite_store.Run.all()] == ["finished", "finished"]


def test_a_refused_track_leaves_the_first_run_running(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import lineagelog as ln
        first = ln.track(ln.Transform("one"))
        try:
            ln.track(ln.Transform("two"), params={"x": float("nan")})
        except ln.errors.InvalidValueError:
            pass
        assert ln.Run.get().status == "started"
        """
    )
    assert sqlite_store.Transform.get().key == "one"


def test_the_git_commit_of_the_script_is_recorded(sqlite_store: Store, run_script: RunScript, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()

    def git(*arguments: str) -> str:
        identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        for who in ("AUTHOR", "COMMITTER"):
            identity |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org"}
        done = subprocess.run(
            ["git", *arguments], cwd=checkout, env=os.environ | identity, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    git("remote", "add", "origin", "https://ada:hunter22@example.org/study.git")
    (checkout / "notes.txt").write_text("1")
    (checkout / "clean.py").write_text("import lineagelog as ln\nln.track()\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    code = (checkout / "clean.py").read_text()
    run_script(code, name="clean.py", folder=checkout)
    (checkout / "notes.txt").write_text("2")
    run_script(code, name="clean.py", folder=checkout)
    clean, dirty = sqlite_store.Run.all()
    assert clean.git_commit == dirty.git_commit == git("rev-parse", "HEAD")
    assert (clean.git_dirty, dirty.git_dirty) == (False, True)
    assert (clean.git_branch, clean.git_path) == ("main", "clean.py")
    assert clean.git_remote is not None
    assert "hunter22" not in clean.git_remote
    assert clean.diff is None
    assert dirty.diff is not None
    assert "+2" in dirty.diff.cache().read_text().splitlines()


def test_the_source_that_ran_is_hashed_as_it_was_and_stored_without_secrets(
    sqlite_store: Store, run_script: RunScript, tmp_path: Path
) -> None:
    import hashlib

    run_script('import lineagelog as ln\npassword = "hunter22hunter22"\nln.track()\n')
    transform = sqlite_store.Transform.get()
    assert transform.hash == hashlib.sha256((tmp_path / "scripts/script.py").read_bytes()).hexdigest()
    assert transform.source_redacted
    assert "hunter22" not in (transform.source_code or "")


def test_what_a_child_process_does_cannot_end_the_run_of_its_parent(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import multiprocessing, os, signal, sys, time
        import lineagelog as ln

        def work(number):
            return number * 2

        if __name__ == "__main__":
            ln.track(ln.Transform("parent"))
            # Leaving the block sends SIGTERM to the workers, which have inherited the handler.
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(work, [1, 2]) == [2, 4]
            pid = os.fork()
            if pid == 0:
                sys.stderr = None
                raise RuntimeError("only in the child")
            os.waitpid(pid, 0)
            assert ln.Run.get().status == "started", ln.Run.get().status
        """,
        PYTHONWARNINGS="default",
    )
    assert sqlite_store.Run.get().status == "finished"


def test_a_forked_child_may_track_a_run_of_its_own(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import os
        import lineagelog as ln
        parent = ln.track(ln.Transform("parent"))
        pid = os.fork()
        if pid == 0:
            ln.track(ln.Transform("child"))
            raise SystemExit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert ln.Run.get(parent.uid).status == "started"
        """
    )
    parent, child = sqlite_store.Run.all()
    assert (parent.status, child.status) == ("finished", "finished")
    assert child.initiated_by_run == parent


def test_a_script_without_a_store_says_how_to_make_one(run_script: RunScript, tmp_path: Path) -> None:
    done = run_script(TRACK, returncode=1, LINEAGELOG_STORE=str(tmp_path / "nowhere"))
    assert "StoreNotFoundError" in done.stderr
    assert "prov init" in done.stderr


def test_code_that_has_no_file(sqlite_store: Store, script_environment: dict[str, str]) -> None:
    code = "import lineagelog as ln; ln.track()"
    told = []
    for arguments, typed in ((["-c", code], None), (["-"], code)):
        done = subprocess.run(
            [sys.executable, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            env=script_environment,
            check=True,
        )
        told.append("! the run has no source: python - came through a pipe" in done.stderr)
    assert told == [False, True]
    command, piped = sqlite_store.Run.all()
    assert (command.transform.key, command.transform.source_code) == ("python -c", code)
    assert (piped.transform.key, piped.transform.hash, piped.status) == ("python -", None, "finished")


def test_what_was_changed_after_it_had_started_is_not_kept_as_what_ran(
    sqlite_store: Store, run_script: RunScript
) -> None:
    edit = "import pathlib\np = pathlib.Path(__file__)\np.write_text('x = 1\\n' + p.read_text())\n"
    done = run_script(f"{edit}import lineagelog as ln\nln.track()\n")
    assert "! the run has no source: script.py was changed after it had started" in done.stderr
    assert sqlite_store.Run.get().transform.hash is None


def test_track_takes_a_transform_or_a_uid_only(sqlite_store: Store) -> None:
    with pytest.raises(errors.InvalidValueError, match="must be True, False or 'all'"):
        ln.track(log="everything")  # type: ignore[arg-type]
    head = sqlite_store.log.head()
    with pytest.raises(TypeError, match="int"):
        ln.track(3)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidValueError, match="uid"):
        ln.track("short")
    assert sqlite_store.log.head() == head


def test_the_user_of_the_environment_variable_is_the_actor_of_a_script(store: Store, run_script: RunScript) -> None:
    store.login("ada", name="Ada")
    store.logout()
    run_script(TRACK, LINEAGELOG_USER="ada")
    created_by = store.Run.get().created_by
    assert created_by is not None
    assert created_by.handle == "ada"


def test_what_a_script_prints_is_the_log_of_its_run(store: Store, run_script: RunScript) -> None:
    done = run_script(
        """
        import sys
        import lineagelog as ln
        print("before")
        ln.track()
        print("to you: größe")
        print("token = 'ghp_0123456789abcdefghijklmnop'", file=sys.stderr)
        assert not sys.stdout.isatty()
        sys.stdout.buffer.write(b"")
        """
    )
    assert done.stdout == "before\nto you: größe\n"
    log = store.Run.get().log
    assert log is not None
    assert log.load() == "to you: größe\ntoken = '[redacted]'\n"
    # It is found by its run, its kind and its uid, and in nobody's way otherwise.
    assert list(store.Artifact.all()) == []
    assert store.Artifact.search("log").count() == 0
    assert list(store.Artifact.filter(kind="run_log")) == list(store.Run.get().outputs) == [log]
    assert store.Artifact.get(log.uid) == log


def test_whoever_took_hold_of_a_stream_before_is_heard_and_the_stream_stays_itself(
    sqlite_store: Store, run_script: RunScript
) -> None:
    """Handlers of `logging`, bytes, streams made anew of the old one; and children, which have a log of their own or none."""
    done = run_script(
        """
        import io, logging, os, sys
        import lineagelog as ln
        logging.basicConfig(format="%(message)s", level="INFO")
        held, before = sys.stderr, (sys.stdout, sys.stdout.buffer, sys.stdout.encoding, sys.stderr)
        ln.track()
        assert before == (sys.stdout, sys.stdout.buffer, sys.stdout.encoding, sys.stderr)
        logging.info("1 logged")
        held.writelines(["2 ", "held\\n"])
        print("3", "printed", end="")
        sys.stdout.flush()
        sys.stdout.buffer.write(bytearray(b" in bytes \\xff\\n"))
        sys.stdout.buffer.flush()
        child = os.fork()
        if child == 0:
            print("by the child", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="latin-1", write_through=True)
        print("4 größe")
        ln.finish()
        print("after")
        logging.info("after")
        assert "write" not in vars(sys.stderr) | vars(sys.stdout.buffer)
        """,
    )
    assert done.stdout == "3 printed in bytes \ufffd\nby the child\n4 gr\ufffd\ufffde\nafter\n"
    assert [line for line in done.stderr.splitlines() if line[0] not in "→•"] == ["1 logged", "2 held", "after"]
    log = sqlite_store.Run.get().log
    assert log is not None
    assert log.load() == "1 logged\n2 held\n3 printed in bytes \ufffd\n4 gr\ufffd\ufffde\n"


def test_all_that_is_printed_can_be_kept_whoever_prints_it(sqlite_store: Store, run_script: RunScript) -> None:
    done = run_script(
        """
        import os, subprocess, sys
        import lineagelog as ln
        ln.track(log="all")
        print("1 printed")
        sys.stdout.flush()
        os.write(1, b"2 past the stream\\n")
        subprocess.run(["sh", "-c", "echo 3 by a program; echo an error >&2"])
        if os.fork() == 0:
            os.write(1, b"4 by a child\\n")
            os._exit(0)
        os.wait()
        late = subprocess.Popen(["sh", "-c", "while ! test -e ended; do sleep 0.05; done; echo late"])
        print("5 printed")
        ln.finish()
        print("after", flush=True)
        open("ended", "w").close()
        late.wait()
        """
    )
    kept = "1 printed\n2 past the stream\n3 by a program\n4 by a child\n5 printed\n"
    assert done.stdout == kept + "after\nlate\n"
    assert [line for line in done.stderr.splitlines() if line[0] not in "→•"] == ["an error"]
    log = sqlite_store.Run.get().log
    assert log is not None
    assert log.load().replace("an error\n", "") == kept
    assert log.load().count("an error\n") == 1


def test_two_outputs_that_are_one_place_keep_their_order_where_all_is_kept(
    sqlite_store: Store, run_script: RunScript
) -> None:
    run_script(
        """
        import os
        os.dup2(1, 2)
        import lineagelog as ln
        ln.track(log="all")
        for number in range(300): os.write(1 + number % 2, b"%d " % number)
        """
    )
    log = sqlite_store.Run.get().log
    assert log is not None
    assert log.load().split() == [str(number) for number in range(300)]


def test_a_process_that_is_killed_while_all_is_kept_loses_no_output(sqlite_store: Store, run_script: RunScript) -> None:
    done = run_script(
        """
        import os, signal
        import lineagelog as ln
        ln.track(log="all")
        for number in range(3): os.write(1, b"x" * 20_000)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        returncode=-signal.SIGKILL,
    )
    assert done.stdout == "x" * 60_000


def test_a_long_log_is_kept_at_the_end_of_the_process(sqlite_store: Store, run_script: RunScript) -> None:
    keep_more = "from lineagelog.adapters.transcript import Transcript\nTranscript.__init__.__defaults__ = (8 << 20,)\n"
    done = run_script(keep_more + "import lineagelog as ln\nln.track()\nprint(('x' * 99 + '\\n') * 90_000, end='')\n")
    assert "could not be kept" not in done.stderr
    log = sqlite_store.Run.get().log
    assert log is not None
    assert log.size == 9_000_000


def test_a_failed_run_has_its_log_and_a_silent_one_none(sqlite_store: Store, run_script: RunScript) -> None:
    run_script("import lineagelog as ln\nln.track()\nprint('so far')\n1 / 0\n", returncode=1)
    run_script("import lineagelog as ln\nln.track()\n")
    run_script("import lineagelog as ln\nln.track(log=False)\nprint('unheard')\n")
    failed, silent, unheard = sqlite_store.Run.all()
    assert failed.log is not None
    kept = failed.log.load()
    assert kept.startswith("so far\nTraceback")
    assert kept.endswith("ZeroDivisionError: division by zero\n"), "nothing of the project itself"
    assert (failed.status, silent.log, unheard.log) == ("failed", None, None)


def test_a_killed_run_is_lost_and_is_ended_on_record(
    store: Store, start_script: StartScript, interrupt: Interrupt, run_script: RunScript
) -> None:
    script = TRACK + "    print('ready', flush=True)\n    import time\n    time.sleep(60)\n"
    assert interrupt(start_script(script), signal.SIGKILL) == -signal.SIGKILL
    alive = start_script(script, name="alive.py")
    assert alive.stdout is not None
    assert alive.stdout.readline() == "ready\n"
    held_by_nobody = ln.Run(ln.Transform("by hand")).save()
    (lost,) = lost_runs(store)
    assert (lost.status, lost.is_lost, held_by_nobody.is_lost) == ("started", True, False)
    others = store.Run.filter(transform__key__in=["alive.py", "by hand"])
    for run in others:
        with pytest.raises(errors.ConstraintError, match="may be alive"):
            close_lost([lost, run])
    assert lost.refresh().is_lost, "all are looked at before the first is ended"
    assert close_lost([lost], reason="power cut") == [lost]
    assert (lost.status, lost.error_type, lost.is_lost) == ("aborted", "lost", False)
    assert [*lost.history()][-1].reason == "power cut"
    with pytest.raises(errors.RunClosedError):
        close_lost([lost])
    assert {run.status for run in others} == {"started"}
    assert [run.status for run in close_lost([held_by_nobody], force=True)] == ["aborted"]


def test_the_file_that_runs_can_be_named(sqlite_store: Store, tmp_path: Path) -> None:
    script, notebook = tmp_path / "generated.py", tmp_path / "study.ipynb"
    script.write_text('"Made by a program."')
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# Study"]}]
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    for path, expected in (
        (script, ("generated.py", "script", "Made by a program.")),
        (notebook, ("study.ipynb", "notebook", "Study")),
    ):
        transform = ln.track(path=path).transform
        assert (transform.key, transform.type, transform.description) == expected
        assert ln.finish().is_consecutive is None
    head = sqlite_store.log.head()
    with pytest.raises(errors.InvalidValueError, match="there is no such file"):
        ln.track(path=tmp_path / "missing.ipynb")
    with pytest.raises(errors.InvalidValueError, match="pass one of them"):
        ln.track(ln.Transform("study"), path=script)
    assert sqlite_store.log.head() == head


def test_messages_that_nobody_reads_stop_nothing(
    sqlite_store: Store, script_environment: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text("import lineagelog as ln\nln.track()\n")
    reader, writer = os.pipe()
    os.close(reader)
    for streams in ("", "<&- >&- 2>&-"):
        # A shell closes a stream by `>&-`.
        command = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, str(script)]
        done = subprocess.run(command, env=script_environment, stderr=writer, check=False)
        assert done.returncode == 0
    os.close(writer)
    assert [run.status for run in sqlite_store.Run.all()] == ["finished", "finished"]


def test_bytes_that_are_no_text_in_names_and_arguments_stop_nothing(
    sqlite_store: Store, run_script: RunScript, tmp_path: Path
) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()
    name = os.fsdecode(b"b\xff.py")
    (folder / name).write_text(TRACK)
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    run_script(TRACK, name=name, folder=folder, arguments=(os.fsdecode(b"\xfe"),))
    run = sqlite_store.Run.get()
    assert (run.transform.key, run.command[-1]) == ("b\\udcff.py", "\\udcfe")
    assert run.git_path == "b\\udcff.py"


def test_an_account_without_a_home_is_tracked(sqlite_store: Store, run_script: RunScript) -> None:
    run_script(
        """
        import os, pwd
        import lineagelog as ln
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        # As in a container that runs under a number without a name.
        pwd.getpwuid = lambda number: {}[number]
        ln.track()
        """
    )
    assert sqlite_store.Run.get().status == "finished"


def test_a_working_directory_that_was_removed_is_told(run_script: RunScript, tmp_path: Path) -> None:
    done = run_script(
        """
        import os, tempfile
        import lineagelog as ln
        del os.environ["LINEAGELOG_STORE"]
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
        ln.track()
        """,
        returncode=1,
    )
    assert "StoreNotFoundError: the working directory was removed" in done.stderr
