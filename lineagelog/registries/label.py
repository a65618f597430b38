"""The registry of labels: plain words that artifacts, runs and collections are tagged with."""

from __future__ import annotations

from lineagelog.domain.annotation import LabelDefined, LabelUpdated
from lineagelog.projections.registry import ULABEL
from lineagelog.registries.definition import TypedDefinition


class ULabel(TypedDefinition):
    """A universal label: `artifact.labels.add(ln.ULabel(name="checked").save())`.

    Attributes:
        name: Name of the label, unique among those of its type.
        description: Free text.
        is_type: It groups other labels and is not put on anything itself.
        reference: URL or id elsewhere.
        reference_type: What `reference` is.
    """

    registry = ULABEL
    _updated = LabelUpdated
    _fact = LabelDefined
