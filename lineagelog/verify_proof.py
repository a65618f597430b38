#!/usr/bin/env python3
"""Check a proof that events stand in a log: `python verify_proof.py proof.json [checkpoint.txt] --key VERIFIER_KEY`.

This file needs Python 3.9 or newer and nothing else, so that an auditor can read all that is trusted, and run it where
lineagelog is not installed. It shares no code with the package: it is written from the specifications named below.

What it shows, if it succeeds: the holder of the key has signed that the log had a certain size and Merkle tree head, and the events
in the proof are in that log, at their positions, with exactly these columns. With an older checkpoint in the proof: the log of
that time is a beginning of it. What it cannot show: that the events tell the truth, or that the key's holder has not signed two
histories; compare checkpoints that others hold.

Exit code 0: proven. 1: not proven. 2: wrong command line.

References:
    RFC 6962 2.1, RFC 9162 2.1.3 and 2.1.4 (Merkle proofs), https://www.rfc-editor.org/rfc/rfc9162#section-2.1
    RFC 8032 5.1.7 (Ed25519), https://www.rfc-editor.org/rfc/rfc8032#section-5.1.7
    C2SP signed-note and tlog-checkpoint, https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = "lineagelog-proof/1"
COLUMNS = (
    "position", "event_id", "stream", "version", "topic", "recorded_at", "actor", "run", "reason", "context", "payload",
)  # fmt: skip
INTEGERS = ("position", "version")
MAX_SIZE_DIGITS = 18


class NotProvenError(Exception):
    """The proof does not hold; the text says why."""


class Checkpoint(NamedTuple):
    """A signed end of a log."""

    origin: str
    size: int
    root: bytes


class Proven(NamedTuple):
    """What a proof has shown: the checkpoint, the older one if there is one, the events, and the one that was kept."""

    checkpoint: Checkpoint
    previous: Checkpoint | None
    events: list[dict[str, Any]]
    kept: Checkpoint | None


def verify_proof(data: bytes, key: str | list[str], note: bytes | None = None) -> Proven:
    """Check a proof.

    Args:
        data: Content of the proof file.
        key: Verifier key, `name+id+base64`, from a source that is trusted; several where a log has had several.
        note: A checkpoint that was kept elsewhere; one of those in the proof must say the same.

    Raises:
        NotProvenError: Anything is not as it must be.
    """
    keys = [read_key(text) for text in ([key] if isinstance(key, str) else key)]
    proof = _read_json(data)
    names = {"format", "checkpoint", "events"}
    if set(proof) not in (names, names | {"previous", "consistency"}) or proof["format"] != FORMAT:
        raise NotProvenError("this is not a proof of a format that is known here")
    checkpoint = open_checkpoint(_text(proof["checkpoint"]), keys)
    if not isinstance(proof["events"], list) or not (proof["events"] or "previous" in proof):
        raise NotProvenError("the proof speaks of nothing")
    events = [_check_event(entry, checkpoint) for entry in proof["events"]]
    previous = None
    if "previous" in proof:
        previous = open_checkpoint(_text(proof["previous"]), keys)
        if not is_consistent(previous, checkpoint, _hashes(proof["consistency"])):
            raise NotProvenError("the older checkpoint is not a beginning of the newer one")
    kept = None
    if note is not None:
        try:
            kept = open_checkpoint(note.decode(), keys)
        except UnicodeDecodeError:
            raise NotProvenError("the checkpoint that was kept is not text") from None
        if kept not in (checkpoint, previous):
            raise NotProvenError(_other(kept, checkpoint, previous))
    return Proven(checkpoint, previous, events, kept)


def _other(kept: Checkpoint, checkpoint: Checkpoint, previous: Checkpoint | None) -> str:
    """Say what a checkpoint that was kept, and is none of those in a proof, means."""
    if any(one is not None and one.size == kept.size for one in (checkpoint, previous)):
        return f"the checkpoint that was kept has another root for {kept.size} events: the key's holder has signed two histories"
    return (
        f"the proof speaks of another checkpoint than the one that was kept, of {kept.size} events; ask for a proof from "
        "`prov prove --since` that one"
    )


def _read_json(data: bytes) -> dict[str, Any]:
    """Read a proof in its one canonical form: were there two, a changed byte could go unnoticed."""
    try:
        proof = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise NotProvenError("the proof is not JSON") from None
    if not isinstance(proof, dict) or to_bytes(proof) != data:
        raise NotProvenError(
            "the proof is not in its canonical form: it was edited, or another program wrote it anew; get the file that "
            "`prov prove` wrote"
        )
    return proof


def to_bytes(proof: dict[str, Any]) -> bytes:
    """Write a proof as its file holds it."""
    return (json.dumps(proof, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _check_event(entry: Any, checkpoint: Checkpoint) -> dict[str, Any]:
    if not isinstance(entry, dict) or set(entry) != {"event", "inclusion"}:
        raise NotProvenError("an event of the proof is malformed")
    event = entry["event"]
    if not isinstance(event, dict) or tuple(event) != COLUMNS:
        raise NotProvenError("an event of the proof has not the columns of an event")
    for column, value in event.items():
        if not (type(value) is int if column in INTEGERS else value is None or type(value) is str):
            raise NotProvenError(f"the column {column} of an event is of the wrong type")
    if not is_included(leaf_hash(event), event["position"] - 1, checkpoint, _hashes(entry["inclusion"])):
        raise NotProvenError(
            f"the event {event['position']} as it stands in the proof is not in the log of the checkpoint: the event, its path of "
            "hashes, or the checkpoint was changed"
        )
    return event


def leaf_hash(event: dict[str, Any]) -> bytes:
    """Hash an event: SHA-256 over 0x00 and all columns, each as its length in four bytes and its UTF-8 form."""
    parts = [b"\x00"]
    for column in COLUMNS:
        if event[column] is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            data = str(event[column]).encode("utf-8", "surrogatepass")
            parts += (len(data).to_bytes(4, "big"), data)
    return hashlib.sha256(b"".join(parts)).digest()


# Merkle proofs


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def is_included(leaf: bytes, index: int, checkpoint: Checkpoint, path: list[bytes]) -> bool:
    """Tell whether a leaf stands at an index, from 0, of the tree of a checkpoint (RFC 9162 2.1.3.2)."""
    if not 0 <= index < checkpoint.size:
        return False
    first, second, node = index, checkpoint.size - 1, leaf
    for sibling in path:
        if second == 0:
            return False
        if first & 1 or first == second:
            node = _node(sibling, node)
            while not first & 1 and first:
                first, second = first >> 1, second >> 1
        else:
            node = _node(node, sibling)
        first, second = first >> 1, second >> 1
    return second == 0 and node == checkpoint.root


def is_consistent(old: Checkpoint, new: Checkpoint, path: list[bytes]) -> bool:
    """Tell whether the log of an older checkpoint is a beginning of that of a newer one (RFC 9162 2.1.4.2)."""
    if old.origin != new.origin or not 0 < old.size <= new.size:
        return False
    if old.size == new.size:
        return old.root == new.root and not path
    if old.size & (old.size - 1) == 0:
        path = [old.root, *path]
    if not path:
        return False
    first, second = old.size - 1, new.size - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if second == 0:
            return False
        if first & 1 or first == second:
            old_node, new_node = _node(sibling, old_node), _node(sibling, new_node)
            while not first & 1 and first:
                first, second = first >> 1, second >> 1
        else:
            new_node = _node(new_node, sibling)
        first, second = first >> 1, second >> 1
    return second == 0 and old_node == old.root and new_node == new.root


# Signed notes


def read_key(key: str) -> tuple[str, bytes]:
    """Read a verifier key: name, and public key."""
    name, _, rest = key.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        data = _base64(encoded)
    except NotProvenError:
        data = b""
    if not name or data[:1] != b"\x01" or len(data) != 33 or _key_id(name, data[1:]).hex() != key_id:
        raise NotProvenError(
            "the verifier key cannot be read; it is one line, name+fingerprint+base64, as its holder gave it"
        )
    return name, data[1:]


def open_checkpoint(note: str, keys: list[tuple[str, bytes]]) -> Checkpoint:
    """Check the signatures of a checkpoint by these keys and read it; lines of other keys are passed over."""
    text, gap, block = note.rpartition("\n\n")
    if not gap or not block.endswith("\n"):
        raise NotProvenError("the checkpoint has no signature")
    text += "\n"
    signers = set()
    for line in block[:-1].split("\n"):
        mark, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        data = _base64(encoded)
        if mark != "\u2014" or not signer or len(data) < 5:
            raise NotProvenError("a signature line of the checkpoint is malformed")
        for name, public in keys:
            if (signer, data[:4]) == (name, _key_id(name, public)):
                if not verify_ed25519(public, text.encode(), data[4:]):
                    raise NotProvenError("the signature of the checkpoint is wrong")
                signers.add(name)
    if not signers:
        raise NotProvenError(_unsigned(text, len(keys)))
    lines = text.split("\n")
    if len(lines) < 4 or not all(lines[:-1]):
        raise NotProvenError("the checkpoint has not the lines of one")
    origin, size, root = lines[:3]
    digest = _base64(root)
    if origin not in signers or not _is_size(size) or len(digest) != 32:
        raise NotProvenError("the checkpoint has not the lines of one, or speaks of another log than its key")
    return Checkpoint(origin, int(size), digest)


def _unsigned(text: str, n_keys: int) -> str:
    """Say which checkpoint none of the keys has signed."""
    size = "".join(text.split("\n")[1:2])
    which = f"the checkpoint of {size} events" if _is_size(size) else "the checkpoint"
    by = "this key" if n_keys == 1 else "these keys"
    return f"{which} is not signed by {by}; name the key that signed it as well, if you trust it"


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_SIZE_DIGITS and str(int(text)) == text


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass") + b"\n\x01" + public).digest()[:4]


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise NotProvenError("something that should be base64 is not") from None
    # Bits that do not count could otherwise be set without a trace.
    if base64.b64encode(data).decode() != text:
        raise NotProvenError("something in base64 is not in its canonical form")
    return data


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise NotProvenError("the proof is malformed")
    return value


def _hashes(values: Any) -> list[bytes]:
    if not isinstance(values, list) or len(values) > 64:
        raise NotProvenError("the proof is malformed")
    hashes = [_base64(_text(value)) for value in values]
    if any(len(value) != 32 for value in hashes):
        raise NotProvenError("the proof is malformed")
    return hashes


# Ed25519. RFC 8032 5.1.7 without the cofactor: [S]B = R + [k]A is compared byte for byte. S must be below the order of the group;
# point encodings must be canonical (R is, since it is compared with one that is); a public key of small order is refused.

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]
"""A point in extended coordinates: (x, y) as X/Z, Y/Z with T = XY/Z (RFC 8032 5.1.4)."""

_NEUTRAL: _Point = (0, 1, 1, 0)


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature of Ed25519 is right."""
    if len(public) != 32 or len(signature) != 64:
        return False
    point = _decode(public)
    scalar = int.from_bytes(signature[32:], "little")
    if point is None or scalar >= _ORDER:
        return False
    eightfold = point
    for _ in range(3):
        eightfold = _add(eightfold, eightfold)
    if _encode(eightfold) == _encode(_NEUTRAL):
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _ORDER
    x, y, z, t = point
    return _encode(_multiply_both(scalar, challenge, (-x % _P, y, z, -t % _P))) == signature[:32]


