"""PROV statements as RDF: subjects with their predicates and objects, by PROV-O.

Each relation is written twice: as a direct property, so that `?run prov:used ?artifact` finds it, and as a qualified node,
which holds time, role and the rest. No blank nodes: qualified nodes are named by the log's positions and the records' uids.

References:
    PROV-O, https://www.w3.org/TR/prov-o/, section 3.3 for the qualified terms
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Filling
from lineagelog.exporters.formats.xsd import double_text
from lineagelog.exporters.statement import (
    Activity,
    Agent,
    Association,
    Attribution,
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
    Statement,
    Usage,
    Value,
)

Pairs: TypeAlias = list[tuple[Name, Filling]]
Description: TypeAlias = tuple[Filling, Pairs]
"""A subject with its predicates and objects."""

RDF_TYPE: Final = Name("rdf:type")

_PREDICATES: Final = {
    v.TYPE: RDF_TYPE,
    v.LABEL: Name("rdfs:label"),
    v.LOCATION: Name("prov:atLocation"),
    v.ROLE: Name("prov:hadRole"),
}
"""Attributes of PROV-DM that PROV-O calls otherwise."""

_ELEMENTS: Final[dict[type[Statement], Name]] = {
    Entity: Name("prov:Entity"),
    Activity: Name("prov:Activity"),
    Agent: Name("prov:Agent"),
}
_STARTED: Final = Name("prov:startedAtTime")
_ENDED: Final = Name("prov:endedAtTime")
_REVISION_OF: Final = Name("prov:wasRevisionOf")
_INSTANTS: Final[dict[type[Statement], Name]] = {
    Generation: Name("prov:generatedAtTime"),
    Invalidation: Name("prov:invalidatedAtTime"),
}
"""Properties of the entity itself that hold the time of what happened to it."""


@dataclass(frozen=True, slots=True)
class _Relation:
    """How PROV-O writes a relation.

    Attributes:
        subject: Field of the statement that the direct property starts from.
        object: Field it leads to.
        direct: The direct property.
        qualified: Property from the subject to the qualified node.
        type: Class of the qualified node.
        parts: Fields that the qualified node holds, with their properties.
    """

    subject: str
    object: str
    direct: Name
    qualified: Name | None = None
    type: Name | None = None
    parts: tuple[tuple[str, Name], ...] = ()


_AT: Final = Name("prov:atTime")

RELATIONS: Final[dict[type[Statement], _Relation]] = {
    Generation: _Relation(
        "entity", "activity", Name("prov:wasGeneratedBy"), Name("prov:qualifiedGeneration"), Name("prov:Generation"),
        (("activity", Name("prov:activity")), ("time", _AT)),
    ),
    Invalidation: _Relation(
        "entity", "activity", Name("prov:wasInvalidatedBy"), Name("prov:qualifiedInvalidation"), Name("prov:Invalidation"),
        (("activity", Name("prov:activity")), ("time", _AT)),
    ),
    Usage: _Relation(
        "activity", "entity", Name("prov:used"), Name("prov:qualifiedUsage"), Name("prov:Usage"),
        (("entity", Name("prov:entity")), ("time", _AT)),
    ),
    Communication: _Relation("informed", "informant", Name("prov:wasInformedBy")),
    Association: _Relation(
        "activity", "agent", Name("prov:wasAssociatedWith"), Name("prov:qualifiedAssociation"), Name("prov:Association"),
        (("agent", Name("prov:agent")), ("plan", Name("prov:hadPlan"))),
    ),
    Delegation: _Relation(
        "delegate", "responsible", Name("prov:actedOnBehalfOf"), Name("prov:qualifiedDelegation"), Name("prov:Delegation"),
        (("responsible", Name("prov:agent")), ("activity", Name("prov:hadActivity"))),
    ),
    Attribution: _Relation("entity", "agent", Name("prov:wasAttributedTo")),
    Derivation: _Relation(
        "generated_entity", "used_entity", Name("prov:wasDerivedFrom"), Name("prov:qualifiedDerivation"), Name("prov:Derivation"),
        (
            ("used_entity", Name("prov:entity")),
            ("activity", Name("prov:hadActivity")),
            ("generation", Name("prov:hadGeneration")),
            ("usage", Name("prov:hadUsage")),
        ),
    ),
    Specialization: _Relation("specific_entity", "general_entity", Name("prov:specializationOf")),
    Membership: _Relation("collection", "entity", Name("prov:hadMember")),
}  # fmt: skip


def describe(block: Block) -> Iterator[Description]:
    """Write statements that have the same slots as RDF, one subject of each at a time."""
    relation = RELATIONS.get(block.kind)
    if relation is None:
        yield _element(block)
        return
    slots = {field: slot for (field, _), slot in zip(block.kind.formal, block.formal, strict=True) if slot is not None}
    subject, target = slots[relation.subject], slots.get(relation.object)
    pairs: Pairs = [] if target is None else [(relation.direct, target)]
    if block.kind in _INSTANTS and "time" in slots:
        pairs.append((_INSTANTS[block.kind], slots["time"]))
    if block.id is None or relation.qualified is None:
        # Of the relations without a name only revisions say more than that they hold; that is a property of its own.
        if block.attributes and block.attributes[0] == (v.TYPE, v.REVISION) and target is not None:
            pairs.append((_REVISION_OF, target))
        yield subject, pairs
        return
    pairs.append((relation.qualified, block.id))
    yield subject, pairs
    node: Pairs = [(RDF_TYPE, relation.type)] if relation.type else []
    node += [(predicate, slots[field]) for field, predicate in relation.parts if field in slots]
    node += [(_PREDICATES.get(name, name), slot) for name, slot in block.attributes]
    yield block.id, node


def literal(value: Value) -> str:
    """Write a literal in the form that Turtle and N-Quads share; the datatype is a full IRI."""
    kind = type(value)
    if kind is str:
        return f'"{escape(value)}"'  # type: ignore[arg-type]
    if kind is Moment:
        return f'"{value}"^^<{_XSD}dateTime>'
    if kind is Day:
        return f'"{value}"^^<{_XSD}date>'
    if kind is bool:
        return f'"{"true" if value else "false"}"^^<{_XSD}boolean>'
    if kind is int:
        return f'"{value}"^^<{_XSD}integer>'
    return f'"{double_text(value)}"^^<{_XSD}double>'  # type: ignore[arg-type]


def escape(text: str) -> str:
    """Escape a text for a quoted literal (N-Quads 2.4, Turtle 2.5.1); control characters become `\\uXXXX`."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.translate(_ESCAPES)


_XSD: Final = v.NAMESPACES["xsd"]
_ESCAPES: Final = {code: f"\\u{code:04X}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF)} | {
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}


def _element(block: Block) -> Description:
    assert block.id is not None
    pairs: Pairs = [(RDF_TYPE, _ELEMENTS[block.kind])]
    pairs += [(when, slot) for when, slot in zip((_STARTED, _ENDED), block.formal, strict=False) if slot is not None]
    pairs += [(_PREDICATES.get(name, name), slot) for name, slot in block.attributes]
    return block.id, pairs
