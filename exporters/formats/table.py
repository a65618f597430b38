"""Tables of lineage edges and of events, as CSV and Parquet, for spreadsheets and data frames.

Both are written as a stream in the order of the log. A Parquet file says in its metadata what it holds and what was left out; CSV
has no place for that, so a file of metadata stands beside it.

References:
    CSV, https://www.rfc-editor.org/rfc/rfc4180; metadata of tables, https://www.w3.org/TR/tabular-metadata/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, Final, Literal

from lineagelog.exporters.mapping.rows import chunked
from lineagelog.exporters.part import Part
from lineagelog.projections.reader import Reader, Row

_BATCH: Final = 1_000
_ROW_GROUP: Final = 5_000

HARMFUL: Final = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet take a cell for a formula."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its name.
        type: `int`, or `text`; times and JSON are text, as in the log.
        doc: What it holds.
    """

    name: str
    type: Literal["int", "text"]
    doc: str


@dataclass(frozen=True, slots=True)
class TableFormat:
    """One table in one format.

    Attributes:
        name: Its name here.
        suffix: File name extension.
        media_type: Registered media type.
        columns: Its columns.
        rows: Reads the rows of the whole store, or of a part of it.
        left_out: Counts what a part leaves out of the table, beyond what is counted of every part.
        write: Writes the rows; hands out how many it wrote, batch by batch.
    """

    name: str
    suffix: str
    media_type: str
    columns: tuple[Column, ...]
    rows: Callable[[Reader, Part | None], Iterator[Row]]
    left_out: Callable[[Reader, Part], Mapping[str, int]]
    write: Callable[[BinaryIO, tuple[Column, ...], Iterator[Row], Mapping[str, Any]], Iterator[int]]


EDGE_COLUMNS: Final = (
    Column("position", "int", "place of the event in the log"),
    Column("kind", "text", "used, generated, or seen: content that a run saved again"),
    Column("source", "text", "uid of what the data come from, an artifact or a run"),
    Column("target", "text", "uid of what the data go to, a run or an artifact"),
    Column("run", "text", "uid of the run"),
    Column("artifact", "text", "uid of the artifact"),
    Column("role", "text", "part that the artifact played"),
    Column("how", "text", "how an input was read"),
    Column("at", "text", "when, UTC"),
    Column("user", "text", "handle of who did it"),
    Column("artifact_key", "text", "key of the artifact"),
    Column("artifact_sha256", "text", "SHA-256 of its content, or of the listing of a folder"),
    Column("transform", "text", "uid of the transform that ran"),
    Column("transform_key", "text", "its key"),
)

EVENT_COLUMNS: Final = (
    Column("position", "int", "place in the log, from 1"),
    Column("recorded_at", "text", "when, UTC"),
    Column("topic", "text", "kind of event, with the number of its form"),
    Column("user", "text", "handle of who did it"),
    Column("record", "text", "uid of the record it is about"),
    Column("run", "text", "uid of the run in which it was done"),
    Column("reason", "text", "why, in the user's words"),
    Column("payload", "text", "the fact, as JSON"),
    Column("context", "text", "how the user was known, host and software, as JSON"),
    Column("stream", "text", "id of the record"),
    Column("version", "int", "place in the history of the record, from 1"),
    Column("event_id", "text", "id of the event"),
    Column("leaf_hash", "text", "SHA-256 of the event in the Merkle tree"),
)


def edge_rows(reader: Reader, part: Part | None) -> Iterator[Row]:
    """Read the edges of lineage between the runs and artifacts of a part, or all."""
    if part is None:
        yield from reader.stream(_EDGES.format(these="IS NOT NULL"))
        return
    found = chunked(reader, "SELECT t.position, t.artifact_id FROM edges t WHERE t.run_id {these}", part.runs)
    yield from chunked(reader, _EDGES, (position for position, artifact_id in found if artifact_id in part.artifacts))


def event_rows(reader: Reader, part: Part | None) -> Iterator[Row]:
    """Read the events about the records of a part, or all."""
    if part is None:
        yield from reader.stream(_EVENTS.format(these="IS NOT NULL"))
        return
    found = chunked(reader, "SELECT t.position FROM events t WHERE t.stream {these}", part.ids)
    yield from chunked(reader, _EVENTS, (position for (position,) in found))


def edges_left_out(reader: Reader, part: Part) -> Mapping[str, int]:  # noqa: ARG001 - one of two alike
    """Count nothing more: inputs and outputs are counted of every part."""
    return {}


def events_left_out(reader: Reader, part: Part) -> Mapping[str, int]:
    """Count the events about other records."""
    ((total,),) = reader.read("SELECT count(*) FROM events")
    counts = chunked(reader, "SELECT count(*) FROM events t WHERE t.stream {these}", part.ids)
    return {"events": int(total) - sum(int(count) for (count,) in counts)}


