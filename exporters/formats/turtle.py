"""Write statements as Turtle and TriG, for people to read: prefixes, one paragraph a subject.

TriG has the bundle as a named graph. Turtle has no graphs: what the bundle holds stands beside what describes it.

References:
    RDF 1.1 Turtle, https://www.w3.org/TR/turtle/; RDF 1.1 TriG, https://www.w3.org/TR/trig/
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lineagelog.exporters.block import Block, Column, Filling, Moments, Names, Piece, Texts, escaped, texts
from lineagelog.exporters.formats.rdf import RDF_TYPE, describe, escape
from lineagelog.exporters.formats.xsd import double_text
from lineagelog.exporters.mapping.stream import Export
from lineagelog.exporters.statement import Bundle, Day, Moment, Name, Value


def write_trig(export: Export) -> Iterator[str]:
    """Hand out the text, one block of statements at a time."""
    return _write(export, graphs=True)


def write_turtle(export: Export) -> Iterator[str]:
    """Hand out the text, one block of statements at a time."""
    return _write(export, graphs=False)


def _write(export: Export, *, graphs: bool) -> Iterator[str]:
    for prefix, iri in export.prefixes.items():
        yield f"@prefix {prefix}: <{iri}> .\n"
    indent = ""
    for block in export.blocks:
        if block.kind is not Bundle:
            yield "".join(texts(block, partial(_paragraphs, indent)))
        elif graphs:
            yield f"\nGRAPH {export.bundle} {{\n"
            indent = "    "
    if graphs:
        yield "}\n"


def _paragraphs(indent: str, block: Block) -> Iterator[Piece]:
    for subject, pairs in describe(block):
        if not pairs:
            continue
        if len(pairs) > 1:
            yield "\n"
        yield indent
        yield from _term(subject)
        separator = " "
        for predicate, slot in pairs:
            yield f"{separator}{'a' if predicate is RDF_TYPE else predicate} "
            yield from _term(slot)
            separator = f" ;\n{indent}    "
        yield " .\n"


def _term(slot: Filling) -> tuple[Piece, ...]:
    match slot:
        case Names():
            return f"{slot.prefix}:", slot.values
        case Texts():
            return '"', escaped(slot.values, '"\\', escape), '"'
        case Moments():
            return '"', slot.values, '"^^xsd:dateTime'
        case Column():
            return (list(map(_object, slot.values)),)
        case _:
            return (_object(slot),)


def _object(value: Value) -> str:
    kind = type(value)
    if kind is Name:
        return str(value)
    if kind is str:
        return f'"{escape(value)}"'  # type: ignore[arg-type]
    if kind is Moment:
        return f'"{value}"^^xsd:dateTime'
    if kind is Day:
        return f'"{value}"^^xsd:date'
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    return f'"{double_text(value)}"^^xsd:double'  # type: ignore[arg-type]
