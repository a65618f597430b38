"""Notebooks as documents: what their cells say, without what running them left behind, and which of them ran as they stand.

References:
    The notebook format, https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from html import unescape
from pathlib import Path
from typing import Any, Final, NamedTuple

from lineagelog.domain.redaction import redact_text

_WRITTEN_BY_PAPERMILL: Final = {"injected-parameters", "papermill-error-cell-tag"}
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_FENCED: Final = re.compile(r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_TAG: Final = re.compile(r"</?[A-Za-z][^>\n]*>")
_HEADINGS: Final = (
    re.compile(r"^ {0,3}(?P<mark>#{1,6})[ \t]+(?P<text>.*?)(?:[ \t]+#*)?$", re.MULTILINE),
    # Below an empty line, dashes are a rule; below a row of a table they are part of it.
    re.compile(r"(?:^|\n[ \t]*\n) {0,3}(?P<text>[^\s|#>*+-][^\n|]*)\n {0,3}(?P<mark>=+|-+)[ \t]*(?:\n|\Z)"),
    re.compile(r"<h(?P<mark>[1-6])\b[^<>]{0,500}>(?P<text>.{0,500}?)</h(?P=mark)>", re.IGNORECASE | re.DOTALL),
)
"""The forms of a heading in a cell of text."""
_FRONT_MATTER: Final = re.compile(r"---[ \t]*\n(?:.*\n)*?title[ \t]*:[ \t]*([\"']?)(.+?)\1[ \t]*\n(?:.*\n)*?---")
_PAPERMILL_PATHS: Final = {"PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"}


class Cell(NamedTuple):
    """One cell of a notebook.

    Attributes:
        number: Its place among all cells, from 1.
        kind: `code`, `markdown` or `raw`.
        source: What it says.
        tags: Its tags.
        execution_count: Which input of the kernel it was when it last ran, as far as the file knows.
    """

    number: int
    kind: str
    source: str
    tags: tuple[str, ...] = ()
    execution_count: int | None = None


class Notebook(NamedTuple):
    """A notebook as a file holds it, or a front end.

    Attributes:
        cells: Its cells that say anything.
        language: Language of its kernel.
        content: All of it, outputs included; empty if it was made from what a kernel executed.
        saved_at: When it was saved, Unix seconds.
        from_history: It was made from what a kernel executed.
    """

    cells: tuple[Cell, ...]
    language: str = "python"
    content: Mapping[str, Any] = {}
    saved_at: float = 0.0
    from_history: bool = False

    @property
    def title(self) -> str | None:
        """Its first heading of the highest level; the title in the front matter of its first cell, if there is one, is higher."""
        front = _front_matter_title(self.cells[0].source) if self.cells and self.cells[0].kind == "raw" else None
        headings = [heading for cell in self.cells if cell.kind == "markdown" for heading in _headings(cell.source)]
        return front or (min(headings, key=lambda heading: heading[0])[1] if headings else None)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters with which papermill runs it."""
        given = self._papermill.get("parameters")
        return {name: value for name, value in given.items() if name not in _PAPERMILL_PATHS} if given else {}

    @property
    def origin(self) -> str | None:
        """Path of the notebook that papermill runs, of which this is the output."""
        path = self._papermill.get("input_path")
        return path if isinstance(path, str) and path.endswith(".ipynb") else None

    @property
    def is_run_by_papermill(self) -> bool:
        """Papermill has begun to execute it, and not ended."""
        return "start_time" in self._papermill and self._papermill.get("end_time") is None

    @property
    def _papermill(self) -> Mapping[str, Any]:
        found = self.metadata.get("papermill")
        return found if isinstance(found, dict) else {}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What tools have noted of it as a whole."""
        found = self.content.get("metadata")
        return found if isinstance(found, dict) else {}

    def holds(self, source: str) -> bool:
        """Tell whether one of its cells says this."""
        return any(cell.kind == "code" and cell.source.rstrip() == source.rstrip() for cell in self.cells)

    def source(self) -> bytes:
        """Write it without outputs, execution counts and what else changes when it runs or is saved.

        The same cells give the same bytes, and these are a notebook that Jupyter opens. Cells that a tool put in for one
        execution are left out, such as the parameters of papermill.
        """
        return self._write(self.cells)

    def as_text(self) -> str:
        """Write its cells as text that can be compared line by line, each below a line with its kind."""
        return "".join(f"# %% [{cell.kind}]\n{cell.source.rstrip()}\n" for cell in self.cells)

    def redacted_source(self) -> tuple[str, bool]:
        """Write it as `source` does, without secrets.

        Returns:
            The text, and whether there were any.
        """
        # In JSON the quotes around a secret are no longer what a secret in code is known by.
        redacted = [redact_text(cell.source) for cell in self.cells]
        cells = [cell._replace(source=text) for cell, (text, _) in zip(self.cells, redacted, strict=True)]
        return self._write(cells).decode(), any(found for _, found in redacted)

    def _write(self, cells: Sequence[Cell]) -> bytes:
        metadata: dict[str, Any] = {"language_info": {"name": self.language}}
        if self.from_history:
            metadata["lineagelog"] = {"source": "input history"}
        document = {
            "cells": [_plain(cell) for cell in cells if not _WRITTEN_BY_PAPERMILL.intersection(cell.tags)],
            "metadata": metadata,
            # From 4.5 on each cell has an id, which tools make anew.
            "nbformat": 4,
            "nbformat_minor": 4,
        }
        text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
        return f"{text}\n".encode(errors="replace")


class Execution(NamedTuple):
    """One input that a kernel has executed.

    Attributes:
        number: Which input of the kernel it was, from 1.
        source: What was executed.
        ended_at: When it ended at the latest, Unix seconds; `None` while it runs.
    """

    number: int
    source: str
    ended_at: float | None


class Comparison(NamedTuple):
    """How a saved notebook and what a kernel executed agree.

    Attributes:
        is_consecutive: The cells ran once each, from top to bottom.
        stale: Cells that were changed after they had run, by number.
        unrun: Cells that did not run, by number.
        lacks_source: Something was executed after the notebook was saved that it does not hold.
        lacks_output: A cell has run after the notebook was saved, so that it does not hold what came of it.
        ran_as: Number of each cell that ran as it stands to the number of the input that it was.
        shown: Numbers of the inputs whose outputs the saved notebook holds.
    """

    is_consecutive: bool
    stale: list[int]
    unrun: list[int]
    lacks_source: bool
    lacks_output: bool
    ran_as: Mapping[int, int]
    shown: Set[int]


def parse(content: str | bytes | Mapping[str, Any], saved_at: float) -> Notebook:
    """Read a notebook.

    Args:
        content: JSON, or what it holds.
        saved_at: When it was saved, Unix seconds.

    Raises:
        ValueError: It is no notebook, or in a format older than 4, and nbformat is not installed.
    """
    document = content if isinstance(content, Mapping) else json.loads(content)
    if isinstance(document, Mapping) and "worksheets" in document:
        document = _upgraded(document)
    try:
        given = document["cells"]
        language = _language(document.get("metadata") or {})
        cells = [_cell(number, cell) for number, cell in enumerate(given, 1)]
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError("it is no notebook in format 4") from exc
    # Front ends add an empty cell at the end when the last one runs, which changes nothing.
    return Notebook(tuple(cell for cell in cells if cell.source.strip()), language, document, saved_at)


def _upgraded(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write a notebook of format 2 or 3 in format 4, as front ends and programs do when they open it.

    Raises:
        ValueError: It cannot be upgraded.
    """
    try:
        import nbformat

        upgraded = nbformat.reads(json.dumps(document), as_version=4)  # type: ignore[no-untyped-call]
    except Exception as exc:
        raise ValueError("it is no notebook in format 4, and cannot be made one") from exc
    return dict(upgraded)


