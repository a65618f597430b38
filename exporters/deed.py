"""What a person did at one moment, as a PROV activity: who did it, and in which run.

Checks and deletions are deeds; what each of them is about differs, the rest is said here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Protocol

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.rows import Ids
from lineagelog.exporters.statement import Association, Communication, Name, Statement
from lineagelog.projections.reader import Reader


class Deed(Protocol):
    """One deed, as each pass over them needs it.

    Attributes:
        position: Place in the log of its event, which names the activity.
        name: Name of the activity.
        actor_id: Id of the user who did it.
        run_id: Id of the run in which it was done.
        run: Uid of that run.
    """

    @property
    def position(self) -> int: ...  # noqa: D102
    @property
    def name(self) -> Name: ...  # noqa: D102
    @property
    def actor_id(self) -> str | None: ...  # noqa: D102
    @property
    def run_id(self) -> str | None: ...  # noqa: D102
    @property
    def run(self) -> str | None: ...  # noqa: D102


class DeedMapper(ABC):
    """Reads the deeds of one kind.

    Attributes:
        role: Part that the user has in them.

    Args:
        reader: One consistent view of the store.
        users: Names of the users, by id.
        artifacts: Ids of the artifacts to export; `None` for all.
        runs: Ids of the runs that the export holds; `None` for all.
    """

    role: Name

    def __init__(self, reader: Reader, users: Mapping[str, Name], artifacts: Ids, runs: Ids) -> None:
        self._reader = reader
        self._users = users
        self._artifacts = artifacts
        self._runs = runs

    @abstractmethod
    def deeds(self) -> Iterator[Deed]:
        """Read the deeds, in the order of the log."""

    def communications(self) -> Iterator[Statement]:
        """Hand out which run each deed was part of."""
        for deed in self.deeds():
            if deed.run is not None and (self._runs is None or deed.run_id in self._runs):
                yield Communication(None, deed.name, Name(f"run:{v.local_name(deed.run)}"))

    def associations(self) -> Iterator[Statement]:
        """Hand out who did it."""
        role = ((v.ROLE, self.role),)
        for deed in self.deeds():
            user = self._users.get(deed.actor_id or "")
            if user is not None:
                yield Association(Name(f"association:e{deed.position}"), deed.name, user, None, role)
