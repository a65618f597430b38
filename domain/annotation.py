"""Events about annotations: labels, records, features and projects, and their use on artifacts, runs and collections.

A definition is an event of the defined record's own stream. An annotation is an event in the stream of the record it is put on.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.event import Change, Event, recorded_as
from lineagelog.domain.values import check_json, check_text, time_text

if TYPE_CHECKING:
    from lineagelog.domain.values import Json

CATEGORICAL: Final = "cat"
DTYPES: Final = ("int", "float", "num", "str", "bool", "date", "datetime", "dict", "list", CATEGORICAL)
"""Types of feature values; `cat[ULabel]` and `cat[Record]` name a registry whose records are the values."""

CATEGORY_REGISTRIES: Final = ("ULabel", "Record")
SUBJECTS: Final = ("Artifact", "Run", "Collection")
"""Registries whose records can be annotated."""

_PYTHON_TYPES: Final[dict[object, str]] = {
    int: "int", float: "float", str: "str", bool: "bool", dict: "dict", list: "list", date: "date", datetime: "datetime",
}  # fmt: skip


@recorded_as("label.defined.1")
class LabelDefined(Event, frozen=True):
    """A label was defined.

    Attributes:
        uid: Short name.
        name: Name of the label.
        description: Free text.
        is_type: It groups other labels and is not put on anything itself.
        type: Id of the label that groups it.
        reference: URL or id elsewhere.
        reference_type: What `reference` is.
    """

    uid: str
    name: str
    description: str | None = None
    is_type: bool = False
    type: str | None = None
    reference: str | None = None
    reference_type: str | None = None


@recorded_as("label.updated.1")
class LabelUpdated(Event, frozen=True):
    """Details of a label changed; old and new value of each."""

    changes: dict[str, Change]


@recorded_as("record.defined.1")
class RecordDefined(Event, frozen=True):
    """A record was defined: a sample, an instrument, a treatment, or whatever an experiment is about.

    Attributes:
        uid: Short name.
        name: Name of the record.
        description: Free text.
        is_type: It is a type, such as `Sample`, of which others are instances.
        type: Id of its type.
        reference: URL or id elsewhere.
        reference_type: What `reference` is.
    """

    uid: str
    name: str
    description: str | None = None
    is_type: bool = False
    type: str | None = None
    reference: str | None = None
    reference_type: str | None = None


@recorded_as("record.updated.1")
class RecordUpdated(Event, frozen=True):
    """Details of a record changed; old and new value of each."""

    changes: dict[str, Change]


@recorded_as("feature.defined.1")
class FeatureDefined(Event, frozen=True):
    """A feature was defined: a named, typed property that artifacts, runs or collections can have a value of.

    Attributes:
        uid: Short name.
        name: Name of the feature.
        dtype: One of `DTYPES`, or `cat[ULabel]`, `cat[Record]`.
        unit: Unit of the values.
        description: Free text.
        synonyms: Other names of it.
    """

    uid: str
    name: str
    dtype: str
    unit: str | None = None
    description: str | None = None
    synonyms: list[str] = []


@recorded_as("feature.updated.1")
class FeatureUpdated(Event, frozen=True):
    """Details of a feature changed; old and new value of each."""

    changes: dict[str, Change]


@recorded_as("project.created.1")
class ProjectCreated(Event, frozen=True):
    """A project was created.

    Attributes:
        uid: Short name.
        name: Name of the project.
        description: Free text.
        url: Where more is written about it.
    """

    uid: str
    name: str
    description: str | None = None
    url: str | None = None


@recorded_as("project.updated.1")
class ProjectUpdated(Event, frozen=True):
    """Details of a project changed; old and new value of each."""

    changes: dict[str, Change]


@recorded_as("project.assigned.1")
class ProjectAssigned(Event, frozen=True):
    """An artifact, run or collection was assigned to a project; it stands in the assigned record's stream.

    Attributes:
        project: Id of the project.
        subject: Registry of the assigned record: `Artifact`, `Run` or `Collection`.
    """

    project: str
    subject: str


@recorded_as("project.unassigned.1")
class ProjectUnassigned(Event, frozen=True):
    """An assignment to a project was taken back.

    Attributes:
        project: Id of the project.
        subject: Registry of the assigned record: `Artifact`, `Run` or `Collection`.
    """

    project: str
    subject: str


@recorded_as("label.attached.1")
class LabelAttached(Event, frozen=True):
    """A label was put on an artifact, run or collection; it stands in the labelled record's stream.

    Attributes:
        label: Id of the label.
        registry: Where the label is defined, `ULabel` or `Record`.
        subject: Registry of the labelled record: `Artifact`, `Run` or `Collection`.
    """

    label: str
    registry: str
    subject: str


@recorded_as("label.detached.1")
class LabelDetached(Event, frozen=True):
    """A label was taken off again.

    Attributes:
        label: Id of the label.
        registry: Where the label is defined, `ULabel` or `Record`.
        subject: Registry of the labelled record: `Artifact`, `Run` or `Collection`.
    """

    label: str
    registry: str
    subject: str


@recorded_as("parent.added.1")
class ParentAdded(Event, frozen=True):
    """A label or record got a parent; it stands in the child's stream.

    Attributes:
        parent: Id of the parent.
        registry: Registry of both, `ULabel` or `Record`.
    """

    parent: str
    registry: str


@recorded_as("parent.removed.1")
class ParentRemoved(Event, frozen=True):
    """A parent was taken away again.

    Attributes:
        parent: Id of the parent.
        registry: Registry of both, `ULabel` or `Record`.
    """

    parent: str
    registry: str


@recorded_as("feature_values.set.1")
class FeatureValuesSet(Event, frozen=True):
    """Values of features were set on an artifact, run or collection; it stands in that record's stream.

    Attributes:
        values: Feature id to the value before, `None` if there was none, and the value after; `None` after says that the record
            has the feature, without a value.
        subject: Registry of the record: `Artifact`, `Run` or `Collection`.
    """

    values: dict[str, Change]
    subject: str


@recorded_as("feature_values.removed.1")
class FeatureValuesRemoved(Event, frozen=True):
    """Values of features were removed.

    Attributes:
        values: Feature id to the value that was removed; the value after is `None`.
        subject: Registry of the record: `Artifact`, `Run` or `Collection`.
    """

    values: dict[str, Change]
    subject: str


def check_dtype(value: object) -> str:
    """Accept the type of a feature: a name of `DTYPES`, a Python type, or `cat[ULabel]`, `cat[Record]`.

    Raises:
        InvalidValueError: Anything else.
    """
    name = _PYTHON_TYPES.get(value) if isinstance(value, type) else value
    if name in DTYPES or name in tuple(f"cat[{registry}]" for registry in CATEGORY_REGISTRIES):
        return str(name)
    raise InvalidValueError(
        "the dtype", f"is {value!r}; it must be one of: {', '.join(DTYPES)}, cat[ULabel], cat[Record], or a Python type"
    )


def check_feature_value(name: str, dtype: str, value: object) -> Json:
    """Accept a value of a feature, and return it as it is recorded: dates and times as ISO 8601 text.

    Categories of a registry are passed as ids, which the caller has looked up.

    Args:
        name: Name of the feature, for the error.
        dtype: Type of the feature.
        value: The value.

    Raises:
        InvalidValueError: The value is not of this type; names both.
    """
    what = f"the value of {name!r}"
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
    plain = _CHECKS[dtype.partition("[")[0]](value)
    if plain is _WRONG:
        raise InvalidValueError(what, f"is {value!r} ({type(value).__name__}); the feature is of type {dtype}")
    return check_json(plain, what)


_WRONG: Final = object()


def _check_int(value: object) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else _WRONG


def _check_float(value: object) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else _WRONG


def _check_str(value: object) -> Any:
    return check_text(value, "a feature value") if isinstance(value, str) else _WRONG


def _check_date(value: object) -> Any:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            return _WRONG
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else _WRONG


def _check_datetime(value: object) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return _WRONG
    # One form for all, so that text order is time order.
    return time_text(value) if isinstance(value, datetime) and value.tzinfo is not None else _WRONG


_CHECKS: Final = {
    "int": _check_int,
    "float": _check_float,
    "num": _check_float,
    "str": _check_str,
    "bool": lambda value: value if isinstance(value, bool) else _WRONG,
    "date": _check_date,
    "datetime": _check_datetime,
    "dict": lambda value: value if isinstance(value, dict) else _WRONG,
    "list": lambda value: value if isinstance(value, list | tuple) else _WRONG,
    CATEGORICAL: _check_str,
}
