"""Write statements as N-Quads and N-Triples, for loading in bulk: one line a quad, or a triple.

N-Quads have the bundle as a named graph. N-Triples have no graphs: what the bundle holds stands beside what describes it.

References:
    RDF 1.1 N-Quads, https://www.w3.org/TR/n-quads/; RDF 1.1 N-Triples, https://www.w3.org/TR/n-triples/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from lineagelog.exporters.block import Block, Column, Filling, Moments, Names, Piece, Texts, escaped, texts
from lineagelog.exporters.formats.rdf import describe, escape, literal
from lineagelog.exporters.mapping.stream import Export
from lineagelog.exporters.statement import Bundle, Name, Value
from lineagelog.exporters.vocabulary import NAMESPACES


def write_nquads(export: Export) -> Iterator[str]:
    """Hand out the text, one block of statements at a time."""
    return _write(export, graphs=True)


def write_ntriples(export: Export) -> Iterator[str]:
    """Hand out the text, one block of statements at a time."""
    return _write(export, graphs=False)


def _write(export: Export, *, graphs: bool) -> Iterator[str]:
    prefixes = export.prefixes
    end = " .\n"
    for block in export.blocks:
        if block.kind is not Bundle:
            yield "".join(texts(block, partial(_lines, prefixes, end)))
        elif graphs:
            end = f" {_iri(export.bundle, prefixes)} .\n"


def _lines(prefixes: Mapping[str, str], end: str, block: Block) -> Iterator[Piece]:
    for subject, pairs in describe(block):
        start = _term(subject, prefixes)
        for predicate, slot in pairs:
            yield from start
            yield f" {_iri(predicate, prefixes)} "
            yield from _term(slot, prefixes)
            yield end


def _term(slot: Filling, prefixes: Mapping[str, str]) -> tuple[Piece, ...]:
    match slot:
        case Names():
            return f"<{prefixes[slot.prefix]}", slot.values, ">"
        case Texts():
            return '"', escaped(slot.values, '"\\', escape), '"'
        case Moments():
            return '"', slot.values, f'"^^<{NAMESPACES["xsd"]}dateTime>'
        case Column():
            return ([_value(value, prefixes) for value in slot.values],)
        case _:
            return (_value(slot, prefixes),)


def _value(value: Value, prefixes: Mapping[str, str]) -> str:
    return _iri(value, prefixes) if isinstance(value, Name) else literal(value)


def _iri(name: str, prefixes: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return f"<{prefixes[prefix]}{local}>"
