from __future__ import annotations

import multiprocessing
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineagelog.domain.ids import ALPHABET, is_base62, new_id, new_uid, versioned_uid


def test_ids_are_uuids_of_version_7_and_the_rfc_variant() -> None:
    for _ in range(200):
        text = new_id()
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122


def test_the_first_48_bits_are_unix_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    stamp = uuid.UUID(new_id()).int >> 80
    assert before <= stamp <= time.time_ns() // 1_000_000 + 1


def test_ids_grow_within_a_process() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_grow_even_if_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000_000_000)
    second, third = new_id(), new_id()
    assert first < second < third


def test_threads_never_make_the_same_id_and_each_sees_its_own_grow() -> None:
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: [new_id() for _ in range(2_000)], range(4)))
    assert len({made for batch in batches for made in batch}) == 8_000
    assert all(batch == sorted(batch) for batch in batches)


def test_forked_processes_never_make_the_same_id() -> None:
    new_id()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        batches = pool.map(_make_ids, [500] * 4, chunksize=1)
    assert len({made for batch in batches for made in batch}) == 2_000


def _make_ids(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


@pytest.mark.parametrize("length", [1, 8, 12, 16, 22])
def test_uids_have_the_length_asked_for_and_only_letters_and_digits(length: int) -> None:
    made = [new_uid(length) for _ in range(300)]
    assert {len(uid) for uid in made} == {length}
    assert set("".join(made)) <= set(ALPHABET)


def test_uids_do_not_repeat_and_use_the_whole_alphabet() -> None:
    made = [new_uid(8) for _ in range(5_000)]
    assert len(set(made)) == len(made)
    assert set("".join(made)) == set(ALPHABET)
    assert {uid[0] for uid in made} == set(ALPHABET)
    assert {uid[-1] for uid in made} == set(ALPHABET)


@given(st.integers(0, 62**4 - 1), st.integers(0, 62**4 - 1))
def test_uids_of_versions_sort_like_their_numbers(first: int, second: int) -> None:
    one, two = versioned_uid("stem", first), versioned_uid("stem", second)
    assert (one < two) == (first < second)
    assert len(one) == 8
    assert one.startswith("stem")


@pytest.mark.parametrize(
    ("number", "digits"), [(0, "0000"), (9, "0009"), (10, "000A"), (61, "000z"), (62, "0010"), (62**4 - 1, "zzzz")]
)
def test_the_version_number_is_counted_in_base62(number: int, digits: str) -> None:
    assert versioned_uid("s", number) == f"s{digits}"


@pytest.mark.parametrize("number", [-1, 62**4])
def test_version_numbers_beyond_four_characters_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"version number {number} is outside 0 to 14776335"):
        versioned_uid("stem", number)


@pytest.mark.parametrize(
    ("text", "answer"), [("aZ09", True), ("", False), ("a-b", False), ("é", False), ("a b", False), ("\u0661", False)]
)
def test_base62_is_ascii_letters_and_digits(text: str, answer: bool) -> None:
    assert is_base62(text) is answer
