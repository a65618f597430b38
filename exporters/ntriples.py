"""Write statements as N-Quads and N-Triples, for loading in bulk: one line a quad, or a triple.

N-Quads have the bundle as a named graph. N-Triples have no graphs: what the bundle holds stands beside what describes it.

References:
    RDF 1.1 N-Quads, https://www.w3.org/TR/n-quads/; RDF 1.1 N-Triples, https://www.w3.org/TR/n-triples/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lineagelog.exporters.mapping import Export
from lineagelog.exporters.rdf import describe, literal
from lineagelog.exporters.statement import Bundle, Name


def write_nquads(export: Export) -> Iterator[str]:
    """Hand out the text, one statement at a time."""
    return _write(export, graphs=True)


def write_ntriples(export: Export) -> Iterator[str]:
    """Hand out the text, one statement at a time."""
    return _write(export, graphs=False)


def _write(export: Export, *, graphs: bool) -> Iterator[str]:
    prefixes = export.prefixes
    predicates: dict[Name, str] = {}
    end = " .\n"
    for statement in export.statements:
        if isinstance(statement, Bundle):
            if graphs:
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
