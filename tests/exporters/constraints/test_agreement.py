"""The checker agrees with PROV-CONSTRAINTS taken word for word, on documents nobody thought of.

The checker leaves most of the recommendation implicit. Below the tests stands the recommendation itself, for small documents
only: every inference adds its statements, the normal form is chased as section 7.1 says, and every pair of events is ordered.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, product
from typing import Any

import pytest

from lineagelog.exporters.constraints import validate
from lineagelog.exporters.readers.document import KINDS, PROV, Document, Statement

N_DOCUMENTS = 120
TIMES = ("2012-01-01T00:00:00Z", "2013-01-01T00:00:00Z")
KINDS_CHOSEN = [
    kind
    for kind, weight in {
        "entity": 5, "activity": 4, "agent": 1, "wasGeneratedBy": 5, "used": 5, "wasInformedBy": 2,
        "wasStartedBy": 3, "wasEndedBy": 3, "wasInvalidatedBy": 2, "wasDerivedFrom": 6, "wasAttributedTo": 2,
        "wasAssociatedWith": 2, "actedOnBehalfOf": 2,
        "wasInfluencedBy": 1, "specializationOf": 3, "alternateOf": 1, "hadMember": 1, "mentionOf": 1,
    }.items()
    for _ in range(weight)
]  # fmt: skip


def random_statement(rng: random.Random) -> Statement:
    kind = rng.choice(KINDS_CHOSEN)
    args: list[str | None] = []
    for parameter in KINDS[kind].parameters:
        if not parameter.required and rng.random() < 0.45:
            args.append(None)
        elif parameter.role == "time":
            args.append(rng.choice(TIMES))
        else:
            args.append(random_name(rng, parameter.role))
    if kind == "wasDerivedFrom" and args[2] is None and rng.random() < 0.95:
        # Most of the rest would fail by Constraint 51 alone, and show nothing else.
        args[3:] = [None, None]
    id_ = None
    if KINDS[kind].is_element:
        id_ = random_name(rng, kind)
    elif KINDS[kind].has_id and rng.random() < 0.5:
        id_ = random_name(rng, {"wasGeneratedBy": "generation", "used": "usage"}.get(kind, kind))
    types = {"entity": f"{PROV}EmptyCollection", "wasDerivedFrom": f"{PROV}Revision"}
    return Statement(kind, id_, tuple(args), (types[kind],) if kind in types and rng.random() < 0.15 else ())


def random_name(rng: random.Random, role: str) -> str:
    if rng.random() < 0.02:
        return f"http://example.org/any{rng.randrange(2)}"
    if rng.random() < 0.08:
        return f"_:{role}{rng.randrange(2)}"
    # An agent is often an entity or an activity as well.
    if role in ("agent", "any"):
        role = rng.choice(["agent", "entity", "activity"])
    return f"http://example.org/{role}{rng.randrange(4)}"


def document(statements: list[Statement]) -> Document:
    made = Document(prefixes={"ex": "http://example.org/"})
    for statement in statements:
        made.add(None, statement)
    return made


@pytest.mark.parametrize("seed", range(5))
def test_verdict_is_that_of_the_recommendation_word_for_word(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = []
    for number in range(N_DOCUMENTS):
        statements = [random_statement(rng) for _ in range(rng.randrange(2, 14))]
        report = validate(document(statements))
        verdicts.append(report.valid)
        told = "\n".join(map(str, statements))
        assert report.valid == is_valid(statements), f"seed {seed}, document {number}: {report.to_text()}\n{told}"
    assert N_DOCUMENTS / 10 < sum(verdicts) < N_DOCUMENTS * 9 / 10


EMPTY = f"{PROV}EmptyCollection"
NULL = "-"
Fact = tuple[str, str, tuple[str, ...]]
"""Kind, identifier and parts; attributes are kept beside it, by fact."""

KEYED = [keyword for keyword, kind in KINDS.items() if kind.has_id]
INFLUENCING = [kind for kind in KEYED if not KINDS[kind].is_element and kind != "wasInfluencedBy"]


class InvalidError(Exception):
    """The document is not valid."""


def is_valid(statements: list[Statement]) -> bool:
    try:
        facts = _Chase(statements).run()
        _check_order(facts)
        _check_types(facts)
        _check_impossible(facts)
    except InvalidError:
        return False
    return True


class _Chase:
    def __init__(self, statements: list[Statement]) -> None:
        self.numbers = count()
        self.facts: dict[Fact, frozenset[str]] = {}
        for statement in statements:
            self.add(*self.expand(statement))

    def new(self) -> str:
        return f"_:new{next(self.numbers)}"

    def add(self, fact: Fact, attributes: frozenset[str] = frozenset()) -> None:
        self.facts[fact] = self.facts.get(fact, frozenset()) | attributes

    def expand(self, statement: Statement) -> tuple[Fact, frozenset[str]]:
        kind, args = statement.kind, list(statement.arguments)
        for place, parameter in enumerate(KINDS[kind].parameters):
            if args[place] is not None:
                continue
            if parameter.required:
                raise InvalidError(parameter.name)
            fixed = (kind, parameter.name) in {("wasAssociatedWith", "plan"), ("wasDerivedFrom", "activity")} or (
                kind == "wasDerivedFrom" and args[2] in (None, NULL)
            )
            args[place] = NULL if fixed else self.new()
        id_ = statement.id or (self.new() if KINDS[kind].has_id else "")
        return (kind, id_, tuple(map(str, args))), frozenset(statement.types)

    def of(self, kind: str) -> list[Fact]:
        return [fact for fact in self.facts if fact[0] == kind]

    def holds(self, kind: str, *pattern: str | None) -> bool:
        return any(
            all(want is None or want == got for want, got in zip(pattern, fact[2], strict=False))
            for fact in self.of(kind)
        )

    def run(self) -> dict[Fact, frozenset[str]]:
        while self.infer() or self.unify():
            pass
        return self.facts

    def infer(self) -> bool:
        before = len(self.facts), sum(map(len, self.facts.values()))
        for fact in list(self.facts):
            self.infer_from(*fact, self.facts[fact])
        for _, _, (entity, activity, _) in self.of("wasGeneratedBy"):  # 6
            for _, _, (user, used, _) in self.of("used"):
                if used == entity and not self.holds("wasInformedBy", user, activity):
                    self.add(("wasInformedBy", self.new(), (user, activity)))
        for kind in ("alternateOf", "specializationOf"):  # 17, 19
            for (_, _, (one, two)), (_, _, (three, four)) in product(self.of(kind), repeat=2):
                if two == three:
                    self.add((kind, "", (one, four)))
        for _, _, (specific, general) in self.of("specializationOf"):  # 21
            for _, id_, _ in self.of("entity"):
                if id_ == general:
                    self.add(("entity", specific, ()), self.facts["entity", id_, ()])
        return (len(self.facts), sum(map(len, self.facts.values()))) != before

    def infer_from(self, kind: str, id_: str, args: tuple[str, ...], attributes: frozenset[str]) -> None:
        new, add, holds = self.new, self.add, self.holds
        if kind == "wasInformedBy":  # 5
            generated = {fact[2][0] for fact in self.of("wasGeneratedBy") if fact[2][1] == args[1]}
            if not generated & {fact[2][1] for fact in self.of("used") if fact[2][0] == args[0]}:
                entity = new()
                add(("wasGeneratedBy", new(), (entity, args[1], new())))
                add(("used", new(), (args[0], entity, new())))
        elif kind == "entity":  # 7, 16
            if not holds("wasGeneratedBy", id_):
                add(("wasGeneratedBy", new(), (id_, new(), new())))
            if not holds("wasInvalidatedBy", id_):
                add(("wasInvalidatedBy", new(), (id_, new(), new())))
            add(("alternateOf", "", (id_, id_)))
        elif kind == "activity":  # 8
            for event, time in zip(("wasStartedBy", "wasEndedBy"), args, strict=True):
                if not holds(event, id_, None, None, time):
                    add((event, new(), (id_, new(), new(), time)))
        elif kind in ("wasStartedBy", "wasEndedBy"):  # 9, 10
            if not holds("wasGeneratedBy", args[1], args[2]):
                add(("wasGeneratedBy", new(), (args[1], args[2], new())))
        elif kind == "wasDerivedFrom":  # 11, 12
            if NULL not in args:
                if not any(fact[1] == args[4] and fact[2][:2] == (args[2], args[1]) for fact in self.of("used")):
                    add(("used", args[4], (args[2], args[1], new())))
                if not any(
                    fact[1] == args[3] and fact[2][:2] == (args[0], args[2]) for fact in self.of("wasGeneratedBy")
                ):
                    add(("wasGeneratedBy", args[3], (args[0], args[2], new())))
            if f"{PROV}Revision" in attributes:
                add(("alternateOf", "", args[:2]))
        elif kind == "wasAttributedTo":  # 13
            makers = {fact[2][1] for fact in self.of("wasGeneratedBy") if fact[2][0] == args[0]}
            if not makers & {fact[2][0] for fact in self.of("wasAssociatedWith") if fact[2][1] == args[1]}:
                activity = new()
                add(("wasGeneratedBy", new(), (args[0], activity, new())))
                add(("wasAssociatedWith", new(), (activity, args[1], new())))
        elif kind == "actedOnBehalfOf":  # 14
            for agent in args[:2]:
                if not holds("wasAssociatedWith", args[2], agent):
                    add(("wasAssociatedWith", new(), (args[2], agent, new())))
        elif kind == "alternateOf":  # 18
            add((kind, "", args[::-1]))
        elif kind == "specializationOf":  # 20
            add(("alternateOf", "", args))
        elif kind == "mentionOf":
            add(("specializationOf", "", args[:2]))
        if kind in INFLUENCING:  # 15
            add(("wasInfluencedBy", id_, args[:2]), attributes)

    def unify(self) -> bool:
        for one, two in self.equal_terms():
            if one != two:
                self.substitute(one, two)
                return True
        return False

    def equal_terms(self) -> Iterator[tuple[str, str]]:
        for kind in KEYED:  # 22, 23
            for one, two in product(self.of(kind), repeat=2):
                if one[1] == two[1]:
                    yield from zip(one[2], two[2], strict=True)
        for kind, places in (
            ("wasGeneratedBy", (0, 1)), ("wasInvalidatedBy", (0, 1)), ("wasStartedBy", (0, 2)), ("wasEndedBy", (0, 2)),
        ):  # 24 to 27  # fmt: skip
            for one, two in product(self.of(kind), repeat=2):
                if all(one[2][place] == two[2][place] for place in places):
                    yield one[1], two[1]
        for place, kind in enumerate(("wasStartedBy", "wasEndedBy")):  # 28, 29
            for activity, event in product(self.of("activity"), self.of(kind)):
                if event[2][0] == activity[1]:
                    yield activity[2][place], event[2][3]
        for one, two in product(self.of("mentionOf"), repeat=2):
            if one[2][0] == two[2][0]:
                yield from zip(one[2], two[2], strict=True)

    def substitute(self, one: str, two: str) -> None:
        old, new = (one, two) if one.startswith("_:") else (two, one)
        if not old.startswith("_:"):
            raise InvalidError(f"{one} = {two}")
        before, self.facts = self.facts, {}
        for (kind, id_, args), attributes in before.items():
            self.add((kind, new if id_ == old else id_, tuple(new if arg == old else arg for arg in args)), attributes)


def _check_order(facts: dict[Fact, frozenset[str]]) -> None:
    steps: dict[tuple[Any, Any], bool] = {}

    def order(one: list[Any], two: list[Any], strict: bool = False) -> None:
        for pair in product(one, two):
            steps[pair] = steps.get(pair, False) or strict

    def events(kind: str, obj: str) -> list[Any]:
        return [(kind, fact[1]) for fact in facts if fact[0] == kind and fact[2][0] == obj]

    def generations(obj: str) -> list[Any]:
        return events("wasGeneratedBy", obj)

    def invalidations(obj: str) -> list[Any]:
        return events("wasInvalidatedBy", obj)

    def starts(obj: str) -> list[Any]:
        return events("wasStartedBy", obj)

    def ends(obj: str) -> list[Any]:
        return events("wasEndedBy", obj)

    for kind, id_, args in facts:
        me = [(kind, id_)]
        if kind == "wasStartedBy":
            order(me, ends(args[0]))  # 30
            order(me, starts(args[0]))  # 31
            order(generations(args[1]), me)  # 43
            order(me, invalidations(args[1]))
        elif kind == "wasEndedBy":
            order(me, ends(args[0]))  # 32
            order(generations(args[1]), me)  # 44
            order(me, invalidations(args[1]))
        elif kind == "used":
            order(starts(args[0]), me)  # 33
            order(me, ends(args[0]))
            order(generations(args[1]), me)  # 37
            order(me, invalidations(args[1]))  # 38
        elif kind == "wasGeneratedBy":
            order(starts(args[1]), me)  # 34
            order(me, ends(args[1]))
            order(me, invalidations(args[0]))  # 36
            order(me, generations(args[0]))  # 39
        elif kind == "wasInvalidatedBy":
            order(me, invalidations(args[0]))  # 40
        elif kind == "wasInformedBy":
            order(starts(args[1]), ends(args[0]))  # 35
        elif kind == "wasDerivedFrom":
            if NULL not in args:
                order([("used", args[4])], [("wasGeneratedBy", args[3])])  # 41
            order(generations(args[1]), generations(args[0]), strict=True)  # 42
        elif kind == "specializationOf":
            order(generations(args[1]), generations(args[0]))  # 45
            order(invalidations(args[0]), invalidations(args[1]))  # 46
        elif kind == "wasAssociatedWith":
            order(starts(args[0]), invalidations(args[1]))  # 47
            order(generations(args[1]), ends(args[0]))
            order(starts(args[0]), ends(args[1]))
            order(starts(args[1]), ends(args[0]))
        elif kind == "wasAttributedTo":
            order(generations(args[1]), generations(args[0]))  # 48
            order(starts(args[1]), generations(args[0]))
        elif kind == "actedOnBehalfOf":
            order(generations(args[1]), invalidations(args[0]))  # 49
            order(starts(args[1]), ends(args[0]))
    after: dict[Any, set[Any]] = {}
    for one, two in steps:
        after.setdefault(one, set()).add(two)
    for (one, two), strict in steps.items():
        if strict and _reaches(after, two, one):
            raise InvalidError("cycle")


def _reaches(after: dict[Any, set[Any]], start: Any, target: Any) -> bool:
    seen, todo = {start}, [start]
    while todo:
        node = todo.pop()
        if node == target:
            return True
        todo += after.get(node, set()) - seen
        seen |= after.get(node, set())
    return False


def _check_types(facts: dict[Fact, frozenset[str]]) -> None:
    types: dict[str, set[str]] = {}
    for kind, id_, args in facts:  # 50
        if kind in ("entity", "activity", "agent"):
            types.setdefault(id_, set()).add(kind)
        for parameter, arg in zip(KINDS[kind].parameters, args, strict=True):
            if arg != NULL:
                types.setdefault(arg, set()).add(parameter.role)
    if any({"entity", "activity"} <= found for found in types.values()):  # 55
        raise InvalidError("entity and activity")


def _check_impossible(facts: dict[Fact, frozenset[str]]) -> None:
    by_id: dict[str, set[str]] = {}
    for kind, id_, args in facts:
        if KINDS[kind].has_id:
            by_id.setdefault(id_, set()).add(kind)
        if kind == "wasDerivedFrom" and args[2] == NULL and (args[3], args[4]) != (NULL, NULL):  # 51
            raise InvalidError("unspecified derivation")
        if kind == "specializationOf" and args[0] == args[1]:  # 52
            raise InvalidError("reflexive specialization")
        if kind == "hadMember" and EMPTY in facts.get(("entity", args[0], ()), frozenset()):  # 56
            raise InvalidError("member of an empty collection")
    for kinds in by_id.values():
        relations = kinds - {"entity", "activity", "agent"}
        if len(relations - {"wasDerivedFrom", "wasInfluencedBy"}) > 1:  # 53
            raise InvalidError("property overlap")
        if relations and relations != kinds:  # 54
            raise InvalidError("object property overlap")
