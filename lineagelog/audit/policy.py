"""The policies of a store: what it demands of those who change something."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from lineagelog.domain.errors import LineageLogError, ReasonRequiredError
from lineagelog.domain.event import Change, NewEvent
from lineagelog.domain.policy import REQUIRE_REASON, AttemptRefused, PolicyChanged, demands_reason
from lineagelog.projections import schema
from lineagelog.projections.rows import RowDict, find_one

if TYPE_CHECKING:
    from lineagelog.projections.rows import Readable
    from lineagelog.store import Store

_READ: Final = f"SELECT max({REQUIRE_REASON}) FROM {schema.STORES.name}"  # noqa: S608 - names from the schema only


class Policy:
    """What a store demands of those who change something."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def require_reason(self) -> bool:
        """Whoever changes or deletes something says why."""
        return is_reason_required(self._store.log.database)

    def set_require_reason(self, required: bool = True, *, reason: str | None = None) -> None:
        """Demand a reason for each change and deletion, or demand none any more.

        Args:
            required: Demand it.
            reason: Why; to give the policy up is a change that needs one itself.

        Raises:
            ReasonRequiredError: A reason is demanded, and none was given.
        """

        def decide(row: RowDict) -> PolicyChanged | None:
            old = bool(row[REQUIRE_REASON])
            if old == required:
                return None
            return PolicyChanged(changes={REQUIRE_REASON: Change(old=old, new=required)})

        self._store.append_next(schema.STORES, self._store.id, decide, reason=reason)

    def __repr__(self) -> str:
        return f"Policy(require_reason={self.require_reason})"


def is_reason_required(reader: Readable) -> bool:
    """Tell whether a store demands reasons."""
    ((required,),) = reader.read(_READ)
    return bool(required)


def without_reason(events: Sequence[NewEvent]) -> NewEvent | None:
    """Find the first event that a store which demands reasons would refuse."""
    return next(
        (event for event in events if not (event.reason and event.reason.strip()) and demands_reason(event.fact)), None
    )


def check(reader: Readable, event: NewEvent) -> None:
    """Refuse an event without a reason if the store demands one.

    Raises:
        ReasonRequiredError: It does.
    """
    if is_reason_required(reader):
        registry, uid = _record_of(reader, event)
        record = f" of {registry} {uid}" if registry is not None else ""
        raise ReasonRequiredError(event.fact.topic, f"{type(event.fact).__name__}{record}")


def record_refusal(
    store: Store, attempt: str, why: str, *, registry: str | None = None, uid: str | None = None
) -> None:
    """Put on record that somebody was refused; if that cannot be recorded, the refusal itself is what the caller learns."""
    fact = AttemptRefused(attempt=attempt, why=why, registry=registry, uid=uid)
    if not store.log.database.read_only:
        with suppress(LineageLogError):
            store.append_next(schema.STORES, store.id, lambda _: fact)


def record_missing_reason(store: Store, event: NewEvent) -> None:
    """Put on record that a change was refused for want of a reason."""
    registry, uid = _record_of(store.log.database, event)
    record_refusal(store, event.fact.topic, "no reason was given", registry=registry, uid=uid)


def _record_of(reader: Readable, event: NewEvent) -> tuple[str | None, str | None]:
    """Find the record that an event is about: its registry and its uid."""
    for table in schema.TABLES:
        if "revision" in table.names:
            row = find_one(reader, table, id=event.stream)
            if row is not None:
                return _REGISTRY_OF.get(table.name), row["uid"]
    return None, None


_REGISTRY_OF: Final = {
    "users": "User",
    "stores": "Store",
    "storages": "Storage",
    "transforms": "Transform",
    "runs": "Run",
    "artifacts": "Artifact",
    "collections": "Collection",
    "ulabels": "ULabel",
    "records": "Record",
    "features": "Feature",
    "projects": "Project",
}
