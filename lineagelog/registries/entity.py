"""The registry of records: what experiments are about, such as samples, treatments and instruments."""

from __future__ import annotations

from lineagelog.domain.annotation import RecordDefined, RecordUpdated
from lineagelog.projections.registry import RECORD
from lineagelog.registries.definition import TypedDefinition


class Record(TypedDefinition):
    """A sample, an instrument, a treatment, or whatever an experiment is about.

    Define a type first, then its instances::

        sample = ln.Record(name="Sample", is_type=True).save()
        ln.Record(name="P53mutant1", type=sample).save()

    Attributes:
        name: Name of the record, unique among those of its type.
        description: Free text.
        is_type: It is a type, such as `Sample`, of which others are instances.
        reference: URL or id elsewhere.
        reference_type: What `reference` is.
    """

    registry = RECORD
    _updated = RecordUpdated
    _fact = RecordDefined
