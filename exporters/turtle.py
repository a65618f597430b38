"""Write statements as Turtle and TriG, for people to read: prefixes, one paragraph a subject.

TriG has the bundle as a named graph. Turtle has no graphs: what the bundle holds stands beside what describes it.

References:
    RDF 1.1 Turtle, https://www.w3.org/TR/turtle/; RDF 1.1 TriG, https://www.w3.org/TR/trig/
"""

from __future__ import annotations

from collections.abc import Iterator

from lineagelog.exporters.mapping import Export
from lineagelog.exporters.rdf import RDF_TYPE, Description, describe, escape
from lineagelog.exporters.statement import Bundle, Day, Moment, Name, Value
from lineagelog.exporters.xsd import double_text


def write_trig(export: Export) -> Iterator[str]:
    """Hand out the text, one statement at a time."""
    return _write(export, graphs=True)


def write_turtle(export: Export) -> Iterator[str]:
    """Hand out the text, one statement at a time."""
    return _write(export, graphs=False)


def _write(export: Export, *, graphs: bool) -> Iterator[str]:
    for prefix, iri in export.prefixes.items():
        yield f"@prefix {prefix}: <{iri}> .\n"
    indent = ""
    for statement in export.statements:
        if isinstance(statement, Bundle):
            if graphs:
                yield f"\nGRAPH {export.bundle} {{\n"
                indent = "    "
            continue
        for description in describe(statement):
            if description[1]:
                yield _paragraph(description, indent)
    if graphs:
        yield "}\n"


def _paragraph(description: Description, indent: str) -> str:
    subject, pairs = description
    lines = [f"{'a' if predicate is RDF_TYPE else predicate} {_object(value)}" for predicate, value in pairs]
    if len(lines) == 1:
        return f"{indent}{subject} {lines[0]} .\n"
    separator = f" ;\n{indent}    "
    return f"\n{indent}{subject} {separator.join(lines)} .\n"


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
