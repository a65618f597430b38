"""Dask itself runs tracked functions here: in threads, in processes, and in workers that were there before the run."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import lineagelog as ln
from lineagelog.store import Store

pytest.importorskip("dask", reason="Dask is not installed: `pip install dask distributed`")

ROOT = Path(__file__).parents[3]
RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


@ln.tracked()
def double(number: int) -> int:
    return 2 * number


def test_calls_in_threads_and_processes_are_runs_in_the_right_run(run_script: RunScript, sqlite_store: Store) -> None:
    code = (ROOT / "examples" / "workflows" / "dask" / "scale.py").read_text()
    # Dask's own processes warn of what they do themselves.
    done = run_script(code, name="scale.py", PYTHONWARNINGS="default")
    assert done.stdout == "threads 60\nprocesses 60\nbound 90 90\n"

    script = sqlite_store.Run.get(transform__key="scale.py")
    rescale = sqlite_store.Run.get(transform__key="rescale")
    calls = sqlite_store.Run.filter(transform__key="scale.py:scale").to_list()
    assert {run.status for run in calls} == {"finished"}
    started_by = [(run.initiated_by_run, run.params["number"], run.pid == script.pid) for run in calls]
    assert sorted((n, here) for run, n, here in started_by if run == script) == [
        (n, here) for n in (1, 2, 3) for here in (False, True)
    ]
    assert sorted((n, here) for run, n, here in started_by if run == rescale) == [
        (n, here) for n in (4, 5) for here in (False, True)
    ]
    for run in calls:
        assert [artifact.key for artifact in run.outputs] == [f"parts/{run.params['number']}.parquet"]
    # Sent by value or found by name, the function is one version.
    assert sqlite_store.Transform.filter(key="scale.py:scale").count() == 1


def test_workers_that_were_there_before_the_run_are_told_of_it(run_script: RunScript, sqlite_store: Store) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed: `pip install distributed`")
    code = """
        import lineagelog as ln
        from dask.distributed import Client, LocalCluster

        @ln.tracked()
        def double(number):
            return 2 * number

        if __name__ == "__main__":
            with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster, Client(cluster) as client:
                run = ln.track()
                print(client.gather(client.map(run.bind(double), [1, 2])))
    """
    done = run_script(code, name="late.py", PYTHONWARNINGS="default")
    assert done.stdout == "[2, 4]\n"
    script = sqlite_store.Run.get(transform__key="late.py")
    calls = sqlite_store.Run.filter(transform__key="late.py:double").to_list()
    assert sorted(run.params["number"] for run in calls) == [1, 2]
    assert {run.initiated_by_run for run in calls} == {script}
    assert script.pid not in {run.pid for run in calls}


def test_a_bound_function_is_sent_without_the_store(sqlite_store: Store) -> None:
    with ln.Run(ln.Transform("outer")) as run:
        pass
    sent = pickle.loads(pickle.dumps(run.bind(double)))
    assert sent(3) == 6
    assert sqlite_store.Run.get(transform__type="function").initiated_by_run == run
