"""Runs that another system carried out: what it tells of them, and how that becomes runs of a store.

A run of another system is known by its reference there, so that it is recorded once, however often it is told of. It keeps the
times it had; when it was recorded, and by whom, say its events.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lineagelog import message
from lineagelog.content.saving import save_artifacts
from lineagelog.domain.errors import (
    ConcurrentWriteError,
    ConstraintError,
    InvalidValueError,
    ObjectMissingError,
    RunClosedError,
)
from lineagelog.domain.redaction import redact_text
from lineagelog.domain.run import (
    ABORTED,
    FAILED,
    FINISHED,
    STARTED,
    EnvironmentRecorded,
    GitState,
    RunAborted,
    RunFailed,
    RunFinished,
)
from lineagelog.domain.values import MAX_NAME_BYTES, check_json, check_name, time_text
from lineagelog.projections import schema
from lineagelog.projections.rows import find_in, find_one
from lineagelog.registries.run import Run
from lineagelog.tracking.script import project_of

if TYPE_CHECKING:
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.project import Project
    from lineagelog.registries.transform import Transform
    from lineagelog.store import Store

_MAX_ERROR: Final = 20_000


@dataclass(frozen=True, slots=True)
class ForeignTransform:
    """What ran.

    Attributes:
        key: Its name.
        type: One of the types of a transform.
        source_code: Its source, if the other system tells it.
        version: Version tag.
        reference: URL or other reference to the code.
    """

    key: str
    type: str = "pipeline"
    source_code: str | None = None
    version: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file or folder that a run read or wrote.

    Attributes:
        path: Where it lies.
        key: Name of its artifact.
        kind: One of the kinds of an artifact.
        is_temporary: It will be removed, so that its content is copied even where files are registered in place.
    """

    path: Path
    key: str
    kind: str | None = None
    is_temporary: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How and when a run ended.

    Attributes:
        status: `finished`, `failed` or `aborted`.
        at: When, aware.
        error_type: Class of the error, or what interrupted the run.
        message: Text of the error.
    """

    status: str
    at: datetime
    error_type: str = "Error"
    message: str = ""


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """What another system tells of one run.

    Attributes:
        reference: Name of the run there, unique among those of the same type.
        reference_type: The system.
        transform: What ran.
        started_at: When it began, aware.
        name: Name of the run for people.
        params: Its parameters, plain values.
        metrics: Numbers that it measured; they become values of features.
        inputs: What it read.
        outputs: What it wrote.
        log: What it printed.
        ending: How it ended, `None` while it runs.
        parent: Reference of the run of the same system that started it.
        git: The checkout its code came from.
        command: Its command line.
        project: Name of the project it belongs to.
    """

    reference: str
    reference_type: str
    transform: ForeignTransform
    started_at: datetime
    name: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    inputs: Sequence[ForeignFile] = ()
    outputs: Sequence[ForeignFile] = ()
    log: str | None = None
    ending: Ending | None = None
    parent: str | None = None
    git: GitState | None = None
    command: Sequence[str] = ()
    project: str | None = None


@dataclass(slots=True)
class Imported:
    """What an import did.

    Attributes:
        new: Runs that were recorded.
        updated: Runs that were still open, with what is known of them now.
        known: Number of runs that were on record already, and complete.
        missing_files: Files that runs had read or written and that are not there any more.
    """

    new: list[Run] = field(default_factory=list)
    updated: list[Run] = field(default_factory=list)
    known: int = 0
    missing_files: list[Path] = field(default_factory=list)


Fetch: TypeAlias = "Callable[[ForeignRun, Path], tuple[Sequence[ForeignFile], Sequence[ForeignFile]]]"
"""Brings what a run has read and written into a folder that is removed after the run has been recorded."""


def import_runs(store: Store, told: Iterable[ForeignRun], fetch: Fetch | None = None) -> Imported:
    """Record runs of another system; those on record that have ended stay as they are.

    Args:
        store: Where to record them.
        told: What the other system tells.
        fetch: Called for runs that are recorded now, for files that are not at hand.

    Raises:
        InvalidValueError: What is told cannot be recorded.
    """
    done, seen = Imported(), Seen()
    runs = _parents_first(told)
    known = _known(store, runs)
    transforms: dict[ForeignTransform, Transform] = {}
    projects: dict[str, Project] = {}
    for one in runs:
        run = known.get(one.reference)
        if run is not None and run.status != STARTED:
            done.known += 1
            continue
        if run is None:
            transform = transforms.get(one.transform) or transform_of(store, one.transform)
            transforms[one.transform] = transform
            parent = known.get(one.parent) if one.parent is not None else None
            try:
                run = start(store, one, transform, parent)
            except ConcurrentWriteError:
                # Somebody else imports the same, and was first.
                done.known += 1
                continue
            known[one.reference] = run
            done.new.append(run)
        elif one.ending is None:
            done.known += 1
            continue
        else:
            done.updated.append(run)
        try:
            with tempfile.TemporaryDirectory(prefix="lineagelog-") as folder:
                inputs, outputs = fetch(one, Path(folder)) if fetch is not None else ((), ())
                whole = replace(one, inputs=[*one.inputs, *inputs], outputs=[*one.outputs, *outputs])
                done.missing_files += _complete(run, whole, seen, projects)
        except RunClosedError:
            # Somebody else imports the same, and has just completed it.
            continue
    return done


def _complete(run: Run, told: ForeignRun, seen: Seen, projects: dict[str, Project]) -> list[Path]:
    """Record what is known of an open run, and its end; return paths of files that are not there."""
    store = run.store
    if told.project is not None:
        project = projects.get(told.project) or project_of(store, told.project)
        assert project is not None
        projects[told.project] = project if project._saved else project.save()
        run.projects.add(projects[told.project])
    _add_metrics(run, told.metrics)
    missing = add_inputs(run, told.inputs, seen)
    if told.log:
        add_log(run, told.log)
    missing += add_outputs(run, told.outputs, seen)
    if told.ending is not None:
        end(run, told.ending)
    return missing


def transform_of(store: Store, told: ForeignTransform) -> Transform:
    """Register what ran, or find it."""
    return store.Transform(
        check_name(told.key, "the transform key"),
        type=told.type,
        source_code=told.source_code,
        version=told.version,
        reference=told.reference,
    ).save()


def start(
    store: Store,
    told: ForeignRun,
    transform: Transform,
    parent: Run | None = None,
    *,
    ends_with_process: bool = False,
    environment: EnvironmentRecorded | None = None,
) -> Run:
    """Record that a run of another system began.

    Args:
        store: Where to record it.
        told: What is known of it.
        transform: What runs.
        parent: The run that started it.
        ends_with_process: It runs now, and cannot outlive this process.
        environment: The environment it runs in, if that is known.

    Raises:
        ConcurrentWriteError: It is on record already.
        InvalidValueError: Its reference or a parameter cannot be recorded.
    """
    run = store.Run(
        transform,
        name=told.name,
        params=plain(told.params),
        reference=told.reference,
        reference_type=told.reference_type,
        initiated_by_run=parent,
    )
    run._began = told.started_at
    run._git = told.git
    run._command = list(told.command)
    run._environment = environment
    run._ends_with_process = ends_with_process
    return run.save()


def end(run: Run, ending: Ending) -> None:
    """Record how a run of another system ended; one that somebody has ended on record already stays so."""
    at = time_text(max(ending.at, run.started_at))
    text = redact_text(ending.message.replace("\x00", "�")[:_MAX_ERROR])[0]
    fact: RunFinished | RunFailed | RunAborted
    if ending.status == FINISHED:
        fact = RunFinished(finished_at=at)
    elif ending.status == ABORTED:
        fact = RunAborted(finished_at=at, why=check_name(ending.error_type, "the reason"))
    else:
        assert ending.status == FAILED, ending.status
        fact = RunFailed(finished_at=at, error_type=ending.error_type, message=text)
    try:
        run._end(fact)
    except RunClosedError:
        return


class Seen:
    """Files that have become artifacts in this process, so that one read by many runs is hashed and registered once."""

    def __init__(self) -> None:
        self._artifacts: dict[Path, tuple[tuple[int, ...], Artifact]] = {}

    def find(self, path: Path) -> Artifact | None:
        """Return the artifact of a file that has not changed since."""
        stamp, artifact = self._artifacts.get(path, ((), None))
        return artifact if artifact is not None and stamp == _stamp(path) else None

    def add(self, path: Path, artifact: Artifact) -> None:
        """Remember what a file has become."""
        self._artifacts[path] = _stamp(path), artifact


def add_inputs(run: Run, files: Sequence[ForeignFile], seen: Seen | None = None) -> list[Path]:
    """Record what a run has read; files that are not yet artifacts become some that no run made.

    Returns:
        Paths of files that are not there.
    """
    artifacts, missing = _save(run.store, files, None, seen or Seen())
    for artifact in artifacts:
        # Of a run that is over, it is known only that it began with its inputs.
        run.add_input(artifact, at=run.started_at if run.pid is None else None)
    return missing


def add_outputs(run: Run, files: Sequence[ForeignFile], seen: Seen | None = None) -> list[Path]:
    """Save what a run has written.

    Returns:
        Paths of files that are not there.
    """
    return _save(run.store, files, run, seen or Seen())[1]


def add_log(run: Run, text: str) -> None:
    """Keep what a run has printed."""
    from lineagelog.adapters.transcript import Transcript

    if run.log is None:
        transcript = Transcript()
        transcript.add(text.encode(errors="backslashreplace"))
        run._save_log(transcript)


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Make parameters of another system ones that can be recorded: what is not plain becomes text."""
    return {str(name): _plain(value) for name, value in params.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    try:
        return check_json(value, "the parameter")
    except InvalidValueError:
        return str(value)


def _parents_first(told: Iterable[ForeignRun]) -> list[ForeignRun]:
    """Put runs before those that they have started, else leave them in their order."""
    waiting = {one.reference: one for one in told}
    ordered: list[ForeignRun] = []
    for reference in list(waiting):
        chain: list[ForeignRun] = []
        next_up = waiting.pop(reference, None)
        while next_up is not None:
            chain.append(next_up)
            next_up = waiting.pop(next_up.parent, None) if next_up.parent is not None else None
        ordered += reversed(chain)
    return ordered


def _known(store: Store, runs: Sequence[ForeignRun]) -> dict[str, Run]:
    """Find those runs that are on record already, by their reference."""
    types = {one.reference_type for one in runs}
    wanted = [one.reference for one in runs] + [one.parent for one in runs if one.parent is not None]
    rows = find_in(store.log.database, schema.RUNS, "reference", wanted)
    return {row["reference"]: store.Run._from_row(store, row) for row in rows if row["reference_type"] in types}


def _save(store: Store, files: Sequence[ForeignFile], run: Run | None, seen: Seen) -> tuple[list[Artifact], list[Path]]:
    """Make artifacts of files: for inputs those they are already, for outputs of a run new ones."""
    artifacts: dict[Path, Artifact] = {}
    missing: list[Path] = []
    with ExitStack() as stack:
        for file in files:
            known = seen.find(file.path) if run is None else None
            if known is not None:
                artifacts[file.path] = known
            if file.path in artifacts:
                continue
            path = file.path
            try:
                if file.is_temporary and store.find_storage(str(path)) is not None:
                    path = _copied(path, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lineagelog-"))))
                artifacts[file.path] = store.Artifact(path, key=file.key, kind=file.kind, run=run or False)
            except (ObjectMissingError, FileNotFoundError):
                missing.append(file.path)
        save_artifacts(store, [artifact for artifact in artifacts.values() if not artifact._saved])
    for path, artifact in artifacts.items():
        seen.add(path, artifact)
    return list(artifacts.values()), missing


def _stamp(path: Path) -> tuple[int, ...]:
    """Tell whether a file or folder has been written to since it was looked at."""
    found = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    try:
        return tuple(number for each in found for number in (each.stat().st_mtime_ns, each.stat().st_size))
    except OSError:
        return ()


def _copied(path: Path, folder: Path) -> Path:
    """Copy what is about to be removed: a file registered where it lies would soon be missing there."""
    copy = folder / path.name
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copyfile(path, copy)
    return copy


def _add_metrics(run: Run, metrics: Mapping[str, float]) -> None:
    """Set what a run has measured as values of features; NaN and infinity are no values."""
    finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    usable: dict[Any, float] = {}
    for name, value in finite.items():
        try:
            known = find_one(run.store.log.database, schema.FEATURES, name=name, dtype="float")
            feature = (
                run.store.Feature._from_row(run.store, known) if known else run.store.Feature(name, "float").save()
            )
            usable[feature] = value
        except ConstraintError as exc:
            message.warn_once(f"the metric {name!r} was left out: {exc}")
        except InvalidValueError as exc:
            message.warn_once(f"the metric was left out: {exc}")
    if usable:
        run.features.add_values(usable)


def shortened(name: str) -> str:
    """Cut a name of another system to what a name may have here."""
    data = name.encode()
    return name if len(data) <= MAX_NAME_BYTES else data[: MAX_NAME_BYTES - 3].decode(errors="ignore") + "…"
