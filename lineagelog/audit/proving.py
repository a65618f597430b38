"""Proofs for those who have no access to the log: that events stand in it, and that it only grew.

A proof is a JSON file that `lineagelog/verify_proof.py` checks, which needs Python alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lineagelog.adapters.log.schema import EVENTS
from lineagelog.audit.sealing import kept_checkpoints, origin_of, read_note, second_place
from lineagelog.domain.errors import DomainError, InvalidValueError, LogCorruptError, ObjectMissingError
from lineagelog.domain.merkle import consistency_spans, encode_entry, inclusion_spans, leaf_hash, subtree_hashes
from lineagelog.domain.note import Checkpoint, SignedNote
from lineagelog.writing import written_whole

if TYPE_CHECKING:
    from lineagelog.domain.merkle import Span
    from lineagelog.projections.reader import Reader
    from lineagelog.registries.record import BaseRecord
    from lineagelog.store import Store

FORMAT: Final = "lineagelog-proof/1"
_COLUMNS: Final = EVENTS.names[:-1]
_LEAF: Final = EVENTS.names[-1]


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that was written.

    Attributes:
        path: Its file.
        checkpoint: The checkpoint it leads to.
        since: The older checkpoint whose log is proven to be a beginning, if one was named.
        positions: Positions of the events that are proven.
    """

    path: Path
    checkpoint: Checkpoint
    since: Checkpoint | None
    positions: tuple[int, ...]


def prove(
    store: Store,
    subject: BaseRecord | str | None,
    path: Path,
    *,
    checkpoint: Path | None = None,
    since: Path | None = None,
) -> Proof:
    """Write a proof that the events of a record stand in the log of a checkpoint.

    Args:
        store: The store.
        subject: The record, or its uid or the beginning of it; `None` to prove only that the log has grown since `since`.
        path: File to write.
        checkpoint: The checkpoint; by default the newest one that is kept beside the store or at its second place.
        since: An older checkpoint, whose log is proven to be the beginning of the newer one.

    Raises:
        DomainError: The record has events after the checkpoint.
        ObjectMissingError: There is no checkpoint.
        LogCorruptError: The log is not that of the checkpoint.
    """
    if subject is None and since is None:
        raise InvalidValueError("the proof", "is to be of nothing; name a record, or an older checkpoint")
    note, sealed = _read(store, checkpoint) if checkpoint is not None else _newest(store)
    older = _read(store, since) if since is not None else None
    if older is not None and not 0 < older[1].size <= sealed.size:
        raise InvalidValueError(
            "the older checkpoint", f"speaks of {older[1].size} events, the newer one of {sealed.size}"
        )
    stream = _stream(store, subject) if subject is not None else None
    with store.log.database.snapshot() as snapshot:
        sql = f"SELECT {', '.join(EVENTS.names)} FROM {EVENTS.name} WHERE stream = ? ORDER BY position"  # noqa: S608 - names from the schema only
        rows = snapshot.read(sql, (stream,)) if stream is not None else []
        events = [dict(zip(_COLUMNS, row[:-1], strict=True)) for row in rows]
        for *columns, leaf in rows:
            if leaf_hash(encode_entry(columns)).hex() != leaf:
                raise LogCorruptError(
                    f"event {columns[0]} was changed after it was recorded, so that no proof of it holds; `prov verify` says more"
                )
        positions = tuple(int(event["position"]) for event in events)
        if positions and positions[-1] > sealed.size:
            raise DomainError(
                f"event {positions[-1]} of this record is later than the checkpoint, which speaks of {sealed.size} events; "
                "seal a new one with `prov checkpoint`"
            )
        included = [inclusion_spans(position - 1, sealed.size) for position in positions]
        grown = consistency_spans(older[1].size, sealed.size) if older is not None else []
        spans = {(0, sealed.size), *grown, *(span for spans in included for span in spans)}
        if older is not None:
            spans.add((0, older[1].size))
        hashes = _hashes(snapshot, sealed.size, spans)
    for one in (sealed, older[1]) if older is not None else (sealed,):
        if hashes.get((0, one.size), b"").hex() != one.root:
            raise LogCorruptError(
                f"the first {one.size} events of the log are not those of the checkpoint; `prov verify` says more"
            )
    proof: dict[str, Any] = {
        "format": FORMAT,
        "checkpoint": note,
        "events": [
            {"event": event, "inclusion": [_base64(hashes[span]) for span in spans]}
            for event, spans in zip(events, included, strict=True)
        ],
    }
    if older is not None:
        proof |= {"previous": older[0], "consistency": [_base64(hashes[span]) for span in grown]}
    with written_whole(path, f"the proof cannot be written to {path}") as file:
        file.write((json.dumps(proof, indent=1, ensure_ascii=False) + "\n").encode())
    return Proof(path, sealed, older[1] if older is not None else None, positions)


def _hashes(snapshot: Reader, size: int, spans: set[Span]) -> dict[Span, bytes]:
    def leaves() -> Iterator[bytes]:
        sql = f"SELECT {_LEAF} FROM {EVENTS.name} WHERE position <= ? ORDER BY position"  # noqa: S608 - names from the schema only
        for (leaf,) in snapshot.stream(sql, (size,)):
            yield bytes.fromhex(leaf)

    try:
        return subtree_hashes(leaves(), spans)
    except (KeyError, ValueError):
        raise LogCorruptError(
            f"the log does not hold the {size} events of the checkpoint; `prov verify` says more"
        ) from None


def _read(store: Store, path: Path) -> tuple[str, Checkpoint]:
    text = read_note(path)
    checkpoint = Checkpoint.from_text(SignedNote.from_text(text).text)
    if checkpoint.origin != origin_of(store):
        raise InvalidValueError("the checkpoint", f"{path} is of another store ({checkpoint.origin})")
    return text, checkpoint


def _newest(store: Store) -> tuple[str, Checkpoint]:
    found = []
    for place in dict.fromkeys((None, second_place(store))):
        for kept in kept_checkpoints(store, place):
            checkpoint = Checkpoint.from_text(SignedNote.from_text(kept.text).text)
            found.append((kept.text, checkpoint))
        if found:
            return max(found, key=lambda pair: pair[1].size)
    raise ObjectMissingError(
        f"{store.name} has no checkpoint to prove anything against; make one with `prov checkpoint`"
    )


def _stream(store: Store, subject: BaseRecord | str) -> str:
    if not isinstance(subject, str):
        return subject.id
    from lineagelog.registries.finding import find_record

    # The store has no registry of its own, yet things happen to it.
    if subject == store.uid:
        return store.id
    return find_record(store, subject).id


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