def _add(first: _Point, second: _Point) -> _Point:
    x1, y1, z1, t1 = first
    x2, y2, z2, t2 = second
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * _D * t1 * t2 % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply_both(first: int, second: int, point: _Point) -> _Point:
    """Compute [first]B + [second]point bit by bit; nothing here is secret."""
    choices = (_NEUTRAL, _BASE, point, _add(_BASE, point))
    result = _NEUTRAL
    for bit in range(max(first.bit_length(), second.bit_length()) - 1, -1, -1):
        result = _add(result, result)
        chosen = (first >> bit & 1) | (second >> bit & 1) << 1
        if chosen:
            result = _add(result, choices[chosen])
    return result


def _decode(data: bytes) -> _Point | None:
    """Read a point (RFC 8032 5.1.3), `None` if it is none or not in canonical form."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: _Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    return (y * inverse % _P | (x * inverse % _P & 1) << 255).to_bytes(32, "little")


_base_point = _decode((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))
assert _base_point is not None  # its y coordinate is 4/5 (RFC 8032 5.1)
_BASE: _Point = _base_point


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description="Check a proof that events stand in a log.")
    parser.add_argument("proof", type=Path, help="what `prov prove` wrote")
    parser.add_argument(
        "checkpoint",
        type=Path,
        nargs="?",
        help="a checkpoint that you kept: the one the proof leads to, or the older one",
    )
    parser.add_argument(
        "--key",
        required=True,
        action="append",
        help="verifier key of the log, from a source that you trust; may be repeated",
    )
    arguments = parser.parse_args()
    try:
        note = arguments.checkpoint.read_bytes() if arguments.checkpoint is not None else None
        proven = verify_proof(arguments.proof.read_bytes(), arguments.key, note)
    except NotProvenError as exc:
        print(f"NOT PROVEN: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as exc:
        print(f"NOT PROVEN: {exc.filename} cannot be read: {exc.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    size, root = proven.checkpoint.size, proven.checkpoint.root.hex()
    lines = [f"the key's holder signed that {proven.checkpoint.origin} held {size} events, tree root {root}"]
    # Topics and times come from whoever wrote the log, so that nothing in them may steer a terminal.
    lines += [
        f"proven: event {event['position']}, {event['topic']!a}, recorded at {event['recorded_at']!a}"
        for event in proven.events
    ]
    if proven.previous is not None:
        older = "checkpoint that you kept" if proven.kept == proven.previous else "older checkpoint in the proof"
        lines.append(
            f"proven: the first {proven.previous.size} events are those of the {older}, tree root {proven.previous.root.hex()}"
        )
    if proven.kept is None:
        lines.append(
            "not compared: a checkpoint that you kept; without one nothing shows whether two histories were signed"
        )
    print("\n".join(lines))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
