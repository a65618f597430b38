"""Commands about runs as they happen: run another program, and end on record what was killed."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from lineagelog.cli.app import Call, command
from lineagelog.domain.errors import InvalidValueError


@command(
    "run",
    examples=(
        "prov run -- python -c 'print(6 * 7)'",
        "prov run --output 'sorted.txt' --param reverse=true -- sh -c 'ls | sort -r > sorted.txt'",
        "prov run --no-log --json true",
    ),
    json="one object: `run` (uid), `status`, `exit_code`, `outputs` (uids), and with --suggest `suggestions` (options). What the "
    "program prints then goes to standard error.",
    options_first=True,
)
def run(
    call: Call,
    program: Annotated[
        list[str],
        typer.Argument(
            metavar="PROGRAM ARGUMENTS",
            help="What to run, and all that follows. Options of this command stand before it, and so may two dashes.",
        ),
    ],
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="PATH|GLOB|UID", help="What it reads; may be given more than once."),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", metavar="PATH|GLOB", help="What it writes; may be given more than once."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="Parameter of the run; numbers, true, false and lists as JSON."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Name of the transform; that of the script or program by default.")
    ] = None,
    uid: Annotated[str | None, typer.Option(help="12 characters that keep a renamed program one family.")] = None,
    project: Annotated[str | None, typer.Option(help="Project the run belongs to.")] = None,
    no_log: Annotated[
        bool, typer.Option("--no-log", help="Do not keep what it prints; it gets the terminal itself.")
    ] = False,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Tell which files it opened that were not declared (Linux, strace).")
    ] = False,
) -> None:
    """Run any program as a run, without touching it.

    On record are what ran, with its source if it is a script, its command line, declared inputs and outputs, what it printed, how
    long it took, and its exit code, which is also that of `prov run`.
    """
    from lineagelog.tracking.executing import execute, suggestions

    with call.store() as store:
        done = execute(
            program,
            inputs=input_ or (),
            outputs=output or (),
            key=key,
            uid=uid,
            name=name,
            params=dict(_param(text) for text in param or ()),
            project=project,
            log=not no_log,
            watch=suggest,
            output=sys.stderr if call.out.json else None,
            store=store,
        )
        more = suggestions(done, input_ or (), output or ())
    if call.out.json:
        answer: dict[str, Any] = {
            "run": done.run.uid,
            "status": done.run.status,
            "exit_code": done.exit_code,
            "outputs": [artifact.uid for artifact in done.outputs],
        }
        call.out.object({**answer, "suggestions": more} if suggest else answer)
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidValueError("--param", f"is {text!r}; write NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@command(
    "runs close",
    examples=("prov runs close --lost", "prov runs close --lost --reason 'power cut'"),
    json="one object a line, for each run that was ended: `run` (uid), `status`, `started_at`.",
)
def close(
    call: Call,
    uid: Annotated[list[str] | None, typer.Argument(metavar="UID…", help="Uids of runs, or their beginnings.")] = None,
    lost: Annotated[bool, typer.Option("--lost", help="All runs of this machine whose process is gone.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the event.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also runs that may be alive still.")] = False,
) -> None:
    """End runs on record whose process was killed or went down with its machine.

    They are shown as lost by `prov runs`, and end as aborted.
    """
    from lineagelog.registries.finding import find_record
    from lineagelog.registries.run import Run
    from lineagelog.tracking.lost import close_lost, lost_runs

    if not uid and not lost:
        raise InvalidValueError("prov runs close", "needs the uids of runs, or --lost for all that are lost")
    with call.store() as store:
        named = [find_record(store, text, ("Run",)) for text in uid or ()]
        runs = {run.id: run for run in [*named, *(lost_runs(store) if lost else ())] if isinstance(run, Run)}
        ended = close_lost(list(runs.values()), reason=reason, force=force)
        if call.out.json:
            call.out.objects({"run": run.uid, "status": run.status, "started_at": run.started_at} for run in ended)
            return
        for run in ended:
            call.out.say(f"ended Run(uid={run.uid!r}) of {run.transform.key} as {run.status}")
        if not ended:
            call.out.say("no run is lost")
