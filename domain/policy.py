"""Policies of a store, and attempts that were refused: which changes must say why, and what was tried and not done."""

from __future__ import annotations

from lineagelog.domain.annotation import (
    FeatureValuesRemoved,
    FeatureValuesSet,
    LabelDetached,
    ParentRemoved,
    ProjectUnassigned,
)
from lineagelog.domain.disposal import ArtifactDeleted, ArtifactRestored, ArtifactTrashed
from lineagelog.domain.event import Change, Event, recorded_as
from lineagelog.domain.storage import StorageCollected, StorageMadeDefault

REQUIRE_REASON = "require_reason"
"""Policy: whoever changes or deletes something says why."""

_REMOVALS = (
    ArtifactTrashed,
    ArtifactRestored,
    ArtifactDeleted,
    LabelDetached,
    ParentRemoved,
    ProjectUnassigned,
    FeatureValuesRemoved,
    StorageCollected,
)


@recorded_as("policy.changed.1")
class PolicyChanged(Event, frozen=True):
    """The policies of the store changed; old and new value of each. It stands in the store's own stream."""

    changes: dict[str, Change]


@recorded_as("attempt.refused.1")
class AttemptRefused(Event, frozen=True):
    """Somebody tried something and was refused. It is recorded in the store's own stream; no value that was given is in it.

    Attributes:
        attempt: What was tried: the topic of the event that was not recorded, or `use of deleted content`.
        why: Why it was refused.
        registry: Kind of the record it was about, such as `Artifact`.
        uid: Short name of that record.
    """

    attempt: str
    why: str
    registry: str | None = None
    uid: str | None = None


def demands_reason(fact: Event) -> bool:
    """Tell whether a fact changes or takes away what was recorded, so that a store may demand to know why.

    What only adds, such as a registration, a label or a first value, does not.
    """
    if isinstance(fact, FeatureValuesSet):
        return any(change.old is not None for change in fact.values.values())
    if isinstance(fact, StorageMadeDefault):
        return fact.previous is not None
    return isinstance(fact, _REMOVALS) or hasattr(fact, "changes")
