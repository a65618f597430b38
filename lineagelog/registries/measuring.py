"""Values of features on artifacts, runs and collections: checked when they are set, given back as Python values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lineagelog.domain.annotation import (
    CATEGORICAL,
    CATEGORY_REGISTRIES,
    FeatureValuesRemoved,
    FeatureValuesSet,
    check_feature_value,
)
from lineagelog.domain.errors import MultipleRecordsError, RecordNotFoundError, UnsavedRecordError
from lineagelog.domain.event import Change
from lineagelog.domain.values import parse_time
from lineagelog.projections import schema
from lineagelog.projections.features import WITHOUT_VALUE
from lineagelog.projections.registry import REGISTRIES
from lineagelog.projections.rows import RowDict, find, find_in
from lineagelog.registries.definition import near_names
from lineagelog.registries.feature import Feature
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    import pandas as pd

    from lineagelog.domain.event import Event

_PYTHON_NAMES: Final = {
    bool: "bool",
    int: "int",
    float: "float",
    datetime: "datetime",
    date: "date",
    dict: "dict",
    list: "list",
}


class FeatureValues:
    """The values of features of one artifact, run or collection."""

    def __init__(self, subject: BaseRecord) -> None:
        subject._need_saved("features")
        self._subject = subject
        self._database = subject.store.log.database

    def add(self, features: str | Feature | Iterable[str | Feature], *, reason: str | None = None) -> None:
        """Say that the record has features, such as columns of a table, without a value; `add_values` sets values.

        Args:
            features: A feature or several, by name, synonym or record; nothing is recorded of those that it has already.
            reason: Why; kept with the change.

        Raises:
            RecordNotFoundError: There is no such feature.
        """
        wanted = self._ids(features)

        def decide(_: RowDict) -> Event | None:
            there = self._stored(wanted)
            changes = {feature_id: Change(old=None, new=None) for feature_id in wanted if feature_id not in there}
            return FeatureValuesSet(values=changes, subject=self._subject.registry.name) if changes else None

        self._subject.store.append_next(self._subject.registry.table, self._subject.id, decide, reason=reason)

    def add_values(self, values: Mapping[str | Feature, Any], *, reason: str | None = None) -> None:
        """Set values, in place of those that are there; one event with old and new values, none if nothing changes.

        Args:
            values: Feature, by name, synonym or record, to its value. Dates and times may be ISO 8601 text; the value of a
                feature `cat[ULabel]` or `cat[Record]` is such a record, its name, or its uid.
            reason: Why; kept with the change.

        Raises:
            RecordNotFoundError: There is no such feature, or no such category.
            InvalidValueError: A value is not of the feature's type.
        """
        if not isinstance(values, Mapping):
            raise TypeError(
                f"add_values() takes a dictionary of features to values, not {type(values).__name__}; features without a value are "
                "put on by add()"
            )
        plain: dict[str, Any] = {}
        for feature, value in self._resolve(values).values():
            category = _registry_of(feature["dtype"])
            if category is not None:
                value = self._category(feature, category, value)
            plain[feature["id"]] = check_feature_value(feature["name"], feature["dtype"], value)

        def decide(_: RowDict) -> Event | None:
            old = self._stored(list(plain))
            changes = {
                feature_id: Change(old=_decoded(old.get(feature_id)), new=new)
                for feature_id, new in plain.items()
                if msgspec.json.encode(new).decode() != old.get(feature_id)
            }
            return FeatureValuesSet(values=changes, subject=self._subject.registry.name) if changes else None

        self._subject.store.append_next(self._subject.registry.table, self._subject.id, decide, reason=reason)

    def get_values(self, features: str | Feature | Iterable[str | Feature] | None = None) -> dict[str, Any]:
        """Return the values by the names of their features, in the order in which they were set.

        Dates and times are Python's, times aware; categories of a registry are given by name.

        Args:
            features: A feature or several, by name, synonym or record; all that have a value by default.

        Raises:
            RecordNotFoundError: There is no such feature.
        """
        wanted = None if features is None else self._ids(features)
        return {
            feature["name"]: value
            for feature, value in self._read()
            if value is not None and (wanted is None or feature["id"] in wanted)
        }

    def _read(self) -> list[tuple[RowDict, Any]]:
        """Read the features that the record has, each with its value or `None`."""
        rows = find(self._database, schema.FEATURE_VALUES, subject_id=self._subject.id)
        rows.sort(key=lambda row: (row["position"], row["place"]))
        features = {
            row["id"]: row
            for row in find_in(self._database, schema.FEATURES, "id", [row["feature_id"] for row in rows])
        }
        names = self._category_names(rows, features)
        return [
            (features[row["feature_id"]], _to_python(features[row["feature_id"]]["dtype"], row, names)) for row in rows
        ]

    def remove_values(
        self, features: str | Feature | Iterable[str | Feature] | None = None, *, reason: str | None = None
    ) -> None:
        """Take features off, with their values; one event with the values that were there, none if there were none.

        Args:
            features: A feature or several, by name, synonym or record; all by default.
            reason: Why; kept with the change.

        Raises:
            RecordNotFoundError: There is no such feature.
        """
        wanted = None if features is None else self._ids(features)

        def decide(_: RowDict) -> Event | None:
            changes = {
                feature_id: Change(old=_decoded(value), new=None) for feature_id, value in self._stored(wanted).items()
            }
            return FeatureValuesRemoved(values=changes, subject=self._subject.registry.name) if changes else None

        self._subject.store.append_next(self._subject.registry.table, self._subject.id, decide, reason=reason)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the features as a table: `dtype`, `unit`, `value`; the index is the name of the feature."""
        import pandas as pd

        data = [(feature["name"], feature["dtype"], feature["unit"], value) for feature, value in self._read()]
        return pd.DataFrame(data, columns=["feature", "dtype", "unit", "value"], dtype=object).set_index("feature")

    def __getitem__(self, name: str) -> Any:
        return self.get_values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.get_values())

    def __len__(self) -> int:
        return len(self.get_values())

    def __repr__(self) -> str:
        return f"<FeatureValues {self.get_values()!r}>"

    def _ids(self, features: str | Feature | Iterable[str | Feature]) -> list[str]:
        given = [features] if isinstance(features, str | Feature) else list(features)
        return list(self._resolve(dict.fromkeys(given)))

    def _resolve(self, given: Mapping[str | Feature, Any]) -> dict[str, tuple[RowDict, Any]]:
        """Find the features that are meant, and put them with what was given: feature id to both."""
        names = [key for key in given if isinstance(key, str)]
        by_name = {row["name"]: row for row in find_in(self._database, schema.FEATURES, "name", names)}
        unknown = [name for name in names if name not in by_name]
        if unknown:
            by_name |= self._by_synonym(unknown, given)
        resolved: dict[str, tuple[RowDict, Any]] = {}
        for key, value in given.items():
            if isinstance(key, str):
                row = by_name[key]
            elif isinstance(key, Feature):
                if not key._saved:
                    raise UnsavedRecordError(f"the feature {key.name!r} is not saved; call save() first")
                self._subject._need_same_store(key, f"the feature {key.name!r}")
                row = key._row
            else:
                raise TypeError(f"{key!r} is no feature; name one, or pass a Feature")
            if row["id"] in resolved:
                raise TypeError(f"the feature {row['name']!r} is named twice")
            resolved[row["id"]] = row, value
        return resolved

    def _by_synonym(self, unknown: list[str], given: Mapping[str | Feature, Any]) -> dict[str, RowDict]:
        rows = find(self._database, schema.FEATURES)
        synonyms = {synonym: row for row in rows for synonym in msgspec.json.decode(row["synonyms"])}
        missing = [name for name in unknown if name not in synonyms]
        if missing:
            name = missing[0]
            near = near_names(name, [*(row["name"] for row in rows), *synonyms])
            meant = f"did you mean {' or '.join(map(repr, near))}? If not, " if near else ""
            dtype = next((text for kind, text in _PYTHON_NAMES.items() if isinstance(given[name], kind)), "str")
            raise RecordNotFoundError(
                "Feature",
                f"the name{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}",
                f"{meant}define it: ln.Feature(name={name!r}, dtype={dtype}).save()",
            )
        return {name: synonyms[name] for name in unknown}

    def _stored(self, feature_ids: list[str] | None) -> dict[str, str]:
        """Read the present values of some features, or of all, as JSON text."""
        if feature_ids is None:
            rows = find(self._database, schema.FEATURE_VALUES, subject_id=self._subject.id)
            return {row["feature_id"]: row["value"] for row in rows}
        rows = find_in(self._database, schema.FEATURE_VALUES, "feature_id", feature_ids, subject_id=self._subject.id)
        values = {row["feature_id"]: row["value"] for row in rows}
        return {feature_id: values[feature_id] for feature_id in feature_ids if feature_id in values}

    def _category(self, feature: RowDict, registry: str, value: object) -> object:
        """Find the id of the record that is meant by a category."""
        if isinstance(value, BaseRecord):
            if value.registry.name != registry:
                raise TypeError(f"a value of {feature['name']!r} is a {registry}, not {value!r}")
            value._need_saved("features")
            self._subject._need_same_store(value, f"the value of {feature['name']!r}")
            return value.id
        if not isinstance(value, str):
            raise TypeError(f"a value of {feature['name']!r} is a {registry}, its name or its uid, not {value!r}")
        table = REGISTRIES[registry].table
        rows = find(self._database, table, name=value) or find(self._database, table, uid=value)
        if not rows:
            names = [str(name) for (name,) in self._database.read(f"SELECT name FROM {table.name}")]  # noqa: S608 - a name from the schema
            near = near_names(value, names)
            meant = f"did you mean {' or '.join(map(repr, near))}? If not, " if near else ""
            raise RecordNotFoundError(
                registry,
                f"the value {value!r} of the feature {feature['name']!r}",
                f"{meant}define it: ln.{registry}(name={value!r}).save()",
            )
        if len(rows) > 1:
            uids = tuple(f"{registry}(uid={row['uid']!r})" for row in rows)
            raise MultipleRecordsError(registry, f"the value {value!r} of the feature {feature['name']!r}", uids)
        return rows[0]["id"]

    def _category_names(self, rows: list[RowDict], features: Mapping[str, RowDict]) -> dict[str, str]:
        """Read the names of the records that are values: id to name, one statement for each registry."""
        wanted: dict[str, list[str]] = {}
        for row in rows:
            registry = _registry_of(features[row["feature_id"]]["dtype"])
            if registry is not None and row["value"] != WITHOUT_VALUE:
                wanted.setdefault(registry, []).append(row["text_value"])
        return {
            found["id"]: found["name"]
            for registry, ids in wanted.items()
            for found in find_in(self._database, REGISTRIES[registry].table, "id", ids)
        }


def _registry_of(dtype: str) -> str | None:
    """Return the registry whose records are the values, `None` if they are plain values."""
    registry = dtype.removeprefix(f"{CATEGORICAL}[").removesuffix("]")
    return registry if dtype.startswith(f"{CATEGORICAL}[") and registry in CATEGORY_REGISTRIES else None


def _decoded(text: str | None) -> Any:
    return msgspec.json.decode(text) if text is not None else None


def _to_python(dtype: str, row: RowDict, names: Mapping[str, str]) -> Any:
    value = msgspec.json.decode(row["value"])
    if value is None:
        return None
    if dtype == "date":
        return date.fromisoformat(value)
    if dtype == "datetime":
        return parse_time(value)
    return names[value] if _registry_of(dtype) is not None else value
