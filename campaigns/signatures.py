"""Forged signatures of Ed25519: what the verifier that stands alone and the library make of thousands of keys.

Both must take what a key's holder signed and nothing else, and must never differ: also on signatures with another scalar of the
same class, on keys and commitments of small order, in encodings that are not canonical, and on keys with a part of small order.

References:
    RFC 8032 5.1, https://www.rfc-editor.org/rfc/rfc8032
    "Taming the many EdDSAs", https://eprint.iacr.org/2020/1244
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from campaigns.report import ForgeryReport, Report
from lineagelog import verify_proof
from lineagelog.adapters import signing
from lineagelog.verify_proof import _BASE, _NEUTRAL, _ORDER, _P, _add, _decode, _encode, _multiply_both


class _Case(NamedTuple):
    """One question to both verifiers; `None` where the specification leaves open whether the signature is right."""

    kind: str
    public: bytes
    message: bytes
    signature: bytes
    is_right: bool | None = False


def forged_signatures(folder: Path, runs: int, seed: int) -> Report:
    """Ask both verifiers about signatures, right and forged; `runs` is the number of keys."""
    del folder
    chance, report = random.Random(seed), ForgeryReport()
    strange = _small_order_points()
    for number in range(runs):
        for case in _cases(chance, strange):
            alone = verify_proof.verify_ed25519(case.public, case.message, case.signature)
            library = signing.is_signed(case.public, case.message, case.signature)
            if alone != library:
                report.problems.append(f"{number}, {case.kind}: alone {alone}, by the library {library}: {case}")
            elif case.is_right not in (None, alone):
                report.problems.append(f"{number}, {case.kind}: {'was accepted' if alone else 'was refused'}: {case}")
            elif not alone:
                report.refused[case.kind] += 1
            else:
                report.saved[case.kind] += 1
    return report


def _cases(chance: random.Random, strange: list[bytes]) -> Iterator[_Case]:
    key, message = signing.SigningKey("k", chance.randbytes(32)), chance.randbytes(chance.randrange(200)).hex().encode()
    public, signature = key.verifier.public, key.sign(message.decode()).signatures[0].signature
    commitment, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    yield _Case("right", public, message, signature, is_right=True)
    changed = bytearray(public + signature + message)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    yield _Case("bit", bytes(changed[:32]), bytes(changed[96:]), bytes(changed[32:96]))
    beyond = scalar + chance.randrange(1, 16) * _ORDER
    yield _Case("scalar beyond the order", public, message, commitment + beyond.to_bytes(33, "little")[:32])
    yield _Case("negative", public, message, commitment + (_ORDER - scalar).to_bytes(32, "little"))
    small = chance.choice(strange)
    # With the empty scalar, a key of small order signs every eighth message, or every one.
    yield _Case("key of small order", small, message, chance.choice(strange) + bytes(32))
    yield _Case("commitment of small order", public, message, small + chance.randrange(_ORDER).to_bytes(32, "little"))
    encoded = (chance.randrange(19) + _P) | chance.randrange(2) << 255
    yield _Case("key that is not canonical", encoded.to_bytes(32, "little"), message, signature)
    yield _Case("commitment that is not canonical", public, message, encoded.to_bytes(32, "little") + signature[32:])
    yield from _mixed(chance, message, small)


def _mixed(chance: random.Random, message: bytes, small: bytes) -> Iterator[_Case]:
    """Sign with a key that has a part of small order: right where the challenge takes that part away, which one in eight does."""
    torsion = _decode(small) or _NEUTRAL
    secret, nonce = chance.randrange(1, _ORDER), chance.randrange(1, _ORDER)
    public = _encode(_add(_multiply_both(secret, 0, _BASE), torsion))
    commitment = _encode(_multiply_both(nonce, 0, _BASE))
    digest = hashlib.sha512(commitment + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    signature = commitment + ((nonce + challenge * secret) % _ORDER).to_bytes(32, "little")
    yield _Case("key with a part of small order", public, message, signature, is_right=None)


def _small_order_points() -> list[bytes]:
    """Make all encodings, canonical and not, of the eight points whose order divides eight."""
    # Any point times the order of the group is one of them; an eighth of all points gives one of order eight.
    generator, number = _NEUTRAL, 2
    while _encode(_multiply_both(0, 4, generator)) == _encode(_NEUTRAL):
        point = _decode(number.to_bytes(32, "little"))
        number += 1
        if point is not None:
            generator = _multiply_both(0, _ORDER, point)
    points = [_encode(_multiply_both(0, multiple, generator)) for multiple in range(8)]
    numbers = {int.from_bytes(point, "little") & (1 << 255) - 1 for point in points}
    numbers |= {number + _P for number in numbers if number < 19}
    return sorted((number | sign << 255).to_bytes(32, "little") for number in numbers for sign in (0, 1))
