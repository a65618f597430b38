"""Export a store, or the lineage of one record of it, in one of the formats of W3C PROV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import islice
from typing import BinaryIO, Final

from lineagelog.domain.errors import UnknownFormatError
from lineagelog.domain.version import VERSION
from lineagelog.exporters.mapping import Export, open_export
from lineagelog.exporters.ntriples import write_nquads, write_ntriples
from lineagelog.exporters.provjson import write_provjson
from lineagelog.exporters.provjsonld import write_provjsonld
from lineagelog.exporters.provn import write_provn
from lineagelog.exporters.provxml import write_provxml
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.statement import Bundle, Statement
from lineagelog.exporters.turtle import write_trig, write_turtle
from lineagelog.exporters.vocabulary import DEFAULT_BASE
from lineagelog.projections.reader import Reader

SOFTWARE: Final = f"lineagelog {VERSION}"
_PIECES: Final = 200


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
"""Every format, by name."""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What an export holds.

    Attributes:
        format: Name of the format.
        scope: `all`, or what was asked for, such as `artifact Xk3… upstream, user Ada00001`.
        bundle: IRI of the bundle, which names the export.
        n_statements: PROV statements written.
        sha256: SHA-256 of the file, 64 hexadecimal characters.
        size_bytes: Size of the file.
        counts: Statements by kind, such as `{"entity": 12, "used": 3}`.
        left_out: Records and statements of the store that the export does not hold, by kind, and why.
    """

    format: str
    scope: str
    bundle: str
    n_statements: int
    sha256: str
    size_bytes: int
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


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
        format: Name in `FORMATS`.
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
    chosen = find_format(format)
    opened = open_export(
        reader, scope=scope, head_position=head_position, head_root=head_root, software=software, base=base
    )
    counts: Counter[str] = Counter()
    pieces = chosen.write(replace(opened, statements=_counted(opened.statements, counts)))
    digest, size_bytes, n_told = sha256(), 0, 0
    while batch := list(islice(pieces, _PIECES)):
        written = "".join(batch).encode()
        out.write(written)
        digest.update(written)
        size_bytes += len(written)
        if progress is not None:
            progress(counts.total() - n_told)
            n_told = counts.total()
    prefix, _, local = opened.bundle.partition(":")
    return ExportSummary(
        format=chosen.name,
        scope=str(scope),
        bundle=f"{opened.prefixes[prefix]}{local}",
        n_statements=counts.total(),
        sha256=digest.hexdigest(),
        size_bytes=size_bytes,
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
        raise UnknownFormatError(name, tuple(FORMATS)) from None


def _counted(statements: Iterator[Statement], counts: Counter[str]) -> Iterator[Statement]:
    for statement in statements:
        if not isinstance(statement, Bundle):
            counts[statement.keyword] += 1
        yield statement
