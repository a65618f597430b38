"""Notebooks as documents: what is a version, what is a secret, and what has run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from lineagelog.adapters.notebook import (
    Cell,
    Execution,
    Notebook,
    compare,
    from_history,
    parse,
    read,
    without_secrets,
)

PRIVATE_KEY = ["-----BEGIN PRIVATE KEY-----\n", "MIIEvQIBADANBgkqhkiG9w0BAQEF\n", "-----END PRIVATE KEY-----\n"]


def code(source: str | list[str], count: int | None = None, **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": count, "metadata": {}, "outputs": [], "source": source, **more}


def text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def raw(source: str) -> dict[str, Any]:
    return {"cell_type": "raw", "metadata": {}, "source": source}


def notebook(*cells: dict[str, Any], saved_at: float = 100.0, **metadata: Any) -> Notebook:
    return parse(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}), saved_at)


def test_the_same_cells_are_the_same_bytes_whatever_ran_and_whoever_saved() -> None:
    plain = notebook(text("# Title"), code("x = 1\nx"), code("y = 'é'"))
    saved = notebook(
        {**text("# Title"), "id": "a1", "attachments": {}},
        code(["x = 1\n", "x"], 3, id="b2", outputs=[{"output_type": "execute_result", "data": {"text/plain": "1"}}]),
        code("y = 'é'", metadata={"collapsed": True, "papermill": {"duration": 1.5}}),
        code("  \n"),
        kernelspec={"name": "venv-7", "display_name": "Mine", "language": "python"},
        widgets={"application/vnd": {}},
    )
    assert saved.source() == plain.source()
    assert notebook(text("# Title"), code("x = 1\nx")).source() != plain.source()
    assert notebook(text("# Title"), code("x = 1\nx"), text("y = 'é'")).source() != plain.source()
    assert notebook(*plain.content["cells"], language_info={"name": "R"}).source() != plain.source()


def test_the_bytes_are_a_notebook_with_the_same_cells() -> None:
    hostile = "a = '\\u0000'\x00 # \u2028 \ud800 \\\" end\n\n"
    found = notebook(text("# Title"), code(hostile), code("level = 1", metadata={"tags": ["parameters"]}))
    again = nbformat.reads(found.source().decode(), as_version=4)
    nbformat.validate(again)
    assert [cell.source for cell in again.cells] == ["# Title", hostile.replace("\ud800", "?"), "level = 1"]
    assert again.cells[2].metadata.tags == ["parameters"]
    assert parse(found.source(), 0.0).source() == found.source()


def test_what_papermill_puts_in_is_no_part_of_the_source() -> None:
    parameters = code("level = 1", metadata={"tags": ["parameters"]})
    injected = code("level = 3", metadata={"tags": ["injected-parameters"]})
    papermill = {"input_path": "in/study.ipynb", "parameters": {"level": 3, "PAPERMILL_OUTPUT_PATH": "o.ipynb"}}
    output = notebook(parameters, injected, code("level"), papermill=papermill)
    assert output.source() == notebook(parameters, code("level")).source()
    assert output.parameters == {"level": 3}
    assert output.origin == "in/study.ipynb"
    assert notebook(parameters).parameters == {}


@pytest.mark.parametrize(
    ("cells", "title"),
    [
        ((text("# One\n# Two"),), "One"),
        ((text("words\n## Part"), text("# Whole #")), "Whole"),
        ((text("```\n# comment\n```\n### Deep"),), "Deep"),
        ((text("#hashtag"), code("# comment")), None),
        ((text("words\n\nPart *one*\n---"), text("Whole\n=====\n")), "Whole"),
        ((text("| a | b |\n|---|---|\n| 1 | 2 |\n\nwords\n\n---\n"),), None),
        ((code("x = 1"), text('<h1 align="center">Salt &amp;\n <b>sea</b></h1>')), "Salt & sea"),
        ((raw('---\nformat: html\ntitle: "Depth: a study"\n---'), text("# Part")), "Depth: a study"),
        ((raw("# no markdown"), text("## C#")), "C#"),
        ((), None),
    ],
)
def test_the_title_is_the_first_heading_of_the_highest_level(cells: tuple[dict[str, Any], ...], title: str) -> None:
    assert notebook(*cells).title == title


def test_secrets_are_found_where_json_escapes_their_quotes() -> None:
    found = notebook(code('password = "hunter22secret"'), code("".join(PRIVATE_KEY)))
    stored, redacted = found.redacted_source()
    assert redacted
    assert "hunter22secret" not in stored
    assert "MIIEvQ" not in stored
    nbformat.validate(nbformat.reads(stored, as_version=4))
    assert notebook(code("x = 1")).redacted_source() == (notebook(code("x = 1")).source().decode(), False)


def test_secrets_in_outputs_are_found_and_pictures_stay() -> None:
    picture = "iVBORw0KGgoAKIAIOSFODNN7EXAMPLE"
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": PRIVATE_KEY},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"image/png": picture, "text/html": ["password='hunter22x'"]},
        },
        {
            "output_type": "error",
            "ename": "E",
            "evalue": "token='abcdefgh'",
            "traceback": ["one", "AKIAIOSFODNN7EXAMPLE", "password \x1b[38;5;241m=\x1b[39m \x1b[38m'hunter22y'\x1b[0m"],
        },
    ]
    clean = without_secrets(notebook(code("secret = 'abcdefgh'", 1, outputs=outputs)).content)
    found = json.dumps(clean)
    for secret in ("MIIEvQ", "hunter22x", "hunter22y", "abcdefgh"):
        assert secret not in found
    assert found.count("AKIAIOSFODNN7EXAMPLE") == 1
    assert clean["cells"][0]["outputs"][1]["data"]["image/png"] == picture
    nbformat.validate(nbformat.from_dict(clean), relax_add_props=True)


def test_a_notebook_of_an_older_format_is_the_one_it_becomes_when_it_is_opened() -> None:
    cells = [
        {"cell_type": "heading", "level": 1, "metadata": {}, "source": ["Old"]},
        {
            "cell_type": "code",
            "language": "python",
            "metadata": {},
            "input": ["x = 1"],
            "outputs": [],
            "prompt_number": 2,
        },
    ]
    older = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    found = parse(json.dumps(older), 0.0)
    assert found.title == "Old"
    assert found.source() == notebook(text("# Old"), code("x = 1")).source()
    assert found.cells[1].execution_count == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"cells": 3}',
        '{"cells": [3]}',
        '{"cells": [{"cell_type": "code", "source": 7}]}',
        '{"worksheets": []}',
    ],
)
def test_what_is_no_notebook_is_none(content: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        parse(content, 0.0)
    (tmp_path / "a.ipynb").write_text(content)
    assert read(tmp_path / "a.ipynb") is None
    assert read(tmp_path / "missing.ipynb") is None


def ran(*sources: str, ended_at: float = 50.0) -> list[Execution]:
    """The last is the cell that runs now."""
    last = len(sources)
    return [Execution(n, source, ended_at if n < last else None) for n, source in enumerate(sources, 1)]


@pytest.mark.parametrize(
    ("cells", "history", "consecutive", "stale", "unrun"),
    [
        ([("a", 1), ("b", 2), ("c", None)], ran("a", "b", "c"), True, [], []),
        ([("a", None), ("b", None), ("c", None)], ran("a", "b", "c"), True, [], []),
        ([("a\n", 1), ("b", 2), ("c", None)], ran("a", "b", "c"), True, [], []),
        ([("a", 1), ("a", 2), ("c", None)], ran("a", "a", "c"), True, [], []),
        ([("a", 1), ("b", 2), ("c", 3), ("later", None)], ran("a", "b", "c"), True, [], []),
        ([("a", 1), ("b", None), ("c", 2)], ran("a", "c"), False, [], [2]),
        ([("a", 2), ("b", 1), ("c", 3)], ran("b", "a", "c"), False, [], []),
        ([("a", 2), ("b", 3), ("c", 4)], ran("a", "a", "b", "c"), False, [], []),
        ([("a", 1), ("new", 2), ("c", 3)], ran("a", "b", "c"), False, [2], []),
        ([("a", 1), ("c", 3)], ran("a", "deleted", "c"), False, [], []),
        # Counts of an earlier kernel, whose number 7 this one has not reached, and whose number 1 is another cell here.
        ([("a", 1), ("b", 7), ("x", 1), ("c", 2)], ran("a", "c"), False, [], [2, 3]),
        # A cell that failed was mended and ran again.
        ([("a", 1), ("good", 3), ("c", 4)], ran("a", "bad", "good", "c"), False, [], []),
    ],
)
def test_what_ran_is_compared_with_what_stands_there(
    cells: list[tuple[str, int | None]], history: list[Execution], consecutive: bool, stale: list[int], unrun: list[int]
) -> None:
    found = compare(notebook(*(code(source, count) for source, count in cells)), history)
    assert (found.is_consecutive, found.stale, found.unrun) == (consecutive, stale, unrun)


def test_places_count_cells_of_text_as_well() -> None:
    found = compare(notebook(text("# A"), code("a", 1), code(""), code("b"), code("c")), ran("a", "c"))
    assert found.unrun == [4]


@pytest.mark.parametrize(
    ("cells", "ended_at", "lacks_source", "lacks_output"),
    [
        ([("a", 1), ("b", None)], 50.0, False, False),
        # Restarted and run again: the counts are the same, the outputs are those of before.
        ([("a", 1), ("b", None)], 150.0, False, True),
        ([("a", None), ("b", None)], 150.0, False, True),
        # Cleared, or counted anew by another kernel, and then saved on purpose.
        ([("a", None), ("b", None)], 50.0, False, False),
        ([("old", 1), ("b", None)], 150.0, True, True),
        ([("old", 1), ("b", None)], 50.0, False, False),
        ([("a", 1)], 50.0, True, False),
    ],
)
def test_whether_it_was_saved_after_it_ran(
    cells: list[tuple[str, int | None]], ended_at: float, lacks_source: bool, lacks_output: bool
) -> None:
    found = compare(notebook(*(code(*cell) for cell in cells), saved_at=100.0), ran("a", "b", ended_at=ended_at))
    assert (found.lacks_source, found.lacks_output) == (lacks_source, lacks_output)


def test_what_was_executed_is_a_notebook_that_says_so() -> None:
    found = from_history(["", "x = 1", " ", "y = 2"])
    assert list(found.cells) == [Cell(1, "code", "x = 1"), Cell(2, "code", "y = 2")]
    again = nbformat.reads(found.source().decode(), as_version=4)
    assert again.metadata.lineagelog == {"source": "input history"}
    assert found.source() != notebook(code("x = 1"), code("y = 2")).source()
