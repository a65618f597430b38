"""The Merkle tree over the log: leaf encoding, the frontier that grows with each append, and tree heads.

The tree is that of RFC 6962 2.1 (the same as RFC 9162): a leaf is `SHA-256(0x00 || entry)`, an inner node
`SHA-256(0x01 || left || right)`. The frontier holds the roots of the perfect subtrees from left to right, one for each bit set
in the size, so that appending costs O(1) amortised and the head is known after every commit.

References:
    RFC 6962 2.1 Merkle Hash Trees, https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""Tree head of an empty log (RFC 6962 2.1)."""

_NULL: Final = b"\xff\xff\xff\xff"


def encode_entry(columns: Sequence[str | int | None]) -> bytes:
    """Write the columns of one event so that no two different events give the same bytes.

    Each column is its UTF-8 length as four bytes, big end first, then its UTF-8 form; integers are written in decimal, a
    missing value is the length 0xFFFFFFFF without content.

    Args:
        columns: All columns of the event, in the order of the log's table.
    """
    parts = []
    for value in columns:
        if value is None:
            parts.append(_NULL)
        else:
            data = str(value).encode()
            parts.append(len(data).to_bytes(4, "big"))
            parts.append(data)
    return b"".join(parts)


def leaf_hash(entry: bytes) -> bytes:
    """Hash one entry of the log (RFC 6962 2.1, `MTH({d(0)})`)."""
    return sha256(b"\x00" + entry).digest()


class Frontier:
    """The right edge of a growing tree.

    Attributes:
        size: Number of leaves.
        peaks: Roots of the perfect subtrees, largest first.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: bytes = b"") -> None:
        if len(peaks) != HASH_BYTES * size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(peaks) // HASH_BYTES}")
        self.size = size
        self.peaks = [peaks[start : start + HASH_BYTES] for start in range(0, len(peaks), HASH_BYTES)]

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        peaks, size = self.peaks, self.size
        for leaf in leaves:
            node = leaf
            # One merge for each trailing bit set in the old size, as in a binary counter.
            carry = size
            while carry & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                carry >>= 1
            peaks.append(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """Compute the tree head."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = sha256(b"\x01" + peak + node).digest()
        return node

    def to_bytes(self) -> bytes:
        """Write the peaks, largest first."""
        return b"".join(self.peaks)
