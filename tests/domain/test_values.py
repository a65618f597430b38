from __future__ import annotations

import enum
import math
from collections import UserDict
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.values import (
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_NAME_BYTES,
    check_json,
    check_name,
    check_number,
    check_text,
    name_of_file,
    parse_time,
    time_text,
)

CONTROLS = ["\x00", "\x01", "\x1b", "\x7f", "\x85", "\t", "\n", "\r", "\u2028", "\u2029"]
DIRECTIONS = list("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize("name", ["a", "my file.csv", "Größe", "数据", "a/b", "1", "x" * MAX_NAME_BYTES, "👩\u200d🔬"])
def test_ordinary_names_are_taken_as_they_are(name: str) -> None:
    assert check_name(name, "the name") == name


def test_two_spellings_of_a_name_become_one() -> None:
    assert check_name("Zu\u0308rich", "the name") == check_name("Z\u00fcrich", "the name") == "Z\u00fcrich"


def test_paths_are_names() -> None:
    assert check_name(PurePosixPath("a/b.csv"), "the key") == "a/b.csv"


@pytest.mark.parametrize("character", CONTROLS + DIRECTIONS, ids=lambda c: f"U+{ord(c):04X}")
def test_names_hold_no_control_or_direction_characters(character: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"^the name .*control character U\+{ord(character):04X}; remove it$"):
        check_name(f"a{character}b", "the name")


@pytest.mark.parametrize("name", ["", " ", "\u3000", "\u200b", " \ufeff\u200b"])
def test_a_name_without_a_visible_character_is_empty(name: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^the name is empty"):
        check_name(name, "the name")


@pytest.mark.parametrize("name", [" a", "a ", "a\u00a0"])
def test_names_neither_begin_nor_end_with_white_space(name: str) -> None:
    with pytest.raises(InvalidValueError, match="begins or ends with white space"):
        check_name(name, "the name")


def test_the_length_of_a_name_is_counted_in_bytes() -> None:
    with pytest.raises(InvalidValueError, match=f"is {MAX_NAME_BYTES + 1} bytes long"):
        check_name("é" * (MAX_NAME_BYTES // 2) + "x", "the name")


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["list"], Path])
def test_names_and_texts_are_text(value: object) -> None:
    for check in (check_name, check_text):
        with pytest.raises(InvalidValueError, match=r"^the name is .*; it must be text$"):
            check(value, "the name")


def test_lone_surrogates_are_not_text() -> None:
    for check in (check_name, check_text, check_json):
        with pytest.raises(InvalidValueError, match="lone surrogate at character 2"):
            check("ab\udcffc", "the value")


def test_texts_keep_lines_and_tabs() -> None:
    assert check_text("one\n\ttwo\r\n", "the description") == "one\n\ttwo\r\n"


def test_texts_hold_no_nul() -> None:
    with pytest.raises(InvalidValueError, match="NUL"):
        check_text("a\x00b", "the description")


def test_texts_have_a_limit_in_bytes() -> None:
    assert check_text("éé", "the description", max_bytes=4) == "éé"
    with pytest.raises(InvalidValueError, match="is 5 bytes long; at most 4 are allowed: save it as an artifact"):
        check_text("éé!", "the description", max_bytes=4)


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None), (True, True), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), (0.1, 0.1), (-0.0, -0.0), ("x", "x"),
        ((1, (2,)), [1, [2]]), ({"a": {"b": (1,)}}, {"a": {"b": [1]}}), (UserDict(a=1), {"a": 1}),
        (date(2026, 11, 21), "2026-11-21"), (datetime(2026, 11, 21, 3, tzinfo=UTC), "2026-11-21T03:00:00+00:00"),
        (PurePosixPath("a/b"), "a/b"), (Colour.RED, 1),
        (np.int64(3), 3), (np.uint8(3), 3), (np.float32(0.5), 0.5), (np.float64(0.1), 0.1), (np.bool_(True), True),
        (np.str_("x"), "x"), (np.array(3), 3), (np.datetime64("2026-11-21"), "2026-11-21"),
    ],
    ids=repr,
)  # fmt: skip
def test_values_take_their_plain_form(value: object, plain: object) -> None:
    found = check_json(value, "params")
    assert found == plain
    assert type(found) is type(plain)


