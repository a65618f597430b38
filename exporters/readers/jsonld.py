"""Read PROV-JSONLD.

Its contexts are known by heart: the form fixes what each key means, and prefixes stand in the document itself. An address that
stands for another context is refused, and nothing is ever fetched.

References:
    PROV-JSONLD, https://www.w3.org/submissions/2024/SUBM-prov-jsonld-20240825/
"""

from __future__ import annotations

from typing import Any, Final

from lineagelog.domain.errors import MalformedDocumentError
from lineagelog.exporters.readers.document import KINDS, PROV, SUBTYPES, Document, Names, Statement, combine
from lineagelog.exporters.readers.json import Pairs, parse

CONTEXTS: Final = frozenset(
    {
        "http://openprovenance.org/prov-jsonld.json",
        "https://openprovenance.org/prov-jsonld.json",
        "http://openprovenance.org/prov-jsonld/context.json",
        "https://openprovenance.org/prov-jsonld/context.json",
        "http://openprovenance.org/prov-jsonld/context.jsonld",
        "https://openprovenance.org/prov-jsonld/context.jsonld",
        "http://www.w3.org/ns/prov.jsonld",
        "https://www.w3.org/ns/prov.jsonld",
    }
)
"""Addresses under which the context of PROV-JSONLD is published."""

_KINDS: Final = {
    "Entity": "entity",
    "Activity": "activity",
    "Agent": "agent",
    "Generation": "wasGeneratedBy",
    "Usage": "used",
    "Communication": "wasInformedBy",
    "Start": "wasStartedBy",
    "End": "wasEndedBy",
    "Invalidation": "wasInvalidatedBy",
    "Derivation": "wasDerivedFrom",
    "Attribution": "wasAttributedTo",
    "Association": "wasAssociatedWith",
    "Delegation": "actedOnBehalfOf",
    "Influence": "wasInfluencedBy",
    "Specialization": "specializationOf",
    "Alternate": "alternateOf",
    "Membership": "hadMember",
    "Mention": "mentionOf",
} | SUBTYPES
"""Kind of statement for each class."""


def read_jsonld(text: str, document: Document) -> None:
    """Read a document.

    Args:
        text: The file.
        document: Where its statements go.

    Raises:
        MalformedDocumentError: It is not PROV-JSONLD, or refers to a context that would have to be fetched.
    """
    root = parse(text)
    if not isinstance(root, tuple):
        raise MalformedDocumentError("not PROV-JSONLD: the document is not a JSON object")
    _read_graph(dict(root), Names(), None, document)


def _read_graph(node: dict[str, Any], outer: Names, bundle: str | None, document: Document) -> None:
    names = Names(outer)
    _declare(node.get("@context"), names, document)
    graph = node.get("@graph")
    if not isinstance(graph, list):
        raise MalformedDocumentError("not PROV-JSONLD: @graph is missing or no list")
    for item in graph:
        if not isinstance(item, tuple):
            raise MalformedDocumentError("not PROV-JSONLD: @graph holds something that is not an object")
        _read_node(item, names, bundle, document)


def _declare(context: Any, names: Names, document: Document) -> None:
    for part in context if isinstance(context, list) else [context]:
        if isinstance(part, str):
            if part not in CONTEXTS:
                raise MalformedDocumentError(
                    f"the context {part} would have to be fetched, which is refused; write it into the document"
                )
        elif isinstance(part, tuple):
            for prefix, iri in part:
                # Only prefixes are taken; how terms are written is fixed by the form.
                if isinstance(iri, str) and (iri.endswith(("#", "/", ":", "=")) or prefix == "@base"):
                    names.declare("" if prefix in ("@vocab", "@base") else prefix, iri)
                    document.prefixes.setdefault(prefix, iri)


def _read_node(item: Pairs, names: Names, bundle: str | None, document: Document) -> None:
    node = dict(item)
    classes = [_class(one) for one in _listed(node.get("@type"))]
    if "Bundle" in classes and "@graph" in node:
        if bundle is not None:
            raise MalformedDocumentError("a bundle must not stand within another")
        inner = Names(names)
        _declare(node.get("@context"), inner, document)
        name = names.with_missing(inner).resolve(_identifier(node.get("@id")))
        document.bundles.setdefault(name, [])
        _read_graph(node, names, name, document)
        return
    kinds = [one for one in classes if one in _KINDS]
    if not kinds:
        document.note(f"passed over nodes of the type {', '.join(map(str, _listed(node.get('@type')))) or 'none'}")
        return
    kind = KINDS[_KINDS[kinds[0]]]
    types = [PROV + one for one in kinds if one in SUBTYPES]
    for key in ("type", "prov:type"):
        types += [names.resolve(one) for one in _listed(node.get(key)) if isinstance(one, str) and ":" in one]
    id_ = names.resolve(_identifier(node["@id"])) if "@id" in node and kind.has_id else None
    values = (
        tuple(
            _value(one, names, parameter.role == "time")
            for key in (parameter.name, f"prov:{parameter.name}")
            for one in _listed(node.get(key))
        )
        for parameter in kind.parameters
    )
    for arguments in combine(values):
        document.add(bundle, Statement(kind.keyword, id_, arguments, tuple(types)))


def _class(name: Any) -> str | None:
    if not isinstance(name, str):
        return None
    for start in ("prov:", PROV, "provext:"):
        if name.startswith(start):
            return name[len(start) :]
    return name if name in _KINDS else None


def _value(value: Any, names: Names, is_time: bool) -> str:
    if isinstance(value, tuple):
        value = dict(value).get("@value" if is_time else "@id")
    if not isinstance(value, str):
        raise MalformedDocumentError(f"not PROV-JSONLD: a {'time' if is_time else 'name'} is expected, not {value!r}")
    return value if is_time else names.resolve(value)


def _identifier(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise MalformedDocumentError("not PROV-JSONLD: @id is missing or no text")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
