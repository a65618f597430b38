"""Lazy queries over a registry: nothing is read until the result is looked at."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from lineagelog.domain.artifact import DELETED, LIVE
from lineagelog.domain.errors import DomainError, MultipleRecordsError, RecordNotFoundError
from lineagelog.domain.ids import is_base62
from lineagelog.registries.frame import column_of
from lineagelog.registries.record import BaseRecord, to_python

if TYPE_CHECKING:
    import pandas as pd

    from lineagelog.projections.features import FeatureType
    from lineagelog.projections.query import Q, Query
    from lineagelog.projections.rows import RowDict
    from lineagelog.store import Store

R = TypeVar("R", bound=BaseRecord)

_SHOWN_MATCHES = 5
_SHOWN_NAMES = 20


class QuerySet(Generic[R]):
    """Records of a registry that meet conditions; every method that narrows it returns a new one."""

    def __init__(self, record_class: type[R], store: Store, query: Query | None = None) -> None:
        from lineagelog.projections.query import Query

        self._class = record_class
        self._store = store
        self._query = query if query is not None else Query(record_class.registry, features=self._features)
        self._asked = ""

    def filter(self, *conditions: Q, **fields: Any) -> QuerySet[R]:
        """Keep the records for which all conditions hold; see `BaseRecord.filter`."""
        return self._with(self._query.filter(*conditions, **fields)) if conditions or fields else self

    def exclude(self, *conditions: Q, **fields: Any) -> QuerySet[R]:
        """Keep the records for which the conditions do not all hold."""
        return self._with(self._query.exclude(*conditions, **fields))

    def search(self, text: str, *, limit: int | None = None) -> QuerySet[R]:
        """Keep the records whose names, keys or descriptions hold every word of a text, best match first.

        A word is found by its beginning, whatever its case: `atlas` and `tcell at` find `TcellAtlas2.csv`, `las` does not. Four
        or more characters also find the uids that begin with them. `filter(key__icontains="las")` finds any part of a field.

        Args:
            text: Words, separated by anything but letters and digits. Of a very long field the first 200 words are found.
            limit: At most so many records.
        """
        found = self._with(self._query.search(text))
        return found if limit is None else found[:limit]

    def order_by(self, *fields: str) -> QuerySet[R]:
        """Sort by fields; `-` before a name sorts downward."""
        return self._with(self._query.order_by(*fields))

    def distinct(self) -> QuerySet[R]:
        """Leave repeated records away; records never repeat, so this changes nothing and is there for habit."""
        return self

    def all(self) -> QuerySet[R]:
        """Return the same records."""
        return self

    def all_states(self) -> QuerySet[R]:
        """Show also artifacts that are in the trash or deleted, and logs and reports of runs; see `filter`."""
        return self._with(self._query.all_states())

    def get(self, uid: str | None = None, **fields: Any) -> R:
        """Find exactly one of the records; see `BaseRecord.get`."""
        if uid is None:
            return self.filter(**fields)._single(_criteria(fields), prefer_latest=True)
        criteria = f"the uid {uid!r}"
        if not isinstance(uid, str) or not is_base62(uid):
            raise RecordNotFoundError(self._class.__name__, criteria, "a uid holds only letters and digits")
        # A whole uid means one record, whatever has become of it.
        exact = self.all_states().filter(uid=uid, **fields)._rows(limit=1)
        if exact:
            return self._record(exact[0])
        return self.filter(uid__startswith=uid, **fields)._single(criteria, prefer_latest=True)

    def one(self) -> R:
        """Return the only record.

        Raises:
            RecordNotFoundError: There is none.
            MultipleRecordsError: There are several.
        """
        return self._single("the query", prefer_latest=False)

    def one_or_none(self) -> R | None:
        """Return the only record, or `None`.

        Raises:
            MultipleRecordsError: There are several.
        """
        rows = self._rows(limit=2)
        return self._single("the query", prefer_latest=False) if rows else None

    def first(self) -> R | None:
        """Return the first record, or `None`."""
        rows = self._rows(limit=1)
        return self._record(rows[0]) if rows else None

    def last(self) -> R | None:
        """Return the last record, or `None`."""
        rows = self._with(self._query.reverse())._rows(limit=1)
        return self._record(rows[0]) if rows else None

    def count(self) -> int:
        """Count the records."""
        sql, parameters = self._query.compile_count(self._store.log.database.dialect)
        ((count,),) = self._store.log.database.read(sql, parameters)
        return int(count)

    def exists(self) -> bool:
        """Tell whether there is any."""
        sql, parameters = self._query.compile_exists(self._store.log.database.dialect)
        ((exists,),) = self._store.log.database.read(sql, parameters)
        return bool(exists)

    def values(self, *fields: str) -> list[dict[str, Any]]:
        """Return fields of the records, also of related ones (`created_by__handle`), as dictionaries.

        Args:
            fields: Names of fields; all of the registry's own without arguments.

        Raises:
            UnknownFieldError: There is no such field.
        """
        names = fields or tuple(self._class.registry.fields)
        columns = [column_of(self._class.registry, name) for name in names]
        sql, parameters = self._query.compile(self._store.log.database.dialect, fields=tuple(names))
        rows = self._store.log.database.read(sql, parameters)
        return [
            {name: to_python(column.kind, value) for name, column, value in zip(names, columns, row, strict=True)}
            for row in rows
        ]

    def values_list(self, *fields: str) -> list[tuple[Any, ...]]:
        """Return fields of the records as tuples."""
        return [tuple(row.values()) for row in self.values(*fields)]

    def to_list(self, field: str | None = None) -> list[Any]:
        """Return the records, or one field of each, as a list."""
        return list(self) if field is None else [row[field] for row in self.values(field)]

    def lookup(self, field: str | None = None) -> Any:
        """Return an object with one attribute for each record, named after its field, for auto-complete.

        Names are made to Python's rules: lower case, other characters become `_`; of equal names the later get a number.
        In brackets the values themselves find their records: `ln.ULabel.lookup()["T cell"]`.

        Raises:
            UnknownFieldError: There is no such field.
        """
        registry = self._class.registry
        name = registry.column_of(field) if field is not None else registry.lookup_field
        attributes: dict[str, R] = {}
        values: dict[str, R] = {}
        for record in self:
            value = str(getattr(record, name) or "")
            # Of several records with one value the last is the latest version.
            values[value] = record
            base = re.sub(r"\W+", "_", value).strip("_").lower()
            if not base or base[0].isdigit() or keyword.iskeyword(base):
                base = f"_{base}"
            attribute, number = base, 2
            while attribute in attributes:
                attribute, number = f"{base}_{number}", number + 1
            attributes[attribute] = record
        return _Lookup(self._class.__name__, attributes, values)

    def to_dataframe(self, include: str | list[str] | None = None, *, limit: int | None = None) -> pd.DataFrame:
        """Return the records as a table.

        Args:
            include: Further columns over relations, such as `created_by__name`; a relation to several records, such as `ulabels`,
                gives lists. `features` adds a column for each feature of which any of the records has a value.
            limit: At most so many records.

        Returns:
            One row for each record, in the order of the query; the index is the uid. References to other records are given
            by the name people know: the handle of a user, the key of a transform, the uid of the rest.

        Raises:
            UnknownFieldError: There is no such field to include.
        """
        from lineagelog.registries.frame import read_frame

        extra = [include] if isinstance(include, str) else list(include or [])
        query = self._query if limit is None else self._query.slice(0, limit)
        with self._store.log.database.snapshot() as reader:
            return read_frame(reader, self._class.registry, query, extra)

    def df(self, include: str | list[str] | None = None) -> pd.DataFrame:
        """Older name of `to_dataframe`."""
        return self.to_dataframe(include)

    def delete(self, *, permanent: bool = False, storage: bool | None = None, reason: str | None = None) -> int:
        """Put all of these artifacts into the trash, or delete them for good, in one transaction; see `Artifact.delete`.

        Returns:
            Number of artifacts.

        Raises:
            DomainError: The records are no artifacts; other records are never deleted.
            ArtifactStateError: One is in the trash already, or deleted; nothing was done.
        """
        from lineagelog.content import disposal

        ids = self._artifact_ids("deleted")
        disposal.check_options(permanent=permanent, storage=storage)
        if permanent:
            disposal.delete_for_good(self._store, ids, storage=storage, reason=reason)
        else:
            disposal.trash(self._store, ids, reason=reason)
        return len(ids)

    def restore(self, *, reason: str | None = None) -> int:
        """Take all of these artifacts out of the trash, in one transaction; see `Artifact.restore`.

        Returns:
            Number of artifacts.
        """
        from lineagelog.content import disposal

        ids = self._artifact_ids("restored")
        disposal.restore(self._store, ids, reason=reason)
        return len(ids)

    def _artifact_ids(self, what: str) -> list[str]:
        name = self._class.__name__
        if name != "Artifact":
            raise DomainError(f"records of {name} are history and cannot be {what}; only artifacts can")
        return [str(row["id"]) for row in self.values("id")]

    @property
    def query(self) -> Query:
        """The query behind the records."""
        return self._query

    def __iter__(self) -> Iterator[R]:
        return iter([self._record(row) for row in self._rows()])

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return self.exists()

    @overload
    def __getitem__(self, key: int) -> R: ...

    @overload
    def __getitem__(self, key: slice) -> QuerySet[R]: ...

    def __getitem__(self, key: int | slice) -> R | QuerySet[R]:
        if isinstance(key, slice):
            if (key.start or 0) < 0 or (key.stop is not None and key.stop < 0) or key.step not in (None, 1):
                raise ValueError("a query can be sliced from the front only, without a step; use order_by('-position')")
            start = key.start or 0
            count = None if key.stop is None else max(key.stop - start, 0)
            return self._with(self._query.slice(start, count))
        if key < 0:
            raise ValueError("a query has no negative indices; use last() or order_by('-position')")
        rows = self._with(self._query.slice(key, 1))._rows()
        if not rows:
            raise IndexError(f"the query has no record {key}")
        return self._record(rows[0])

    def __repr__(self) -> str:
        records = list(self[:10])
        more = ", …" if len(records) == 10 else ""
        return f"<QuerySet [{', '.join(map(repr, records))}{more}]>"

    def _repr_html_(self) -> str:
        return str(self.to_dataframe(limit=20).to_html())

    def _features(self) -> dict[str, FeatureType]:
        from lineagelog.projections.features import read_features

        return read_features(self._store.log.database)

    def _with(self, query: Query) -> QuerySet[R]:
        return QuerySet(self._class, self._store, query)

    def _record(self, row: RowDict) -> R:
        return self._class._from_row(self._store, row)

    def _rows(self, limit: int | None = None) -> list[RowDict]:
        query = self._query if limit is None else self._query.slice(0, limit)
        sql, parameters = query.compile(self._store.log.database.dialect)
        names = self._class.registry.table.names
        return [dict(zip(names, row, strict=True)) for row in self._store.log.database.read(sql, parameters)]

    def _single(self, criteria: str, *, prefer_latest: bool) -> R:
        rows = self._rows(limit=_SHOWN_MATCHES + 1)
        if len(rows) > 1 and prefer_latest and "is_latest" in rows[0]:
            latest = self.filter(is_latest=True)._rows(limit=_SHOWN_MATCHES + 1)
            found = self._rows() if len(latest) <= 1 else []
            if len({row["stem"] for row in found}) == 1:
                # The latest need not be among them: it may have another key by now, or all of them may lie in the trash.
                return self._record(latest[0] if latest else max(found, key=_standing))
            rows = latest or rows
        if not rows:
            raise RecordNotFoundError(self._class.__name__, criteria)
        if len(rows) > 1:
            from lineagelog.registries.description import line_of

            shown = [line_of(self._record(row)) for row in rows[:_SHOWN_MATCHES]]
            raise MultipleRecordsError(
                self._class.__name__, criteria, tuple(shown + ["…"] * (len(rows) > _SHOWN_MATCHES))
            )
        return self._record(rows[0])


def _standing(row: RowDict) -> tuple[bool, bool, int]:
    """Rank the versions of a family: live ones before those in the trash, those before deleted ones, then by number."""
    state = row.get("state", LIVE)
    return state == LIVE, state != DELETED, row["version_number"]


class _Lookup:
    """Records as attributes, and in brackets by the value of their field."""

    def __init__(self, registry: str, attributes: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self.__dict__.update(attributes)
        self._registry_name = registry
        self._values = values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(self._none_called(name, dir(self)))

    def __getitem__(self, value: str) -> Any:
        if value not in self._values:
            raise KeyError(self._none_called(value, list(self._values)))
        return self._values[value]

    def __dir__(self) -> list[str]:
        return [attribute for attribute in self.__dict__ if attribute not in ("_registry_name", "_values")]

    def __repr__(self) -> str:
        return f"<lookup of {len(dir(self))} {self._registry_name} records: {_some(dir(self))}>"

    def _none_called(self, name: str, choices: Sequence[str]) -> str:
        import difflib

        near = difflib.get_close_matches(name, choices, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return f"no {self._registry_name} is called {name!r}{hint}; there are: {_some(choices)}"


def _some(names: Sequence[str]) -> str:
    """List names, the first of many."""
    return ", ".join([*names[:_SHOWN_NAMES], *["…"] * (len(names) > _SHOWN_NAMES)]) or "none"


def _criteria(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in fields.items()) or "the query"
