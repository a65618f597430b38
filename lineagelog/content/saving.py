"""How artifacts are saved: hash and copy, place in a family, one transaction for all, then the answer.

The order makes a crash harmless. Content first goes under a temporary name; it gets its own name, made from the record's id, and
reaches the medium before the event is appended. Whatever happens in between leaves at most bytes that no record speaks of, never
a record without its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from lineagelog import message
from lineagelog.content.placing import check_runs, check_still, place_all
from lineagelog.content.preparing import Draft, label_of, prepare, total_bytes
from lineagelog.content.remarks import hint_separator, hint_similar_key, warn_of_repeated_tag
from lineagelog.domain.artifact import ArtifactRegistered
from lineagelog.domain.disposal import ArtifactRestored
from lineagelog.domain.errors import ConcurrentWriteError, ConstraintError, StoreUnavailableError
from lineagelog.domain.event import RecordedEvent
from lineagelog.progress import byte_progress
from lineagelog.projections import schema
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.rows import RowDict, find_in

if TYPE_CHECKING:
    from lineagelog.adapters.storage import Staged
    from lineagelog.registries.artifact import Artifact
    from lineagelog.store import Store

_RETRIES: Final = 50
# More remarks of one call than this say less than their sum.
_REMARKS: Final = 10


def save_artifacts(store: Store, artifacts: Sequence[Artifact]) -> None:
    """Store the content of new artifacts and register them in one transaction; all or none.

    Afterwards each record is the registered artifact: a new one, or the existing one that has the same content.

    Raises:
        ContentChangedError: A file changed while it was read.
        RunClosedError: The run they belong to has ended.
        StoreUnavailableError: The database cannot be reached.
    """
    store.check_is_present()
    with ExitStack() as stack:
        with byte_progress(f"hashing {label_of(artifacts)}", partial(total_bytes, artifacts)) as progress:
            drafts = prepare(store, artifacts, stack, progress)
        check_runs(store.log.database, drafts)
        for attempt in range(_RETRIES):
            try:
                events, existing, unknown, families = place_all(store, drafts)
                _commit(store, drafts, existing)
            except Exception:
                # At the second attempt the first one's bytes have their names already.
                _remove(store, drafts)
                raise
            try:
                recorded = store.append(events, guard=partial(check_still, drafts, unknown, families))
            except StoreUnavailableError:
                # The append may have gone through all the same, so its content must stay.
                raise
            except (ConcurrentWriteError, ConstraintError):
                # Another writer saved to the same family first: look again, and take the next place.
                if attempt == _RETRIES - 1:
                    _remove(store, drafts)
                    raise
                continue
            except Exception:
                # Not so for an interrupt: it may come after the commit, when the record speaks of these bytes already.
                _remove(store, drafts)
                raise
            break
        rows = _saved_rows(store, recorded, existing)
        n_known = sum(same is not None for same in existing)
        for draft, same in zip(drafts, existing, strict=True):
            if same is not None and draft.is_committed:
                store.storage_backend(draft.storage_id).delete(draft.path)
            _adopt(store, draft, rows[same if same is not None else draft.id], same, says_so=n_known <= _REMARKS)
            if draft.run is not None:
                draft.run._made.add(draft.artifact.id)
        if n_known > _REMARKS:
            n_restored = sum(draft.restores for draft in drafts)
            restored = f", {n_restored:,} of which were in the trash and are restored" if n_restored else ""
            message.info(
                f"the content of {n_known:,} of {len(drafts):,} is that of artifacts which exist{restored}; the second savings "
                "are on record"
            )
        for draft, same in list(zip(drafts, existing, strict=True))[:_REMARKS]:
            if same is None:
                hint_separator(draft.artifact)
                warn_of_repeated_tag(draft.artifact)
        if len(drafts) == 1:
            hint_similar_key(store, drafts[0].artifact)


def _saved_rows(store: Store, recorded: Sequence[RecordedEvent], existing: Sequence[str | None]) -> dict[str, RowDict]:
    """Find the rows of all artifacts of a call, by id; most follow from their event without another look."""
    rows: dict[str, RowDict] = {}
    changed = {same for same in existing if same is not None}
    for event in recorded:
        if isinstance(event.fact, ArtifactRegistered):
            rows[event.stream] = inserted_row(event)
            # An older version of the same call was the latest for a moment only.
            if event.fact.revises in rows:
                changed.add(event.fact.revises)
        elif event.stream in rows:
            changed.add(event.stream)
        if isinstance(event.fact, ArtifactRestored) and event.fact.superseded in rows:
            changed.add(event.fact.superseded)
    rows |= {row["id"]: row for row in find_in(store.log.database, schema.ARTIFACTS, "id", changed)}
    return rows


def _commit(store: Store, drafts: Sequence[Draft], existing: Sequence[str | None]) -> None:
    """Give the new contents their names; what goes to another machine shows its bytes."""
    waiting: dict[str, list[tuple[Staged, str]]] = {}
    for draft, same in zip(drafts, existing, strict=True):
        if draft.staged is not None and same is None and not draft.staged.committed:
            waiting.setdefault(draft.storage_id, []).append((draft.staged, draft.path))
    for storage_id, staged in waiting.items():
        backend = store.storage_backend(storage_id)
        n_bytes = sum(content.size_bytes for content, _ in staged) if backend.type != "local" else 0
        with byte_progress(f"uploading {label_of([draft.artifact for draft in drafts])}", n_bytes) as progress:
            backend.commit_all(staged, progress)


def _remove(store: Store, drafts: Sequence[Draft]) -> None:
    """Take away content whose registration was refused."""
    for draft in drafts:
        if draft.is_committed:
            store.storage_backend(draft.storage_id).delete(draft.path)


def _adopt(store: Store, draft: Draft, row: RowDict, same: str | None, *, says_so: bool) -> None:
    artifact = draft.artifact
    given = artifact.description
    artifact._object = None
    artifact._load(store, row)
    if same is not None:
        if given is not None and given != artifact.description:
            message.warn(
                f"the description of {artifact.uid} stays {artifact.description!r}, since its content is not new; "
                "to change it, set .description and save again"
            )
        if not says_so:
            return
        name = artifact.key or artifact.description or artifact.suffix
        restored = ", which was in the trash and is restored" if draft.restores else ""
        message.info(
            f"the content is that of Artifact(uid={artifact.uid!r}) {name}{restored}; the second saving is on record"
        )
