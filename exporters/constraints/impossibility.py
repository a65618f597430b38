"""Typing (50) and what must not coincide (53 to 56).

References:
    PROV-CONSTRAINTS 6.3 (type constraints) and 6.4 (impossibility constraints)
"""

from __future__ import annotations

from typing import Final

from lineagelog.exporters.constraints.normal_form import Fact, Instance
from lineagelog.exporters.constraints.specialization import Entities
from lineagelog.exporters.constraints.terms import PLACEHOLDER, Term
from lineagelog.exporters.constraints.uniqueness import INFLUENCES
from lineagelog.exporters.readers.document import KINDS

_DISJOINT: Final = INFLUENCES.keys() - {"wasDerivedFrom", "wasInfluencedBy"}
"""Relations of which no two share a name (Constraint 53)."""


def check_types(instance: Instance) -> None:
    """Constraints 50 and 55: what stands where an entity must is an entity, and no entity is an activity."""
    find = instance.terms.find
    types: dict[str, dict[Term, Fact]] = {"entity": {}, "activity": {}}
    for kind, facts in instance.facts.items():
        places = [(place, part.role) for place, part in enumerate(KINDS[kind].parameters) if part.role in types]
        for fact in facts:
            if kind in types:
                types[kind].setdefault(find(fact.id), fact)
            for place, role in places:
                if fact.args[place] != PLACEHOLDER:
                    types[role].setdefault(find(fact.args[place]), fact)
    entities, activities = types["entity"], types["activity"]
    for term in entities.keys() & activities.keys():
        name = instance.name(term) or "something unnamed"
        instance.violate(55, f"{name} is both an entity and an activity", (entities[term], activities[term]))


def check_names(instance: Instance, entities: Entities) -> None:
    """Constraints 53 and 54: names of relations are those of nothing else."""
    find = instance.terms.find
    objects = dict(entities.stated)
    for kind in ("activity", "agent"):
        for fact in instance.facts[kind]:
            objects.setdefault(find(fact.id), fact)
    relations: dict[Term, Fact] = {}
    reported: set[tuple[Term, int, str]] = set()
    for kind in INFLUENCES:
        for fact in instance.facts[kind]:
            id_ = find(fact.id)
            if id_ in objects and (id_, 54, kind) not in reported:
                reported.add((id_, 54, kind))
                message = f"{instance.name(id_) or 'something unnamed'} is the name of a relation and of an object"
                instance.violate(54, message, (objects[id_], fact))
            if kind not in _DISJOINT:
                continue
            other = relations.setdefault(id_, fact)
            if other.kind != kind and (id_, 53, kind) not in reported:
                reported.add((id_, 53, kind))
                message = f"{instance.name(id_) or 'something unnamed'} is the name of both {other.kind} and {kind}"
                instance.violate(53, message, (other, fact))


def check_empty_collections(instance: Instance, entities: Entities) -> None:
    """Constraint 56: an empty collection has no member."""
    for fact in instance.facts["hadMember"]:
        collection = entities.empty.get(instance.terms.find(fact.args[0]))
        if collection is not None:
            name = instance.name(fact.args[0]) or "something unnamed"
            instance.violate(56, f"{name} is an empty collection and has a member", (collection, fact))
