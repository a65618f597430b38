"""The statements of one instance with every part made explicit, and with what the inferences add to each statement on its own.

Definitions 1 to 4 put a new existential variable wherever an expandable part is left out. The inferences that join statements,
or whose results only matter as an event, are applied where they are used; `rules.py` says where.

References:
    PROV-CONSTRAINTS 5 (definitions and inferences)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from lineagelog.exporters.constraints.report import Violation
from lineagelog.exporters.constraints.rules import PLACEHOLDER as MISSING
from lineagelog.exporters.constraints.rules import RULES
from lineagelog.exporters.constraints.terms import PLACEHOLDER, Term, Terms
from lineagelog.exporters.readers.document import KINDS, Statement

_NOT_EXPANDABLE: Final = frozenset({("wasAssociatedWith", "plan"), ("wasDerivedFrom", "activity")})
"""Parts that are `-` for good: that no plan is named says no more than that (Definition 4, table 3)."""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """A statement of the normal form.

    Attributes:
        kind: Keyword of its kind.
        id: Its name.
        args: Its parts, in the order of `KINDS`.
        source: The statement it is, or was inferred from.
        rule: Number of the inference that made it, `None` for a statement of the document.
    """

    kind: str
    id: Term
    args: tuple[Term, ...]
    source: Statement
    rule: int | None = None


class Instance:
    """A normal form in the making: facts over terms, and the violations found so far.

    Attributes:
        terms: The terms, merged as far as the uniqueness constraints got.
        facts: The facts of each kind.
        violations: What was found.
    """

    def __init__(self, bundle: str | None, short: Callable[[str], str]) -> None:
        self.terms = Terms()
        self.facts: defaultdict[str, list[Fact]] = defaultdict(list)
        self.violations: list[Violation] = []
        self._bundle = bundle
        self._short = short

    def violate(
        self, rule: int | str, message: str, facts: Iterable[Fact | Statement] = (), cycle: tuple[str, ...] = ()
    ) -> None:
        """Put a violation on record."""
        records = tuple(
            dict.fromkeys(self.describe(fact) if isinstance(fact, Fact) else self.render(fact) for fact in facts)
        )
        number = rule if isinstance(rule, int) else None
        title = RULES[rule].title if isinstance(rule, int) else rule
        bundle = self._short(self._bundle) if self._bundle is not None else None
        self.violations.append(Violation(number, title, message, records, bundle, cycle))

    def name(self, term: Term) -> str | None:
        """Return the name of a term for people, `None` for an existential variable."""
        name = self.terms.name(term)
        return None if name is None else self._short(name)

    def render(self, statement: Statement) -> str:
        """Write a statement in PROV-N, without its attributes."""
        arguments = ", ".join("-" if part is None else self._short(part) for part in statement.arguments)
        if statement.id is None:
            return f"{statement.kind}({arguments})"
        if KINDS[statement.kind].is_element:
            return f"{statement.kind}({self._short(statement.id)}{', ' if arguments else ''}{arguments})"
        return f"{statement.kind}({self._short(statement.id)}; {arguments})"

    def describe(self, fact: Fact) -> str:
        """Write the statement that a fact is, or say from which it was inferred."""
        text = self.render(fact.source)
        return text if fact.rule is None else f"{fact.kind} by {RULES[fact.rule].title} from {text}"


def normal_form(statements: Iterable[Statement], bundle: str | None, short: Callable[[str], str]) -> Instance:
    """Expand the statements of one instance and add what each of them implies."""
    instance = Instance(bundle, short)
    for statement in statements:
        fact = _expand(instance, statement)
        instance.facts[fact.kind].append(fact)
        for inferred in _infer(instance.terms, fact):
            instance.facts[inferred.kind].append(inferred)
    return instance


def _expand(instance: Instance, statement: Statement) -> Fact:
    """Put a variable wherever an expandable part is left out (Definitions 1 and 4); Definitions 2 and 3 are the reader's."""
    terms, kind = instance.terms, KINDS[statement.kind]
    args: list[Term] = []
    for parameter, value in zip(kind.parameters, statement.arguments, strict=True):
        if value is not None:
            args.append(terms.time(value) if parameter.role == "time" else terms.identifier(value))
        elif parameter.required:
            instance.violate(MISSING, f"{statement.kind} needs its {parameter.name}", [statement])
            args.append(terms.variable())
        elif (statement.kind, parameter.name) in _NOT_EXPANDABLE:
            args.append(PLACEHOLDER)
        elif statement.kind == "wasDerivedFrom" and statement.arguments[2] is None:
            # Definition 4, 4 and 5: generation and usage expand only if the activity is there. Without it the derivation may have
            # taken many activities, and there need be no single generation or usage.
            args.append(PLACEHOLDER)
        else:
            args.append(terms.variable())
    if statement.kind == "wasDerivedFrom" and args[2] == PLACEHOLDER and not (args[3] == args[4] == PLACEHOLDER):
        # Constraint 51: a derivation by an unspecified activity has no specific generation or usage.
        instance.violate(51, "a generation or usage is named, but not the activity they belong to", [statement])
    if statement.id is not None:
        id_ = terms.identifier(statement.id)
    elif kind.is_element:
        instance.violate(MISSING, f"{statement.kind} needs an identifier", [statement])
        id_ = terms.variable()
    else:
        id_ = terms.variable()
    return Fact(statement.kind, id_, tuple(args), statement)


def _infer(terms: Terms, fact: Fact) -> Iterable[Fact]:
    """Apply the inferences that need one statement and whose results take part in unification or ordering."""
    variable, args, source = terms.variable, fact.args, fact.source
    if fact.kind in ("wasStartedBy", "wasEndedBy"):
        # Inferences 9 and 10: what started or ended the activity was generated by the starting or ending one.
        rule = 9 if fact.kind == "wasStartedBy" else 10
        yield Fact("wasGeneratedBy", variable(), (args[1], args[2], variable()), source, rule)
    elif fact.kind == "wasDerivedFrom" and PLACEHOLDER not in args:
        # Inference 11.
        generated, used, activity, generation, usage = args
        yield Fact("used", usage, (activity, used, variable()), source, 11)
        yield Fact("wasGeneratedBy", generation, (generated, activity, variable()), source, 11)
    elif fact.kind == "wasAttributedTo":
        # Inference 13.
        activity = variable()
        yield Fact("wasGeneratedBy", variable(), (args[0], activity, variable()), source, 13)
        yield Fact("wasAssociatedWith", variable(), (activity, args[1], variable()), source, 13)
    elif fact.kind == "actedOnBehalfOf":
        # Inference 14: both agents were associated with the activity.
        for agent in args[:2]:
            yield Fact("wasAssociatedWith", variable(), (args[2], agent, variable()), source, 14)
    elif fact.kind == "mentionOf":
        # PROV-LINKS, mention-specialization-inference.
        yield Fact("specializationOf", variable(), args[:2], source)
