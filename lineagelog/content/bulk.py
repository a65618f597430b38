"""Saving many records in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.record import BaseRecord
    from lineagelog.store import Store


def save(records: Sequence[BaseRecord], *, reason: str | None = None) -> list[BaseRecord]:
    """Save records; the new artifacts of one store in one transaction, then the new collections.

    Args:
        records: Records of any registries, new or changed.
        reason: Why; kept with what is recorded of each.

    Returns:
        The same records.
    """
    from lineagelog.content.saving import save_artifacts
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.collection import Collection
    from lineagelog.registries.record import BaseRecord

    new: dict[int, tuple[Store, list[Artifact]]] = {}
    for record in records:
        if not isinstance(record, BaseRecord):
            raise TypeError(f"save() takes records, not {type(record).__name__}")
        if isinstance(record, Artifact) and not record._saved:
            new.setdefault(id(record.store), (record.store, []))[1].append(record)
        elif not isinstance(record, Collection):
            record.save(reason=reason)
    for store, artifacts in new.values():
        with store.because(reason):
            save_artifacts(store, artifacts)
    for record in records:
        if isinstance(record, Collection):
            record.save(reason=reason)
    return list(records)
