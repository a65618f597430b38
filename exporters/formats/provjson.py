"""Write statements as PROV-JSON: one object for each kind of statement, from names to their parts.

References:
    PROV-JSON, https://www.w3.org/submissions/prov-json/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import msgspec

from lineagelog.exporters.block import Block, Column, Filling, Moments, Names, Piece, Slot, Texts, escaped, texts
from lineagelog.exporters.formats.xsd import double_text, integer_type
from lineagelog.exporters.mapping.stream import Export
from lineagelog.exporters.statement import Bundle, Day, Moment, Name, Value

_BUILT_IN: Final = ("prov", "xsd")
_json: Final = msgspec.json.Encoder()


def write_provjson(export: Export) -> Iterator[str]:
    """Hand out the text, one block of statements at a time."""
    prefixes = {prefix: iri for prefix, iri in export.prefixes.items() if prefix not in _BUILT_IN}
    yield f'{{\n"prefix": {_text_of(prefixes)}'
    keyword, n_unnamed = "prefix", 0
    for block in export.blocks:
        if block.kind is Bundle:
            yield f'\n}},\n"bundle": {{\n"{export.bundle}": {{'
            keyword = ""
            continue
        # A key may stand once in an object, so each kind of statement comes in one piece.
        if block.kind.keyword == keyword:
            yield ",\n"
        else:
            yield f'{_SEPARATORS.get(keyword, "},")}\n"{block.kind.keyword}": {{\n'
            keyword = block.kind.keyword
        if block.id is None:
            numbers = range(n_unnamed + 1, n_unnamed + block.size + 1)
            block = replace(block, id=Names(list(map(str, numbers)), "_"))
            n_unnamed += len(numbers)
        yield ",\n".join(texts(block, _statement))
    yield f"{_ENDS.get(keyword, '}')}\n}}\n}}\n}}\n"


_SEPARATORS: Final = {"": "", "prefix": ","}
_ENDS: Final = {"": ""}


def _statement(block: Block) -> Iterator[Piece]:
    yield from _name(block.id)
    yield ": {"
    separator = ""
    for (_, term), slot in zip(block.kind.formal, block.formal, strict=True):
        if slot is not None:
            yield f'{separator}"prov:{term}": '
            yield from _name(slot)
            separator = ", "
    slots: dict[Name, list[Filling]] = {}
    for name, slot in block.attributes:
        slots.setdefault(name, []).append(slot)
    for name, several in slots.items():
        yield f'{separator}"{name}": {"[" if len(several) > 1 else ""}'
        for number, slot in enumerate(several):
            yield ", " if number else ""
            yield from _attribute(slot)
        yield "]" if len(several) > 1 else ""
        separator = ", "
    yield "}"


def _name(slot: Slot) -> tuple[Piece, ...]:
    """Write names, or moments, as keys and positional parts."""
    if isinstance(slot, Names):
        return f'"{slot.prefix}:', slot.values, '"'
    return '"', slot.values if isinstance(slot, Column) else str(slot), '"'


def _attribute(slot: Filling) -> tuple[Piece, ...]:
    match slot:
        case Names():
            return f'{{"$": "{slot.prefix}:', slot.values, '", "type": "xsd:QName"}'
        case Texts():
            return '"', escaped(slot.values, '"\\', lambda text: _text_of(text)[1:-1]), '"'
        case Moments():
            return '{"$": "', slot.values, '", "type": "xsd:dateTime"}'
        case Column():
            return (list(map(_value, slot.values)),)
        case _:
            return (_value(slot),)


def _value(value: Value) -> str:
    kind = type(value)
    if kind is str:
        return _text_of(value)
    if kind is Name:
        return f'{{"$": "{value}", "type": "xsd:QName"}}'
    if kind is Moment:
        return f'{{"$": "{value}", "type": "xsd:dateTime"}}'
    if kind is Day:
        return f'{{"$": "{value}", "type": "xsd:date"}}'
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        # As text with its type: a JSON number would not say which integer it is, nor survive beyond 53 bits.
        return f'{{"$": "{value}", "type": "{integer_type(value)}"}}'  # type: ignore[arg-type]
    return f'{{"$": "{double_text(value)}", "type": "xsd:double"}}'  # type: ignore[arg-type]


def _text_of(value: object) -> str:
    return _json.encode(value).decode()
