"""The commands that record what other systems have carried out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lineagelog.cli.app import Call, command

if TYPE_CHECKING:
    from lineagelog.workflows.foreign import Imported

_JSON = (
    "one object: `new` and `updated` (uids of runs), `known` (number of runs that were on record), `missing_files` (paths that are "
    "not there any more)."
)


@command(
    "import mlflow",
    examples=("prov import mlflow ./mlruns", "prov import mlflow ./mlruns --experiment iris --json"),
    json=_JSON,
)
def import_mlflow(
    call: Call,
    uri: Annotated[str, typer.Argument(metavar="URI", help="Tracking store: sqlite:///FILE, a folder, or http://….")],
    experiment: Annotated[str | None, typer.Option(help="Only runs of this experiment.")] = None,
) -> None:
    """Record the runs of an MLflow tracking store.

    Experiments become projects, metrics features of the run, artifacts artifacts with their content. Runs keep the times they had;
    their reference is MLflow's id of the run, so that a second import adds only what is new.
    """
    from lineagelog.workflows.mlflow import import_mlflow

    with call.store() as store:
        _tell(call, import_mlflow(uri, experiment=experiment, store=store))


@command(
    "import nextflow",
    examples=(
        "prov import nextflow trace.txt --timezone Europe/Berlin",
        "prov import nextflow trace.txt --prov bco.json --json",
    ),
    json=_JSON,
)
def import_nextflow(
    call: Call,
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="The file of `nextflow run -with-trace`.")],
    prov: Annotated[Path | None, typer.Option(help="A file of the plugin nf-prov: bco, wrroc or legacy.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the pipeline; that of the folder by default.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Where Nextflow ran, such as Europe/Berlin; that of this machine by default.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where Nextflow was started; the folder of the trace by default.")
    ] = None,
    work_dir: Annotated[
        Path | None, typer.Option(help="Nextflow's work directory; `work` in that folder by default.")
    ] = None,
) -> None:
    """Record the tasks of a Nextflow pipeline, from its trace and, for their files, a file of its plugin nf-prov.

    The pipeline becomes a run, and each task one that it started. A second import adds only what is new.
    """
    from lineagelog.workflows.nextflow import import_nextflow

    with call.store() as store:
        _tell(
            call,
            import_nextflow(
                trace, prov=prov, name=name, timezone=timezone, folder=folder, work_dir=work_dir, store=store
            ),
        )


def _tell(call: Call, done: Imported) -> None:
    if call.out.json:
        call.out.object(
            {
                "new": [run.uid for run in done.new],
                "updated": [run.uid for run in done.updated],
                "known": done.known,
                "missing_files": [str(path) for path in done.missing_files],
            }
        )
        return
    call.out.line(f"recorded {len(done.new)} runs, completed {len(done.updated)}; {done.known} were on record already")
    for path in done.missing_files:
        call.out.line(f"not there any more: {path}")
