"""Collections as PROV: entities with artifacts as their members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Fillings, Texts
from lineagelog.exporters.mapping.rows import dates, names
from lineagelog.exporters.mapping.versioned import VersionedMapper
from lineagelog.exporters.part import MEMBERS
from lineagelog.exporters.statement import Entity, Membership


class CollectionMapper(VersionedMapper):
    """Reads the collections."""

    table = "collections"
    prefix = "collection"
    family = v.COLLECTION_FAMILY

    def entities(self) -> Iterator[Block]:
        """Hand out an entity for each collection."""
        for columns in self._columns(_COLLECTIONS):
            uid, key, description, hash_, n_artifacts, version_number, version, created_at, updated_at = columns
            attributes: Fillings = (
                (v.TYPE, v.PROV_COLLECTION),
                (v.TYPE, v.COLLECTION),
                (v.LABEL, Texts(key)),
                (v.KEY, Texts(key)),
                (v.DESCRIPTION, Texts(description)),
                (v.COLLECTION_SHA256, Texts(hash_)),
                (v.N_ARTIFACTS, Column(n_artifacts)),
                (v.VERSION_NUMBER, Column(version_number)),
                (v.VERSION, Texts(version)),
                *dates(created_at, updated_at),
            )
            yield Block(Entity, self._names(uid), (), attributes)

    def memberships(self) -> Iterator[Block]:
        """Hand out the members of each collection."""
        for uids, _, members in self._columns(MEMBERS, keep=self._source.holding("artifacts", 1)):
            yield Block(Membership, None, (self._names(uids), names("artifact", members)))


_COLLECTIONS: Final = """
    SELECT t.uid, t.key, t.description, t.hash, t.n_artifacts, t.version_number, t.version, t.created_at, t.updated_at
    FROM collections t WHERE t.id {these} ORDER BY t.position"""
