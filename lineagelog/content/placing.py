"""Where the content of artifacts belongs: a new family, the next version of one, or an artifact that has it already.

The decision is made before the lock of the log is taken, and looked at again under it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from lineagelog import message
from lineagelog.content.disposal import Family, check_families, read_families
from lineagelog.domain.annotation import LabelAttached, ProjectAssigned
from lineagelog.domain.artifact import (
    DELETED,
    LIVE,
    TRASHED,
    ArtifactRegistered,
    ArtifactSeenAgain,
    Version,
    place_content,
)
from lineagelog.domain.disposal import ArtifactTrashed
from lineagelog.domain.errors import (
    ArtifactStateError,
    ConcurrentWriteError,
    ConstraintError,
    InvalidValueError,
    ObjectMissingError,
    StorageError,
)
from lineagelog.domain.event import Event, NewEvent
from lineagelog.domain.ids import ARTIFACT_STEM_LENGTH, new_uid, versioned_uid
from lineagelog.domain.run import check_open
from lineagelog.projections import schema
from lineagelog.projections.rows import Readable, RowDict, find, find_in, find_one

if TYPE_CHECKING:
    from lineagelog.content.preparing import Draft
    from lineagelog.registries.artifact import Artifact
    from lineagelog.store import Store

_LABEL_REGISTRIES: Final = {"ulabel": "ULabel", "record": "Record"}


def place_all(
    store: Store, drafts: Sequence[Draft]
) -> tuple[list[NewEvent], list[str | None], list[str], dict[str, Family]]:
    """Place every content, those of the same call after one another.

    Returns:
        The events; for each draft the id of the artifact that has this content already; hashes of contents that were
        taken as new because nobody had saved them; the families that the decision rests on, by their stems.
    """
    stems, families = _families(store, drafts)
    # Read after the families: what another writer has added to one of them by then is among the known contents.
    contents, revisions, runs = _known_contents(store, drafts)
    trashed = {version.uid[:ARTIFACT_STEM_LENGTH] for version in contents.values() if version.state != LIVE}
    families |= read_families(store.log.database, trashed - families.keys())
    existing_families = dict(families)
    events: list[NewEvent] = []
    existing: list[str | None] = []
    unknown: list[str] = []
    for draft in drafts:
        artifact, content_hash = draft.artifact, draft.hashed.hash
        stem = stems.get(artifact.key) if artifact.key is not None else None
        if artifact._revises is not None:
            revised = artifact._revises.uid[:ARTIFACT_STEM_LENGTH]
            if stem is not None and stem != revised:
                raise ConstraintError(
                    f"the key {artifact.key!r} belongs to the artifact {families[stem].newest_uid} of another family; choose "
                    "another key, or revise that one"
                )
            stem = revised
        if draft.replaces is not None and stem is not None:
            _check_can_replace(draft.replaces, families[stem], content_hash)
        is_new = stem is None and artifact.key is None
        same_content = contents.get(content_hash) if is_new else None
        versions = families[stem].versions.values() if stem is not None else ()
        place = place_content(content_hash, versions, same_content, skip_hash_lookup=artifact._skip_hash_lookup)
        if place.same_as is not None and not _is_intact(store, place.same_as, draft):
            message.warn(
                f"the stored content of {artifact.key or place.same_as} is gone or altered; saved as a new version"
            )
            place = place_content(content_hash, versions, same_content, skip_hash_lookup=True)
        existing.append(place.same_as)
        draft.restores = place.restores
        if is_new and same_content is None and not artifact._skip_hash_lookup:
            unknown.append(content_hash)
        run_id = draft.run.id if draft.run is not None else None
        transform_id = draft.run.transform_id if draft.run is not None else None
        if place.same_as is not None:
            if place.restores:
                family = next(family for family in families.values() if place.same_as in family.versions)
                contents[content_hash] = family.versions[place.same_as]._replace(state=LIVE)
                revisions[place.same_as] += 1
                restored = family.restore(place.same_as)
                events.append(store.new_event(restored, place.same_as, revisions[place.same_as], run=run_id))
            revisions[place.same_as] += 1
            # The run that generated the artifact has not generated it twice.
            again = run_id if run_id != runs[place.same_as] else None
            fact = ArtifactSeenAgain(
                run=again, transform=transform_id if again is not None else None, description=artifact.description
            )
            events.append(store.new_event(fact, place.same_as, revisions[place.same_as], run=run_id))
            continue
        stem = place.stem or new_uid(ARTIFACT_STEM_LENGTH)
        uid = versioned_uid(stem, place.version_number)
        events.append(
            store.new_event(
                _registered(draft, uid, place.version_number, place.revises), draft.id, run=run_id, reason=draft.reason
            )
        )
        revisions[draft.id], runs[draft.id] = 1, run_id
        version = Version(draft.id, uid, place.version_number, content_hash)
        contents.setdefault(content_hash, version)
        families.setdefault(stem, Family.of(())).add(version)
        if artifact.key is not None:
            stems[artifact.key] = stem
        if draft.replaces is not None:
            following = _replacing(store, draft, families[stem])
            revisions[draft.id] += len(following) - 1
            events += following
    return events, existing, unknown, existing_families


def check_still(
    drafts: Sequence[Draft], unknown: Sequence[str], families: Mapping[str, Family], reader: Readable
) -> None:
    """Make sure, under the lock, that what was decided holds.

    The runs are open, the content was not collected as an orphan, new content without a family is new, and the families are as
    they were.

    Raises:
        RunClosedError: A run has ended.
        ObjectMissingError: The content waited longer than a collection spared it.
        ConcurrentWriteError: Somebody has just saved the same content, or changed a version of the same family.
    """
    check_runs(reader, drafts)
    check_families(reader, families)
    put = [draft.path for draft in drafts if draft.is_committed]
    if find_in(reader, schema.REMOVED_OBJECTS, "path", put):
        raise ObjectMissingError(
            "the content was removed from storage before it could be registered, by a collection of orphans that spared it for "
            "too short a time; nothing was registered: save it again"
        )
    if any(row["state"] != DELETED for row in find_in(reader, schema.ARTIFACTS, "hash", unknown)):
        raise ConcurrentWriteError("another process has just saved the same content; save it again")


def check_runs(reader: Readable, drafts: Sequence[Draft]) -> None:
    """Refuse to add to runs that have ended.

    Raises:
        RunClosedError: One of them has.
    """
    for run_id in {draft.run.id for draft in drafts if draft.run is not None}:
        check_run_open(reader, run_id)


def check_run_open(reader: Readable, run_id: str) -> None:
    """Refuse to add to a run that has ended.

    Raises:
        RunClosedError: It has.
    """
    row = find_one(reader, schema.RUNS, id=run_id)
    if row is not None:
        check_open(row["uid"], row["status"])


def _check_can_replace(replaced: Artifact, family: Family, content_hash: str) -> None:
    """Refuse to replace anything but the latest version by other content.

    Raises:
        ArtifactStateError: It is in the trash, or deleted.
        ConstraintError: A later version exists.
        InvalidValueError: The content is the same.
    """
    version = family.versions[replaced.id]
    if version.state != LIVE:
        raise ArtifactStateError(version.uid, version.state, "cannot be replaced")
    if family.latest is not None and family.latest != replaced.id:
        raise ConstraintError(
            f"the artifact {version.uid} cannot be replaced, since a later version {family.versions[family.latest].uid} exists; "
            "replace that one, or put this one into the trash with delete()"
        )
    if version.hash == content_hash:
        raise InvalidValueError("the data", f"is what the artifact {version.uid} holds already; nothing was replaced")


def _replacing(store: Store, draft: Draft, family: Family) -> list[NewEvent]:
    """Make the events that follow the registration of a replacement: the labels it takes over, the other one into the trash."""
    replaced = draft.replaces
    assert replaced is not None
    run_id = draft.run.id if draft.run is not None else None
    facts: list[Event] = []
    for link in find(store.log.database, schema.LINKS, source_id=replaced.id):
        if link["kind"] == "project":
            facts.append(ProjectAssigned(project=link["target_id"], subject="Artifact"))
        elif link["kind"] in _LABEL_REGISTRIES:
            registry = _LABEL_REGISTRIES[link["kind"]]
            facts.append(LabelAttached(label=link["target_id"], registry=registry, subject="Artifact"))
    events = [store.new_event(fact, draft.id, version, run=run_id) for version, fact in enumerate(facts, 2)]
    row = find_one(store.log.database, schema.ARTIFACTS, id=replaced.id)
    assert row is not None
    trashed = ArtifactTrashed(latest=family.set_state(replaced.id, TRASHED))
    return [*events, store.new_event(trashed, replaced.id, row["revision"] + 1, run=run_id, reason=draft.reason)]


def _is_intact(store: Store, artifact_id: str, draft: Draft) -> bool:
    """Tell whether an artifact still has the content that is being saved; if not, the bytes at hand are not let go."""
    row = find_one(store.log.database, schema.ARTIFACTS, id=artifact_id)
    if row is None or (row["storage_id"], row["storage_path"]) == (draft.storage_id, draft.path):
        # Another of the same call, or the very file that has just been read.
        return True
    from lineagelog.adapters.storage import verify

    try:
        verify(store.storage_backend(row["storage_id"]), row["storage_path"], row["hash"], row["hash_type"])
    except StorageError:
        return False
    return True


def _registered(draft: Draft, uid: str, version_number: int, revises: str | None) -> ArtifactRegistered:
    artifact, hashed = draft.artifact, draft.hashed
    return ArtifactRegistered(
        uid=uid,
        version_number=version_number,
        storage=draft.storage_id,
        path=draft.path,
        size_bytes=hashed.size_bytes,
        hash=hashed.hash,
        hash_type=hashed.hash_type,
        key=artifact.key,
        key_is_virtual=artifact.key != draft.path,
        description=artifact.description,
        suffix=artifact.suffix,
        kind=artifact.kind,
        otype=artifact.otype,
        n_files=hashed.n_files,
        n_observations=artifact.n_observations,
        n_variables=artifact.n_variables,
        table_schema=artifact.table_schema,
        version=artifact.version,
        transform=draft.run.transform_id if draft.run is not None else None,
        run=draft.run.id if draft.run is not None else None,
        revises=revises,
    )


def _families(store: Store, drafts: Sequence[Draft]) -> tuple[dict[str, str], dict[str, Family]]:
    """Find the families that a key or `revises` names.

    Returns:
        Key to stem; stem to family.
    """
    database = store.log.database
    keys = [draft.artifact.key for draft in drafts if draft.artifact.key is not None]
    highest: dict[str, RowDict] = {}
    for row in find_in(database, schema.ARTIFACTS, "key", keys):
        known = highest.get(row["key"])
        if known is None or row["version_number"] > known["version_number"]:
            highest[row["key"]] = row
    # A family can have changed its key by `revises`; its other versions then stand under another key.
    stems = {key: str(row["stem"]) for key, row in highest.items()}
    revised = {draft.artifact._revises.uid[:ARTIFACT_STEM_LENGTH] for draft in drafts if draft.artifact._revises}
    return stems, read_families(database, {*stems.values(), *revised})


def _known_contents(
    store: Store, drafts: Sequence[Draft]
) -> tuple[dict[str, Version], dict[str, int], dict[str, str | None]]:
    """Find the artifacts that have one of these contents already, and are not deleted.

    Returns:
        Hash to the first artifact that has it, one that is not in the trash if there is any; id to revision; id to the run that
        generated it.
    """
    rows = find_in(store.log.database, schema.ARTIFACTS, "hash", [draft.hashed.hash for draft in drafts])
    rows.sort(key=lambda row: (row["state"] != LIVE, row["position"]))
    contents: dict[str, Version] = {}
    for version in (Family.of([row]).versions[row["id"]] for row in rows):
        if version.state != DELETED:
            contents.setdefault(version.hash, version)
    return contents, {row["id"]: row["revision"] for row in rows}, {row["id"]: row["run_id"] for row in rows}
