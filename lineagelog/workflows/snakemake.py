"""What Snakemake does, as runs: one for the workflow, and one for each attempt of each job, started by it.

Snakemake tells its loggers when jobs start, finish and fail; what a job is, its files, parameters and rule, is read off the
workflow in the same moment. Hashing and recording follow in a thread of their own, so that no job waits for it, except where a file
is temporary: Snakemake removes it as soon as it goes on.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lineagelog import api, current, message
from lineagelog.domain.errors import LineageLogError
from lineagelog.domain.run import ABORTED, FAILED, FINISHED
from lineagelog.workflows.foreign import (
    Ending,
    ForeignFile,
    ForeignRun,
    ForeignTransform,
    Seen,
    add_inputs,
    add_log,
    add_outputs,
    end,
    shortened,
    start,
    transform_of,
)

if TYPE_CHECKING:
    from lineagelog.registries.run import Run
    from lineagelog.registries.transform import Transform

SYSTEM: Final = "snakemake"
"""Reference type of the runs."""

_MAX_LOG_BYTES: Final = 8 << 20
_OWN_RESOURCES: Final = ("_nodes", "_cores")
_NO_FILES: Final = ("pipe", "service")
"""Flags of outputs that are connections between jobs, no files."""


@dataclass(slots=True)
class _Job:
    """A job while it runs.

    Attributes:
        told: What is known of it.
        outputs: What it is to write.
        logs: Its log files.
        run: Its run, once that is recorded.
    """

    told: ForeignRun
    outputs: list[ForeignFile]
    logs: list[Path]
    run: Run | None = None


@dataclass(slots=True)
class _Workflow:
    """The workflow of this process.

    Attributes:
        key: Name of its transform; those of its rules begin with it.
        id: Snakemake's id of this execution.
        started_at: When it began.
        run: Its run, begun with its first job.
    """

    key: str = ""
    id: str = ""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    run: Run | None = None


class Recorder(logging.Handler):
    """Listens to what Snakemake logs, and records it."""

    def __init__(self, store: str | None = None, project: str | None = None) -> None:
        """Begin to listen.

        Args:
            store: Store to record in; the current one by default.
            project: Project the workflow belongs to.

        Raises:
            StoreNotFoundError: There is no such store.
        """
        super().__init__(logging.INFO)
        self._store = api.connect(store) if store is not None else current.current_store()
        self._project = project
        self._workflow = _Workflow()
        self._before = current.process_run()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="lineagelog")
        self._pending: list[Future[None]] = []
        self._jobs: dict[int, _Job] = {}
        self._temporary: set[Path] = set()
        self._last_error = threading.local()
        self._has_failed = False
        self._heard_at = datetime.now(UTC)
        self._seen = Seen()
        self._transforms: dict[str, Transform] = {}
        self._is_closed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Hear one message of Snakemake's; whatever goes wrong in recording it stops no job."""
        event = str(getattr(record, "event", ""))
        hear = self._hearers().get(event)
        self._heard_at = datetime.fromtimestamp(record.created, UTC)
        if hear is None or self._is_closed:
            return
        try:
            hear(record)
        except Exception as exc:  # noqa: BLE001 - a workflow goes on without its record, and says so
            self._complain(exc)

    def close(self) -> None:
        """End the workflow on record, and what of its jobs has not ended."""
        if not self._is_closed:
            self._is_closed = True
            self._worker.shutdown(wait=True)
            try:
                self._end_workflow()
            except Exception as exc:  # noqa: BLE001 - the same
                self._complain(exc)
            current.set_process_run(self._before)
        super().close()

    def _hearers(self) -> Mapping[str, Callable[[Any], None]]:
        return {
            "workflow_started": self._workflow_started,
            "job_info": self._job_started,
            "job_finished": self._job_finished,
            "error": self._error,
            "job_error": self._job_failed,
        }

    def _workflow_started(self, record: Any) -> None:
        self._workflow = _Workflow(id=str(record.workflow_id), started_at=self._heard_at)

    def _job_started(self, record: Any) -> None:
        job = _job_of(record.jobid)
        if job.rule.norun:
            # A target such as `all` only names what is wanted.
            return
        parent = self._workflow.run or self._begin_workflow()
        told = self._described(job, record)
        outputs = [_file(path, _is(path, "temp")) for path in job.output if not any(_is(path, f) for f in _NO_FILES)]
        self._temporary |= {file.path for file in outputs if file.is_temporary}
        running = _Job(told, outputs, [Path(log).absolute() for log in job.log])
        self._jobs[record.jobid] = running

        def begin() -> None:
            transform = self._transforms.get(told.transform.key) or transform_of(self._store, told.transform)
            self._transforms[told.transform.key] = transform
            running.run = start(self._store, told, transform, parent, ends_with_process=True)
            self._report(add_inputs(running.run, told.inputs, self._seen))

        self._do(begin)

    def _job_finished(self, record: Any) -> None:
        job = self._jobs.pop(record.job_id, None)
        if job is None:
            return
        ending = Ending(FINISHED, self._heard_at)

        def finish() -> None:
            if job.run is not None:
                self._report(add_outputs(job.run, job.outputs, self._seen))
                self._finish(job, ending)

        self._do(finish)
        touched = {file.path for file in (*job.outputs, *job.told.inputs)}
        if touched & self._temporary:
            for future in self._pending:
                future.result()

    def _error(self, record: logging.LogRecord) -> None:
        self._last_error.text = record.getMessage()
        self._last_error.kind = getattr(record, "exception", "Error")

    def _job_failed(self, record: Any) -> None:
        self._has_failed = True
        job = self._jobs.pop(record.jobid, None)
        if job is None:
            # Said again at the end.
            return
        text = getattr(self._last_error, "text", "") or record.rule_msg or f"rule {record.rule_name} failed"
        ending = Ending(FAILED, self._heard_at, getattr(self._last_error, "kind", "Error"), str(text).strip())
        self._do(lambda: self._finish(job, ending))

    def _finish(self, job: _Job, ending: Ending) -> None:
        if job.run is None:
            return
        texts = [_read_log(path) for path in job.logs if path.is_file()]
        add_log(job.run, "".join(texts))
        end(job.run, ending)

    def _begin_workflow(self) -> Run:
        """Start the run of the workflow; one that has nothing to do leaves none."""
        from lineagelog.adapters import environment, git
        from lineagelog.tracking.script import project_of

        workflow = _workflow()
        snakefile = Path(str(workflow.main_snakefile))
        self._workflow.key = _workflow_key(snakefile)
        told = ForeignRun(
            reference=self._workflow.id,
            reference_type=SYSTEM,
            transform=ForeignTransform(self._workflow.key, source_code=_text_of(snakefile)),
            started_at=self._workflow.started_at,
            params={"config": dict(workflow.globals.get("config") or {})},
            git=git.git_state(snakefile),
            command=list(sys.argv),
        )
        transform = transform_of(self._store, told.transform)
        parent = current.current_run(self._store)
        run = start(self._store, told, transform, parent, ends_with_process=True, environment=environment.capture())
        belongs_to = project_of(self._store, self._project)
        if belongs_to is not None:
            run.projects.add(belongs_to if belongs_to._saved else belongs_to.save())
        # Scripts that jobs run, and that record themselves, find it.
        current.set_process_run(run)
        self._workflow.run = run
        message.info(f"started Run(uid={run.uid!r}) of {self._workflow.key} in {self._store.name}")
        return run

    def _described(self, job: Any, record: Any) -> ForeignRun:
        rule = job.rule
        wildcards = dict(job.wildcards_dict)
        params = dict(job.params.items())
        described = {
            "params": params or list(job.params),
            "wildcards": wildcards,
            "threads": job.threads,
            "resources": {name: value for name, value in job.resources.items() if name not in _OWN_RESOURCES},
            "log": [str(log) for log in job.log],
            "reason": record.reason,
            "attempt": job.attempt,
        }
        words = [rule.name, *(f"{name}={value}" for name, value in wildcards.items())]
        return ForeignRun(
            reference=f"{self._workflow.id}/{record.jobid}/{job.attempt}",
            reference_type=SYSTEM,
            transform=ForeignTransform(f"{self._workflow.key}:{rule.name}", source_code=_source_of(rule)),
            started_at=self._heard_at,
            name=shortened(" ".join(words)),
            params={name: value for name, value in described.items() if value},
            inputs=self._inputs([path for path in job.input if not any(_is(path, flag) for flag in _NO_FILES)]),
            command=["bash", "-c", job.shellcmd] if job.shellcmd else (),
        )

    def _inputs(self, paths: list[str]) -> list[ForeignFile]:
        """List what a job reads; with a file in a folder that a job made also the folder, which is what that job has made."""
        # Asked of the rules, since a job that need not run again may not be known.
        patterns = [output for rule in _workflow().rules for output in rule.output if _is(output, "directory")]
        parents = dict.fromkeys(str(parent) for path in paths for parent in Path(path).parents) if patterns else {}
        folders = [parent for parent in parents if any(pattern.match(parent) for pattern in patterns)]
        files = [_file(path) for path in dict.fromkeys([*paths, *folders])]
        return [replace(file, is_temporary=True) if file.path in self._temporary else file for file in files]

    def _end_workflow(self) -> None:
        run = self._workflow.run
        if run is None:
            return
        for job in self._jobs.values():
            self._finish(job, Ending(ABORTED, self._heard_at, "Snakemake ended before the job did"))
        logs = [Path(path) for path in _workflow().logger_manager.get_logfile()]
        add_log(run, "".join(_read_log(path) for path in logs if path.is_file()))
        if self._has_failed:
            ending = Ending(FAILED, self._heard_at, "WorkflowError", "at least one job failed")
        elif self._jobs:
            ending = Ending(ABORTED, self._heard_at, "Snakemake ended before all jobs did")
        else:
            ending = Ending(FINISHED, self._heard_at)
        end(run, ending)
        message.info(f"{run.refresh().status} Run(uid={run.uid!r}) of {self._workflow.key}")

    def _do(self, work: Callable[[], None]) -> None:
        """Record something in the background, after what came before it."""

        def guarded() -> None:
            try:
                work()
            except Exception as exc:  # noqa: BLE001 - a workflow goes on without its record, and says so
                self._complain(exc)

        self._pending = [future for future in self._pending if not future.done()]
        self._pending.append(self._worker.submit(guarded))

    def _report(self, missing: list[Path]) -> None:
        for path in missing:
            message.warn(f"{path} is not on record: it was gone before it could be read")

    def _complain(self, error: Exception) -> None:
        what = str(error) if isinstance(error, LineageLogError | OSError) else f"{type(error).__name__}: {error}"
        message.warn(f"Snakemake goes on, but the record of it has a gap: {what}")


