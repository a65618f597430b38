"""The functions that the main thread is at work in: what was compiled from the main module, and whether it is done."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType

MODULE_LEVEL = "<module>"
"""Name of the code of a module itself, outside of its functions."""


def main_frames() -> Iterator[FrameType]:
    """List what the main thread is at work in, the innermost call first."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - documented, for debuggers
    while frame is not None:
        yield frame
        frame = frame.f_back
