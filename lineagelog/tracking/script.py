"""`track()` and `finish()`: a script or notebook records itself.

The run that `track()` starts holds for the whole process. It ends at `finish()`; without it at the end of the process: as failed
after an uncaught exception or an exit code other than 0, as aborted after an interrupt, else as finished.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Literal

from lineagelog import current, message
from lineagelog.adapters.transcript import Listener, Transcript
from lineagelog.domain.errors import InvalidValueError, LineageLogError, NoRunError, RunClosedError
from lineagelog.domain.ids import TRANSFORM_STEM_LENGTH, new_uid
from lineagelog.domain.transform import check_uid
from lineagelog.domain.values import check_name
from lineagelog.preferences import settings
from lineagelog.projections import schema
from lineagelog.projections.rows import find_one
from lineagelog.registries.run import Run, end_run
from lineagelog.registries.transform import Transform
from lineagelog.store import Store

if TYPE_CHECKING:
    from lineagelog.adapters.descriptors import DescriptorListener
    from lineagelog.adapters.ending import MainModule
    from lineagelog.registries.project import Project
    from lineagelog.tracking.notebook import FollowedNotebook
    from lineagelog.tracking.typed import FollowedPrompt

_main_module: MainModule | None = None
"""Tells at the end of the process how that came."""
_run_pid: int | None = None
"""The process that started the run of `track()`. A forked child saves into that run, but only its own process ends it."""
_listener: Listener | DescriptorListener | None = None
"""Keeps what the script prints while its run lasts."""
_notebook: FollowedNotebook | None = None
"""Follows the notebook whose cells are the run."""
_prompt: FollowedPrompt | None = None
"""Follows the prompt whose lines are the run."""
_TERMINATING: Final = (signal.SIGTERM, signal.SIGHUP)
_ABORT_TIMEOUT_S = 5.0


def track(
    transform: Transform | str | None = None,
    *,
    uid: str | None = None,
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    project: Project | str | None = None,
    log: bool | Literal["all"] | None = None,
    path: str | os.PathLike[str] | None = None,
    store: Store | None = None,
) -> Run:
    """Start a run of the script or notebook that is running, or of a given transform.

    The source of the script is stored as a version of a transform: the same source is the same version, changed source is the next
    version of the family, which is known by its file name, or by `uid` if one is given.

    Args:
        transform: What runs, if it is not the running script; or a uid, as in `ln.track("1LCd8kco9lZU")`.
        uid: 12 characters that keep a renamed script one family.
        params: Parameters of the run; what looks like a secret is redacted.
        name: Name of the run.
        project: Project the run belongs to, or its name; one that does not exist is created.
        log: Keep what the script prints as `run.log`; `settings.keep_log` by default. With `"all"` also what libraries in C, forked
            processes and programs print that the script starts; their output then comes through a process of its own.
        path: File of the script or notebook, where it cannot be found out: a kernel does not know which notebook a program runs
            in it, unless that is papermill or was started with the notebook's name.
        store: Store to track in; the current one by default.

    Returns:
        The run, which is the current one until `finish()`.

    Raises:
        InvalidValueError: A parameter cannot be recorded, or the running code cannot be found and no transform was given.
        StoreNotFoundError: There is no current store.
    """
    from lineagelog.adapters import environment, git, script

    global _run_pid, _listener, _notebook, _prompt
    if log not in (None, True, False, "all"):
        raise InvalidValueError("log", f"is {log!r}; it must be True, False or 'all'")
    if isinstance(transform, str):
        uid, transform = transform, None
    target = store if store is not None else current.current_store()
    code = None
    file = _existing(path) if path is not None else None
    if file is not None and transform is not None:
        raise InvalidValueError("the path", "names what runs, and so does the transform; pass one of them to track()")
    if transform is None:
        stem = check_uid(uid) if uid is not None else None
        code = script.running_code(sys._getframe(1).f_globals, file)
        if code.kind == "unknown":
            raise InvalidValueError(
                "track()",
                "finds no script, notebook or prompt: Python is a part of another program here, or of a worker process. Pass "
                'what runs: ln.track(ln.Transform(key="my analysis"))',
            )
        kind = "notebook" if code.notebook is not None else "script"
        transform = target.Transform(code.key, type=kind, description=code.title, uid=stem)
        transform._source = code.source_bytes
        if code.notebook is not None:
            transform._stored_source = code.notebook.redacted_source()
            params = {**code.notebook.parameters, **(params or {})}
    elif not isinstance(transform, Transform):
        raise TypeError(f"track() takes a Transform or a uid, not {type(transform).__name__}")
    belongs_to = project_of(target, project)
    previous = current.process_run()
    run = target.Run(transform, params=params, name=name)
    run._environment = environment.capture()
    run._command = list(sys.orig_argv)
    run._git = git.git_state(code.path, message.warn) if code is not None and code.path is not None else None
    if previous is not None and _run_pid == os.getpid():
        _finish_previous(previous)
    transform.save()
    run._begin_here()
    if belongs_to is not None:
        if not belongs_to._saved:
            belongs_to.save()
            message.info(f"created Project(uid={belongs_to.uid!r}, name={belongs_to.name!r})")
        run.projects.add(belongs_to)
    current.set_process_run(run)
    _run_pid = os.getpid()
    # At a prompt and in a notebook errors end a line or a cell, not the process.
    _install_hooks(watch=code.kind == "script" if code is not None else not script.is_interactive())
    if run.git_dirty and code is not None and code.path is not None and settings.keep_diff:
        patch = git.uncommitted(code.path)
        if patch is not None:
            run._save_diff(patch)
    action = "created" if transform._is_new else "using"
    message.info(f"{action} Transform(uid={transform.uid!r}, key={transform.key!r})")
    if code is not None and code.lacks_source is not None:
        message.warn(f"the run has no source: {code.key} {code.lacks_source}")
    elif transform._is_new and transform.version_number and uid is None and code is not None:
        message.hint(
            f"it is version {transform.version_number + 1} of a {code.kind} of this name; if it is another, give each a family "
            f"of its own: ln.track({new_uid(TRANSFORM_STEM_LENGTH)!r})"
        )
    message.info(f"started Run(uid={run.uid!r}) as {target.user.handle} in {target.name}")
    if code is not None and code.notebook is not None and script.in_kernel():
        from lineagelog.tracking.notebook import FollowedNotebook

        _notebook = FollowedNotebook(script.ipython_shell(), code, file)
    if code is not None and code.kind == "prompt":
        from lineagelog.tracking.typed import FollowedPrompt

        _prompt = FollowedPrompt(code)
    if code is not None and code.kind == "script" and (settings.keep_log if log is None else log):
        # A log may be stored when the process ends, and this, which storage needs, can no longer be imported then.
        import_module("concurrent.futures.thread")
        if log == "all":
            from lineagelog.adapters.descriptors import DescriptorListener

            _listener = DescriptorListener()
        else:
            _listener = Listener(Transcript())
    return run


def finish() -> Run:
    """End the run that `track()` started.

    In a notebook that has changed since it was saved, the first call asks for it to be saved, and the second one ends the run.

    Returns:
        The run; it is finished, unless the notebook is to be saved first.

    Raises:
        NoRunError: `track()` was not called, or the run has ended already.
    """
    run = current.process_run()
    if run is None:
        raise NoRunError("there is no run to finish: call ln.track() at the beginning of the script")
    if _notebook is not None and run.is_open and _notebook.should_wait():
        return run
    current.set_process_run(None)
    _keep_log(run)
    _end_as(run, None, report=True)
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else 0.0
    message.info(f"finished Run(uid={run.uid!r}) after {seconds:.1f} s")
    return run


def project_of(store: Store, project: Project | str | None) -> Project | None:
    """Find the project that is meant, or describe a new one."""
    if project is None:
        return None
    from lineagelog.registries.project import Project

    if isinstance(project, str):
        known = find_one(store.log.database, schema.PROJECTS, name=check_name(project, "the name of the project"))
        return store.Project._from_row(store, known) if known is not None else store.Project(project)
    if not isinstance(project, Project):
        raise TypeError(f"track() takes a Project or the name of one, not {type(project).__name__}")
    if project.store.id != store.id:
        raise InvalidValueError("the project", f"belongs to the store {project.store.name}, the run to {store.name}")
    return project


def _finish_previous(run: Run) -> None:
    """End the run of an earlier `track()` in this process: its work is over when the next begins."""
    current.set_process_run(None)
    try:
        _keep_log(run)
        _end_as(run, None)
    except RunClosedError:
        return
    message.info(f"finished Run(uid={run.uid!r}), since a new one begins")


def _end_as(run: Run, error: BaseException | None, *, report: bool = False) -> None:
    """End the run as an error, or its absence, says; if it is a notebook's, as one of what the notebook says now."""
    global _notebook
    notebook, _notebook = _notebook, None
    _keep_typed(run)
    if notebook is not None and error is None and not report:
        error = notebook.broken_off_by
    if notebook is None:
        end_run(run, error)
    elif error is None:
        notebook.finish(run, report=report)
    else:
        notebook.leave()
        end_run(run, error)


