"""Checkpoints and the notes that carry them: text that says how a log ended, signed so that it can be believed.

A note is text, an empty line, and signature lines. Each names a key, and holds in base64 four bytes that identify it and the
signature. The text of a checkpoint is origin, size and root on three lines. Signing and verifying is done in `adapters/signing.py`.

References:
    C2SP signed-note, https://c2sp.org/signed-note
    C2SP tlog-checkpoint, https://c2sp.org/tlog-checkpoint
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from lineagelog.domain.errors import InvalidValueError
from lineagelog.domain.merkle import HASH_BYTES

ORIGIN_PREFIX: Final = "lineagelog/"
"""The origin of a log, and the name of its keys, is this and the uid of the store."""

ED25519: Final = b"\x01"
"""Algorithm byte of Ed25519 keys (signed-note, "Signatures")."""

KEY_ID_BYTES: Final = 4
PUBLIC_KEY_BYTES: Final = 32
_MAX_SIZE_DIGITS: Final = 18
_MARK: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The end of a log at one moment.

    Attributes:
        origin: `lineagelog/` and the uid of the store.
        size: Number of events.
        root: Merkle tree head over them, 64 hexadecimal characters.
    """

    origin: str
    size: int
    root: str

    def to_text(self) -> str:
        """Write the text of a note."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(bytes.fromhex(self.root)).decode()}\n"

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Read the text of a note. Extension lines, which others may have added before signing, are passed over.

        Raises:
            InvalidValueError: The text is not one.
        """
        lines = text.split("\n")
        origin, size, root, *extensions = lines[:-1] if len(lines) > 3 else ("", "", "")
        digest = _from_base64(root)
        if (
            lines[-1]
            or digest is None
            or len(digest) != HASH_BYTES
            or not (size.isascii() and size.isdecimal() and len(size) <= _MAX_SIZE_DIGITS and str(int(size)) == size)
            or not origin.startswith(ORIGIN_PREFIX)
            or not all(extensions)
        ):
            raise _unreadable("its first three lines are not origin, size and root")
        return cls(origin, int(size), digest.hex())


class VerifierKey(NamedTuple):
    """A public key, as people hand it around: `name+id+base64`.

    Attributes:
        name: Name of the key.
        public: Public key of Ed25519, 32 bytes.
    """

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that signature lines know it by."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:KEY_ID_BYTES]

    @property
    def fingerprint(self) -> str:
        """The same as people read it: eight hexadecimal characters."""
        return self.id.hex()

    def to_text(self) -> str:
        """Write the key."""
        return f"{self.name}+{self.fingerprint}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def from_text(cls, text: str) -> VerifierKey:
        """Read a key.

        Raises:
            InvalidValueError: It is not one, or was damaged.
        """
        name, _, rest = text.strip().partition("+")
        fingerprint, _, encoded = rest.partition("+")
        data = _from_base64(encoded)
        if data is not None and data[:1] == ED25519 and len(data) == 1 + PUBLIC_KEY_BYTES and is_key_name(name):
            key = cls(name, data[1:])
            if key.fingerprint == fingerprint:
                return key
        raise InvalidValueError(
            "the verifier key", f"{text!r} cannot be read; pass the whole line that `prov key show` prints"
        )


class NoteSignature(NamedTuple):
    """One signature line of a note.

    Attributes:
        name: Name of the key.
        key_id: Four bytes of its hash.
        signature: What the algorithm of the key made.
    """

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text with its signatures.

    Attributes:
        text: What is signed; ends with a line break.
        signatures: Who signed it; at least one.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_text(self) -> str:
        """Write the note."""
        lines = [
            f"{_MARK}{name} {base64.b64encode(key_id + data).decode()}\n" for name, key_id, data in self.signatures
        ]
        return f"{self.text}\n{''.join(lines)}"

    @classmethod
    def from_text(cls, note: str) -> SignedNote:
        """Read a note; whether its signatures are right is another question.

        Raises:
            InvalidValueError: It is not one.
        """
        text, gap, block = note.rpartition("\n\n")
        if not gap or not block.endswith("\n") or any(ord(sign) < 32 and sign != "\n" for sign in note):
            raise _unreadable("it does not end with signatures")
        signatures = []
        for line in block[:-1].split("\n"):
            name, _, encoded = line.removeprefix(_MARK).partition(" ")
            data = _from_base64(encoded)
            if not line.startswith(_MARK) or not is_key_name(name) or data is None or len(data) <= KEY_ID_BYTES:
                raise _unreadable("a signature line is malformed")
            signatures.append(NoteSignature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:]))
        return cls(f"{text}\n", tuple(signatures))


def is_key_name(name: str) -> bool:
    """Tell whether a key may be called so: not empty, without spaces and plus signs."""
    return bool(name) and "+" not in name and not any(sign.isspace() for sign in name)


def _from_base64(text: str) -> bytes | None:
    """Decode standard base64 in its one canonical form, so that no two texts mean the same bytes."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return None
    return data if base64.b64encode(data).decode() == text else None


def _unreadable(why: str) -> InvalidValueError:
    return InvalidValueError("the checkpoint", f"cannot be read: {why}; pass a file that `prov checkpoint` wrote")
