"""Commands for auditors: verify, checkpoint, rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineagelog.cli import exits
from lineagelog.cli.app import Call, command


@command(
    "verify",
    examples=("prov verify", "prov verify --content", "prov verify --checkpoint checkpoint.txt --json"),
    json="one object: `ok`, `n_events`, `root`, `first_bad_position`, `problems` (a list of `position` and `what`), `checkpoint` "
    "(`origin`, `size`, `root`, or null), `content` (a list of the objects of `prov storage check --json`, or null).",
)
def verify(
    call: Call,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What `prov checkpoint -o FILE` wrote earlier; finds a log that was cut short."
        ),
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="Also read the stored content of all artifacts, as `prov storage check`.")
    ] = False,
) -> None:
    """Check that nothing was altered.

    Every event must be as it was recorded, and the registries must be what the log says; with --content, the stored bytes must
    be those that were recorded. The exit code is 0 if all is well, 7 if problems were found, and 5 if none was but content
    could not be read.
    """
    from lineagelog.audit import Checkpoint
    from lineagelog.cli.storages import content_exit_code, report_objects
    from lineagelog.progress import event_progress

    held_against = Checkpoint.read(checkpoint) if checkpoint is not None else None
    with call.store() as store, event_progress("verify") as progress:
        report = store.verify(checkpoint=held_against, content=content, progress=progress)
    if call.out.json:
        call.out.object(
            {
                "ok": report.ok,
                "n_events": report.n_events,
                "root": report.root,
                "first_bad_position": report.first_bad_position,
                "problems": [{"position": problem.position, "what": problem.what} for problem in report.problems],
                "checkpoint": report.checkpoint,
                "content": list(report_objects(report.content)) if report.content is not None else None,
            }
        )
    elif not (call.out.quiet and report.ok):
        call.out.text(report.to_text())
    if report.problems:
        raise typer.Exit(exits.DAMAGED)
    if report.content is not None and not report.content.ok:
        raise typer.Exit(content_exit_code(report.content))


@command(
    "checkpoint",
    examples=("prov checkpoint -o checkpoint.txt",),
    json="one object: `origin`, `size`, `root`, `path`.",
)
def checkpoint(
    call: Call,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; printed if none is given.")
    ] = None,
) -> None:
    """Write down the end of the log.

    Keep the file where those who can write the store cannot: a later check against it finds a log that was cut short.
    """
    with call.store() as store:
        sealed = store.checkpoint(output)
    if call.out.json:
        path = str(output) if output is not None else None
        call.out.object({"origin": sealed.origin, "size": sealed.size, "root": sealed.root, "path": path})
    elif output is None:
        call.out.text(sealed.to_text())
    else:
        call.out.say(f"wrote the end of the log after {sealed.size:,} events to {output}; keep it outside the store")


@command("rebuild", examples=("prov rebuild",), json="one object: `n_events`.")
def rebuild(call: Call) -> None:
    """Make the registries anew from the log."""
    from lineagelog.progress import event_progress

    with call.store() as store, event_progress("rebuild") as progress:
        n_events = store.rebuild(progress)
    if call.out.json:
        call.out.object({"n_events": n_events})
    else:
        call.out.say(f"rebuilt the registries from {n_events:,} events")
