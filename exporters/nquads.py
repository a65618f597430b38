"""Write statements as N-Quads: one line a quad, the bundle as a named graph; for loading in bulk.

References:
    RDF 1.1 N-Quads, https://www.w3.org/TR/n-quads/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lineagelog.exporters.mapping import Export
from lineagelog.exporters.rdf import describe, literal
from lineagelog.exporters.statement import Bundle, Name


def write_nquads(export: Export) -> Iterator[str]:
    """Hand out the text, one statement at a time."""
    prefixes = export.prefixes
    predicates: dict[Name, str] = {}
    end = " .\n"
    for statement in export.statements:
        if isinstance(statement, Bundle):
            end = f" {_iri(export.bundle, prefixes)} .\n"
            continue
        lines = []
        for subject, pairs in describe(statement):
            start = _iri(subject, prefixes)
            for predicate, value in pairs:
                middle = predicates.get(predicate)
                if middle is None:
                    middle = predicates[predicate] = f" {_iri(predicate, prefixes)} "
                text = _iri(value, prefixes) if type(value) is Name else literal(value)
                lines.append(f"{start}{middle}{text}{end}")
        yield "".join(lines)


def _iri(name: str, prefixes: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return f"<{prefixes[prefix]}{local}>"
