"""Events and rules of an artifact's end: into the trash, out of it, deleted for good; and which version is the latest afterwards.

An artifact is never removed from the registry. The trash hides it, a deletion takes its content; what is recorded about it stays.
"""

from __future__ import annotations

from lineagelog.domain.artifact import DELETED, LIVE, TRASHED, Version
from lineagelog.domain.errors import ArtifactStateError
from lineagelog.domain.event import Event, recorded_as


@recorded_as("artifact.trashed.1")
class ArtifactTrashed(Event, frozen=True):
    """A version of an artifact was put into the trash; its content stays.

    Attributes:
        latest: Id of the version that is the latest of the family afterwards, `None` if no live one is left.
    """

    latest: str | None = None


@recorded_as("artifact.restored.1")
class ArtifactRestored(Event, frozen=True):
    """A version of an artifact was taken out of the trash.

    Attributes:
        latest: Id of the version that is the latest of the family afterwards.
        superseded: Id of the version that was the latest until then, if it is not any more.
    """

    latest: str | None = None
    superseded: str | None = None


@recorded_as("artifact.deleted.1")
class ArtifactDeleted(Event, frozen=True):
    """A version of an artifact was deleted for good. Nothing may use it after this; what is recorded about it stays.

    Attributes:
        storage: Id of the storage location.
        path: Where the bytes lay, relative to the storage root.
        hash: SHA-256 of the content, as registered.
        size_bytes: Total size.
        content_removed: The bytes are removed as soon as this is recorded; those that stay belong to the user, or to another
            artifact as well.
        latest: Id of the version that is the latest of the family afterwards, `None` if no live one is left.
    """

    storage: str
    path: str
    hash: str
    size_bytes: int
    content_removed: bool
    latest: str | None = None


def check_can_trash(version: Version) -> None:
    """Refuse to put into the trash what is there already, or is gone.

    Raises:
        ArtifactStateError: It is not live.
    """
    if version.state != LIVE:
        raise ArtifactStateError(version.uid, version.state, "cannot be put into the trash")


def check_can_restore(version: Version) -> None:
    """Refuse to restore what is not in the trash.

    Raises:
        ArtifactStateError: It is live, or deleted for good.
    """
    if version.state != TRASHED:
        raise ArtifactStateError(version.uid, version.state, "cannot be restored")


def check_can_delete(version: Version) -> None:
    """Refuse to delete what is deleted already.

    Raises:
        ArtifactStateError: It is.
    """
    if version.state == DELETED:
        raise ArtifactStateError(version.uid, version.state, "cannot be deleted again")
