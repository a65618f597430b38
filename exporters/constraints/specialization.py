"""What specialization hands down, and that nothing specializes itself, without writing its transitive closure out.

The closure of a chain of n entities has n²/2 pairs. Whether some entity specializes itself is whether the graph has a cycle;
what is handed down is what can be reached.

References:
    PROV-CONSTRAINTS 5 (Inferences 19 and 21) and 6.4 (Constraint 52)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from lineagelog.exporters.constraints.graph import components, shortest_path
from lineagelog.exporters.constraints.normal_form import Fact, Instance
from lineagelog.exporters.constraints.terms import Term
from lineagelog.exporters.readers.document import PROV

EMPTY_COLLECTION: Final = f"{PROV}EmptyCollection"


@dataclass(slots=True)
class Entities:
    """What `entity` statements say, those of Inference 21 included.

    Attributes:
        stated: Entities that have a statement `entity`, each with the statement that it comes from.
        empty: Those of them that are of type `prov:EmptyCollection`, likewise.
    """

    stated: dict[Term, Fact]
    empty: dict[Term, Fact]


def hand_down(instance: Instance) -> Entities:
    """Find the entities that are stated or specialize stated ones (Inferences 19 and 21)."""
    find = instance.terms.find
    specific: defaultdict[Term, list[Term]] = defaultdict(list)
    for fact in instance.facts["specializationOf"]:
        specific[find(fact.args[1])].append(find(fact.args[0]))
    stated: dict[Term, Fact] = {}
    empty: dict[Term, Fact] = {}
    for fact in instance.facts["entity"]:
        stated.setdefault(find(fact.id), fact)
        # Constraint 22 unites the attributes of all statements of one entity, so any of them can make it an empty collection.
        if EMPTY_COLLECTION in fact.source.types:
            empty.setdefault(find(fact.id), fact)
    for reached in (stated, empty):
        todo = list(reached)
        while todo:
            general = todo.pop()
            for entity in specific[general]:
                if entity not in reached:
                    reached[entity] = reached[general]
                    todo.append(entity)
    return Entities(stated, empty)


def check_irreflexive(instance: Instance) -> None:
    """Constraint 52: nothing specializes itself, be it over others (Inference 19)."""
    find, facts = instance.terms.find, instance.facts["specializationOf"]
    nodes: dict[Term, int] = {}
    edges: list[tuple[int, int, Fact]] = []
    for fact in facts:
        one, two = (nodes.setdefault(find(term), len(nodes)) for term in fact.args[:2])
        edges.append((one, two, fact))
    successors: list[list[int]] = [[] for _ in nodes]
    for one, two, _ in edges:
        successors[one].append(two)
    component = components(successors)
    reported = set()
    for one, two, fact in edges:
        if component[one] != component[two] or component[one] in reported:
            continue
        reported.add(component[one])
        path = shortest_path(successors, two, one, component)
        links = {(source, target): other for source, target, other in edges if component[source] == component[one]}
        steps = [fact] + [links[step] for step in pairwise(path)]
        name = instance.name(fact.args[0]) or "an unnamed entity"
        over = f" over {len(path) - 1:,} other{'s' * (len(path) != 2)}" if len(path) > 1 else ""
        instance.violate(52, f"{name} specializes itself{over}", steps)
