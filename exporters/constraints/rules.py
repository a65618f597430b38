"""The definitions, inferences and constraints of PROV-CONSTRAINTS as data: number, name, section, and where each is applied.

References:
    PROV-CONSTRAINTS, W3C Recommendation 30 April 2013, https://www.w3.org/TR/prov-constraints/
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """One numbered rule.

    Attributes:
        number: Its number in the recommendation.
        form: `definition`, `inference` or `constraint`.
        name: Its name there, also the anchor of its text.
        section: Section that holds it.
        applied: Module that applies it; for an inference that no verdict depends on, the reason.
    """

    number: int
    form: str
    name: str
    section: str
    applied: str

    @property
    def title(self) -> str:
        """Form, number and name, as in `Constraint 42 (derivation-generation-generation-ordering)`."""
        return f"{self.form.capitalize()} {self.number} ({self.name})"


# The implied inferences add statements that no constraint sees, or sees only next to statements that make it say the same.
_COMMUNICATION: Final = (
    "implied: start of the informant, generation, usage and end of the informed activity follow each other by 33, 34 and 37 "
    "as 35 has them"
)
_ALTERNATE: Final = "implied: alternates are entities by typing (50) as soon as one of these statements names them"

RULES: Final = {
    number: Rule(number, form, name, section, applied)
    for form, section, applied, names in (
        ("definition", "5", "normal_form", {
            1: "optional-identifiers", 2: "optional-attributes", 3: "definition-short-forms", 4: "optional-placeholders",
        }),
        ("inference", "5", _COMMUNICATION, {
            5: "communication-generation-use-inference", 6: "generation-use-communication-inference",
        }),
        ("inference", "5", "ordering", {
            7: "entity-generation-invalidation-inference", 8: "activity-start-end-inference",
        }),
        ("inference", "5", "normal_form", {9: "wasStartedBy-inference", 10: "wasEndedBy-inference"}),
        ("inference", "5", "normal_form", {11: "derivation-generation-use-inference"}),
        ("inference", "5", _ALTERNATE, {12: "revision-is-alternate-inference"}),
        ("inference", "5", "normal_form", {13: "attribution-inference", 14: "delegation-inference"}),
        ("inference", "5", "uniqueness", {15: "influence-inference"}),
        ("inference", "5", _ALTERNATE, {
            16: "alternate-reflexive", 17: "alternate-transitive", 18: "alternate-symmetric",
            20: "specialization-alternate-inference",
        }),
        ("inference", "5", "specialization", {
            19: "specialization-transitive", 21: "specialization-attributes-inference",
        }),
        ("constraint", "6.1", "uniqueness", {
            22: "key-object", 23: "key-properties", 24: "unique-generation", 25: "unique-invalidation", 26: "unique-wasStartedBy",
            27: "unique-wasEndedBy", 28: "unique-startTime", 29: "unique-endTime",
        }),
        ("constraint", "6.2", "ordering", {
            30: "start-precedes-end", 31: "start-start-ordering", 32: "end-end-ordering", 33: "usage-within-activity",
            34: "generation-within-activity", 35: "wasInformedBy-ordering", 36: "generation-precedes-invalidation",
            37: "generation-precedes-usage", 38: "usage-precedes-invalidation", 39: "generation-generation-ordering",
            40: "invalidation-invalidation-ordering", 41: "derivation-usage-generation-ordering",
            42: "derivation-generation-generation-ordering", 43: "wasStartedBy-ordering", 44: "wasEndedBy-ordering",
            45: "specialization-generation-ordering", 46: "specialization-invalidation-ordering",
            47: "wasAssociatedWith-ordering", 48: "wasAttributedTo-ordering", 49: "actedOnBehalfOf-ordering",
        }),
        ("constraint", "6.3", "impossibility", {50: "typing"}),
        ("constraint", "6.4", "normal_form", {51: "impossible-unspecified-derivation-generation-use"}),
        ("constraint", "6.4", "specialization", {52: "impossible-specialization-reflexive"}),
        ("constraint", "6.4", "impossibility", {
            53: "impossible-property-overlap", 54: "impossible-object-property-overlap", 55: "entity-activity-disjoint",
            56: "membership-empty-collection",
        }),
    )
    for number, name in names.items()
}  # fmt: skip
"""Every rule by its number."""

PLACEHOLDER: Final = "PROV-N 3 (a required part is missing)"
"""Title of what PROV-N's grammar demands and Definition 4 therefore cannot expand."""

UNIQUE_MENTION: Final = "PROV-LINKS (unique-mention)"
"""Title of the one constraint on `mentionOf`, which is not of PROV-CONSTRAINTS."""
