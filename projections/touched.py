"""Which records some events touched, by what the projector does for each of them.

Whoever keeps something made of the tables up to date asks here what to make anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lineagelog.domain.event import RecordedEvent
from lineagelog.projections import schema
from lineagelog.projections.projector import project
from lineagelog.projections.table import Archive, Delete, Insert, Scalar, Table, Update

OWNER: Final = {
    **{table: "id" for table in schema.TABLES if "id" in table.names},
    schema.EDGES: "run_id",
    schema.LINKS: "source_id",
    schema.FEATURE_VALUES: "subject_id",
    schema.VERIFICATIONS: "artifact_id",
    schema.STORAGE_CHECKS: "storage_id",
}
"""Column that names the record which a row says something of, by table."""

WITHOUT_OWNER: Final = frozenset({schema.SEARCH_WORDS, schema.REMOVED_OBJECTS})
"""Tables whose rows say nothing of a record that the row of the record does not say."""

ARCHIVES: Final = frozenset({schema.PAST_LINKS, schema.PAST_FEATURE_VALUES})
"""Tables that rows of others go to when they end, which touches the same record."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What some events changed.

    Attributes:
        ids: Ids of the records of which something else holds now, those that are new included.
        runs_with_edges: Ids of the runs that read or made something.
        runs_that_ended: Ids of the runs that came to their end.
        is_everything: A column was changed that rows of other records are read with, so that nothing is known to be untouched.
    """

    ids: frozenset[str]
    runs_with_edges: frozenset[str]
    runs_that_ended: frozenset[str]
    is_everything: bool


# Columns by which one record appears in what is said of others. No rule lets an event change them, except the type of a feature.
_READ_ELSEWHERE: Final = frozenset({"id", "uid", "stem", "dtype", "created_by_id", "environment_id", "run_id"})
# That the latest version is another one, and what a later check found, are columns for queries.
_UNSEEN: Final = frozenset({"is_latest", "revision", "transform_id"})


def touched_by(events: Iterable[RecordedEvent]) -> Touched:
    """Find out what some events touched; kinds of event that are not known touch nothing."""
    ids: set[str] = set()
    with_edges: set[str] = set()
    ended: set[str] = set()
    is_everything = False
    for event in events:
        for statement, values in project(event):
            table = statement.table
            if table in WITHOUT_OWNER:
                continue
            if isinstance(statement, Update) and statement.where != (OWNER[table],):
                # Rows that are found by another column may be of any record.
                is_everything = is_everything or not _UNSEEN.issuperset(statement.assign)
                continue
            owner = str(_owner(statement, values, table))
            if isinstance(statement, Insert) and table is schema.EDGES:
                with_edges.add(owner)
                if values[schema.EDGES.names.index("kind")] == "generated":
                    # The run says nothing of what it generated; that record says by which run it was.
                    continue
            if isinstance(statement, Update):
                is_everything = is_everything or not _READ_ELSEWHERE.isdisjoint(statement.assign)
                if table is schema.RUNS and "finished_at" in statement.assign:
                    # Of a run that had ended before, nobody can tell what follows from the time it ended at.
                    is_everything = is_everything or "status" not in statement.assign
                    ended.add(owner)
            ids.add(owner)
    return Touched(frozenset(ids), frozenset(with_edges), frozenset(ended), is_everything)


def _owner(statement: Insert | Update | Delete | Archive, values: tuple[Scalar, ...], table: Table) -> Scalar:
    if isinstance(statement, Insert):
        return values[table.names.index(OWNER[table])]
    # The values that rows are found by come last, in the order of their columns.
    return values[len(values) - len(statement.where) + statement.where.index(OWNER[table])]
