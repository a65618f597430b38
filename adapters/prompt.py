"""The lines that somebody types at a prompt of Python or IPython, as the editor of lines keeps them."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any, Final

from lineagelog.adapters.script import ipython_shell

# The second one is the editor of Python 3.13 and later.
_EDITORS: Final = ("readline", "_pyrepl.readline")


class Prompt:
    """The prompt of this process, from the line that is at work now on; of IPython from its first line on."""

    def __init__(self) -> None:
        shell: Any = ipython_shell()
        # IPython takes its history apart before the process ends.
        self._cells: list[str] | None = getattr(getattr(shell, "history_manager", None), "input_hist_raw", None)
        self._editor: ModuleType | None = None
        self._since = 0
        if shell is None and os.isatty(0) and os.isatty(1):
            # Without a terminal Python asks no editor, and whatever one holds is of another session.
            self._editor = max(filter(None, map(sys.modules.get, _EDITORS)), key=_length, default=None)
        if self._editor is not None:
            self._since = _length(self._editor)
            while self._since > 1 and self._line(self._since)[:1].isspace():
                # A statement of several lines began further up.
                self._since -= 1

    @property
    def is_kept(self) -> bool:
        """Something keeps what is typed."""
        return self._cells is not None or self._editor is not None

    def typed(self) -> str | None:
        """Return what was typed, or `None` if nothing has kept it.

        Answers to `input()` stand among the lines of plain Python, and a line that was repeated at once stands there once.
        """
        if self._cells is not None:
            lines = [source.rstrip("\n") for source in self._cells if source.strip()]
        elif self._editor is not None:
            lines = [
                self._line(number).rstrip("\n") for number in range(max(self._since, 1), _length(self._editor) + 1)
            ]
        else:
            lines = []
        return "\n".join([*lines, ""]) or None

    def _line(self, number: int) -> str:
        return str(getattr(self._editor, "get_history_item")(number) or "")  # noqa: B009 - a module of one of two names


def _length(editor: ModuleType) -> int:
    return int(editor.get_current_history_length())
