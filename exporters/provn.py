"""Write statements as PROV-N, the notation of the PROV standard, one statement a line.

References:
    PROV-N, https://www.w3.org/TR/prov-n/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lineagelog.exporters.mapping import Export
from lineagelog.exporters.statement import Bundle, Day, Moment, Name, Statement, Value
from lineagelog.exporters.xsd import double_text, integer_type

_BUILT_IN: Final = ("prov", "xsd")
_ESCAPES: Final = {
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("\b"): "\\b",
    ord("\f"): "\\f",
}


def write_provn(export: Export) -> Iterator[str]:
    """Hand out the text, one statement at a time."""
    yield "document\n"
    for prefix, iri in export.prefixes.items():
        # PROV-N 3.7.1: `prov` and `xsd` are there already and must not be declared.
        if prefix not in _BUILT_IN:
            yield f"  prefix {prefix} <{iri}>\n"
    yield "\n"
    indent = "  "
    for statement in export.statements:
        if isinstance(statement, Bundle):
            yield f"  bundle {export.bundle}\n"
            indent = "    "
        else:
            yield f"{indent}{_statement(statement)}\n"
    yield "  endBundle\nendDocument\n"


def _statement(statement: Statement) -> str:
    parts = [getattr(statement, field) or "-" for field, _ in statement.formal]
    attributes = statement.attributes  # type: ignore[attr-defined]
    if attributes:
        parts.append(f"[{', '.join([f'{name}={_value(value)}' for name, value in attributes])}]")
    arguments = ", ".join(parts)
    if statement.id is None:
        return f"{statement.keyword}({arguments})"
    # Elements are named first among their parts, relations before a semicolon (PROV-N 3.1).
    if statement.keyword in _ELEMENTS:
        return f"{statement.keyword}({statement.id}{', ' if arguments else ''}{arguments})"
    return f"{statement.keyword}({statement.id}; {arguments})"


_ELEMENTS: Final = frozenset({"entity", "activity", "agent"})


def _value(value: Value) -> str:
    kind = type(value)
    if kind is str:
        return f'"{value.translate(_ESCAPES)}"'  # type: ignore[union-attr]
    if kind is Name:
        return f"'{value}'"
    if kind is Moment:
        return f'"{value}" %% xsd:dateTime'
    if kind is Day:
        return f'"{value}" %% xsd:date'
    if kind is bool:
        return f'"{"true" if value else "false"}" %% xsd:boolean'
    if kind is int:
        type_ = integer_type(value)  # type: ignore[arg-type]
        return str(value) if type_ == "xsd:int" else f'"{value}" %% {type_}'
    return f'"{double_text(value)}" %% xsd:double'  # type: ignore[arg-type]
