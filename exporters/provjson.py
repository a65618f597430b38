"""Write statements as PROV-JSON: one object for each kind of statement, from names to their parts.

References:
    PROV-JSON, https://www.w3.org/submissions/prov-json/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from lineagelog.exporters.mapping import Export
from lineagelog.exporters.statement import Attributes, Bundle, Day, Moment, Name, Statement, Value
from lineagelog.exporters.xsd import double_text, integer_type

_BUILT_IN: Final = ("prov", "xsd")
_json: Final = msgspec.json.Encoder()


def write_provjson(export: Export) -> Iterator[str]:
    """Hand out the text, one statement at a time."""
    prefixes = {prefix: iri for prefix, iri in export.prefixes.items() if prefix not in _BUILT_IN}
    yield f'{{\n"prefix": {_text_of(prefixes)}'
    keyword, n_unnamed = "prefix", 0
    for statement in export.statements:
        if isinstance(statement, Bundle):
            yield f'\n}},\n"bundle": {{\n"{export.bundle}": {{'
            keyword = ""
            continue
        # A key may stand once in an object, so each kind of statement comes in one piece.
        if statement.keyword == keyword:
            yield ",\n"
        else:
            yield f'{_SEPARATORS.get(keyword, "},")}\n"{statement.keyword}": {{\n'
            keyword = statement.keyword
        if statement.id is None:
            n_unnamed += 1
            yield f'"_:{n_unnamed}": {_body(statement)}'
        else:
            yield f'"{statement.id}": {_body(statement)}'
    yield f"{_ENDS.get(keyword, '}')}\n}}\n}}\n}}\n"


_SEPARATORS: Final = {"": "", "prefix": ","}
_ENDS: Final = {"": ""}


def _body(statement: Statement) -> str:
    parts = []
    for field, term in statement.formal:
        value = getattr(statement, field)
        if value is not None:
            parts.append(f'"prov:{term}": "{value}"')
    attributes: Attributes = statement.attributes  # type: ignore[attr-defined]
    if not attributes:
        return f"{{{', '.join(parts)}}}"
    if len(attributes) == 1 or len(dict(attributes)) == len(attributes):
        parts += [f'"{name}": {_value(value)}' for name, value in attributes]
    else:
        names = [name for name, _ in attributes]
        for name in dict.fromkeys(names):
            texts = [_value(value) for other, value in attributes if other == name]
            parts.append(f'"{name}": {texts[0]}' if len(texts) == 1 else f'"{name}": [{", ".join(texts)}]')
    return f"{{{', '.join(parts)}}}"


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
