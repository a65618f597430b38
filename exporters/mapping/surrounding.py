"""What runs and artifacts refer to, as PROV: users and interpreters as agents, storage locations and environments as entities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.block import Block, Texts
from lineagelog.exporters.mapping.rows import moments, names, unless
from lineagelog.exporters.mapping.source import Source
from lineagelog.exporters.statement import Agent, Entity


class SurroundingMapper:
    """Reads users, storage locations and environments."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def users(self) -> Iterator[Block]:
        """Hand out an agent for each user."""
        for uid, handle, name, email, created_at in self._source.columns(_USERS, self._source.ids("users")):
            attributes = (
                (v.TYPE, v.PERSON),
                (v.LABEL, Texts([full or short for full, short in zip(name, handle, strict=True)])),
                (v.HANDLE, Texts(handle)),
                (v.EMAIL, Texts(email)),
                (v.CREATED, moments(created_at)),
            )
            yield Block(Agent, names("user", uid), (), attributes)

    def interpreters(self) -> Iterator[Block]:
        """Hand out an agent for the interpreter of each environment."""
        ids = self._source.ids("environments")
        for id_, python, implementation, *_ in self._source.columns(_ENVIRONMENTS, ids):
            label = [f"{name} {version}" for name, version in zip(implementation, python, strict=True)]
            attributes = (
                (v.TYPE, v.SOFTWARE_AGENT),
                (v.LABEL, Texts(label)),
                (v.IN_ENVIRONMENT, names("environment", id_)),
            )
            yield Block(Agent, names("software", id_), (), attributes)

    def storages(self) -> Iterator[Block]:
        """Hand out an entity for each storage location."""
        ids = self._source.ids("storages")
        for uid, root, type_, region, endpoint_url, description, created_at in self._source.columns(_STORAGES, ids):
            attributes = (
                (v.TYPE, v.PLACE),
                (v.TYPE, v.STORAGE),
                (v.LABEL, Texts(root)),
                (v.ROOT, Texts(root)),
                (v.STORAGE_TYPE, Texts(type_)),
                (v.REGION, Texts(region)),
                (v.ENDPOINT, Texts(endpoint_url)),
                (v.DESCRIPTION, Texts(description)),
                (v.CREATED, moments(created_at)),
            )
            yield Block(Entity, names("storage", uid), (), attributes)

    def environments(self) -> Iterator[Block]:
        """Hand out an entity for each environment."""
        for columns in self._source.columns(_ENVIRONMENTS, self._source.ids("environments")):
            id_, python, implementation, platform, hash_, packages, hardware, conda, conda_packages, created_at = (
                columns
            )
            attributes = (
                (v.TYPE, v.ENVIRONMENT),
                (v.PYTHON, Texts(python)),
                (v.IMPLEMENTATION, Texts(implementation)),
                (v.PLATFORM, Texts(platform)),
                (v.SHA256, Texts(hash_)),
                (v.PACKAGES, Texts(packages)),
                (v.HARDWARE, Texts(unless("{}", hardware))),
                (v.CONDA, Texts(conda)),
                (v.CONDA_PACKAGES, Texts(unless("{}", conda_packages))),
                (v.CREATED, moments(created_at)),
            )
            yield Block(Entity, names("environment", id_), (), attributes)


# Each query has one place `{these}` after the id of the records it is about: all of them, or a list.
_USERS: Final = """
    SELECT t.uid, t.handle, t.name, t.email, t.created_at FROM users t WHERE t.id {these} ORDER BY t.position"""
_STORAGES: Final = """
    SELECT t.uid, t.root, t.type, t.region, t.endpoint_url, t.description, t.created_at
    FROM storages t WHERE t.id {these} ORDER BY t.position"""
_ENVIRONMENTS: Final = """
    SELECT t.id, t.python, t.implementation, t.platform, t.hash, t.packages, t.hardware, t.conda, t.conda_packages, t.created_at
    FROM environments t WHERE t.id {these} ORDER BY t.position"""
