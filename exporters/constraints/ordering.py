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

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from lineagelog.exporters.constraints.graph import components, shortest_path
from lineagelog.exporters.constraints.normal_form import Fact, Instance
from lineagelog.exporters.constraints.specialization import Entities
from lineagelog.exporters.constraints.terms import PLACEHOLDER, Term

_GENERATION: Final = "generation"
_INVALIDATION: Final = "invalidation"
_START: Final = "start"
_END: Final = "end"
_USAGE: Final = "usage"

_SHOWN: Final = 12
"""So many events of a cycle are told in words; `Violation.cycle` holds all."""


class _Step(NamedTuple):
    source: int
    target: int
    rule: int
    fact: Fact


class _Events:
    """Nodes and steps of the graph."""

    def __init__(self, instance: Instance) -> None:
        self._find = instance.terms.find
        self.nodes: dict[tuple[str, Term], int] = {}
        self.steps: list[_Step] = []
        # A node that specialization only passes through is no event.
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
        self.steps.append(_Step(nodes.setdefault(one, len(nodes)), nodes.setdefault(two, len(nodes)), rule, fact))


_STRICT: Final = 42
"""The one constraint by which an event strictly precedes another."""


def check_ordering(instance: Instance, entities: Entities) -> None:
    """Find events that would have to happen before themselves."""
    _report_cycles(instance, _events_in_order(instance, entities))


def event_order(instance: Instance, entities: Entities) -> Iterator[tuple[str, str, int]]:
    """List which event precedes which, in words, with the constraint."""
    events = _events_in_order(instance, entities)
    keys = list(events.nodes)
    for step in events.steps:
        yield _event(instance, *keys[step.source], step), _event(instance, *keys[step.target], step), step.rule


def _events_in_order(instance: Instance, entities: Entities) -> _Events:
    events = _Events(instance)
    _find_events(instance, entities, events)
    _order_by_activity(instance, events)
    _order_by_entity(instance, events)
    _order_by_agent(instance, events)
    return events


def _find_events(instance: Instance, entities: Entities, events: _Events) -> None:
    facts, happens = instance.facts, events.happens
    # Inference 7: a stated entity was generated and invalidated at some time; Inference 8: a stated activity started and ended.
    for entity in entities.stated:
        happens(_GENERATION, entity)
        happens(_INVALIDATION, entity)
    for fact in facts["activity"]:
        happens(_START, fact.id)
        happens(_END, fact.id)
    for kind, sort in (
        ("wasGeneratedBy", _GENERATION),
        ("wasInvalidatedBy", _INVALIDATION),
        ("wasStartedBy", _START),
        ("wasEndedBy", _END),
    ):
        for fact in facts[kind]:
            happens(sort, fact.args[0])
    for fact in facts["used"]:
        happens(_USAGE, fact.id)


def _order_by_activity(instance: Instance, events: _Events) -> None:
    facts, order = instance.facts, events.order
    for kind in ("activity", "wasStartedBy", "wasEndedBy"):
        for fact in facts[kind]:
            activity = fact.id if kind == "activity" else fact.args[0]
            order(30, fact, (_START, activity), (_END, activity))
    for fact in facts["used"]:
        activity, entity, _ = fact.args
        order(33, fact, (_START, activity), (_USAGE, fact.id))
        order(33, fact, (_USAGE, fact.id), (_END, activity))
        order(37, fact, (_GENERATION, entity), (_USAGE, fact.id))
        order(38, fact, (_USAGE, fact.id), (_INVALIDATION, entity))
    for fact in facts["wasGeneratedBy"]:
        entity, activity, _ = fact.args
        order(34, fact, (_START, activity), (_GENERATION, entity))
        order(34, fact, (_GENERATION, entity), (_END, activity))
    for fact in facts["wasInformedBy"]:
        informed, informant = fact.args
        order(35, fact, (_START, informant), (_END, informed))
    for kind, sort, rule in (("wasStartedBy", _START, 43), ("wasEndedBy", _END, 44)):
        for fact in facts[kind]:
            activity, trigger = fact.args[:2]
            order(rule, fact, (_GENERATION, trigger), (sort, activity))
            order(rule, fact, (sort, activity), (_INVALIDATION, trigger))


