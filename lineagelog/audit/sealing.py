"""Checkpoints of a store: who signs them, where they are kept, and whether the log still is at least what the last one says.

A private key lies in the configuration folder of the user who made it, never in the store. Which keys sign a store's checkpoints
is on record in its log. A checkpoint goes to the file that was asked for, beside the store, and to a second place outside of it
that is named once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from lineagelog import location
from lineagelog.adapters.log.schema import EVENTS
from lineagelog.domain.errors import (
    DomainError,
    ExportError,
    InvalidValueError,
    LineageLogError,
    LogCorruptError,
    ObjectExistsError,
    ObjectMissingError,
    StorageError,
    StoreReadOnlyError,
)
from lineagelog.domain.event import decode
from lineagelog.domain.note import ORIGIN_PREFIX, Checkpoint, SignedNote, VerifierKey
from lineagelog.domain.store import CheckpointSealed, KeyRegistered
from lineagelog.projections import schema

if TYPE_CHECKING:
    from lineagelog.adapters.signing import SigningKey
    from lineagelog.adapters.storage import Storage
    from lineagelog.store import Store

_BESIDE: Final = f"{location.FOLDER}/{location.CHECKPOINTS}"
_ELSEWHERE: Final = "lineagelog-checkpoints"
_MAX_NOTE_BYTES: Final = 100_000


class SealingKey(NamedTuple):
    """A key that signs, or has signed, checkpoints of a store.

    Attributes:
        verifier: Its public half.
        since: Position of the event that registered it.
        until: Position of the event that replaced it, `None` if it still signs.
    """

    verifier: VerifierKey
    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class SealedCheckpoint:
    """A checkpoint that was signed and written.

    Attributes:
        checkpoint: What it says.
        note: Its text with the signature.
        key: Who signed it.
        places: Where it was written, paths and URLs.
    """

    checkpoint: Checkpoint
    note: SignedNote
    key: VerifierKey
    places: tuple[str, ...]


class KeptCheckpoint(NamedTuple):
    """A checkpoint that was found where checkpoints of a store are kept.

    Attributes:
        source: Path or URL.
        text: Its content.
        outside: It lies outside the store.
    """

    source: str
    text: str
    outside: bool


def origin_of(store: Store) -> str:
    """Name the log of a store as its checkpoints and keys do."""
    return f"{ORIGIN_PREFIX}{store.uid}"


def sealing_keys(store: Store) -> list[SealingKey]:
    """Read from the log which keys sign the checkpoints of a store, the oldest first."""
    keys: list[SealingKey] = []
    for event in store.present.log.read(stream=store.id, topic=KeyRegistered.topic):
        assert isinstance(event.fact, KeyRegistered)
        replaced = event.fact.replaces
        keys = [key._replace(until=event.position) if key.verifier.fingerprint == replaced else key for key in keys]
        keys.append(SealingKey(VerifierKey.from_text(event.fact.verifier_key), event.position, None))
    return keys


def own_key(store: Store) -> SigningKey | None:
    """Read the key with which this user signs checkpoints of a store, if there is one."""
    from lineagelog.adapters.signing import SigningKey

    for key in reversed(sealing_keys(store)):
        path = location.signing_key_path(store.uid, key.verifier.fingerprint)
        if key.until is None and path.exists():
            return SigningKey.from_text(path.read_text())
    return None


def own_verifiers(store: Store) -> list[VerifierKey]:
    """List the public halves of all keys of this user; a log that was put back may not know them any more."""
    from lineagelog.adapters.signing import SigningKey

    return [SigningKey.from_text(path.read_text()).verifier for path in location.signing_key_paths(store.uid)]


def generate_key(store: Store, *, rotate: bool = False) -> VerifierKey:
    """Make the key with which this user signs checkpoints of a store, and put its public half on record.

    Args:
        store: The store.
        rotate: Replace the key there is; without it that is returned.
    """
    from lineagelog.adapters.signing import SigningKey

    old = own_key(store)
    if old is not None and not rotate:
        return old.verifier
    if store.log.database.read_only:
        raise StoreReadOnlyError(f"{store.name} can only be read here, so no key can be put on record")
    key = SigningKey.generate(origin_of(store))
    path = location.signing_key_path(store.uid, key.verifier.fingerprint)
    # First the file: were it the event, a crash could leave a key on record that nobody has.
    try:
        location.write_signing_key(path, key.to_text())
    except OSError as exc:
        raise ExportError(f"the signing key cannot be written to {path}: {exc}; nothing was recorded") from exc
    fact = KeyRegistered(key.verifier.to_text(), old.verifier.fingerprint if old is not None else None)
    try:
        store.append_next(schema.STORES, store.id, lambda _: fact)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if old is not None:
        location.signing_key_path(store.uid, old.verifier.fingerprint).unlink(missing_ok=True)
    return key.verifier


def seal(store: Store, path: Path | None, also: str | None = None) -> SealedCheckpoint:
    """Sign the end of the log, and write it down; that this was done is the event after it.

    The first checkpoint makes the key. Nothing that exists is overwritten.

    Args:
        store: The store.
        path: File to write; keep it where those who can write the database cannot.
        also: Second place of all checkpoints from now on: a folder or URL outside the store.

    Raises:
        DomainError: The checkpoints of this store are signed by others.
        ExportError: The file exists or cannot be written.
        StorageError: The second place cannot be written.
    """
    if also is not None:
        also = _second_place(store, also)
    with _new_file(path) as write:
        return _seal(store, write, path, also)


def _seal(store: Store, write: Callable[[str], None], path: Path | None, also: str | None) -> SealedCheckpoint:
    key = _signing_key(store)
    head = store.log.head()
    # A view of the past can be sealed as well; that this was done is recorded in the present.
    store = store.present
    checkpoint = Checkpoint(origin_of(store), head.position, head.root)
    note = key.sign(checkpoint.to_text())
    verifier = key.verifier
    # What the user asked for is written before the event, which says that it was; what the next writer compares the log
    # with after it, so that it never speaks of more than the log holds.
    write(note.to_text())
    places = [str(path)] if path is not None else []
    name = f"{checkpoint.size:012d}-{checkpoint.root[:16]}-{verifier.fingerprint}.txt"
    second = also or second_place(store)
    if second is not None:
        places.append(_put(second, f"{_ELSEWHERE}/{store.uid}/{name}", note.to_text()))
    if also is not None and store.folder is not None:
        location.keep_checkpoints_at(store.folder, also)
    if store.log.database.read_only:
        return SealedCheckpoint(checkpoint, note, verifier, tuple(places))
    fact = CheckpointSealed(up_to_position=head.position, root=head.root, key=verifier.fingerprint)
    store.append_next(schema.STORES, store.id, lambda _: fact)
    if store.folder is not None:
        places.append(_put(str(store.folder), f"{_BESIDE}/{name}", note.to_text()))
    return SealedCheckpoint(checkpoint, note, verifier, tuple(places))


def _signing_key(store: Store) -> SigningKey:
    """Read the key of this user; the first checkpoint of a store makes one."""
    key = own_key(store)
    if key is None:
        store = store.present
        active = [known.verifier.fingerprint for known in sealing_keys(store) if known.until is None]
        if active:
            raise DomainError(
                f"the checkpoints of {store.name} are signed by the key {', '.join(active)}, which is not on this machine; "
                "seal where it is, or add a key of your own with `prov key generate`"
            )
        generate_key(store)
        key = own_key(store)
        assert key is not None
    return key


def second_place(store: Store) -> str | None:
    """Return the place outside the store where its checkpoints are kept, if one was named."""
    if store.folder is None:
        return None
    return location.read_config(store.folder)[0].checkpoints


def kept_checkpoints(store: Store, place: str | None) -> Iterator[KeptCheckpoint]:
    """Read the checkpoints that are kept beside a store, or at a second place.

    Args:
        store: The store.
        place: The second place; `None` for those beside the store.
    """
    root, prefix = (place, f"{_ELSEWHERE}/{store.uid}") if place is not None else (store.folder, _BESIDE)
    if root is None:
        return
    backend = _open(str(root))
    for found in sorted(backend.list_objects(prefix), key=lambda found: found.path):
        if found.is_folder or not found.path.endswith(".txt"):
            continue
        with backend.open_binary(found.path) as file:
            data = file.read(_MAX_NOTE_BYTES)
        yield KeptCheckpoint(backend.url(found.path), data.decode(errors="replace"), place is not None)


def refuse_shortened_log(store: Store) -> None:
    """Compare the log with the newest checkpoint beside the store, as far as that costs next to nothing.

    Raises:
        LogCorruptError: The log does not hold what the checkpoint sealed.
    """
    if store.folder is None:
        return
    try:
        names = os.listdir(store.folder / _BESIDE)  # noqa: PTH208 - every tracked script comes by here
    except OSError:
        return
    newest = max((name for name in names if name[:12].isdigit()), default=None)
    if newest is None:
        return
    size, begun = int(newest[:12]), newest[13:29]
    head = store.log.head()
    if head.position == size and head.root.startswith(begun):
        return
    if head.position > size and _was_sealed(store, size, begun):
        return
    raise LogCorruptError(
        f"nothing was recorded: the log of {store.name} holds {head.position} events and not all that the checkpoint "
        f"{store.folder / _BESIDE / newest} sealed, which speaks of {size}; it was cut short, or an older copy was put in its "
        "place. Put the newest copy back; if the loss is known and accepted, move the checkpoint elsewhere and write again"
    )


def _was_sealed(store: Store, size: int, begun: str) -> bool:
    """Tell whether the log says itself that it was sealed at a size; a log that was put back and written on does not."""
    sql = f"SELECT topic, payload FROM {EVENTS.name} WHERE stream = ? AND topic = ? AND position > ?"  # noqa: S608
    facts = [decode(*row) for row in store.log.database.read(sql, (store.id, CheckpointSealed.topic, size))]
    return any(
        isinstance(fact, CheckpointSealed) and fact.up_to_position == size and fact.root.startswith(begun)
        for fact in facts
    )


def _second_place(store: Store, place: str) -> str:
    from lineagelog.adapters.storage import normalise_root

    root, kind = normalise_root(place)
    if kind == "local" and store.folder is not None and Path(root).is_relative_to(store.folder):
        raise InvalidValueError(
            "the second place of checkpoints", f"{root} lies inside the store; choose one outside of it"
        )
    if store.folder is None:
        raise InvalidValueError(
            "the second place of checkpoints",
            "is kept in the folder of the store, which is not open; open the store by its folder, or name a file",
        )
    return root


def _open(root: str) -> Storage:
    from lineagelog.adapters.storage import open_storage

    return open_storage(root)


def _put(root: str, path: str, text: str) -> str:
    """Write a checkpoint to a storage location; the same checkpoint may be there already, another may not."""
    backend = _open(root)
    with tempfile.TemporaryDirectory(prefix="lineagelog-checkpoint-") as folder:
        source = Path(folder) / "checkpoint.txt"
        source.write_text(text)
        try:
            backend.put_file(source, path)
        except ObjectExistsError:
            with backend.open_binary(path) as file:
                if file.read() != text.encode():
                    raise
        except StorageError as exc:
            raise StorageError(f"the checkpoint cannot be written to {backend.url(path)}: {exc}") from exc
    return backend.url(path)


@contextmanager
def _new_file(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Make a file that must not exist, before anything is recorded, and take it away again unless the block ends well."""
    if path is None:
        yield lambda _: None
        return
    try:
        file = path.open("x")
    except FileExistsError:
        raise ExportError(f"{path} exists already, and a checkpoint overwrites nothing; choose another name") from None
    except (OSError, ValueError) as exc:
        raise ExportError(f"the checkpoint cannot be written to {path}: {exc}; choose a folder you may write") from exc

    def write(text: str) -> None:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

    try:
        with file:
            yield write
    except BaseException as exc:
        path.unlink(missing_ok=True)
        if isinstance(exc, OSError) and not isinstance(exc, LineageLogError):
            raise ExportError(f"the checkpoint cannot be written to {path}: {exc}; choose another place") from exc
        raise


def read_note(source: str | os.PathLike[str]) -> str:
    """Read the file of a checkpoint.

    Raises:
        ObjectMissingError: There is no such file.
        InvalidValueError: It is not text.
    """
    try:
        return Path(source).read_bytes().decode()
    except OSError as exc:
        raise ObjectMissingError(
            f"the checkpoint {source} cannot be read: {exc}; pass a file that `prov checkpoint` wrote"
        ) from exc
    except UnicodeDecodeError:
        raise InvalidValueError(
            "the checkpoint", f"{source} is not text; pass a file that `prov checkpoint` wrote"
        ) from None
