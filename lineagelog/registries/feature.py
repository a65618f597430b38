"""The registry of features: named, typed properties that artifacts, runs and collections can have values of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lineagelog import message
from lineagelog.domain.annotation import SUBJECTS, FeatureDefined, FeatureUpdated, check_dtype
from lineagelog.domain.errors import ConstraintError
from lineagelog.domain.event import Event
from lineagelog.domain.values import check_name, check_text
from lineagelog.projections.registry import FEATURE, REGISTRIES
from lineagelog.projections.rows import RowDict
from lineagelog.registries.definition import Definition


class Feature(Definition):
    """A property: `ln.Feature(name="gc_content", dtype=float).save()`, then `artifact.features.add_values({"gc_content": 0.55})`.

    Attributes:
        name: Name of the feature, unique.
        dtype: `int`, `float`, `num`, `str`, `bool`, `date`, `datetime`, `dict`, `list`, `cat`, `cat[ULabel]` or `cat[Record]`.
        unit: Unit of the values.
        description: Free text.
        synonyms: Other names of it, which `add_values` understands as well.
    """

    registry = FEATURE
    _updated = FeatureUpdated

    dtype: str
    unit: str | None
    synonyms: list[str]

    def __init__(
        self,
        name: str,
        dtype: str | type,
        *,
        unit: str | None = None,
        description: str | None = None,
        synonyms: Sequence[str] = (),
    ) -> None:
        """Describe a feature; `save()` defines it, or finds the one of this name that exists.

        Args:
            name: Its name.
            dtype: Type of its values: a Python type such as `float` or `date`, or its name; `cat[ULabel]` and `cat[Record]`
                take labels and records as values.
            unit: Unit of its values.
            description: Free text.
            synonyms: Other names of it.

        Raises:
            InvalidValueError: A text or the type is not acceptable.
        """
        self._begin()
        self.name = check_name(name, "the name of the feature")
        self.dtype = check_dtype(dtype)
        self.unit = check_name(unit, "the unit") if unit is not None else None
        self.description = check_text(description, "the description") if description is not None else None
        self.synonyms = self._check_field("synonyms", synonyms)

    def _save_new(self) -> None:
        super()._save_new()
        taken = [name for name in SUBJECTS if self.name.partition("__")[0] in REGISTRIES[name].choices]
        if taken:
            message.hint(
                f"{self.name!r} is also a field of {' and '.join(taken)}, which is what a query by this name means there; "
                "the feature is found by another name only"
            )

    def _defined(self, uid: str) -> Event:
        return FeatureDefined(
            uid=uid,
            name=self.name,
            dtype=self.dtype,
            unit=self.unit,
            description=self.description,
            synonyms=self.synonyms,
        )

    def _check_same(self, existing: RowDict) -> None:
        if existing["dtype"] != self.dtype:
            raise ConstraintError(
                f"the feature {self.name!r} exists with the dtype {existing['dtype']}, not {self.dtype}, and values rely on that; "
                f"use it as it is, or choose another name"
            )

    def _check_field(self, name: str, value: Any) -> Any:
        if name != "synonyms":
            return super()._check_field(name, value)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError(f"synonyms are a list of names, not {value!r}")
        return list(dict.fromkeys(check_name(synonym, "a synonym") for synonym in value))