def read(path: Path) -> Notebook | None:
    """Read a notebook from a file; `None` if there is none that can be read."""
    try:
        # Looked at before the content: what is saved in between counts as saved before.
        saved_at = path.stat().st_mtime
        return parse(path.read_bytes(), saved_at)
    except (OSError, ValueError, RecursionError):
        return None


def from_history(sources: Iterable[str]) -> Notebook:
    """Make a notebook of what a kernel executed, in that order."""
    said = (source for source in sources if source.strip())
    return Notebook(tuple(Cell(number, "code", source) for number, source in enumerate(said, 1)), from_history=True)


def compare(notebook: Notebook, history: Sequence[Execution]) -> Comparison:
    """Compare a saved notebook with what a kernel executed.

    Args:
        notebook: The notebook.
        history: What was executed, in that order. What runs now is the last, and cells below it are not expected to have run.
    """
    cells = [cell for cell in notebook.cells if cell.kind == "code"]
    ran_as = _match(cells, history)
    matched = set(ran_as.values())
    held = {_said(cell.source) for cell in cells}
    now = history[-1].number if history else 0
    place = next((place for place, cell in enumerate(cells) if ran_as.get(cell.number) == now), len(cells) - 1)
    above = cells[: place + 1]
    counted = {cell.number: cell.execution_count for cell in cells}
    counts = {execution.number for execution in history}
    stale = [
        cell.number
        for cell in cells
        if cell.number not in ran_as and cell.execution_count in counts and cell.execution_count not in matched
    ]
    newer = [each for each in history if each.ended_at is None or each.ended_at > notebook.saved_at]
    # The same counts come again in each kernel: what ended after the notebook was saved, it does not hold.
    shown = {count for number, count in ran_as.items() if count == counted.get(number)} - {
        each.number for each in newer
    }
    return Comparison(
        is_consecutive=[_said(cell.source) for cell in above] == [_said(each.source) for each in history],
        stale=stale,
        unrun=[cell.number for cell in above if cell.number not in ran_as and cell.number not in stale],
        lacks_source=any(_said(each.source) not in held for each in newer),
        lacks_output=any(each.number != now for each in newer),
        ran_as=ran_as,
        shown=shown,
    )


