"""Events about collections: ordered sets of artifacts, in versions."""

from __future__ import annotations

from hashlib import sha256

from lineagelog.domain.event import Change, Event, recorded_as


@recorded_as("collection.registered.1")
class CollectionRegistered(Event, frozen=True):
    """A version of a collection was registered.

    Attributes:
        uid: 16 characters of the family, 4 of the version.
        version_number: Place in the family, from 0.
        key: Name of the collection, the same for a family.
        artifacts: Ids of the artifacts, in their order.
        hash: SHA-256 over the artifacts' hashes (`collection_hash`).
        description: Free text.
        version: Version tag given by the user.
        transform: Id of the transform version of the run.
        run: Id of the run that made it.
        revises: Id of the previous version.
    """

    uid: str
    version_number: int
    key: str
    artifacts: list[str]
    hash: str
    description: str | None = None
    version: str | None = None
    transform: str | None = None
    run: str | None = None
    revises: str | None = None


@recorded_as("collection.updated.1")
class CollectionUpdated(Event, frozen=True):
    """Details of a collection changed; old and new value of each."""

    changes: dict[str, Change]


def collection_hash(hashes: list[str]) -> str:
    """Hash what a collection holds.

    Args:
        hashes: Hashes of the artifacts, 64 hexadecimal characters each, in the order of the collection.

    Returns:
        SHA-256 over one hash per line.
    """
    return sha256("".join(f"{content}\n" for content in hashes).encode()).hexdigest()
