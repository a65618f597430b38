"""Events about storage locations: the roots under which artifacts lie, checks of them, and what was removed there."""

from __future__ import annotations

import msgspec

from lineagelog.domain.event import Change, Event, recorded_as


@recorded_as("storage.registered.1")
class StorageRegistered(Event, frozen=True):
    """A storage location was registered.

    Attributes:
        uid: Short name.
        root: Absolute local path, or URL without credentials.
        type: Protocol: `local`, `s3`, `gs`, `memory`, ….
        region: Region of a cloud location.
        description: Free text.
        endpoint_url: Address of a server that speaks the protocol of S3 and is not Amazon's.
    """

    uid: str
    root: str
    type: str
    region: str | None = None
    description: str | None = None
    endpoint_url: str | None = None


@recorded_as("storage.updated.1")
class StorageUpdated(Event, frozen=True):
    """Details of a storage location changed; old and new value of each."""

    changes: dict[str, Change]


@recorded_as("storage.made_default.1")
class StorageMadeDefault(Event, frozen=True):
    """New artifacts go to another storage location from now on. It is recorded in the store's own stream.

    Attributes:
        storage: Id of the location they go to.
        previous: Id of the location they went to before.
    """

    storage: str
    previous: str | None = None


@recorded_as("storage.checked.1")
class StorageChecked(Event, frozen=True):
    """The content at a storage location was held against what is recorded of it.

    What was wrong with an artifact is an event of that artifact (`ArtifactVerified`).

    Attributes:
        content_read: All bytes were read and their hashes compared; if not, only presence and size.
        n_artifacts: Artifacts whose content has to be there.
        n_missing: Those of which nothing was found.
        n_changed: Those whose content is not the recorded one.
        n_unchecked: Those that could not be judged, or have no hash of their bytes; all others were as recorded.
        n_orphans: Objects that belong to no artifact.
        orphan_bytes: Their size.
        bytes_read: Bytes that were read.
        started_at: When the check began; UTC text of 27 characters.
    """

    content_read: bool
    n_artifacts: int
    n_missing: int
    n_changed: int
    n_unchecked: int
    n_orphans: int
    orphan_bytes: int
    bytes_read: int
    started_at: str


class RemovedObject(msgspec.Struct, frozen=True):
    """An object that belongs to no artifact and is given up.

    Attributes:
        path: Where it lies, relative to the storage root.
        size_bytes: Its size.
    """

    path: str
    size_bytes: int


@recorded_as("storage.collected.1")
class StorageCollected(Event, frozen=True):
    """Objects that belong to no artifact were given up for removal; from now on none of their paths can be registered.

    It is recorded before the objects are removed: nothing disappears of which the log does not know. If the removal is cut off,
    what is left belongs to no artifact as before, and the next collection removes it.

    Attributes:
        objects: The objects, at most some hundred to an event.
        older_than_s: Objects younger than this were left alone, seconds.
    """

    objects: list[RemovedObject]
    older_than_s: float

    @property
    def n_objects(self) -> int:
        """Number of the objects."""
        return len(self.objects)

    @property
    def size_bytes(self) -> int:
        """Their size together."""
        return sum(one.size_bytes for one in self.objects)
