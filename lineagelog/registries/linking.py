"""Links that people make and take back: labels and projects on artifacts, runs and collections, parents of labels and records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from lineagelog.domain.annotation import (
    LabelAttached,
    LabelDetached,
    ParentAdded,
    ParentRemoved,
    ProjectAssigned,
    ProjectUnassigned,
)
from lineagelog.domain.errors import InvalidValueError
from lineagelog.projections import schema
from lineagelog.projections.rows import find, find_in
from lineagelog.registries.queryset import QuerySet
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    import pandas as pd

    from lineagelog.domain.event import Event
    from lineagelog.projections.rows import Readable, RowDict
    from lineagelog.registries.entity import Record
    from lineagelog.registries.label import ULabel

R = TypeVar("R", bound=BaseRecord)
Label: TypeAlias = "ULabel | Record"

_KINDS: Final[Mapping[str, str]] = {"ULabel": "ulabel", "Record": "record", "Project": "project"}
"""Registry of what is put on a record, to the kind of the link."""


class LinkedSet(QuerySet[R]):
    """The records that are linked to one record: a query, to which records can be added and from which they can be removed."""

    _subject: BaseRecord
    _kind: str

    def add(self, records: R | Iterable[R], *, reason: str | None = None) -> None:
        """Link records; those that are linked already stay as they are, and nothing is recorded of them.

        Args:
            records: A saved record or several.
            reason: Why; kept with the change.
        """
        _change(self._subject, self._checked(records), self._kind, reason, add=True)

    def remove(self, records: R | Iterable[R], *, reason: str | None = None) -> None:
        """Take links back; of records that are not linked nothing is recorded.

        Args:
            records: A saved record or several.
            reason: Why; kept with the change.
        """
        _change(self._subject, self._checked(records), self._kind, reason, add=False)

    def _checked(self, records: R | Iterable[R]) -> list[BaseRecord]:
        return _accept(self._subject, records, (self._class.registry.name,))


def linked(subject: BaseRecord, registry: str, condition: Mapping[str, Any], kind: str) -> LinkedSet[Any]:
    """Return the records of a registry that are linked to a record.

    Args:
        subject: What they are linked to.
        registry: Name of their registry.
        condition: The relation back to the subject, as a condition of a query.
        kind: Kind of the link.
    """
    subject._need_saved(f"{kind}s")
    bound = subject.store._registry(registry)
    found: LinkedSet[Any] = LinkedSet(bound, subject.store, bound.filter(**condition).query)
    found._subject, found._kind = subject, kind
    return found


class Labels:
    """All labels of an artifact, run or collection, from both registries of labels: `ULabel` and `Record`."""

    def __init__(self, subject: BaseRecord) -> None:
        self._subject = subject

    def add(self, labels: Label | Iterable[Label], *, reason: str | None = None) -> None:
        """Put labels on the record; one event each, none for those that are there already.

        Args:
            labels: A saved `ULabel` or `Record`, or several.
            reason: Why; kept with the change.

        Raises:
            InvalidValueError: A label is a type, or of another store.
            UnsavedRecordError: A label or the record is not saved.
        """
        _change(self._subject, self._checked(labels), "", reason, add=True)

    def remove(self, labels: Label | Iterable[Label], *, reason: str | None = None) -> None:
        """Take labels off; nothing is recorded of those that are not there.

        Args:
            labels: A saved `ULabel` or `Record`, or several.
            reason: Why; kept with the change.
        """
        _change(self._subject, self._checked(labels), "", reason, add=False)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the labels as a table: `registry`, `name`, `type`, `description`; the index is the uid."""
        import pandas as pd

        rows = []
        for label in self:
            kind = label.type
            rows.append(
                (label.uid, label.registry.name, label.name, kind.name if kind is not None else None, label.description)
            )
        columns = ["uid", "registry", "name", "type", "description"]
        return pd.DataFrame(rows, columns=columns, dtype=object).set_index("uid")

    def _checked(self, labels: Label | Iterable[Label]) -> list[BaseRecord]:
        return _accept(self._subject, labels, ("ULabel", "Record"))

    def __iter__(self) -> Iterator[Label]:
        subject: Any = self._subject
        yield from subject.ulabels
        yield from subject.records

    def __len__(self) -> int:
        subject: Any = self._subject
        return len(subject.ulabels) + len(subject.records)

    def __contains__(self, label: object) -> bool:
        return any(label == own for own in self)

    def __repr__(self) -> str:
        return f"<Labels [{', '.join(label.name for label in self)}]>"


