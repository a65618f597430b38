"""What a query is made of: plain values that hold columns and relations of `registry.py`, never a name that a user wrote."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from lineagelog.projections.registry import Registry
from lineagelog.projections.table import Scalar


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison of a column, or of a place inside a JSON column."""

    column: str
    operator: str
    values: tuple[Scalar, ...] = ()
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Join:
    """Nodes joined by `and` or `or`; without nodes, always true or never."""

    joiner: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The rows for which a node does not hold."""

    node: Node


@dataclass(frozen=True, slots=True)
class Related:
    """The rows with a related row for which a node holds."""

    registry: str
    relation: str
    node: Node


@dataclass(frozen=True, slots=True)
class Among:
    """The rows whose column is the id of a row of another query."""

    column: str
    query: Selection


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows with a value of a feature for which a node over the columns of `feature_values` holds."""

    feature: str
    node: Node


@dataclass(frozen=True, slots=True)
class Worded:
    """The rows that hold words.

    Attributes:
        words: For each the text that a word of the row begins with, and the uid that the row's may begin with instead, if any;
            each followed by the least text above all that begin so.
    """

    words: tuple[tuple[str, ...], ...]


Node: TypeAlias = "Compare | Join | Not | Related | Among | Measured | Worded"

ALWAYS: Final = Join("and", ())
NEVER: Final = Join("or", ())


@dataclass(frozen=True, slots=True)
class Order:
    """One key of the order.

    Attributes:
        relations: To-one relations that lead to the field; for a place, the registry and relation that it is a place of.
        column: The field; empty for the rank of a search and for a place.
        descending: Greatest first; rows without a value come last in either case.
        empty_first: Rows without a value come first, as in an order that was turned around.
        text: What was searched for, or the id of the record in whose relation the rows have places.
    """

    relations: tuple[str, ...]
    column: str
    descending: bool = False
    empty_first: bool = False
    text: str = ""

    def reversed(self) -> Order:
        """Turn it around."""
        return replace(self, descending=not self.descending, empty_first=not self.empty_first)


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of one registry, in an order.

    Attributes:
        registry: The registry.
        conditions: One node for each call of `filter` or `exclude`; all must hold.
        order: Keys of the order; rows that they leave equal come in the order of their positions.
        backward: The order of the positions is turned around.
        start: Rows to skip.
        count: Rows to keep at most.
        only_once: Leave repeated rows of chosen fields away.
        whole: Rows that the registry shows only to those who ask for them are there as well: the query starts at a record.
    """

    registry: Registry
    conditions: tuple[Node, ...] = ()
    order: tuple[Order, ...] = ()
    backward: bool = False
    start: int = 0
    count: int | None = None
    only_once: bool = False
    whole: bool = False

    def effective(self) -> tuple[Node, ...]:
        """Return the conditions, with those that the registry adds where the query does not name their fields."""
        registry = self.registry
        if self.whole or not (registry.unless_named or registry.left_out):
            return self.conditions
        own: dict[str, Node] = {
            column: Compare(column, "eq", (value,)) for column, value in registry.unless_named.items()
        }
        for column, values in registry.left_out.items():
            own[column] = Not(Join("or", tuple(Compare(column, "eq", (value,)) for value in values)))
        added = [
            node
            for column, node in own.items()
            if not any(_names(condition, registry, column) for condition in self.conditions)
        ]
        return (*self.conditions, *added)


def _names(node: Node, registry: Registry, column: str) -> bool:
    """Tell whether a condition is about a column of the queried rows themselves, not of related ones."""
    if isinstance(node, Compare):
        return node.column == column
    if isinstance(node, Join):
        return any(_names(inner, registry, column) for inner in node.nodes)
    if isinstance(node, Not):
        return _names(node.node, registry, column)
    # The rows of a slice, or those that another query chose by what they are.
    if isinstance(node, Among) and node.column == "id" and node.query.registry is registry:
        return node.query.whole or any(_names(inner, registry, column) for inner in node.query.conditions)
    return False
