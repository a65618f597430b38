"""Many statements of one kind at once, as columns: what mappings make of rows, and what writers make text of.

A store has millions of statements and few kinds of them. What all statements of a block say alike is worked out once, and a
column of values is checked and escaped as a whole, which is several times faster than one statement after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from operator import itemgetter
from typing import Any, TypeAlias

from lineagelog.exporters.statement import Attributes, Moment, Name, Statement, Value


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one slot, one for each statement of a block; `None` where a statement does not have it.

    This class is for values that say themselves what they are, its subclasses for those that are all of one kind.
    """

    values: Sequence[Any]

    def value(self, value: Any) -> Value:
        """Make one of the values that it stands for."""
        return value  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Names(Column):
    """Names of one prefix; the values are their local parts."""

    prefix: str

    def value(self, value: str) -> Name:
        """Put the prefix before a local part."""
        return Name(f"{self.prefix}:{value}")


@dataclass(frozen=True, slots=True)
class Texts(Column):
    """Texts."""


@dataclass(frozen=True, slots=True)
class Moments(Column):
    """Moments, as text of 27 characters."""

    def value(self, value: str) -> Moment:
        """Say that a text is a moment."""
        return Moment(value)


@dataclass(frozen=True, slots=True)
class Lists(Column):
    """Tuples of values: an attribute that a statement has several times."""


Filling: TypeAlias = "Column | Value"
"""What stands in one place of statements: a column, or what all statements of the block have there."""

Fillings: TypeAlias = "tuple[tuple[Name, Filling], ...]"
"""Attributes of statements."""

Slot: TypeAlias = "Filling | None"
"""What stands in one place, or nothing."""

Piece: TypeAlias = str | Sequence[str]
"""A piece of the text of statements: the same in all of them, or one for each."""


@dataclass(frozen=True, slots=True)
class Block:
    """Statements of one kind.

    Attributes:
        kind: Which.
        id: Their names.
        formal: What stands in their positional parts, in the order of `kind.formal`.
        attributes: What stands in their attributes.
    """

    kind: type[Statement]
    id: Slot = None
    formal: tuple[Slot, ...] = ()
    attributes: Fillings = ()

    @classmethod
    def of(cls, statement: Statement) -> Block:
        """Make a block of one statement."""
        formal = tuple(getattr(statement, field) for field, _ in statement.formal)
        return cls(type(statement), statement.id, formal, getattr(statement, "attributes", ()))

    @property
    def slots(self) -> Iterator[Slot]:
        """Every slot."""
        yield self.id
        yield from self.formal
        for _, slot in self.attributes:
            yield slot

    @property
    def size(self) -> int:
        """Number of statements; without any column it is one."""
        return next((len(slot.values) for slot in self.slots if isinstance(slot, Column)), 1)

    def statements(self) -> Iterator[Statement]:
        """Hand out the statements one by one, for whom they are few."""
        for place in range(self.size):
            attributes: Attributes = tuple(
                (name, value) for name, slot in self.attributes for value in _values(slot, place)
            )
            formal = (next(iter(_values(slot, place)), None) for slot in self.formal)
            fields: dict[str, Any] = dict(zip((field for field, _ in self.kind.formal), formal, strict=True))
            if attributes:
                fields["attributes"] = attributes
            yield self.kind(next(iter(_values(self.id, place)), None), **fields)  # type: ignore[arg-type]

    def alike(self) -> Iterator[tuple[Sequence[int], Block]]:
        """Split it into blocks in which all statements have the same slots, and no column a gap.

        A column of lists becomes as many columns as the lists are long.

        Yields:
            The places that the statements have in this block, and the block.
        """
        size = self.size
        gaps = [slot for slot in self.slots if isinstance(slot, Lists) or (isinstance(slot, Column) and _has_gap(slot))]
        places: dict[tuple[int, ...], list[int]] = {}
        # How often each statement has each of these slots.
        for place, shape in enumerate(zip(*[_lengths(slot) for slot in gaps], strict=True)):
            places.setdefault(shape, []).append(place)
        if not gaps:
            yield range(size), self
        for shape, chosen in places.items():
            take = _taker(chosen) if len(chosen) < size else None
            lengths = {id(slot): length for slot, length in zip(gaps, shape, strict=True)}
            filled = [_filled(slot, take, lengths.get(id(slot), 1)) for slot in self.slots]
            first = 1 + len(self.formal)
            names = (name for name, _ in self.attributes)
            attributes = [(name, slot) for name, slots in zip(names, filled[first:], strict=True) for slot in slots]
            id_, *formal = (next(iter(slots), None) for slots in filled[:first])
            yield chosen, replace(self, id=id_, formal=tuple(formal), attributes=tuple(attributes))


def texts(block: Block, write: Callable[[Block], Iterable[Piece]]) -> list[str]:
    """Write each statement of a block.

    Args:
        block: The statements.
        write: Writes statements that have the same slots.
    """
    written = [""] * block.size
    for places, alike in block.alike():
        lines = joined(write(alike), len(places))
        if len(places) == len(written):
            return lines
        for place, line in zip(places, lines, strict=True):
            written[place] = line
    return written


def joined(pieces: Iterable[Piece], size: int) -> list[str]:
    """Put the pieces of each statement together."""
    columns: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and columns and isinstance(columns[-1], str):
            columns[-1] += piece
        else:
            columns.append(piece)
    if all(isinstance(column, str) for column in columns):
        return ["".join(columns)] * size  # type: ignore[arg-type]
    # A tuple that is made of a generator is never taken from the tuples that CPython keeps for later, and yet added to them.
    rows = zip(*[repeat(column) if isinstance(column, str) else column for column in columns], strict=False)
    return list(map("".join, rows))


def escaped(values: Sequence[str], special: str, escape: Callable[[str], str]) -> Sequence[str]:
    """Escape the texts of a column, unless none of them needs it.

    Args:
        values: The texts.
        special: Printable characters that are to be escaped.
        escape: Escapes one text.
    """
    together = "".join(values)
    if together.isprintable() and not any(character in together for character in special):
        return values
    return [escape(value) for value in values]


def _values(slot: Slot, place: int) -> Iterable[Value]:
    if not isinstance(slot, Column):
        return () if slot is None else (slot,)
    value = slot.values[place]
    if value is None:
        return ()
    return value if isinstance(slot, Lists) else (slot.value(value),)


def _has_gap(column: Column) -> bool:
    return None in column.values


def _lengths(column: Column) -> list[int]:
    if isinstance(column, Lists):
        return [len(values) for values in column.values]
    return [value is not None for value in column.values]


def _taker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    if len(places) == 1:
        return lambda values: (values[places[0]],)
    return itemgetter(*places)


def _filled(slot: Slot, take: Callable[[Sequence[Any]], Sequence[Any]] | None, length: int) -> list[Filling]:
    """Cut a slot to the chosen statements, each of which has it so many times."""
    if slot is None or not length:
        return []
    if not isinstance(slot, Column):
        return [slot]
    values = slot.values if take is None else take(slot.values)
    if isinstance(slot, Lists):
        return [Column([several[number] for several in values]) for number in range(length)]
    return [slot if take is None else replace(slot, values=values)]
