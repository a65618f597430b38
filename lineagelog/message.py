"""Short messages to the person at the terminal: on standard error, silent when asked to be."""

from __future__ import annotations

import os
import sys

from lineagelog.preferences import settings

_said: set[str] = set()


def info(text: str) -> None:
    """Say what was done."""
    _say("→", text, level=2)


def hint(text: str) -> None:
    """Say what could be done better."""
    _say("•", text, level=2)


def warn(text: str) -> None:
    """Say what is probably not meant."""
    _say("!", text, level=1)


def warn_once(text: str) -> None:
    """Say what is probably not meant, the first time it happens in this process."""
    if text not in _said:
        _said.add(text)
        warn(text)


def _say(mark: str, text: str, *, level: int) -> None:
    if settings.verbosity < level or os.environ.get("LINEAGELOG_QUIET"):
        return
    stream = sys.stderr
    if stream is not None:
        print(f"{mark} {text}", file=stream)
