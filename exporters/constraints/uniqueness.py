"""Constraints 22 to 29: statements with one key are merged, their terms unified, until nothing changes.

Merging two terms can give two statements the same key, which merges further terms. Each class of terms knows the facts whose
keys it is part of; when two classes become one, the facts of the smaller are looked at again. That is a congruence closure: n
log n steps.

References:
    PROV-CONSTRAINTS 6.1 (uniqueness constraints) and 4 (unification and merging)
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final

from lineagelog.exporters.constraints.normal_form import Fact, Instance
from lineagelog.exporters.constraints.rules import UNIQUE_MENTION
from lineagelog.exporters.constraints.terms import PLACEHOLDER, Term
from lineagelog.exporters.readers.document import KINDS

INFLUENCES: Final = {
    "wasGeneratedBy": (0, 1),
    "used": (0, 1),
    "wasInformedBy": (0, 1),
    "wasStartedBy": (0, 1),
    "wasEndedBy": (0, 1),
    "wasInvalidatedBy": (0, 1),
    "wasDerivedFrom": (0, 1),
    "wasAttributedTo": (0, 1),
    "wasAssociatedWith": (0, 1),
    "actedOnBehalfOf": (0, 1),
    "wasInfluencedBy": (0, 1),
}
"""Relations that imply `wasInfluencedBy` under the same name, with the places of influencee and influencer (Inference 15)."""

_UNIQUE: Final = {
    "wasGeneratedBy": (24, (0, 1)),
    "wasInvalidatedBy": (25, (0, 1)),
    "wasStartedBy": (26, (0, 2)),
    "wasEndedBy": (27, (0, 2)),
}
"""Relations that happen once between two objects, with the constraint and the places of the two."""

_TIMES: Final = {"wasStartedBy": (28, 0), "wasEndedBy": (29, 1)}
"""Relations whose time is that of the activity, with the constraint and the place of the time in `activity`."""


def merge_statements(instance: Instance) -> None:
    """Apply the uniqueness constraints to an instance until no further terms merge."""
    _Closure(instance).run()


class _Closure:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._terms = instance.terms
        self._find = instance.terms.find
        self._keys: dict[tuple[object, ...], Fact] = {}
        # The facts whose keys a root is part of.
        self._uses: defaultdict[Term, list[Fact]] = defaultdict(list)
        self._queue: deque[Fact] = deque()
        self._conflicts: set[tuple[Term, Term, int | str]] = set()

    def run(self) -> None:
        for facts in self._instance.facts.values():
            for fact in facts:
                for term in _key_terms(fact):
                    self._uses[self._find(term)].append(fact)
                self._queue.append(fact)
        while self._queue:
            self._look_at(self._queue.popleft())

    def _look_at(self, fact: Fact) -> None:
        kind, find = fact.kind, self._find
        if KINDS[kind].has_id:
            id_ = find(fact.id)
            other = self._keys.setdefault((kind, id_), fact)
            if other is not fact:
                # Constraints 22 and 23: the identifier is a key.
                rule = 22 if KINDS[kind].is_element else 23
                for place, parameter in enumerate(KINDS[kind].parameters):
                    # Statements that disagree in one part are not merged in the others.
                    if not self._unify(fact.args[place], other.args[place], rule, f"the {parameter.name}", fact, other):
                        break
            if kind in INFLUENCES:
                self._influence(fact, id_)
        if kind in _UNIQUE:
            rule, (one, two) = _UNIQUE[kind]
            other = self._keys.setdefault((rule, find(fact.args[one]), find(fact.args[two])), fact)
            if other is not fact:
                self._unify(fact.id, other.id, rule, "their identifier", fact, other)
        if kind in _TIMES:
            rule, place = _TIMES[kind]
            activity = self._keys.get(("activity", find(fact.args[0])))
            if activity is not None:
                self._unify(fact.args[3], activity.args[place], rule, "the time", fact, activity)
        elif kind == "activity":
            self._meet_starts_and_ends(fact)
        elif kind == "mentionOf":
            other = self._keys.setdefault((kind, find(fact.args[0])), fact)
            if other is not fact:
                for place, what in ((1, "the general entity"), (2, "the bundle")):
                    self._unify(fact.args[place], other.args[place], UNIQUE_MENTION, what, fact, other)

    def _influence(self, fact: Fact, id_: Term) -> None:
        """Unify the ends of all relations of one name: each implies one influence of that name (Inference 15, Constraint 23)."""
        other = self._keys.setdefault(("influence", id_), fact)
        if other.kind == fact.kind:
            return
        for place, what in enumerate(("the influencee", "the influencer")):
            one, two = fact.args[INFLUENCES[fact.kind][place]], other.args[INFLUENCES[other.kind][place]]
            self._unify(one, two, 23, what, fact, other)

    def _meet_starts_and_ends(self, fact: Fact) -> None:
        """Look at the starts and ends of an activity once its times are known under this root."""
        root = self._find(fact.id)
        if self._keys.get(("times", root)) is None:
            self._keys["times", root] = fact
            self._queue.extend(use for use in self._uses[root] if use.kind in _TIMES)

    def _unify(self, one: Term, two: Term, rule: int | str, what: str, fact: Fact, other: Fact) -> bool:
        if one == two:
            return True
        merged = self._terms.merge(one, two)
        if merged is None:
            roots = self._find(one), self._find(two)
            conflict = (min(roots), max(roots), rule)
            if conflict not in self._conflicts:
                self._conflicts.add(conflict)
                self._report(one, two, rule, what, fact, other)
            return False
        keep, drop = merged
        if keep != drop:
            moved = self._uses.pop(drop, [])
            self._uses[keep].extend(moved)
            self._queue.extend(moved)
        return True

    def _report(self, one: Term, two: Term, rule: int | str, what: str, fact: Fact, other: Fact) -> None:
        instance = self._instance
        first, second = (instance.name(term) for term in (two, one))
        if PLACEHOLDER in (one, two):
            there = first if two != PLACEHOLDER else second
            why = f"{what} is {there} in one of them and `-` in the other, which there means none"
        else:
            why = f"{what} is {first} in one of them and {second} in the other"
        instance.violate(rule, f"{self._same(rule, fact)} must be the same, but {why}", (other, fact))

    def _same(self, rule: int | str, fact: Fact) -> str:
        def name(term: Term, else_: str) -> str:
            return self._instance.name(term) or else_

        if rule in (22, 23):
            return f"statements called {name(fact.id, 'the same')}"
        if rule in (28, 29):
            event = "start" if rule == 28 else "end"
            return f"the time of activity {name(fact.args[0] if fact.kind in _TIMES else fact.id, 'unnamed')} and of its {event}"
        if rule == UNIQUE_MENTION:
            return f"mentions of {name(fact.args[0], 'one entity')}"
        _, (one, two) = _UNIQUE[fact.kind]
        return f"statements of {fact.kind} with {name(fact.args[one], 'one object')} and {name(fact.args[two], 'one other')}"


def _key_terms(fact: Fact) -> list[Term]:
    terms = [fact.id] if KINDS[fact.kind].has_id else []
    if fact.kind in _UNIQUE:
        terms += [fact.args[place] for place in _UNIQUE[fact.kind][1]]
    elif fact.kind == "mentionOf":
        terms.append(fact.args[0])
    return terms
