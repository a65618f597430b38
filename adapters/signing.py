"""Ed25519 signatures of checkpoints, by the library `cryptography`.

Private keys are written as the tools of Go's transparency logs write them, so that those can read them.

References:
    C2SP signed-note, https://c2sp.org/signed-note
    RFC 8032, https://www.rfc-editor.org/rfc/rfc8032
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass, field
from typing import Final

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.note import ED25519, NoteSignature, SignedNote, VerifierKey, is_key_name

_SEED_BYTES: Final = 32
_FIELD: Final = 2**255 - 19
_Y_OF_ORDER_8: Final = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER: Final = frozenset({0, 1, _FIELD - 1, _Y_OF_ORDER_8, _FIELD - _Y_OF_ORDER_8})
"""The y coordinates of the eight points whose order divides eight."""
_PREFIX: Final = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; it appears in no text but that of `to_text`.

    Attributes:
        name: Name of the key.
        seed: The 32 bytes it is made of (RFC 8032 5.1.5).
    """

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """Make a new key from the system's randomness."""
        return cls(name, secrets.token_bytes(_SEED_BYTES))

    @property
    def verifier(self) -> VerifierKey:
        """The public key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return VerifierKey(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, text: str) -> SignedNote:
        """Sign a text, which ends with a line break."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return SignedNote(text, (NoteSignature(self.name, self.verifier.id, signature),))

    def to_text(self) -> str:
        """Write the key, to be kept secret."""
        data = base64.b64encode(ED25519 + self.seed).decode()
        return f"{_PREFIX}{self.name}+{self.verifier.fingerprint}+{data}\n"

    @classmethod
    def from_text(cls, text: str) -> SigningKey:
        """Read a key.

        Raises:
            InvalidValueError: It is not one; the error shows nothing of it.
        """
        name, _, rest = text.strip().removeprefix(_PREFIX).partition("+")
        fingerprint, _, encoded = rest.partition("+")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            data = b""
        if text.startswith(_PREFIX) and is_key_name(name) and data[:1] == ED25519 and len(data) == 1 + _SEED_BYTES:
            key = cls(name, data[1:])
            if key.verifier.fingerprint == fingerprint:
                return key
        raise InvalidValueError("the signing key", "cannot be read; restore its file from a copy")


def signed_by(note: SignedNote, keys: list[VerifierKey]) -> VerifierKey | None:
    """Find the first of some keys that has signed a note.

    Signatures of other keys are passed over, as the specification wants; a wrong signature of a known key spoils the note.

    Args:
        note: The note.
        keys: Keys that are believed.
    """
    known = {(key.name, key.id): key for key in keys}
    signers = []
    for name, key_id, signature in note.signatures:
        key = known.get((name, key_id))
        if key is not None:
            if not is_signed(key.public, note.text.encode(), signature):
                return None
            signers.append(key)
    return signers[0] if signers else None


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether an Ed25519 signature is right, by the rules of `verify_proof.py` on keys, where the library is less strict."""
    if not _is_sound(public):
        return False
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_sound(public: bytes) -> bool:
    """Tell whether a public key is in canonical form, and not of small order: for such a key anybody can sign."""
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    return y < _FIELD and y not in _SMALL_ORDER
