"""What the records of all registries share: their fields, how they are found, how a change is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, overload

import msgspec

from lineagelog import current
from lineagelog.domain.errors import (
    ConcurrentWriteError,
    ImmutableFieldError,
    InvalidValueError,
    UnknownFieldError,
    UnsavedRecordError,
)
from lineagelog.domain.event import Change
from lineagelog.domain.ids import Id
from lineagelog.domain.redaction import redact_url
from lineagelog.domain.values import check_name, check_text, parse_time
from lineagelog.projections.registry import Registry, inverse
from lineagelog.projections.rows import RowDict, find_one
from lineagelog.projections.table import Kind, Table

if TYPE_CHECKING:
    import pandas as pd

    from lineagelog.projections.query import Q
    from lineagelog.registries.queryset import QuerySet
    from lineagelog.registries.user import User
    from lineagelog.store import Store

R = TypeVar("R", bound="BaseRecord")

_RETRIES: Final = 20

_MODULES: Final = {
    "User": "lineagelog.registries.user",
    "Storage": "lineagelog.registries.storage",
    "Transform": "lineagelog.registries.transform",
    "Run": "lineagelog.registries.run",
    "Artifact": "lineagelog.registries.artifact",
    "Collection": "lineagelog.registries.collection",
    "Feature": "lineagelog.registries.feature",
    "ULabel": "lineagelog.registries.label",
    "Record": "lineagelog.registries.entity",
    "Project": "lineagelog.registries.project",
}


def registry_class(name: str) -> type[BaseRecord]:
    """Return the class of a registry by its name."""
    return getattr(import_module(_MODULES[name]), name)  # type: ignore[no-any-return]


class _RegistryType(type):
    """Lets a registry class be iterated and sliced like a query of all its records, and be shown as what it is."""

    # Type checkers are to hold the arguments against the constructor of each class.
    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **options: Any) -> Any:
            """Make a record; wrong arguments are told by the name of the class, whichever class defines its constructor."""
            try:
                return super().__call__(*args, **options)
            except TypeError as exc:
                if exc.__traceback__ is None or exc.__traceback__.tb_next is not None:
                    raise
                # It comes from the call itself, before any line of the constructor.
                raise _wrong_arguments(cls, options, str(exc)) from None

    def __repr__(cls) -> str:
        return f"<registry {cls.__name__}>"

    def __iter__(cls: type[R]) -> Iterator[R]:  # type: ignore[misc]  # only registries are of this type
        return iter(cls.filter())

    @overload
    def __getitem__(cls: type[R], key: int) -> R: ...  # type: ignore[misc]

    @overload
    def __getitem__(cls: type[R], key: slice) -> QuerySet[R]: ...  # type: ignore[misc]

    def __getitem__(cls: type[R], key: int | slice) -> R | QuerySet[R]:  # type: ignore[misc]
        return cls.filter()[key]


def _wrong_arguments(cls: Any, options: Mapping[str, Any], text: str) -> TypeError:
    import difflib
    import inspect

    known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    wrong = next((name for name in options if name not in known), None)
    if wrong is None:
        return TypeError(f"{cls.__name__}{text[text.find('(') :]}; it takes: {', '.join(known)}")
    near = difflib.get_close_matches(wrong, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return TypeError(f"{cls.__name__}() takes no argument {wrong!r}{hint} It takes: {', '.join(known)}")


class BaseRecord(metaclass=_RegistryType):
    """A row of a registry.

    A record is made by its class and exists once `save()` has returned. Afterwards some fields can be assigned and saved again;
    every other field is history and refuses.
    """

    registry: ClassVar[Registry]
    _bound_store: ClassVar[Store | None] = None
    _updated: ClassVar[Any]

    store: Store
    id: Id
    uid: str
    created_at: Any

    _saved: bool
    _row: RowDict

    @classmethod
    def _store_of_class(cls) -> Store:
        return cls._bound_store if cls._bound_store is not None else current.current_store()

    @classmethod
    def filter(cls: type[R], *conditions: Q, **fields: Any) -> QuerySet[R]:
        """Find records by conditions on fields, written `field__lookup=value`; all must hold.

        Artifacts in the trash or deleted are left out of every query that starts here, unless a condition names `state`:
        `Artifact.filter(state="trashed")`; so are logs and reports of runs, unless one names `kind`. What starts at a record,
        such as `run.outputs` or `artifact.versions`, or leads over relations, such as `Run.filter(inputs__key="a.csv")`, is
        history and includes them.

        Args:
            conditions: `ln.Q` objects.
            fields: Field, or relation and field, with an optional lookup: `key__startswith="raw/"`,
                `transform__key__icontains="clean"`, `params__lr__gte=0.1`. A time may be given as a day, a month or a year,
                which mean all of it: `created_at__gte="2026-05"`, `created_at=2026`.

        Raises:
            UnknownFieldError: A field, relation or lookup does not exist.
        """
        from lineagelog.registries.queryset import QuerySet

        return QuerySet(cls, cls._store_of_class()).filter(*conditions, **fields)

    @classmethod
    def get(cls: type[R], uid: str | None = None, **fields: Any) -> R:
        """Find exactly one record, by its uid, the beginning of its uid, or by fields.

        Of a family of versions the latest that matches is taken, unless a full uid or a version is named. A full uid finds an
        artifact in the trash or deleted as well.

        Raises:
            RecordNotFoundError: None matches.
            MultipleRecordsError: More than one matches.
        """
        from lineagelog.registries.queryset import QuerySet

        return QuerySet(cls, cls._store_of_class()).get(uid, **fields)

    @classmethod
    def all(cls: type[R]) -> QuerySet[R]:
        """Return all records, in the order in which they were registered."""
        return cls.filter()

    @classmethod
    def exclude(cls: type[R], *conditions: Q, **fields: Any) -> QuerySet[R]:
        """Find the records for which the conditions do not all hold."""
        return cls.filter().exclude(*conditions, **fields)

    @classmethod
    def order_by(cls: type[R], *fields: str) -> QuerySet[R]:
        """Return all records, sorted by fields; `-` before a name sorts downward."""
        return cls.filter().order_by(*fields)

    @classmethod
    def distinct(cls: type[R]) -> QuerySet[R]:
        """Return all records; none is ever repeated."""
        return cls.filter().distinct()

    @classmethod
    def count(cls) -> int:
        """Count all records."""
        return cls.filter().count()

    @classmethod
    def exists(cls) -> bool:
        """Tell whether there is any record."""
        return cls.filter().exists()

    @classmethod
    def first(cls: type[R]) -> R | None:
        """Return the record that was registered first, or `None`."""
        return cls.filter().first()

    @classmethod
    def last(cls: type[R]) -> R | None:
        """Return the record that was registered last, or `None`."""
        return cls.filter().last()

    @classmethod
    def one(cls: type[R]) -> R:
        """Return the only record; see `QuerySet.one`."""
        return cls.filter().one()

    @classmethod
    def one_or_none(cls: type[R]) -> R | None:
        """Return the only record, or `None`; see `QuerySet.one_or_none`."""
        return cls.filter().one_or_none()

    @classmethod
    def values(cls, *fields: str) -> list[dict[str, Any]]:
        """Return fields of all records as dictionaries; see `QuerySet.values`."""
        return cls.filter().values(*fields)

    @classmethod
    def values_list(cls, *fields: str) -> list[tuple[Any, ...]]:
        """Return fields of all records as tuples."""
        return cls.filter().values_list(*fields)

    @classmethod
    def to_list(cls, field: str | None = None) -> list[Any]:
        """Return all records, or one field of each, as a list."""
        return cls.filter().to_list(field)

    @classmethod
    def _whole(cls: type[R]) -> QuerySet[R]:
        """Return all records, those included that queries leave out: what starts at a record shows history whole."""
        return cls.filter().all_states()

    @classmethod
    def search(cls: type[R], text: str, *, limit: int | None = None) -> QuerySet[R]:
        """Find records by words in their names, keys and descriptions, best match first; see `QuerySet.search`."""
        return cls.filter().search(text, limit=limit)

    @classmethod
    def lookup(cls, field: str | None = None) -> Any:
        """Return an object whose attributes are the records, for auto-complete."""
        return cls.filter().lookup(field)

    @classmethod
    def to_dataframe(cls, include: str | list[str] | None = None, *, limit: int | None = None) -> pd.DataFrame:
        """Return all records as a table, one row each, the index their uid."""
        return cls.filter().to_dataframe(include, limit=limit)

    @classmethod
    def df(cls, include: str | list[str] | None = None) -> pd.DataFrame:
        """Older name of `to_dataframe`."""
        return cls.to_dataframe(include)

    @classmethod
    def _from_row(cls: type[R], store: Store, row: RowDict) -> R:
        record = cls.__new__(cls)
        record._load(store, row)
        return record

    @classmethod
    def _from_id(cls: type[R], record_id: str | None) -> R:
        store = cls._store_of_class()
        row = find_one(store.log.database, cls.registry.table, id=record_id)
        if row is None:
            raise UnsavedRecordError(f"{cls.__name__} {record_id} is not in {store.name}")
        return cls._from_row(store, row)

    def _load(self, store: Store, row: RowDict) -> None:
        """Take over a row of the registry."""
        values = self.__dict__
        values.update(row)
        for name, kind in _converted(self.registry.table):
            values[name] = to_python(kind, values[name])
        values["store"] = store
        values["_saved"] = True
        values["_row"] = row

    def _begin(self) -> None:
        """Set up a record that is not saved yet."""
        self.__dict__["store"] = self._store_of_class()
        self.__dict__["_saved"] = False
        self.__dict__["_row"] = {}
        for name in self.registry.table.names:
            self.__dict__[name] = None

    def refresh(self: R) -> R:
        """Read the record again, with what others have changed since."""
        self._need_saved("refresh")
        row = find_one(self.store.log.database, self.registry.table, id=self.id)
        if row is None:
            raise UnsavedRecordError(f"{self!r} is not in {self.store.name} any more; run `prov verify`")
        self._load(self.store, row)
        return self

    def save(self: R, *, reason: str | None = None) -> R:
        """Save a new record, or the fields that were assigned since.

        Args:
            reason: Why; kept with what is recorded.

        Raises:
            ConcurrentWriteError: Another writer has changed the record since it was read.
        """
        if self._saved:
            self._save_changes(reason)
        else:
            with self.store.because(reason):
                self._save_new()
        return self

    def _save_new(self) -> None:
        raise NotImplementedError

    def _save_changes(self, reason: str | None) -> None:
        changes: dict[str, Change] = {}
        for name in self.registry.mutable:
            column = self.registry.table.column(name)
            value = self._check_field(name, getattr(self, name))
            old = to_python(column.kind, self._row[name])
            if value != old:
                changes[name] = Change(old=old, new=value)
        if not changes:
            return
        fact = self._updated(changes=changes)
        for attempt in range(_RETRIES):
            event = self.store.new_event(fact, self.id, self._row["revision"] + 1, reason=reason)
            try:
                self.store.append([event])
                break
            except ConcurrentWriteError as exc:
                row = find_one(self.store.log.database, self.registry.table, id=self.id)
                # What was put on the record meanwhile, such as a label, is no change of its fields.
                changed = row is None or any(row[name] != self._row[name] for name in self.registry.mutable)
                if row is None or changed or attempt == _RETRIES - 1:
                    raise ConcurrentWriteError(
                        f"{self!r} was changed by somebody else since it was read; nothing was recorded. "
                        "Call refresh() and make the change again"
                    ) from exc
                self._row = row
        self.refresh()

    def _check_field(self, name: str, value: Any) -> Any:
        """Check a value that was assigned to a field, and return its normal form."""
        if value is None:
            return None
        what = f"{type(self).__name__}.{name}"
        if name == "description":
            return check_text(value, what)
        return redact_url(check_name(value, what)) if name == "reference" else check_name(value, what)

    def _need_saved(self, call: str) -> None:
        if not self._saved:
            raise UnsavedRecordError(f"{type(self).__name__}.{call} needs a saved record; call save() first")

    def _need_same_store(self, other: BaseRecord, what: str) -> None:
        """Refuse a record of another store, whose id would mean nothing in this one.

        Raises:
            InvalidValueError: It belongs to another store.
        """
        if other.store.id != self.store.id:
            raise InvalidValueError(
                what, f"belongs to the store {other.store.name}, the {type(self).__name__} to {self.store.name}"
            )

    def __setattr__(self, name: str, value: Any) -> None:
        registry = self.registry
        attribute = getattr(type(self), name, None)
        if isinstance(attribute, property) and attribute.fset is None:
            raise AttributeError(
                f"{registry.name}.{name} cannot be assigned: it follows from what is recorded. Fields that can: "
                f"{', '.join(registry.mutable) or 'none'}; labels, projects, parents and features have methods to add and remove"
            )
        if name.startswith("_") or isinstance(attribute, property):
            object.__setattr__(self, name, value)
            return
        if name not in registry.table.names:
            raise UnknownFieldError(registry.name, name, tuple(registry.mutable))
        if self._saved and name not in registry.mutable:
            raise ImmutableFieldError(registry.name, name, tuple(registry.mutable))
        self.__dict__[name] = value

    # Type checkers are to know the declared attributes only, so that a misspelt one is an error to them.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return the records of a relation that the class has no property for: `label.artifacts`, `user.created_runs`."""
            relation = self.registry.relations.get(name) if not name.startswith("_") else None
            if relation is None:
                import difflib

                names = (*self.registry.choices, *(own for own in dir(type(self)) if not own.startswith("_")))
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}", name=name, obj=self)
            self._need_saved(name)
            target = self.store._registry(relation.target)
            if not relation.many:
                return target._from_id(self.__dict__[relation.column]) if self.__dict__[relation.column] else None
            return target.filter(**{inverse(self.registry, name): self})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseRecord) or self.registry is not other.registry:
            return NotImplemented
        return self is other or (self._saved and other._saved and self.id == other.id)

    def __hash__(self) -> int:
        return hash(self.id) if self._saved else id(self)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_short(value)}" for name, value in self._shown().items() if value is not None)
        return f"{type(self).__name__}({fields})"

    def _shown(self) -> Mapping[str, Any]:
        """Fields that stand in the short form of the record."""
        return {name: getattr(self, name) for name in self.registry.shown}

    @property
    def created_by(self) -> User | None:
        """The user who registered the record."""
        user_id = self.__dict__.get("created_by_id")
        return self.store.User._from_id(user_id) if user_id is not None else None

    def describe(self) -> None:
        """Print what is known of the record, as a tree."""
        from lineagelog.registries.description import describe

        describe(self)

    def history(self) -> Iterator[Any]:
        """Read the events about this record, oldest first."""
        self._need_saved("history")
        return self.store.events(stream=self.id)


@lru_cache
def _converted(table: Table) -> tuple[tuple[str, Kind], ...]:
    """List the columns whose stored form is not the one users see."""
    return tuple((column.name, column.kind) for column in table.columns if column.kind in ("time", "bool", "json"))


def to_python(kind: Kind, value: Any) -> Any:
    """Turn a stored value into what users see: aware datetimes, bools, plain JSON values."""
    if value is None:
        return None
    if kind == "time":
        return parse_time(value)
    if kind == "bool":
        return bool(value)
    if kind == "json":
        return msgspec.json.decode(value)
    return value


def _short(value: Any) -> str:
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M:%S UTC"))
    return repr(value)
