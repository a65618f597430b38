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
from lineagelog.exporters.xsd import double_text

Pairs: TypeAlias = list[tuple[Name, Value]]
Description: TypeAlias = tuple[Name, Pairs]
"""A subject with its predicates and objects."""

RDF_TYPE: Final = Name("rdf:type")

_PREDICATES: Final = {
    v.TYPE: RDF_TYPE,
    v.LABEL: Name("rdfs:label"),
    v.LOCATION: Name("prov:atLocation"),
    v.ROLE: Name("prov:hadRole"),
}
"""Attributes of PROV-DM that PROV-O calls otherwise."""

_ELEMENTS: Final = {Entity: Name("prov:Entity"), Activity: Name("prov:Activity"), Agent: Name("prov:Agent")}
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

RELATIONS: Final = {
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


def describe(statement: Statement) -> Iterator[Description]:
    """Write a statement as RDF, one subject at a time."""
    relation = RELATIONS.get(type(statement))
    if relation is None:
        yield _element(statement)
        return
    subject, target = getattr(statement, relation.subject), getattr(statement, relation.object)
    pairs: Pairs = [] if target is None else [(relation.direct, target)]
    instant = _INSTANTS.get(type(statement))
    if instant is not None and statement.time is not None:  # type: ignore[attr-defined]
        pairs.append((instant, statement.time))  # type: ignore[attr-defined]
    attributes = statement.attributes  # type: ignore[attr-defined]
    if statement.id is None or relation.qualified is None:
        # Of the relations without a name only revisions say more than that they hold; that is a property of its own.
        if attributes and attributes[0] == (v.TYPE, v.REVISION):
            pairs.append((_REVISION_OF, target))
        yield subject, pairs
        return
    pairs.append((relation.qualified, statement.id))
    yield subject, pairs
    node: Pairs = [(RDF_TYPE, relation.type)] if relation.type else []
    for field, predicate in relation.parts:
        value = getattr(statement, field)
        if value is not None:
            node.append((predicate, value))
    if attributes:
        node += [(_PREDICATES.get(name, name), value) for name, value in attributes]
    yield statement.id, node


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


def _element(statement: Statement) -> Description:
    assert statement.id is not None
    pairs: Pairs = [(RDF_TYPE, _ELEMENTS[type(statement)])]
    if isinstance(statement, Activity):
        if statement.start is not None:
            pairs.append((_STARTED, statement.start))
        if statement.end is not None:
            pairs.append((_ENDED, statement.end))
    pairs += [(_PREDICATES.get(name, name), value) for name, value in statement.attributes]  # type: ignore[attr-defined]
    return statement.id, pairs
