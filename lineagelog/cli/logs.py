"""The command `prov log`, and how an event of the audit trail is printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lineagelog.cli.app import Call, command
from lineagelog.cli.moments import HELP, read_moment
from lineagelog.cli.output import Output, cell

if TYPE_CHECKING:
    from lineagelog.audit.trail import Entry

DEFAULT_LIMIT: Final = 50

ENTRY_KEYS: Final = (
    "`position`, `at`, `who` (handle), `event`, `topic`, `kind`, `uid` and `key` (of the record), `run` (uid), `changes` "
    "(field to `old` and `new`), `details`, `reason`, `fact` (all of it, as recorded), `event_id`, `record_id`, `context`"
)


@command(
    "log",
    examples=(
        "prov log",
        "prov log --who HANDLE --since 2h",
        "prov log --what ArtifactRegistered --all --oldest-first",
        "prov log --record UID --json",
        "prov log --run RUN_UID --what input",
        "prov log --as-of 8",
    ),
    as_of=True,
    json=f"one object a line: {ENTRY_KEYS}.",
)
def log(
    call: Call,
    who: Annotated[str | None, typer.Option(metavar="HANDLE", help="Only what this user did.")] = None,
    what: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Only events such as RunStarted, run.started, or run for all about runs."),
    ] = None,
    record: Annotated[str | None, typer.Option(metavar="UID", help="Only what happened to this record.")] = None,
    run: Annotated[str | None, typer.Option(metavar="UID", help="Only what happened in this run.")] = None,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only where the reason that was given holds this text.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"Only events then or later: {HELP}.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events before; a date includes that day.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = DEFAULT_LIMIT,
    all_: Annotated[bool, typer.Option("--all", help="No limit.")] = False,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="In the order of the log.")] = False,
) -> None:
    """Print the log, newest event first.

    Each line is one event: who did what, when, in which run, and why.
    """
    now = datetime.now(UTC)
    with call.store() as store:
        entries = store.trail(
            who=who,
            what=what,
            record=record,
            run=run,
            why=why,
            since=read_moment(since, "--since", now=now) if since is not None else None,
            until=read_moment(until, "--until", now=now, end_of_day=True) if until is not None else None,
            newest_first=not oldest_first,
            limit=None if all_ else limit,
        )
        if call.out.json:
            call.out.objects(entry_object(entry) for entry in entries)
        elif not print_entries(call.out, entries):
            call.out.say("no events match")


def print_entries(out: Output, entries: Iterable[Entry]) -> int:
    """Print events as a table, and return their number."""
    columns = ("#", "time (UTC)", "who", "event", "record", "run", "details")
    return out.table(
        columns,
        (
            (
                entry.position,
                entry.at,
                entry.who,
                entry.event,
                " ".join(part for part in (entry.kind, entry.uid, entry.key) if part),
                entry.run,
                in_words(entry),
            )
            for entry in entries
        ),
        whole=("#", "time (UTC)", "event", "run"),
        drop=("run",),
        under=("details", "record"),
    )


def in_words(entry: Entry) -> str:
    """Say in one line what an event changed or holds, and why."""
    parts = [f"{name}: {_value(change.old)} → {_value(change.new)}" for name, change in entry.changes.items()]
    parts += [in_short(entry.details)] if entry.details else []
    if entry.reason:
        parts.append(f"because: {entry.reason}")
    return "; ".join(parts)


def in_short(details: Mapping[str, Any] | None) -> str:
    """Write what tells most of an event in one line."""
    return "; ".join(f"{name}={cell(value)}" for name, value in (details or {}).items())


def entry_object(entry: Entry) -> dict[str, Any]:
    """Build the JSON form of an event."""
    import msgspec

    from lineagelog.domain.event import Context

    event = entry.recorded
    context = msgspec.json.decode(event.context, type=Context)
    return {
        "position": entry.position,
        "at": entry.at,
        "who": entry.who,
        "event": entry.event,
        "topic": entry.topic,
        "kind": entry.kind,
        "uid": entry.uid,
        "key": entry.key,
        "run": entry.run,
        "changes": {name: {"old": change.old, "new": change.new} for name, change in entry.changes.items()},
        "details": entry.details,
        "reason": entry.reason,
        "fact": msgspec.to_builtins(event.fact),
        "event_id": event.event_id,
        "record_id": event.stream,
        "context": {name: getattr(context, name) for name in Context.__struct_fields__},
    }


def _value(value: Any) -> str:
    return "(none)" if value is None else cell(value) or repr(value)
