"""What each event does to the projection tables.

`project` is a pure function from an event to row operations: it reads nothing, so the same log always gives the same tables,
whether the operations run inside the append, in a rebuild, or in a view as of an earlier position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from lineagelog.domain import (
    annotation,
    artifact,
    collection,
    disposal,
    event,
    policy,
    run,
    storage,
    store,
    transform,
    user,
)
from lineagelog.domain.event import Change, RecordedEvent
from lineagelog.domain.ids import VERSION_LENGTH
from lineagelog.projections import schema
from lineagelog.projections.registry import REGISTRIES
from lineagelog.projections.table import Archive, Delete, Insert, Operation, Scalar, Statement, Table, Update
from lineagelog.projections.words import words_of

Handler: TypeAlias = Callable[[RecordedEvent, Any], Sequence[Operation]]

HANDLERS: Final[dict[type[event.Event], Handler]] = {}
"""The handler of each kind of event; kinds without rows of their own are in `WITHOUT_ROWS`."""

WITHOUT_ROWS: Final = frozenset({event.UnknownEvent})
"""Kinds of event that stand in the log alone, since no registry shows them."""

_INSERT_USER: Final = Insert(schema.USERS)
_INSERT_STORE: Final = Insert(schema.STORES)
_INSERT_SESSION: Final = Insert(schema.SESSIONS)
_INSERT_STORAGE: Final = Insert(schema.STORAGES)
_INSERT_TRANSFORM: Final = Insert(schema.TRANSFORMS)
_INSERT_ENVIRONMENT: Final = Insert(schema.ENVIRONMENTS)
_INSERT_RUN: Final = Insert(schema.RUNS)
_INSERT_ARTIFACT: Final = Insert(schema.ARTIFACTS)
_INSERT_EDGE: Final = Insert(schema.EDGES, or_ignore=True)
_END_SESSION: Final = Update(schema.SESSIONS, ("ended_at",), ("id",))
_SET_DEFAULT_STORAGE: Final = Update(schema.STORES, ("default_storage_id", "revision"), ("id",))
_RETIRE_TRANSFORM: Final = Update(schema.TRANSFORMS, ("is_latest",), ("id",))
_MARK_LATEST: Final = Update(schema.ARTIFACTS, ("is_latest",), ("id",))
_SET_STATE: Final = Update(
    schema.ARTIFACTS, ("state", "content_removed", "is_latest", "updated_at", "revision"), ("id",)
)
_SET_REVISION: Final = {
    table: Update(table, ("revision",), ("id",)) for table in schema.TABLES if "revision" in table.names
}
_INSERT_ULABEL: Final = Insert(schema.ULABELS)
_INSERT_RECORD: Final = Insert(schema.RECORDS)
_INSERT_FEATURE: Final = Insert(schema.FEATURES)
_INSERT_PROJECT: Final = Insert(schema.PROJECTS)
_INSERT_COLLECTION: Final = Insert(schema.COLLECTIONS)
_RETIRE_COLLECTION: Final = Update(schema.COLLECTIONS, ("is_latest",), ("id",))
_INSERT_LINK: Final = Insert(schema.LINKS, or_ignore=True)
_ARCHIVE_LINK: Final = Archive(schema.LINKS, schema.PAST_LINKS, ("source_id", "kind", "target_id"))
_DELETE_LINK: Final = Delete(schema.LINKS, ("source_id", "kind", "target_id"))
_INSERT_VALUE: Final = Insert(schema.FEATURE_VALUES)
_ARCHIVE_VALUE: Final = Archive(schema.FEATURE_VALUES, schema.PAST_FEATURE_VALUES, ("subject_id", "feature_id"))
_DELETE_VALUE: Final = Delete(schema.FEATURE_VALUES, ("subject_id", "feature_id"))
_INSERT_VERIFICATION: Final = Insert(schema.VERIFICATIONS)
_SET_CONTENT_STATUS: Final = Update(schema.ARTIFACTS, ("content_status", "verified_at", "revision"), ("id",))
_INSERT_STORAGE_CHECK: Final = Insert(schema.STORAGE_CHECKS)
_SET_CHECKED: Final = Update(schema.STORAGES, ("checked_at", "revision"), ("id",))
_INSERT_REMOVED_OBJECT: Final = Insert(schema.REMOVED_OBJECTS)
_TABLE_OF: Final = {
    "Artifact": schema.ARTIFACTS,
    "Run": schema.RUNS,
    "Collection": schema.COLLECTIONS,
    "ULabel": schema.ULABELS,
    "Record": schema.RECORDS,
}
_LABEL_LINK: Final = {"ULabel": "ulabel", "Record": "record"}
_END_RUN: Final = Update(
    schema.RUNS,
    ("status", "finished_at", "error_type", "error_message", "error_traceback", "updated_at", "revision"),
    ("id",),
)
_FINISH_RUN: Final = Update(
    schema.RUNS,
    ("status", "finished_at", "is_consecutive", "stale_cells", "unrun_cells", "imports", "updated_at", "revision"),
    ("id",),
)
# What a run saved is of the version that the run is of.
_MOVE_ARTIFACTS: Final = Update(schema.ARTIFACTS, ("transform_id",), ("run_id",))
_MOVE_COLLECTIONS: Final = Update(schema.COLLECTIONS, ("transform_id",), ("run_id",))
_INSERT_WORD: Final = Insert(schema.SEARCH_WORDS)
SEARCHED: Final = {
    registry.table: (registry, [(name, registry.table.names.index(name)) for name in registry.search if name != "uid"])
    for registry in REGISTRIES.values()
}
"""The registry of each table whose rows are found by words, and the names and places of the columns that hold these."""

_ADD_WORD: Final = {table: Insert(schema.SEARCH_WORDS, position_of=table) for table in SEARCHED}
_DROP_WORD: Final = {
    table: Delete(schema.SEARCH_WORDS, ("registry", "field", "word"), position_of=table) for table in SEARCHED
}
_json: Final = msgspec.json.Encoder()


def project(recorded: RecordedEvent) -> Sequence[Operation]:
    """Translate one event into row operations."""
    operations = project_rows(recorded)
    if not operations or operations[0][0].table not in SEARCHED:
        return operations
    return [*operations, *word_operations(recorded, *operations[0])]


def project_rows(recorded: RecordedEvent) -> Sequence[Operation]:
    """Translate one event into row operations, without those on the words by which its record is found."""
    handler = HANDLERS.get(type(recorded.fact))
    return handler(recorded, recorded.fact) if handler is not None else ()


def project_all(events: Sequence[RecordedEvent]) -> list[Operation]:
    """Translate events into row operations, in their order."""
    operations: list[Operation] = []
    for recorded in events:
        operations.extend(project(recorded))
    return operations


def inserted_row(recorded: RecordedEvent) -> dict[str, Scalar]:
    """Return the registry row that a registering event inserts, column name to value."""
    statement, values = HANDLERS[type(recorded.fact)](recorded, recorded.fact)[0]
    return dict(zip(statement.table.names, values, strict=True))


def _handles(kind: type[event.Event]) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS[kind] = handler
        return handler

    return register


@_handles(user.UserRegistered)
def _user_registered(e: RecordedEvent, fact: user.UserRegistered) -> Sequence[Operation]:
    row = (e.position, e.stream, e.version, fact.uid, fact.handle, fact.name, fact.email, e.recorded_at, e.recorded_at)
    return ((_INSERT_USER, row),)


@_handles(user.UserUpdated)
def _user_updated(e: RecordedEvent, fact: user.UserUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.USERS, e, fact.changes),)


@_handles(user.UserLoggedIn)
def _user_logged_in(e: RecordedEvent, fact: user.UserLoggedIn) -> Sequence[Operation]:
    return (
        (_INSERT_SESSION, (e.position, fact.session, e.stream, e.recorded_at, None)),
        (_SET_REVISION[schema.USERS], (e.version, e.stream)),
    )


@_handles(user.UserLoggedOut)
def _user_logged_out(e: RecordedEvent, fact: user.UserLoggedOut) -> Sequence[Operation]:
    return (
        (_END_SESSION, (e.recorded_at, fact.session)),
        (_SET_REVISION[schema.USERS], (e.version, e.stream)),
    )


@_handles(store.StoreCreated)
def _store_created(e: RecordedEvent, fact: store.StoreCreated) -> Sequence[Operation]:
    modules = _json.encode(fact.modules).decode()
    row = (e.position, e.stream, e.version, fact.uid, fact.name, modules, None, 0, e.recorded_at, e.actor)
    return ((_INSERT_STORE, row),)


@_handles(storage.StorageRegistered)
def _storage_registered(e: RecordedEvent, fact: storage.StorageRegistered) -> Sequence[Operation]:
    row = (
        e.position, e.stream, e.version, fact.uid, fact.root, fact.type, fact.region, fact.endpoint_url, fact.description, None,
        e.recorded_at, e.recorded_at, e.actor,
    )  # fmt: skip
    return ((_INSERT_STORAGE, row),)


@_handles(storage.StorageUpdated)
def _storage_updated(e: RecordedEvent, fact: storage.StorageUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.STORAGES, e, fact.changes),)


@_handles(transform.TransformRegistered)
def _transform_registered(e: RecordedEvent, fact: transform.TransformRegistered) -> Sequence[Operation]:
    row = (
        e.position, e.stream, e.version, fact.uid, fact.uid[:-VERSION_LENGTH], fact.version_number, 1, fact.version,
        fact.key, fact.type, fact.description, fact.source_code, fact.hash, int(fact.source_redacted), fact.reference,
        fact.reference_type, fact.revises, e.recorded_at, e.recorded_at, e.actor,
    )  # fmt: skip
    if fact.revises is None:
        return ((_INSERT_TRANSFORM, row),)
    return ((_INSERT_TRANSFORM, row), (_RETIRE_TRANSFORM, (0, fact.revises)))


@_handles(transform.TransformUpdated)
def _transform_updated(e: RecordedEvent, fact: transform.TransformUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.TRANSFORMS, e, fact.changes),)


@_handles(run.EnvironmentRecorded)
def _environment_recorded(e: RecordedEvent, fact: run.EnvironmentRecorded) -> Sequence[Operation]:
    row = (
        e.position, e.stream, fact.hash, fact.python, fact.implementation, fact.platform, _json.encode(fact.packages).decode(),
        _json.encode(fact.hardware).decode(), fact.conda, _json.encode(fact.conda_packages).decode(), e.recorded_at,
    )  # fmt: skip
    return ((_INSERT_ENVIRONMENT, row),)


@_handles(run.RunStarted)
def _run_started(e: RecordedEvent, fact: run.RunStarted) -> Sequence[Operation]:
    git = fact.git
    checkout: tuple[Scalar, ...] = (None,) * 5
    if git is not None:
        dirty = None if git.dirty is None else int(git.dirty)
        checkout = (git.commit, dirty, git.remote, git.branch, git.path)
    row = (
        e.position, e.stream, e.version, fact.uid, fact.name, fact.transform, run.STARTED, fact.started_at, None,
        _json.encode(fact.params).decode(), _json.encode(fact.redacted).decode(), fact.reference, fact.reference_type,
        fact.initiated_by, fact.environment, *checkout,
        _json.encode(fact.command).decode(), _context(e).host, fact.container, fact.pid, None, None, None, *(None,) * 4,
        e.recorded_at, e.recorded_at, e.actor,
    )  # fmt: skip
    return ((_INSERT_RUN, row),)


@_handles(run.RunUpdated)
def _run_updated(e: RecordedEvent, fact: run.RunUpdated) -> Sequence[Operation]:
    changed = _apply_changes(schema.RUNS, e, fact.changes)
    becomes = fact.changes.get("transform_id")
    if becomes is None:
        return (changed,)
    moved = (_scalar(becomes.new, "id"), e.stream)
    return (changed, (_MOVE_ARTIFACTS, moved), (_MOVE_COLLECTIONS, moved))


@_handles(run.InputAccessed)
def _input_accessed(e: RecordedEvent, fact: run.InputAccessed) -> Sequence[Operation]:
    edge = (e.position, e.stream, fact.artifact, "used", fact.role, fact.how, fact.accessed_at, e.actor)
    return ((_INSERT_EDGE, edge), (_SET_REVISION[schema.RUNS], (e.version, e.stream)))


@_handles(run.RunFinished)
def _run_finished(e: RecordedEvent, fact: run.RunFinished) -> Sequence[Operation]:
    cells: tuple[Scalar, ...] = (None, None, None)
    if fact.is_consecutive is not None:
        stale, unrun = (_json.encode(numbers).decode() for numbers in (fact.stale_cells, fact.unrun_cells))
        cells = (int(fact.is_consecutive), stale, unrun)
    imports = _json.encode(fact.imports).decode() if fact.imports else None
    return ((_FINISH_RUN, (run.FINISHED, fact.finished_at, *cells, imports, e.recorded_at, e.version, e.stream)),)


@_handles(run.RunFailed)
def _run_failed(e: RecordedEvent, fact: run.RunFailed) -> Sequence[Operation]:
    values = (
        run.FAILED, fact.finished_at, fact.error_type, fact.message, fact.traceback, e.recorded_at, e.version, e.stream,
    )  # fmt: skip
    return ((_END_RUN, values),)


@_handles(run.RunAborted)
def _run_aborted(e: RecordedEvent, fact: run.RunAborted) -> Sequence[Operation]:
    return ((_END_RUN, (run.ABORTED, fact.finished_at, fact.why, None, None, e.recorded_at, e.version, e.stream)),)


@_handles(artifact.ArtifactRegistered)
def _artifact_registered(e: RecordedEvent, fact: artifact.ArtifactRegistered) -> Sequence[Operation]:
    row = (
        e.position, e.stream, e.version, fact.uid, fact.uid[:-VERSION_LENGTH], fact.version_number, 1, fact.version, fact.key,
        int(fact.key_is_virtual), fact.description, fact.suffix, fact.kind, fact.otype, fact.size_bytes, fact.hash,
        fact.hash_type, fact.n_files, fact.n_observations, fact.n_variables, _scalar(fact.table_schema, "json"), fact.storage,
        fact.path, fact.run, fact.transform, fact.revises, artifact.LIVE, 0, None, None, e.recorded_at, e.recorded_at, e.actor,
    )  # fmt: skip
    operations: list[Operation] = [(_INSERT_ARTIFACT, row)]
    if fact.run is not None:
        operations.append((_INSERT_EDGE, _output_edge(e, fact.run, "generated")))
    if fact.revises is not None:
        operations.append((_MARK_LATEST, (0, fact.revises)))
    return operations


@_handles(artifact.ArtifactSeenAgain)
def _artifact_seen_again(e: RecordedEvent, fact: artifact.ArtifactSeenAgain) -> Sequence[Operation]:
    operations: list[Operation] = [(_SET_REVISION[schema.ARTIFACTS], (e.version, e.stream))]
    if fact.run is not None:
        operations.append((_INSERT_EDGE, _output_edge(e, fact.run, "seen")))
    return operations


@_handles(artifact.ArtifactTrusted)
def _artifact_trusted(e: RecordedEvent, _fact: artifact.ArtifactTrusted) -> Sequence[Operation]:
    return ((_SET_REVISION[schema.ARTIFACTS], (e.version, e.stream)),)


@_handles(artifact.ArtifactUpdated)
def _artifact_updated(e: RecordedEvent, fact: artifact.ArtifactUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.ARTIFACTS, e, fact.changes),)


@_handles(disposal.ArtifactTrashed)
def _artifact_trashed(e: RecordedEvent, fact: disposal.ArtifactTrashed) -> Sequence[Operation]:
    return _end(e, artifact.TRASHED, fact.latest)


@_handles(disposal.ArtifactRestored)
def _artifact_restored(e: RecordedEvent, fact: disposal.ArtifactRestored) -> Sequence[Operation]:
    operations = [_set_state(e, artifact.LIVE, is_latest=fact.latest == e.stream)]
    if fact.superseded is not None:
        operations.append((_MARK_LATEST, (0, fact.superseded)))
    return operations


@_handles(disposal.ArtifactDeleted)
def _artifact_deleted(e: RecordedEvent, fact: disposal.ArtifactDeleted) -> Sequence[Operation]:
    return _end(e, artifact.DELETED, fact.latest, content_removed=fact.content_removed)


def _end(e: RecordedEvent, state: str, latest: str | None, *, content_removed: bool = False) -> Sequence[Operation]:
    """Take a version out of the live ones, and mark the one that is the latest of those left."""
    operations = [_set_state(e, state, content_removed=content_removed)]
    if latest is not None:
        operations.append((_MARK_LATEST, (1, latest)))
    return operations


def _set_state(e: RecordedEvent, state: str, *, content_removed: bool = False, is_latest: bool = False) -> Operation:
    return _SET_STATE, (state, int(content_removed), int(is_latest), e.recorded_at, e.version, e.stream)


@_handles(artifact.ArtifactVerified)
def _artifact_verified(e: RecordedEvent, fact: artifact.ArtifactVerified) -> Sequence[Operation]:
    row = (e.position, e.stream, fact.outcome, fact.found_hash, fact.found_size_bytes, e.recorded_at, e.actor)
    return (
        (_INSERT_VERIFICATION, row),
        (_SET_CONTENT_STATUS, (fact.outcome, e.recorded_at, e.version, e.stream)),
    )


@_handles(storage.StorageChecked)
def _storage_checked(e: RecordedEvent, fact: storage.StorageChecked) -> Sequence[Operation]:
    row = (
        e.position, e.stream, int(fact.content_read), fact.n_artifacts, fact.n_missing, fact.n_changed, fact.n_unchecked,
        fact.n_orphans, fact.orphan_bytes, fact.bytes_read, fact.started_at, e.recorded_at, e.actor,
    )  # fmt: skip
    if not fact.content_read:
        return ((_INSERT_STORAGE_CHECK, row), (_SET_REVISION[schema.STORAGES], (e.version, e.stream)))
    return ((_INSERT_STORAGE_CHECK, row), (_SET_CHECKED, (e.recorded_at, e.version, e.stream)))


@_handles(storage.StorageCollected)
def _storage_collected(e: RecordedEvent, fact: storage.StorageCollected) -> Sequence[Operation]:
    operations: list[Operation] = [
        (_INSERT_REMOVED_OBJECT, (e.position, place, e.stream, one.path, one.size_bytes, e.recorded_at, e.actor))
        for place, one in enumerate(fact.objects)
    ]
    return [*operations, (_SET_REVISION[schema.STORAGES], (e.version, e.stream))]


@_handles(storage.StorageMadeDefault)
def _storage_made_default(e: RecordedEvent, fact: storage.StorageMadeDefault) -> Sequence[Operation]:
    # The event stands in the store's stream, since it is the store that changes.
    return ((_SET_DEFAULT_STORAGE, (fact.storage, e.version, e.stream)),)


@_handles(policy.PolicyChanged)
def _policy_changed(e: RecordedEvent, fact: policy.PolicyChanged) -> Sequence[Operation]:
    names = [name for name in fact.changes if name in schema.STORES.names]
    values = [int(bool(fact.changes[name].new)) for name in names]
    return ((Update(schema.STORES, (*names, "revision"), ("id",)), (*values, e.version, e.stream)),)


@_handles(policy.AttemptRefused)
@_handles(user.LoginFailed)
@_handles(store.ExportMade)
@_handles(store.CheckpointSealed)
@_handles(store.KeyRegistered)
def _noted_by_store(e: RecordedEvent, _fact: event.Event) -> Sequence[Operation]:
    # Nothing is shown of it, but the next event in the store's stream has to know that it came before.
    return ((_SET_REVISION[schema.STORES], (e.version, e.stream)),)


@_handles(annotation.LabelDefined)
def _label_defined(e: RecordedEvent, fact: annotation.LabelDefined) -> Sequence[Operation]:
    return ((_INSERT_ULABEL, _typed_row(e, fact)),)


@_handles(annotation.RecordDefined)
def _record_defined(e: RecordedEvent, fact: annotation.RecordDefined) -> Sequence[Operation]:
    return ((_INSERT_RECORD, _typed_row(e, fact)),)


def _typed_row(e: RecordedEvent, fact: annotation.LabelDefined | annotation.RecordDefined) -> tuple[Scalar, ...]:
    return (
        e.position, e.stream, e.version, fact.uid, fact.name, fact.description, int(fact.is_type), fact.type, fact.type or "",
        fact.reference, fact.reference_type, e.recorded_at, e.recorded_at, e.actor,
    )  # fmt: skip


@_handles(annotation.FeatureDefined)
def _feature_defined(e: RecordedEvent, fact: annotation.FeatureDefined) -> Sequence[Operation]:
    row = (
        e.position, e.stream, e.version, fact.uid, fact.name, fact.dtype, fact.unit, fact.description,
        _json.encode(fact.synonyms).decode(), e.recorded_at, e.recorded_at, e.actor,
    )  # fmt: skip
    return ((_INSERT_FEATURE, row),)


@_handles(annotation.ProjectCreated)
def _project_created(e: RecordedEvent, fact: annotation.ProjectCreated) -> Sequence[Operation]:
    row = (
        e.position, e.stream, e.version, fact.uid, fact.name, fact.description, fact.url, e.recorded_at, e.recorded_at, e.actor,
    )  # fmt: skip
    return ((_INSERT_PROJECT, row),)


@_handles(annotation.LabelUpdated)
def _label_updated(e: RecordedEvent, fact: annotation.LabelUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.ULABELS, e, fact.changes),)


@_handles(annotation.RecordUpdated)
def _record_updated(e: RecordedEvent, fact: annotation.RecordUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.RECORDS, e, fact.changes),)


@_handles(annotation.FeatureUpdated)
def _feature_updated(e: RecordedEvent, fact: annotation.FeatureUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.FEATURES, e, fact.changes),)


@_handles(annotation.ProjectUpdated)
def _project_updated(e: RecordedEvent, fact: annotation.ProjectUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.PROJECTS, e, fact.changes),)


@_handles(collection.CollectionRegistered)
def _collection_registered(e: RecordedEvent, fact: collection.CollectionRegistered) -> Sequence[Operation]:
    row = (
        e.position, e.stream, e.version, fact.uid, fact.uid[:-VERSION_LENGTH], fact.version_number, 1, fact.version, fact.key,
        fact.description, fact.hash, len(fact.artifacts), fact.run, fact.transform, fact.revises, e.recorded_at, e.recorded_at,
        e.actor,
    )  # fmt: skip
    operations: list[Operation] = [(_INSERT_COLLECTION, row)]
    for place, member in enumerate(fact.artifacts):
        operations.append((_INSERT_LINK, (e.position, "member", e.stream, member, place, e.recorded_at, e.actor)))
    if fact.revises is not None:
        operations.append((_RETIRE_COLLECTION, (0, fact.revises)))
    return operations


@_handles(collection.CollectionUpdated)
def _collection_updated(e: RecordedEvent, fact: collection.CollectionUpdated) -> Sequence[Operation]:
    return (_apply_changes(schema.COLLECTIONS, e, fact.changes),)


@_handles(annotation.LabelAttached)
def _label_attached(e: RecordedEvent, fact: annotation.LabelAttached) -> Sequence[Operation]:
    return _link(e, fact.subject, _LABEL_LINK[fact.registry], fact.label)


@_handles(annotation.LabelDetached)
def _label_detached(e: RecordedEvent, fact: annotation.LabelDetached) -> Sequence[Operation]:
    return _unlink(e, fact.subject, _LABEL_LINK[fact.registry], fact.label)


@_handles(annotation.ProjectAssigned)
def _project_assigned(e: RecordedEvent, fact: annotation.ProjectAssigned) -> Sequence[Operation]:
    return _link(e, fact.subject, "project", fact.project)


@_handles(annotation.ProjectUnassigned)
def _project_unassigned(e: RecordedEvent, fact: annotation.ProjectUnassigned) -> Sequence[Operation]:
    return _unlink(e, fact.subject, "project", fact.project)


@_handles(annotation.ParentAdded)
def _parent_added(e: RecordedEvent, fact: annotation.ParentAdded) -> Sequence[Operation]:
    return _link(e, fact.registry, "parent", fact.parent)


@_handles(annotation.ParentRemoved)
def _parent_removed(e: RecordedEvent, fact: annotation.ParentRemoved) -> Sequence[Operation]:
    return _unlink(e, fact.registry, "parent", fact.parent)


@_handles(annotation.FeatureValuesSet)
def _feature_values_set(e: RecordedEvent, fact: annotation.FeatureValuesSet) -> Sequence[Operation]:
    inserts: list[Operation] = []
    for place, (feature, change) in enumerate(fact.values.items()):
        value = change.new
        text = value if isinstance(value, str) else None
        number = float(value) if isinstance(value, int | float) else None
        row = (e.position, place, e.stream, feature, _json.encode(value).decode(), text, number, e.recorded_at, e.actor)
        inserts.append((_INSERT_VALUE, row))
    return [*_end_values(e, fact.values), *inserts, _next_revision(e, fact.subject)]


@_handles(annotation.FeatureValuesRemoved)
def _feature_values_removed(e: RecordedEvent, fact: annotation.FeatureValuesRemoved) -> Sequence[Operation]:
    return [*_end_values(e, fact.values), _next_revision(e, fact.subject)]


def _end_values(e: RecordedEvent, values: dict[str, Change]) -> list[Operation]:
    """Move the values that this event replaces or removes to those that are past."""
    archives = [(_ARCHIVE_VALUE, (e.position, e.recorded_at, e.actor, e.stream, feature)) for feature in values]
    return [*archives, *((_DELETE_VALUE, (e.stream, feature)) for feature in values)]


def _link(e: RecordedEvent, registry: str, kind: str, target: str) -> Sequence[Operation]:
    row = (e.position, kind, e.stream, target, 0, e.recorded_at, e.actor)
    return ((_INSERT_LINK, row), _next_revision(e, registry))


def _unlink(e: RecordedEvent, registry: str, kind: str, target: str) -> Sequence[Operation]:
    link = (e.stream, kind, target)
    ended = (e.position, e.recorded_at, e.actor, *link)
    return ((_ARCHIVE_LINK, ended), (_DELETE_LINK, link), _next_revision(e, registry))


def _next_revision(e: RecordedEvent, registry: str) -> Operation:
    return _SET_REVISION[_TABLE_OF[registry]], (e.version, e.stream)


def _output_edge(e: RecordedEvent, run_id: str, kind: str) -> tuple[Scalar, ...]:
    return (e.position, run_id, e.stream, kind, "output", None, e.recorded_at, e.actor)


def _apply_changes(table: Table, e: RecordedEvent, changes: dict[str, Change]) -> Operation:
    """Set each changed column to its new value; a field that is no column stays in the log alone."""
    known = {name: change for name, change in changes.items() if name in table.names}
    values = [_scalar(change.new, table.column(name).kind) for name, change in known.items()]
    statement = Update(table, (*known, "updated_at", "revision"), ("id",))
    return statement, (*values, e.recorded_at, e.version, e.stream)


def word_operations(e: RecordedEvent, statement: Statement, row: tuple[Scalar, ...]) -> list[Operation]:
    """Keep the words by which a record is found: of the row that an event inserts, or of the fields that it changes."""
    table = statement.table
    registry, fields = SEARCHED[table]
    if isinstance(statement, Insert):
        return [
            (_INSERT_WORD, (e.position, registry.name, name, word))
            for name, place in fields
            if row[place]
            for word in words_of(str(row[place]))
        ]
    operations: list[Operation] = []
    changes: dict[str, Change] = getattr(e.fact, "changes", {})
    for name in (name for name, _ in fields if name in changes):
        before, after = (words_of(str(text or "")) for text in (changes[name].old, changes[name].new))
        gone = [word for word in before if word not in after]
        new = [word for word in after if word not in before]
        operations += [(_DROP_WORD[table], (registry.name, name, word, e.stream)) for word in gone]
        operations += [(_ADD_WORD[table], (registry.name, name, word, e.stream)) for word in new]
    return operations


def _scalar(value: object, kind: str) -> Scalar:
    if value is None:
        return None
    if kind == "json":
        return _json.encode(value).decode()
    if kind in ("int", "bool"):
        return int(value)  # type: ignore[call-overload,no-any-return]
    return str(value)


_contexts: dict[str, event.Context] = {}


def _context(e: RecordedEvent) -> event.Context:
    context = _contexts.get(e.context)
    if context is None:
        # One context serves a whole session; the cache holds the few that a replay is passing through.
        if len(_contexts) >= 256:
            _contexts.clear()
        context = _contexts[e.context] = msgspec.json.decode(e.context, type=event.Context)
    return context
