"""What artifacts, collections and versions of code have in common, as PROV: families, authors, and revisions of one another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Names
from lineagelog.exporters.mapping.rows import Columns, chunked, event_names, moments, names
from lineagelog.exporters.mapping.source import Source
from lineagelog.exporters.statement import Attribution, Derivation, Entity, Generation, Name, Specialization


class VersionedMapper(ABC):
    """Reads the versions of one kind of record.

    Attributes:
        table: Their table.
        prefix: Prefix of their names.
        family: Type of what all versions of one record belong to.
        order: Column that tells which version of a family came first.
    """

    table: ClassVar[str]
    prefix: ClassVar[str]
    family: ClassVar[Name]
    order: ClassVar[str] = "version_number"

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ids = source.ids(self.table)

    @abstractmethod
    def entities(self) -> Iterator[Block]:
        """Hand out an entity for each version."""

    def families(self) -> Iterator[Block]:
        """Hand out an entity for each family."""
        type_ = ((v.TYPE, self.family),)
        if self._ids is None:
            for (stems,) in self._columns(_FAMILIES):
                yield Block(Entity, self._families(stems), (), type_)
            return
        found = {str(stem) for stem, _ in chunked(self._source.reader, self._query(_STEMS), self._ids)}
        if found:
            yield Block(Entity, self._families(sorted(found)), (), type_)

    def generations(self) -> Iterator[Block]:
        """Hand out exactly one generation of each version (constraint 24).

        It is by no activity where there was no run or it is outside this part. What a run that had ended before made was generated
        earlier than it was recorded, nobody knows when.
        """
        held, output = self._source.held("runs"), v.KNOWN_ROLES["output"]
        for positions, uids, run_ids, runs, created_at in self._columns(_GENERATIONS):
            if held is not None:
                runs = tuple(run if id_ in held else None for id_, run in zip(run_ids, runs, strict=True))
            roles = Column([None if run is None else output for run in runs])
            formal = self._names(uids), names("run", runs), moments(created_at)
            yield Block(Generation, event_names("generation", positions), formal, ((v.ROLE, roles),))

    def attributions(self) -> Iterator[Block]:
        """Hand out who made each version."""
        users = self._source.users
        for uids, user_ids in self._columns(_AUTHORS, keep=lambda row: row[1] in users):
            yield Block(Attribution, None, (self._names(uids), self._source.user_names(user_ids)))

    def revisions(self) -> Iterator[Block]:
        """Hand out which version each one revises."""
        revision = ((v.TYPE, v.REVISION),)
        for uids, _, previous in self._columns(_REVISIONS, keep=self._source.holding(self.table, 1)):
            # Activity, generation and usage: all three or none (constraint 51).
            yield Block(Derivation, None, (self._names(uids), self._names(previous), None, None, None), revision)

    def specializations(self) -> Iterator[Block]:
        """Hand out the family that each version belongs to."""
        for stems, uids in self._columns(_STEMS):
            yield Block(Specialization, None, (self._names(uids), self._families(stems)))

    def _names(self, uids: tuple[str, ...]) -> Names:
        return names(self.prefix, uids)

    def _families(self, stems: tuple[str, ...] | list[str]) -> Names:
        return names(f"{self.prefix}-family", stems)

    def _query(self, sql: str) -> str:
        return sql.replace("{table}", self.table).replace("{order}", self.order)

    def _columns(self, sql: str, **options: Any) -> Iterator[Columns]:
        return self._source.columns(self._query(sql), self._ids, **options)


# Each query has places for the table, and one place `{these}` after the id of the records it is about: all of them, or a list.
_FAMILIES: Final = """
    SELECT t.stem FROM {table} t WHERE t.id {these} AND NOT EXISTS (
        SELECT 1 FROM {table} e WHERE e.stem = t.stem AND e.{order} < t.{order}) ORDER BY t.position"""
_STEMS: Final = "SELECT t.stem, t.uid FROM {table} t WHERE t.id {these} ORDER BY t.position"
_GENERATIONS: Final = """
    SELECT t.position, t.uid, r.id, r.uid, CASE WHEN r.finished_at < t.created_at THEN NULL ELSE t.created_at END
    FROM {table} t LEFT JOIN runs r ON r.id = t.run_id WHERE t.id {these} ORDER BY t.position"""
_AUTHORS: Final = "SELECT t.uid, t.created_by_id FROM {table} t WHERE t.id {these} ORDER BY t.position"
_REVISIONS: Final = """
    SELECT t.uid, p.id, p.uid FROM {table} t JOIN {table} p ON p.id = t.revises_id WHERE t.id {these} ORDER BY t.position"""
