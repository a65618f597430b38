from __future__ import annotations

import hashlib

import pytest

from lineagelog.domain.artifact import ARTIFACT_KINDS, Place, Version, check_key, check_kind, folder_hash, place_content
from lineagelog.domain.errors import InvalidValueError

OLD, NEW = "a" * 64, "b" * 64
LATEST = Version("id-3", "F" * 16 + "0003", 3, OLD)


@pytest.mark.parametrize(
    ("content", "latest", "same_content", "skip", "expected"),
    [
        (NEW, None, None, False, Place(None, None, 0, None)),
        (NEW, None, "id-9", False, Place("id-9", None, 0, None)),
        (NEW, None, "id-9", True, Place(None, None, 0, None)),
        (OLD, LATEST, None, False, Place("id-3", None, 3, None)),
        (OLD, LATEST, None, True, Place(None, "F" * 16, 4, "id-3")),
        (NEW, LATEST, None, False, Place(None, "F" * 16, 4, "id-3")),
        (NEW, LATEST, "id-1", False, Place(None, "F" * 16, 4, "id-3")),
    ],
    ids=[
        "new content without a family begins one",
        "known content without a family is that artifact",
        "unless the look-up is skipped",
        "content of the latest version is that version",
        "unless the look-up is skipped, then it is the next version",
        "other content is the next version",
        "content of an older version, or of another family, is the next version",
    ],
)
def test_place_of_content(
    content: str, latest: Version | None, same_content: str | None, skip: bool, expected: Place
) -> None:
    assert place_content(content, latest, same_content, skip_hash_lookup=skip) == expected


@pytest.mark.parametrize("key", ["a", "a/b.csv", "my data/ü.parquet", "a.b/..c", "..."])
def test_relative_paths_are_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["/a", "a//b", "a/", ".", "..", "a/../b", "./a", "a\\b", "C:\\a", "", "a\nb", None, 3])
def test_nothing_else_is_a_key(key: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^the artifact key "):
        check_key(key)


def test_kinds_are_those_of_the_list() -> None:
    assert [check_kind(kind) for kind in ARTIFACT_KINDS] == list(ARTIFACT_KINDS)
    for other in ("Dataset", "", None, 1):
        with pytest.raises(InvalidValueError, match="must be one of: dataset, model, plot, report"):
            check_kind(other)


def test_the_hash_of_a_folder_is_that_of_its_listing() -> None:
    listing = f'{OLD} 3 "a.txt"\n{NEW} 4 "b/ü.txt"\n'
    expected = hashlib.sha256(listing.encode()).hexdigest()
    assert folder_hash([("b/ü.txt", 4, NEW), ("a.txt", 3, OLD)]) == expected


def test_the_order_of_a_folder_is_that_of_bytes() -> None:
    members = [("\uffee", 1, OLD), ("\U0001f600", 1, NEW)]
    assert folder_hash(members) == folder_hash(members[::-1])
    assert folder_hash([]) == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        [("a", 1, OLD)],
        [("a", 1, OLD), ("b", 2, OLD)],
        [("a", 1, OLD), ("c", 2, NEW)],
        [("a", 1, OLD), ("b", 3, NEW)],
        [(f'a"\n{NEW} 2 "b', 1, OLD)],
    ],
    ids=["member missing", "content", "name", "size", "a name that imitates a line"],
)
def test_different_folders_have_different_hashes(other: list[tuple[str, int, str]]) -> None:
    assert folder_hash(other) != folder_hash([("a", 1, OLD), ("b", 2, NEW)])
