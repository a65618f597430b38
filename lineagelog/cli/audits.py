"""Commands for auditors: audit, verify, checkpoint, prove, the keys, rebuild."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineagelog.cli import exits
from lineagelog.cli.app import Call, command
from lineagelog.cli.logs import DEFAULT_LIMIT, in_short
from lineagelog.cli.moments import HELP, read_moment

if TYPE_CHECKING:
    from lineagelog.audit.report import Row


@command(
    "audit",
    examples=(
        "prov audit",
        "prov audit --user HANDLE --since 2h --all",
        "prov audit --field description --json",
        "prov audit --why calibration",
        "prov audit --record UID -o audit.csv",
        "prov audit --kind artifact --until 2027-01-01 -o audit.html",
        "prov audit --as-of 8 --csv",
    ),
    json="one object a line: `position`, `at`, `who` (handle), `auth`, `os_user`, `host`, `event`, `kind`, `uid` and `key` (of the "
    "record), `field`, `old`, `new`, `details`, `reason`, `run` (uid); with -o one object: `path`, `n_rows`.",
    as_of=True,
)
def audit(
    call: Call,
    user: Annotated[str | None, typer.Option(metavar="HANDLE", help="Only what this user did.")] = None,
    record: Annotated[str | None, typer.Option(metavar="UID", help="Only what happened to this record.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Only events such as ArtifactUpdated, or artifact for all about artifacts."),
    ] = None,
    run: Annotated[str | None, typer.Option(metavar="UID", help="Only what happened in this run.")] = None,
    field: Annotated[
        str | None, typer.Option(help="Only changes of this field, or of the feature of this name.")
    ] = None,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only where the reason that was given holds this text.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"Only events then or later: {HELP}.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events before; a date includes that day.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write all of it to a file: .csv, .html or .parquet."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all of it as CSV.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Print at most so many events, the last.")] = DEFAULT_LIMIT,
    all_: Annotated[bool, typer.Option("--all", help="No limit.")] = False,
) -> None:
    """Report who changed what.

    One line for each changed field and each other event: when, who, how that is known, which record, old value, new value, why, and
    in which run. Printed newest first, written to a file oldest first.
    """
    from lineagelog.audit.report import COLUMNS, write_csv

    now = datetime.now(UTC)
    is_whole = all_ or as_csv or output is not None
    with call.store() as store:
        trail = store.audit(
            who=user,
            record=record,
            what=kind,
            run=run,
            why=why,
            field=field,
            since=read_moment(since, "--since", now=now) if since is not None else None,
            until=read_moment(until, "--until", now=now, end_of_day=True) if until is not None else None,
            newest_first=output is None and not as_csv,
            limit=None if is_whole else limit,
        )
        if output is not None:
            n_rows = trail.write(output)
            if call.out.json:
                call.out.object({"path": str(output), "n_rows": n_rows})
            else:
                call.out.say(f"wrote {n_rows:,} rows of the audit trail to {output}")
        elif as_csv:
            write_csv(trail, sys.stdout)
        elif call.out.json:
            call.out.objects({name: getattr(row, name) for name in COLUMNS} for row in trail)
        elif not call.out.table(
            ("#", "time (UTC)", "who", "auth", "event", "record", "field", "old", "new", "why", "run"),
            (_cells(row) for row in trail),
            whole=("#", "time (UTC)", "event", "run"),
            drop=("run", "auth"),
        ):
            call.out.say("no events match")


def _cells(row: Row) -> tuple[Any, ...]:
    record = " ".join(part for part in (row.kind, row.uid, row.key) if part)
    new = row.new if row.field is not None else in_short(row.details)
    return (
        row.position, row.at, row.who, row.auth, row.event, record, row.field, row.old, new, row.reason, row.run,
    )  # fmt: skip


@command(
    "verify",
    examples=(
        "prov verify",
        "prov verify --content",
        "prov verify --log-only",
        "prov verify --checkpoint checkpoint.txt --json",
        "prov verify --checkpoint checkpoint.txt --key VERIFIER_KEY",
    ),
    json="one object: `ok`, `n_events`, `root`, `first_bad_position`, `problems` (a list of `position`, `what`, and `subject`, the "
    "record that is concerned, or null), `sealed_up_to` (last event that a checkpoint from outside the store vouches for or null), "
    "`checkpoints` (a list of `source`, `size`, `root`, `key`, `outside`, `agrees`), `not_checked` (a list of texts), "
    "`clock_anomalies` (a list of `position`, `recorded_at`, `before`), `content` (a list of the objects of "
    "`prov storage check --json`, or null).",
)
def verify(
    call: Call,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What `prov checkpoint -o FILE` wrote earlier; finds a log that was cut short."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="Verifier key that is believed, and no other but those given so; may be repeated."
        ),
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="Also read the stored content of all artifacts, as `prov storage check`.")
    ] = False,
    log_only: Annotated[
        bool,
        typer.Option("--log-only", help="Leave the registries unchecked; what is shown may not be what the log says."),
    ] = False,
) -> None:
    """Check that nothing was altered.

    Every event must be as it was recorded, the registries must be what the log says, and the log must begin with what each
    checkpoint sealed: the given one, and those beside the store and at its second place. With --content, the stored bytes must
    be those that were recorded. The exit code is 0 if all is well, 7 if problems were found, and 5 if none was but content could
    not be read.
    """
    from lineagelog.cli.storages import content_exit_code, report_objects
    from lineagelog.progress import event_progress

    with call.store() as store, event_progress("verify") as progress:
        report = store.verify(
            checkpoint=checkpoint, keys=key or (), content=content, log_only=log_only, progress=progress
        )
    if call.out.json:
        call.out.object(
            {
                "ok": report.ok,
                "n_events": report.n_events,
                "root": report.root,
                "first_bad_position": report.first_bad_position,
                "problems": [problem._asdict() for problem in report.problems],
                "sealed_up_to": report.sealed_up_to,
                "checkpoints": [
                    {
                        "source": held.source,
                        "size": held.checkpoint.size,
                        "root": held.checkpoint.root,
                        "key": held.key,
                        "outside": held.outside,
                        "agrees": held.agrees,
                    }
                    for held in report.checkpoints
                ],
                "not_checked": report.not_checked,
                "clock_anomalies": [anomaly._asdict() for anomaly in report.clock_anomalies],
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
    examples=("prov checkpoint -o today.txt", "prov checkpoint --also ./elsewhere"),
    json="one object: `origin`, `size`, `root`, `key` (the verifier key), `places` (a list of paths and URLs), `note`.",
)
def checkpoint(
    call: Call,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; it must not exist.")
    ] = None,
    also: Annotated[
        str | None,
        typer.Option(metavar="PATH|URL", help="Folder or bucket where this checkpoint and all later ones go as well."),
    ] = None,
) -> None:
    """Sign the end of the log.

    Keep the file where those who can write the store cannot: a later check against it finds a log that was cut short, put back to
    an older copy, or written anew. A copy is kept beside the store. The first checkpoint makes the key; hand what `prov key show`
    prints to those who check.
    """
    with call.store() as store:
        sealed = store.checkpoint(output, also=also)
    if call.out.json:
        call.out.object(
            {
                "origin": sealed.checkpoint.origin,
                "size": sealed.checkpoint.size,
                "root": sealed.checkpoint.root,
                "key": sealed.key.to_text(),
                "places": sealed.places,
                "note": sealed.note.to_text(),
            }
        )
    elif output is None and also is None:
        call.out.text(sealed.note.to_text().removesuffix("\n"))
    else:
        call.out.say(
            f"signed the end of the log after {sealed.checkpoint.size:,} events with the key {sealed.key.fingerprint}: "
            f"{', '.join(sealed.places)}"
        )


@command(
    "prove",
    examples=("prov prove UID -o proof.json", "prov prove --since checkpoint.txt -o grown.json --json"),
    json="one object: `path`, `size` and `root` of the checkpoint, `since` (size of the older one, or null), `positions`.",
)
def prove(
    call: Call,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")],
    uid: Annotated[str | None, typer.Argument(metavar="[UID]", help="Uid of a record, or its beginning.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Checkpoint the proof leads to; by default the newest that is kept."),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Older checkpoint: prove that the log has only grown since then."),
    ] = None,
) -> None:
    """Prove that the events of a record stand in a signed log.

    Whoever gets the proof needs neither the store nor this software: `verify_proof.py`, one file for Python alone, checks it
    against the verifier key (`python -m lineagelog.verify_proof proof.json --key KEY` where lineagelog is installed).
    """
    with call.store() as store:
        proof = store.prove(uid, output, checkpoint=checkpoint, since=since)
    if call.out.json:
        call.out.object(
            {
                "path": str(proof.path),
                "size": proof.checkpoint.size,
                "root": proof.checkpoint.root,
                "since": proof.since.size if proof.since is not None else None,
                "positions": proof.positions,
            }
        )
    else:
        what = [f"{len(proof.positions)} events"] if proof.positions else []
        what += [f"growth since {proof.since.size:,} events"] if proof.since is not None else []
        call.out.say(
            f"wrote a proof of {' and of '.join(what)} in the log of {proof.checkpoint.size:,} to {proof.path}"
        )


@command(
    "key generate",
    examples=("prov key generate", "prov key generate --rotate"),
    json="one object: `key`, the verifier key.",
)
def generate(
    call: Call,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Replace the key there is, which signs no checkpoint any more.")
    ] = False,
) -> None:
    """Make the key with which you sign checkpoints of this store, unless there is one, and print its public half.

    The private half lies in your configuration folder and nowhere else.
    """
    with call.store() as store:
        key = store.generate_key(rotate=rotate)
    if call.out.json:
        call.out.object({"key": key.to_text()})
    else:
        call.out.text(key.to_text())


@command(
    "key show",
    examples=("prov key show", "prov key show --json"),
    json="one object a line: `key` (the verifier key), `fingerprint`, `since` and `until` (positions; `until` is null while it "
    "signs), `own`.",
)
def show(call: Call) -> None:
    """Print the verifier keys of this store: what those who check need, from you and not from the store."""
    from lineagelog.audit.sealing import own_key

    with call.store() as store:
        keys, own = store.sealing_keys(), own_key(store)
    for key in keys:
        if call.out.json:
            call.out.object(
                {
                    "key": key.verifier.to_text(),
                    "fingerprint": key.verifier.fingerprint,
                    "since": key.since,
                    "until": key.until,
                    "own": own is not None and own.verifier == key.verifier,
                }
            )
        elif key.until is None:
            call.out.text(key.verifier.to_text())
    if not keys:
        call.out.say("no key signs checkpoints yet; `prov checkpoint` or `prov key generate` makes one")


@command("rebuild", examples=("prov rebuild",), json="one object: `n_events`.")
def rebuild(call: Call) -> None:
    """Make the registries anew from the log.

    A log that is not as it was recorded is refused, with exit code 7, and nothing is changed then.
    """
    from lineagelog.progress import event_progress

    with call.store() as store, event_progress("rebuild") as progress:
        n_events = store.rebuild(progress)
    if call.out.json:
        call.out.object({"n_events": n_events})
    else:
        call.out.say(f"rebuilt the registries from {n_events:,} events")