def with_outputs(
    notebook: Notebook, comparison: Comparison, outputs: Mapping[int, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """Write a notebook with what its cells have shown in a kernel, in place of the outputs of an earlier one.

    Args:
        notebook: The notebook.
        comparison: How it agrees with what the kernel has executed.
        outputs: What the kernel has shown, by the number of the input.
    """
    cells = []
    for number, cell in enumerate(notebook.content.get("cells", ()), 1):
        count = comparison.ran_as.get(number)
        if cell.get("cell_type") == "code" and (count in outputs or count not in comparison.shown):
            has_run = count is not None and count > 0
            shown = list(outputs.get(count, ())) if count is not None else []
            cell = {**cell, "execution_count": count if has_run else None, "outputs": shown}
        cells.append(cell)
    return {**notebook.content, "cells": cells}


def history_with_outputs(
    history: Sequence[Execution], outputs: Mapping[int, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """Write what a kernel executed as a notebook, with what it has shown."""
    cells = [
        {
            "cell_type": "code",
            "execution_count": each.number,
            "metadata": {},
            "outputs": [*outputs.get(each.number, ())],
            "source": each.source,
        }
        for each in history
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}


def without_secrets(content: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a whole notebook with secrets redacted in its cells and in the text of their outputs."""
    cells = []
    for cell in content.get("cells", ()):
        copy = {**cell, "source": redact_text(_joined(cell.get("source", "")))[0]}
        if "outputs" in cell:
            copy["outputs"] = [_redact_output(output) for output in cell["outputs"]]
        cells.append(copy)
    return {**content, "cells": cells}


def _match(cells: Sequence[Cell], history: Sequence[Execution]) -> dict[int, int]:
    """Find for each cell the execution that it was when it last ran as it stands: number of the cell to count."""
    by_count = {execution.number: _said(execution.source) for execution in history}
    found = {}
    for cell in cells:
        if cell.execution_count is not None and by_count.get(cell.execution_count) == _said(cell.source):
            found[cell.number] = cell.execution_count
    # A file that was saved before a cell ran knows no count of it, or one of an earlier kernel.
    left: dict[str, list[int]] = {}
    for execution in history:
        if execution.number not in found.values():
            left.setdefault(_said(execution.source), []).append(execution.number)
    for cell in cells:
        counts = left.get(_said(cell.source))
        if cell.number not in found and counts:
            found[cell.number] = counts.pop(0 if _again(cells, cell) else -1)
    return found


def _again(cells: Sequence[Cell], cell: Cell) -> bool:
    """Tell whether several cells say the same: then each has its own execution, in their order."""
    return sum(_said(other.source) == _said(cell.source) for other in cells) > 1


def _said(source: str) -> str:
    # IPython keeps inputs without line ends at their end.
    return source.rstrip()


def _headings(text: str) -> Iterator[tuple[int, str]]:
    """Find the headings of a text in their order: after `#`, above `===` or `---`, or in HTML; with their level."""
    found = []
    for form in _HEADINGS:
        for match in form.finditer(_FENCED.sub(lambda block: "\n" * block[0].count("\n"), text)):
            mark, heading = match["mark"], unescape(_TAG.sub("", match["text"])).strip()
            level = len(mark) if mark[0] == "#" else int(mark) if mark.isdecimal() else "=-".index(mark[0]) + 1
            if heading:
                found.append((text.count("\n", 0, match.start()), level, " ".join(heading.split())))
    for _, level, heading in sorted(found, key=lambda each: each[0]):
        yield level, heading


def _front_matter_title(text: str) -> str | None:
    """Find the title in the block of YAML with which publishing tools such as Quarto let a notebook begin."""
    found = _FRONT_MATTER.match(text)
    return found[2].strip() if found is not None else None


def _cell(number: int, cell: Mapping[str, Any]) -> Cell:
    count = cell.get("execution_count")
    tags = (cell.get("metadata") or {}).get("tags") or ()
    return Cell(
        number,
        str(cell["cell_type"]),
        _joined(cell["source"]),
        tuple(tag for tag in tags if isinstance(tag, str)),
        count if isinstance(count, int) else None,
    )


def _joined(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _language(metadata: Mapping[str, Any]) -> str:
    info, kernel = metadata.get("language_info") or {}, metadata.get("kernelspec") or {}
    return str(info.get("name") or kernel.get("language") or "python")


def _plain(cell: Cell) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "cell_type": cell.kind,
        "metadata": {"tags": list(cell.tags)} if cell.tags else {},
        "source": cell.source.splitlines(keepends=True),
    }
    return {**plain, "execution_count": None, "outputs": []} if cell.kind == "code" else plain


def _redact_shown(text: str) -> str:
    """Redact text that may be coloured, as tracebacks are, with escapes in the middle of a secret's shape."""
    redacted, found = redact_text(_COLOUR.sub("", text))
    return redacted if found else text


def _redact_output(value: Any, name: str = "") -> Any:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        # A secret of several lines is one only when they stand together.
        value = "".join(value) if name != "traceback" else "\n".join(value).split("\n")
    if isinstance(value, str):
        is_encoded = name.startswith("image/") and not name.endswith("+xml")
        return value if is_encoded or name == "output_type" else _redact_shown(value)
    if isinstance(value, Mapping):
        return {key: _redact_output(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redact_output(inner, name) for inner in value]
    return value