REFUSED: list[tuple[Any, str]] = [
    (math.nan, "is nan, which JSON cannot hold"),
    (math.inf, "is inf"),
    (-math.inf, "is -inf"),
    (np.float64("nan"), "is nan"),
    (np.float32("inf"), "is inf"),
    (2**63, "beyond 64 bits"),
    (-(2**63) - 1, "beyond 64 bits"),
    (np.uint64(2**63), "beyond 64 bits"),
    (b"abc", "is bytes"),
    (bytearray(b"abc"), "is bytes"),
    (memoryview(b"abc"), "is bytes"),
    (np.bytes_(b"abc"), "is bytes"),
    (np.longdouble("0.1"), "is longdouble"),
    (np.array([1, 2]), "is ndarray"),
    ({1, 2}, "is set"),
    (object(), "is object"),
    (1j, "is complex"),
    (int, "is type"),
    ("a\x00b", "NUL"),
    ({1: "x"}, "has the key 1; keys must be text"),
    ({None: "x"}, "has the key None"),
]


@pytest.mark.parametrize(("value", "why"), REFUSED, ids=[f"{type(value).__name__}, {why}" for value, why in REFUSED])
@pytest.mark.filterwarnings("ignore:.*longdouble")
def test_what_json_cannot_hold_is_refused_wherever_it_stands(value: Any, why: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^params .*{why}"):
        check_json(value, "params")
    with pytest.raises(InvalidValueError, match=rf"^params\.a\[1\] .*{why}"):
        check_json({"a": [0, value]}, "params")


def test_keys_are_checked_as_texts_are() -> None:
    for key in ("\ud800", "a\x00"):
        with pytest.raises(InvalidValueError, match=r"^the key .* of params"):
            check_json({key: 1}, "params")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_has_a_limit() -> None:
    check_json(nested(MAX_JSON_DEPTH), "params")
    with pytest.raises(InvalidValueError, match=f"nested deeper than {MAX_JSON_DEPTH} levels"):
        check_json(nested(MAX_JSON_DEPTH + 1), "params")


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidValueError, match="nested deeper"):
        check_json(loop, "params")


@pytest.mark.parametrize(
    "value",
    ["x" * (MAX_JSON_BYTES + 1), ["x" * 1000] * 1000, {"a": ["é" * 500_000]}, list(range(60_000)), [[]] * 500_001],
    ids=["text", "texts", "bytes, not characters", "numbers", "empty lists"],
)
def test_values_have_a_limit_in_all(value: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"^params is larger than 1,000,000 bytes; save it as an artifact"):
        check_json(value, "params")


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_whole_numbers_of_63_bits_are_numbers(value: int) -> None:
    assert check_number(value, "n") == value


@pytest.mark.parametrize("value", [-1, 2**63, True, False, 1.0, "1", None])
def test_nothing_else_is_a_number(value: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^n is .*; it must be a whole number"):
        check_number(value, "n")


def test_times_are_written_in_utc_with_microseconds() -> None:
    moment = datetime(2026, 11, 21, 4, 22, 44, 540, tzinfo=timezone(timedelta(hours=1)))
    assert time_text(moment) == "2026-11-21T03:22:44.000540Z"


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="has no time zone"):
        time_text(datetime(2026, 11, 21))


moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))


@settings(print_blob=True)
@given(moments, moments)
def test_the_order_of_time_texts_is_the_order_of_times(first: datetime, second: datetime) -> None:
    one, two = time_text(first), time_text(second)
    assert len(one) == 27
    assert (one < two) == (first < second)
    assert parse_time(one) == first


@given(st.text(min_size=1, max_size=200))
def test_the_name_of_any_file_becomes_one_that_is_accepted(text: str) -> None:
    assert check_name(name_of_file(text), "the key")
    assert name_of_file("größe 表.py") == "größe 表.py"
    assert name_of_file("a\n\udcff.py") == "a\\n\\udcff.py"
