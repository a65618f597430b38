"""What a program printed: kept while it runs, with its middle left out where it is long, and written without secrets."""

from __future__ import annotations

import io
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TextIO

from lineagelog.domain.redaction import redact_text

KEPT_BYTES: Final = 1 << 20
"""Of a longer output, this much of its beginning and as much of its end are kept."""

_PENDING: Final = 1_000
_LONG: Final = 10_000
_SLICE: Final = 1 << 20


class Transcript:
    """The output of a program, its two streams in the order in which they came.

    Attributes:
        pending: Texts that were printed and not taken yet. Whoever appends one calls `settle` once they are many: a thousand
            together cost little more than one.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self.pending: list[str] = []
        self._limit = kept_bytes
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._left_out = 0
        # A signal may come in the middle, and its handler may print.
        self._lock = threading.RLock()

    @property
    def is_empty(self) -> bool:
        """Nothing was printed."""
        self.settle()
        return not self._head

    def add(self, data: bytes) -> None:
        """Take what was printed next."""
        with self._lock:
            self.settle()
            self._take(data)

    def settle(self) -> None:
        """Take the texts that are pending."""
        with self._lock:
            # Another thread may append meanwhile.
            number = len(self.pending)
            text = "".join(self.pending[:number])
            del self.pending[:number]
            for start in range(0, len(text), _SLICE):
                self._take(text[start : start + _SLICE].encode(errors="backslashreplace"))

    def _take(self, data: bytes) -> None:
        space = self._limit - len(self._head)
        self._head += data[:space]
        if len(data) <= space:
            return
        self._tail.append(data[max(space, 0) :])
        self._tail_bytes += len(self._tail[-1])
        while self._tail_bytes - len(self._tail[0]) >= self._limit:
            oldest = self._tail.popleft()
            self._tail_bytes -= len(oldest)
            self._left_out += len(oldest)

    def text(self) -> str:
        """Return what is kept, secrets redacted."""
        with self._lock:
            self.settle()
            head = bytes(self._head).decode(errors="replace")
            tail = b"".join(self._tail).decode(errors="replace")
        if self._left_out:
            tail = f"\n[… {self._left_out:,} bytes left out …]\n{tail}"
        return redact_text((head + tail).replace("\x00", "�"))[0]


class Listener:
    """Keeps what goes through the two standard streams until it is closed.

    The streams stay the objects that they are, with a `write` that listens: whoever took hold of one before, such as a handler of
    `logging`, is heard too, and `isatty`, `encoding` and all else stay true. What programs started by this process print, or
    libraries past Python's own streams, goes to the terminal alone.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self._heard: list[tuple[Any, dict[str, Callable[..., Any]]]] = []
        # One object may be both.
        for stream in {id(stream): stream for stream in (sys.stdout, sys.stderr) if stream is not None}.values():
            self._listen_to(stream)
        # Its log is that of the process that listens; a child would keep what nobody asks for.
        os.register_at_fork(after_in_child=partial(_close, weakref.ref(self)))

    def close(self) -> None:
        """Listen no longer."""
        for owner, methods in self._heard:
            for name, method in methods.items():
                # Somebody else may have put another one in its place since, and that one calls ours.
                if vars(owner).get(name) is method:
                    delattr(owner, name)
        self._heard.clear()

    def _listen_to(self, stream: TextIO) -> None:
        self._replace(stream, write=_heard_text(stream.write, self.transcript))
        # A stream of another kind may hand on what is written to it to another one, and it would be heard twice.
        if type(stream) is io.TextIOWrapper:
            self._replace(stream, flush=_passed_on(stream.flush))
            self._replace(stream.buffer, write=_heard_bytes(stream.buffer.write, self.transcript))

    def _replace(self, owner: Any, **methods: Callable[..., Any]) -> None:
        # What takes no attributes is not heard; it is nothing that Python itself makes.
        with suppress(AttributeError):
            for name, method in methods.items():
                setattr(owner, name, method)
            self._heard.append((owner, methods))


def _close(listener: weakref.ref[Listener]) -> None:
    alive = listener()
    if alive is not None:
        alive.close()


def _heard_text(write: Callable[[str], int], transcript: Transcript) -> Callable[[str], int]:
    # Each `print` comes here at least twice.
    pending = transcript.pending

    def heard(text: str, /) -> int:
        written = write(text)
        pending.append(text)
        if len(pending) > _PENDING or len(text) > _LONG:
            transcript.settle()
        return written

    return heard


def _passed_on(flush: Callable[[], None]) -> Callable[[], None]:
    def heard() -> None:
        flush()

    return heard


def _heard_bytes(write: Callable[[Any], int], transcript: Transcript) -> Callable[[Any], int]:
    def heard(data: Any, /) -> int:
        written = write(data)
        # The stream of text hands on here what it was given, which `_heard_text` has heard. It does so only when it is written to
        # or flushed, and both are called from this module.
        if sys._getframe(1).f_globals is not globals():  # noqa: SLF001 - the only way to know who calls
            transcript.add(bytes(data))
        return written

    return heard
