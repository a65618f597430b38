from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog.domain.merkle import EMPTY_ROOT, Frontier, encode_entry, leaf_hash

# The inputs and tree heads that implementations of Certificate Transparency test with (the first eight trees).
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def recursive_root(entries: list[bytes]) -> bytes:
    """The definition of RFC 6962 2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha256(b"\x01" + recursive_root(entries[:split]) + recursive_root(entries[split:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_known_tree_heads(size: int) -> None:
    entries = [bytes.fromhex(leaf) for leaf in LEAVES[:size]]
    frontier = Frontier()
    frontier.extend(map(leaf_hash, entries))
    assert frontier.root().hex() == recursive_root(entries).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == recursive_root([])
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@settings(print_blob=True)
@given(st.lists(st.binary(max_size=8), max_size=150), st.lists(st.integers(0, 150), max_size=4))
def test_the_frontier_gives_the_defined_head_however_it_was_grown(entries: list[bytes], cuts: list[int]) -> None:
    frontier = Frontier()
    bounds = [0, *sorted(min(cut, len(entries)) for cut in cuts), len(entries)]
    for start, end in pairwise(bounds):
        frontier.extend(map(leaf_hash, entries[start:end]))
        frontier = Frontier(frontier.size, frontier.to_bytes())
        assert frontier.root() == recursive_root(entries[:end])
    assert frontier.size == len(entries)


@pytest.mark.parametrize(("size", "n_bytes"), [(0, 32), (1, 0), (3, 32), (2, 31)])
def test_peaks_that_do_not_fit_the_size_are_refused(size: int, n_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"a tree of {size} leaves has"):
        Frontier(size, b"x" * n_bytes)


columns = st.lists(st.none() | st.text(max_size=5) | st.integers(-(2**63), 2**63), max_size=5)


@settings(print_blob=True, max_examples=300)
@given(columns, columns)
def test_different_events_are_encoded_differently(first: list[object], second: list[object]) -> None:
    def written(values: list[object]) -> list[object]:
        return [value if value is None else str(value) for value in values]

    assert (encode_entry(first) == encode_entry(second)) == (written(first) == written(second))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["ab", "c"], ["a", "bc"]),
        ([None], [""]),
        ([None, ""], ["", None]),
        (["a"], ["a", None]),
        ([], [None]),
        (["é"], ["e\u0301"]),
    ],
)
def test_moving_a_character_between_columns_changes_the_entry(
    first: list[str | None], second: list[str | None]
) -> None:
    assert encode_entry(first) != encode_entry(second)


def test_the_encoding_is_the_one_that_is_documented() -> None:
    assert (
        encode_entry([1, None, "é", ""]) == b"\x00\x00\x00\x011\xff\xff\xff\xff\x00\x00\x00\x02\xc3\xa9\x00\x00\x00\x00"
    )


@settings(print_blob=True)
@given(columns, st.sampled_from(["", "a" * 1023, "a" * 1024, "é" * 600, "\x7f\x80\xff"]))
def test_an_entry_is_the_lengths_and_the_bytes_of_its_columns(first: list[object], more: str) -> None:
    expected = b""
    for value in (*first, more):
        data = b"" if value is None else str(value).encode()
        expected += b"\xff\xff\xff\xff" if value is None else len(data).to_bytes(4, "big") + data
    assert encode_entry([*first, more]) == expected  # type: ignore[list-item]