def _order_by_entity(instance: Instance, events: _Events) -> None:
    facts, order = instance.facts, events.order
    for kind in ("entity", "wasGeneratedBy", "wasInvalidatedBy"):
        for fact in facts[kind]:
            entity = fact.id if kind == "entity" else fact.args[0]
            order(36, fact, (_GENERATION, entity), (_INVALIDATION, entity))
    for fact in facts["wasDerivedFrom"]:
        generated, used, *specific = fact.args
        if PLACEHOLDER not in specific:
            order(41, fact, (_USAGE, fact.args[4]), (_GENERATION, generated))
        order(_STRICT, fact, (_GENERATION, used), (_GENERATION, generated))
    for fact in facts["specializationOf"]:
        specific_entity, general = fact.args
        events.pass_on(45, fact, (_GENERATION, general), (_GENERATION, specific_entity))
        events.pass_on(46, fact, (_INVALIDATION, specific_entity), (_INVALIDATION, general))


def _order_by_agent(instance: Instance, events: _Events) -> None:
    facts, order = instance.facts, events.order
    for fact in facts["wasAssociatedWith"]:
        activity, agent, _ = fact.args
        order(47, fact, (_START, activity), (_INVALIDATION, agent))
        order(47, fact, (_GENERATION, agent), (_END, activity))
        order(47, fact, (_START, activity), (_END, agent))
        order(47, fact, (_START, agent), (_END, activity))
    for fact in facts["wasAttributedTo"]:
        entity, agent = fact.args
        order(48, fact, (_GENERATION, agent), (_GENERATION, entity))
        order(48, fact, (_START, agent), (_GENERATION, entity))
    for fact in facts["actedOnBehalfOf"]:
        delegate, responsible, _ = fact.args
        order(49, fact, (_GENERATION, responsible), (_INVALIDATION, delegate))
        order(49, fact, (_START, responsible), (_END, delegate))


def _report_cycles(instance: Instance, events: _Events) -> None:
    """Report one shortest cycle for each group of events that precede each other with a strict step among them."""
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
        links: dict[tuple[int, int], _Step] = {}
        for step in events.steps:
            if component[step.source] == group:
                links.setdefault((step.source, step.target), step)
        steps = [strict] + [links[pair] for pair in pairwise(path)]
        _report_cycle(instance, events, steps)


def _report_cycle(instance: Instance, events: _Events, steps: list[_Step]) -> None:
    keys = list(events.nodes)
    words, told = [], []
    for step in steps:
        sort, term = keys[step.source]
        if (sort, term) in events.happened:
            words.append(_event(instance, sort, term, step))
            told.append(f"{words[-1]} {'strictly precedes' if step.rule == _STRICT else 'precedes'}")
    if len(words) > _SHOWN:
        told[_SHOWN:] = [f"({len(words) - _SHOWN:,} more events, each before the next, the last before)"]
    rules = ", ".join(str(rule) for rule in sorted({step.rule for step in steps}))
    message = f"an event would have to precede itself: {' '.join(told)} {words[0]} (constraints {rules})"
    instance.violate(_STRICT, message, [step.fact for step in steps], tuple(words))


def _event(instance: Instance, sort: str, term: Term, step: _Step) -> str:
    name = instance.name(term)
    if sort != _USAGE:
        return f"{sort} of {name or 'something unnamed'}"
    if name is not None:
        return f"usage {name}"
    # An unnamed usage is told by what was used.
    places = {"used": (0, 1), "wasDerivedFrom": (2, 1)}[step.fact.kind]
    activity, entity = (instance.name(step.fact.args[place]) or "something unnamed" for place in places)
    return f"usage of {entity} by {activity}"
