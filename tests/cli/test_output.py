"""How results are printed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lineagelog.cli.output import Output, cell, clean, lay_out, print_error, to_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü → ≥", "plain ü → ≥"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202eevil", r"\u202eevil"),
        ("\x00", r"\x00"),
        ("\udcff", r"\udcff"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_characters_that_may_stay_stay() -> None:
    assert clean("a\tb\x1b", keep="\t") == "a\tb\\x1b"


def test_json_holds_ascii_only_and_reads_back() -> None:
    value = {"text": "ü\x9b\u202e\x1b", "at": datetime(2026, 11, 21, tzinfo=UTC), "none": None}
    text = to_json(value)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == {"text": "ü\x9b\u202e\x1b", "at": "2026-11-21T00:00:00Z", "none": None}


def test_nothing_is_read_as_markup(capsys: Any) -> None:
    Output().table(("[b]name[/b]",), [("[red]x[/red] :smile: https://example.org",)])
    out = capsys.readouterr().out
    assert "[b]name[/b]" in out
    assert "[red]x[/red] :smile: https://example.org" in out


def test_table_flows_out_in_parts_with_one_heading(capsys: Any) -> None:
    assert Output().table(("number",), ((number,) for number in range(1234))) == 1234
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines].count("number") == 1
    assert [int(line) for line in lines[2:]] == list(range(1234))


def test_empty_table_prints_nothing(capsys: Any) -> None:
    assert Output().table(("number",), []) == 0
    assert capsys.readouterr().out == ""


def test_quiet_leaves_remarks_away_but_not_results(capsys: Any) -> None:
    out = Output(quiet=True)
    out.say("remark")
    out.line("result")
    assert capsys.readouterr().out == "result\n"


def test_error_is_one_line(capsys: Any) -> None:
    print_error("first\nsecond \x1b[0m", kind="SomeError", code=4, as_json=False)
    print_error("first\nsecond", kind="SomeError", code=4, as_json=True)
    text, line = capsys.readouterr().err.splitlines()
    assert text == r"error: first second \x1b[0m"
    assert json.loads(line) == {"error": {"class": "SomeError", "message": "first\nsecond", "exit_code": 4}}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (3, "3"),
        ({"k": [1]}, '{"k": [1]}'),
        ({}, ""),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00"),
    ],
)
def test_cell_is_one_line_for_people(value: Any, shown: str) -> None:
    assert cell(value) == shown


def test_narrow_table_keeps_uids_whole_drops_columns_and_cuts_others() -> None:
    uid, key = "xjjlCBR2j11R88Q30001", "k" * 70
    layout = lay_out(("uid", "key", "by"), [[uid, key, "b" * 30]], 50, whole=("uid", "by"), cut=("key",), drop=("by",))
    assert layout.widths == {"uid": 20, "key": 28}
    assert layout.total == 50


def test_wide_table_is_left_as_it_is() -> None:
    layout = lay_out(("a", "b"), [["1" * 30, "2" * 90]], None, cut=("a",), drop=("b",))
    assert layout.widths == {"a": 30, "b": 90}


def test_column_without_room_goes_under_another() -> None:
    layout = lay_out(("a", "b", "c"), [["1" * 30, "2" * 30, "3" * 30]], 60, whole=("a",), under=("c", "b"))
    assert layout.widths == {"a": 30, "b": 28}
    assert layout.titles == {"b": "b, c"}


def test_long_cell_is_cut_in_a_pipe_but_no_address_or_whole_column(capsys: Any) -> None:
    iri, name = "https://example.org/" + "i" * 80, "n" * 80
    Output().table(("a", "b", "c"), [("x" * 80, iri, name)], whole=("c",))
    assert capsys.readouterr().out.splitlines()[2].split() == ["x" * 59 + "…", iri, name]


def test_answers_and_histories_are_piped_in_full(prov: Any, story: Any) -> None:
    import lineagelog as ln

    reason = "because " + "a reason may be long and is read to its end, " * 4
    with ln.open("mydata") as store:
        artifact = store.Artifact.filter().first()
        assert artifact is not None
        artifact.description = "changed"
        artifact.save(reason=reason.strip())
    assert reason.strip() in prov("show", artifact.uid).out
    hashes = prov("query", "SELECT ?h WHERE { ?a a prov:Entity ; ll:sha256 ?h }", "--quiet").out.split()
    assert artifact.hash in hashes