def write_csv(
    out: BinaryIO,
    columns: tuple[Column, ...],
    rows: Iterator[Row],
    about: Mapping[str, Any],  # noqa: ARG001 - CSV has no place for it
) -> Iterator[int]:
    """Write rows as CSV, UTF-8: texts in quotes, numbers bare, nothing where there is no value."""
    out.write(f"{','.join(column.name for column in columns)}\n".encode())
    while batch := list(islice(rows, _BATCH)):
        out.write("".join([f"{','.join(map(_cell, row))}\n" for row in batch]).encode())
        yield len(batch)


def write_parquet(
    out: BinaryIO, columns: tuple[Column, ...], rows: Iterator[Row], about: Mapping[str, Any]
) -> Iterator[int]:
    """Write rows as Parquet; what the table is stands in its metadata under `lineagelog`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"int": pa.int64(), "text": pa.string()}
    fields = [pa.field(column.name, types[column.type], metadata={"doc": column.doc}) for column in columns]
    schema = pa.schema(fields, metadata={"lineagelog": json.dumps(about, ensure_ascii=False, sort_keys=True)})
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while batch := list(islice(rows, _ROW_GROUP)):
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*batch, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield len(batch)


def csv_metadata(columns: tuple[Column, ...], about: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a CSV file as the W3C's metadata of tables do, but for its name."""
    types = {"int": "integer", "text": "string"}
    return {
        "@context": ["http://www.w3.org/ns/csvw", {"@language": "en"}],
        "dialect": {"header": True, "encoding": "utf-8", "delimiter": ",", "quoteChar": '"', "doubleQuote": True},
        "tableSchema": {
            "columns": [
                {
                    "name": column.name,
                    "titles": column.name,
                    "datatype": types[column.type],
                    "dc:description": column.doc,
                }
                for column in columns
            ]
        },
        "notes": [dict(about) | {"cells": CELLS}],
    }


CELLS: Final = (
    "One apostrophe stands before texts that begin with = + - @, tab, carriage return or an apostrophe, so that no spreadsheet "
    "takes them for a formula; the text is what follows the first apostrophe."
)


def _cell(value: int | str | None) -> str:
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    text = str(value)
    if text.startswith((*HARMFUL, "'")):
        text = f"'{text}"
    return f'"{text.replace(chr(34), chr(34) * 2)}"'


# Each query has one place `{these}` after the position: all of them, or a list.
_EDGES: Final = """
    SELECT t.position, t.kind, CASE WHEN t.kind = 'used' THEN a.uid ELSE r.uid END,
        CASE WHEN t.kind = 'used' THEN r.uid ELSE a.uid END, r.uid, a.uid, t.role, t.how, t.at, u.handle,
        a.key, a.hash, c.uid, c.key
    FROM edges t JOIN runs r ON r.id = t.run_id JOIN artifacts a ON a.id = t.artifact_id
        JOIN transforms c ON c.id = r.transform_id LEFT JOIN users u ON u.id = t.actor_id
    WHERE t.position {these} ORDER BY t.position"""
_REGISTRIES: Final = (
    "artifacts", "runs", "transforms", "collections", "users", "storages", "ulabels", "records", "features", "projects", "stores",
)  # fmt: skip
_EVENTS: Final = f"""
    SELECT t.position, t.recorded_at, t.topic, h.handle, COALESCE({", ".join(f"{table}.uid" for table in _REGISTRIES)}), w.uid,
        t.reason, t.payload, t.context, t.stream, t.version, t.event_id, t.leaf_hash
    FROM events t LEFT JOIN users h ON h.id = t.actor LEFT JOIN runs w ON w.id = t.run
        {" ".join(f"LEFT JOIN {table} ON {table}.id = t.stream" for table in _REGISTRIES)}
    WHERE t.position {{these}} ORDER BY t.position"""  # noqa: S608 - constants

_PARQUET: Final = "application/vnd.apache.parquet"
_EDGE_TABLE: Final = (EDGE_COLUMNS, edge_rows, edges_left_out)
_EVENT_TABLE: Final = (EVENT_COLUMNS, event_rows, events_left_out)

TABLES: Final[Mapping[str, TableFormat]] = {
    table.name: table
    for table in (
        TableFormat("edges-csv", ".edges.csv", "text/csv", *_EDGE_TABLE, write_csv),
        TableFormat("edges-parquet", ".edges.parquet", _PARQUET, *_EDGE_TABLE, write_parquet),
        TableFormat("events-csv", ".events.csv", "text/csv", *_EVENT_TABLE, write_csv),
        TableFormat("events-parquet", ".events.parquet", _PARQUET, *_EVENT_TABLE, write_parquet),
    )
}
"""Every table in every format, by name."""
