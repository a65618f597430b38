"""How `prov` prints: tables and trees for people, JSON for programs, errors in one line.

Whatever comes from a store may have been put there by somebody else. Control characters in it are shown as escapes, so that no
text can steer a terminal, and nothing in it is read as markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.tree import Tree

_TABLE_ROWS: Final = 500
"""So many rows are laid out at a time: a longer table flows out in parts, and takes no more memory."""

_MAX_CELL: Final = 300
_UNLIMITED: Final = 10_000
"""Width of lines that go to a file or another program, where nothing is wrapped."""


class Output:
    """Where the results of a command go.

    Attributes:
        json: Print JSON.
        quiet: Print only what was asked for, no remarks.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet

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

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Print a table.

        Args:
            columns: Names of the columns.
            rows: The values of each row.

        Returns:
            Number of rows.
        """
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        remaining = iter(rows)
        n_rows = 0
        while batch := list(islice(remaining, _TABLE_ROWS)):
            table = Table(
                box=SIMPLE_HEAD if n_rows == 0 else None, show_header=n_rows == 0, show_edge=False, pad_edge=False
            )
            for name in columns:
                table.add_column(_text(name), overflow="fold")
            for row in batch:
                table.add_row(*(_text(_shortened(cell(value))) for value in row))
            self._print(table)
            n_rows += len(batch)
        return n_rows

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

    def _print(self, what: RenderableType) -> None:
        # Written by ourselves: rich would end the process by its own rules when nobody reads any more.
        with self._console.capture() as capture:
            self._console.print(what)
        text = capture.get()
        if not sys.stdout.isatty():
            text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        sys.stdout.write(text)

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        # Rich itself leaves colours away where the output is no terminal, or NO_COLOR is set.
        width = None if sys.stdout.isatty() else _UNLIMITED
        return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def print_error(message: str, *, kind: str, code: int, as_json: bool) -> None:
    """Print an error on one line of standard error."""
    if as_json:
        text = to_json({"error": {"class": kind, "message": message, "exit_code": code}})
    else:
        text = f"error: {clean(' '.join(message.split()))}"
    print(text, file=sys.stderr)  # noqa: T201


def clean(text: str, *, keep: str = "") -> str:
    """Show control characters, direction marks and broken characters as escapes.

    Args:
        text: Any text.
        keep: Characters that may stay.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


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


def n_bytes(size: int) -> str:
    """Write a size for people."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


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


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


def _text(text: str, *, style: str = "") -> Any:
    from rich.text import Text

    return Text(clean(text), style=style)
