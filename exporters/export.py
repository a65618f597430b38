"""Export a store, or the lineage of one record of it, in one of the formats of W3C PROV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final, cast

from lineagelog.domain.errors import UnknownFormatError
from lineagelog.domain.version import VERSION
from lineagelog.exporters.block import Block
from lineagelog.exporters.formats.hashing import HashedFile
from lineagelog.exporters.formats.ntriples import write_nquads, write_ntriples
from lineagelog.exporters.formats.provjson import write_provjson
from lineagelog.exporters.formats.provjsonld import write_provjsonld
from lineagelog.exporters.formats.provn import write_provn
from lineagelog.exporters.formats.provxml import write_provxml
from lineagelog.exporters.formats.table import TABLES, TableFormat, csv_metadata
from lineagelog.exporters.formats.turtle import write_trig, write_turtle
from lineagelog.exporters.mapping.stream import Export, open_export, open_store
from lineagelog.exporters.part import Part
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.statement import Bundle
from lineagelog.exporters.vocabulary import DEFAULT_BASE, store_prefixes
from lineagelog.projections.reader import Reader

SOFTWARE: Final = f"lineagelog {VERSION}"


@dataclass(frozen=True, slots=True)
class Format:
    """One format of an export.

    Attributes:
        name: Its name here.
        suffix: File name extension.
        media_type: Registered media type.
        write: Hands out its text.
    """

    name: str
    suffix: str
    media_type: str
    write: Callable[[Export], Iterator[str]]


FORMATS: Final[Mapping[str, Format]] = {
    format_.name: format_
    for format_ in (
        Format("prov-json", ".json", "application/json", write_provjson),
        Format("prov-n", ".provn", "text/provenance-notation", write_provn),
        Format("prov-xml", ".provx", "application/provenance+xml", write_provxml),
        Format("prov-jsonld", ".jsonld", "application/ld+json", write_provjsonld),
        Format("trig", ".trig", "application/trig", write_trig),
        Format("turtle", ".ttl", "text/turtle", write_turtle),
        Format("n-quads", ".nq", "application/n-quads", write_nquads),
        Format("n-triples", ".nt", "application/n-triples", write_ntriples),
    )
}
"""Every format of PROV, by name."""

NAMES: Final = (*FORMATS, *TABLES)
"""Names of all formats, with those of tables."""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What an export holds.

    Attributes:
        format: Name of the format.
        scope: `all`, or what was asked for, such as `artifact Xk3… upstream, user Ada00001`.
        bundle: IRI of the bundle, which names the export.
        n_statements: PROV statements written, or rows of a table.
        sha256: SHA-256 of the file, 64 hexadecimal characters.
        size_bytes: Size of the file.
        counts: Statements by kind, such as `{"entity": 12, "used": 3}`; of a table `rows`.
        left_out: Records and statements of the store that the export does not hold, by kind, and why.
        metadata: What stands beside a CSV file and says what it is, by the W3C's metadata of tables; `None` for other formats.
    """

    format: str
    scope: str
    bundle: str
    n_statements: int
    sha256: str
    size_bytes: int
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None


def export(
    reader: Reader,
    out: BinaryIO,
    *,
    format: str,  # noqa: A002 - the word of the command line and of the event
    scope: Scope = ALL,
    head_position: int,
    head_root: str,
    software: str = SOFTWARE,
    base: str = DEFAULT_BASE,
    progress: Callable[[int], object] | None = None,
) -> ExportSummary:
    """Write an export.

    Args:
        reader: One consistent view of the store (`Database.snapshot()`).
        out: A binary file; it is not closed.
        format: Name in `FORMATS` or `TABLES`.
        scope: What to export.
        head_position: Last position of the log in that view.
        head_root: Merkle tree head at that position.
        software: Name and version of the exporting software.
        base: Beginning of the IRIs of everything in the store.
        progress: Called now and then with the number of statements written since the last call.

    Raises:
        UnknownFormatError: No exporter has this name.
        RecordNotFoundError: The subject of the scope does not exist.
    """
    if format in TABLES:
        return _export_table(
            reader,
            out,
            TABLES[format],
            scope,
            head_position=head_position,
            head_root=head_root,
            software=software,
            base=base,
            progress=progress,
        )
    chosen = find_format(format)
    opened = open_export(
        reader, scope=scope, head_position=head_position, head_root=head_root, software=software, base=base
    )
    counts: Counter[str] = Counter()
    sink, n_told = HashedFile(out), 0
    for text in chosen.write(replace(opened, blocks=_counted(opened.blocks, counts))):
        sink.write(text.encode())
        if progress is not None:
            progress(counts.total() - n_told)
            n_told = counts.total()
    prefix, _, local = opened.bundle.partition(":")
    return ExportSummary(
        format=chosen.name,
        scope=str(scope),
        bundle=f"{opened.prefixes[prefix]}{local}",
        n_statements=counts.total(),
        sha256=sink.sha256,
        size_bytes=sink.size_bytes,
        counts=dict(counts),
        left_out=dict(opened.left_out),
    )


def find_format(name: str) -> Format:
    """Look a format up by name.

    Raises:
        UnknownFormatError: No exporter has this name.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormatError(name, NAMES) from None


def guess_format(file_name: str) -> str | None:
    """Tell the format by the end of a file's name; of a bare `.csv` or `.parquet` nothing tells which table is meant."""
    known = ((table.suffix, name) for formats in (TABLES, FORMATS) for name, table in formats.items())
    return next((name for suffix, name in known if file_name.endswith(suffix)), None)


def _export_table(
    reader: Reader,
    out: BinaryIO,
    table: TableFormat,
    scope: Scope,
    *,
    head_position: int,
    head_root: str,
    software: str,
    base: str,
    progress: Callable[[int], object] | None,
) -> ExportSummary:
    store_uid, _, _ = open_store(reader)
    part = None if scope.is_whole else Part.find(reader, scope)
    left_out = {} if part is None else {**part.left_out, **table.left_out(reader, part)}
    bundle = f"{store_prefixes(base, store_uid)['export']}e{head_position}-{scope.slug}"
    about = {
        "table": table.name,
        "scope": str(scope),
        "export": bundle,
        "lastPosition": head_position,
        "merkleRoot": head_root,
        "software": software,
        "leftOut": left_out,
    }
    sink, n_rows = HashedFile(out), 0
    for n_written in table.write(cast("BinaryIO", sink), table.columns, table.rows(reader, part), about):
        n_rows += n_written
        if progress is not None:
            progress(n_written)
    return ExportSummary(
        format=table.name,
        scope=str(scope),
        bundle=bundle,
        n_statements=n_rows,
        sha256=sink.sha256,
        size_bytes=sink.size_bytes,
        counts={"rows": n_rows},
        left_out=left_out,
        metadata=csv_metadata(table.columns, about) if table.media_type == "text/csv" else None,
    )


def _counted(blocks: Iterator[Block], counts: Counter[str]) -> Iterator[Block]:
    for block in blocks:
        if block.kind is not Bundle:
            counts[block.kind.keyword] += block.size
        yield block
