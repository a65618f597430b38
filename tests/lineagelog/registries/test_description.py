"""Descriptions of records, on terminals, in files and in notebooks."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

import lineagelog as ln
from lineagelog.registries.description import _Shown, build_tree, to_html
from lineagelog.store import Store


class Page(HTMLParser):
    """Reads a page as a browser does: the names of its elements, its text, and whether each element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._open[-1] == "th":
            self.headings.append(data)


HOSTILE = '<script>alert(1)</script> & "quoted" \'; <td>'


@pytest.fixture
def described(sqlite_store: Store) -> ln.Artifact:
    artifact = ln.Artifact([1, 2], key="numbers.json", description=HOSTILE, run=False).save()
    label = ln.ULabel(HOSTILE).save()
    artifact.ulabels.add(label)
    return artifact


def test_a_notebook_shows_the_sections_of_the_terminal_and_escapes_what_others_wrote(described: ln.Artifact) -> None:
    tree = build_tree(described)
    page = Page(to_html(tree))
    assert page.headings == [str(section.label) for section in tree.children]
    assert {"General", "Provenance", "Labels"} <= set(page.headings)
    assert page.tags <= {"div", "strong", "code", "table", "tbody", "tr", "th", "td", "span", "details", "summary"}
    assert "".join(page.text).count(HOSTILE) == 2
    for section in tree.children:
        for line in section.children:
            for word in str(line.label).lstrip(".").split(" = ", 1):
                assert word in "".join(page.text)


def test_fields_that_say_nothing_are_left_out(described: ln.Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    label = ln.ULabel.get(name=HOSTILE)
    label.describe()
    assert "is_type" not in capsys.readouterr().out
    ln.ULabel("group", is_type=True).save().describe()
    assert ".is_type = True" in capsys.readouterr().out
    described.describe()
    shown = capsys.readouterr().out
    assert ".is_latest = True" in shown
    assert str(described.path) in shown, "what goes to a file is not cut"


def test_where_no_page_can_be_shown_a_notebook_shows_the_text(described: ln.Artifact) -> None:
    from IPython.core.formatters import DisplayFormatter

    shown, _ = DisplayFormatter().format(_Shown("<b>page</b>", "text"))
    assert shown == {"text/html": "<b>page</b>", "text/plain": "text"}


def test_runs_are_named_by_what_ran(store: Store) -> None:
    with ln.Run(ln.Transform("clean"), name="Monday") as run, ln.Run(ln.Transform("count")) as inner:
        pass
    written = to_html(build_tree(run.refresh()))
    assert f"{inner.uid} count finished" in written
    assert f"{run.uid} clean Monday finished" in to_html(build_tree(inner.refresh()))
