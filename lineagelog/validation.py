"""Validity of PROV documents, whoever wrote them; no store is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineagelog.exporters.constraints import Report


def validate_prov(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002 - the word of the command line
    times: bool = False,
    max_statements: int = 1_000_000,
) -> Report:
    """Check a PROV document against PROV-CONSTRAINTS.

    Args:
        path: A file in PROV-JSON, PROV-JSONLD, PROV-N, PROV-XML, Turtle, TriG, N-Triples, N-Quads or RDF/XML.
        format: Name of the format in lower case, as in `prov-json` or `n-quads`; told by suffix and content by default.
        times: Also warn of times that contradict the order of events; PROV-CONSTRAINTS does not forbid them.
        max_statements: Statements beyond which a document is refused; each takes about 2 KB of memory.

    Returns:
        The verdict (`valid`) and each violation with its constraint and the records involved.

    Raises:
        ObjectMissingError: There is no such file.
        UnknownFormatError: There is no such format.
        MalformedDocumentError: The file cannot be read as its format, or is too large.

    References:
        PROV-CONSTRAINTS, https://www.w3.org/TR/prov-constraints/
    """
    from lineagelog.exporters.constraints import validate
    from lineagelog.exporters.readers.reading import read

    return validate(read(path, format=format, max_statements=max_statements), times=times)
