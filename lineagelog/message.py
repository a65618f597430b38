"""Short messages to the person at the terminal or notebook, silent when asked to be."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, TextIO

from lineagelog.preferences import settings
from lineagelog.text import clean

_said: set[str] = set()
WARNING: Final = 1
INFO: Final = 2


def info(text: str) -> None:
    """Say what was done."""
    _say("→", text, level=INFO)


def hint(text: str) -> None:
    """Say what could be done better."""
    _say("•", text, level=INFO)


def warn(text: str) -> None:
    """Say what is probably not meant."""
    _say("!", text, level=WARNING)


def warn_once(text: str) -> None:
    """Say what is probably not meant, the first time it happens in this process."""
    if text not in _said:
        _said.add(text)
        warn(text)


def would_say(level: int) -> bool:
    """Tell whether a message of a level would be shown; finding out what to say may cost something."""
    return settings.verbosity >= level and not os.environ.get("LINEAGELOG_QUIET")


def _say(mark: str, text: str, *, level: int) -> None:
    if not would_say(level):
        return
    stream = _stream(level)
    if stream is not None:
        # A description in it may have been written by somebody else.
        shown = clean(text, keep="\n")
        # The terminal may be gone and a pipe have no reader: nobody's work ends because a message is not read.
        try:
            print(f"{mark} {shown}", file=stream)
        except (OSError, ValueError):
            _drop(stream)


def _drop(stream: TextIO) -> None:
    """Take what could not be written out of the stream's buffer: at its end Python would try again, and fail with code 120."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        before, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, number)
            stream.flush()
        finally:
            os.dup2(before, number)
            os.close(before)
            os.close(nowhere)


def _stream(level: int) -> TextIO | None:
    """Choose where to say something: on standard error, which notebooks show in red, so that only warnings go there in one."""
    if level > WARNING and "ipykernel" in sys.modules:
        from lineagelog.adapters.script import in_kernel

        return sys.stdout if in_kernel() else sys.stderr
    return sys.stderr
