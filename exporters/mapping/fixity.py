"""Checks of stored content as PROV: who held which artifact, or which storage location, against its record, with what outcome.

A fixity check of an artifact is an activity that used it; a check of a storage location is one that used the location. Both are
moments or spans of their own and no part of the lineage: nothing is derived from them.

References:
    PREMIS event types, http://id.loc.gov/vocabulary/preservation/eventType; PROV-DM 5.1.4 Usage
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Texts
from lineagelog.exporters.mapping.deed import DeedMapper, Deeds
from lineagelog.exporters.mapping.rows import Ids, chunked, event_names, moments, names
from lineagelog.exporters.statement import Activity, Usage
from lineagelog.projections.reader import Reader, Row


class FixityMapper(DeedMapper):
    """Reads the checks of artifacts, and those of whole locations if all artifacts are exported."""

    prefix = "checking"
    role = v.CHECKER

    def activities(self) -> Iterator[Block]:
        """Hand out an activity for each check."""
        types = ((v.TYPE, v.CHECKING), (v.TYPE, v.FIXITY_CHECK))
        for checks in self._of_artifacts():
            _, at, outcomes, hashes, sizes = checks.rest
            found = (
                (v.OUTCOME, Texts(outcomes)),
                (v.FOUND_SHA256, Texts(hashes)),
                (v.FOUND_BYTE_SIZE, Column(sizes)),
            )
            yield Block(Activity, self._activities(checks), (moments(at), moments(at)), (*types, *found))
        for checks in self._of_storages():
            _, ended_at, started_at, content_read, *counts = checks.rest
            numbers = zip(_COUNTED, map(Column, counts), strict=True)
            found_there = (v.CONTENT_READ, Column(list(map(bool, content_read)))), *numbers
            # The clock of the checking machine may run ahead of the database's, and no activity ends before it starts.
            times = moments(list(map(min, started_at, ended_at))), moments(ended_at)
            yield Block(Activity, self._activities(checks), times, (*types, *found_there))

    def usages(self) -> Iterator[Block]:
        """Hand out what each check looked at."""
        for prefix, of_kind in (("artifact", self._of_artifacts()), ("storage", self._of_storages())):
            for checks in of_kind:
                used, at, *_ = checks.rest
                formal = self._activities(checks), names(prefix, used), moments(at)
                yield Block(Usage, event_names("usage", checks.positions), formal, ((v.ROLE, v.CHECKED),))

    def deeds(self, keep: Callable[[Row], bool] | None = None) -> Iterator[Deeds]:
        """Read the checks."""
        yield from self._of_artifacts(keep)
        yield from self._of_storages(keep)

    def _of_artifacts(self, keep: Callable[[Row], bool] | None = None) -> Iterator[Deeds]:
        return map(Deeds.of, self._source.columns(_VERIFICATIONS, self._source.ids("artifacts"), keep=keep))

    def _of_storages(self, keep: Callable[[Row], bool] | None = None) -> Iterator[Deeds]:
        if self._source.part is not None:
            return iter(())
        return map(Deeds.of, self._source.columns(_STORAGE_CHECKS, self._source.only, keep=keep))


def checkers(reader: Reader, artifacts: frozenset[str]) -> frozenset[str]:
    """Find the users who checked the content of these artifacts."""
    return frozenset(str(id_) for (id_,) in chunked(reader, _CHECKERS, artifacts) if id_ is not None)


def count_checks(reader: Reader, artifacts: Ids) -> int:
    """Count the checks that an export of these artifacts holds; of all, those of whole locations as well."""
    if artifacts is not None:
        return sum(int(count) for (count,) in chunked(reader, _COUNT, artifacts))
    ((n_verifications,),) = reader.read("SELECT count(*) FROM verifications")
    ((n_storage_checks,),) = reader.read("SELECT count(*) FROM storage_checks")
    return int(n_verifications) + int(n_storage_checks)


_COUNTED: Final = (v.N_ARTIFACTS, v.N_MISSING, v.N_CHANGED, v.N_UNCHECKED, v.N_ORPHANS, v.BYTES_READ)
"""What a check of a storage location counts, in the order of its columns."""

# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_VERIFICATIONS: Final = """
    SELECT t.position, t.actor_id, r.id, r.uid, a.uid, t.at, t.outcome, t.found_hash, t.found_size
    FROM verifications t JOIN artifacts a ON a.id = t.artifact_id
        LEFT JOIN events e ON e.position = t.position LEFT JOIN runs r ON r.id = e.run
    WHERE t.artifact_id {these} ORDER BY t.position"""
_STORAGE_CHECKS: Final = """
    SELECT t.position, t.actor_id, r.id, r.uid, s.uid, t.at, t.started_at, t.content_read, t.n_artifacts, t.n_missing, t.n_changed,
        t.n_unchecked, t.n_orphans, t.bytes_read
    FROM storage_checks t JOIN storages s ON s.id = t.storage_id
        LEFT JOIN events e ON e.position = t.position LEFT JOIN runs r ON r.id = e.run
    WHERE t.storage_id {these} ORDER BY t.position"""
_CHECKERS: Final = "SELECT DISTINCT t.actor_id FROM verifications t WHERE t.artifact_id {these}"
_COUNT: Final = "SELECT count(*) FROM verifications t WHERE t.artifact_id {these}"
