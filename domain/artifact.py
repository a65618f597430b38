"""Events about artifacts: data sets, models and other results stored as files or folders."""

from __future__ import annotations

from typing import Final, NamedTuple

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.event import Change, Event, recorded_as
from lineagelog.domain.values import check_name

ARTIFACT_KINDS: Final = ("dataset", "model", "plot", "report")

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
    """

    id: str
    uid: str
    version_number: int
    hash: str


class Place(NamedTuple):
    """Where a newly saved content belongs.

    Attributes:
        same_as: Id of the artifact that has this content already, else `None`.
        stem: Family of the new version, `None` for a new family.
        version_number: Place in the family.
        revises: Id of the previous version.
    """

    same_as: str | None
    stem: str | None
    version_number: int
    revises: str | None


def place_content(
    content_hash: str, latest: Version | None, same_content: str | None, *, skip_hash_lookup: bool
) -> Place:
    """Decide whether saved content is an artifact that exists, a new version of one, or a new family.

    Content that equals the latest version of its family is that version. Content that equals an *older* version is a new
    version, since the latest must be what was saved last. Without a family (no key), equal content anywhere is
    that artifact.

    Args:
        content_hash: Hash of the saved content.
        latest: Latest version of the family that the key or `revises` names.
        same_content: Id of an artifact with this content, asked for only where there is no family.
        skip_hash_lookup: Always register a new version.
    """
    if latest is not None:
        if latest.hash == content_hash and not skip_hash_lookup:
            return Place(latest.id, None, latest.version_number, None)
        return Place(None, latest.uid[:-4], latest.version_number + 1, latest.id)
    if same_content is not None and not skip_hash_lookup:
        return Place(same_content, None, 0, None)
    return Place(None, None, 0, None)


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