def _workflow() -> Any:
    """Return the workflow of this process.

    Loggers are not given it; Snakemake keeps it among the globals in which Snakefiles are run.
    """
    from snakemake import workflow

    return vars(workflow)["workflow"]


def _job_of(job_id: int) -> Any:
    dag = _workflow().dag
    return next(job for job in list(dag.jobs) if dag.jobid(job) == job_id)


def _is(path: Any, flag: str) -> bool:
    return bool(getattr(path, "flags", {}).get(flag))


def _file(path: str, is_temporary: bool = False) -> ForeignFile:
    place = Path(os.path.abspath(path))  # noqa: PTH100 - without following links, which would be another name
    here = Path.cwd()
    key = place.relative_to(here).as_posix() if place.is_relative_to(here) else place.name
    return ForeignFile(place, key, is_temporary=is_temporary)


def _workflow_key(snakefile: Path) -> str:
    """Name a workflow by its folder and the place of its Snakefile in it: most are called `Snakefile`."""
    here = Path.cwd()
    if snakefile.is_relative_to(here):
        return f"{here.name}/{snakefile.relative_to(here).as_posix()}"
    return f"{snakefile.parent.name}/{snakefile.name}"


def _source_of(rule: Any) -> str | None:
    """Return a rule as it stands in its Snakefile, followed by the script it runs, if it does."""
    snakefile = Path(str(rule.snakefile))
    text = rule_text(_text_of(snakefile) or "", rule.name) or rule.shellcmd
    for script in (rule.script, rule.notebook):
        content = _text_of(snakefile.parent / str(script)) if script is not None else None
        if content is not None:
            text = f"{text or ''}\n# {script}\n{content}"
    return str(text) if text else None


def rule_text(snakefile: str, name: str) -> str | None:
    """Find the lines of a rule in the text of a Snakefile: from its head to the next line that is not further in."""
    head = re.search(rf"^([ \t]*)(?:rule|checkpoint)[ \t]+{re.escape(name)}[ \t]*:", snakefile, re.MULTILINE)
    if head is None:
        return None
    kept: list[str] = []
    quote: str | None = None
    for line in snakefile[head.start() :].splitlines():
        indent = len(line) - len(line.lstrip())
        if kept and quote is None and line.strip() and indent <= len(head[1]):
            break
        kept.append(line)
        # Text in triple quotes may stand further out than the rule it belongs to.
        for mark in re.findall(r'"""|\'\'\'', line):
            quote = mark if quote is None else None if mark == quote else quote
    return "\n".join(kept).strip("\n")


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _read_log(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_LOG_BYTES).decode(errors="replace")
