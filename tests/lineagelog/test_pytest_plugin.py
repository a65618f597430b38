from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lineagelog.pytest_plugin import assert_replay_agrees
from lineagelog.store import Store

pytest_plugins = ["pytester"]
# Runs are processes of their own: one inside this process would take away the modules it was the first to import.

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_examples_of_the_documentation_run(pytester: pytest.Pytester) -> None:
    examples = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), flags=re.DOTALL)
    assert len(examples) >= 3
    for number, example in enumerate(examples):
        (pytester.path / f"test_example_{number}.py").write_text(example)
    n_tests = sum(len(re.findall(r"^def test_", example, flags=re.MULTILINE)) for example in examples)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error").assert_outcomes(
        passed=n_tests
    )


def test_each_test_has_a_store_of_its_own_that_is_current(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        import pytest
        import lineagelog as ln

        @pytest.mark.parametrize("number", [1, 2])
        def test_store(lineagelog_store, tmp_path, number):
            assert ln.current_store() is lineagelog_store
            assert not ln.Transform.all()
            ln.Transform(f"t{number}").save()
            assert os.environ["XDG_CONFIG_HOME"].startswith(str(tmp_path))
            assert "LINEAGELOG_USER" not in os.environ
            assert [entry["location"] for entry in ln.list_stores()] == [str(lineagelog_store.folder)]

        def test_afterwards_there_is_none():
            with pytest.raises(ln.errors.StoreNotFoundError):
                ln.current_store()
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist").assert_outcomes(passed=3)


def test_track_in_a_test_tracks_the_test_and_leaves_no_run_behind(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import lineagelog as ln

        def test_tracks(lineagelog_store):
            run = ln.track()
            assert run.transform.key == "test_track_in_a_test_tracks_the_test_and_leaves_no_run_behind.py"

        def test_none(lineagelog_store):
            try:
                ln.finish()
            except ln.errors.NoRunError:
                return
            raise AssertionError("the run of another test is still there")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist").assert_outcomes(passed=2)


def test_recorded_stores_are_opened_and_closed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        opened = []

        def test_record(lineagelog_store, lineagelog_record, lineagelog_open, tmp_path):
            lineagelog_store.login("ada", name="Ada")
            path = lineagelog_record(lineagelog_store, tmp_path / "study.jsonl")
            replayed = lineagelog_open(path)
            assert replayed.User.get(handle="ada").name == "Ada"
            opened.append(replayed)

        def test_closed():
            assert opened[0].closed
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist").assert_outcomes(passed=2)


def test_the_assertion_names_table_position_and_columns(tmp_path: Path) -> None:
    with Store.create(tmp_path / "store") as store:
        store.login("ada", name="Ada")
        assert_replay_agrees(store)
        with sqlite3.connect(tmp_path / "store/.lineagelog/store.db") as connection:
            connection.execute("UPDATE users SET name = 'Eve', email = 'eve@example.org' WHERE handle = 'ada'")
        connection.close()
        position = store.log.head().position - 1
        with pytest.raises(AssertionError, match=rf"position {position}: .* table users .*\(name, email\)"):
            assert_replay_agrees(store)
        store.rebuild()
        assert_replay_agrees(store)


def test_the_assertion_finds_rows_that_are_lost_or_invented(tmp_path: Path) -> None:
    with Store.create(tmp_path / "store") as store:
        store.login("ada", name="Ada")
        for statement, text in (
            ("DELETE FROM sessions", "has lost its row in the table sessions"),
            ("UPDATE stores SET name = 'x'", r"row in the table stores that does not say what the log says \(name\)"),
            (
                "INSERT INTO sessions VALUES (99, 'x', 'y', 'z', NULL)",
                "has a row that no event made in the table sessions",
            ),
        ):
            store.rebuild()
            with sqlite3.connect(tmp_path / "store/.lineagelog/store.db") as connection:
                connection.execute(statement)
            connection.close()
            with pytest.raises(AssertionError, match=text):
                assert_replay_agrees(store)


def test_under_a_stepped_clock_two_runs_of_a_test_give_the_same_bytes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        """
        from datetime import timedelta
        from pathlib import Path
        import os
        import pandas as pd
        import pytest
        import lineagelog as ln

        pytestmark = pytest.mark.filterwarnings("error")

        @pytest.mark.lineagelog_clock(start="2020-02-29T12:00:00+02:00", step_s=0.5)
        @pytest.mark.parametrize("again", ["first", "second"])
        def test_same(lineagelog_store, lineagelog_clock, lineagelog_record, again):
            store = lineagelog_store
            store.login("ada", name="Ada")
            raw = ln.Artifact(pd.DataFrame({"x": [1]}), key="raw.csv", run=False).save()
            with ln.Run(ln.Transform("clean"), params={"n": 1}) as run:
                raw.load()
                clean = ln.Artifact(pd.DataFrame({"x": [2]}), key="clean.csv").save()
                clean.labels.add(ln.ULabel("good").save())
            lineagelog_clock.advance(timedelta(days=1))
            clean.description = "a day later"
            clean.save()

            @ln.tracked()
            def step(x):
                return x
            step(3)
            assert str(run.started_at).startswith("2020-02-29 10:00:")
            (changed,) = store.audit(field="description")
            assert changed.at.day == 1
            contexts = {event.context for event in store.events()}
            assert all("test clock" in context and "test-host" in context for context in contexts)
            out = Path(os.environ["OUT"]) / again
            lineagelog_record(store, out.with_suffix(".jsonl"))
            for suffix in (".json", ".trig", ".events.csv"):
                store.export(out.with_suffix(suffix), record=False)
            assert store.verify().ok

        def test_other_tests_have_the_clock_of_the_machine(lineagelog_store):
            assert lineagelog_store.Storage.one().created_at.year > 2025
        """
    )
    for process in ("one", "two"):
        out = pytester.path / process
        out.mkdir()
        monkeypatch.setenv("OUT", str(out))
        pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist", "--strict-markers").assert_outcomes(
            passed=3
        )
    files = sorted(path.name for path in (pytester.path / "one").iterdir())
    assert len(files) == 2 * 5
    for name in files:
        contents = {
            (pytester.path / process / f"{which}{name[name.index('.') :]}").read_bytes()
            for process in ("one", "two")
            for which in ("first", "second")
        }
        assert len({content.replace(b"first.", b"second.") for content in contents}) == 1, name


