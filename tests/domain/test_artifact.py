from __future__ import annotations

import hashlib

import pytest

from lineagelog.domain.artifact import (
    ARTIFACT_KINDS,
    DELETED,
    LIVE,
    TRASHED,
    Place,
    Version,
    check_key,
    check_kind,
    folder_hash,
    place_content,
)
from lineagelog.domain.errors import InvalidValueError

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64
STEM = "F" * 16


def version(number: int, content: str, state: str = LIVE) -> Version:
    return Version(f"id-{number}", f"{STEM}000{number}", number, content, state)


LATEST = version(3, OLD)
KNOWN = Version("id-9", "G" * 16 + "0000", 0, NEW)


@pytest.mark.parametrize(
    ("content", "family", "same_content", "skip", "expected"),
    [
        (NEW, [], None, False, Place(None)),
        (NEW, [], KNOWN, False, Place("id-9")),
        (NEW, [], KNOWN, True, Place(None)),
        (NEW, [], KNOWN._replace(state=TRASHED), False, Place("id-9", restores=True)),
        (OLD, [LATEST], None, False, Place("id-3")),
        (OLD, [LATEST], None, True, Place(None, STEM, 4, "id-3")),
        (NEW, [LATEST], None, False, Place(None, STEM, 4, "id-3")),
        (NEW, [version(2, NEW), LATEST], None, False, Place(None, STEM, 4, "id-3")),
        (NEW, [LATEST, version(4, NEW, TRASHED), version(5, NEW, TRASHED)], None, False, Place("id-5", restores=True)),
        (NEW, [version(2, NEW, TRASHED), LATEST], None, False, Place(None, STEM, 4, "id-3")),
        (NEW, [LATEST, version(4, NEW, DELETED)], None, False, Place(None, STEM, 5, "id-3")),
        (NEW, [LATEST, version(4, NEW, TRASHED)], None, True, Place(None, STEM, 5, "id-3")),
        (OTHER, [version(3, OLD, DELETED), version(4, NEW, TRASHED)], None, False, Place(None, STEM, 5, "id-4")),
        (OLD, [version(3, OLD, DELETED)], None, False, Place(None, STEM, 4, None)),
    ],
    ids=[
        "new content without a family begins one",
        "known content without a family is that artifact",
        "unless the look-up is skipped",
        "and it is taken out of the trash",
        "content of the latest version is that version",
        "unless the look-up is skipped, then it is the next version",
        "other content is the next version",
        "content of an older version is the next version",
        "content in the trash that is newer than the latest is restored, the newest of it",
        "content in the trash that is older than the latest is the next version",
        "deleted content is a new version, and numbers are never given twice",
        "nothing is restored if the look-up is skipped",
        "where no version is live, the newest in the trash is revised",
        "where all versions are deleted, none is revised",
    ],
)
def test_place_of_content(
    content: str, family: list[Version], same_content: Version | None, skip: bool, expected: Place
) -> None:
    assert place_content(content, family, same_content, skip_hash_lookup=skip) == expected


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
