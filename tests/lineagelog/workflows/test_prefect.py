"""Prefect itself runs tracked tasks here, with the server that it starts for itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lineagelog.store import Store

pytest.importorskip("prefect", reason="Prefect is not installed, and brings a hundred packages: `pip install prefect`")

EXAMPLE = Path(__file__).parents[3] / "examples" / "workflows" / "prefect" / "scale.py"
RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_flow_is_a_run_and_each_task_one_that_it_started(
    run_script: RunScript, sqlite_store: Store, tmp_path: Path
) -> None:
    done = run_script(
        EXAMPLE.read_text(),
        name="scale.py",
        PYTHONWARNINGS="default",
        PREFECT_HOME=str(tmp_path / "prefect"),
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="90",
        PREFECT_LOGGING_LEVEL="ERROR",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
    )
    assert done.stdout == "60\n", done.stderr
    script = sqlite_store.Run.get(transform__key="scale.py")
    flow = sqlite_store.Run.get(transform__key="scale.py:rescale")
    assert (flow.initiated_by_run, flow.params) == (script, {"numbers": [1, 2, 3]})
    tasks = sqlite_store.Run.filter(transform__key="scale.py:scale").to_list()
    assert sorted(run.params["number"] for run in tasks) == [1, 2, 3]
    for run in tasks:
        assert (run.status, run.initiated_by_run) == ("finished", flow)
        assert [artifact.key for artifact in run.outputs] == [f"parts/{run.params['number']}.parquet"]
