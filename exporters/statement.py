"""PROV statements as frozen values: the one stream that every format is written from.

Each class is one construct of PROV-DM. `keyword` is its name in PROV-N and PROV-JSON, `formal` lists its positional
parts in the order of PROV-N. Everything else a statement says is in `attributes`.

References:
    PROV-DM, https://www.w3.org/TR/prov-dm/; PROV-N, https://www.w3.org/TR/prov-n/
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec


class Name(str):
    """A qualified name `prefix:local`; both parts hold only letters, digits, hyphens and underscores."""

    __slots__ = ()


class Moment(str):
    """A moment as `xsd:dateTime` text: UTC, microseconds, 27 characters."""

    __slots__ = ()


class Day(str):
    """A day as `xsd:date` text: year, month and day."""

    __slots__ = ()


Value: TypeAlias = "Name | Moment | Day | str | bool | int | float"
Attributes: TypeAlias = tuple[tuple[Name, Value], ...]


# Statements hold text and tuples only, so the cycle collector need not look at the millions of them.
class Statement(msgspec.Struct, frozen=True, gc=False):
    """One statement.

    Attributes:
        id: Its name; relations that nothing refers to may have none.
    """

    keyword: ClassVar[str] = ""
    formal: ClassVar[tuple[tuple[str, str], ...]] = ()

    id: Name | None


class Bundle(Statement, frozen=True, gc=False):
    """Mark in the stream: all statements that follow belong to the bundle of this name (PROV-DM 5.4)."""

    keyword: ClassVar[str] = "bundle"


class Agent(Statement, frozen=True, gc=False):
    """A person or a program (PROV-DM 5.3.1)."""

    keyword: ClassVar[str] = "agent"

    attributes: Attributes = ()


class Entity(Statement, frozen=True, gc=False):
    """A thing: an artifact, a version of code, a place (PROV-DM 5.1.1)."""

    keyword: ClassVar[str] = "entity"

    attributes: Attributes = ()


class Activity(Statement, frozen=True, gc=False):
    """Something that went on for a time (PROV-DM 5.1.2)."""

    keyword: ClassVar[str] = "activity"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("start", "startTime"), ("end", "endTime"))

    start: Moment | None = None
    end: Moment | None = None
    attributes: Attributes = ()


class Generation(Statement, frozen=True, gc=False):
    """An activity completed an entity (PROV-DM 5.1.3)."""

    keyword: ClassVar[str] = "wasGeneratedBy"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("entity", "entity"), ("activity", "activity"), ("time", "time"))

    entity: Name
    activity: Name | None = None
    time: Moment | None = None
    attributes: Attributes = ()


class Invalidation(Statement, frozen=True, gc=False):
    """An activity ended an entity, which nothing can use any more (PROV-DM 5.1.8)."""

    keyword: ClassVar[str] = "wasInvalidatedBy"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("entity", "entity"), ("activity", "activity"), ("time", "time"))

    entity: Name
    activity: Name | None = None
    time: Moment | None = None
    attributes: Attributes = ()


class Usage(Statement, frozen=True, gc=False):
    """An activity began to make use of an entity (PROV-DM 5.1.4)."""

    keyword: ClassVar[str] = "used"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("activity", "activity"), ("entity", "entity"), ("time", "time"))

    activity: Name
    entity: Name
    time: Moment | None = None
    attributes: Attributes = ()


class Communication(Statement, frozen=True, gc=False):
    """An activity made use of something another activity produced (PROV-DM 5.1.5)."""

    keyword: ClassVar[str] = "wasInformedBy"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("informed", "informed"), ("informant", "informant"))

    informed: Name
    informant: Name
    attributes: Attributes = ()


class Association(Statement, frozen=True, gc=False):
    """An agent was responsible for an activity, following a plan (PROV-DM 5.3.3)."""

    keyword: ClassVar[str] = "wasAssociatedWith"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("activity", "activity"), ("agent", "agent"), ("plan", "plan"))

    activity: Name
    agent: Name | None = None
    plan: Name | None = None
    attributes: Attributes = ()


class Delegation(Statement, frozen=True, gc=False):
    """An agent acted on behalf of another in an activity (PROV-DM 5.3.4)."""

    keyword: ClassVar[str] = "actedOnBehalfOf"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (
        ("delegate", "delegate"),
        ("responsible", "responsible"),
        ("activity", "activity"),
    )

    delegate: Name
    responsible: Name
    activity: Name | None = None
    attributes: Attributes = ()


class Attribution(Statement, frozen=True, gc=False):
    """An entity is ascribed to an agent (PROV-DM 5.3.2)."""

    keyword: ClassVar[str] = "wasAttributedTo"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("entity", "entity"), ("agent", "agent"))

    entity: Name
    agent: Name
    attributes: Attributes = ()


class Derivation(Statement, frozen=True, gc=False):
    """An entity came of another one, or revises it (PROV-DM 5.2.1 and 5.2.2)."""

    keyword: ClassVar[str] = "wasDerivedFrom"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (
        ("generated_entity", "generatedEntity"),
        ("used_entity", "usedEntity"),
        ("activity", "activity"),
        ("generation", "generation"),
        ("usage", "usage"),
    )

    generated_entity: Name
    used_entity: Name
    activity: Name | None = None
    generation: Name | None = None
    usage: Name | None = None
    attributes: Attributes = ()


class Specialization(Statement, frozen=True, gc=False):
    """An entity is a more specific aspect of another one (PROV-DM 5.5.1)."""

    keyword: ClassVar[str] = "specializationOf"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (
        ("specific_entity", "specificEntity"),
        ("general_entity", "generalEntity"),
    )

    specific_entity: Name
    general_entity: Name
    # PROV-DM gives specialization neither an id nor attributes; the field is there for uniform writers.
    attributes: Attributes = ()


class Membership(Statement, frozen=True, gc=False):
    """An entity is a member of a collection (PROV-DM 5.6.2)."""

    keyword: ClassVar[str] = "hadMember"
    formal: ClassVar[tuple[tuple[str, str], ...]] = (("collection", "collection"), ("entity", "entity"))

    collection: Name
    entity: Name
    # As for specialization: PROV-DM gives membership neither an id nor attributes.
    attributes: Attributes = ()