def test_a_snapshot_shows_what_has_changed_and_is_written_on_demand(pytester: pytest.Pytester) -> None:
    test = """
        import pandas as pd
        import lineagelog as ln

        def test_lineage(lineagelog_store, lineagelog_snapshot):
            with ln.Run(ln.Transform("load")):
                raw = ln.Artifact(pd.DataFrame({"x": [1]}), key="raw.csv").save()
            with ln.Run(ln.Transform("join"), params={"how": "HOW", "with": raw.uid}):
                raw.load()
                joined = ln.Artifact(pd.DataFrame({"x": [2]}), key="joined.csv").save()
            with ln.Run(ln.Transform("plot")):
                raw.load(), joined.load()
                figure = ln.Artifact(pd.DataFrame({"x": [3]}), key="figure.csv").save()
            lineagelog_snapshot(figure)
        """
    path = pytester.makepyfile(test.replace("HOW", "inner"))
    options = ("-p", "no:cacheprovider", "-p", "no:xdist")
    missing = pytester.runpytest_subprocess(*options)
    missing.stdout.fnmatch_lines("*there is no snapshot*pytest --lineagelog-update*")
    pytester.runpytest_subprocess(*options, "--lineagelog-update").assert_outcomes(passed=1)
    (snapshot,) = (path.parent / "snapshots").rglob("*.txt")
    assert snapshot.read_text() == (
        "figure.csv\n  by plot: finished\n    joined.csv\n"
        '      by join {"how": "inner", "with": "raw.csv"}: finished\n        raw.csv\n          by load: finished\n'
        "    raw.csv (see above)\n"
    )
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)
    pytester.makepyfile(test.replace("HOW", "outer"))
    changed = pytester.runpytest_subprocess(*options)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(['*-*"how": "inner"*', '*+*"how": "outer"*'])


def test_loading_the_plugin_loads_nothing_else() -> None:
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport lineagelog.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {
        "lineagelog",
        "lineagelog.domain",
        "lineagelog.domain.version",
        "lineagelog.pytest_plugin",
    }


def test_the_plugin_is_found_by_pytest_on_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--fixtures", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    for fixture in ("lineagelog_store", "lineagelog_open", "lineagelog_record"):
        assert fixture in done.stdout
