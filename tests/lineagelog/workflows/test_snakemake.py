"""Snakemake itself runs here, with the plugin, in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lineagelog.store import Store
from lineagelog.workflows.snakemake import rule_text

pytest.importorskip("snakemake", reason="Snakemake is not installed: `pip install snakemake`")

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "workflows" / "snakemake"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(sqlite_store: Store, tmp_path: Path) -> Iterator[Start]:
    """Start Snakemake in a folder; the plugin is found on the path, as it is when it is installed."""
    started: list[subprocess.Popen[str]] = []

    def call(folder: Path, *arguments: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
        path = os.pathsep.join(
            [str(ROOT), str(ROOT / "lineagelog/workflows/plugins"), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        assert sqlite_store.folder is not None
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--logger", "lineagelog", "--cores", "2", *arguments],
            cwd=folder,
            env=inherited | {"PYTHONPATH": path, "LINEAGELOG_STORE": str(sqlite_store.folder), "HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def write_workflow(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "Snakefile").write_text(textwrap.dedent(text))
    return folder


def test_each_job_of_the_example_is_a_run_with_its_files(start: Start, sqlite_store: Store, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "reads-study")
    process = start(folder)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "gap" not in out

    runs = {run.name: run for run in sqlite_store.Run.filter()}
    assert set(runs) == {None, "filter sample=a", "filter sample=b", "count", "total"}
    whole = runs.pop(None)
    assert whole.transform.key == "reads-study/Snakefile"
    assert whole.params == {"config": {"samples": ["a", "b"], "min_length": 4}}
    assert whole.environment is not None
    assert whole.log is not None
    for run in runs.values():
        assert (run.status, run.initiated_by_run, run.reference_type) == ("finished", whole, "snakemake")
        assert run.finished_at is not None
        assert whole.finished_at is not None
        assert whole.started_at <= run.started_at <= run.finished_at <= whole.finished_at

    one = runs["filter sample=a"]
    assert one.params["params"] == {"min_length": 4}
    assert one.params["wildcards"] == {"sample": "a"}
    assert one.params["threads"] == 1
    assert one.log is not None
    assert one.log.cache().read_text() == "a filtered\n"
    assert one.transform == runs["filter sample=b"].transform
    assert one.transform.source_code is not None
    assert one.transform.source_code.startswith("rule filter:\n")
    assert "Counts the reads" in (runs["count"].transform.source_code or "")

    keys = {
        name: (
            {artifact.key for artifact in run.inputs},
            {artifact.key for artifact in run.outputs if artifact.kind != "run_log"},
        )
        for name, run in runs.items()
    }
    assert keys == {
        "filter sample=a": ({"reads/a.txt", "adapters.txt"}, {"filtered/a.txt"}),
        "filter sample=b": ({"reads/b.txt", "adapters.txt"}, {"filtered/b.txt"}),
        "count": ({"filtered/a.txt", "filtered/b.txt"}, {"results/counts", "results/counts.csv"}),
        "total": ({"results/counts.csv", "adapters.txt"}, {"results/total.txt"}),
    }
    # What three jobs have read is one artifact, looked at once.
    adapters = sqlite_store.Artifact.get(key="adapters.txt")
    assert len(list(adapters.history())) == 1
    # Snakemake has removed its temporary files; what they held is on record.
    assert not (folder / "filtered" / "a.txt").exists()
    assert sqlite_store.Artifact.get(key="filtered/a.txt").cache().read_text() == "ACGTA\nGGCATT\n"
    # One of the files is the mark of the time that Snakemake leaves in folders.
    assert sqlite_store.Artifact.get(key="results/counts").n_files == 3


def test_failed_and_repeated_jobs_are_failed_runs(start: Start, sqlite_store: Store, tmp_path: Path) -> None:
    folder = write_workflow(
        tmp_path / "failing",
        """
        rule all:
            input: "late.txt", "never.txt"

        rule late:
            output: "late.txt"
            retries: 1
            shell: "test -e tried && echo done > {output} || {{ touch tried; exit 3; }}"

        rule never:
            output: "never.txt"
            log: "never.log"
            shell: "echo oops > {log}; echo half > {output}; false"
        """,
    )
    process = start(folder, "--keep-going", "--quiet", "all")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1, out

    late = {run.params["attempt"]: run for run in sqlite_store.Run.filter(name="late")}
    assert {attempt: run.status for attempt, run in late.items()} == {1: "failed", 2: "finished"}
    never = sqlite_store.Run.get(name="never")
    assert never.status == "failed"
    assert "non-zero exit" in (never.error_message or "")
    assert never.outputs.filter(key="never.txt").count() == 0
    assert never.log is not None
    assert never.log.cache().read_text() == "oops\n"
    assert sqlite_store.Run.get(transform__key="failing/Snakefile").status == "failed"


def test_files_of_folders_scripts_and_forced_jobs(start: Start, sqlite_store: Store, tmp_path: Path) -> None:
    folder = write_workflow(
        tmp_path / "parts-study",
        """
        checkpoint split:
            output: directory("parts"), "split.info"
            shell: "mkdir -p {output[0]}; for n in 1 2; do echo $n > {output[0]}/$n.txt; done; echo 2 > {output[1]}"

        rule double:
            input: "parts/{n}.txt"
            output: "double/{n}.txt"
            shell: "cat {input} {input} > {output}"

        def doubled(wildcards):
            parts = checkpoints.split.get().output[0]
            return expand("double/{n}.txt", n=glob_wildcards(parts + "/{n}.txt").n)

        rule join:
            input: doubled
            output: "joined.txt"
            params: number=lambda wildcards, input: len(input)
            script: "join.py"
        """,
    )
    (folder / "join.py").write_text(
        "import lineagelog as ln\nln.track()\nwith open(snakemake.output[0], 'w') as out:\n"
        "    out.writelines(open(path).read() for path in snakemake.input)\nln.finish()\n"
    )
    for arguments in (("joined.txt",), ("joined.txt", "--forcerun", "double")):
        process = start(folder, *arguments)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        assert "gap" not in out
    wholes = sqlite_store.Run.filter(transform__key="parts-study/Snakefile").to_list()
    split = sqlite_store.Run.get(name="split")
    assert {artifact.key for artifact in split.outputs} == {"parts", "split.info"}
    doubles = sqlite_store.Run.filter(name="double n=1").order_by("started_at").to_list()
    assert [run.initiated_by_run for run in doubles] == wholes
    for run in doubles:
        # The second time, the job that made the folder did not run.
        assert {artifact.key: artifact.run for artifact in run.inputs} == {"parts/1.txt": None, "parts": split}
        assert [artifact.key for artifact in run.outputs] == ["double/1.txt"]
    joined = sqlite_store.Run.filter(name="join").first()
    assert joined is not None
    assert joined.params["params"] == {"number": 2}
    script = sqlite_store.Run.filter(transform__key="join.py").first()
    assert script is not None
    assert script.initiated_by_run == wholes[0]
    upstream = sqlite_store.Artifact.get(key="joined.txt", is_latest=True).upstream()
    assert "parts-study/Snakefile:split" in upstream.to_string()


def test_an_interrupted_workflow_is_ended_on_record(
    start: Start, sqlite_store: Store, tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    folder = write_workflow(
        tmp_path / "long", 'rule wait:\n    output: "x"\n    shell: "touch began; sleep 60; touch x"\n'
    )
    process = start(folder)
    wait_until((folder / "began").exists)
    # As a terminal does it: the jobs hear it as well.
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert {run.status for run in sqlite_store.Run.filter()} <= {"failed", "aborted"}
    assert sqlite_store.Run.filter().count() == 2


def test_a_missing_store_stops_before_the_first_job(start: Start, tmp_path: Path) -> None:
    folder = write_workflow(tmp_path / "storeless", 'rule make:\n    output: "x"\n    shell: "touch x"\n')
    process = start(folder, "--logger-lineagelog-store", str(tmp_path / "nothing"))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "there is no store" in out
    assert not (folder / "x").exists()


def test_the_text_of_a_rule_ends_where_the_next_thing_begins() -> None:
    text = textwrap.dedent(
        '''
        rule one:
            output: "a"

            shell:
                """
        set -e
                touch a
                """
        if True:
            checkpoint two:
                output: "b"
            x = 1
        '''
    )
    assert rule_text(text, "one") == text[1 : text.index("if True")].rstrip("\n")
    assert (rule_text(text, "two") or "").split() == ["checkpoint", "two:", "output:", '"b"']
    assert rule_text(text, "tw") is None
