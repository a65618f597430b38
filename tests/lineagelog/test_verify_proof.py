"""The verifier that stands alone agrees with the libraries, and takes nothing that they refuse."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from lineagelog import verify_proof
from lineagelog.adapters.log.schema import EVENTS
from lineagelog.adapters.signing import SigningKey, is_signed
from lineagelog.audit.proving import FORMAT
from lineagelog.domain import merkle
from lineagelog.verify_proof import (
    _ORDER,
    _P,
    COLUMNS,
    Checkpoint,
    is_consistent,
    is_included,
    leaf_hash,
    verify_ed25519,
)

SMALL_ORDER = [
    (1).to_bytes(32, "little"),
    (_P - 1).to_bytes(32, "little"),
    bytes(32),
    bytes(31) + b"\x80",
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]
"""Encodings of points whose order divides 8."""


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_signatures_agree_with_the_library(chance: random.Random) -> None:
    for _ in range(150):
        key = SigningKey("k", chance.randbytes(32))
        message = chance.randbytes(chance.randrange(200)).hex()
        signature, public = key.sign(message).signatures[0].signature, key.verifier.public
        assert verify_ed25519(public, message.encode(), signature)
        changed = bytearray(public + signature + message.encode())
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        forged = bytes(changed[:32]), bytes(changed[96:]), bytes(changed[32:96])
        assert not verify_ed25519(*forged)
        assert not is_signed(forged[0], forged[1], forged[2])


def test_a_signature_has_one_form_only(chance: random.Random) -> None:
    key = SigningKey("k", chance.randbytes(32))
    public, signature = key.verifier.public, key.sign("m").signatures[0].signature
    scalar = int.from_bytes(signature[32:], "little")
    for multiple in (1, 2, 7):
        malleable = signature[:32] + (scalar + multiple * _ORDER).to_bytes(32, "little")
        assert not verify_ed25519(public, b"m", malleable)
    for wrong in (signature[:-1], signature + b"\0", b"", bytes(64)):
        assert not verify_ed25519(public, b"m", wrong)


def test_keys_of_small_order_and_other_encodings_are_refused(chance: random.Random) -> None:
    others = [(y + _P).to_bytes(32, "little") for y in range(19)]
    others += [bytes([*data[:31], data[31] ^ 0x80]) for data in (*SMALL_ORDER, *others)]
    for public in (*SMALL_ORDER, *others):
        for commitment in (*SMALL_ORDER, public):
            for number in range(3):
                # With such a key the empty scalar signs many messages.
                assert not verify_ed25519(public, bytes([number]), commitment + bytes(32))


def test_commitments_of_small_order_are_taken_only_where_the_library_takes_them(chance: random.Random) -> None:
    public = SigningKey("k", chance.randbytes(32)).verifier.public
    for commitment in SMALL_ORDER:
        signature = commitment + chance.randrange(_ORDER).to_bytes(32, "little")
        assert verify_ed25519(public, b"m", signature) <= is_signed(public, b"m", signature)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 21, 64])
def test_proofs_agree_with_the_tree_and_hold_for_nothing_else(n: int) -> None:
    leaves = [sha256(bytes([number])).digest() for number in range(n)]

    def tree(size: int) -> Checkpoint:
        frontier = merkle.Frontier()
        frontier.extend(leaves[:size])
        return Checkpoint("o", size, frontier.root())

    for index in range(n):
        spans = merkle.inclusion_spans(index, n)
        hashes = merkle.subtree_hashes(leaves, [*spans, (0, n)])
        path = [hashes[span] for span in spans]
        assert hashes[0, n] == tree(n).root
        assert is_included(leaves[index], index, tree(n), path)
        assert not any(is_included(leaves[index], other, tree(n), path) for other in range(-1, n + 2) if other != index)
        assert not is_included(leaves[index], index, tree(n), [*path, leaves[0]])
        assert not (path and is_included(leaves[index], index, tree(n), path[:-1]))

        old = tree(index + 1)
        spans = merkle.consistency_spans(old.size, n)
        hashes = merkle.subtree_hashes(leaves, spans)
        path = [hashes[span] for span in spans]
        assert is_consistent(old, tree(n), path)
        assert not is_consistent(old._replace(root=leaves[0][::-1]), tree(n), path)
        assert not any(
            is_consistent(old._replace(size=size), tree(n), path) for size in range(n + 2) if size != old.size
        )
        assert not is_consistent(old, tree(n)._replace(origin="other"), path)
        assert not is_consistent(old, tree(n), [*path, leaves[0]])


def test_the_verifier_and_the_log_mean_the_same() -> None:
    assert verify_proof.FORMAT == FORMAT
    assert EVENTS.names[:-1] == COLUMNS
    event = dict(zip(COLUMNS, [7, "e", "s", 1, "t", "ä€𝄞", None, "", "x", "{}", "{}"], strict=True))
    assert leaf_hash(event) == merkle.leaf_hash(merkle.encode_entry(list(event.values())))
