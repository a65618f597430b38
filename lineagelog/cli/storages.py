"""Commands about storage locations: list, register, check, collect."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lineagelog.cli import exits
from lineagelog.cli.app import Call, command
from lineagelog.domain.amount import n_bytes
from lineagelog.domain.errors import DomainError, InvalidValueError

if TYPE_CHECKING:
    from lineagelog.cli.output import Output
    from lineagelog.content.fixity import Finding, LocationReport, StorageReport
    from lineagelog.content.orphans import CollectReport, Orphan

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw])")

_Location = Annotated[
    str | None, typer.Argument(metavar="STORAGE", help="Uid or root of a location; all locations if none is named.")
]


@command(
    "storage list",
    examples=("prov storage list", "prov storage list --json"),
    json="one object a line: `uid`, `root`, `type`, `region`, `description`, `is_default`, `n_artifacts`, `content_bytes`, "
    "`checked_at` (when all content was last read, or null).",
)
def list_(call: Call) -> None:
    """List the storage locations."""
    with call.store() as store:
        default = store.default_storage_id
        held = store.content_by_storage()
        found = [
            {
                "uid": place.uid,
                "root": place.root,
                "type": place.type,
                "region": place.region,
                "description": place.description,
                "is_default": place.id == default,
                "n_artifacts": held.get(place.id, (0, 0))[0],
                "content_bytes": held.get(place.id, (0, 0))[1],
                "checked_at": place.checked_at,
            }
            for place in store.Storage.all()
        ]
    if call.out.json:
        call.out.objects(found)
        return
    call.out.table(
        ("uid", "root", "type", "default", "artifacts", "content", "content last read"),
        (
            (one["uid"], one["root"], one["type"], one["is_default"], one["n_artifacts"], n_bytes(one["content_bytes"]),
             one["checked_at"] or "never")
            for one in found
        ),
        whole=("uid", "root"),
        drop=("type", "content", "artifacts"),
    )  # fmt: skip


@command(
    "storage register",
    examples=("prov storage register ./data", "prov storage register ./archive --default --json"),
    json="one object: `uid`, `root`, `type`, `is_default`.",
)
def register(
    call: Call,
    root: Annotated[str, typer.Argument(metavar="FOLDER|URL", help="A folder, or a URL such as s3://bucket/prefix.")],
    default: Annotated[bool, typer.Option("--default", help="New artifacts go there from now on.")] = False,
    region: Annotated[str | None, typer.Option(help="Region of a cloud location.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text.")] = None,
) -> None:
    """Register a storage location.

    Files that lie there become artifacts where they are. A location that is registered already stays as it is; with --default
    it becomes the one that new artifacts go to.
    """
    with call.store() as store:
        place = store.Storage(root, region=region, description=description).save()
        if default:
            place.make_default()
        is_default = store.default_storage_id == place.id
        if call.out.json:
            call.out.object({"uid": place.uid, "root": place.root, "type": place.type, "is_default": is_default})
            return
        goes = "; new artifacts go there" if is_default else ""
        call.out.say(f"{place.root} is the storage location {place.uid}{goes}")


@command(
    "storage check",
    examples=("prov storage check", "prov storage check --no-content --json"),
    json="one object a line: for each finding `kind` (`missing`, `changed`, `unchecked`, `uncheckable`, `recovered` or `orphan`), "
    "`storage` (uid) and its details; last, for each location, `kind` `location` with `uid`, `root`, the counts, `bytes_read`, "
    "`content_read`, `recorded`, `problem`, and `unrecorded`: why it could not be recorded.",
)
def check(
    call: Call,
    storage: _Location = None,
    no_content: Annotated[
        bool, typer.Option("--no-content", help="Look for presence and size only, without reading the bytes.")
    ] = False,
) -> None:
    """Check that stored content is what was recorded.

    The content of every artifact must be there, with the recorded size and, since all bytes are read, the recorded hash. What
    is found goes on record. Objects that belong to no artifact are listed; they are no damage. The exit code is 0 if all is
    well, 7 if content is missing or changed, and 5 if some could not be read, or what was found not recorded.
    """
    with call.store() as store:
        report = store.check_storage(storage, content=not no_content)
    if call.out.json:
        call.out.objects(report_objects(report))
    elif not (call.out.quiet and report.ok):
        _print_report(call.out, report)
    if not report.ok:
        raise typer.Exit(content_exit_code(report))


@command(
    "storage collect",
    examples=("prov storage collect --dry-run", "prov storage collect --older-than 7d --yes --json"),
    json="one object a line: for each orphan `kind` (`removed`, `spared` or `failed`; with --dry-run `orphan` and `spared`), "
    "`storage` (uid), `path`, `size_bytes`, `written_at`, `is_folder` and, if it failed, `why`; last, for each location, `kind` "
    "`location` with `uid`, `root`, `n_leftovers` and `problem`.",
    changes=True,
)
def collect(
    call: Call,
    storage: _Location = None,
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Leave younger objects alone: 90m, 24h, 7d, ….")
    ] = "24h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing, and print what would be removed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
) -> None:
    """Remove stored objects that belong to no artifact.

    Writers that were killed leave them. Only what this store has put into storage itself is looked at, never files that were
    registered where they are. What is removed goes on record.
    """
    age = _duration(older_than)
    with call.store() as store:
        if not (dry_run or yes):
            planned = store.collect_orphans(storage, older_than=age, dry_run=True)
            _confirm(call.out, planned)
        report = store.collect_orphans(storage, older_than=age, dry_run=dry_run)
    if call.out.json:
        call.out.objects(_collect_objects(report))
    else:
        _print_collected(call.out, report)
    if not report.ok:
        raise typer.Exit(exits.UNAVAILABLE)


def report_objects(report: StorageReport) -> Iterator[dict[str, Any]]:
    """Build the JSON form of a check, object by object."""
    for place in report.locations:
        for kind in ("missing", "changed", "unchecked", "uncheckable", "recovered"):
            for finding in getattr(place, kind):
                yield {"kind": kind, "storage": place.uid, **asdict(finding)}
        for orphan in place.orphans:
            yield {"kind": "orphan", "storage": place.uid, **asdict(orphan)}
    for place in report.locations:
        yield {
            "kind": "location",
            "uid": place.uid,
            "root": place.root,
            **_counts(place),
            "orphan_bytes": place.orphan_bytes,
            "bytes_read": place.bytes_read,
            "content_read": report.content_read,
            "recorded": report.is_recorded and place.problem is None,
            "problem": place.problem,
            "unrecorded": place.unrecorded,
        }


def content_exit_code(report: StorageReport) -> int:
    """Return the exit code for a check that did not find all content as it was recorded."""
    return exits.UNAVAILABLE if report.is_intact else exits.DAMAGED


def _counts(place: LocationReport) -> dict[str, int]:
    return {
        "n_artifacts": place.n_artifacts,
        "n_missing": len(place.missing),
        "n_changed": len(place.changed),
        "n_unchecked": len(place.unchecked) + len(place.uncheckable),
        "n_recovered": len(place.recovered),
        "n_orphans": len(place.orphans),
    }


def _print_report(out: Output, report: StorageReport) -> None:
    """Print a table of the locations, one of what was found, one of the orphans, then what to do."""
    out.table(
        ("storage", "artifacts", "missing", "changed", "unchecked", "orphans", "read"),
        (
            (place.root, *list(_counts(place).values())[:4], len(place.orphans), n_bytes(place.bytes_read))
            for place in report.locations
        ),
        whole=("storage",),
    )
    findings = [
        (
            finding.outcome if finding.outcome != "intact" else "intact again",
            finding.uid,
            finding.key,
            finding.path,
            _found(finding),
        )
        for finding in report.findings()
    ]
    if findings:
        out.line("")
        out.table(("content", "uid", "key", "path", "found"), findings, whole=("content", "uid", "path"))
    orphans = [_orphan(orphan) for place in report.locations for orphan in place.orphans]
    if orphans:
        out.line("")
        out.table(("orphan", "size", "written (UTC)"), orphans, whole=("orphan",))
    for line in report.remarks():
        out.line(line)


def _found(finding: Finding) -> str:
    if finding.why is not None:
        return finding.why
    if finding.found_size_bytes is None:
        return ""
    read = f", hash {finding.found_hash}" if finding.found_hash is not None else ""
    return f"{finding.found_size_bytes:,} of {finding.size_bytes:,} bytes{read}"


def _collect_objects(report: CollectReport) -> Iterator[dict[str, Any]]:
    for place in report.locations:
        removed = "orphan" if report.dry_run else "removed"
        for orphan in place.removed:
            yield {"kind": removed, "storage": place.uid, **asdict(orphan)}
        for orphan in place.spared:
            yield {"kind": "spared", "storage": place.uid, **asdict(orphan)}
        for orphan, why in place.failed:
            yield {"kind": "failed", "storage": place.uid, **asdict(orphan), "why": why}
    for place in report.locations:
        yield {
            "kind": "location",
            "uid": place.uid,
            "root": place.root,
            "n_leftovers": place.n_leftovers,
            "problem": place.problem,
        }


def _print_collected(out: Output, report: CollectReport) -> None:
    rows = [(place.root, *_orphan(orphan)) for place in report.locations for orphan in place.removed]
    out.table(("storage", "path", "size", "written (UTC)"), rows, whole=("path",), drop=("storage",))
    done = "would remove" if report.dry_run else "removed"
    out.say(f"{done} {report.n_removed:,} objects that belong to no artifact, {n_bytes(report.removed_bytes)}")
    for place in report.locations:
        for orphan, why in place.failed:
            out.line(f"PROBLEM: {orphan.path} could not be removed: {why}")
        if place.problem is not None:
            out.line(f"PROBLEM: {place.root} could not be looked at: {place.problem}")
        if place.spared:
            out.say(f"left {len(place.spared):,} alone at {place.root} that are younger than {report.older_than}")
        if place.n_leftovers:
            out.say(f"removed {place.n_leftovers:,} unfinished writes at {place.root}")


def _orphan(orphan: Orphan) -> tuple[str, str, Any]:
    return orphan.path, n_bytes(orphan.size_bytes), orphan.written_at


def _confirm(out: Output, planned: CollectReport) -> None:
    """Ask before anything is removed; where nobody can be asked, refuse.

    Raises:
        DomainError: Nobody is there to ask.
    """
    if not planned.n_removed:
        return
    what = f"{planned.n_removed:,} objects that belong to no artifact, {n_bytes(planned.removed_bytes)}"
    if out.json or not sys.stdin.isatty():
        raise DomainError(
            f"nothing was removed: this would remove {what} for good; add --yes if that is meant, or --dry-run to see them"
        )
    typer.confirm(f"remove {what} for good?", abort=True)


def _duration(text: str) -> timedelta:
    """Read an age such as `24h`.

    Raises:
        InvalidValueError: It is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidValueError("--older-than", f"is {text!r}; write a number and a unit, such as 90m, 24h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
