"""The audit trail: the events of the log with names in place of ids. Who did what, when, in which run, and why?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from lineagelog.domain.annotation import (
    FeatureValuesRemoved,
    FeatureValuesSet,
    LabelAttached,
    LabelDefined,
    LabelDetached,
    ParentAdded,
    ParentRemoved,
    ProjectAssigned,
    ProjectUnassigned,
    RecordDefined,
)
from lineagelog.domain.collection import CollectionRegistered
from lineagelog.domain.errors import InvalidValueError, RecordNotFoundError, UserNotFoundError
from lineagelog.domain.event import TOPICS, Change, Event, RecordedEvent, UnknownEvent
from lineagelog.domain.ids import is_base62
from lineagelog.domain.policy import AttemptRefused
from lineagelog.domain.run import RunUpdated
from lineagelog.domain.values import parse_time, time_text
from lineagelog.projections import schema
from lineagelog.projections.rows import RowDict, find_in, find_one
from lineagelog.projections.table import Table

if TYPE_CHECKING:
    from lineagelog.registries.record import BaseRecord
    from lineagelog.store import Store

_PAGE: Final = 500
_ID_LENGTH: Final = 36

_SUBJECTS: Final[Mapping[str, tuple[str, Table, str]]] = {
    "user": ("User", schema.USERS, "handle"),
    "login": ("Store", schema.STORES, "name"),
    "attempt": ("Store", schema.STORES, "name"),
    "policy": ("Store", schema.STORES, "name"),
    "store": ("Store", schema.STORES, "name"),
    "export": ("Store", schema.STORES, "name"),
    "checkpoint": ("Store", schema.STORES, "name"),
    "key": ("Store", schema.STORES, "name"),
    "storage": ("Storage", schema.STORAGES, "root"),
    "transform": ("Transform", schema.TRANSFORMS, "key"),
    "run": ("Run", schema.RUNS, "name"),
    "input": ("Run", schema.RUNS, "name"),
    "artifact": ("Artifact", schema.ARTIFACTS, "key"),
    "collection": ("Collection", schema.COLLECTIONS, "key"),
    "label": ("ULabel", schema.ULABELS, "name"),
    "record": ("Record", schema.RECORDS, "name"),
    "feature": ("Feature", schema.FEATURES, "name"),
    "project": ("Project", schema.PROJECTS, "name"),
}
"""First word of a topic to the kind of record it is about: its name, its table, the column people know it by."""

_BY_REGISTRY: Final[Mapping[str, tuple[str, Table, str]]] = {subject[0]: subject for subject in _SUBJECTS.values()}

_STORED_AS_DEFAULT: Final = "storage.made_default.1"

_TOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "user.registered.1": ("name", "email"),
    "login.failed.1": ("handle", "why"),
    "attempt.refused.1": ("attempt", "why"),
    "storage.registered.1": ("type", "root"),
    "storage.made_default.1": ("storage",),
    "transform.registered.1": ("type", "version", "description"),
    "run.started.1": ("transform", "params"),
    "input.accessed.1": ("artifact", "how"),
    "run.finished.1": ("is_consecutive", "stale_cells", "unrun_cells"),
    "run.failed.1": ("error_type", "message"),
    "run.aborted.1": ("why",),
    "environment.recorded.1": ("python", "platform"),
    "artifact.registered.1": ("size_bytes", "kind", "version", "description"),
    "artifact.seen_again.1": ("description",),
    "artifact.trusted.1": ("format", "how"),
    "artifact.deleted.1": ("size_bytes", "content_removed"),
    "artifact.verified.1": ("outcome", "found_hash", "found_size_bytes"),
    "storage.checked.1": ("content_read", "n_artifacts", "n_missing", "n_changed", "n_unchecked", "n_orphans"),
    "storage.collected.1": ("n_objects", "size_bytes", "older_than_s"),
    "collection.registered.1": ("artifacts", "version", "description"),
    "label.defined.1": ("type", "description"),
    "label.attached.1": ("label",),
    "label.detached.1": ("label",),
    "record.defined.1": ("type", "description"),
    "parent.added.1": ("parent",),
    "parent.removed.1": ("parent",),
    "feature.defined.1": ("dtype", "unit", "description"),
    "project.created.1": ("description", "url"),
    "project.assigned.1": ("project",),
    "project.unassigned.1": ("project",),
    "export.made.1": ("format", "scope", "n_statements"),
    "checkpoint.sealed.1": ("up_to_position", "key"),
    "key.registered.1": ("verifier_key", "replaces"),
}
"""Topic to the fields of the fact that tell most in one line."""

_REFERENCES: Final[Mapping[str, tuple[Table, str]]] = {
    "artifact": (schema.ARTIFACTS, "key"),
    "storage": (schema.STORAGES, "root"),
    "transform": (schema.TRANSFORMS, "key"),
}
"""Field of a fact that holds the id of a record, to its table and the column people know it by."""

_ANNOTATIONS: Final = (
    LabelAttached,
    LabelDetached,
    ProjectAssigned,
    ProjectUnassigned,
    FeatureValuesSet,
    FeatureValuesRemoved,
)
"""Facts that stand in the stream of the record that was annotated, and say of which registry it is."""

_CHANGING: Final = tuple(topic for topic, fact in TOPICS.items() if {"changes", "values"} & set(fact.__struct_fields__))
"""Topics of facts that hold the old and new values of fields, or of features."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, as people read it.

    Attributes:
        position: Place in the log, from 1.
        at: When it was recorded, UTC.
        who: Handle of the user who did it.
        event: Name of the kind of event, such as `ArtifactRegistered`.
        topic: Its stored name, such as `artifact.registered.1`.
        kind: Kind of the record it is about, such as `Artifact`; `None` if the record has no registry.
        uid: Short name of that record.
        key: What people call that record: its key, name or handle.
        run: Short name of the run it happened in.
        changes: Field to old and new value, for an update.
        details: What tells most of the fact otherwise; ids of records are replaced by what people call them.
        reason: Why, in the user's words.
        recorded: The event itself.
    """

    position: int
    at: datetime
    who: str | None
    event: str
    topic: str
    kind: str | None
    uid: str | None
    key: str | None
    run: str | None
    changes: Mapping[str, Change]
    details: Mapping[str, Any]
    reason: str | None
    recorded: RecordedEvent


def trail(
    store: Store,
    *,
    who: str | None = None,
    what: str | None = None,
    record: str | None = None,
    run: str | None = None,
    why: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    field: str | None = None,
    up_to: int | None = None,
    newest_first: bool = True,
    limit: int | None = None,
) -> Iterator[Entry]:
    """Read the audit trail; all conditions must hold.

    The conditions are checked at once, the events are read page by page while the result is looked at.

    Args:
        store: The store.
        who: Handle of the user who did it.
        what: Kind of event: `ArtifactRegistered`, `artifact.registered`, or `artifact` for all about artifacts.
        record: Uid of the record it is about, or its beginning; attempts that were refused are among it.
        run: Uid of the run it happened in, or its beginning.
        why: Part of the reason that was given, in upper or lower case.
        since: At this time or later.
        until: Before this time.
        field: A field that it changed, or the name of a feature.
        up_to: Only events up to this position.
        newest_first: The last event first.
        limit: At most so many.

    Raises:
        UserNotFoundError: The store does not know the user.
        RecordNotFoundError: There is no such record or run.
        MultipleRecordsError: More than one record has a uid that begins so.
        InvalidValueError: There is no such kind of event, or a time has no time zone.
    """
    conditions: dict[str, Any] = {
        "actor": _user_id(store, who) if who is not None else None,
        "topic": _topic(what) if what is not None else None,
        **(_about(store, record) if record is not None else {}),
        "run": _run(store, run).id if run is not None else None,
        "reason": _reason(why) if why is not None else None,
        "since": time_text(since) if since is not None else None,
        "until": time_text(until) if until is not None else None,
        "topics": _CHANGING if field is not None else None,
    }
    return _pages(store, conditions, field, up_to=up_to, newest_first=newest_first, limit=limit)


def _pages(
    store: Store,
    conditions: Mapping[str, Any],
    field: str | None,
    *,
    up_to: int | None,
    newest_first: bool,
    limit: int | None,
) -> Iterator[Entry]:
    # A page at a time keeps memory flat and holds no view of the database open while somebody reads.
    left = limit
    feature = find_one(store.log.database, schema.FEATURES, name=field) if field is not None else None
    bound: dict[str, Any] = {"up_to": up_to}
    while left is None or left > 0:
        wanted = _PAGE if left is None else min(_PAGE, left)
        page = list(store.log.read(**conditions, **bound, newest_first=newest_first, limit=wanted))
        shown = page if field is None else [event for event in page if _changed(event.fact, field, feature)]
        yield from _entries(store, shown)
        if len(page) < wanted:
            return
        last = page[-1].position
        bound = {"up_to": last - 1} if newest_first else {"up_to": up_to, "after": last}
        left = None if left is None else left - len(shown)


def _changed(fact: Event, field: str, feature: RowDict | None) -> bool:
    return field in getattr(fact, "changes", ()) or (feature is not None and feature["id"] in _values(fact))


def _entries(store: Store, events: list[RecordedEvent]) -> Iterator[Entry]:
    """Replace the ids of a page of events by names, one statement for each table."""
    wanted: dict[Table, tuple[str, set[str]]] = {}

    def want(table: Table, name: str, record_id: str | None) -> None:
        if record_id is not None:
            wanted.setdefault(table, (name, set()))[1].add(record_id)

    for event in events:
        want(schema.USERS, "handle", event.actor)
        want(schema.RUNS, "name", event.run)
        subject = _subject(event)
        if subject is not None:
            want(subject[1], subject[2], event.stream)
        for field, (table, name) in _references(event.fact).items():
            value = getattr(event.fact, field, None)
            for record_id in value if isinstance(value, list) else [value]:
                want(table, name, record_id)
        for change in _moves(event.fact).values():
            want(schema.TRANSFORMS, "key", str(change.old))
            want(schema.TRANSFORMS, "key", str(change.new))
        for feature_id, change in _values(event.fact).items():
            want(schema.FEATURES, "name", feature_id)
            for value in (change.old, change.new):
                if _may_be_id(value):
                    want(schema.ULABELS, "name", value)
                    want(schema.RECORDS, "name", value)
    named = {table: _names(store, table, name, ids) for table, (name, ids) in wanted.items()}
    refused = _refused(store, [event.fact for event in events])

    for event in events:
        subject = _subject(event)
        kind = subject[0] if subject is not None else None
        uid, key = named[subject[1]].get(event.stream, (None, None)) if subject is not None else (None, None)
        if isinstance(event.fact, AttemptRefused) and event.fact.registry is not None:
            kind, uid = event.fact.registry, event.fact.uid
            key = refused.get((kind, uid))
        _, who = named[schema.USERS].get(event.actor, (None, None)) if event.actor is not None else (None, None)
        run_uid, _ = named[schema.RUNS].get(event.run, (None, None)) if event.run is not None else (None, None)
        yield Entry(
            position=event.position,
            at=parse_time(event.recorded_at),
            who=who,
            event=type(event.fact).__name__ if not isinstance(event.fact, UnknownEvent) else event.topic,
            topic=event.topic,
            kind=kind,
            uid=uid,
            key=key,
            run=run_uid,
            changes=_changes(event.fact, named),
            details=_details(event.fact, named),
            reason=event.reason,
            recorded=event,
        )


def _details(fact: Event, named: Mapping[Table, Mapping[str, tuple[str, str | None]]]) -> dict[str, Any]:
    if isinstance(fact, UnknownEvent):
        return {"payload": fact.payload}
    details = {}
    for field in _TOLD.get(fact.topic, ()):
        value = getattr(fact, field)
        if value in (None, "", {}, []):
            continue
        reference = _references(fact).get(field)
        if reference is not None:
            ids = value if isinstance(value, list) else [value]
            known_as = [_known_as(named[reference[0]], record_id) for record_id in ids]
            value = known_as if isinstance(value, list) else known_as[0]
        if field == "attempt" and value in TOPICS:
            # By the name that every other event has here.
            value = TOPICS[value].__name__
        details[field] = msgspec.to_builtins(value)
    return details


def _refused(store: Store, facts: Iterable[Event]) -> dict[tuple[str | None, str | None], str | None]:
    """Read what people call the records of refused attempts, which the facts know by their uids."""
    wanted: dict[str, set[str]] = {}
    for fact in facts:
        if isinstance(fact, AttemptRefused) and fact.registry and fact.registry in _BY_REGISTRY and fact.uid:
            wanted.setdefault(fact.registry, set()).add(fact.uid)
    found: dict[tuple[str | None, str | None], str | None] = {}
    for registry, uids in wanted.items():
        _, table, name = _BY_REGISTRY[registry]
        for row in find_in(store.log.database, table, "uid", sorted(uids)):
            found[registry, row["uid"]] = row[name]
    return found


def _names(store: Store, table: Table, name: str, ids: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Read uid and name of some records of one table."""
    wanted = sorted(ids)
    column = table.column(name).name
    found = {}
    for start in range(0, len(wanted), _PAGE):
        chunk = wanted[start : start + _PAGE]
        sql = f"SELECT id, uid, {column} FROM {table.name} WHERE id IN ({', '.join('?' * len(chunk))})"  # noqa: S608 - names from the schema only
        found.update({record_id: (uid, known_as) for record_id, uid, known_as in store.log.database.read(sql, chunk)})
    return found


