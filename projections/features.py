"""Which features there are, and the values of many rows at once: what queries and data frames need of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lineagelog.projections.rows import Readable, find_in
from lineagelog.projections.schema import FEATURE_VALUES, FEATURES

WITHOUT_VALUE: Final = "null"
"""What stands for the value of a feature that a record has, without a value."""


@dataclass(frozen=True, slots=True)
class FeatureType:
    """What a condition has to know of a feature.

    Attributes:
        id: Its id.
        dtype: Type of its values.
    """

    id: str
    dtype: str


def read_features(reader: Readable) -> dict[str, FeatureType]:
    """Read all features, name to id and type."""
    rows = reader.read(f"SELECT name, id, dtype FROM {FEATURES.name} ORDER BY position")  # noqa: S608 - names from the schema only
    return {name: FeatureType(feature_id, dtype) for name, feature_id, dtype in rows}


def read_values(reader: Readable, subject_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read the feature values of many rows.

    Args:
        reader: Where to read.
        subject_ids: Ids of artifacts, runs or collections.

    Returns:
        Feature id to subject id to value, for the features of which any of them has a value.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in find_in(reader, FEATURE_VALUES, "subject_id", subject_ids):
        if row["value"] == WITHOUT_VALUE:
            continue
        found.setdefault(row["feature_id"], {})[row["subject_id"]] = msgspec.json.decode(row["value"])
    return found
