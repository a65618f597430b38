"""What labels, records, features and projects share: people define them once, by name, and find them again by it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from lineagelog import message
from lineagelog.domain.errors import ConstraintError, InvalidValueError
from lineagelog.domain.event import Event
from lineagelog.domain.ids import new_id, new_uid
from lineagelog.domain.redaction import redact_url
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.rows import RowDict, find_one
from lineagelog.registries.lineal import HierarchicalRecord
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    from lineagelog.registries.linking import LinkedSet
    from lineagelog.registries.queryset import QuerySet
    from lineagelog.store import Store

T = TypeVar("T", bound="TypedDefinition")

_RETRIES: Final = 20
_SIMILAR: Final = 0.85
_MAX_COMPARED: Final = 2000
_MAX_READ: Final = 10_000


class Definition(BaseRecord):
    """A named thing that others are described with.

    Attributes:
        name: Its name.
        description: Free text.
    """

    name: str
    description: str | None
    created_by_id: str | None
    updated_at: Any

    def _save_new(self) -> None:
        # Two processes may define the same name at once; the loser finds the winner's.
        for attempt in range(_RETRIES):
            existing = find_one(self.store.log.database, self.registry.table, **self._identity())
            if existing is not None:
                self._adopt(existing)
                return
            if attempt == 0:
                hint_similar(self.store, self.registry.name, "name", self.name)
            fact = self._defined(new_uid(self.registry.uid_length))
            try:
                (recorded,) = self.store.append([self.store.new_event(fact, new_id())])
            except ConstraintError as exc:
                conflict = exc
                continue
            self._load(self.store, inserted_row(recorded))
            return
        raise conflict

    def _identity(self) -> dict[str, Any]:
        """Return the columns by which a definition is found again."""
        return {"name": self.name}

    def _defined(self, uid: str) -> Event:
        raise NotImplementedError

    def _check_same(self, existing: RowDict) -> None:
        """Refuse an existing definition of the name that means something else."""

    def _adopt(self, existing: RowDict) -> None:
        """Become the record that exists, and say what was not taken over."""
        self._check_same(existing)
        given = {name: getattr(self, name) for name in self.registry.mutable}
        self._load(self.store, existing)
        ignored = [name for name, value in given.items() if value not in (None, []) and value != getattr(self, name)]
        text = f"using {self.registry.name}(uid={self.uid!r}, name={self.name!r}), which exists"
        if ignored:
            text += f"; it keeps its {', '.join(ignored)}: assign a new value and save() to change it"
        message.info(text)


class TypedDefinition(Definition, HierarchicalRecord):
    """A definition that can be an instance of a type, and have parents.

    Attributes:
        is_type: It groups others and is no instance itself.
        reference: URL or id elsewhere.
        reference_type: What `reference` is.
    """

    _fact: ClassVar[Any]

    is_type: bool
    type_id: str | None
    reference: str | None
    reference_type: str | None

    def __init__(
        self: T,
        name: str,
        *,
        type: T | None = None,  # noqa: A002 - the field's name
        is_type: bool = False,
        description: str | None = None,
        reference: str | None = None,
        reference_type: str | None = None,
    ) -> None:
        """Describe it; `save()` records it, or finds the one of this name and type that exists.

        Args:
            name: Its name, unique among those of its type.
            type: What it is an instance of: a saved record with `is_type=True`.
            is_type: It is a type, of which others are instances.
            description: Free text.
            reference: URL or id elsewhere.
            reference_type: What `reference` is.

        Raises:
            InvalidValueError: A text is not acceptable, or `type` is no type.
        """
        self._begin()
        kind = self.registry.name
        self.name = check_name(name, f"the name of the {kind}")
        if not isinstance(is_type, bool):
            raise TypeError(f"is_type is True or False, not {is_type!r}")
        self.is_type = is_type
        self.description = check_text(description, "the description") if description is not None else None
        self.reference = redact_url(check_name(reference, "the reference")) if reference is not None else None
        self.reference_type = check_name(reference_type, "the reference type") if reference_type is not None else None
        if type is not None:
            self._check_type(type)
            self.type_id = type.id

    def _check_type(self, given: object) -> None:
        kind = self.registry.name
        if not isinstance(given, TypedDefinition) or given.registry is not self.registry:
            raise TypeError(f"the type of a {kind} is a {kind} with is_type=True, not {given!r}")
        given._need_saved("type")
        self._need_same_store(given, "the type")
        if not given.is_type:
            raise InvalidValueError(
                "the type", f"{given.name!r} is no type; define it as one: ln.{kind}(name='…', is_type=True).save()"
            )

    def _identity(self) -> dict[str, Any]:
        return {"name": self.name, "type_key": self.type_id or ""}

    def _check_same(self, existing: RowDict) -> None:
        if bool(existing["is_type"]) != self.is_type:
            states = ("is a type", "is no type")
            raise ConstraintError(
                f"the {self.registry.name} {self.name!r} exists and {states[self.is_type]}; choose another name, or pass "
                f"is_type={bool(existing['is_type'])} to use it"
            )

    def _defined(self, uid: str) -> Event:
        fact: Event = self._fact(
            uid=uid,
            name=self.name,
            description=self.description,
            is_type=self.is_type,
            type=self.type_id,
            reference=self.reference,
            reference_type=self.reference_type,
        )
        return fact

    @property
    def type(self: T) -> T | None:
        """What it is an instance of."""
        registry: Any = self.store._registry(self.registry.name)
        found: T | None = registry._from_id(self.type_id) if self.type_id is not None else None
        return found

    @property
    def instances(self: T) -> QuerySet[T]:
        """Its instances, if it is a type."""
        self._need_saved("instances")
        registry: Any = self.store._registry(self.registry.name)
        found: QuerySet[T] = registry.filter(type=self)
        return found

    @property
    def parents(self: T) -> LinkedSet[T]:
        """Its parents; `parents.add(other)` and `parents.remove(other)` change them."""
        from lineagelog.registries.linking import linked

        return linked(self, self.registry.name, {"children": self}, "parent")

    @property
    def children(self: T) -> QuerySet[T]:
        """Those of which it is a parent."""
        self._need_saved("children")
        registry: Any = self.store._registry(self.registry.name)
        found: QuerySet[T] = registry.filter(parents=self)
        return found


def near_names(name: str, others: Iterable[str], *, count: int = 3, least: float = 0.6) -> list[str]:
    """Find the names most like a name, the nearest first; upper and lower case are alike.

    Args:
        name: The name.
        others: Names to compare it with.
        count: At most so many.
        least: Least likeness, from 0 to 1.
    """
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(autojunk=False)
    sought = name.casefold()
    matcher.set_seq2(sought)
    letters = set(sought)
    found = []
    for other in others:
        folded = other.casefold()
        # Letters that stand in one of the two alone match nothing; this and the two quick ones bound the ratio from above.
        if len(letters.symmetric_difference(folded)) > (1 - least) * (len(sought) + len(folded)):
            continue
        matcher.set_seq1(folded)
        if other != name and matcher.real_quick_ratio() > least and matcher.quick_ratio() > least:
            ratio = matcher.ratio()
            if ratio > least:
                found.append((-ratio, other))
    return [other for _, other in sorted(found)[:count]]


def hint_similar(
    store: Store, registry: str, field: str, name: str, *, start: str = "", end: str = "", least: float = _SIMILAR
) -> None:
    """Point out that something with nearly the same name exists: one query, over the newest names of about this length.

    Args:
        store: Where to look.
        registry: Name of the registry.
        field: Its field that holds the name.
        name: The name.
        start: Only names that begin with this are compared, by what follows.
        end: Only names that end with this are compared, by what comes before.
        least: Least likeness, from 0 to 1.
    """
    if not message.would_say(message.INFO):
        return
    from lineagelog.projections.registry import REGISTRIES

    table = REGISTRIES[registry].table
    column = table.column(field).name
    around = len(start) + len(end)
    # Texts that differ more than this in length cannot be that similar.
    shortest, longest = int((len(name) - around) * 0.7) + around, int((len(name) - around) * 1.4) + 1 + around
    rows = store.log.database.read(
        f"SELECT {column}, uid FROM "  # noqa: S608 - names from the schema only
        f"(SELECT {column}, uid, position FROM {table.name} ORDER BY position DESC LIMIT {_MAX_READ}) AS newest "
        f"WHERE length({column}) BETWEEN ? AND ? AND substr({column}, 1, ?) = ? ORDER BY position DESC LIMIT {_MAX_COMPARED}",
        (shortest, longest, len(start), start),
    )
    uids = {
        str(other)[len(start) : len(other) - len(end)]: str(uid) for other, uid in reversed(rows) if other.endswith(end)
    }
    # Names that differ in their numbers alone, such as `replicate1` and `replicate_2`, are meant to be many.
    sought = name[len(start) : len(name) - len(end)]
    pattern = _pattern(sought)
    unnumbered = (other for other in uids if _pattern(other) != pattern or other.casefold() == sought.casefold())
    near = near_names(sought, unnumbered, count=1, least=least)
    if near:
        article = "an" if registry[0] in "AEIO" else "a"
        message.hint(
            f"{article} {registry} with a similar {field} exists: {f'{start}{near[0]}{end}'!r} (uid={uids[near[0]]!r})"
        )


def _pattern(name: str) -> str:
    return re.sub(r"[-_ ]?\d+", "", name.casefold())
