"""Which values may enter the log, and the one form each takes there.

Whatever is refused here would make an event that one of the two databases cannot store, that cannot be read back as it was
written, or that shows a person something other than what it is.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lineagelog.domain.errors import InvalidValueError

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:
    # msgspec reads annotations at run time and knows no recursive alias; `event.encode` makes sure of the values.
    Json = Any

MAX_NAME_BYTES: Final = 1024
MAX_TEXT_BYTES: Final = 1_000_000
MAX_JSON_BYTES: Final = 1_000_000
MAX_JSON_DEPTH: Final = 64
_INT_LIMIT: Final = 2**63

# Unicode Bidirectional Algorithm 2.1-2.4: these reorder the text around them and so can disguise a name.
_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Nobody sees these; two names that differ by them only would look alike. Joiners are not among them: some scripts need them.
_INVISIBLE: Final = frozenset("\u00ad\u180e\u200b\u2060\u2061\u2062\u2063\u2064\ufeff")


def check_name(value: object, what: str) -> str:
    """Accept a one-line name or key, and return its normal form.

    Args:
        value: The name.
        what: How to call it in the error.

    Returns:
        The name in Unicode Normalization Form C, so that two spellings of one name are one name.

    Raises:
        InvalidValueError: Not text, empty, too long, or it holds control, direction or invisible characters.
    """
    text = _encodable(value, what)
    text = unicodedata.normalize("NFC", text)
    if all(unicodedata.category(character) in ("Cf", "Zs") or character.isspace() for character in text):
        raise InvalidValueError(what, "is empty; give it at least one visible character")
    if text != text.strip():
        raise InvalidValueError(what, f"{text!r} begins or ends with white space; remove it")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise InvalidValueError(what, f"is {len(text.encode())} bytes long; at most {MAX_NAME_BYTES} are allowed")
    for character in text:
        if character in _BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Zl", "Zp"):
            raise InvalidValueError(what, f"{text!r} holds the control character U+{ord(character):04X}; remove it")
        if character in _INVISIBLE:
            raise InvalidValueError(what, f"{text!r} holds the invisible character U+{ord(character):04X}; remove it")
    return text


def unicode_text(text: str) -> str:
    """Write a file name or an argument, in which lone surrogates stand for bytes that are no Unicode, as text that is."""
    return text.encode(errors="backslashreplace").decode()


def name_of_file(text: str) -> str:
    """Write the name of a file, which may hold anything, as a name that `check_name` accepts: what cannot be seen is escaped."""
    shown = (
        character
        if character.isprintable() and character not in _INVISIBLE
        else character.encode("unicode_escape").decode()
        for character in unicode_text(text)
    )
    return "".join(shown).strip() or "?"


def check_text(value: object, what: str, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Accept free text of several lines, such as a description.

    Args:
        value: The text.
        what: How to call it in the error.
        max_bytes: Longest UTF-8 form accepted, bytes.

    Raises:
        InvalidValueError: Not text, too long, not encodable as UTF-8, or it holds NUL.
    """
    text = _encodable(value, what)
    if "\x00" in text:
        raise InvalidValueError(what, "holds a NUL character; remove it")
    size = len(text.encode())
    if size > max_bytes:
        raise InvalidValueError(
            what, f"is {size:,} bytes long; at most {max_bytes:,} are allowed: save it as an artifact instead"
        )
    return text


def check_json(value: object, what: str) -> Json:
    """Accept a value of JSON's data model, and return it in plain types.

    Paths become text, dates and times ISO 8601, tuples lists, NumPy scalars Python numbers.

    Args:
        value: The value, nested at most 64 deep.
        what: How to call it in the error; places inside it are named `what.key[0]`.

    Raises:
        InvalidValueError: NaN or infinity, bytes, integers beyond 64 bits, text that is not Unicode, other types, or
            more than a megabyte in all.
    """
    budget = [MAX_JSON_BYTES]
    try:
        return _plain(value, what, 0, budget)
    except _TooLargeError:
        raise InvalidValueError(
            what, f"is larger than {MAX_JSON_BYTES:,} bytes; save it as an artifact and pass that instead"
        ) from None


def check_number(value: object, what: str) -> int:
    """Accept a non-negative integer of 63 bits.

    Raises:
        InvalidValueError: Anything else, `True` and `False` included.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _INT_LIMIT:
        raise InvalidValueError(what, f"is {value!r}; it must be a whole number from 0 to 2**63 - 1")
    return value


def time_text(moment: datetime) -> str:
    """Write a moment as the log does: UTC, microseconds, 27 characters; text order is time order.

    Raises:
        InvalidValueError: The moment has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidValueError("time", f"{moment.isoformat()} has no time zone; use an aware datetime")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


def parse_time(text: str) -> datetime:
    """Read a moment written by `time_text`."""
    return datetime.fromisoformat(text)


class _TooLargeError(Exception):
    """The whole value is over the limit; carries no text, since the caller knows the name."""


def _encodable(value: object, what: str) -> str:
    if isinstance(value, PathLike):
        value = fspath(value)
    if not isinstance(value, str):
        raise InvalidValueError(what, f"is {type(value).__name__}; it must be text")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise InvalidValueError(
            what, f"holds a lone surrogate at character {exc.start}; it is not Unicode text"
        ) from exc
    return str(value)


def _plain(value: object, what: str, depth: int, budget: list[int]) -> Json:
    if depth > MAX_JSON_DEPTH:
        raise InvalidValueError(what, f"is nested deeper than {MAX_JSON_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return _spend(value, 5, budget)
    if isinstance(value, int):
        if not -_INT_LIMIT <= value < _INT_LIMIT:
            raise InvalidValueError(what, "is an integer beyond 64 bits; pass it as text")
        return _spend(int(value), 20, budget)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValueError(what, f"is {value}, which JSON cannot hold; pass None or text instead")
        return _spend(float(value), 24, budget)
    if isinstance(value, str):
        text = _encodable(value, what)
        if "\x00" in text:
            raise InvalidValueError(what, "holds a NUL character; remove it")
        return _spend(text, len(text.encode()) + 2, budget)
    if isinstance(value, datetime):
        return _spend(value.isoformat(), 34, budget)
    if isinstance(value, date):
        return _spend(value.isoformat(), 12, budget)
    if isinstance(value, PathLike):
        return _plain(fspath(value), what, depth, budget)
    if isinstance(value, Mapping):
        _spend(None, 2, budget)
        plain: dict[str, Json] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidValueError(what, f"has the key {key!r}; keys must be text")
            name = _plain(key, f"the key {key!r} of {what}", depth, budget)
            plain[str(name)] = _plain(item, f"{what}.{key}", depth + 1, budget)
        return plain
    if isinstance(value, list | tuple):
        _spend(None, 2, budget)
        return [_plain(item, f"{what}[{index}]", depth + 1, budget) for index, item in enumerate(value)]
    if isinstance(value, bytes | bytearray | memoryview):
        raise InvalidValueError(what, "is bytes, which the log cannot hold; pass text, or save it as an artifact")
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        scalar = item()
        # NumPy's long double gives itself: Python has no number of its precision.
        if type(scalar) is not type(value):
            return _plain(scalar, what, depth, budget)
    raise InvalidValueError(
        what, f"is {type(value).__name__}, which the log cannot hold; pass numbers, text, lists or dictionaries"
    )


def _spend(value: Json, size: int, budget: list[int]) -> Json:
    budget[0] -= size
    if budget[0] < 0:
        raise _TooLargeError
    return value
