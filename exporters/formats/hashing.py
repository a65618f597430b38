"""A file that is hashed while it is written, so that the log can say what left the store."""

from __future__ import annotations

from hashlib import sha256
from typing import BinaryIO


class HashedFile:
    """A file that is only written to, and hashed on the way.

    Attributes:
        size_bytes: Bytes written so far.
    """

    closed = False

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._digest = sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written, 64 hexadecimal characters."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        """Write bytes."""
        self._digest.update(data)
        self.size_bytes += len(data)
        return self._out.write(data)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def tell(self) -> int:
        """Return the place where the next bytes go."""
        return self.size_bytes

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._out.flush()

    def close(self) -> None:
        """Leave the file open; whoever opened it closes it."""
