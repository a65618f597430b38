"""Finding a record by its uid alone, whatever registry it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lineagelog.domain.errors import MultipleRecordsError, RecordNotFoundError
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    from lineagelog.store import Store

REGISTRIES: Final = (
    "Artifact", "Run", "Transform", "User", "Storage", "Collection", "ULabel", "Record", "Feature", "Project",
)  # fmt: skip


def find_record(store: Store, uid: str, registries: tuple[str, ...] = REGISTRIES) -> BaseRecord:
    """Find the one record whose uid is, or begins with, a text; of a family of versions the latest.

    Args:
        store: Where to look.
        uid: The uid or its beginning.
        registries: Names of the registries to look in.

    Raises:
        RecordNotFoundError: There is none.
        MultipleRecordsError: There are several.
    """
    found: list[BaseRecord] = []
    for name in registries:
        registry = store._registry(name)
        # What is in the trash is meant only where nothing else is.
        for records in (registry.filter(), registry._whole()):
            try:
                found.append(records.get(uid))
                break
            except RecordNotFoundError:
                continue
    if not found:
        raise RecordNotFoundError("record", f"the uid {uid!r}", f"looked in {', '.join(registries)}")
    if len(found) > 1:
        from lineagelog.registries.description import line_of

        shown = tuple(f"{record.registry.name} {line_of(record)}" for record in found)
        raise MultipleRecordsError("record", f"the uid {uid!r}", shown)
    return found[0]
