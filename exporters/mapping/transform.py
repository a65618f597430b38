"""Versions of code as PROV: plans that runs follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Fillings, Texts
from lineagelog.exporters.mapping.rows import dates
from lineagelog.exporters.mapping.versioned import VersionedMapper
from lineagelog.exporters.statement import Entity


class TransformMapper(VersionedMapper):
    """Reads the versions of code."""

    table = "transforms"
    prefix = "transform"
    family = v.TRANSFORM_FAMILY
    order = "position"

    def entities(self) -> Iterator[Block]:
        """Hand out an entity for each version."""
        for columns in self._columns(_TRANSFORMS):
            (
                uid, key, type_, description, hash_, source_redacted, reference, reference_type, version_number, version,
                created_at, updated_at,
            ) = columns  # fmt: skip
            attributes: Fillings = (
                (v.TYPE, v.PLAN),
                (v.TYPE, v.TRANSFORM),
                (v.LABEL, Texts(key)),
                (v.KEY, Texts(key)),
                (v.TRANSFORM_TYPE, Texts(type_)),
                (v.DESCRIPTION, Texts(description)),
                (v.SHA256, Texts(hash_)),
                (v.SOURCE_REDACTED, Column([True if redacted else None for redacted in source_redacted])),
                (v.REFERENCE, Texts(reference)),
                (v.REFERENCE_TYPE, Texts(reference_type)),
                (v.VERSION_NUMBER, Column(version_number)),
                (v.VERSION, Texts(version)),
                *dates(created_at, updated_at),
            )
            yield Block(Entity, self._names(uid), (), attributes)


_TRANSFORMS: Final = """
    SELECT t.uid, t.key, t.type, t.description, t.hash, t.source_redacted, t.reference, t.reference_type, t.version_number,
        t.version, t.created_at, t.updated_at
    FROM transforms t WHERE t.id {these} ORDER BY t.position"""
