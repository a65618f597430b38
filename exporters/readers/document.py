"""A PROV document as it was read: statements with their names resolved, for the toplevel and for each bundle.

References:
    PROV-DM, https://www.w3.org/TR/prov-dm/; PROV-N, https://www.w3.org/TR/prov-n/ for the order of the parts
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from lineagelog.domain.errors import MalformedDocumentError

PROV: Final = "http://www.w3.org/ns/prov#"
XSD: Final = "http://www.w3.org/2001/XMLSchema#"
BLANK: Final = "_:"
"""Beginning of names that hold within one document only: they stand for something that exists and is not named."""

MAX_STATEMENTS: Final = 1_000_000
"""Statements beyond which a document is refused; the checks need about 2 KB of memory for each."""


class Parameter(NamedTuple):
    """One part of a statement.

    Attributes:
        name: Its name in PROV-DM, PROV-JSON and PROV-XML.
        role: What stands there: `entity`, `activity`, `agent`, `time`, `generation`, `usage`, `bundle` or `any`.
        required: Whether PROV-N demands a name there, rather than the marker `-`.
    """

    name: str
    role: str
    required: bool = False


class Kind(NamedTuple):
    """One kind of statement.

    Attributes:
        keyword: Its name in PROV-N, PROV-JSON and PROV-XML.
        parameters: Its parts, in the order of PROV-N.
        is_element: Whether it is an entity, activity or agent.
        has_id: Whether its statements can have names of their own.
    """

    keyword: str
    parameters: tuple[Parameter, ...]
    is_element: bool = False
    has_id: bool = True


_TIME: Final = Parameter("time", "time")

KINDS: Final = {
    kind.keyword: kind
    for kind in (
        Kind("entity", (), is_element=True),
        Kind("activity", (Parameter("startTime", "time"), Parameter("endTime", "time")), is_element=True),
        Kind("agent", (), is_element=True),
        Kind("wasGeneratedBy", (Parameter("entity", "entity", True), Parameter("activity", "activity"), _TIME)),
        Kind("used", (Parameter("activity", "activity", True), Parameter("entity", "entity"), _TIME)),
        Kind("wasInformedBy", (Parameter("informed", "activity", True), Parameter("informant", "activity", True))),
        Kind(
            "wasStartedBy",
            (
                Parameter("activity", "activity", True),
                Parameter("trigger", "entity"),
                Parameter("starter", "activity"),
                _TIME,
            ),
        ),
        Kind(
            "wasEndedBy",
            (
                Parameter("activity", "activity", True),
                Parameter("trigger", "entity"),
                Parameter("ender", "activity"),
                _TIME,
            ),
        ),
        Kind("wasInvalidatedBy", (Parameter("entity", "entity", True), Parameter("activity", "activity"), _TIME)),
        Kind(
            "wasDerivedFrom",
            (
                Parameter("generatedEntity", "entity", True),
                Parameter("usedEntity", "entity", True),
                Parameter("activity", "activity"),
                Parameter("generation", "generation"),
                Parameter("usage", "usage"),
            ),
        ),
        Kind("wasAttributedTo", (Parameter("entity", "entity", True), Parameter("agent", "agent", True))),
        Kind(
            "wasAssociatedWith",
            (Parameter("activity", "activity", True), Parameter("agent", "agent"), Parameter("plan", "entity")),
        ),
        Kind(
            "actedOnBehalfOf",
            (
                Parameter("delegate", "agent", True),
                Parameter("responsible", "agent", True),
                Parameter("activity", "activity"),
            ),
        ),
        Kind("wasInfluencedBy", (Parameter("influencee", "any", True), Parameter("influencer", "any", True))),
        Kind(
            "specializationOf",
            (Parameter("specificEntity", "entity", True), Parameter("generalEntity", "entity", True)),
            has_id=False,
        ),
        Kind(
            "alternateOf",
            (Parameter("alternate1", "entity", True), Parameter("alternate2", "entity", True)),
            has_id=False,
        ),
        Kind("hadMember", (Parameter("collection", "entity", True), Parameter("entity", "entity", True)), has_id=False),
        # Not of PROV-DM but of PROV-LINKS, https://www.w3.org/TR/prov-links/.
        Kind(
            "mentionOf",
            (
                Parameter("specificEntity", "entity", True),
                Parameter("generalEntity", "entity", True),
                Parameter("bundle", "bundle", True),
            ),
            has_id=False,
        ),
    )
}
"""Every kind of statement, by its keyword."""

SUBTYPES: Final = {
    "Person": "agent",
    "Organization": "agent",
    "SoftwareAgent": "agent",
    "Plan": "entity",
    "Collection": "entity",
    "EmptyCollection": "entity",
    "Bundle": "entity",
    "Revision": "wasDerivedFrom",
    "Quotation": "wasDerivedFrom",
    "PrimarySource": "wasDerivedFrom",
}
"""Types of PROV-DM that PROV-XML and PROV-O write as kinds of statements, with the kind each belongs to."""


# A document holds up to a million statements of plain text and tuples; the cycle collector need not look at them.
class Statement(msgspec.Struct, frozen=True, gc=False):
    """One statement.

    Attributes:
        kind: Keyword of its kind.
        id: Its name as a full IRI or a blank name; `None` if it has none.
        arguments: Full IRIs, blank names and times in the order of `KINDS`; `None` where nothing or `-` stands.
        types: Qualified names among its `prov:type` values, as full IRIs.
    """

    kind: str
    id: str | None
    arguments: tuple[str | None, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(slots=True)
class Document:
    """A PROV document.

    Attributes:
        toplevel: Statements outside all bundles.
        bundles: Statements of each bundle, by the name of the bundle.
        prefixes: Prefixes to shorten names by.
        notes: What was not read, and why.
        format: Format it was read from.
    """

    toplevel: list[Statement] = field(default_factory=list)
    bundles: dict[str, list[Statement]] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    format: str = ""
    max_statements: int = MAX_STATEMENTS
    n_statements: int = 0

    def add(self, bundle: str | None, statement: Statement) -> None:
        """Add a statement to a bundle, or to the toplevel.

        Raises:
            MalformedDocumentError: The document has too many statements.
        """
        self.n_statements += 1
        if self.n_statements > self.max_statements:
            raise MalformedDocumentError(
                f"the document holds more than {self.max_statements:,} statements, too many to check in memory; "
                "check a part of it, or raise the limit"
            )
        (self.toplevel if bundle is None else self.bundles.setdefault(bundle, [])).append(statement)

    def note(self, text: str) -> None:
        """Remember something that was not read; each text once."""
        self.notes[text] = None

    def short(self, name: str) -> str:
        """Shorten a full IRI by the longest prefix that fits."""
        best = max(
            (item for item in self.prefixes.items() if name.startswith(item[1]) and item[1]),
            key=lambda item: len(item[1]),
            default=None,
        )
        if best is None:
            return name
        return f"{best[0]}:{name[len(best[1]) :]}" if best[0] else name[len(best[1]) :]


class Names:
    """Resolves qualified names; a bundle's declarations stand before those of the document."""

    def __init__(self, outer: Names | None = None) -> None:
        self.prefixes: dict[str, str] = dict(outer.prefixes) if outer else {"prov": PROV, "xsd": XSD}
        self._known: dict[str, str] = {}

    def declare(self, prefix: str, iri: str) -> None:
        """Declare a prefix; the empty one is the default namespace."""
        self.prefixes[prefix] = iri
        self._known.clear()

    def with_missing(self, inner: Names) -> Names:
        """Return these names, and those of a bundle where these have none: by them the name of the bundle is resolved."""
        both = Names()
        both.prefixes = inner.prefixes | self.prefixes
        return both

    def resolve(self, name: str) -> str:
        """Return the full IRI of a qualified name.

        A name without prefix where no default namespace is declared stands for itself.

        Raises:
            MalformedDocumentError: The prefix is not declared.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        if name.startswith(BLANK):
            return name
        prefix, colon, local = name.partition(":")
        if not colon:
            iri = self.prefixes.get("", "") + name
        elif prefix in self.prefixes:
            iri = self.prefixes[prefix] + local
        elif local.startswith("//") or prefix == "urn":
            iri = name
        else:
            raise MalformedDocumentError(f"the prefix of the name {name!r} is not declared")
        self._known[name] = iri
        return iri


def combine(values: Iterable[tuple[str | None, ...]]) -> Iterable[tuple[str | None, ...]]:
    """Make one row of arguments for every choice among several values of each parameter.

    A parameter has one value in PROV-DM. Where a format allows more, each makes a statement of its own under the same name, and the
    key constraints then say whether they agree.
    """
    from itertools import product

    return product(*(choice or (None,) for choice in values))
