from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lineagelog.store import Store
from lineagelog.workflows.foreign import Ending, ForeignFile, ForeignRun, ForeignTransform, import_runs

BEGAN = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
ENDED = Ending("finished", BEGAN + timedelta(minutes=3))


def told(reference: str, **more: Any) -> ForeignRun:
    return ForeignRun(reference, "other", ForeignTransform("step"), BEGAN, **more)


def test_a_run_keeps_its_times_and_is_no_part_of_what_records_it(store: Store) -> None:
    with store.Run(store.Transform("importing script")) as importing:
        (run,) = import_runs(store, [told("1", ending=ENDED)]).new
    assert (run.started_at, run.status) == (BEGAN, "finished")
    assert store.Run.get(reference="1").finished_at == ENDED.at
    assert run.initiated_by_run is None
    assert importing.child_runs.count() == 0
    assert run.created_at > run.started_at


def test_what_a_past_run_made_is_not_stated_to_be_younger_than_the_run(
    sqlite_store: Store, write: Callable[[str, str], Path]
) -> None:
    files = {
        "inputs": [ForeignFile(write("in.txt", "x"), "in.txt")],
        "outputs": [ForeignFile(write("out.txt", "y"), "out.txt")],
    }
    (run,) = import_runs(sqlite_store, [told("1", ending=ENDED, **files)]).new
    text = sqlite_store.to_prov(sqlite_store.Artifact.get(key="out.txt")).get_provn()
    made = next(line for line in text.splitlines() if "wasGeneratedBy" in line and f"run:{run.uid}" in line)
    used = next(line for line in text.splitlines() if "used(" in line and f"run:{run.uid}" in line)
    assert f"run:{run.uid}, -" in made
    assert "2024-02-29T12:00:00" in used


def test_runs_are_recorded_after_those_that_started_them(store: Store) -> None:
    runs = [
        told("grandchild", parent="child"),
        told("child", parent="top"),
        told("top"),
        told("stray", parent="unknown"),
    ]
    import_runs(store, runs)
    parents = {run.reference: run.initiated_by_run and run.initiated_by_run.reference for run in store.Run.filter()}
    assert parents == {"top": None, "child": "top", "grandchild": "child", "stray": None}


def test_one_reference_is_another_run_in_another_system(store: Store) -> None:
    import_runs(store, [told("1", ending=ENDED)])
    other = ForeignRun("1", "another", ForeignTransform("step"), BEGAN)
    assert len(import_runs(store, [other]).new) == 1
    assert store.Run.filter(reference="1").count() == 2


def test_a_file_that_many_runs_read_is_looked_at_once(store: Store, write: Callable[[str, str], Path]) -> None:
    file = ForeignFile(write("in.txt", "x"), "in.txt")
    gone = ForeignFile(file.path.parent / "gone.txt", "gone.txt")
    done = import_runs(store, [told(str(number), inputs=[file, gone]) for number in range(3)])
    artifact = store.Artifact.get(key="in.txt")
    assert artifact.run is None
    assert len(list(artifact.history())) == 1
    assert [list(run.inputs) for run in store.Run.filter()] == [[artifact]] * 3
    assert done.missing_files == [gone.path] * 3


def test_values_of_other_systems_become_plain_ones_and_secrets_are_left_out(sqlite_store: Store) -> None:
    params = {
        "path": Path("a"),
        "nan": float("nan"),
        "set": {1},
        "object": object,
        7: "key",
        "api_key": "sk-123456789012",
    }
    import_runs(sqlite_store, [told("1", params=params)])
    stored = sqlite_store.Run.get().params
    assert stored["path"] == "a"
    assert stored["nan"] == "nan"
    assert stored["set"] == [1]
    assert stored["7"] == "key"
    assert "sk-12345" not in str(stored)


def test_a_metric_whose_name_is_that_of_a_feature_of_another_type_is_left_out_and_told(
    sqlite_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_store.Feature("stage", "str").save()
    import_runs(sqlite_store, [told("1", metrics={"stage": 1.0, "loss": 0.5, "worst": float("inf")})])
    assert sqlite_store.Run.get().features.get_values() == {"loss": 0.5}
    assert "'stage' was left out" in capsys.readouterr().err


def test_processes_that_import_the_same_record_it_once(
    store: Store, start_script: Callable[..., Any], store_folder: Path
) -> None:
    code = """
        from datetime import datetime, UTC
        from lineagelog.store import Store
        from lineagelog.workflows.foreign import *
        import os
        store = Store.open(os.environ["LINEAGELOG_STORE"])
        ending = Ending("finished", datetime.now(UTC))
        began = datetime(2024, 1, 1, tzinfo=UTC)
        runs = [ForeignRun(str(n), "other", ForeignTransform("step"), began, ending=ending) for n in range(30)]
        done = import_runs(store, runs)
        print(len(done.new), len(done.updated), done.known)
    """
    processes = [start_script(code, name=f"import{number}.py") for number in range(3)]
    counts = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        counts.append([int(number) for number in out.split()])
    assert sum(new for new, *_ in counts) == 30
    assert all(sum(count) == 30 for count in counts)
    assert store.Run.filter(status="finished").count() == 30
    assert store.Transform.filter().count() == 1
