"""Write statements as PROV-N, the notation of the PROV standard, one statement a line.

References:
    PROV-N, https://www.w3.org/TR/prov-n/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lineagelog.exporters.block import Block, Column, Filling, Moments, Names, Piece, Slot, Texts, escaped, texts
from lineagelog.exporters.formats.xsd import double_text, integer_type
from lineagelog.exporters.mapping.stream import Export
from lineagelog.exporters.statement import Bundle, Day, Moment, Name, Value

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
    """Hand out the text, one block of statements at a time."""
    yield "document\n"
    for prefix, iri in export.prefixes.items():
        # PROV-N 3.7.1: `prov` and `xsd` are there already and must not be declared.
        if prefix not in _BUILT_IN:
            yield f"  prefix {prefix} <{iri}>\n"
    yield "\n"
    indent = "  "
    for block in export.blocks:
        if block.kind is Bundle:
            yield f"  bundle {export.bundle}\n"
            indent = "    "
        else:
            separator = f"\n{indent}"
            yield f"{indent}{separator.join(texts(block, _statement))}\n"
    yield "  endBundle\nendDocument\n"


def _statement(block: Block) -> Iterator[Piece]:
    keyword = block.kind.keyword
    yield f"{keyword}("
    separator = ""
    if block.id is not None:
        yield from _name(block.id)
        # Elements are named first among their parts, relations before a semicolon (PROV-N 3.1).
        separator = ", " if keyword in _ELEMENTS else "; "
    for slot in block.formal:
        yield separator
        yield from ("-",) if slot is None else _name(slot)
        separator = ", "
    if block.attributes:
        yield f"{separator}["
        for number, (name, slot) in enumerate(block.attributes):
            yield f"{', ' if number else ''}{name}="
            yield from _attribute(slot)
        yield "]"
    yield ")"


_ELEMENTS: Final = frozenset({"entity", "activity", "agent"})


def _name(slot: Slot) -> tuple[Piece, ...]:
    """Write names, or moments, as positional parts."""
    if isinstance(slot, Names):
        return f"{slot.prefix}:", slot.values
    return (slot.values if isinstance(slot, Column) else str(slot),)


def _attribute(slot: Filling) -> tuple[Piece, ...]:
    match slot:
        case Names():
            return f"'{slot.prefix}:", slot.values, "'"
        case Texts():
            return '"', escaped(slot.values, '"\\', lambda text: text.translate(_ESCAPES)), '"'
        case Moments():
            return '"', slot.values, '" %% xsd:dateTime'
        case Column():
            return (list(map(_value, slot.values)),)
        case _:
            return (_value(slot),)


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
