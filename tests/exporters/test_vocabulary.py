"""IRIs hold letters, digits and hyphens, and two records never share one."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from lineagelog.exporters.vocabulary import KINDS, NAMESPACES, left_out_name, local_name, store_prefixes


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_local_name_is_always_plain(uid: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]+", local_name(uid))


@given(st.sets(st.text("aAz09-x >é", max_size=6), min_size=2))
def test_two_uids_never_share_a_name(uids: set[str]) -> None:
    assert len({local_name(uid) for uid in uids}) == len(uids)


def test_a_uid_stays_as_it_is() -> None:
    assert local_name("Clean00000000001") == "Clean00000000001"
    assert local_name("0193b3a4-5c6d-7e8f-9a0b-1c2d3e4f5a6b") == "0193b3a4-5c6d-7e8f-9a0b-1c2d3e4f5a6b"


def test_a_name_holds_a_letter_for_xml_to_begin_with() -> None:
    assert local_name("00000000") == "x--3030303030303030"
    assert local_name("0000000a") == "0000000a"


def test_every_kind_has_a_path_of_its_own() -> None:
    prefixes = store_prefixes("https://example.org/", "S1")
    assert len(set(prefixes.values())) == len(prefixes) == len(KINDS) + len(NAMESPACES)
    assert prefixes["artifact"] == "https://example.org/S1/artifact/"


def test_a_count_of_what_was_left_out_has_a_term() -> None:
    assert left_out_name("outputsSeenAgain") == "ll:leftOutOutputsSeenAgain"
