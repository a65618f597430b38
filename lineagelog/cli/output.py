"""How `prov` prints: tables and trees for people, JSON for programs, errors in one line.

Whatever comes from a store may have been put there by somebody else. Control characters in it are shown as escapes, so that no
text can steer a terminal, and nothing in it is read as markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from lineagelog.text import clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.tree import Tree

_TABLE_ROWS: Final = 500
"""So many rows are laid out at a time: a longer table flows out in parts, and takes no more memory."""

_MAX_CELL: Final = 60
"""Longest value in a table that goes to a file or another program; JSON and CSV hold all of it."""

_MIN_CUT: Final = 16
_MIN_WRAPPED: Final = 22
"""Columns become no narrower than this; a uid of 20 characters fits."""

_GAP: Final = 2
_UNLIMITED: Final = 10_000
"""Width of lines that go to a file or another program, where nothing is wrapped."""


__all__ = ["Layout", "Output", "cell", "clean", "lay_out", "print_error", "to_json"]


class Output:
    """Where the results of a command go.

    Attributes:
        json: Print JSON.
        quiet: Print only what was asked for, no remarks.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet

    @property
    def is_piped(self) -> bool:
        """Nobody looks at a terminal: another program or a file takes what is printed."""
        return self._width is None

    def object(self, value: Any) -> None:
        """Print one JSON object on one line."""
        print(to_json(value))  # noqa: T201 - printing is what it is for

    def objects(self, values: Iterable[Any]) -> None:
        """Print JSON objects, one on each line."""
        for value in values:
            self.object(value)

    def say(self, text: str) -> None:
        """Print a remark on what was done."""
        if not self.quiet:
            self.line(text)

    def line(self, text: str) -> None:
        """Print one line."""
        print(clean(text))  # noqa: T201

    def text(self, text: str) -> None:
        """Print text of several lines."""
        for line in text.rstrip("\n").split("\n"):
            print(clean(line, keep="\t"))  # noqa: T201

    def fields(self, values: Mapping[str, Any]) -> None:
        """Print names and values, one on each line."""
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for name, value in values.items():
            table.add_row(_text(name, style="bold"), _text(cell(value)))
        self._print(table)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        whole: Collection[str] = (),
        cut: Collection[str] = (),
        drop: Sequence[str] = (),
        under: tuple[str, str] | None = None,
    ) -> int:
        """Print a table.

        On a terminal that is too narrow for it, columns are left away or made narrower; the others wrap between words.

        Args:
            columns: Names of the columns.
            rows: The values of each row.
            whole: Columns that are neither wrapped nor cut, such as uids, which are to be copied.
            cut: Columns whose values are cut short where there is no room.
            drop: Columns that are left away where there is no room, the first of them first.
            under: A column and another, in whose cells it is written on lines of its own where there is no room beside it.

        Returns:
            Number of rows.
        """
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        remaining = iter(rows)
        n_rows = 0
        layout: Layout | None = None
        while batch := list(islice(remaining, _TABLE_ROWS)):
            texts = [[clean(cell(value)) for value in row] for row in batch]
            if self._width is None:
                texts = [[_capped(text, name, whole) for text, name in zip(row, columns, strict=True)] for row in texts]
            # What the first rows leave away stays away, so that the heading holds for all.
            layout = lay_out(columns, texts, self._width, whole=whole, cut=cut, drop=drop, under=under, like=layout)
            is_first = n_rows == 0
            table = Table(
                box=SIMPLE_HEAD if is_first else None,
                # The box adds a space of its own between columns.
                padding=(0, _GAP - 1 if is_first else _GAP, 0, 0),
                show_header=is_first,
                show_edge=False,
                pad_edge=False,
            )
            for name, width in layout.widths.items():
                table.add_column(
                    _text(layout.titles.get(name, name)),
                    overflow="ellipsis" if name in cut else "fold",
                    no_wrap=name in whole or name in cut,
                    width=width,
                )
            for row in texts:
                of = dict(zip(columns, row, strict=True))
                if layout.titles and under is not None:
                    of[under[1]] = "\n".join(part for part in (of[under[1]], of[under[0]]) if part)
                table.add_row(*(_text(of[name], keep="\n") for name in layout.widths))
            self._print(table, width=layout.total)
            n_rows += len(batch)
        return n_rows

    def fits(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: Collection[str], cut: Collection[str]
    ) -> bool:
        """Tell whether a table has room on the terminal; see `table`."""
        if self._width is None:
            return True
        texts = [[clean(cell(value)) for value in row] for row in rows]
        return lay_out(columns, texts, self._width, whole=whole, cut=cut).total <= self._width

    def tree(self, tree: Tree) -> None:
        """Print a tree."""
        from rich.text import Text

        waiting = [tree]
        while waiting:
            node = waiting.pop()
            label = node.label
            node.label = _text(label.plain, style=str(label.style)) if isinstance(label, Text) else _text(str(label))
            waiting += node.children
        self._print(tree)

    def _print(self, what: RenderableType, *, width: int = 0) -> None:
        console = self._console
        # What cannot be made narrower is wrapped by the terminal, which still copies it as one.
        console.width = max(self._width or _UNLIMITED, width)
        # Written by ourselves: rich would end the process by its own rules when nobody reads any more.
        with console.capture() as capture:
            console.print(what)
        text = capture.get()
        if not sys.stdout.isatty():
            text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        sys.stdout.write(text)

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        # Rich itself leaves colours away where the output is no terminal, or NO_COLOR is set.
        return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)

    @cached_property
    def _width(self) -> int | None:
        """Width of the terminal, `None` if the lines go elsewhere."""
        return self._console.width if sys.stdout.isatty() else None


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a table are shown, and how wide.

    Attributes:
        widths: Column to its width, in the order of the table.
        titles: Headings that differ from the name of the column.
    """

    widths: Mapping[str, int]
    titles: Mapping[str, str]

    @property
    def total(self) -> int:
        """Width of a line."""
        return sum(self.widths.values()) + _GAP * (len(self.widths) - 1)


def lay_out(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    whole: Collection[str] = (),
    cut: Collection[str] = (),
    drop: Sequence[str] = (),
    under: tuple[str, str] | None = None,
    like: Layout | None = None,
) -> Layout:
    """Find room for a table on lines of a width; see `Output.table`.

    Args:
        columns: Names of the columns.
        rows: The text of each cell.
        width: Width of the terminal, `None` for no limit.
        whole: Columns that keep their width.
        cut: Columns that are cut short; all others may wrap.
        drop: Columns that may be left away, the first of them first.
        under: A column, and another that may take it in.
        like: Layout of earlier rows, which is kept but for the widths.
    """
    from rich.cells import cell_len

    natural = {
        name: max(cell_len(text) for text in (name, *(row[number] for row in rows)))
        for number, name in enumerate(columns)
    }
    floors = {
        name: size if name in whole else min(size, max(cell_len(name), _MIN_CUT if name in cut else _MIN_WRAPPED))
        for name, size in natural.items()
    }
    titles: Mapping[str, str] = {}
    if like is not None:
        titles = like.titles
        floors = {name: floors[name] for name in like.widths}
    elif width is not None:
        if under is not None and Layout(floors, {}).total > width:
            inner, outer = under
            titles = {outer: f"{outer}, {inner}"}
            natural[outer] = max(natural[outer], natural[inner])
            floors[outer] = min(natural[outer], max(floors[outer], cell_len(titles[outer])))
            del floors[inner]
        for name in drop:
            if Layout(floors, {}).total <= width:
                break
            floors.pop(name, None)
    widths = {name: natural[name] for name in floors}
    excess = Layout(widths, {}).total - width if width is not None else 0
    while excess > 0 and any(widths[name] > floors[name] for name in widths):
        widest = max((name for name in widths if widths[name] > floors[name]), key=lambda name: widths[name])
        widths[widest] -= 1
        excess -= 1
    return Layout(widths, titles)


def print_error(message: str, *, kind: str, code: int, as_json: bool) -> None:
    """Print an error on one line of standard error."""
    if as_json:
        text = to_json({"error": {"class": kind, "message": message, "exit_code": code}})
    else:
        text = f"error: {clean(' '.join(message.split()))}"
    print(text, file=sys.stderr)  # noqa: T201


def cell(value: Any) -> str:
    """Write a value on one line."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list | tuple):
        return to_json(value, ascii_only=False) if value else ""
    return str(value)


def to_json(value: Any, *, ascii_only: bool = True) -> str:
    """Write JSON on one line; beyond ASCII everything is escaped, so that it can be shown on a terminal as well."""
    return json.dumps(value, default=_plain, ensure_ascii=ascii_only)


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it does."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__struct_fields__"):
        import msgspec

        return msgspec.to_builtins(value)
    return str(value)


def _capped(text: str, column: str, whole: Collection[str]) -> str:
    # Half an address leads nowhere.
    if len(text) <= _MAX_CELL or column in whole or ("://" in text and " " not in text):
        return text
    return f"{text[: _MAX_CELL - 1]}…"


def _text(text: str, *, style: str = "", keep: str = "") -> Any:
    from rich.text import Text

    return Text(clean(text, keep=keep), style=style)
