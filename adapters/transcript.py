"""What a program printed: kept while it runs, with its middle left out where it is long, and written without secrets."""

from __future__ import annotations

import io
import sys
import threading
from collections import deque
from typing import Any, Final, TextIO

from lineagelog.domain.redaction import redact_text

KEPT_BYTES: Final = 1 << 20
"""Of a longer output, this much of its beginning and as much of its end are kept."""


class Transcript:
    """The output of a program, its two streams in the order in which they came."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._limit = kept_bytes
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._left_out = 0
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Nothing was printed."""
        return not self._head

    def add(self, data: bytes) -> None:
        """Take what was printed next."""
        with self._lock:
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
            head = bytes(self._head).decode(errors="replace")
            tail = b"".join(self._tail).decode(errors="replace")
        if self._left_out:
            tail = f"\n[… {self._left_out:,} bytes left out …]\n{tail}"
        return redact_text((head + tail).replace("\x00", "�"))[0]


class _Tee(io.TextIOBase):
    """A text stream that passes on what is written to it, and keeps it as well."""

    def __init__(self, stream: TextIO, transcript: Transcript) -> None:
        self._stream = stream
        self._transcript = transcript

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        self._transcript.add(text.encode(errors="backslashreplace"))
        return written

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        # Everything else, such as `buffer` and `reconfigure`, is the stream's own.
        return getattr(self._stream, name)


class Listener:
    """Stands in for the two standard streams until it is closed, and keeps what goes through them.

    What programs started by this process print, or libraries past Python's own streams, goes to the terminal alone.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self._before = (sys.stdout, sys.stderr)
        self._standing = tuple(_Tee(stream, transcript) if stream is not None else None for stream in self._before)
        sys.stdout, sys.stderr = self._standing

    def close(self) -> None:
        """Put the streams back, unless somebody has put others in their place since."""
        if sys.stdout is self._standing[0]:
            sys.stdout = self._before[0]
        if sys.stderr is self._standing[1]:
            sys.stderr = self._before[1]
