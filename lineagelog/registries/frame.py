"""Records as a table of pandas: one row for each, values as people read them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from lineagelog.domain.errors import UnknownFieldError
from lineagelog.projections.rows import find_in
from lineagelog.projections.schema import FEATURES
from lineagelog.registries.record import to_python

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from lineagelog.projections.query import Query
    from lineagelog.projections.reader import Reader
    from lineagelog.projections.registry import Registry
    from lineagelog.projections.table import Column, Kind

_NAMES: Final = frozenset(("key", "name", "handle", "root"))
_REFERRED_BY: Final = {"User": "handle", "Transform": "key", "ULabel": "name", "Record": "name"}


def read_frame(reader: Reader, registry: Registry, query: Query, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Read the records that a query finds; see `QuerySet.to_dataframe`.

    Args:
        reader: One view of the database, so that all columns are of one moment.
        registry: What is queried.
        query: Which records.
        extra: Further columns over relations, and `features` for one column for each feature.

    Raises:
        UnknownFieldError: There is no such field.
    """
    import pandas as pd

    # A column such as `run_id` is shown as the relation `run`, by a field of the related record.
    shown: dict[str, str] = {}
    # What people know a record by comes first: of a wide table little more is seen.
    for name in sorted(registry.fields, key=lambda field: field not in _NAMES):
        if not name.endswith("_id"):
            shown[name] = name
        elif name.removesuffix("_id") in registry.relations:
            shown[name.removesuffix("_id")] = name
    paths = (*shown.values(), *(["id"] if extra else []))
    data = _read_columns(reader, query, paths)
    frame: dict[str, Any] = {}
    for label, path, values in zip(shown, paths, data, strict=False):
        column = column_of(registry, path)
        if label != column.name and label in registry.relations:
            names = _names(reader, registry.relations[label].target, set(values) - {None})
            frame[label] = _objects(list(map(names.get, values))) if names else values
        else:
            frame[label] = _converted(column.kind, values)
    for path in extra:
        ids = data[-1].tolist()
        if path == "features":
            for name, measured in _feature_columns(reader, ids).items():
                frame[name if name not in frame else f"{name} (feature)"] = measured
            continue
        related = query.related_values(reader, ids, path)
        frame[path] = pd.Series([related.get(record_id) for record_id in ids], dtype=object)
    uids = frame.pop("uid")
    table = pd.DataFrame(frame)
    table.index = pd.Index(uids, dtype=object, name="uid")
    return table


def column_of(registry: Registry, path: str) -> Column:
    """Find the column that a field, or a field over relations, means."""
    from lineagelog.projections.registry import REGISTRIES

    *relations, field = path.split("__")
    for name in relations:
        relation = registry.relations.get(name)
        if relation is None:
            raise UnknownFieldError(registry.name, name, tuple(registry.relations), "relation")
        registry = REGISTRIES[relation.target]
    return registry.table.column(registry.column_of(field))


def _read_columns(reader: Reader, query: Query, paths: Sequence[str]) -> list[npt.NDArray[np.object_]]:
    """Read one array for each field.

    Cells are put into place while the batch they came with is in the processor's cache; each further pass over all of them
    would take as long as a fifth of the query.
    """
    import numpy as np

    sql, parameters = query.compile(reader.dialect, fields=paths)
    cells = np.fromiter(chain.from_iterable(reader.stream(sql, parameters)), dtype=object)
    return list(cells.reshape(-1, len(paths)).T)


def _converted(kind: Kind, values: npt.NDArray[np.object_]) -> Any:
    import pandas as pd
    import pyarrow as pa

    if kind == "time":
        # All times are stored in one form, in UTC.
        moments = pa.array(values, pa.string()).cast(pa.timestamp("us", "UTC")).to_numpy(zero_copy_only=False)
        return pd.DatetimeIndex(moments).as_unit("ns").tz_localize("UTC").array
    if kind in ("int", "bool") and None not in values.tolist():
        return values.astype("bool" if kind == "bool" else "int64")
    if kind in ("bool", "json"):
        return pd.Series([to_python(kind, value) for value in values], dtype=object)
    return values


def _names(reader: Reader, registry: str, ids: Collection[str]) -> dict[str, str]:
    """Read what people call records, id to name: few are referred to by many, so that each is read once."""
    from lineagelog.projections.query import Query
    from lineagelog.projections.registry import REGISTRIES

    fields = ("id", _REFERRED_BY.get(registry, "uid"))
    query = Query(REGISTRIES[registry]).all_states().filter(id__in=sorted(ids))
    return dict(reader.read(*query.compile(reader.dialect, fields=fields))) if ids else {}


def _objects(values: Sequence[object]) -> npt.NDArray[np.object_]:
    """Make a column of texts, or of nothing, faster than pandas does, which looks at each value first."""
    import numpy as np

    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _feature_columns(reader: Reader, ids: Sequence[str]) -> dict[str, pd.Series]:
    """Read the feature values of records, feature name to a column; categories are given by name."""
    import pandas as pd

    from lineagelog.projections.features import read_values
    from lineagelog.projections.registry import REGISTRIES

    of_feature = read_values(reader, ids)
    columns: dict[str, pd.Series] = {}
    for feature in sorted(find_in(reader, FEATURES, "id", of_feature), key=lambda row: row["position"]):
        values = of_feature[feature["id"]]
        kind, _, category = feature["dtype"].removesuffix("]").partition("[")
        if category:
            rows = find_in(reader, REGISTRIES[category].table, "id", values.values())
            names = {row["id"]: row["name"] for row in rows}
            values = {subject: names[value] for subject, value in values.items()}
        complete = len(values) == len(ids)
        dtype = {
            "int": "int64" if complete else "Int64",
            "float": "float64",
            "num": "float64",
            "bool": "bool" if complete else "boolean",
        }.get(kind, "object")
        column = pd.Series([values.get(record_id) for record_id in ids], dtype=dtype)
        if kind in ("date", "datetime"):
            column = pd.to_datetime(column, utc=kind == "datetime", format="ISO8601")
        columns[feature["name"]] = column
    return columns
