"""Export a store, or the lineage of one record of it, in one of the formats of W3C PROV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from lineagelog.domain.version import VERSION
from lineagelog.exporters.mapping import ALL, Scope
from lineagelog.exporters.vocabulary import DEFAULT_BASE
from lineagelog.projections.reader import Reader

SOFTWARE = f"lineagelog {VERSION}"


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What an export holds.

    Attributes:
        format: Name of the format.
        scope: `all`, or the kind and uid of the subject, such as `artifact Xk3…`.
        bundle: IRI of the bundle, which names the export.
        n_statements: PROV statements written.
        counts: Statements by kind, such as `{"entity": 12, "used": 3}`.
        left_out: Records and statements of the store that the export does not hold, by kind, and why.
    """

    format: str
    scope: str
    bundle: str
    n_statements: int
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
) -> ExportSummary:
    """Write an export.

    Args:
        reader: One consistent view of the store (`Database.snapshot()`).
        out: A binary file; it is not closed.
        format: Name in `FORMATS`: `prov-json`, `prov-n`, `trig` or `n-quads`.
        scope: What to export.
        head_position: Last position of the log in that view.
        head_root: Merkle tree head at that position.
        software: Name and version of the exporting software.
        base: Beginning of the IRIs of everything in the store.

    Raises:
        UnknownFormatError: No exporter has this name.
        RecordNotFoundError: The subject of the scope does not exist.
    """
    raise NotImplementedError