def _accept(subject: BaseRecord, records: Any, registries: tuple[str, ...]) -> list[BaseRecord]:
    """Check what is to be linked."""
    subject._need_saved("links")
    given = [records] if isinstance(records, BaseRecord) or not isinstance(records, Iterable) else records
    expected = " or ".join(f"ln.{name}" for name in registries)
    if isinstance(given, str):
        raise TypeError(
            f"the text {given!r} is no record; find it first: {expected.replace(' or ', '.get(name=…) or ')}.get(name=…)"
        )
    accepted = []
    for record in given:
        if not isinstance(record, BaseRecord) or record.registry.name not in registries:
            raise TypeError(f"{record!r} is no record of {expected}")
        record._need_saved("links")
        subject._need_same_store(record, f"the {record.registry.name} {record.uid}")
        accepted.append(record)
    return accepted


def _change(subject: BaseRecord, targets: Sequence[BaseRecord], kind: str, reason: str | None, *, add: bool) -> None:
    """Append an event for each target whose link is to be made or taken back."""
    database = subject.store.log.database
    for target in targets:
        if add and kind != "parent" and getattr(target, "is_type", False):
            raise InvalidValueError(
                f"the {target.registry.name} {target.uid}", "is a type; put one of its instances on the record instead"
            )

    def check_no_cycle(reader: Readable) -> None:
        for target in targets:
            _check_no_cycle(reader, subject, target)

    def decide(_: RowDict) -> list[Event]:
        present = {(row["kind"], row["target_id"]) for row in find(database, schema.LINKS, source_id=subject.id)}
        wanted = {(kind or _KINDS[target.registry.name], target.id): target for target in targets}
        return [_fact(subject, target, link, add=add) for (link, target_id), target in wanted.items()
                if ((link, target_id) in present) != add]  # fmt: skip

    # The streams of other records are free to other writers, so only a look under the lock can tell.
    guard = check_no_cycle if add and kind == "parent" else None
    subject.store.append_all_next(subject.registry.table, subject.id, decide, reason=reason, guard=guard)


def _fact(subject: BaseRecord, target: BaseRecord, kind: str, *, add: bool) -> Event:
    name = subject.registry.name
    if kind == "parent":
        return ParentAdded(parent=target.id, registry=name) if add else ParentRemoved(parent=target.id, registry=name)
    if kind == "project":
        assigned = ProjectAssigned if add else ProjectUnassigned
        return assigned(project=target.id, subject=name)
    attached = LabelAttached if add else LabelDetached
    return attached(label=target.id, registry=target.registry.name, subject=name)


def _check_no_cycle(reader: Readable, child: BaseRecord, parent: BaseRecord) -> None:
    if child.id == parent.id or child.id in _ancestors(reader, parent):
        raise InvalidValueError(
            f"the parent {getattr(parent, 'name', parent.uid)!r}",
            f"descends from {getattr(child, 'name', child.uid)!r} or is the same; nothing can be its own ancestor",
        )


def _ancestors(reader: Readable, record: BaseRecord) -> set[str]:
    """Find the ids of all above a record, one statement for each generation."""
    found: set[str] = set()
    generation = {record.id}
    while generation:
        rows = find_in(reader, schema.LINKS, "source_id", sorted(generation), kind="parent")
        generation = {row["target_id"] for row in rows} - found
        found |= generation
    return found
