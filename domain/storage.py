"""Events about storage locations: the roots under which artifacts lie."""

from __future__ import annotations

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
    """

    uid: str
    root: str
    type: str
    region: str | None = None
    description: str | None = None


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
