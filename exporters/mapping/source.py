"""What all mappers read from: one view of a store, and the records of it that are exported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lineagelog.exporters.block import Names
from lineagelog.exporters.mapping.rows import Columns, Ids, columns_of
from lineagelog.exporters.vocabulary import local_name
from lineagelog.projections.reader import Reader, Row

if TYPE_CHECKING:
    from lineagelog.exporters.part import Part


@dataclass(frozen=True, slots=True)
class Source:
    """The records to export.

    Attributes:
        reader: One consistent view of the store.
        part: What is exported of it; `None` for all.
        only: Of all that is exported, the ids of the records to speak of; `None` for all of them.
        users: Local names of the users, by id.
        storages: Local names of the storage locations, by id.
    """

    reader: Reader
    part: Part | None
    only: Ids = None
    users: dict[str, str] = field(init=False)
    storages: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Read the users and storage locations, of which there are few and which many records name."""
        for table in ("users", "storages"):
            rows = self.reader.read(f"SELECT id, uid FROM {table}")  # noqa: S608 - names from this function
            object.__setattr__(self, table, {id_: local_name(uid) for id_, uid in rows})

    def ids(self, table: str) -> Ids:
        """Tell which records of a table are to be spoken of, definitions of annotations included."""
        if self.part is None:
            return self.only
        definitions = self.part.annotations.definitions
        ids: frozenset[str] = definitions[table] if table in definitions else getattr(self.part, table)
        return ids

    def held(self, table: str) -> Ids:
        """Tell which records of a table may be named."""
        return None if self.part is None else self.ids(table)

    def user_names(self, ids: Iterable[str | None]) -> Names:
        """Name users; of one who is unknown there is no name."""
        return Names([self.users.get(id_ or "") for id_ in ids], "user")

    def columns(self, sql: str, ids: Ids, *, keep: Callable[[Row], bool] | None = None) -> Iterator[Columns]:
        """Stream a query as columns; see `columns_of`."""
        return columns_of(self.reader, sql, ids, keep=keep)

    def holding(self, table: str, *places: int) -> Callable[[Row], bool] | None:
        """Make the condition that a row names only exported records of a table.

        Args:
            table: The table.
            places: Where in the row their ids stand.
        """
        ids = self.held(table)
        if ids is None:
            return None
        return lambda row: all(row[place] in ids for place in places)