def _known_as(names: Mapping[str, tuple[str, str | None]], record_id: str) -> str:
    uid, name = names.get(record_id, (record_id, None))
    return name or uid


def _references(fact: Event) -> Mapping[str, tuple[Table, str]]:
    """Return the fields of a fact that hold ids of records, to their tables and the columns people know them by."""
    if isinstance(fact, LabelAttached | LabelDetached):
        return {"label": _BY_REGISTRY[fact.registry][1:]}
    if isinstance(fact, ParentAdded | ParentRemoved):
        return {"parent": _BY_REGISTRY[fact.registry][1:]}
    if isinstance(fact, ProjectAssigned | ProjectUnassigned):
        return {"project": _BY_REGISTRY["Project"][1:]}
    if isinstance(fact, LabelDefined):
        return {"type": _BY_REGISTRY["ULabel"][1:]}
    if isinstance(fact, RecordDefined):
        return {"type": _BY_REGISTRY["Record"][1:]}
    if isinstance(fact, CollectionRegistered):
        return {"artifacts": _BY_REGISTRY["Artifact"][1:]}
    return _REFERENCES


def _values(fact: Event) -> Mapping[str, Change]:
    return fact.values if isinstance(fact, FeatureValuesSet | FeatureValuesRemoved) else {}


def _moves(fact: Event) -> Mapping[str, Change]:
    """Return the change of a run that became one of another version of its transform."""
    changes = fact.changes if isinstance(fact, RunUpdated) else {}
    return {name: change for name, change in changes.items() if name == "transform_id"}


