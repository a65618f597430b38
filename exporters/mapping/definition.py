"""What annotations are made with, as PROV: labels, records, features and projects are entities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Fillings, Lists, Texts
from lineagelog.exporters.mapping.annotation import DEFINITIONS, TYPED
from lineagelog.exporters.mapping.rows import Groups, dates, names, rows_of, unless
from lineagelog.exporters.mapping.source import Source
from lineagelog.exporters.statement import Attribution, Entity, Name


class DefinitionMapper:
    """Reads labels, records, features and projects."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def entities(self) -> Iterator[Block]:
        """Hand out an entity for each definition."""
        yield from self._typed("ulabels", v.ULABEL)
        yield from self._typed("records", v.RECORD)
        for columns in self._source.columns(_FEATURES, self._source.ids("features")):
            uid, name, dtype, unit, description, synonyms, created_at, updated_at = columns
            feature: Fillings = (
                (v.TYPE, v.FEATURE),
                (v.LABEL, Texts(name)),
                (v.DTYPE, Texts(dtype)),
                (v.UNIT, Texts(unit)),
                (v.DESCRIPTION, Texts(description)),
                (v.SYNONYMS, Texts(unless("[]", synonyms))),
                *dates(created_at, updated_at),
            )
            yield Block(Entity, names("feature", uid), (), feature)
        for columns in self._source.columns(_PROJECTS, self._source.ids("projects")):
            uid, name, description, url, created_at, updated_at = columns
            project: Fillings = (
                (v.TYPE, v.PROV_COLLECTION),
                (v.TYPE, v.PROJECT),
                (v.LABEL, Texts(name)),
                (v.DESCRIPTION, Texts(description)),
                (v.URL, Texts(url)),
                *dates(created_at, updated_at),
            )
            yield Block(Entity, names("project", uid), (), project)

    def attributions(self) -> Iterator[Block]:
        """Hand out who made each definition."""
        users = self._source.users
        for table, prefix in DEFINITIONS.items():
            ids = self._source.ids(table)
            for uids, user_ids in self._source.columns(_AUTHORS[table], ids, keep=lambda row: row[1] in users):
                yield Block(Attribution, None, (names(prefix, uids), self._source.user_names(user_ids)))

    def _typed(self, table: str, type_: Name) -> Iterator[Block]:
        prefix, ids = DEFINITIONS[table], self._source.ids(table)
        # Both streams are ordered by the child, so that its parents join it on the way.
        parents = Groups(rows_of(self._source.reader, _PARENTS[table], ids))
        for columns in self._source.columns(_TYPED[table], ids):
            id_, uid, name, description, is_type, of_type, reference, reference_type, created_at, updated_at = columns
            above = [tuple(v.name(prefix, parent) for (parent,) in parents.take(child)) for child in id_]
            attributes: Fillings = (
                (v.TYPE, type_),
                (v.LABEL, Texts(name)),
                (v.IS_TYPE, Column([True if mark else None for mark in is_type])),
                (v.OF_TYPE, names(prefix, of_type)),
                (v.PARENT, Lists(above)),
                (v.DESCRIPTION, Texts(description)),
                (v.REFERENCE, Texts(reference)),
                (v.REFERENCE_TYPE, Texts(reference_type)),
                *dates(created_at, updated_at),
            )
            yield Block(Entity, names(prefix, uid), (), attributes)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_FEATURES: Final = """
    SELECT t.uid, t.name, t.dtype, t.unit, t.description, t.synonyms, t.created_at, t.updated_at
    FROM features t WHERE t.id {these} ORDER BY t.position"""
_PROJECTS: Final = """
    SELECT t.uid, t.name, t.description, t.url, t.created_at, t.updated_at
    FROM projects t WHERE t.id {these} ORDER BY t.position"""
_TYPED: Final = {
    table: f"""
    SELECT t.id, t.uid, t.name, t.description, t.is_type, k.uid, t.reference, t.reference_type, t.created_at, t.updated_at
    FROM {table} t LEFT JOIN {table} k ON k.id = t.type_id WHERE t.id {{these}} ORDER BY t.position"""  # noqa: S608 - constants
    for table in TYPED
}
_PARENTS: Final = {
    table: f"""
    SELECT t.id, p.uid
    FROM {table} t JOIN links l ON l.source_id = t.id AND l.kind = 'parent' JOIN {table} p ON p.id = l.target_id
    WHERE t.id {{these}} ORDER BY t.position, l.position"""  # noqa: S608 - constants
    for table in TYPED
}
_AUTHORS: Final = {
    table: f"SELECT t.uid, t.created_by_id FROM {table} t WHERE t.id {{these}} ORDER BY t.position"  # noqa: S608 - constants
    for table in DEFINITIONS
}
