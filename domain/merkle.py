"""The Merkle tree over the log: leaf encoding, the frontier that grows with each append, and tree heads.

The tree is that of RFC 6962 2.1 (the same as RFC 9162): a leaf is `SHA-256(0x00 || entry)`, an inner node
`SHA-256(0x01 || left || right)`. The frontier holds the roots of the perfect subtrees from left to right, one for each bit set
in the size, so that appending costs O(1) amortised and the head is known after every commit.

Proofs are lists of subtree hashes. Which subtrees they are follows from positions and sizes alone; `subtree_hashes` finds the
hashes of any number of them in one pass over the leaves.

References:
    RFC 6962 2.1 Merkle Hash Trees, https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""Tree head of an empty log (RFC 6962 2.1)."""

# The columns of nearly every event are short and ASCII; they are put together as text, and turned into bytes in one call.
_NULL: Final = "\xff\xff\xff\xff"
_N_LENGTHS: Final = 1024
_LENGTHS: Final = tuple(length.to_bytes(4, "big").decode("latin-1") for length in range(_N_LENGTHS))

Span: TypeAlias = tuple[int, int]
"""A subtree, by the index of its first leaf, from 0, and that of the leaf after its last."""


def encode_entry(columns: Sequence[str | int | None]) -> bytes:
    """Write the columns of one event so that no two different events give the same bytes.

    Each column is its UTF-8 length as four bytes, big end first, then its UTF-8 form; integers are written in decimal, a
    missing value is the length 0xFFFFFFFF without content.

    Args:
        columns: All columns of the event, in the order of the log's table.
    """
    parts: list[str] = []
    for value in columns:
        if value is None:
            parts.append(_NULL)
            continue
        text = value if type(value) is str else str(value)
        if len(text) >= _N_LENGTHS or not text.isascii():
            return _encode_any(columns)
        # As many bytes as characters, all of which Latin-1 writes as they are.
        parts.append(_LENGTHS[len(text)])
        parts.append(text)
    return "".join(parts).encode("latin-1")


def _encode_any(columns: Sequence[str | int | None]) -> bytes:
    parts = []
    for value in columns:
        if value is None:
            parts.append(_NULL.encode("latin-1"))
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


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Name the subtrees whose hashes prove that a leaf is in a tree (RFC 6962 2.1.1, `PATH(m, D[n])`).

    Args:
        index: The leaf, from 0.
        size: Number of leaves of the tree, more than `index`.
    """
    spans = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old_size: int, size: int) -> list[Span]:
    """Name the subtrees whose hashes prove that a tree begins with an older one (RFC 6962 2.1.2, `PROOF(m, D[n])`).

    Args:
        old_size: Number of leaves of the older tree, at least 1.
        size: Number of leaves of the tree, at least `old_size`.
    """
    spans = []
    start, stop = 0, size
    while old_size != stop:
        middle = start + _split(stop - start)
        if old_size <= middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start = middle
    # The older tree itself is not named as long as it is one whole subtree: who checks the proof knows its hash.
    if start:
        spans.append((start, stop))
    return spans[::-1]


def subtree_hashes(leaves: Iterable[bytes], spans: Iterable[Span]) -> dict[Span, bytes]:
    """Find the hashes of subtrees in one pass.

    Args:
        leaves: All leaf hashes of the tree, in order.
        spans: Subtrees as proofs name them; `(0, size)` is the tree itself.
    """
    parts = {span: _perfect(span) for span in spans}
    wanted = {part for some in parts.values() for part in some}
    found: dict[Span, bytes] = {}
    stack: list[tuple[int, bytes]] = []
    for index, leaf in enumerate(leaves):
        start, node = index, leaf
        if (start, index + 1) in wanted:
            found[start, index + 1] = node
        carry = index
        while carry & 1:
            start, left = stack.pop()
            node = sha256(b"\x01" + left + node).digest()
            carry >>= 1
            if (start, index + 1) in wanted:
                found[start, index + 1] = node
        stack.append((start, node))
    hashes = {}
    for span, some in parts.items():
        node = found[some[-1]] if some else EMPTY_ROOT
        for part in some[-2::-1]:
            node = sha256(b"\x01" + found[part] + node).digest()
        hashes[span] = node
    return hashes


def _split(size: int) -> int:
    """Return the largest power of two below a size of at least 2, where its tree is split (RFC 6962 2.1)."""
    return 1 << (size - 1).bit_length() - 1


def _perfect(span: Span) -> list[Span]:
    """Split a subtree into perfect ones, from left to right; only those at the right edge of a tree are not perfect."""
    start, stop = span
    parts = []
    while start < stop:
        step = 1 << (stop - start).bit_length() - 1
        parts.append((start, start + step))
        start += step
    return parts
