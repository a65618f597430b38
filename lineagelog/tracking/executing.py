"""Running another program as a run: its declared inputs and outputs, its output and its exit are on record; it is not touched."""

from __future__ import annotations

import glob
import os
import shlex
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from lineagelog import current, message
from lineagelog.content.saving import save_artifacts
from lineagelog.domain import clock
from lineagelog.domain.errors import InvalidValueError, LineageLogError, ObjectMissingError
from lineagelog.domain.ids import ARTIFACT_STEM_LENGTH, VERSION_LENGTH, is_base62
from lineagelog.domain.redaction import redact_text
from lineagelog.domain.run import RunAborted, RunFailed
from lineagelog.domain.values import time_text
from lineagelog.projections import schema
from lineagelog.projections.rows import find_one

if TYPE_CHECKING:
    from lineagelog.adapters.filetrace import Opened
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.run import Run
    from lineagelog.store import Store

_UID_LENGTH: Final = ARTIFACT_STEM_LENGTH + VERSION_LENGTH
_PATTERN: Final = frozenset("*?[")
_CLOCK_SLACK_S: Final = 0.05
"""Files are stamped with the time of the kernel's last tick, which may lie a little before the start."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program ran.

    Attributes:
        run: Its run, which has ended.
        exit_code: Its exit code; 128 and the number of the signal that ended it, as shells tell it.
        outputs: Artifacts made of the declared outputs.
        opened: Files it opened below the working directory, if they were watched.
    """

    run: Run
    exit_code: int
    outputs: tuple[Artifact, ...]
    opened: Opened | None = None


def execute(
    command: Sequence[str],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    key: str | None = None,
    uid: str | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    project: str | None = None,
    log: bool = True,
    watch: bool = False,
    output: TextIO | None = None,
    store: Store | None = None,
) -> Execution:
    """Run a program as a run of the store.

    What it runs is a transform: the script that an interpreter is given, with its source, or an installed program by its name. The
    run ends as finished if the program ends with 0, as aborted if a signal ends it, else as failed. Outputs are saved
    only of a program that has finished. Programs that record themselves become runs started by this one.

    Args:
        command: The program and its arguments.
        inputs: Paths, patterns such as `raw/*.csv`, or uids of artifacts. A file is registered first, if it is not yet.
        outputs: Paths or patterns of what it writes; of those only what it has written is saved.
        key: Name of the transform.
        uid: 12 characters that keep a renamed program one family.
        name: Name of the run.
        params: Parameters of the run.
        project: Project the run belongs to.
        log: Keep what the program prints as an artifact of kind `run_log`; without it the program gets this process's own streams.
        watch: Find out which files below the working directory it opens; on Linux, with `strace`.
        output: Where the program's standard output goes; this process's own by default.
        store: Store to record in; the current one by default.

    Raises:
        ObjectMissingError: There is no such program or input, or it did not write an output.
        StorageError: It cannot be started, or `strace` is missing.
    """
    from lineagelog.adapters import git
    from lineagelog.adapters.filetrace import read_trace, traced
    from lineagelog.adapters.program import code_of, run_program
    from lineagelog.adapters.transcript import Transcript
    from lineagelog.tracking.script import project_of

    if not command:
        raise InvalidValueError("the command", "is empty; say what to run: prov run -- PROGRAM ARGUMENTS")
    target = store if store is not None else current.current_store()
    code = code_of(command)
    transform = target.Transform(key or code.key, type="script" if code.source is not None else "app", uid=uid)
    transform._source = code.source
    run = target.Run(transform, params=params, name=name)
    run._command = list(command)
    run._git = git.git_state(code.path, message.warn) if code.path is not None else None
    belongs_to = project_of(target, project)
    used = _inputs(target, inputs)
    with tempfile.TemporaryDirectory(prefix="lineagelog-") as scratch:
        trace = Path(scratch) / "trace"
        words = traced(command, trace) if watch else list(command)
        transcript = Transcript() if log else None
        run._begin_here()
        try:
            if belongs_to is not None:
                run.projects.add(belongs_to.save() if not belongs_to._saved else belongs_to)
            for artifact in used:
                run.add_input(artifact)
            began = time.time() - _CLOCK_SLACK_S
            exit_code, is_heard_no_more = run_program(
                words, environment=_environment(run), transcript=transcript, output=output
            )
            if is_heard_no_more:
                message.warn(
                    f"{command[0]} has ended, but what it started goes on and can print no more; let it write to a file, or run "
                    "it with --no-log"
                )
            opened = read_trace(trace, Path.cwd()) if watch and trace.exists() else None
            made = _outputs(run, outputs, began) if exit_code == 0 else []
            if transcript is not None:
                run._save_log(transcript)
        except BaseException as error:
            with suppress(LineageLogError):
                run.fail(error)
            raise
    _end(run, Path(command[0]).name, exit_code)
    message.info(f"{run.status} Run(uid={run.uid!r}) of {transform.key}")
    return Execution(run, exit_code if exit_code >= 0 else 128 - exit_code, tuple(made), opened)


