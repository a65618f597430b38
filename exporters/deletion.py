"""Artifacts that were deleted for good, as PROV: each was invalidated by a deletion, an activity of that moment, with its reason.

Nothing uses an artifact after its deletion, so its usages precede its invalidation (PROV-CONSTRAINTS 38). The trash is no end
and is not stated, except as an attribute of the artifact.

References:
    PROV-DM 5.1.8 Invalidation; PREMIS event types, http://id.loc.gov/vocabulary/preservation/eventType
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.deed import DeedMapper
from lineagelog.exporters.rows import chunked, present, rows_of
from lineagelog.exporters.statement import (
    Activity,
    Invalidation,
    Moment,
    Name,
    Statement,
)
from lineagelog.projections.reader import Reader


class _Deletion(NamedTuple):
    """One deletion, as each pass over them needs it.

    Attributes:
        position: Place in the log of its event, which names the activity.
        artifact: Uid of the artifact.
        at: When.
        actor_id: Id of the user who did it.
        reason: Why, in that user's words.
        content_removed: The bytes were removed as well.
        run_id: Id of the run in which it was done.
        run: Uid of that run.
    """

    position: int
    artifact: str
    at: str
    actor_id: str | None
    reason: str | None
    content_removed: int
    run_id: str | None
    run: str | None

    @property
    def name(self) -> Name:
        """Name of the activity."""
        return Name(f"deleting:e{self.position}")


class DeletionMapper(DeedMapper):
    """Reads which artifacts were deleted."""

    role = v.DELETER

    def activities(self) -> Iterator[Statement]:
        """Hand out an activity for each deletion: a moment, so it starts and ends at once."""
        for deletion in self.deeds():
            at = Moment(deletion.at)
            about = present(
                [
                    (v.TYPE, v.DELETING),
                    (v.TYPE, v.DELETION),
                    (v.REASON, deletion.reason),
                    (v.CONTENT_REMOVED, bool(deletion.content_removed)),
                ]
            )
            yield Activity(deletion.name, at, at, about)

    def invalidations(self) -> Iterator[Statement]:
        """Hand out the end of each artifact."""
        for deletion in self.deeds():
            entity = Name(f"artifact:{v.local_name(deletion.artifact)}")
            yield Invalidation(Name(f"invalidation:e{deletion.position}"), entity, deletion.name, Moment(deletion.at))

    def deeds(self) -> Iterator[_Deletion]:
        """Read the deletions, in the order of the log."""
        return map(_Deletion._make, rows_of(self._reader, _DELETIONS, self._artifacts))


def deleters(reader: Reader, artifacts: frozenset[str]) -> frozenset[str]:
    """Find the users who deleted one of these artifacts."""
    return frozenset(str(id_) for (id_,) in chunked(reader, _DELETERS, artifacts) if id_ is not None)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_DELETIONS: Final = """
    SELECT e.position, t.uid, e.recorded_at, e.actor, e.reason, t.content_removed, r.id, r.uid
    FROM artifacts t JOIN events e ON e.stream = t.id AND e.topic = 'artifact.deleted.1' LEFT JOIN runs r ON r.id = e.run
    WHERE t.state = 'deleted' AND t.id {these} ORDER BY e.position"""
_DELETERS: Final = """
    SELECT DISTINCT e.actor FROM artifacts t JOIN events e ON e.stream = t.id AND e.topic = 'artifact.deleted.1'
    WHERE t.state = 'deleted' AND t.id {these}"""
