"""Checks of stored content as PROV: who held which artifact, or which storage location, against its record, with what outcome.

A fixity check of an artifact is an activity that used it; a check of a storage location is one that used the location. Both are
moments or spans of their own and no part of the lineage: nothing is derived from them.

References:
    PREMIS event types, http://id.loc.gov/vocabulary/preservation/eventType; PROV-DM 5.1.4 Usage
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.deed import DeedMapper
from lineagelog.exporters.rows import Ids, chunked, moment, present, rows_of
from lineagelog.exporters.statement import (
    Activity,
    Attributes,
    Moment,
    Name,
    Statement,
    Usage,
    Value,
)
from lineagelog.projections.reader import Reader


class _Check(NamedTuple):
    """One check, as each pass over them needs it.

    Attributes:
        position: Place in the log of its event, which names the activity.
        used: What was checked.
        started_at: When it began.
        at: When it ended.
        actor_id: Id of the user who made it.
        run_id: Id of the run in which it was made.
        run: Uid of that run.
        says: What it found.
    """

    position: int
    used: Name
    started_at: str
    at: str
    actor_id: str | None
    run_id: str | None
    run: str | None
    says: Attributes

    @property
    def name(self) -> Name:
        """Name of the activity."""
        return Name(f"checking:e{self.position}")


class FixityMapper(DeedMapper):
    """Reads the tables of checks; those of whole locations only if all artifacts are exported."""

    role = v.CHECKER

    def activities(self) -> Iterator[Statement]:
        """Hand out an activity for each check."""
        kind = ((v.TYPE, v.CHECKING), (v.TYPE, v.FIXITY_CHECK))
        for check in self.deeds():
            yield Activity(check.name, moment(check.started_at), moment(check.at), (*kind, *check.says))

    def usages(self) -> Iterator[Statement]:
        """Hand out what each check looked at."""
        role = ((v.ROLE, v.CHECKED),)
        for check in self.deeds():
            yield Usage(Name(f"usage:e{check.position}"), check.name, check.used, Moment(check.at), role)

    def deeds(self) -> Iterator[_Check]:
        """Read the checks."""
        for row in rows_of(self._reader, _VERIFICATIONS, self._artifacts):
            position, uid, outcome, found_hash, found_size, at, actor_id, run_id, run = row
            says = present([(v.OUTCOME, outcome), (v.FOUND_SHA256, found_hash), (v.FOUND_BYTE_SIZE, found_size)])
            used = Name(f"artifact:{v.local_name(uid)}")
            yield _Check(position, used, at, at, actor_id, run_id, run, says)
        if self._artifacts is not None:
            return
        for row in rows_of(self._reader, _STORAGE_CHECKS, None):
            (
                position, uid, content_read, n_artifacts, n_missing, n_changed, n_unchecked, n_orphans, bytes_read, started_at, at,
                actor_id, run_id, run,
            ) = row  # fmt: skip
            counts: tuple[tuple[Name, Value], ...] = (
                (v.CONTENT_READ, bool(content_read)),
                (v.N_ARTIFACTS, n_artifacts),
                (v.N_MISSING, n_missing),
                (v.N_CHANGED, n_changed),
                (v.N_UNCHECKED, n_unchecked),
                (v.N_ORPHANS, n_orphans),
                (v.BYTES_READ, bytes_read),
            )
            # The clock of the checking machine may run ahead of the database's, and no activity ends before it starts.
            used, begun = Name(f"storage:{v.local_name(uid)}"), min(started_at, at)
            yield _Check(position, used, begun, at, actor_id, run_id, run, counts)


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


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_VERIFICATIONS: Final = """
    SELECT t.position, a.uid, t.outcome, t.found_hash, t.found_size, t.at, t.actor_id, r.id, r.uid
    FROM verifications t JOIN artifacts a ON a.id = t.artifact_id
        LEFT JOIN events e ON e.position = t.position LEFT JOIN runs r ON r.id = e.run
    WHERE t.artifact_id {these} ORDER BY t.position"""
_STORAGE_CHECKS: Final = """
    SELECT t.position, s.uid, t.content_read, t.n_artifacts, t.n_missing, t.n_changed, t.n_unchecked, t.n_orphans, t.bytes_read,
        t.started_at, t.at, t.actor_id, r.id, r.uid
    FROM storage_checks t JOIN storages s ON s.id = t.storage_id
        LEFT JOIN events e ON e.position = t.position LEFT JOIN runs r ON r.id = e.run
    WHERE t.storage_id {these} ORDER BY t.position"""
_CHECKERS: Final = "SELECT DISTINCT t.actor_id FROM verifications t WHERE t.artifact_id {these}"
_COUNT: Final = "SELECT count(*) FROM verifications t WHERE t.artifact_id {these}"
