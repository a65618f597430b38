"""Read a PROV document in whichever format it is.

The format is the one that is named, else that of the file's suffix, else what the content begins like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lineagelog.domain.errors import MalformedDocumentError, ObjectMissingError, UnknownFormatError
from lineagelog.exporters.readers.document import MAX_STATEMENTS, Document
from lineagelog.exporters.readers.json import read_json
from lineagelog.exporters.readers.jsonld import read_jsonld
from lineagelog.exporters.readers.provn import read_provn
from lineagelog.exporters.readers.rdf import FORMATS as RDF_FORMATS
from lineagelog.exporters.readers.rdf import read_rdf
from lineagelog.exporters.readers.xml import read_xml

SUFFIXES: Final = {
    ".json": "prov-json",
    ".jsonld": "prov-jsonld",
    ".provn": "prov-n",
    ".provx": "prov-xml",
    ".xml": "prov-xml",
    ".ttl": "turtle",
    ".trig": "trig",
    ".nt": "n-triples",
    ".nq": "n-quads",
    ".rdf": "rdf-xml",
}
"""Suffix of a file to its format."""

FORMATS: Final = tuple(dict.fromkeys(SUFFIXES.values()))
"""Every format that is read."""

MAX_BYTES: Final = 512 * 1024**2
"""Size beyond which a file is refused unread."""


def read(path: str | Path, *, format: str | None = None, max_statements: int = MAX_STATEMENTS) -> Document:  # noqa: A002
    """Read a PROV document from a file.

    Args:
        path: The file.
        format: One of `FORMATS`; told by suffix and content by default.
        max_statements: Statements beyond which the document is refused.

    Raises:
        ObjectMissingError: There is no such file.
        UnknownFormatError: There is no such format.
        MalformedDocumentError: The format cannot be told, the file is not what its format makes it, or it is too large.
    """
    path = Path(path)
    if not path.is_file():
        raise ObjectMissingError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise MalformedDocumentError(
            f"{path} is larger than {MAX_BYTES:,} bytes, too much to check in memory; check a part of it"
        )
    content = path.read_bytes()
    if format is not None and format not in FORMATS:
        raise UnknownFormatError(format, FORMATS)
    told = format or guess_format(path.suffix, content)
    if told is None:
        raise MalformedDocumentError(f"{path}: its format cannot be told; say it with --format: {', '.join(FORMATS)}")
    document = Document(format=told, max_statements=max_statements)
    try:
        _read_as(told, content, document)
    except MalformedDocumentError as exc:
        raise MalformedDocumentError(f"{path}: {exc}") from exc
    if not document.n_statements:
        document.note("the file holds no statement of PROV")
    return document


def guess_format(suffix: str, content: bytes) -> str | None:
    """Tell the format by the suffix of a file, or by its first characters; `None` if neither says it."""
    start = content[:2000].lstrip(b"\xef\xbb\xbf \t\r\n")
    known = SUFFIXES.get(suffix.lower())
    if known == "prov-json" and b'"@context"' in content[:2000]:
        return "prov-jsonld"
    if known is not None:
        return known
    if start.startswith(b"{"):
        return "prov-jsonld" if b'"@context"' in start or b'"@graph"' in start else "prov-json"
    if known is None and re.match(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(\w+:)?RDF\b", start, re.DOTALL):
        return "rdf-xml"
    if start.startswith(b"<?") or re.match(rb"<(\w+:)?document\b", start):
        return "prov-xml"
    if re.match(rb"((//[^\n]*|/\*.*?\*/)\s*)*document\b", start, re.DOTALL):
        return "prov-n"
    if start.startswith((b"@prefix", b"@base", b"PREFIX", b"BASE", b"<", b"_:", b"#")):
        # Turtle is part of TriG, and lines of N-Triples are part of Turtle; N-Quads are known by their suffix only.
        return "trig"
    return None


def _read_as(told: str, content: bytes, document: Document) -> None:
    if told == "prov-xml":
        read_xml(content, document)
    elif told in RDF_FORMATS:
        read_rdf(content, document, told)
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            line = content.count(b"\n", 0, exc.start) + 1
            raise MalformedDocumentError(f"line {line}: not UTF-8") from exc
        _TEXTUAL[told](text, document)


_TEXTUAL: Final[dict[str, Callable[[str, Document], None]]] = {
    "prov-json": read_json,
    "prov-jsonld": read_jsonld,
    "prov-n": read_provn,
}
