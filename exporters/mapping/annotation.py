"""What the annotations of the records of a partial export need: labels, records, features and projects, and users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from lineagelog.exporters.mapping.rows import chunked
from lineagelog.projections.reader import Reader

DEFINITIONS: Final = {"ulabels": "label", "records": "record", "features": "feature", "projects": "project"}
"""Tables of what annotations are made with, and the prefixes of their names."""

TYPED: Final = ("ulabels", "records")
"""Tables of definitions that have types and parents."""

_TABLES_OF_LINK: Final = {"ulabel": "ulabels", "record": "records", "project": "projects"}
_REGISTRY_OF_CATEGORY: Final = {"cat[ULabel]": "ulabels", "cat[Record]": "records"}
LINK_TABLES: Final = {"links": "NULL", "past_links": "t.removed_by_id"}
"""Tables of labels, projects and parents, those that hold and those that were taken back, and who took them back."""

VALUE_TABLES: Final = {"feature_values": "NULL", "past_feature_values": "t.removed_by_id"}
"""The same of values of features."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """What the annotations of some records need, those that were taken back included.

    Attributes:
        definitions: Ids of the labels, records, features and projects that they use, with all types and parents of those; by
            table.
        users: Ids of the users who made them or took them back.
        count: Number of annotations, with those that lead from the definitions to their parents.
    """

    definitions: Mapping[str, frozenset[str]]
    users: frozenset[str]
    count: int

    @classmethod
    def find(cls, reader: Reader, subjects: Iterable[str]) -> Annotations:
        """Find the annotations of these artifacts, runs and collections."""
        used: dict[str, set[str]] = {table: set() for table in DEFINITIONS}
        users: set[str] = set()
        count = 0
        subjects = frozenset(subjects)
        for sql in _USED_BY_LINKS:
            for kind, target_id, *actors in chunked(reader, sql, subjects):
                used[_TABLES_OF_LINK[kind]].add(target_id)
                users.update(actor_id or "" for actor_id in actors)
                count += 1
        for sql in _USED_BY_VALUES:
            for feature_id, dtype, value, *actors in chunked(reader, sql, subjects):
                used["features"].add(feature_id)
                if dtype in _REGISTRY_OF_CATEGORY:
                    used[_REGISTRY_OF_CATEGORY[dtype]].add(value or "")
                users.update(actor_id or "" for actor_id in actors)
                count += 1
        for table in TYPED:
            new = used[table]
            while new:
                above = {str(id_) for (id_,) in chunked(reader, _TYPES_OF[table], new)}
                for sql in _PARENTS_OF[table]:
                    for parent_id, *actors in chunked(reader, sql, new):
                        above.add(parent_id)
                        users.update(actor_id or "" for actor_id in actors)
                        count += 1
                new = above - used[table]
                used[table] |= new
        return cls({table: frozenset(ids - {""}) for table, ids in used.items()}, frozenset(users - {""}), count)


def count_annotations(reader: Reader) -> int:
    """Count the annotations of the whole store, those that were taken back included."""
    counts = chain.from_iterable(reader.read(sql) for sql in _COUNTS)
    return sum(int(count) for (count,) in counts)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
# What holds is in one table, what was taken back or replaced in another; each query comes for the one and for the other.
_COUNTS: Final = (
    *(f"SELECT count(*) FROM {table} WHERE kind <> 'member'" for table in LINK_TABLES),  # noqa: S608 - constants
    *(f"SELECT count(*) FROM {table}" for table in VALUE_TABLES),  # noqa: S608 - constants
)
_USED_BY_LINKS: Final = tuple(
    f"""
    SELECT t.kind, t.target_id, t.actor_id, {ended} FROM {table} t
    WHERE t.kind IN ('ulabel', 'record', 'project') AND t.source_id {{these}}"""  # noqa: S608 - constants
    for table, ended in LINK_TABLES.items()
)
_USED_BY_VALUES: Final = tuple(
    f"""
    SELECT t.feature_id, f.dtype, t.text_value, t.actor_id, {ended}
    FROM {table} t JOIN features f ON f.id = t.feature_id WHERE t.subject_id {{these}}"""  # noqa: S608 - constants
    for table, ended in VALUE_TABLES.items()
)
_PARENTS_OF: Final = {
    typed: tuple(
        f"""
    SELECT k.id, t.actor_id, {ended}
    FROM {table} t JOIN {typed} k ON k.id = t.target_id WHERE t.kind = 'parent' AND t.source_id {{these}}"""  # noqa: S608 - constants
        for table, ended in LINK_TABLES.items()
    )
    for typed in TYPED
}
_TYPES_OF: Final = {
    table: f"SELECT k.id FROM {table} t JOIN {table} k ON k.id = t.type_id WHERE t.id {{these}}"  # noqa: S608 - constants
    for table in TYPED
}
