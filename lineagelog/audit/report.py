"""The audit trail as a report: one row for each changed field, and one for each other event, as a table, CSV, HTML or Parquet."""

from __future__ import annotations

import codecs
import csv
import html
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast

import msgspec

from lineagelog.audit.trail import with_whole_uids
from lineagelog.domain import clock
from lineagelog.domain.errors import ExportError, UnknownFormatError
from lineagelog.domain.event import Context
from lineagelog.exporters.formats.table import HARMFUL
from lineagelog.text import clean
from lineagelog.writing import written_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from lineagelog.adapters.log.event_log import Head
    from lineagelog.audit.trail import Entry
    from lineagelog.store import Store

_BATCH: Final = 5_000

_context: Final = msgspec.json.Decoder(Context)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the audit trail.

    Attributes:
        position: Place of the event in the log, from 1.
        at: When it was recorded, UTC.
        who: Handle of the user who did it.
        auth: How that is known: `declared`, `anonymous`, or the name of a proof.
        os_user: The operating system's user of the process.
        host: The machine.
        event: Name of the kind of event, such as `ArtifactUpdated`.
        kind: Kind of the record, such as `Artifact`.
        uid: Short name of the record.
        key: What people call the record.
        field: The field that changed; `None` for an event that is no change of a field.
        old: Its value before.
        new: Its value after.
        details: What tells most of an event that is no change of a field.
        reason: Why, in the user's words.
        run: Short name of the run it happened in.
    """

    position: int
    at: datetime
    who: str | None
    auth: str
    os_user: str | None
    host: str | None
    event: str
    kind: str | None
    uid: str | None
    key: str | None
    field: str | None
    old: Any
    new: Any
    details: dict[str, Any] | None
    reason: str | None
    run: str | None


COLUMNS: Final = tuple(field.name for field in fields(Row))
"""The columns of the report, in their order."""


class AuditTrail:
    """The events of a store that meet some conditions, as rows; read anew each time it is looked at."""

    def __init__(self, store: Store, *, field: str | None = None, **conditions: Any) -> None:
        """Check the conditions.

        Args:
            store: The store.
            field: Only changes of this field, or of the feature of this name.
            conditions: Those of `lineagelog.audit.trail.trail`.
        """
        self._store = store
        self._field = field
        # The report names records in full: a beginning that tells one record today may not tell it tomorrow.
        self._conditions = {**with_whole_uids(store, conditions), "field": field}
        # A condition that names nothing is refused now, not when the first row is read.
        self._entries()

    def __iter__(self) -> Iterator[Row]:
        for entry in self._entries():
            yield from rows_of(entry, self._field)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the rows as a table, values as text."""
        frame: pd.DataFrame = self._table().to_pandas()
        return frame

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,  # noqa: A002 - the word of exports
        record: bool = True,
    ) -> int:
        """Write the rows to a file, whole or not at all. What is written leaves the store, so it is an event as any export.

        Args:
            path: The file; replaced when it is complete.
            format: `csv`, `html` or `parquet`; told by the suffix of the file by default.
            record: Record the report as an event.

        Returns:
            Number of rows.

        Raises:
            UnknownFormatError: There is no such format.
            ExportError: The file cannot be written.
        """
        from lineagelog.export import record_export
        from lineagelog.exporters.formats.hashing import HashedFile

        target = Path(path)
        name = format or {".htm": "html"}.get(target.suffix, target.suffix[1:])
        writer = _WRITERS.get(name)
        if writer is None:
            raise UnknownFormatError(format or target.suffix, tuple(_WRITERS))
        failure = f"the audit trail cannot be written to {target}"
        if target.is_dir():
            # Told now: a report is recorded before it gets its name, so that none goes out unrecorded.
            raise ExportError(f"{failure}: it is a folder; name a file")
        head = self._store.log.head()
        with written_whole(target, failure) as out:
            sink = HashedFile(out)
            # Events that others record meanwhile are not of the log whose head the report names.
            n_rows = writer(self._up_to(head), cast("IO[bytes]", sink))
            out.flush()
            if record:
                record_export(
                    self._store,
                    head,
                    format=f"audit-{name}",
                    scope=self.scope,
                    n_statements=n_rows,
                    sha256=sink.sha256,
                    size_bytes=sink.size_bytes,
                )
        return n_rows

    @property
    def scope(self) -> str:
        """Which events it holds: `all`, or the conditions they meet."""
        conditions = (
            f"{name} {value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value}"
            for name, value in self._conditions.items()
            if value is not None and name not in ("newest_first", "up_to")
        )
        return ", ".join(conditions) or "all"

    def describe(self) -> str:
        """Say what the trail is of, and which conditions it meets."""
        return self._describe(self._store.log.head())

    def _describe(self, head: Head) -> str:
        return (
            f"Audit trail of {self._store.name} ({self._store.uid}), {self.scope if self.scope != 'all' else 'all events'}; "
            f"log of {head.position} events, tree root {head.root}"
        )

    def _up_to(self, head: Head) -> _Report:
        return _Report(AuditTrail(self._store, **{**self._conditions, "up_to": head.position}), self._describe(head))

    def _entries(self) -> Iterator[Entry]:
        return self._store.trail(**self._conditions)

    def _table(self) -> pa.Table:
        import pyarrow as pa

        return pa.Table.from_batches(_batches(self), _arrow_schema())


