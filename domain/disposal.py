"""Events and rules of an artifact's end: into the trash, out of it, deleted for good; and which version is the latest afterwards.

An artifact is never removed from the registry. The trash hides it, a deletion takes its content; what is recorded about it stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from lineagelog.domain.errors import ArtifactStateError
from lineagelog.domain.event import Event, recorded_as

LIVE: Final = "live"
TRASHED: Final = "trashed"
DELETED: Final = "deleted"
STATES: Final = (LIVE, TRASHED, DELETED)
"""What an artifact can be."""


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


class Member(NamedTuple):
    """One version of a family, as far as the rules need it.

    Attributes:
        id: Id of the artifact.
        uid: Its uid.
        version_number: Its place in the family.
        state: One of `STATES`.
    """

    id: str
    uid: str
    version_number: int
    state: str


def latest_of(family: Iterable[Member]) -> str | None:
    """Return the id of the newest live version, `None` if there is none."""
    live = [member for member in family if member.state == LIVE]
    return max(live, key=lambda member: member.version_number).id if live else None


def check_can_trash(member: Member) -> None:
    """Refuse to put into the trash what is there already, or is gone.

    Raises:
        ArtifactStateError: It is not live.
    """
    if member.state != LIVE:
        raise ArtifactStateError(member.uid, member.state, "cannot be put into the trash")


def check_can_restore(member: Member) -> None:
    """Refuse to restore what is not in the trash.

    Raises:
        ArtifactStateError: It is live, or deleted for good.
    """
    if member.state != TRASHED:
        raise ArtifactStateError(member.uid, member.state, "cannot be restored")


def check_can_delete(member: Member) -> None:
    """Refuse to delete what is deleted already.

    Raises:
        ArtifactStateError: It is.
    """
    if member.state == DELETED:
        raise ArtifactStateError(member.uid, member.state, "cannot be deleted again")
