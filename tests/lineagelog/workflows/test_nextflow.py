"""A pipeline as Nextflow and nf-prov record it; the files follow the documented columns and what the plugin's renderers write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lineagelog.domain.errors import InvalidValueError, LineageLogError, ObjectMissingError
from lineagelog.store import Store
from lineagelog.workflows.nextflow import import_nextflow

EXAMPLE = Path(__file__).parents[3] / "examples" / "workflows" / "nextflow"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder in which the pipeline ran."""
    return shutil.copytree(EXAMPLE, tmp_path / "counts")


def rewrite(trace: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    rows = [line.split("\t") for line in trace.read_text().splitlines()]
    trace.write_text("".join("\t".join(row) + "\n" for row in change(rows)))


def test_tasks_become_runs_with_their_times_and_files(store: Store, folder: Path) -> None:
    done = import_nextflow(folder / "trace.txt", prov=folder / "bco.json", timezone="Europe/Berlin")
    assert (len(done.new), done.known, done.missing_files) == (5, 0, [])

    whole = store.Run.get(transform__key="line-counts")
    assert (whole.status, whole.params, whole.reference_type) == ("finished", {"input": "reads/*.txt"}, "nextflow")
    assert whole.git_commit == "6a1f0c2be7d94835a0f1c96d2e84b7f35c0d1a2e"
    assert whole.git_dirty is None
    assert {artifact.key for artifact in whole.outputs} == {"line-counts/trace.txt", "line-counts/bco.json"}
    tasks = store.Run.filter(initiated_by_run=whole).to_list()
    assert {run.host for run in tasks} == {whole.host}
    failed, again = (
        next(run for run in tasks if run.params.get("attempt") == n and run.params["tag"] == "b") for n in (1, 2)
    )
    assert (failed.status, failed.error_type) == ("failed", "ExitStatus")
    assert failed.error_message == "COUNT (b) ended with exit code 1"
    assert failed.transform == again.transform
    # The trace says 09:14 in Berlin, in winter.
    assert again.started_at == datetime(2026, 3, 12, 8, 14, 3, 55_000, UTC)
    assert again.finished_at == datetime(2026, 3, 12, 8, 14, 4, 201_000, UTC)
    assert again.created_at.date() == datetime.now(UTC).date()
    total = store.Run.get(transform__key="line-counts:TOTAL")
    assert {artifact.run for artifact in total.inputs} == {again, store.Run.get(name="COUNT (a)")}
    assert [artifact.key for artifact in total.outputs] == ["results/total.txt"]
    assert {run.pid for run in tasks} == {None}
    assert not any(run.is_lost for run in tasks)


def test_a_second_import_adds_what_is_new(store: Store, folder: Path) -> None:
    trace = folder / "trace.txt"
    complete = trace.read_text()
    rewrite(trace, lambda rows: [*rows[:3], *([*row[:6], "RUNNING", *row[7:]] for row in rows[3:4])])
    first = import_nextflow(trace, prov=folder / "bco.json")
    assert len(first.new) == 4
    running = store.Run.get(name="COUNT (b)", status="started")
    assert store.Run.get(transform__key="line-counts").status == "started"

    trace.write_text(complete)
    second = import_nextflow(trace, prov=folder / "bco.json")
    assert [run.name for run in second.new] == ["TOTAL"]
    assert {run.uid for run in second.updated} == {running.uid, store.Run.get(transform__key="line-counts").uid}
    assert {run.status for run in store.Run.filter(initiated_by_run__isnull=False)} == {"finished", "failed"}

    head = store.log.head()
    assert import_nextflow(trace, prov=folder / "bco.json").known == 5
    assert store.log.head() == head


def test_a_trace_alone_tells_times_and_endings(sqlite_store: Store, folder: Path) -> None:
    columns = ["task_id", "hash", "name", "status", "exit", "submit", "duration", "realtime"]

    def default_columns(rows: list[list[str]]) -> list[list[str]]:
        places = [rows[0].index(name) for name in columns]
        return [[row[place] for place in places] for row in rows]

    rewrite(folder / "trace.txt", default_columns)
    import_nextflow(folder / "trace.txt", name="counts", timezone="UTC")
    total = sqlite_store.Run.get(transform__key="counts:TOTAL")
    assert total.started_at == datetime(2026, 3, 12, 9, 14, 4, 350_000, UTC)
    assert total.finished_at == datetime(2026, 3, 12, 9, 14, 5, 20_000, UTC)
    assert total.inputs.count() == 0


def as_wrroc(bco: dict[str, Any]) -> dict[str, Any]:
    """Say the same as nf-prov's crate does: outputs of tasks by the name they have in the work directory of the task."""

    def name(uri: str) -> dict[str, str]:
        parts = uri.split("/")
        return {"@id": f"#task/{parts[1]}{parts[2]}/{parts[3]}" if parts[0] == "work" else uri}

    steps = bco["description_domain"]["pipeline_steps"]
    tasks = [
        {
            "@id": f"#task/{step['name']}",
            "@type": "CreateAction",
            "name": step["description"],
            "object": [name(each["uri"]) for each in step["input_list"]],
            "result": [name(each["uri"]) for each in step["output_list"]],
        }
        for step in steps
    ]
    published = [
        {
            "@id": f"#publish/{steps[-1]['name']}/total.txt",
            "@type": "CreateAction",
            "object": name(each["uri"]["filename"]),
            "result": {"@id": each["uri"]["uri"].removeprefix("results/")},
        }
        for each in bco["io_domain"]["output_subdomain"]
    ]
    whole = {"@id": "#2b3c6f0e-95f1-4d0c-9f66-0b1a4f1f7a51", "@type": "CreateAction", "instrument": {"@id": "main.nf"}}
    value = {"@id": "#param/input/value", "@type": "PropertyValue", "name": "input", "value": "reads/*.txt"}
    found = {"@id": "#output/total/value", "@type": "PropertyValue", "name": "total", "value": "total.txt"}
    tasks[0]["object"].append({"@id": "#tmp/collected.txt"})
    main = {"@id": "main.nf", "name": "line-counts", "codeRepository": None, "version": None}
    return {"@graph": [{"@id": "./", "mainEntity": {"@id": "main.nf"}}, main, whole, value, found, *tasks, *published]}


def as_legacy(bco: dict[str, Any]) -> dict[str, Any]:
    """Say the same as nf-prov did before version 1.5: values of channels, in which paths are absolute."""
    here = str(Path.cwd())
    steps = bco["description_domain"]["pipeline_steps"]
    return {
        "pipeline": {"name": "line-counts"},
        "published": [
            {"source": f"{here}/{each['uri']['filename']}", "target": f"{here}/{each['uri']['uri']}"}
            for each in bco["io_domain"]["output_subdomain"]
        ],
        "tasks": {
            str(step["step_number"]): {
                "id": str(step["step_number"]),
                "name": step["description"],
                "script": "wc -l",
                "inputs": [
                    {"name": "reads", "value": ["a", *(f"{here}/{each['uri']}" for each in step["input_list"])]}
                ],
                "outputs": [{"name": "out", "value": f"{here}/{each['uri']}"} for each in step["output_list"]],
            }
            for step in steps
        },
    }


@pytest.mark.parametrize("say", [as_wrroc, as_legacy])
def test_other_formats_of_nf_prov_tell_of_the_same_files(
    sqlite_store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, say: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    monkeypatch.chdir(folder)
    # A crate lies in the folder of the results.
    other = Path("results", "other.json")
    other.write_text(json.dumps(say(json.loads(Path("bco.json").read_text()))))
    done = import_nextflow("trace.txt", prov=other)
    assert not done.missing_files
    whole = sqlite_store.Run.get(transform__key="line-counts")
    assert whole.params == ({"input": "reads/*.txt"} if say is as_wrroc else {})
    total = sqlite_store.Run.get(transform__key="line-counts:TOTAL")
    assert {artifact.run.name for artifact in total.inputs if artifact.run} == {"COUNT (a)", "COUNT (b)"}
    assert [artifact.key for artifact in total.outputs] == ["results/total.txt"]
    assert [artifact.key for artifact in sqlite_store.Run.get(name="COUNT (a)").inputs] == ["reads/a.txt"]


def test_scripts_in_a_trace_and_a_work_directory_elsewhere(sqlite_store: Store, folder: Path, tmp_path: Path) -> None:
    script = "#!/bin/bash\nset -e\n\n\twc -l a.txt\n  7 more"
    rewrite(
        folder / "trace.txt",
        lambda rows: [[*rows[0][:2], "script", *rows[0][2:]], *([*row[:2], script, *row[2:]] for row in rows[1:])],
    )
    work = shutil.move(folder / "work", tmp_path / "scratch")
    done = import_nextflow(folder / "trace.txt", prov=folder / "bco.json", work_dir=work)
    assert not done.missing_files
    for run in sqlite_store.Run.filter(initiated_by_run__isnull=False):
        assert run.command == ["bash", "-c", script]
    assert sqlite_store.Run.get(name="TOTAL").inputs.count() == 2


def test_what_was_published_stands_for_what_was_removed(sqlite_store: Store, folder: Path) -> None:
    shutil.rmtree(folder / "work")
    done = import_nextflow(folder / "trace.txt", prov=folder / "bco.json")
    assert {path.name for path in done.missing_files} == {"a.count", "b.count"}
    assert [artifact.key for artifact in sqlite_store.Run.get(transform__key="line-counts:TOTAL").outputs] == [
        "results/total.txt"
    ]


@pytest.mark.parametrize(
    ("file", "content", "error", "match"),
    [
        ("trace.txt", "", InvalidValueError, "no column hash or name or status"),
        ("trace.txt", "hash\tname\tstatus\n1\t2\t3\n", InvalidValueError, "when it ran"),
        ("trace.txt", "hash\tname\tstatus\tsubmit\n", InvalidValueError, "no task"),
        ("trace.txt", "hash\tname\tstatus\tsubmit\na/b\tX\n", InvalidValueError, "2 fields in line 2"),
        ("trace.txt", "hash\tname\tstatus\tsubmit\na/b\tX\tFAILED\tnoon\n", InvalidValueError, "'noon' where a time"),
        ("trace.txt", "hash\tname\tstatus\tsubmit\na/b\tX\tFAILED\t-\n", InvalidValueError, "task X was submitted"),
        ("bco.json", "{", InvalidValueError, "is no JSON"),
        ("bco.json", "[]", InvalidValueError, "none of nf-prov's formats"),
        ("bco.json", '{"description_domain": {}}', InvalidValueError, "lacks what nf-prov writes"),
        ("bco.json", None, ObjectMissingError, "cannot be read"),
    ],
)
def test_broken_files_are_refused_and_nothing_is_recorded(
    sqlite_store: Store, folder: Path, file: str, content: str | None, error: type[LineageLogError], match: str
) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    head = sqlite_store.log.head()
    with pytest.raises(error, match=match):
        import_nextflow(folder / "trace.txt", prov=folder / "bco.json")
    assert sqlite_store.log.head() == head
