"""Identifiers: time-ordered UUIDs for streams and events, short random uids for people.

A record has two names. Its `id` is a UUIDv7 (RFC 9562 5.7): the stream of its events, the key other records
refer to; time-ordered, so that index pages fill from one side. Its `uid` is what people type: random base62, so that
the first few characters tell two records apart.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import Final, NewType

from lineagelog.domain import clock

Id = NewType("Id", str)
"""UUIDv7 of a record or an event, 36 characters, lower case."""

Uid = NewType("Uid", str)
"""Short name of a record, base62."""

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VERSION_LENGTH: Final = 4
"""Characters of a versioned uid that hold the version number; those before it are the stem."""

ARTIFACT_STEM_LENGTH: Final = 16
TRANSFORM_STEM_LENGTH: Final = 12
RUN_UID_LENGTH: Final = 16
SHORT_UID_LENGTH: Final = 8
STORAGE_UID_LENGTH: Final = 12
RECORD_UID_LENGTH: Final = 16
FEATURE_UID_LENGTH: Final = 12
PROJECT_UID_LENGTH: Final = 12
ANONYMOUS_UID: Final = Uid("00000000")

_PAIRS: Final = [first + second for first in ALPHABET for second in ALPHABET]
_UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MAX_VERSION: Final = 62**VERSION_LENGTH - 1
_lock = threading.Lock()


def new_id() -> Id:
    """Make a UUIDv7 that is greater than all made before it in this process.

    Returns:
        48 bits of Unix milliseconds, 12 bits of sub-millisecond time, 62 random bits.

    References:
        RFC 9562 5.7 and 6.2 method 3, https://www.rfc-editor.org/rfc/rfc9562#section-5.7
    """
    source = clock.current_clock()
    ns = source.time_ns()
    # One stamp holds the milliseconds and, in its low 12 bits, the fraction of one.
    stamp = (ns // 1_000_000 << 12) | (ns % 1_000_000 * 4096 // 1_000_000)
    with _lock:
        if stamp <= source.last_stamp:
            stamp = source.last_stamp + 1
        source.last_stamp = stamp
    tail = int.from_bytes(source.random_bytes(8), "big") >> 2
    value = (stamp >> 12 << 80) | (7 << 76) | ((stamp & 0xFFF) << 64) | (2 << 62) | tail
    text = f"{value:032x}"
    return Id(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def time_of_id(text: str) -> datetime | None:
    """Return when a UUIDv7 was made, to the millisecond; `None` if the text is not one."""
    if not _UUID7.fullmatch(text):
        return None
    return datetime.fromtimestamp(int(text[:8] + text[9:13], 16) / 1000, UTC)


def new_uid(length: int) -> Uid:
    """Make a random base62 name.

    Args:
        length: Number of characters, 1 to 22.
    """
    # 17 random bytes are 136 bits; 22 characters use 131 of them, so the bias of the modulus is below 2**-5 of
    # one character in the longest name and far below that in those used here.
    value = int.from_bytes(clock.current_clock().random_bytes(17), "big")
    pairs = []
    for _ in range((length + 1) // 2):
        value, digits = divmod(value, 62 * 62)
        pairs.append(_PAIRS[digits])
    return Uid("".join(pairs)[:length])


def versioned_uid(stem: str, version_number: int) -> Uid:
    """Compose the uid of one version of a family.

    Args:
        stem: The characters all versions share.
        version_number: Place in the family, from 0.

    Raises:
        ValueError: More versions than four base62 characters can count.
    """
    if not 0 <= version_number <= _MAX_VERSION:
        raise ValueError(f"version number {version_number} is outside 0 to {_MAX_VERSION}")
    digits = []
    for _ in range(VERSION_LENGTH):
        version_number, digit = divmod(version_number, 62)
        digits.append(ALPHABET[digit])
    return Uid(stem + "".join(reversed(digits)))


def is_base62(text: str) -> bool:
    """Tell whether a text could be a uid or the beginning of one."""
    return bool(text) and all(character in ALPHABET for character in text)
