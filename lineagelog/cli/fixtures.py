"""The command `prov fixture`: what a test needs of a store, as a recorded log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lineagelog.cli.app import Call, command


@command(
    "fixture",
    examples=(
        "prov fixture --subject UID --anonymise -o lineage.jsonl",
        "prov fixture --subject UID --direction both --depth 1 -o around.jsonl",
        "prov fixture --all --anonymise --shift-times -o study.jsonl --json",
    ),
    as_of=True,
    json="one object: `path`, `scope`, `n_events`, `n_left_out` (events of the store that it does not hold), `anonymised`.",
)
def fixture(
    call: Call,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="File of JSON lines; replaced when it is complete."),
    ],
    subject: Annotated[
        str | None, typer.Option(metavar="UID", help="Only the lineage of this artifact, run, transform or collection.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The whole store.")] = False,
    direction: Annotated[
        str | None, typer.Option(help="From the subject: upstream, downstream or both.  [default: upstream]")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Follow this many derivation steps from the subject, not all.")
    ] = None,
    anonymise: Annotated[
        bool,
        typer.Option(
            "--anonymise",
            help="Replace names, texts, paths, hosts, hashes and ids; leave source code, packages and tracebacks out.",
        ),
    ] = False,
    shift_times: Annotated[
        bool,
        typer.Option("--shift-times", help="Let the first event fall on 2000-01-01, and all others as long after it."),
    ] = False,
    keep_numbers: Annotated[
        bool, typer.Option("--keep-numbers", help="Keep numbers among parameters and feature values.")
    ] = False,
) -> None:
    """Write a fixture for tests.

    It is a recorded log that holds the events about the records of a lineage and about all that they refer to, and no content.
    Tests open it with the fixture lineagelog_open or with ln.Store.open_recorded(FILE). That it was written is put on record.
    """
    if all_ == (subject is not None):
        raise typer.BadParameter("choose what the fixture is of: either --all, or --subject UID")
    if subject is None and (direction is not None or depth is not None):
        raise typer.BadParameter(
            "--direction and --depth say how to follow lineage from a record; name it with --subject UID"
        )
    if not anonymise and (shift_times or keep_numbers):
        raise typer.BadParameter("--shift-times and --keep-numbers go with --anonymise")
    with call.store() as store:
        summary = store.fixture(
            output,
            subject=subject,
            direction=direction,
            max_depth=depth,
            anonymise=anonymise,
            shift_times=shift_times,
            keep_numbers=keep_numbers,
        )
    if call.out.json:
        call.out.object(
            {
                "path": str(summary.path),
                "scope": summary.scope,
                "n_events": summary.n_events,
                "n_left_out": summary.n_left_out,
                "anonymised": summary.anonymised,
            }
        )
        return
    how = "anonymised, " if summary.anonymised else ""
    call.out.say(
        f"wrote {summary.n_events:,} events ({how}{summary.scope}) to {summary.path}; left out: {summary.n_left_out:,}"
    )
    if not summary.anonymised:
        call.out.say("names, texts and paths are in it as they were recorded; --anonymise replaces them")
