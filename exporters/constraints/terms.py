"""Terms of a normal form: constants, existential variables and the placeholder, merged as unification demands.

References:
    PROV-CONSTRAINTS 4 (substitution, unification and merging)
"""

from __future__ import annotations

import re
from typing import Final, NewType

Term = NewType("Term", int)

PLACEHOLDER: Final = Term(0)
"""The marker `-` where it cannot be expanded: it unifies with itself only (Definition 4)."""


class Terms:
    """All terms of one instance; a term is a number, and merged terms have one root.

    A class of merged terms holds at most one constant, which is its name.
    """

    def __init__(self) -> None:
        self._parents: list[Term] = [PLACEHOLDER]
        self._sizes: list[int] = [1]
        self._names: list[str | None] = ["-"]
        self._known: dict[tuple[str, str], Term] = {}

    def identifier(self, name: str) -> Term:
        """Return the term of an IRI: a constant; or of a blank name: an existential variable that occurs more than once."""
        return self._constant("id", name, None if name.startswith("_:") else name)

    def time(self, text: str) -> Term:
        """Return the term of a time; equal times written differently are one constant."""
        return self._constant("time", canonical_time(text), text)

    def variable(self) -> Term:
        """Return a new existential variable."""
        return self._new(None)

    def find(self, term: Term) -> Term:
        """Return the root of a term."""
        parents = self._parents
        while parents[term] != term:
            parents[term] = parents[parents[term]]
            term = parents[term]
        return term

    def name(self, term: Term) -> str | None:
        """Return the constant that a term is, `None` for a variable."""
        return self._names[self.find(term)]

    def merge(self, one: Term, other: Term) -> tuple[Term, Term] | None:
        """Unify two terms.

        Returns:
            The root that stays and the root that became part of it, which may be one; `None` if two constants differ.
        """
        keep, drop = self.find(one), self.find(other)
        if keep == drop:
            return keep, drop
        names = self._names
        if names[keep] is not None and names[drop] is not None:
            return None
        # The larger class keeps its root, so that no term changes its root more than log n times.
        if self._sizes[keep] < self._sizes[drop]:
            keep, drop = drop, keep
        self._parents[drop] = keep
        self._sizes[keep] += self._sizes[drop]
        names[keep] = names[keep] if names[keep] is not None else names[drop]
        return keep, drop

    def _constant(self, sort: str, key: str, name: str | None) -> Term:
        term = self._known.get((sort, key))
        if term is None:
            term = self._known[sort, key] = self._new(name)
        return term

    def _new(self, name: str | None) -> Term:
        term = Term(len(self._parents))
        self._parents.append(term)
        self._sizes.append(1)
        self._names.append(name)
        return term


_DATE_TIME: Final = re.compile(r"(-?\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d):(\d\d))?")


def canonical_time(text: str) -> str:
    """Write an `xsd:dateTime` so that equal moments are equal texts (XML Schema 1.0 part 2, 3.2.7.2); other text stays as it is."""
    from datetime import datetime, timedelta

    match = _DATE_TIME.fullmatch(text.strip())
    if match is None:
        return text.strip()
    year, month, day, hour, minute, second, fraction, zulu, sign, off_hours, off_minutes = match.groups()
    fraction = (fraction or "").rstrip("0")
    try:
        # 24:00:00 is the first moment of the next day.
        extra = timedelta(days=1) if hour == "24" else timedelta()
        moment = datetime(int(year), int(month), int(day), 0 if hour == "24" else int(hour), int(minute), int(second))
        moment += extra
        if sign:
            offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
            moment += offset if sign == "-" else -offset
    except (ValueError, OverflowError):
        return text.strip()
    zone = "Z" if zulu or sign else ""
    return f"{moment.isoformat()}{'.' if fraction else ''}{fraction}{zone}"


def is_moment(text: str) -> bool:
    """Tell an `xsd:dateTime` of the years 1 to 9999, whose canonical texts sort as the moments do."""
    return (
        _DATE_TIME.fullmatch(text.strip()) is not None and len(canonical_time(text).partition(".")[0].rstrip("Z")) == 19
    )
