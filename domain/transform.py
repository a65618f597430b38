"""Events about code: one `TransformRegistered` per version of a script, notebook, pipeline, function or app."""

from __future__ import annotations

from typing import Final

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.event import Change, Event, recorded_as
from lineagelog.domain.ids import TRANSFORM_STEM_LENGTH, VERSION_LENGTH, is_base62

TRANSFORM_TYPES: Final = ("script", "notebook", "pipeline", "function", "app", "upload", "glue")


@recorded_as("transform.registered.1")
class TransformRegistered(Event, frozen=True):
    """A version of a transform was registered.

    Attributes:
        uid: 12 characters of the family, 4 of the version.
        version_number: Place in the family, from 0.
        key: File name or name, the same for a family unless renamed.
        type: One of `TRANSFORM_TYPES`.
        description: Title or free text.
        version: Version tag given by the user, such as `7.2.0`.
        source_code: The source as stored.
        hash: SHA-256 of the source as it ran, 64 hexadecimal characters.
        source_redacted: Secrets were taken out of `source_code` after hashing.
        reference: URL or other reference to the code.
        reference_type: What `reference` is, such as `url` or `git`.
        revises: Id of the previous version.
    """

    uid: str
    version_number: int
    key: str
    type: str
    description: str | None = None
    version: str | None = None
    source_code: str | None = None
    hash: str | None = None
    source_redacted: bool = False
    reference: str | None = None
    reference_type: str | None = None
    revises: str | None = None


@recorded_as("transform.updated.1")
class TransformUpdated(Event, frozen=True):
    """Details of a transform version changed; old and new value of each."""

    changes: dict[str, Change]


def check_type(value: object) -> str:
    """Accept the type of a transform.

    Raises:
        InvalidValueError: Not one of `TRANSFORM_TYPES`.
    """
    if value not in TRANSFORM_TYPES:
        raise InvalidValueError("the transform type", f"is {value!r}; it must be one of: {', '.join(TRANSFORM_TYPES)}")
    return str(value)


def check_uid(value: object) -> str:
    """Accept the uid that a user pins a script to, and return its family: the first 12 characters.

    Raises:
        InvalidValueError: Not 12 or 16 base62 characters.
    """
    text = str(value)
    if len(text) not in (TRANSFORM_STEM_LENGTH, TRANSFORM_STEM_LENGTH + VERSION_LENGTH) or not is_base62(text):
        raise InvalidValueError("the transform uid", f"is {value!r}; it must be 12 (or 16) letters and digits")
    return text[:TRANSFORM_STEM_LENGTH]
