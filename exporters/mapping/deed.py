"""What a person did at one moment, as a PROV activity: who did it, and in which run.

Checks, deletions and annotations are deeds; what each of them is about differs, the rest is said here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Names
from lineagelog.exporters.mapping.rows import Columns, event_names, names
from lineagelog.exporters.mapping.source import Source
from lineagelog.exporters.statement import Association, Communication, Name
from lineagelog.projections.reader import Row


class Deeds(NamedTuple):
    """Columns of some deeds, which each query for deeds begins with.

    Attributes:
        positions: Places in the log of their events, which name the activities.
        actor_ids: Ids of the users who did them.
        run_ids: Ids of the runs in which they were done.
        runs: Uids of these runs.
        rest: What only this kind of deed has.
    """

    positions: tuple[int, ...]
    actor_ids: tuple[str | None, ...]
    run_ids: tuple[str | None, ...]
    runs: tuple[str | None, ...]
    rest: Columns

    @classmethod
    def of(cls, columns: Columns) -> Deeds:
        """Take the columns of a query."""
        positions, actor_ids, run_ids, runs, *rest = columns
        return cls(positions, actor_ids, run_ids, runs, rest)


class DeedMapper(ABC):
    """Reads the deeds of one kind.

    Attributes:
        prefix: Prefix of the names of the activities.
        role: Part that the user has in them.
    """

    prefix: ClassVar[str]
    role: ClassVar[Name]

    def __init__(self, source: Source) -> None:
        self._source = source

    @abstractmethod
    def deeds(self, keep: Callable[[Row], bool] | None = None) -> Iterator[Deeds]:
        """Read the deeds, in the order of the log."""

    def communications(self) -> Iterator[Block]:
        """Hand out which run each deed was part of."""
        runs = self._source.held("runs")
        for deeds in self.deeds(lambda row: row[3] is not None and (runs is None or row[2] in runs)):
            yield Block(Communication, None, (self._activities(deeds), names("run", deeds.runs)))

    def associations(self) -> Iterator[Block]:
        """Hand out who did it."""
        users = self._source.users
        for deeds in self.deeds(lambda row: row[1] in users):
            formal = self._activities(deeds), self._source.user_names(deeds.actor_ids), None
            yield Block(Association, event_names("association", deeds.positions), formal, ((v.ROLE, self.role),))

    def _activities(self, deeds: Deeds) -> Names:
        return event_names(self.prefix, deeds.positions)