def _changes(fact: Event, named: Mapping[Table, Mapping[str, tuple[str, str | None]]]) -> Mapping[str, Change]:
    """Return what a fact changed, features and the records that are their values by name."""

    def value_of(value: Any) -> Any:
        if not _may_be_id(value):
            return value
        found = named[schema.ULABELS].get(value) or named[schema.RECORDS].get(value) or (value, None)
        return found[1] or found[0]

    def uid_of(transform_id: Any) -> Any:
        return named[schema.TRANSFORMS].get(transform_id, (transform_id, None))[0]

    if not isinstance(fact, FeatureValuesSet | FeatureValuesRemoved):
        changes: Mapping[str, Change] = getattr(fact, "changes", {})
        uids = {name: Change(old=uid_of(change.old), new=uid_of(change.new)) for name, change in _moves(fact).items()}
        return {**changes, **uids}
    return {
        _known_as(named[schema.FEATURES], feature_id): Change(old=value_of(change.old), new=value_of(change.new))
        for feature_id, change in fact.values.items()
    }


def _may_be_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) == _ID_LENGTH and value[14] == "7"


def _subject(event: RecordedEvent) -> tuple[str, Table, str] | None:
    fact = event.fact
    if isinstance(fact, _ANNOTATIONS):
        return _BY_REGISTRY[fact.subject]
    if isinstance(fact, ParentAdded | ParentRemoved):
        return _BY_REGISTRY[fact.registry]
    # This fact is about a storage location, but stands in the stream of the store that now uses it.
    return _SUBJECTS["store"] if event.topic == _STORED_AS_DEFAULT else _SUBJECTS.get(event.topic.partition(".")[0])