def _environment(run: Run) -> dict[str, str]:
    return {**os.environ, current.INHERITED_RUN: current.told(run), "LINEAGELOG_STORE": run.store.address}


def _end(run: Run, program: str, exit_code: int) -> None:
    at = time_text(clock.now())
    if exit_code == 0:
        run.finish()
    elif exit_code < 0:
        run._end(RunAborted(finished_at=at, why=signal.Signals(-exit_code).name))
    else:
        text = redact_text(f"{program} ended with exit code {exit_code}")[0]
        run._end(RunFailed(finished_at=at, error_type="ExitStatus", message=text))


def _inputs(store: Store, named: Sequence[str]) -> list[Artifact]:
    """Find or register what a program is said to read.

    Raises:
        ObjectMissingError: A path or pattern leads nowhere.
    """
    found: list[Artifact] = []
    new: list[Artifact] = []
    for text in named:
        row = find_one(store.log.database, schema.ARTIFACTS, uid=text) if _is_uid(text) else None
        if row is not None:
            found.append(store.Artifact._from_row(store, row))
            continue
        paths = _expanded(text)
        if not paths:
            raise ObjectMissingError(f"there is no input {text!r}; check the path, pattern or uid")
        new += [store.Artifact(path, key=_key(path), run=False) for path in paths]
    save_artifacts(store, new)
    for artifact in new:
        _hint_at_source(artifact)
    return [*found, *new]


def _hint_at_source(artifact: Artifact) -> None:
    """Point out that the lineage of an input ends at its new name, although its content was made on record."""
    if artifact.run_id is not None or not artifact.size:
        return
    made = artifact.store.Artifact.filter(hash=artifact.hash, run__isnull=False).exclude(id=artifact.id).last()
    if made is not None and made.transform is not None:
        message.hint(
            f"{artifact.key} has the content of {made.key or 'an artifact'}, made by {made.transform.key}; for a lineage that "
            f"goes on to that, name it by its uid: --input {made.uid}"
        )


def _outputs(run: Run, named: Sequence[str], began: float) -> list[Artifact]:
    """Save what a program was said to write, as far as it did.

    Raises:
        ObjectMissingError: A path was not written, or a pattern leads to nothing that was.
    """
    made: list[Artifact] = []
    for text in named:
        paths = [path for path in _expanded(text) if _last_written(path) >= began]
        if not paths:
            raise ObjectMissingError(
                f"the program has not written {text!r}, which was declared as its output; check the path or pattern"
            )
        made += [run.store.Artifact(path, key=_key(path), run=run) for path in paths]
    save_artifacts(run.store, made)
    return made


def _expanded(text: str) -> list[Path]:
    path = Path(text)
    if path.exists() or not _PATTERN & set(text):
        return [path] if path.exists() else []
    return [Path(found) for found in sorted(glob.glob(text, recursive=True)) if Path(found).is_file()]  # noqa: PTH207 - a pattern may begin anywhere


def _last_written(path: Path) -> float:
    inside = [path, *path.rglob("*")] if path.is_dir() else [path]
    return max(found.stat().st_mtime for found in inside)


def _key(path: Path) -> str:
    """Name a file by its path below the working directory, or by its name alone."""
    place = path.resolve()
    return place.relative_to(Path.cwd()).as_posix() if place.is_relative_to(Path.cwd()) else place.name


def _is_uid(text: str) -> bool:
    return len(text) == _UID_LENGTH and is_base62(text)


def suggestions(execution: Execution, inputs: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """Write the options that would declare what the program has opened and nobody has declared."""
    if execution.opened is None:
        return []
    known = {path.resolve() for text in (*inputs, *outputs) for path in _expanded(text)}
    reads = [f"--input {shlex.quote(_key(path))}" for path in execution.opened.read if path.resolve() not in known]
    writes = [f"--output {shlex.quote(_key(path))}" for path in execution.opened.written if path.resolve() not in known]
    if reads or writes:
        message.hint(f"it also opened files that were not declared: {' '.join([*reads, *writes])}")
    return [*reads, *writes]
