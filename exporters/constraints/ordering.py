"""Constraints 30 to 49: events in their order, and no event before itself.

The graph is smaller than the one the recommendation describes and has the same cycles. Its events are generation and
invalidation of an entity, start and end of an activity, and usages. All generations of one entity precede each other (39), and
so do its invalidations (40), the starts (31) and the ends (32) of an activity: each such group is one node. An order that holds
along specializations of specializations (45, 46) is walked step by step; entities without the event in question are passed
through.

Only derivation orders strictly, and only generations (42). An end precedes nothing but invalidations (44), and these nothing but
invalidations (46), so that constraints such as 30 or 36 are part of no cycle; they are applied all the same.

Times do not enter: the recommendation leaves their order to applications (section 6.2).

References:
    PROV-CONSTRAINTS 6.2 (event ordering constraints) and 7.1 (validity: no cycle with a strict step)
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

from lineagelog.exporters.constraints.graph import components, shortest_path
from lineagelog.exporters.constraints.normal_form import Fact, Instance
from lineagelog.exporters.constraints.specialization import Entities
from lineagelog.exporters.constraints.terms import PLACEHOLDER, Term

GENERATION: Final = "generation"
INVALIDATION: Final = "invalidation"
START: Final = "start"
END: Final = "end"
USAGE: Final = "usage"

_STRICT: Final = 42
"""The one constraint by which an event strictly precedes another."""

_SHOWN: Final = 12
"""So many events of a cycle are told in words; `Violation.cycle` holds all."""


class Step(NamedTuple):
    """That one event precedes another.

    Attributes:
        source: Number of the one.
        target: Number of the other.
        rule: Number of the constraint.
        fact: Statement that the constraint was applied to.
    """

    source: int
    target: int
    rule: int
    fact: Fact


class Events:
    """Events in their order: nodes and steps of a graph.

    Attributes:
        nodes: Number of each event, by its sort and its entity, activity or usage.
        steps: Which precedes which.
        happened: Events that exist; a node that specialization only passes through is none.
    """

    def __init__(self, instance: Instance) -> None:
        self._find = instance.terms.find
        self.nodes: dict[tuple[str, Term], int] = {}
        self.steps: list[Step] = []
        self.happened: set[tuple[str, Term]] = set()

    def happens(self, sort: str, term: Term) -> None:
        """Say that an event exists."""
        self.happened.add((sort, self._find(term)))

    def order(self, rule: int, fact: Fact, before: tuple[str, Term], after: tuple[str, Term]) -> None:
        """Say that an event precedes another, if both exist."""
        one, two = (before[0], self._find(before[1])), (after[0], self._find(after[1]))
        if one in self.happened and two in self.happened:
            self._add(rule, fact, one, two)

    def pass_on(self, rule: int, fact: Fact, before: tuple[str, Term], after: tuple[str, Term]) -> None:
        """Say that an event precedes another, and that what precedes the one precedes the other even if there is no such event."""
        self._add(rule, fact, (before[0], self._find(before[1])), (after[0], self._find(after[1])))

    def _add(self, rule: int, fact: Fact, one: tuple[str, Term], two: tuple[str, Term]) -> None:
        nodes = self.nodes
        self.steps.append(Step(nodes.setdefault(one, len(nodes)), nodes.setdefault(two, len(nodes)), rule, fact))


def order_events(instance: Instance, entities: Entities) -> Events:
    """Find the events of an instance and which precedes which."""
    events = Events(instance)
    _find_events(instance, entities, events)
    _order_by_activity(instance, events)
    _order_by_entity(instance, events)
    _order_by_agent(instance, events)
    return events


def _find_events(instance: Instance, entities: Entities, events: Events) -> None:
    facts, happens = instance.facts, events.happens
    # Inference 7: a stated entity was generated and invalidated at some time; Inference 8: a stated activity started and ended.
    for entity in entities.stated:
        happens(GENERATION, entity)
        happens(INVALIDATION, entity)
    for fact in facts["activity"]:
        happens(START, fact.id)
        happens(END, fact.id)
    for kind, sort in (
        ("wasGeneratedBy", GENERATION),
        ("wasInvalidatedBy", INVALIDATION),
        ("wasStartedBy", START),
        ("wasEndedBy", END),
    ):
        for fact in facts[kind]:
            happens(sort, fact.args[0])
    for fact in facts["used"]:
        happens(USAGE, fact.id)


def _order_by_activity(instance: Instance, events: Events) -> None:
    facts, order = instance.facts, events.order
    for kind in ("activity", "wasStartedBy", "wasEndedBy"):
        for fact in facts[kind]:
            activity = fact.id if kind == "activity" else fact.args[0]
            order(30, fact, (START, activity), (END, activity))
    for fact in facts["used"]:
        activity, entity, _ = fact.args
        order(33, fact, (START, activity), (USAGE, fact.id))
        order(33, fact, (USAGE, fact.id), (END, activity))
        order(37, fact, (GENERATION, entity), (USAGE, fact.id))
        order(38, fact, (USAGE, fact.id), (INVALIDATION, entity))
    for fact in facts["wasGeneratedBy"]:
        entity, activity, _ = fact.args
        order(34, fact, (START, activity), (GENERATION, entity))
        order(34, fact, (GENERATION, entity), (END, activity))
    for fact in facts["wasInformedBy"]:
        informed, informant = fact.args
        order(35, fact, (START, informant), (END, informed))
    for kind, sort, rule in (("wasStartedBy", START, 43), ("wasEndedBy", END, 44)):
        for fact in facts[kind]:
            activity, trigger = fact.args[:2]
            order(rule, fact, (GENERATION, trigger), (sort, activity))
            order(rule, fact, (sort, activity), (INVALIDATION, trigger))


def _order_by_entity(instance: Instance, events: Events) -> None:
    facts, order = instance.facts, events.order
    for kind in ("entity", "wasGeneratedBy", "wasInvalidatedBy"):
        for fact in facts[kind]:
            entity = fact.id if kind == "entity" else fact.args[0]
            order(36, fact, (GENERATION, entity), (INVALIDATION, entity))
    for fact in facts["wasDerivedFrom"]:
        generated, used, *specific = fact.args
        if PLACEHOLDER not in specific:
            order(41, fact, (USAGE, fact.args[4]), (GENERATION, generated))
        order(_STRICT, fact, (GENERATION, used), (GENERATION, generated))
    for fact in facts["specializationOf"]:
        specific_entity, general = fact.args
        events.pass_on(45, fact, (GENERATION, general), (GENERATION, specific_entity))
        events.pass_on(46, fact, (INVALIDATION, specific_entity), (INVALIDATION, general))


def _order_by_agent(instance: Instance, events: Events) -> None:
    facts, order = instance.facts, events.order
    for fact in facts["wasAssociatedWith"]:
        activity, agent, _ = fact.args
        order(47, fact, (START, activity), (INVALIDATION, agent))
        order(47, fact, (GENERATION, agent), (END, activity))
        order(47, fact, (START, activity), (END, agent))
        order(47, fact, (START, agent), (END, activity))
    for fact in facts["wasAttributedTo"]:
        entity, agent = fact.args
        order(48, fact, (GENERATION, agent), (GENERATION, entity))
        order(48, fact, (START, agent), (GENERATION, entity))
    for fact in facts["actedOnBehalfOf"]:
        delegate, responsible, _ = fact.args
        order(49, fact, (GENERATION, responsible), (INVALIDATION, delegate))
        order(49, fact, (START, responsible), (END, delegate))


def check_ordering(instance: Instance, events: Events) -> None:
    """Find events that would have to happen before themselves.

    One shortest cycle is reported for each group of events that precede each other with a strict step among them.
    """
    successors: list[list[int]] = [[] for _ in events.nodes]
    for step in events.steps:
        successors[step.source].append(step.target)
    component = components(successors)
    reported = set()
    for strict in events.steps:
        group = component[strict.source]
        if strict.rule != _STRICT or group != component[strict.target] or group in reported:
            continue
        reported.add(group)
        path = shortest_path(successors, strict.target, strict.source, component)
        links: dict[tuple[int, int], Step] = {}
        for step in events.steps:
            if component[step.source] == group:
                links.setdefault((step.source, step.target), step)
        steps = [strict] + [links[pair] for pair in pairwise(path)]
        _report_cycle(instance, events, steps)


def _report_cycle(instance: Instance, events: Events, steps: list[Step]) -> None:
    keys = list(events.nodes)
    words, told = [], []
    for step in steps:
        sort, term = keys[step.source]
        if (sort, term) in events.happened:
            words.append(describe_event(instance, sort, term, step))
            told.append(f"{words[-1]} {'strictly precedes' if step.rule == _STRICT else 'precedes'}")
    if len(words) > _SHOWN:
        told[_SHOWN:] = [f"({len(words) - _SHOWN:,} more events, each before the next, the last before)"]
    numbers = sorted({step.rule for step in steps})
    rules = f"constraint{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
    message = f"an event would have to precede itself: {' '.join(told)} {words[0]} ({rules})"
    instance.violate(_STRICT, message, [step.fact for step in steps], tuple(words))


def describe_event(instance: Instance, sort: str, term: Term, step: Step) -> str:
    """Tell an event in words, as a part of a step."""
    name = instance.name(term)
    if sort != USAGE:
        return f"{sort} of {name or 'something unnamed'}"
    if name is not None:
        return f"usage {name}"
    # An unnamed usage is told by what was used.
    places = {"used": (0, 1), "wasDerivedFrom": (2, 1)}[step.fact.kind]
    activity, entity = (instance.name(step.fact.args[place]) or "something unnamed" for place in places)
    return f"usage of {entity} by {activity}"
