"""A terminal for a program whose output is listened to: it sees one where this process has one, with its size."""

from __future__ import annotations

import fcntl
import os
import termios
from contextlib import suppress
from typing import Any


def channel(beside: Any) -> tuple[int, int]:
    """Make a pair of descriptors, to listen at and to give to a program as its output.

    Programs that write to a terminal print each line at once, in colours, and draw their progress; on a pipe they do none of it.

    Args:
        beside: The stream to which the output is passed on: if it is a terminal, so is what the program gets.
    """
    descriptor = descriptor_of_terminal(beside)
    if descriptor is None:
        return os.pipe()
    listening, given = os.openpty()
    # The real terminal makes line feeds into new lines; twice would change what is passed on.
    attributes = termios.tcgetattr(given)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(given, termios.TCSANOW, attributes)
    copy_size(descriptor, listening)
    return listening, given


def descriptor_of_terminal(stream: Any) -> int | None:
    """Return the descriptor of a stream that is a terminal, `None` of any other."""
    # Streams of tests and notebooks have none, and closed ones are not even asked.
    with suppress(OSError, ValueError, AttributeError):
        if stream is not None and os.isatty(stream.fileno()):
            return int(stream.fileno())
    return None


def place_of(stream: Any) -> object:
    """Return what is equal for streams that lead to the same place, such as one terminal or the pipe of `2>&1`."""
    with suppress(OSError, ValueError, AttributeError):
        found = os.fstat(stream.fileno())
        return found.st_dev, found.st_ino
    return id(stream)


def copy_size(source: int, target: int) -> None:
    """Make one terminal as large as another."""
    with suppress(OSError):
        fcntl.ioctl(target, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8)))
