"""Events about artifacts: data sets, models and other results stored as files or folders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.event import Change, Event, recorded_as
from lineagelog.domain.ids import VERSION_LENGTH
from lineagelog.domain.values import check_name

KINDS_OF_RUNS: Final = ("run_log", "run_report", "run_diff")
"""Kinds of what tells of a run itself: what it printed, what it looked like, the uncommitted changes of its code."""

ARTIFACT_KINDS: Final = ("dataset", "model", "plot", "report", *KINDS_OF_RUNS)
LIVE: Final = "live"
TRASHED: Final = "trashed"
DELETED: Final = "deleted"

INTACT: Final = "intact"
MISSING: Final = "missing"
CHANGED: Final = "changed"


@recorded_as("artifact.registered.1")
class ArtifactRegistered(Event, frozen=True):
    """A version of an artifact was registered; its bytes are in storage.

    Attributes:
        uid: 16 characters of the family, 4 of the version.
        version_number: Place in the family, from 0.
        storage: Id of the storage location.
        path: Where the bytes lie, relative to the storage root.
        size_bytes: Total size.
        hash: SHA-256 of the content, 64 hexadecimal characters; of a folder, of its listing (`folder_hash`); of a remote object
            that nobody has read, of its address, size and ETag.
        hash_type: `sha256`, `sha256-folder` or `etag`.
        key: Name within the store, a path relative to the storage root or one chosen by the user.
        key_is_virtual: The bytes lie at a path made from the uid, not at the key.
        description: Free text.
        suffix: File name extension, such as `.parquet` or `.tar.gz`.
        kind: One of `ARTIFACT_KINDS`.
        otype: Type of the object in memory, such as `DataFrame`.
        n_files: Number of files of a folder.
        n_observations: Number of rows of a table, of observations of an annotated matrix, length of an array.
        version: Version tag given by the user.
        transform: Id of the transform version of the run.
        run: Id of the run that generated it.
        revises: Id of the previous version.
        n_variables: Number of columns of a table, of variables of an annotated matrix.
        table_schema: Column name to the name of its Arrow type, in order, of the first 1,000 columns; of an annotated
            matrix the columns of its `obs` and `var`.
    """

    uid: str
    version_number: int
    storage: str
    path: str
    size_bytes: int
    hash: str
    hash_type: str = "sha256"
    key: str | None = None
    key_is_virtual: bool = True
    description: str | None = None
    suffix: str = ""
    kind: str | None = None
    otype: str | None = None
    n_files: int | None = None
    n_observations: int | None = None
    version: str | None = None
    transform: str | None = None
    run: str | None = None
    revises: str | None = None
    n_variables: int | None = None
    table_schema: dict[str, str] | None = None


@recorded_as("artifact.seen_again.1")
class ArtifactSeenAgain(Event, frozen=True):
    """Content that is registered already was saved once more; no second artifact came into being.

    Attributes:
        run: Id of the run that saved it again.
        transform: Id of the transform version of that run.
        description: Description given with the second registration.
    """

    run: str | None = None
    transform: str | None = None
    description: str | None = None


@recorded_as("artifact.trusted.1")
class ArtifactTrusted(Event, frozen=True):
    """Somebody allowed the content to run code, as formats such as pickle do while they are loaded; recorded before it did.

    Attributes:
        format: Name of the format.
        how: The call that was going to load it.
    """

    format: str
    how: str


@recorded_as("artifact.updated.1")
class ArtifactUpdated(Event, frozen=True):
    """Metadata of an artifact changed; old and new value of each field."""

    changes: dict[str, Change]


@recorded_as("artifact.verified.1")
class ArtifactVerified(Event, frozen=True):
    """The content of an artifact was held against its recorded size and hash: a fixity check.

    Attributes:
        outcome: `intact`, `missing` or `changed`.
        found_hash: Hash of what was found; `None` if nothing was, or if it was not read because its size or form is another.
        found_size_bytes: Size of what was found.
    """

    outcome: str
    found_hash: str | None = None
    found_size_bytes: int | None = None


class Version(NamedTuple):
    """One existing version of an artifact, as far as the rules need it.

    Attributes:
        id: Id of the artifact.
        uid: Its uid.
        version_number: Its place in the family.
        hash: Hash of its content.
        state: `live`, `trashed` or `deleted`.
    """

    id: str
    uid: str
    version_number: int
    hash: str
    state: str = LIVE


class Place(NamedTuple):
    """Where a newly saved content belongs.

    Attributes:
        same_as: Id of the artifact that has this content already, else `None`.
        stem: Family of the new version, `None` for a new family.
        version_number: Place in the family.
        revises: Id of the previous version.
        restores: The artifact that has the content is in the trash, and is to be taken out of it.
    """

    same_as: str | None
    stem: str | None = None
    version_number: int = 0
    revises: str | None = None
    restores: bool = False


def newest(family: Iterable[Version], *states: str) -> Version | None:
    """Return the version of a family with the highest number among those in one of the states, `None` if there is none."""
    return max((version for version in family if version.state in states), key=lambda v: v.version_number, default=None)


def place_content(
    content_hash: str, family: Iterable[Version], same_content: Version | None, *, skip_hash_lookup: bool
) -> Place:
    """Decide whether saved content is an artifact that exists, a new version of one, or a new family.

    Content that equals the latest version of its family is that version. Content that equals an *older* version is a new
    version, since the latest must be what was saved last. Content that equals a version in the trash is that version, taken out
    again, if it is newer than the latest. What was deleted for good does not come back: its content is a new version.
    Without a family (no key), equal content anywhere is that artifact.

    Numbers are never given twice, so the next one follows the highest that ever was. A new version revises the latest; where no
    version is live, the newest one in the trash; never a deleted one, which nothing can be made from any more.

    Args:
        content_hash: Hash of the saved content.
        family: All versions of the family that the key or `revises` names.
        same_content: An artifact with this content that is not deleted, asked for only where there is no family.
        skip_hash_lookup: Always register a new version.
    """
    versions = list(family)
    if not versions:
        if same_content is None or skip_hash_lookup:
            return Place(None)
        return Place(same_content.id, restores=same_content.state == TRASHED)
    latest = newest(versions, LIVE)
    if not skip_hash_lookup:
        if latest is not None and latest.hash == content_hash:
            return Place(latest.id)
        above = latest.version_number if latest is not None else -1
        equal = (v for v in versions if v.hash == content_hash and v.version_number > above)
        trashed = newest(equal, TRASHED)
        if trashed is not None:
            return Place(trashed.id, restores=True)
    highest = max(versions, key=lambda v: v.version_number)
    previous = latest or newest(versions, TRASHED)
    return Place(
        None, highest.uid[:-VERSION_LENGTH], highest.version_number + 1, previous.id if previous is not None else None
    )


def check_key(value: object) -> str:
    """Accept the key of an artifact: a relative path with forward slashes.

    A key is a label; storage paths are made from uids, so nothing is ever written to a path a key names.

    Raises:
        InvalidValueError: Absolute, with a `..` or empty part, a backslash, or not a name.
    """
    text = check_name(value, "the artifact key")
    parts = text.split("/")
    if text.startswith("/") or "\\" in text or any(part in ("", ".", "..") for part in parts):
        raise InvalidValueError(
            "the artifact key",
            f"{text!r} must be a relative path with forward slashes and without '.', '..' or empty parts",
        )
    return text


def check_kind(value: object) -> str:
    """Accept the kind of an artifact.

    Raises:
        InvalidValueError: Not one of `ARTIFACT_KINDS`.
    """
    if value not in ARTIFACT_KINDS:
        raise InvalidValueError("the artifact kind", f"is {value!r}; it must be one of: {', '.join(ARTIFACT_KINDS)}")
    return str(value)


def folder_hash(members: list[tuple[str, int, str]]) -> str:
    """Hash the listing of a folder.

    Args:
        members: Relative path with forward slashes, size in bytes and SHA-256 of each file.

    Returns:
        SHA-256 over one line `sha256 size path` per file, sorted by path as UTF-8, each path written as JSON text
        so that no name can imitate another line.
    """
    import hashlib
    import json

    digest = hashlib.sha256()
    for path, size, content in sorted(members, key=lambda member: member[0].encode()):
        digest.update(f"{content} {size} {json.dumps(path, ensure_ascii=False)}\n".encode())
    return digest.hexdigest()
