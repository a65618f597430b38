"""A store: its log, its registries, who acts on it, and what can be asked of it as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from lineagelog import location, message
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.audit import policy as policies
from lineagelog.domain.errors import (
    ConcurrentWriteError,
    InvalidValueError,
    ReasonRequiredError,
    StorageError,
    StoreNotFoundError,
    StoreReadOnlyError,
)
from lineagelog.domain.event import Event, NewEvent, RecordedEvent
from lineagelog.domain.ids import Id
from lineagelog.domain.store import StoreCreated
from lineagelog.domain.values import check_text
from lineagelog.founding import CREATED_EVENT_ID, SELF_ROOT
from lineagelog.projections import schema
from lineagelog.projections.rows import RowDict, find, find_one
from lineagelog.session import Session

if TYPE_CHECKING:
    import pandas as pd
    from prov.model import ProvDocument
    from rdflib import Dataset

    from lineagelog.adapters.log.database import Transaction
    from lineagelog.adapters.log.recorder import Guard
    from lineagelog.adapters.storage import Storage as StorageBackend
    from lineagelog.audit.checking import VerifyReport
    from lineagelog.audit.proving import Proof
    from lineagelog.audit.report import AuditTrail
    from lineagelog.audit.sealing import SealedCheckpoint, SealingKey
    from lineagelog.audit.trail import Entry
    from lineagelog.content.fixity import StorageReport
    from lineagelog.content.orphans import CollectReport
    from lineagelog.domain.note import VerifierKey
    from lineagelog.exporters.export import ExportSummary
    from lineagelog.exporters.sparql.asking import QueryResult
    from lineagelog.exporters.sparql.index import MemoryIndex
    from lineagelog.fixture import FixtureSummary
    from lineagelog.overview import Overview

    # The registries are attributes of a store under the names of their classes.
    from lineagelog.registries import artifact as artifact_
    from lineagelog.registries import collection as collection_
    from lineagelog.registries import entity as entity_
    from lineagelog.registries import feature as feature_
    from lineagelog.registries import label as label_
    from lineagelog.registries import project as project_
    from lineagelog.registries import run as run_
    from lineagelog.registries import storage as storage_
    from lineagelog.registries import transform as transform_
    from lineagelog.registries import user as user_
    from lineagelog.registries.record import BaseRecord

_RETRIES: Final = 20
_reason_now: Final[ContextVar[str | None]] = ContextVar("lineagelog_reason", default=None)
_MISSING_NAMED: Final = 10


class Store:
    """A provenance store.

    Open one with `ln.open("./mydata")`, or create one with `ln.init(storage="./mydata")`. Several can be open at once; the
    registries of each are its attributes: `store.Artifact.filter(…)`.

    Attributes:
        log: Its event log.
        id: UUIDv7 of the store.
        uid: Short name, part of the IRIs of everything in it.
        name: Name given by the user.
        folder: Folder that holds `.lineagelog/`; `None` if the store was opened by the URL of its database.
        address: What opens it again: its folder, or the URL of its database; empty for a store in memory.
        session: Who acts on it in this process.
        closed: It was closed.
        index: The graph that answers SPARQL queries, once one was asked.
        present: The store itself, if this is a view of it as it was earlier (`as_of`); else this object.
    """

    def __init__(self, log: EventLog, folder: Path | None, address: str = "", *, present: Store | None = None) -> None:
        """Use `Store.open`, `Store.create` or `Store.as_of`."""
        # The log itself names the store, so that it can be opened, checked and rebuilt whatever became of the tables.
        created = next(log.read(event_id=CREATED_EVENT_ID, limit=1), None)
        if created is None or not isinstance(created.fact, StoreCreated):
            log.close()
            raise StoreNotFoundError(f"{log.database.name} holds no store; create one with `prov init`")
        if log.database.written_by_newer is not None:
            message.warn(
                f"{log.database.written_by_newer}: kinds of events that it does not know are kept and exported as they are, but "
                "what they changed is not shown. Install a newer lineagelog"
            )
        elif log.missing:
            shown, more = ", ".join(log.missing[:_MISSING_NAMED]), len(log.missing) - _MISSING_NAMED
            message.warn(
                f"the tables of the store lack {shown}{f' and {more} more' if more > 0 else ''}: an older version has made it, or "
                "somebody removed them. What needs them is refused until `prov rebuild` makes the tables anew from the log"
            )
        self.log = log
        self.folder = folder
        self.address = address
        self.id = created.stream
        self.uid = created.fact.uid
        self.name = created.fact.name
        self.closed = False
        self.index: MemoryIndex | None = None
        self._length_checked = False
        self.present = present if present is not None else self
        self.session: Session = present.session if present is not None else Session(self)
        self._registries: dict[str, type[BaseRecord]] = {}
        self._storages: dict[str, StorageBackend] = {}

    @classmethod
    def create(
        cls,
        storage: str | os.PathLike[str],
        *,
        name: str | None = None,
        db: str | None = None,
        modules: Sequence[str] = (),
    ) -> Store:
        """Create a store.

        Args:
            storage: Where new artifacts go: a local folder, which is made, or a URL such as `s3://bucket/prefix`. A
                local folder is also the store's own; with a URL that is the working directory.
            name: Name of the store; the name of the storage by default.
            db: `postgresql://user:password@host/database?schema=name`; a SQLite file in the store's folder by default.
            modules: Names of registries beyond the core; none exist yet.

        Raises:
            StoreExistsError: There is a store in this folder, or in this database.
            StoreUnavailableError: The database cannot be reached.
            InvalidValueError: A name or module is not acceptable.
        """
        from lineagelog.founding import create

        return cls.open(create(storage, name=name, db=db, modules=modules))

    @classmethod
    def open(cls, address: str | os.PathLike[str]) -> Store:
        """Open a store.

        Args:
            address: Folder of the store, or the URL of its PostgreSQL database.

        Raises:
            StoreNotFoundError: There is no store at this address.
            StoreUnavailableError: The database cannot be reached.
            SchemaVersionError: A newer version of the software has written it.
        """
        text = os.fspath(address)
        if "\x00" in text:
            raise InvalidValueError("the address of the store", f"{text!r} holds a NUL character; remove it")
        if "://" in text:
            store = cls(EventLog.connect(text), None, text)
            where = location.without_password(text)[0]
        else:
            folder = Path(text).expanduser().resolve()
            if not location.has_store(folder):
                pointed = location.discover(folder) if (folder / location.FOLDER).is_file() else None
                folder = pointed or folder
            _, url = location.read_config(folder)
            store = cls(EventLog.connect(url or location.home(folder) / location.DATABASE), folder, str(folder))
            where = str(folder)
        location.remember_store(store.id, store.name, where)
        return store

    def as_of(self, point: int | str | datetime) -> Store:
        """Open the store as it was at a position of its log or a time; see `lineagelog/past.py`.

        Every question can be asked of the view: queries, search, `describe()`, lineage, pictures, history, exports, SPARQL. It
        cannot be changed. The content of artifacts is read from where it is stored now.

        Args:
            point: Position of the last event to be seen, or a time such as `2026-05-01T12:00Z`, which means the last event
                recorded at or before it; UTC if it names no zone.

        Raises:
            InvalidValueError: There was no store yet, or the point lies in the future.
            LogCorruptError: The events up to there are not those that were recorded.
        """
        from lineagelog.past import as_of

        return as_of(self, point)

    @property
    def is_past(self) -> bool:
        """This is a view of a store as it was earlier."""
        return self.present is not self

    def check_is_present(self) -> None:
        """Refuse to change a view of the past, before anything is done for it.

        Raises:
            StoreReadOnlyError: This is one.
        """
        if self.is_past:
            raise StoreReadOnlyError(
                f"{self.log.database.name} is a view of the past, which cannot be changed; nothing was recorded. Make the "
                "change in the store as it is now"
            )

    def close(self) -> None:
        """Close the store's database; the object is not used afterwards."""
        if not self.closed:
            self.closed = True
            if self.index is not None:
                self.index.close()
            self.log.close()

    def delete(self, *, force: bool = False) -> str:
        """Delete the log and the registries, and with them all provenance. Stored content stays where it is.

        Args:
            force: Without it nothing is deleted, and the error says what would be.

        Returns:
            What was left behind, in words.

        Raises:
            DomainError: `force` was not given.
            StoreReadOnlyError: The store cannot be written.
        """
        from lineagelog.founding import delete

        return delete(self, force=force)

    @property
    def User(self) -> type[user_.User]:  # noqa: N802 - a registry is a class
        """Registry of the users of this store."""
        return cast("type[user_.User]", self._registry("User"))

    @property
    def Storage(self) -> type[storage_.Storage]:  # noqa: N802
        """Registry of the storage locations of this store."""
        return cast("type[storage_.Storage]", self._registry("Storage"))

    @property
    def Transform(self) -> type[transform_.Transform]:  # noqa: N802
        """Registry of the transforms of this store."""
        return cast("type[transform_.Transform]", self._registry("Transform"))

    @property
    def Run(self) -> type[run_.Run]:  # noqa: N802
        """Registry of the runs of this store."""
        return cast("type[run_.Run]", self._registry("Run"))

    @property
    def Artifact(self) -> type[artifact_.Artifact]:  # noqa: N802
        """Registry of the artifacts of this store."""
        return cast("type[artifact_.Artifact]", self._registry("Artifact"))

    @property
    def Collection(self) -> type[collection_.Collection]:  # noqa: N802
        """Registry of the collections of this store."""
        return cast("type[collection_.Collection]", self._registry("Collection"))

    @property
    def ULabel(self) -> type[label_.ULabel]:  # noqa: N802
        """Registry of the labels of this store."""
        return cast("type[label_.ULabel]", self._registry("ULabel"))

    @property
    def Record(self) -> type[entity_.Record]:  # noqa: N802
        """Registry of the records of this store."""
        return cast("type[entity_.Record]", self._registry("Record"))

    @property
    def Feature(self) -> type[feature_.Feature]:  # noqa: N802
        """Registry of the features of this store."""
        return cast("type[feature_.Feature]", self._registry("Feature"))

    @property
    def Project(self) -> type[project_.Project]:  # noqa: N802
        """Registry of the projects of this store."""
        return cast("type[project_.Project]", self._registry("Project"))

    def _registry(self, name: str) -> Any:
        """Return a registry class whose queries and records belong to this store."""
        bound = self._registries.get(name)
        if bound is None:
            from lineagelog.registries.record import registry_class

            base = registry_class(name)
            bound = self._registries[name] = type(name, (base,), {"_bound_store": self, "__module__": base.__module__})
        return bound

    @property
    def user(self) -> user_.User:
        """The user who acts on the store in this process."""
        # Who looks at the past may have been registered since.
        return self.present.User._from_id(self.session.actor)

    @property
    def storage(self) -> storage_.Storage:
        """The storage location where new artifacts go."""
        return self.Storage._from_id(self.default_storage_id)

    @property
    def default_storage_id(self) -> Id:
        """Id of the storage location where new artifacts go."""
        row = find_one(self.log.database, schema.STORES)
        if row is None or row["default_storage_id"] is None:
            raise StorageError(f"{self.name} has no default storage; register one with ln.Storage(root=…).save()")
        return Id(row["default_storage_id"])

    def login(
        self,
        handle: str,
        *,
        name: str | None = None,
        email: str | None = None,
        keep: bool = False,
        reason: str | None = None,
    ) -> user_.User:
        """Log a user in; everything recorded from now on in this process is by that user.

        A handle the store does not know is registered if a name or an address comes with it. Who was logged in before is logged
        out, on record.

        Args:
            handle: Handle of the user.
            name: Name as people write it; registers or updates it.
            email: Address; registers or updates it.
            keep: Later processes of this operating system user act as this user too, until `logout`.
            reason: Why name or address of a known user are changed.

        Raises:
            UserNotFoundError: The handle is not known and neither name nor email was given; the attempt is recorded.
            InvalidValueError: The handle is not acceptable.
        """
        self.check_is_present()
        with self.because(reason):
            self.session.login(handle, name=name, email=email, keep=keep)
        return self.user

    def logout(self, *, keep: bool = False) -> None:
        """Log the user out; what follows is recorded as anonymous.

        Args:
            keep: Also end a log-in that was kept for later processes.
        """
        self.check_is_present()
        self.session.logout(kept=keep)
        if keep and (why := location.keep_login(self.id, None)) is not None:
            message.warn(f"the log-in that is kept for later processes cannot be removed ({why}); remove it there")

    def new_event(
        self, fact: Event, stream: str, version: int = 1, *, run: str | None = None, reason: str | None = None
    ) -> NewEvent:
        """Put a fact into the envelope of this moment: who acts now, in which run, why."""
        from lineagelog.current import current_run

        self.check_is_present()
        if run is None:
            active = current_run(self)
            run = active.id if active is not None else None
        given = reason if reason is not None else _reason_now.get()
        return NewEvent(
            stream=Id(stream),
            version=version,
            fact=fact,
            actor=self.session.actor,
            run=Id(run) if run is not None else None,
            reason=check_text(given, "the reason") if given is not None else None,
            context=self.session.context,
        )

    def append(self, events: Sequence[NewEvent], *, guard: Guard | None = None) -> list[RecordedEvent]:
        """Append events to the log; see `EventLog.append`."""
        if self.closed:
            raise StorageError(f"the store {self.name} was closed; open it again with ln.open(…)")
        if not self._length_checked and not self.is_past:
            from lineagelog.audit.sealing import refuse_shortened_log

            refuse_shortened_log(self)
            self._length_checked = True
        unexplained = policies.without_reason(events)
        if unexplained is None:
            return self.log.append(events, guard=guard)

        def check(transaction: Transaction) -> None:
            policies.check(transaction, unexplained)
            if guard is not None:
                guard(transaction)

        try:
            return self.log.append(events, guard=check)
        except ReasonRequiredError:
            policies.record_missing_reason(self, unexplained)
            raise

    @contextmanager
    def because(self, reason: str | None) -> Iterator[Store]:
        """Give a reason for all that is done in a block, where no other is given."""
        before = _reason_now.set(check_text(reason, "the reason") if reason is not None else _reason_now.get())
        try:
            yield self
        finally:
            _reason_now.reset(before)

    @property
    def policy(self) -> policies.Policy:
        """What the store demands of those who change something."""
        return policies.Policy(self)

    def append_next(
        self,
        table: Any,
        record_id: str,
        make: Callable[[RowDict], Event | None],
        *,
        run: str | None = None,
        reason: str | None = None,
    ) -> RecordedEvent | None:
        """Append the next event of a record that several writers may be adding to, trying again when one was first.

        Args:
            table: Table of the record.
            record_id: Its id.
            make: Decides the fact from the record's present row, or raises; `None` appends nothing.
            run: Id of the run it belongs to.
            reason: Why, in the user's words.

        Raises:
            ConcurrentWriteError: Other writers were first twenty times.
        """

        def make_all(row: RowDict) -> list[Event]:
            fact = make(row)
            return [fact] if fact is not None else []

        recorded = self.append_all_next(table, record_id, make_all, run=run, reason=reason)
        return recorded[0] if recorded else None

    def append_all_next(
        self,
        table: Any,
        record_id: str,
        make: Callable[[RowDict], Sequence[Event]],
        *,
        run: str | None = None,
        reason: str | None = None,
        guard: Guard | None = None,
    ) -> list[RecordedEvent]:
        """Append the next events of a record, all or none; see `append_next`, and `EventLog.append` for `guard`."""
        self.check_is_present()
        for attempt in range(_RETRIES):
            row = find_one(self.log.database, table, id=record_id)
            if row is None:
                raise StorageError(f"the record {record_id} is gone from {table.name}; run `prov verify`")
            facts = make(row)
            if not facts:
                return []
            events = [
                self.new_event(fact, record_id, version, run=run, reason=reason)
                for version, fact in enumerate(facts, row["revision"] + 1)
            ]
            try:
                return self.append(events, guard=guard)
            except ConcurrentWriteError:
                if attempt == _RETRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def storage_backend(self, storage_id: str) -> StorageBackend:
        """Open the files of a storage location."""
        backend = self._storages.get(storage_id)
        if backend is None:
            from lineagelog.adapters.storage import open_storage

            row = find_one(self.log.database, schema.STORAGES, id=storage_id)
            if row is None:
                raise StorageError(f"the storage {storage_id} is not registered in {self.name}")
            backend = self._storages[storage_id] = open_storage(
                self.resolve_root(row["root"]), region=row["region"], endpoint_url=row["endpoint_url"]
            )
        return backend

    def resolve_root(self, recorded: str) -> str:
        """Turn the recorded root of a storage location into one that can be opened here."""
        if recorded != SELF_ROOT:
            return recorded
        if self.folder is None:
            raise StorageError(
                f"the storage of {self.name} is its folder, which is not open; open the store by its folder"
            )
        return str(self.folder)

    def find_storage(self, path: str) -> tuple[Id, str] | None:
        """Find the registered storage location a path lies under, the innermost if there are several.

        Returns:
            Id of the location and the path relative to its root, or `None`.
        """
        from lineagelog.adapters.storage import normalise_root

        kind = normalise_root(path)[1] if "://" in path else "local"
        found: tuple[Id, str] | None = None
        for row in find(self.log.database, schema.STORAGES, type=kind):
            relative = self.storage_backend(row["id"]).relative(path)
            if relative is not None and (found is None or len(relative) < len(found[1])):
                found = Id(row["id"]), relative
        return found

    def content_by_storage(self) -> Mapping[str, tuple[int, int]]:
        """Count the artifacts whose content has to be at each storage location, and their bytes, by id of the location."""
        rows = self.log.database.read(
            "SELECT storage_id, count(*), sum(size) FROM artifacts WHERE state <> 'deleted' GROUP BY storage_id"
        )
        return {storage_id: (int(count), int(size)) for storage_id, count, size in rows}

    def events(self, **conditions: Any) -> Iterator[RecordedEvent]:
        """Read the log; the conditions are those of `EventLog.read`."""
        return self.log.read(**conditions)

    def trail(self, **conditions: Any) -> Iterator[Entry]:
        """Read the audit trail, newest first: events with names in place of ids; see `lineagelog/audit/trail.py`."""
        from lineagelog.audit.trail import trail

        return trail(self, **conditions)

    def audit(self, *, field: str | None = None, newest_first: bool = False, **conditions: Any) -> AuditTrail:
        """Report who changed what, from which old to which new value, when, why and in which run.

        Args:
            field: Only changes of this field.
            newest_first: The last event first.
            conditions: Those of `trail`: `who`, `what`, `record`, `run`, `why`, `since`, `until`, `limit`.

        Returns:
            Rows to iterate over, or to `write()` as CSV, HTML or Parquet; see `lineagelog/audit/report.py`.
        """
        from lineagelog.audit.report import AuditTrail

        return AuditTrail(self, field=field, newest_first=newest_first, **conditions)

    def overview(self) -> Overview:
        """Say what the store is and how much it holds."""
        from lineagelog.overview import overview

        return overview(self)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,  # noqa: A002 - the word of the command line and of the event
        subject: BaseRecord | str | None = None,
        direction: str | None = None,
        max_depth: int | None = None,
        project: BaseRecord | str | None = None,
        user: BaseRecord | str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        record: bool = True,
    ) -> ExportSummary:
        """Export provenance, or a part of it; see `lineagelog/export.py`."""
        from lineagelog.export import export

        return export(
            self,
            Path(path),
            format=format,
            subject=subject,
            direction=direction,
            max_depth=max_depth,
            project=project,
            user=user,
            since=since,
            until=until,
            record=record,
        )

    def to_prov(self, subject: BaseRecord | str | None = None, *, direction: str | None = None) -> ProvDocument:
        """Build a document of the library `prov`; meant for small sub-graphs, since it is all held in memory."""
        from lineagelog.export import to_prov

        return to_prov(self, subject, direction=direction)

    def to_rdflib(self, subject: BaseRecord | str | None = None, *, direction: str | None = None) -> Dataset:
        """Build a dataset of the library rdflib; meant for small sub-graphs, since it is all held in memory."""
        from lineagelog.export import to_rdflib

        return to_rdflib(self, subject, direction=direction)

    def sparql(
        self,
        query: str | None = None,
        *,
        named: str | None = None,
        about: BaseRecord | str | None = None,
        timeout_s: float = 60.0,
        on_disk: bool = False,
    ) -> QueryResult:
        """Ask a SPARQL query of the store's provenance.

        The first question makes a graph of the store, in a process of its own; later ones bring it up to date.

        Args:
            query: SELECT, ASK, CONSTRUCT or DESCRIBE.
            named: Instead, the name of a query of the cookbook (`docs/sparql.md`), such as `who-touched`.
            about: The artifact that the named query is about, its key or uid.
            timeout_s: Longest time, seconds.
            on_disk: Keep the graph in the cache folder, for all processes of this user, rather than in memory until the store is
                closed.

        Raises:
            QueryError: The query is malformed, refused, took too long, or none has that name.
            InvalidValueError: Not one of `query` and `named`, or a named query without what it is about.
            RecordNotFoundError: There is no such artifact.
        """
        from lineagelog.asking import sparql

        return sparql(self, query, named=named, about=about, timeout_s=timeout_s, on_disk=on_disk)

    def verify(
        self,
        *,
        checkpoint: str | os.PathLike[str] | SealedCheckpoint | None = None,
        keys: Sequence[str] = (),
        content: bool = False,
        log_only: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> VerifyReport:
        """Check the log and the registries, and the stored content as well if asked to; see `lineagelog/audit/checking.py`."""
        from lineagelog.audit.checking import verify

        return verify(self, checkpoint=checkpoint, keys=keys, content=content, log_only=log_only, progress=progress)

    def check_storage(self, storage: storage_.Storage | str | None = None, *, content: bool = True) -> StorageReport:
        """Hold stored content against its record, and look for what belongs to no artifact; see `lineagelog/content/fixity.py`."""
        from lineagelog.content.fixity import check_storage

        self.check_is_present()
        return check_storage(self, storage, content=content)

    def collect_orphans(
        self,
        storage: storage_.Storage | str | None = None,
        *,
        older_than: timedelta = timedelta(hours=24),
        dry_run: bool = False,
        reason: str | None = None,
    ) -> CollectReport:
        """Remove stored objects that belong to no artifact; see `lineagelog/content/orphans.py`."""
        from lineagelog.content.orphans import collect_orphans

        self.check_is_present()
        with self.because(reason):
            return collect_orphans(self, storage, older_than=older_than, dry_run=dry_run)

    def checkpoint(
        self, path: str | os.PathLike[str] | None = None, *, also: str | os.PathLike[str] | None = None
    ) -> SealedCheckpoint:
        """Sign the end of the log, to be kept outside the store; see `lineagelog/audit/sealing.py`."""
        from lineagelog.audit.sealing import seal

        return seal(self, Path(path) if path is not None else None, also=os.fspath(also) if also is not None else None)

    def generate_key(self, *, rotate: bool = False) -> VerifierKey:
        """Make the key with which this user signs checkpoints; see `lineagelog/audit/sealing.py`."""
        from lineagelog.audit.sealing import generate_key

        return generate_key(self, rotate=rotate)

    def sealing_keys(self) -> list[SealingKey]:
        """List the keys that sign, or have signed, checkpoints of this store."""
        from lineagelog.audit.sealing import sealing_keys

        return sealing_keys(self)

    def prove(
        self,
        subject: BaseRecord | str | None,
        path: str | os.PathLike[str],
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        since: str | os.PathLike[str] | None = None,
    ) -> Proof:
        """Prove that the events of a record stand in the log of a checkpoint; see `lineagelog/audit/proving.py`."""
        from lineagelog.audit.proving import prove

        return prove(
            self,
            subject,
            Path(path),
            checkpoint=Path(checkpoint) if checkpoint is not None else None,
            since=Path(since) if since is not None else None,
        )

    def record_log(self, path: str | os.PathLike[str]) -> Path:
        """Write the whole log to a file of JSON lines, which `open_recorded` reads; see `lineagelog/recording.py`."""
        from lineagelog.recording import record_log

        return record_log(self, path)

    def fixture(self, path: str | os.PathLike[str], **options: Any) -> FixtureSummary:
        """Write a recorded log of what a test needs, anonymised if asked to; see `lineagelog/fixture.py` for the options."""
        from lineagelog.fixture import write_fixture

        return write_fixture(self, path, **options)

    @classmethod
    def open_recorded(cls, path: str | os.PathLike[str], *, db: str | Path | None = None) -> Store:
        """Make a store from a recorded log, in memory by default; see `lineagelog/recording.py`."""
        from lineagelog.recording import open_recorded

        return open_recorded(path, db=db)

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Make the registries and the lineage graph anew from the log, and return the number of events replayed."""
        return self.log.rebuild(progress)

    def save(self, records: Sequence[BaseRecord], *, reason: str | None = None) -> list[BaseRecord]:
        """Save several records; artifacts among them in one transaction."""
        from lineagelog.content.bulk import save

        return save(records, reason=reason)

    def view(self, limit: int = 10) -> Mapping[str, pd.DataFrame]:
        """Return the latest additions of every registry that has any, newest first."""
        from lineagelog.registries.finding import REGISTRIES

        frames = {}
        for name in sorted(REGISTRIES):
            registry = self._registry(name)
            frame = registry.filter().order_by("-position")[:limit].to_dataframe()
            if len(frame):
                # What tells records apart; `to_dataframe()` has the rest.
                names = [*registry.registry.shown, "created_by", "created_at"]
                frames[name] = frame[[name for name in dict.fromkeys(names) if name in frame]]
        return frames

    @contextmanager
    def as_current(self) -> Iterator[Store]:
        """Make the module-level names act on this store for a while."""
        from lineagelog import current

        before = current._store
        current.set_current_store(self)
        try:
            yield self
        finally:
            current.set_current_store(before)

    def storage_backends(self) -> list[StorageBackend]:
        """Open the files of all storage locations."""
        return [self.storage_backend(row["id"]) for row in find(self.log.database, schema.STORAGES)]

    def __repr__(self) -> str:
        where = self.folder or self.log.database.name
        if self.is_past:
            where = f"{where} as of event {self.log.head().position}"
        return f"Store(uid={self.uid!r}, name={self.name!r}, location={str(where)!r})"

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
