"""Read PROV-JSON.

A key may stand twice in an object, which JSON parsers in general answer by dropping all but the last. Nothing is dropped here:
a second object under the same key adds its records, and a second record under one name is a second statement of that name.

References:
    PROV-JSON, https://www.w3.org/submissions/prov-json/
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

from lineagelog.domain.errors import MalformedDocumentError
from lineagelog.exporters.readers.document import KINDS, PROV, Document, Names, Statement, combine

Pairs: TypeAlias = tuple[tuple[str, Any], ...]
"""A JSON object with every pair as it stands."""

_EXTENSIONS: Final = frozenset(
    {"hadDictionaryMember", "derivedByInsertionFrom", "derivedByRemovalFrom", "prov:hadDictionaryMember"}
)
"""Statements of PROV-DICTIONARY, which PROV-CONSTRAINTS says nothing of."""

_PARAMETERS: Final = {name: {one.name: one for one in kind.parameters} for name, kind in KINDS.items()}
_NAME_TYPES: Final = frozenset({"QName", "QUALIFIED_NAME"})


def parse(text: str) -> Any:
    """Parse JSON, every object as pairs.

    Raises:
        MalformedDocumentError: It is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=tuple)
    except json.JSONDecodeError as exc:
        raise MalformedDocumentError(f"line {exc.lineno}: not JSON: {exc.msg}") from exc
    except RecursionError as exc:
        raise MalformedDocumentError("not PROV: the JSON is nested too deeply") from exc


def read_json(text: str, document: Document) -> None:
    """Read a document.

    Args:
        text: The file.
        document: Where its statements go.

    Raises:
        MalformedDocumentError: It is not JSON, or not PROV-JSON.
    """
    root = _object(parse(text), "a PROV-JSON document")
    _read(root, _declared(root, Names(), document), None, document)


def _read(pairs: Pairs, names: Names, bundle: str | None, document: Document) -> None:
    for key, value in pairs:
        if key == "bundle":
            if bundle is not None:
                raise MalformedDocumentError("a bundle must not stand within another")
            for name, content in _object(value, "bundle"):
                body = _object(content, f"bundle {name!r}")
                inner = _declared(body, names, document)
                _read(body, inner, names.with_missing(inner).resolve(name), document)
        elif key in KINDS:
            for name, content in _object(value, key):
                for record in content if _is_list(content) else (content,):
                    _add(key, name, _object(record, f"{key} {name!r}"), names, bundle, document)
        elif key in _EXTENSIONS:
            document.note(f"passed over {key}, which PROV-DM does not define")
        elif key not in ("prefix", "@id"):
            raise MalformedDocumentError(f"{key!r} is no kind of statement of PROV-JSON")
    if bundle is not None:
        document.bundles.setdefault(bundle, [])


def _declared(pairs: Pairs, outer: Names, document: Document) -> Names:
    names = Names(outer)
    for key, value in pairs:
        if key != "prefix":
            continue
        for prefix, iri in _object(value, "prefix"):
            if not isinstance(iri, str):
                raise MalformedDocumentError(f"the prefix {prefix!r} stands for {_kind(iri)}, not for an IRI")
            names.declare("" if prefix == "default" else prefix, iri)
            document.prefixes.setdefault("" if prefix == "default" else prefix, iri)
    return names


def _add(kind_name: str, name: str, record: Pairs, names: Names, bundle: str | None, document: Document) -> None:
    kind = KINDS[kind_name]
    # A blank name under which one relation stands is PROV-JSON's way to give it none.
    id_ = names.resolve(name) if kind.has_id else None
    values: dict[str, tuple[str | None, ...]] = {}
    types: list[str] = []
    for key, value in record:
        _check_literals(value, f"{kind_name} {name!r}", key)
        part = _local(key, names)
        if part == "type":
            types += _types(value, names)
        elif part is not None:
            parameter = _PARAMETERS[kind_name].get(part)
            if parameter is not None:
                found = tuple(
                    _text(one, f"{kind_name} {name!r}", key, names, parameter.role == "time")
                    for one in (value if _is_list(value) else (value,))
                )
                values[part] = values.get(part, ()) + found
    for arguments in combine(values.get(parameter.name, ()) for parameter in kind.parameters):
        document.add(bundle, Statement(kind_name, id_, arguments, tuple(types)))


def _check_literals(value: Any, where: str, key: str) -> None:
    for one in value if _is_list(value) else (value,):
        if isinstance(one, tuple) and not isinstance(dict(one).get("$"), str | int | float):
            raise MalformedDocumentError(f"{key} of {where} is an object without a value under `$`")


def _local(key: str, names: Names) -> str | None:
    """Return the name of a part of PROV, `None` for an attribute."""
    if key.startswith("prov:"):
        return key[5:]
    prefix = key.partition(":")[0]
    iri = names.prefixes.get(prefix, "")
    return key.partition(":")[2] if iri == PROV else None


def _text(value: Any, where: str, key: str, names: Names, is_time: bool) -> str:
    if not _is_list(value) and isinstance(value, tuple):
        value = dict(value).get("$")
    if not isinstance(value, str):
        raise MalformedDocumentError(f"{key} of {where} is {_kind(value)}, not a {'time' if is_time else 'name'}")
    return value if is_time else names.resolve(value)


def _types(value: Any, names: Names) -> list[str]:
    found = []
    for one in value if _is_list(value) else (value,):
        if isinstance(one, tuple):
            typed = dict(one)
            if str(typed.get("type", "")).partition(":")[2] in _NAME_TYPES and isinstance(typed.get("$"), str):
                found.append(names.resolve(typed["$"]))
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _object(value: Any, what: str) -> Pairs:
    # An object without members is an empty tuple as well.
    if isinstance(value, tuple):
        return value
    raise MalformedDocumentError(f"{what} is {_kind(value)}, not a JSON object")


def _kind(value: Any) -> str:
    for type_, name in (
        (str, "a text"),
        (bool, "a truth value"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
    ):
        if isinstance(value, type_):
            return name
    return "null" if value is None else "an object"
