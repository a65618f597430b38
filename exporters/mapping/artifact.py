"""Artifacts as PROV: entities at a place, each a specialization of its family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Column, Fillings, Names, Texts
from lineagelog.exporters.mapping.rows import dates, unless
from lineagelog.exporters.mapping.versioned import VersionedMapper
from lineagelog.exporters.statement import Entity


class ArtifactMapper(VersionedMapper):
    """Reads the artifacts."""

    table = "artifacts"
    prefix = "artifact"
    family = v.ARTIFACT_FAMILY

    def entities(self) -> Iterator[Block]:
        """Hand out an entity for each artifact."""
        storages = self._source.storages
        for columns in self._columns(_ARTIFACTS):
            (
                _, uid, key, kind, suffix, description, size, hash_, hash_type, otype, n_files, n_observations, n_variables,
                table_schema, storage, path, version_number, version, state, created_at, updated_at,
            ) = columns  # fmt: skip
            of_file = [type_ == "sha256" for type_ in hash_type]
            attributes: Fillings = (
                (v.TYPE, v.ARTIFACT),
                (v.LABEL, Texts(key)),
                (v.LOCATION, Names([storages.get(id_) for id_ in storage], "storage")),
                (v.KEY, Texts(key)),
                (v.KIND, Texts(kind)),
                (v.SUFFIX, Texts(unless("", suffix))),
                (v.DESCRIPTION, Texts(description)),
                (v.BYTE_SIZE, Column(size)),
                (v.SHA256, Texts([text if file else None for file, text in zip(of_file, hash_, strict=True)])),
                (v.FOLDER_SHA256, Texts([None if file else text for file, text in zip(of_file, hash_, strict=True)])),
                (v.OBJECT_TYPE, Texts(otype)),
                (v.N_FILES, Column(n_files)),
                (v.N_OBSERVATIONS, Column(n_observations)),
                (v.N_VARIABLES, Column(n_variables)),
                (v.TABLE_SCHEMA, Texts(table_schema)),
                (v.PATH, Texts(path)),
                (v.VERSION_NUMBER, Column(version_number)),
                (v.VERSION, Texts(version)),
                (v.STATE, Texts(unless("live", state))),
                *dates(created_at, updated_at),
            )
            yield Block(Entity, self._names(uid), (), attributes)


# With the id there are 21 columns: CPython 3.11 keeps freed tuples of exactly 20 items for later and never takes them up again.
_ARTIFACTS: Final = """
    SELECT t.id, t.uid, t.key, t.kind, t.suffix, t.description, t.size, t.hash, t.hash_type, t.otype, t.n_files, t.n_observations,
        t.n_variables, t.table_schema, t.storage_id, t.storage_path, t.version_number, t.version,
        t.state, t.created_at, t.updated_at
    FROM artifacts t WHERE t.id {these} ORDER BY t.position"""
