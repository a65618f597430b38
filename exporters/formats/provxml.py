"""Write statements as PROV-XML, one element a statement.

PROV-XML names things by `xsd:QName`, whose local part begins with a letter. A uid may begin with a digit, so its leading digits
become part of the namespace, which is declared where the name stands: the IRI is the same as in every other format.

References:
    PROV-XML, https://www.w3.org/TR/prov-xml/; Namespaces in XML, https://www.w3.org/TR/xml-names/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Filling, Moments, Names, Piece, Slot, Texts, escaped, texts
from lineagelog.exporters.formats.xsd import double_text, integer_type
from lineagelog.exporters.mapping.stream import Export
from lineagelog.exporters.statement import Bundle, Day, Moment, Name, Value

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_TIMES: Final = frozenset({"startTime", "endTime", "time"})
_ORDER: Final = {v.LABEL: 0, v.LOCATION: 1, v.ROLE: 2, v.TYPE: 3}
"""Place of the attributes of PROV; the schema has them in this order, and all others after them."""

_ESCAPED: Final = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def write_provxml(export: Export) -> Iterator[str]:
    """Hand out the text, one block of statements at a time."""
    # The namespace of the XML Schema types has no `#` in XML.
    prefixes = {**export.prefixes, "xsd": export.prefixes["xsd"].rstrip("#"), "xsi": _XSI}
    declared = "".join(f'\n  xmlns:{prefix}="{_quoted(iri)}"' for prefix, iri in prefixes.items())
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<prov:document{declared}>\n'
    for block in export.blocks:
        if block.kind is Bundle:
            yield f"<prov:bundleContent {_named('prov:id', export.bundle, prefixes)}>\n"
        else:
            yield "".join(texts(block, partial(_element, prefixes)))
    yield "</prov:bundleContent>\n</prov:document>\n"


def escape(text: str) -> str:
    """Escape a text for an element; characters that XML 1.0 cannot hold at all become U+FFFD (XML 1.0, 2.2)."""
    if _ESCAPED.search(text) is None:
        return text
    return _ESCAPED.sub(lambda match: _ENTITIES.get(match[0], "\ufffd"), text)


def _element(prefixes: Mapping[str, str], block: Block) -> Iterator[Piece]:
    keyword = block.kind.keyword
    yield f"<prov:{keyword}"
    if block.id is not None:
        yield from _name("prov:id", block.id, prefixes)
    separator = ">\n  "
    for (_, term), slot in zip(block.kind.formal, block.formal, strict=True):
        if slot is None:
            continue
        if term in _TIMES:
            yield f"{separator}<prov:{term}>"
            yield slot.values if isinstance(slot, Column) else str(slot)
            yield f"</prov:{term}>"
        else:
            yield f"{separator}<prov:{term}"
            yield from _name("prov:ref", slot, prefixes)
            yield "/>"
        separator = "\n  "
    for name, slot in sorted(block.attributes, key=_place):
        yield separator
        yield from _attribute(name, slot, prefixes)
        separator = "\n  "
    yield f"\n</prov:{keyword}>\n" if separator == "\n  " else "/>\n"


def _place(attribute: tuple[Name, Filling]) -> int:
    return _ORDER.get(attribute[0], len(_ORDER))


def _name(attribute: str, slot: Slot, prefixes: Mapping[str, str]) -> tuple[Piece, ...]:
    if isinstance(slot, Names) and all(local[0].isalpha() for local in slot.values):
        return f' {attribute}="{slot.prefix}:', slot.values, '"'
    if isinstance(slot, Names):
        prefix = f"{slot.prefix}:"
        begin = f'{attribute}="{prefix}'
        return " ", [
            f'{begin}{local}"' if local[0].isalpha() else _named(attribute, prefix + local, prefixes)
            for local in slot.values
        ]
    if isinstance(slot, Column):
        return " ", [_named(attribute, name, prefixes) for name in slot.values]
    return (f" {_named(attribute, str(slot), prefixes)}",)


def _attribute(name: Name, slot: Filling, prefixes: Mapping[str, str]) -> tuple[Piece, ...]:
    match slot:
        case Texts():
            return f"<{name}>", escaped(slot.values, "&<", escape), f"</{name}>"
        case Moments():
            return f'<{name} xsi:type="xsd:dateTime">', slot.values, f"</{name}>"
        case Column():
            return ([_attribute_element(name, slot.value(value), prefixes) for value in slot.values],)
        case _:
            return (_attribute_element(name, slot, prefixes),)


def _attribute_element(name: Name, value: Value, prefixes: Mapping[str, str]) -> str:
    kind = type(value)
    if kind is str:
        return f"<{name}>{escape(value)}</{name}>"  # type: ignore[arg-type]
    if kind is Name:
        text, declaration = _qname(value, prefixes)  # type: ignore[arg-type]
        return f'<{name} xsi:type="xsd:QName"{declaration}>{text}</{name}>'
    if kind is Moment:
        type_, text = "xsd:dateTime", str(value)
    elif kind is Day:
        type_, text = "xsd:date", str(value)
    elif kind is bool:
        type_, text = "xsd:boolean", "true" if value else "false"
    elif kind is int:
        type_, text = integer_type(value), str(value)  # type: ignore[arg-type]
    else:
        type_, text = "xsd:double", double_text(value)  # type: ignore[arg-type]
    return f'<{name} xsi:type="{type_}">{text}</{name}>'


def _named(attribute: str, name: str, prefixes: Mapping[str, str]) -> str:
    text, declaration = _qname(name, prefixes)
    return f'{attribute}="{text}"{declaration}'


def _qname(name: str, prefixes: Mapping[str, str]) -> tuple[str, str]:
    """Write a name, and the declaration of a namespace that it may need."""
    prefix, _, local = name.partition(":")
    if local[0].isalpha():
        return name, ""
    rest = local.lstrip("0123456789-")
    digits = local[: len(local) - len(rest)]
    own = f"{prefix}_{digits}"
    return f"{own}:{rest}", f' xmlns:{own}="{_quoted(prefixes[prefix] + digits)}"'


def _quoted(text: str) -> str:
    return escape(text).replace('"', "&quot;")