class _Report(NamedTuple):
    """What is written into a file."""

    rows: Iterable[Row]
    title: str


def rows_of(entry: Entry, field: str | None = None) -> Iterator[Row]:
    """Turn an event into rows: one for each field it changed, else one.

    Args:
        entry: The event.
        field: Only changes of this field.
    """
    context = _decoded(entry.recorded.context)
    common = (
        entry.position, entry.at, entry.who, context.auth, context.os_user, context.host, entry.event, entry.kind, entry.uid,
        entry.key,
    )  # fmt: skip
    end = (entry.reason, entry.run)
    details = dict(entry.details) or None
    for name, change in entry.changes.items():
        if field is None or name == field:
            yield Row(*common, name, change.old, change.new, details, *end)
    if not entry.changes and field is None:
        yield Row(*common, None, None, None, details, *end)


@lru_cache(maxsize=64)
def _decoded(context: str) -> Context:
    """Read a context; all events of one session have the same."""
    return _context.decode(context)


def texts_of(row: Row) -> tuple[str | None, ...]:
    """Write the values of a row as people read them; what is missing stays so."""
    return tuple(_text(getattr(row, name)) for name in COLUMNS)


def write_csv(rows: Iterable[Row], out: IO[str]) -> int:
    """Write rows as CSV, which no spreadsheet takes for formulas."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        writer.writerow(
            [
                f"'{text}" if text and text.startswith(HARMFUL) and not _is_number(getattr(row, name)) else text or ""
                for name, text in zip(COLUMNS, texts_of(row), strict=True)
            ]
        )
        count += 1
    return count


def _write_csv(report: _Report, out: IO[bytes]) -> int:
    return write_csv(report.rows, cast("IO[str]", codecs.getwriter("utf-8")(out)))


def _write_html(report: _Report, out: IO[bytes]) -> int:
    def write(text: str) -> None:
        out.write(text.encode())

    title = html.escape(clean(report.title))
    made = clock.now().strftime("%Y-%m-%d %H:%M:%S UTC")
    write(_HTML_START.format(title=title, made=made))
    write(f"<thead><tr>{''.join(f'<th>{name}</th>' for name in COLUMNS)}</tr></thead>\n<tbody>\n")
    count = 0
    for row in report.rows:
        # What is missing and what is empty are two things.
        cells = (
            "<td></td>" if text is None else f"<td><span>{html.escape(text)}</span></td>" for text in texts_of(row)
        )
        write(f"<tr>{''.join(cells)}</tr>\n")
        count += 1
    write(f"</tbody></table>\n<p>{count:,} rows</p>\n</body></html>\n")
    return count


def _write_parquet(report: _Report, out: IO[bytes]) -> int:
    import pyarrow.parquet as pq

    count = 0
    with pq.ParquetWriter(out, _arrow_schema()) as writer:
        for batch in _batches(report.rows):
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def _batches(rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    waiting: list[Row] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == _BATCH:
            yield _batch(waiting)
            waiting = []
    yield _batch(waiting)


def _batch(rows: Sequence[Row]) -> pa.RecordBatch:
    import pyarrow as pa

    schema = _arrow_schema()
    arrays = []
    for name in COLUMNS:
        values = [getattr(row, name) for row in rows]
        if name not in ("position", "at"):
            values = [_text(value) for value in values]
        arrays.append(pa.array(values, schema.field(name).type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _arrow_schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {"position": pa.int64(), "at": pa.timestamp("us", tz="UTC")}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])


def _text(value: Any) -> str | None:
    # Most cells are plain text or nothing.
    if value is None or (type(value) is str and value.isprintable()):
        return value
    if type(value) is int:
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    # Text as it is, but for what would steer a terminal or turn its direction.
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), keep="\n\t")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


_WRITERS: Final[dict[str, Callable[[_Report, IO[bytes]], int]]] = {
    "csv": _write_csv,
    "html": _write_html,
    "parquet": _write_parquet,
}

_HTML_START: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; }}
table {{ border-collapse: collapse; font-size: 11px; }}
th, td {{ text-align: left; vertical-align: top; padding: .25em .5em; border-bottom: 1px solid #ddd; white-space: pre-wrap; }}
th {{ position: sticky; top: 0; background: #f4f4f4; }}
td {{ max-width: 28em; overflow-wrap: break-word; }}
td:nth-child(n+10):nth-child(-n+15) {{ min-width: 7em; overflow-wrap: anywhere; }}
@page {{ size: landscape; margin: 1cm; }}
@media print {{
  body {{ margin: 0; font-size: 9px; }} table {{ font-size: 6px; }} th {{ position: static; }} tr {{ break-inside: avoid; }}
}}
</style></head><body>
<h1>Audit trail</h1>
<p>{title}</p>
<p>Written at {made}. Times are UTC. A user is as proven as the column auth says: declared means that the person said so.</p>
<table>
"""