def _topic(what: str) -> str:
    """Find the topic, or the beginning of topics, that a person means."""
    classes = {fact.__name__: topic for topic, fact in TOPICS.items()}
    if what in classes:
        return classes[what]
    # A full topic is taken as it is: newer software may have written kinds of events that are not known here.
    if what.rpartition(".")[2].isdigit() or any(topic.startswith(f"{what}.") for topic in TOPICS):
        return what
    raise InvalidValueError(
        "the kind of event",
        f"{what!r} is not known; the kinds are: {', '.join(sorted(classes))}, or the first words of a topic",
    )


def _reason(why: str) -> str:
    if not why.strip():
        raise InvalidValueError("why", "is empty; give a part of the reason")
    return why


def _user_id(store: Store, handle: str) -> str:
    row = find_one(store.log.database, schema.USERS, handle=handle)
    if row is None:
        known = store.log.database.read(f"SELECT handle FROM {schema.USERS.name} ORDER BY position LIMIT 20")  # noqa: S608
        raise UserNotFoundError("User", f"handle {handle!r}", f"the users are: {', '.join(name for (name,) in known)}")
    return str(row["id"])


def _about(store: Store, uid: str) -> dict[str, Any]:
    """Select what happened to a record, and what was refused to be done to it, which stands in the stream of the store."""
    from lineagelog.registries.finding import find_record

    # The store has no registry of its own, yet things happen to it.
    if uid == store.uid:
        return {"stream": store.id}
    record = find_record(store, uid)
    return {"stream": record.id, "mentioned": (store.id, AttemptRefused.topic, f'"{record.uid}"')}


def with_whole_uids(store: Store, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Replace beginnings of uids among the conditions of `trail` by the uids they stand for."""
    from lineagelog.registries.finding import find_record

    whole = dict(conditions)
    if (record := whole.get("record")) is not None and record != store.uid:
        whole["record"] = find_record(store, record).uid
    if whole.get("run") is not None:
        whole["run"] = _run(store, whole["run"]).uid
    return whole


def _run(store: Store, uid: str) -> BaseRecord:
    from lineagelog.registries.finding import find_record

    if not is_base62(uid):
        raise RecordNotFoundError("Run", f"the uid {uid!r}", "a uid holds only letters and digits")
    return find_record(store, uid, ("Run",))
