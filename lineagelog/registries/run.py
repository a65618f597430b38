"""The registry of runs: executions of transforms, what they read and what they saved."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Token
from datetime import datetime
from functools import update_wrapper
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

from lineagelog import current, message
from lineagelog.adapters.environment import container_id
from lineagelog.domain import clock
from lineagelog.domain.artifact import DELETED
from lineagelog.domain.errors import (
    ConcurrentWriteError,
    ConstraintError,
    DomainError,
    InvalidValueError,
    RunClosedError,
    UnsavedRecordError,
)
from lineagelog.domain.event import Change, Event
from lineagelog.domain.ids import RUN_UID_LENGTH, new_id, new_uid
from lineagelog.domain.redaction import redact_command, redact_json, redact_text, redact_url
from lineagelog.domain.run import (
    STARTED,
    EnvironmentRecorded,
    GitState,
    InputAccessed,
    RunAborted,
    RunFailed,
    RunFinished,
    RunStarted,
    RunUpdated,
    check_open,
)
from lineagelog.domain.values import Json, check_json, check_name, time_text, unicode_text
from lineagelog.projections import schema
from lineagelog.projections.projector import inserted_row
from lineagelog.projections.registry import RUN
from lineagelog.projections.rows import Readable, RowDict, find, find_one
from lineagelog.registries.annotated import AnnotatedRecord
from lineagelog.registries.record import to_python
from lineagelog.registries.transform import Transform

if TYPE_CHECKING:
    from lineagelog.adapters.transcript import Transcript
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.queryset import QuerySet
    from lineagelog.store import Store

P = ParamSpec("P")
T = TypeVar("T")

_MAX_TRACEBACK: Final = 20_000
_RETRIES: Final = 10


class Run(AnnotatedRecord):
    """One execution of a transform.

    A run is started by `ln.track()`, by `save()`, or as a context manager, which ends it as well::

        with ln.Run(transform, params={"k": 3}) as run:
            ln.Artifact("result.csv", key="result.csv").save()

    Attributes:
        name: Name given by the user.
        status: `started`, `finished`, `failed` or `aborted`.
        started_at: Start.
        finished_at: End, `None` while it runs.
        params: Parameters, secrets redacted.
        reference: URL or id of the run in another system.
        reference_type: What `reference` is.
        git_commit: Commit of the checkout the code came from.
        git_dirty: The checkout had uncommitted changes; `None` also of runs of other systems that do not tell.
        git_remote: URL of its remote.
        command: Command line, secrets redacted.
        host: Machine.
        container: Id of the container it ran in.
        pid: Process the run ends with, `None` for a run that no process holds open.
        error_type: Class of the error that ended it, or what interrupted it.
        error_message: Text of that error.
        error_traceback: Its traceback.
        is_consecutive: The cells of its notebook ran once each, from top to bottom; `None` if it is no notebook.
        stale_cells: Cells of the notebook that were changed after they had run, by their place among all its cells, from 1.
        unrun_cells: Cells of the notebook that did not run.
        imports: Packages that the notebook had imported, name to version.
    """

    registry = RUN
    _updated = RunUpdated

    name: str | None
    status: str
    started_at: datetime
    finished_at: datetime | None
    params: dict[str, Json]
    reference: str | None
    reference_type: str | None
    git_commit: str | None
    git_dirty: bool | None
    git_remote: str | None
    git_branch: str | None
    git_path: str | None
    command: list[str]
    host: str | None
    container: str | None
    pid: int | None
    error_type: str | None
    error_message: str | None
    error_traceback: str | None
    is_consecutive: bool | None
    stale_cells: list[int] | None
    unrun_cells: list[int] | None
    imports: dict[str, str] | None
    transform_id: str
    environment_id: str | None
    initiated_by_run_id: str | None

    def __init__(
        self,
        transform: Transform,
        *,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        reference: str | None = None,
        reference_type: str | None = None,
        initiated_by_run: Run | None = None,
    ) -> None:
        """Describe a run; `save()` starts it.

        Args:
            transform: What runs; it is saved with the run if it is not yet.
            name: Name of the run.
            params: Parameters; what looks like a secret is redacted.
            reference: URL or id of the run in another system.
            reference_type: What `reference` is.
            initiated_by_run: Run that starts this one; the current run by default.

        Raises:
            InvalidValueError: A parameter cannot be recorded.
        """
        self._begin()
        if not isinstance(transform, Transform):
            raise TypeError(f"a run needs a Transform, not {type(transform).__name__}")
        self._need_same_store(transform, "the transform")
        if initiated_by_run is not None:
            self._need_same_store(initiated_by_run, "the initiating run")
        self._transform = transform
        self._initiator = initiated_by_run
        self._used: set[tuple[str, str]] = set()
        self._made: set[str] = set()
        self._command: list[str] = []
        self._git: GitState | None = None
        self._environment: EnvironmentRecorded | None = None
        self._token: Token[Run | None] | None = None
        self._outer: Run | None = None
        self._entered_pid: int | None = None
        self._ends_with_process = False
        self._began: datetime | None = None
        self.name = check_name(name, "the run's name") if name is not None else None
        plain = check_json(dict(params or {}), "params")
        redacted, self._redacted = redact_json(plain)
        assert isinstance(redacted, dict)
        self.params = redacted
        self.reference = redact_url(check_name(reference, "the reference")) if reference is not None else None
        self.reference_type = check_name(reference_type, "the reference type") if reference_type is not None else None

    def _load(self, store: Store, row: RowDict) -> None:
        super()._load(store, row)
        self.__dict__.setdefault("_used", set())
        self.__dict__.setdefault("_made", set())
        self.__dict__.setdefault("_token", None)
        self.__dict__.setdefault("_outer", None)

    def _save_new(self) -> None:
        store = self.store
        if not self._transform._saved:
            self._transform.save()
        initiator = self._initiator
        if initiator is None and self._began is None:
            # What another system has carried out was not started by what happens to record it.
            initiator = current.current_run(store)
        started_at = time_text(self._began or clock.now())
        # The number of a process says nothing beside times that never were.
        held = self._ends_with_process and not clock.current_clock().is_stepped
        run_id = new_id()
        for _ in range(_RETRIES):
            events = []
            environment_id = _environment_of(initiator) if self._began is None else None
            if self._environment is not None:
                known = find_one(store.log.database, schema.ENVIRONMENTS, hash=self._environment.hash)
                environment_id = known["id"] if known else new_id()
                if known is None:
                    events.append(store.new_event(self._environment, environment_id, run=run_id))
            fact = RunStarted(
                uid=new_uid(RUN_UID_LENGTH),
                transform=self._transform.id,
                started_at=started_at,
                name=self.name,
                params=self.params,
                redacted=self._redacted,
                reference=self.reference,
                reference_type=self.reference_type,
                initiated_by=initiator.id if initiator is not None else None,
                environment=environment_id,
                git=self._git,
                command=redact_command([unicode_text(word) for word in self._command]),
                pid=os.getpid() if held else None,
                container=container_id() if held else None,
            )
            events.append(store.new_event(fact, run_id, run=run_id))
            try:
                recorded = store.append(events, guard=self._check_new if self._began is not None else None)
            except ConstraintError as exc:
                # Another process has just recorded the same environment.
                conflict = exc
                continue
            self._load(store, inserted_row(recorded[-1]))
            return
        raise conflict

    def _check_new(self, reader: Readable) -> None:
        """Make sure, under the lock, that a run of another system is recorded once.

        Raises:
            ConcurrentWriteError: Somebody has just recorded it.
        """
        if find(reader, schema.RUNS, reference=self.reference, reference_type=self.reference_type):
            raise ConcurrentWriteError(f"the {self.reference_type} run {self.reference} is on record already")

    def _begin_here(self) -> Run:
        """Start the run as one that ends with this process at the latest, inside the run that is current now."""
        self._ends_with_process = True
        self._outer = current.context_run().get()
        return self.save()

    def finish(self) -> Run:
        """End the run as finished.

        Raises:
            RunClosedError: It has ended already.
        """
        return self._end(RunFinished(finished_at=time_text(clock.now())))

    def fail(self, error: BaseException) -> Run:
        """End the run as failed, with the error and its traceback.

        Raises:
            RunClosedError: It has ended already.
        """
        text = _told(lambda: "".join(traceback.format_exception(error)))
        if len(text) > _MAX_TRACEBACK:
            half = _MAX_TRACEBACK // 2
            text = f"{text[:half]}\n[… {len(text) - _MAX_TRACEBACK} characters left out …]\n{text[-half:]}"
        fact = RunFailed(
            finished_at=time_text(clock.now()),
            error_type=type(error).__qualname__,
            message=_clean(_told(lambda: _said_by(error))[: 2 * _MAX_TRACEBACK])[:_MAX_TRACEBACK],
            traceback=_clean(text),
        )
        return self._end(fact)

    def abort(self, why: str, *, reason: str | None = None) -> Run:
        """End the run as aborted.

        Args:
            why: What interrupted it, such as `SIGINT`.
            reason: Why it is ended, if a person does it; kept with the event.

        Raises:
            RunClosedError: It has ended already.
        """
        fact = RunAborted(finished_at=time_text(clock.now()), why=check_name(why, "the interruption"))
        return self._end(fact, reason=reason)

    def add_input(
        self, artifact: Artifact, *, how: str = "declared", role: str = "input", at: datetime | None = None
    ) -> None:
        """Record that the run has read an artifact; repeated reading of one artifact in one role is recorded once.

        Args:
            artifact: The artifact.
            how: The call that read it.
            role: Part the input plays in the run.
            at: When it was read, aware; now by default.

        Raises:
            RunClosedError: The run has ended.
            ArtifactDeletedError: The artifact was deleted for good.
        """
        from lineagelog.content.disposal import check_usable

        self._need_saved("add_input")
        artifact._need_saved("add_input")
        if artifact.store.id != self.store.id:
            raise InvalidValueError(
                "the artifact", f"{artifact.uid} belongs to the store {artifact.store.name}, the run to another"
            )
        if (artifact.id, role) in self._used:
            return
        fact = InputAccessed(
            artifact=artifact.id,
            how=check_name(how, "how"),
            accessed_at=time_text(at or clock.now()),
            role=check_name(role, "the role"),
        )

        def decide(row: RowDict) -> list[Event]:
            check_open(row["uid"], row["status"])
            check_usable(artifact)
            known = find_one(
                self.store.log.database, schema.EDGES, run_id=self.id, kind="used", artifact_id=artifact.id, role=role
            )
            return [] if known is not None else [fact]

        def check_not_deleted(reader: Readable) -> None:
            # Its stream is free to other writers, so only a look under the lock can tell.
            if find_one(reader, schema.ARTIFACTS, id=artifact.id, state=DELETED) is not None:
                raise ConcurrentWriteError(f"the artifact {artifact.uid} has just been deleted")

        self.store.append_all_next(schema.RUNS, self.id, decide, run=self.id, guard=check_not_deleted)
        self._used.add((artifact.id, role))

    def _save_log(self, transcript: Transcript) -> Artifact | None:
        """Save what was printed during the run as an artifact of it; `None` if nothing was."""
        return None if transcript.is_empty else self._save_own("run_log", "log.txt", transcript.text())

    def _save_report(self, html: str) -> Artifact:
        """Save the notebook that ran, with its outputs; secrets have been taken out of it."""
        return self._save_own("run_report", "report.html", html.encode(errors="replace").decode())

    def _save_diff(self, patch: bytes) -> Artifact:
        """Save the uncommitted changes of the checkout that the run's code came from."""
        return self._save_own("run_diff", "uncommitted.diff", _clean(patch.decode(errors="replace")))

    def _save_own(self, kind: str, name: str, text: str) -> Artifact:
        """Save what tells of the run itself; two runs of which the same can be told have an artifact each."""
        with tempfile.TemporaryDirectory(prefix="lineagelog-") as folder:
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8", newline="")
            artifact: Artifact = self.store.Artifact(
                path, key=f"runs/{self.uid}/{name}", kind=kind, run=self, skip_hash_lookup=True
            )
            return artifact.save()

    def _own(self, kind: str) -> Artifact | None:
        return self.store.Artifact.filter(run=self, kind=kind).last()

    def _end(self, fact: Event, *, reason: str | None = None, becomes: Transform | None = None) -> Run:
        """End the run, as one of another version of its transform if that was edited while it ran."""
        self._need_saved("finish")

        def decide(row: RowDict) -> list[Event]:
            check_open(row["uid"], row["status"])
            if becomes is None or becomes.id == row["transform_id"]:
                return [fact]
            return [RunUpdated(changes={"transform_id": Change(old=row["transform_id"], new=becomes.id)}), fact]

        self.store.append_all_next(schema.RUNS, self.id, decide, run=self.id, reason=reason)
        return self.refresh()

    @property
    def is_open(self) -> bool:
        """The run has not ended, as far as this record knows."""
        return bool(self._saved) and self.status == STARTED

    @property
    def is_lost(self) -> bool:
        """The run has not ended, but its process has: it was killed, or the machine went down.

        Only the machine it ran on can tell; seen from another one, and of runs that no process holds open, it is never lost.
        """
        from lineagelog.adapters.process import has_ended

        return self.is_open and has_ended(self.host, self.pid, self.started_at)

    @property
    def transform(self) -> Transform:
        """The transform version that ran."""
        if not self._saved:
            return self._transform
        return self.store.Transform._from_id(self.transform_id)

    @property
    def inputs(self) -> QuerySet[Artifact]:
        """Artifacts the run has read."""
        return self.store.Artifact._whole().filter(input_of_runs=self)

    @property
    def outputs(self) -> QuerySet[Artifact]:
        """Artifacts the run has saved, those included whose content existed already."""
        return self.store.Artifact._whole().filter(output_of_runs=self)

    @property
    def log(self) -> Artifact | None:
        """What was printed during the run, if it was kept and anything was."""
        return self._own("run_log")

    @property
    def report(self) -> Artifact | None:
        """The notebook that ran, with its outputs, as HTML."""
        return self._own("run_report")

    @property
    def diff(self) -> Artifact | None:
        """Uncommitted changes of the checkout that the code came from, if there were any."""
        return self._own("run_diff")

    @property
    def initiated_by_run(self) -> Run | None:
        """The run that started this one."""
        return self.store.Run._from_id(self.initiated_by_run_id) if self.initiated_by_run_id is not None else None

    @property
    def child_runs(self) -> QuerySet[Run]:
        """Runs that this one has started."""
        return self.store.Run.filter(initiated_by_run=self)

    @property
    def environment(self) -> dict[str, Any] | None:
        """Python, platform, hardware and installed packages the run had."""
        if self.environment_id is None:
            return None
        row = find_one(self.store.log.database, schema.ENVIRONMENTS, id=self.environment_id)
        if row is None:
            raise UnsavedRecordError(f"the environment of {self!r} is not in {self.store.name}; run `prov verify`")
        kinds = {column.name: column.kind for column in schema.ENVIRONMENTS.columns}
        wanted = ("python", "implementation", "platform", "packages", "hardware", "conda", "conda_packages", "hash")
        return {name: to_python(kinds[name], row[name]) for name in wanted}

    def bind(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return the function as one that does its work in this run, whichever thread or process calls it.

        A new thread knows nothing of the `with` block it was started in: pass `run.bind(function)` to a thread or a pool of
        threads. Sent to another process, as to a worker that was started before the run, it opens the store there.
        """
        return _Bound(self, function)

    def __enter__(self) -> Run:
        if not self._saved:
            self._begin_here()
        check_open(self.uid, self.status)
        if self._token is not None:
            raise DomainError(f"run {self.uid} is entered already; one `with` block at a time can be its context")
        self._outer = current.context_run().get()
        self._token = current.context_run().set(self)
        self._entered_pid = os.getpid()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        current.context_run().reset(self._token)
        self._token = None
        if self._entered_pid != os.getpid():
            # A forked child leaves the block as well; only the process that entered it ends the run.
            return
        if error is not None:
            _end_broken_off(self, error)
            return
        # It may have been ended inside the block, on purpose.
        with suppress(RunClosedError):
            self.finish()


class _Bound(Generic[P, T]):
    """A function that works in a run; it can be sent to other processes, if the function can."""

    def __init__(self, run: Run | str, function: Callable[P, T]) -> None:
        update_wrapper(self, function)
        self._run = run
        self._function = function

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> T:
        if isinstance(self._run, str):
            self._run = current.run_told(self._run)
        with entered(self._run):
            return self._function(*arguments, **keywords)

    def __reduce__(self) -> tuple[Any, ...]:
        told = self._run if isinstance(self._run, str) else current.told(self._run)
        return _Bound, (told, self._function)


@contextmanager
def entered(run: Run) -> Iterator[Run]:
    """Make a run the current one of this thread or task for a while, without ending it."""
    token = current.context_run().set(run)
    try:
        yield run
    finally:
        current.context_run().reset(token)


@contextmanager
def run_ended_by(run: Run) -> Iterator[Run]:
    """End a run as the block ends; an error of the block goes on, whether or not it could be recorded."""
    pid = os.getpid()
    try:
        yield run
    except BaseException as error:
        # A forked child leaves the block as well; only the process that began the run ends it.
        if pid == os.getpid():
            _end_broken_off(run, error)
        raise
    if pid == os.getpid():
        # It may have been ended inside the block, on purpose.
        with suppress(RunClosedError):
            run.finish()


def _environment_of(initiator: Run | None) -> str | None:
    """Return the environment that a run shares with the run around it, if both are of this process."""
    if initiator is None or initiator.pid != os.getpid():
        return None
    return initiator.environment_id


def end_run(run: Run, error: BaseException | None) -> None:
    """End a run as an exception, or its absence, says."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        run.finish()
    elif isinstance(error, KeyboardInterrupt):
        run.abort("SIGINT")
    elif isinstance(error, GeneratorExit):
        run.abort("GeneratorExit")
    else:
        run.fail(error)


def _end_broken_off(run: Run, error: BaseException) -> None:
    """End a run as its error says; whatever becomes of that, the error is what its user must see."""
    try:
        end_run(run, error)
    except RunClosedError:
        return
    except Exception as exc:  # noqa: BLE001 - a database that is gone raises errors of its own
        message.warn(f"the run could not be ended on record: {exc}")


def _told(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except Exception as exc:  # noqa: BLE001 - what an error says of itself is code of whoever wrote it
        return f"(it cannot be told: {type(exc).__qualname__})"


def _said_by(error: BaseException) -> str:
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return f"exit code {int(error.code)}"
    return str(error)


def _clean(text: str) -> str:
    """Make any text recordable: no secrets, no NUL, no lone surrogates."""
    return redact_text(unicode_text(text).replace("\x00", "�"))[0]
