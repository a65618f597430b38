"""Exports of a store: which records, in which format, from which position; each export is an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineagelog import message
from lineagelog.domain.errors import ExportError, InvalidValueError, RecordNotFoundError, UnknownFormatError
from lineagelog.domain.store import ExportMade
from lineagelog.domain.values import time_text
from lineagelog.progress import statement_progress
from lineagelog.projections import schema
from lineagelog.registries.finding import find_record
from lineagelog.registries.record import BaseRecord
from lineagelog.writing import written_whole

if TYPE_CHECKING:
    from prov.model import ProvDocument
    from rdflib import Dataset

    from lineagelog.adapters.log.event_log import Head
    from lineagelog.exporters.export import ExportSummary
    from lineagelog.exporters.scope import Scope
    from lineagelog.projections.reader import Reader
    from lineagelog.store import Store

_SUBJECTS = ("Artifact", "Run", "Transform", "Collection")


def export(
    store: Store,
    path: Path,
    *,
    format: str | None = None,  # noqa: A002 - the word of the command line and of the event
    subject: BaseRecord | str | None = None,
    direction: str | None = None,
    max_depth: int | None = None,
    project: BaseRecord | str | None = None,
    user: BaseRecord | str | None = None,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    record: bool = True,
) -> ExportSummary:
    """Export provenance as W3C PROV, whole or not at all.

    Args:
        store: The store.
        path: File to write; it is replaced when the export is complete.
        format: `prov-json`, `prov-n`, `prov-xml`, `prov-jsonld`, `trig`, `turtle`, `n-quads` or `n-triples`, or a table:
            `edges-csv`, `edges-parquet`, `events-csv` or `events-parquet`; told by the suffix of the file by default.
        subject: An artifact, run, transform or collection, or its uid: only what belongs to its lineage; everything by default.
        direction: Which way lineage is followed from the subject: `upstream`, `downstream` or `both`; `upstream` by default.
        max_depth: How many derivation steps are followed from the subject; to the end by default.
        project: A project, its name or uid: only artifacts, runs and collections that belong to it.
        user: A user, the handle or uid: only what this user recorded.
        since: Only what was recorded at this time or later; aware, or text such as `2026-05-01` or `2026-05-01T12:00Z` (UTC).
        until: Only what was recorded before this time.
        record: Record the export as an event.

    Of several conditions all must hold. Without a subject, runs come with what they read and wrote, collections with their members,
    and artifacts and collections with the runs that made them.

    Returns:
        What was written, and what was left out.

    Raises:
        UnknownFormatError: There is no such format.
        RecordNotFoundError: There is no such subject, project or user.
        InvalidValueError: A direction or depth without a subject, or times that nothing lies between.
        ExportError: The file cannot be written.
    """
    from lineagelog.exporters.export import NAMES, guess_format
    from lineagelog.exporters.export import export as write

    chosen = format or guess_format(path.name)
    if chosen is None or chosen not in NAMES:
        raise UnknownFormatError(chosen or path.suffix, NAMES)
    scope = scope_of(
        store,
        subject,
        direction,
        max_depth=max_depth,
        project=_uid_of(store, "Project", "name", project),
        user=_uid_of(store, "User", "handle", user),
        since=_time(since, "since"),
        until=_time(until, "until"),
    )
    if path.is_dir():
        # Told now: an export is recorded before it gets its name, so that none goes out unrecorded.
        raise ExportError(f"the export cannot be written to {path}: it is a folder; name a file")
    with written_whole(path, f"the export cannot be written to {path}") as out:
        with store.log.database.snapshot() as snapshot, statement_progress(f"export to {path.name}") as progress:
            head = head_of(snapshot)
            summary = write(
                snapshot,
                out,
                format=chosen,
                scope=scope,
                head_position=head.position,
                head_root=head.root,
                progress=progress,
            )
        # What is on record must be on disk, whatever the end of the block meets.
        out.flush()
        if summary.metadata is not None:
            beside = path.with_name(f"{path.name}-metadata.json")
            with written_whole(beside, f"the metadata of the export cannot be written to {beside}") as metadata:
                metadata.write(
                    json.dumps({**summary.metadata, "url": path.name}, ensure_ascii=False, indent=2).encode()
                )
        if record:
            record_export(
                store,
                head,
                format=summary.format,
                scope=summary.scope,
                n_statements=summary.n_statements,
                sha256=summary.sha256,
                size_bytes=summary.size_bytes,
            )
    return summary


def to_prov(store: Store, subject: BaseRecord | str | None, *, direction: str | None = None) -> ProvDocument:
    """Build a document of the library `prov`; meant for small sub-graphs, since it is all held in memory."""
    from lineagelog.exporters.document import to_prov as build

    scope = scope_of(store, subject, direction)
    with store.log.database.snapshot() as snapshot:
        head = head_of(snapshot)
        return build(snapshot, scope=scope, head_position=head.position, head_root=head.root)


def to_rdflib(store: Store, subject: BaseRecord | str | None, *, direction: str | None = None) -> Dataset:
    """Build a dataset of the library rdflib; meant for small sub-graphs, since it is all held in memory."""
    from lineagelog.exporters.graph import to_rdflib as build

    scope = scope_of(store, subject, direction)
    with store.log.database.snapshot() as snapshot:
        head = head_of(snapshot)
        return build(snapshot, scope=scope, head_position=head.position, head_root=head.root)


def scope_of(store: Store, subject: BaseRecord | str | None, direction: str | None, **conditions: Any) -> Scope:
    """Say what a subject, the way lineage is followed from it, and conditions select."""
    from lineagelog.exporters.scope import Scope

    if subject is None:
        for what, value in (("direction", direction), ("max_depth", conditions.get("max_depth"))):
            if value is not None:
                raise InvalidValueError(what, f"is {value!r}, but there is no subject to follow lineage from; name one")
        return Scope(**conditions)
    if isinstance(subject, BaseRecord):
        subject._need_saved("export")
        # A view of the past may not know it yet.
        record = subject if subject.store is store else find_record(store, subject.uid, _SUBJECTS)
    else:
        record = find_record(store, subject, _SUBJECTS)
    kind = record.registry.name.lower()
    return Scope(kind, record.uid, "upstream" if direction is None else direction, **conditions)  # type: ignore[arg-type]


def _uid_of(store: Store, registry: str, name: str, value: BaseRecord | str | None) -> str | None:
    """Take a record, its name or its uid."""
    if value is None:
        return None
    if isinstance(value, BaseRecord):
        record = value
        if record.registry.name != registry:
            raise InvalidValueError(registry.lower(), f"is {record!r}, which is no {registry}")
    else:
        records = store._registry(registry)
        try:
            record = records.filter(**{name: value}).one_or_none() or records.get(value)
        except RecordNotFoundError as exc:
            raise RecordNotFoundError(registry, f"the {name} or uid {value!r}") from exc
    record._need_saved("export")
    return str(record.uid)


def _time(value: datetime | str | None, what: str) -> str | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return time_text(moment.replace(tzinfo=UTC) if isinstance(value, str) and moment.tzinfo is None else moment)
    except (TypeError, ValueError, AttributeError) as exc:
        raise InvalidValueError(
            what, f"is {value!r}; give a datetime with a time zone, or text such as 2026-05-01T12:00Z"
        ) from exc


def head_of(snapshot: Reader) -> Head:
    """Read the end of the log as this view of the database has it."""
    from lineagelog.adapters.log.event_log import Head
    from lineagelog.adapters.log.schema import READ_HEAD

    ((position, _, root, _),) = snapshot.read(READ_HEAD)
    return Head(position, root)


def record_export(
    store: Store,
    head: Head,
    *,
    format: str,  # noqa: A002 - the word of the event
    scope: str,
    n_statements: int,
    sha256: str,
    size_bytes: int,
) -> None:
    """Put on record that something left the store, also where a view of its past was asked; a store that is only read warns.

    Args:
        store: The store, or a view of its past.
        head: End of the log that the export speaks of.
        format: Name of the format.
        scope: What was exported.
        n_statements: PROV statements, rows or events that were written.
        sha256: SHA-256 of the file.
        size_bytes: Size of the file.
    """
    store = store.present
    if store.log.database.read_only:
        message.warn(f"{store.name} can only be read here, so this export is not on record")
        return
    fact = ExportMade(
        format=format,
        scope=scope,
        up_to_position=head.position,
        root=head.root,
        n_statements=n_statements,
        sha256=sha256,
        size_bytes=size_bytes,
    )
    store.append_next(schema.STORES, store.id, lambda _: fact)
