"""All that a process and the programs it starts print, whoever writes it, passed on and kept by a process of its own.

What goes past Python's streams can only be heard at the descriptors 1 and 2. A thread that listens there would wait for ever for a
library in C that fills the pipe and holds the interpreter's lock, and would lose what is still in the pipe when the process is
killed. Another process does neither: it passes on until the last writer is gone.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from lineagelog.adapters.terminal import channel, place_of
from lineagelog.adapters.transcript import KEPT_BYTES, Transcript

_BLOCK_BYTES: Final = 1 << 16
_QUIET_S: Final = 0.05
"""What a terminal was given may take a moment to come out at the other end."""

_ANSWER_S: Final = 10.0
_END_S: Final = 0.1
_START: Final = (
    "import sys; sys.path[:] = {path!r}; from lineagelog.adapters.descriptors import listen; listen(sys.argv[1:])"
)


class DescriptorListener:
    """Stands between this process and its two outputs until it is closed.

    Attributes:
        transcript: What was printed; complete once the listener is closed.
    """

    def __init__(self) -> None:
        self.transcript = Transcript(3 * KEPT_BYTES)
        _flush()
        streams = {1: sys.__stdout__, 2: sys.__stderr__}
        places = {place_of(stream): number for number, stream in reversed(streams.items())}
        channels = {number: channel(streams[number]) for number in places.values()}
        self._before = {number: os.dup(number) for number in streams}
        self._control, theirs = socket.socketpair()
        words = [str(theirs.fileno()), *(f"{end}:{self._before[number]}" for number, (end, _) in channels.items())]
        self._listening = subprocess.Popen(
            [
                # With `site`, by which an editable installation is found.
                sys.executable,
                "-I",
                "-c",
                _START.format(path=[entry for entry in sys.path if isinstance(entry, str)]),
                *words,
            ],
            stdin=subprocess.DEVNULL,
            # Its own errors, if there are any, belong to the terminal, as it was before.
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), *self._before.values(), *(end for end, _ in channels.values())),
            # What ends or stops this process by the keyboard must not end what passes its last words on.
            start_new_session=True,
        )
        theirs.close()
        for number, stream in streams.items():
            os.dup2(channels[places[place_of(stream)]][1], number)
        for end, given in channels.values():
            os.close(end)
            os.close(given)

    def close(self) -> None:
        """Give the two outputs back, and take what was kept."""
        _flush()
        for number, before in self._before.items():
            os.dup2(before, number)
            os.close(before)
        self._control.settimeout(_ANSWER_S)
        with suppress(OSError), self._control:
            self._control.sendall(b"end")
            while block := self._control.recv(_BLOCK_BYTES):
                self.transcript.add(block)
        try:
            self._listening.wait(_END_S)
        except subprocess.TimeoutExpired:
            # It stays as long as what this process has started may print, and nobody needs to wait for it.
            self._listening.returncode = 0


def listen(words: Sequence[str]) -> None:
    """Pass on what comes at some descriptors to others, and tell what it was when asked; in a process of its own.

    Args:
        words: Descriptor of the socket that asks; then pairs `FROM:TO`.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    transcript = Transcript()
    control = socket.socket(fileno=int(words[0]))
    targets = {int(source): int(target) for source, _, target in (word.partition(":") for word in words[1:])}
    is_asked = is_answered = False
    while targets or not is_answered:
        waiting = [*targets] if is_asked else [control.fileno(), *targets]
        ready = select.select(waiting, [], [], _QUIET_S if is_asked and not is_answered else None)[0]
        if is_asked and not is_answered and not ready:
            with suppress(OSError):
                control.sendall(transcript.text().encode())
            control.close()
            is_answered = True
        for source in ready:
            if source not in targets:
                # Either the process asks, or it was killed and will not hear the answer.
                with suppress(OSError):
                    control.recv(_BLOCK_BYTES)
                is_asked = True
            elif not _passed_on(source, targets[source], transcript):
                del targets[source]


def _passed_on(source: int, target: int, transcript: Transcript) -> bool:
    """Pass on what there is; `False` once nobody writes, or nobody reads any more."""
    try:
        block = os.read(source, _BLOCK_BYTES)
    except OSError:
        # So Linux says that nobody has a terminal open any more.
        block = b""
    transcript.add(block)
    try:
        while block:
            block = block[os.write(target, block) :]
            if not block:
                return True
    except OSError:
        # The writers learn of it as they would without us.
        block = b""
    os.close(source)
    return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
