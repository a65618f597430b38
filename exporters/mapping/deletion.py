"""Artifacts that were deleted for good, as PROV: each was invalidated by a deletion, an activity of that moment, with its reason.

Nothing uses an artifact after its deletion, so its usages precede its invalidation (PROV-CONSTRAINTS 38). The trash is no end
and is not stated, except as an attribute of the artifact.

References:
    PROV-DM 5.1.8 Invalidation; PREMIS event types, http://id.loc.gov/vocabulary/preservation/eventType
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Texts
from lineagelog.exporters.mapping.deed import DeedMapper, Deeds
from lineagelog.exporters.mapping.rows import chunked, event_names, moments, names
from lineagelog.exporters.statement import Activity, Invalidation
from lineagelog.projections.reader import Reader, Row


class DeletionMapper(DeedMapper):
    """Reads which artifacts were deleted."""

    prefix = "deleting"
    role = v.DELETER

    def activities(self) -> Iterator[Block]:
        """Hand out an activity for each deletion: a moment, so it starts and ends at once."""
        for deletions in self.deeds():
            _, at, reasons, content_removed = deletions.rest
            attributes = (
                (v.TYPE, v.DELETING),
                (v.TYPE, v.DELETION),
                (v.REASON, Texts(reasons)),
                (v.CONTENT_REMOVED, Column(list(map(bool, content_removed)))),
            )
            yield Block(Activity, self._activities(deletions), (moments(at), moments(at)), attributes)

    def invalidations(self) -> Iterator[Block]:
        """Hand out the end of each artifact."""
        for deletions in self.deeds():
            artifacts, at, *_ = deletions.rest
            formal = names("artifact", artifacts), self._activities(deletions), moments(at)
            yield Block(Invalidation, event_names("invalidation", deletions.positions), formal)

    def deeds(self, keep: Callable[[Row], bool] | None = None) -> Iterator[Deeds]:
        """Read the deletions, in the order of the log."""
        return map(Deeds.of, self._source.columns(_DELETIONS, self._source.ids("artifacts"), keep=keep))


def deleters(reader: Reader, artifacts: frozenset[str]) -> frozenset[str]:
    """Find the users who deleted one of these artifacts."""
    return frozenset(str(id_) for (id_,) in chunked(reader, _DELETERS, artifacts) if id_ is not None)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_DELETIONS: Final = """
    SELECT e.position, e.actor, r.id, r.uid, t.uid, e.recorded_at, e.reason, t.content_removed
    FROM artifacts t JOIN events e ON e.stream = t.id AND e.topic = 'artifact.deleted.1' LEFT JOIN runs r ON r.id = e.run
    WHERE t.state = 'deleted' AND t.id {these} ORDER BY e.position"""
_DELETERS: Final = """
    SELECT DISTINCT e.actor FROM artifacts t JOIN events e ON e.stream = t.id AND e.topic = 'artifact.deleted.1'
    WHERE t.state = 'deleted' AND t.id {these}"""