def _existing(path: str | os.PathLike[str]) -> Path:
    """Find the file that a caller names as the code that runs.

    Raises:
        InvalidValueError: There is none.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise InvalidValueError("the path", f"of the running code is {str(path)!r}; there is no such file")
    return file


def _keep_typed(run: Run) -> None:
    """Make the run one of what was typed, if it is one of a prompt."""
    global _prompt
    prompt, _prompt = _prompt, None
    if prompt is not None:
        prompt.leave(run)


def _keep_log(run: Run) -> None:
    """Save what the script has printed; a log that cannot be saved keeps no run from its end."""
    global _listener
    listener, _listener = _listener, None
    if listener is None:
        return
    listener.close()
    try:
        run._save_log(listener.transcript)
    except RunClosedError:
        raise
    except Exception as exc:  # noqa: BLE001 - at the end of a process anything may be gone already
        message.warn(f"what the run has printed could not be kept: {exc}")


def _install_hooks(*, watch: bool) -> None:
    from lineagelog.adapters.ending import MainModule

    global _main_module
    if _main_module is not None:
        return
    _main_module = MainModule(watch=watch)
    atexit.register(_at_exit)
    if threading.current_thread() is threading.main_thread():
        for number in _TERMINATING:
            # Who handles a signal, or ignores it as `nohup` does, goes on doing so.
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _on_terminate)


def _on_terminate(number: int, _frame: FrameType | None) -> None:
    """Record the interrupt, then let the signal do what it would have done."""
    run = current.process_run()
    # Pools of processes end their workers by this very signal.
    if run is not None and _run_pid == os.getpid():
        current.set_process_run(None)
        # The signal may have come in the middle of a write: this thread, which holds its locks, would wait for itself for ever.
        ending = threading.Thread(target=_abort, args=(run, signal.Signals(number).name), daemon=True)
        ending.start()
        ending.join(_ABORT_TIMEOUT_S)
        if ending.is_alive():
            message.warn(
                f"the run could not be ended on record: {signal.Signals(number).name} came in the middle of a write"
            )
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _abort(run: Run, why: str) -> None:
    try:
        _keep_log(run)
        _keep_typed(run)
        run.abort(why)
    except LineageLogError as exc:
        message.warn(f"the run could not be ended on record: {exc}")


def _at_exit() -> None:
    error = _main_module.left_by() if _main_module is not None else None
    if _main_module is not None and not _main_module.is_certain and current.process_run() is not None:
        message.warn(
            "Python 3.11 does not tell which exit code the script gave, so 0 is taken for it; give one that counts by calling "
            "sys.exit() in the function that knows it"
        )
    _end(error)
    if isinstance(error, KeyboardInterrupt):
        # Python ends by the signal itself, as shells expect, if an interrupt was the last thing that text compiled in this
        # process had to say; what was imported to end the run has compiled some since.
        with suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102


def _end(error: BaseException | None) -> None:
    run = current.process_run()
    if run is None or _run_pid != os.getpid():
        return
    current.set_process_run(None)
    try:
        _keep_log(run)
        _end_as(run, error)
    except RunClosedError:
        return
    except LineageLogError as exc:
        message.warn(f"the run could not be ended on record: {exc}")
        return
    message.info(f"{run.status} Run(uid={run.uid!r}) at the end of the process")
