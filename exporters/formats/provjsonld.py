"""Write statements as PROV-JSONLD: one object a statement, in a graph whose context stands in the document itself.

A JSON-LD processor reads it as RDF without fetching anything; the qualified nodes are those of the other RDF formats.

References:
    PROV-JSONLD, https://www.w3.org/submissions/2024/SUBM-prov-jsonld-20240825/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Filling, Moments, Names, Piece, Slot, Texts, escaped, texts
from lineagelog.exporters.formats.xsd import double_text, integer_type
from lineagelog.exporters.mapping.stream import Export
from lineagelog.exporters.statement import (
    Activity,
    Agent,
    Association,
    Attribution,
    Bundle,
    Communication,
    Day,
    Delegation,
    Derivation,
    Entity,
    Generation,
    Invalidation,
    Membership,
    Moment,
    Name,
    Specialization,
    Usage,
    Value,
)

_json: Final = msgspec.json.Encoder()
Context: TypeAlias = dict[str, "str | float | Context"]

_KEYS: Final = {v.TYPE: "type", v.LABEL: "label", v.LOCATION: "location", v.ROLE: "role"}
"""Attributes of PROV that have terms of their own."""

_PLURALS: Final = {"label": "labels", "role": "roles", "usage": "usages", "generation": "generations"}
"""Prefixes that would be terms of the context as well, and what they are called here; the IRIs are the same."""

_NAMING: Final = frozenset({v.TYPE, v.LOCATION, v.ROLE})
"""Attributes whose values are names by the context, and written as such."""


def _name(iri: str) -> Context:
    return {"@id": iri, "@type": "@id"}


def _time(iri: str) -> Context:
    return {"@id": iri, "@type": "xsd:dateTime"}


def _back(iri: str) -> Context:
    return {"@reverse": iri, "@type": "@id"}


def _class(iri: str, **terms: Context) -> Context:
    return {"@id": iri, "@context": dict(terms)}


CONTEXT: Final[Context] = {
    "@version": 1.1,
    "prov": v.NAMESPACES["prov"],
    "provext": "https://openprovenance.org/ns/provext#",
    "xsd": v.NAMESPACES["xsd"],
    "rdf": v.NAMESPACES["rdf"],
    "rdfs": v.NAMESPACES["rdfs"],
    "type": _name("rdf:type"),
    "label": {"@id": "rdfs:label"},
    "location": _name("prov:atLocation"),
    "role": _name("prov:hadRole"),
    "entity": _name("prov:entity"),
    "activity": _name("prov:activity"),
    "agent": _name("prov:agent"),
    "Entity": _class("prov:Entity"),
    "Activity": _class(
        "prov:Activity", startTime=_time("prov:startedAtTime"), endTime=_time("prov:endedAtTime")
    ),
    "Agent": _class("prov:Agent"),
    "Generation": _class("prov:Generation", entity=_back("prov:qualifiedGeneration"), time=_time("prov:atTime")),
    "Invalidation": _class("prov:Invalidation", entity=_back("prov:qualifiedInvalidation"), time=_time("prov:atTime")),
    "Usage": _class("prov:Usage", activity=_back("prov:qualifiedUsage"), time=_time("prov:atTime")),
    "Communication": _class(
        "prov:Communication", informed=_back("prov:qualifiedCommunication"), informant=_name("prov:activity")
    ),
    "Association": _class(
        "prov:Association", activity=_back("prov:qualifiedAssociation"), plan=_name("prov:hadPlan")
    ),
    "Delegation": _class(
        "prov:Delegation", delegate=_back("prov:qualifiedDelegation"), responsible=_name("prov:agent"),
        activity=_name("prov:hadActivity"),
    ),
    "Attribution": _class("prov:Attribution", entity=_back("prov:qualifiedAttribution")),
    "Derivation": _class(
        "prov:Derivation", generatedEntity=_back("prov:qualifiedDerivation"), usedEntity=_name("prov:entity"),
        activity=_name("prov:hadActivity"), generation=_name("prov:hadGeneration"), usage=_name("prov:hadUsage"),
    ),
    "Specialization": _class(
        "provext:Specialization", specificEntity=_back("provext:qualifiedSpecialization"),
        generalEntity=_name("provext:generalEntity"),
    ),
    "Membership": _class(
        "provext:Membership", collection=_back("provext:qualifiedMembership"), entity=_name("provext:member")
    ),
}  # fmt: skip
"""What the terms mean: the context that the submission publishes, as far as exports use it."""

_BUILT_IN: Final = ("prov", "xsd", "rdf", "rdfs")
_TIMES: Final = frozenset({"startTime", "endTime", "time"})
_CLASSES: Final = {
    Entity: "Entity",
    Activity: "Activity",
    Agent: "Agent",
    Generation: "Generation",
    Invalidation: "Invalidation",
    Usage: "Usage",
    Communication: "Communication",
    Association: "Association",
    Delegation: "Delegation",
    Attribution: "Attribution",
    Derivation: "Derivation",
    Specialization: "Specialization",
    Membership: "Membership",
}


def write_provjsonld(export: Export) -> Iterator[str]:
    """Hand out the text, one block of statements at a time."""
    prefixes = {_PLURALS.get(prefix, prefix): iri for prefix, iri in export.prefixes.items() if prefix not in _BUILT_IN}
    yield f'{{\n"@context": [\n{_text_of(prefixes)},\n{_text_of(CONTEXT)}\n],\n"@graph": [\n'
    separator = ""
    for block in export.blocks:
        if block.kind is Bundle:
            # The prefixes and terms of the document hold in the bundle too.
            yield f'{separator}{{"@type": "Bundle", "@id": "{_name_of(export.bundle)}", "@context": [], "@graph": [\n'
            separator = ""
            continue
        yield separator + ",\n".join(texts(block, _node))
        separator = ",\n"
    yield "\n]}\n]\n}\n"


def _node(block: Block) -> Iterator[Piece]:
    yield f'{{"@type": "{_CLASSES[block.kind]}"'
    if block.id is not None:
        yield ', "@id": '
        yield from _name_slot(block.id)
    for (_, term), slot in zip(block.kind.formal, block.formal, strict=True):
        if slot is not None:
            yield f', "{term}": '
            yield from _name_slot(slot)
    slots: dict[Name, list[Filling]] = {}
    for name, slot in block.attributes:
        slots.setdefault(name, []).append(slot)
    for name, several in slots.items():
        yield f', "{_KEYS.get(name, name)}": ['
        for number, slot in enumerate(several):
            yield ", " if number else ""
            yield from _attribute(name, slot)
        yield "]"
    yield "}"


def _name_slot(slot: Slot) -> tuple[Piece, ...]:
    """Write names, or moments, as the values of terms that say what they are."""
    if isinstance(slot, Names):
        return f'"{_PLURALS.get(slot.prefix, slot.prefix)}:', slot.values, '"'
    if isinstance(slot, Moments):
        return '"', slot.values, '"'
    return '"', list(map(_name_of, slot.values)) if isinstance(slot, Column) else _name_of(str(slot)), '"'


def _attribute(name: Name, slot: Filling) -> tuple[Piece, ...]:
    match slot:
        case Names() if name in _NAMING:
            return _name_slot(slot)
        case Names():
            return '{"@id": ', *_name_slot(slot), "}"
        case Texts():
            return '{"@value": "', escaped(slot.values, '"\\', lambda text: _text_of(text)[1:-1]), '"}'
        case Moments():
            return '{"@value": "', slot.values, '", "@type": "xsd:dateTime"}'
        case Column():
            return ([_value(name, value) for value in slot.values],)
        case _:
            return (_value(name, slot),)


def _value(name: Name, value: Value) -> str:
    kind = type(value)
    if kind is str:
        return f'{{"@value": {_text_of(value)}}}'
    if kind is Name:
        text = _name_of(value)  # type: ignore[arg-type]
        return f'"{text}"' if name in _NAMING else f'{{"@id": "{text}"}}'
    if kind is Moment:
        return f'{{"@value": "{value}", "@type": "xsd:dateTime"}}'
    if kind is Day:
        return f'{{"@value": "{value}", "@type": "xsd:date"}}'
    if kind is bool:
        return f'{{"@value": "{"true" if value else "false"}", "@type": "xsd:boolean"}}'
    if kind is int:
        return f'{{"@value": "{value}", "@type": "{integer_type(value)}"}}'  # type: ignore[arg-type]
    return f'{{"@value": "{double_text(value)}", "@type": "xsd:double"}}'  # type: ignore[arg-type]


def _name_of(name: str) -> str:
    prefix, _, local = name.partition(":")
    plural = _PLURALS.get(prefix)
    return name if plural is None else f"{plural}:{local}"


def _text_of(value: object) -> str:
    return _json.encode(value).decode()
