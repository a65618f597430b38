"""From `track()` to the end of a run in a notebook: what its cells say now, whether they ran so, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lineagelog import message
from lineagelog.adapters.kernel import Found, Kernel
from lineagelog.adapters.notebook import (
    Comparison,
    Execution,
    Notebook,
    compare,
    from_history,
    history_with_outputs,
    with_outputs,
)
from lineagelog.adapters.report import can_report, to_html
from lineagelog.adapters.script import NOTEBOOK_KEY, RunningCode
from lineagelog.domain import clock
from lineagelog.domain.errors import RunClosedError
from lineagelog.domain.ids import TRANSFORM_STEM_LENGTH
from lineagelog.domain.run import RunFinished
from lineagelog.domain.values import time_text
from lineagelog.registries.run import Run
from lineagelog.registries.transform import Transform

_PARAMETERS: Final = "# Parameters\n"
"""The first line of the cell in which papermill sets parameters."""
_NO_NBCONVERT: Final = 'for a report of the notebook with its outputs: pip install "lineagelog[notebook]"'


class FollowedNotebook:
    """The notebook of a run, followed from `track()` to its end.

    People edit a notebook while it runs. When the run ends, the notebook is looked at again: the run is of what it says then.
    """

    def __init__(self, shell: object, code: RunningCode, path: Path | None) -> None:
        self._kernel = Kernel(shell)
        self._path = path or code.path
        self._asked: list[int] = []
        if code.notebook is None or not code.notebook.from_history:
            return
        if code.key == NOTEBOOK_KEY:
            message.warn(
                "nothing tells which file this notebook is: it is tracked by what the kernel executes. Name it: "
                'ln.track(path="study.ipynb")'
            )
        else:
            message.warn(
                f"{code.key} cannot be read here: it was never saved, is no .ipynb file, or lies on another machine. It is tracked "
                "by what the kernel executes"
            )

    def leave(self) -> None:
        """Follow the notebook no longer."""
        self._kernel.leave()

    @property
    def broken_off_by(self) -> BaseException | None:
        """The error in a cell at which a program gave the notebook up; people go on after errors."""
        return None if self._kernel.is_attended else self._kernel.error

    def should_wait(self) -> bool:
        """Tell whether the notebook should be saved first, which is asked for once; programs are not asked."""
        found = self._kernel.find(self._path)
        if self._asked or not self._kernel.is_attended or found.notebook is None:
            return False
        history = self._history(found.notebook)
        if not compare(found.notebook, history).lacks_source:
            return False
        self._asked.append(history[-1].number)
        message.warn("the notebook has changed since it was saved: save it and run ln.finish() again")
        return True

    def finish(self, run: Run, *, report: bool) -> None:
        """End the run as finished.

        Args:
            run: The run.
            report: Save a report, and say what is worth knowing of the cells.

        Raises:
            RunClosedError: It has ended already.
        """
        self.leave()
        found = self._kernel.find(self._path)
        history = self._history(found.notebook)
        comparison = compare(found.notebook, history) if found.notebook is not None else None
        notebook = found.notebook
        if notebook is None or comparison is None or comparison.lacks_source:
            notebook = from_history(execution.source for execution in history)
        becomes = self._save(run, notebook)
        if report:
            _tell(comparison, notebook)
            self._save_report(run, found, self._whole(found.notebook, comparison, history))
        imports = self._kernel.imports()
        fact = RunFinished(
            finished_at=time_text(clock.now()),
            is_consecutive=comparison.is_consecutive if comparison is not None else None,
            stale_cells=comparison.stale if comparison is not None else [],
            unrun_cells=comparison.unrun if comparison is not None else [],
            imports=imports,
        )
        run._end(fact, becomes=becomes)

    def _history(self, notebook: Notebook | None) -> list[Execution]:
        """List what was executed as part of the notebook.

        That is without the calls of `finish()` that asked for the notebook to be saved, and without the parameters that papermill
        puts into the copy that it runs, and that the notebook itself does not hold.
        """
        history = self._kernel.history()
        now = history[-1].source if history else ""
        own = [each for each in history if each.number not in self._asked or each.source != now or each is history[-1]]
        if notebook is None or self._kernel.is_attended:
            return own
        return [each for each in own if not each.source.startswith(_PARAMETERS) or notebook.holds(each.source)]

    def _save(self, run: Run, notebook: Notebook) -> Transform:
        """Register what the notebook says now, if it is not what it said at `track()`."""
        before = run.transform
        now: Transform = run.store.Transform(
            before.key, type="notebook", description=notebook.title, uid=before.uid[:TRANSFORM_STEM_LENGTH]
        )
        now._source = notebook.source()
        now._stored_source = notebook.redacted_source()
        now.save()
        if now != before:
            message.info(
                f"the notebook has changed since ln.track(): it is now Transform(uid={now.uid!r}, key={now.key!r})"
            )
        return now

    def _whole(
        self, saved: Notebook | None, comparison: Comparison | None, history: Sequence[Execution]
    ) -> Mapping[str, Any]:
        """Put the notebook together with what came of it: as it was saved since, else as the kernel has shown it.

        Outputs of an earlier execution are not those of this run.
        """
        if saved is None or comparison is None or comparison.lacks_source:
            return history_with_outputs(history, self._kernel.outputs())
        return with_outputs(saved, comparison, self._kernel.outputs()) if comparison.lacks_output else saved.content

    def _save_report(self, run: Run, found: Found, whole: Mapping[str, Any]) -> None:
        if not can_report():
            message.hint(_NO_NBCONVERT)
            return
        try:
            run._save_report(to_html(whole, Path(found.name or run.transform.key).stem))
        except RunClosedError:
            raise
        except Exception as exc:  # noqa: BLE001 - outputs may be anything, and no report is worth a run that does not end
            message.warn(f"the report of the notebook could not be kept: {exc}")


def _tell(comparison: Comparison | None, notebook: Notebook) -> None:
    """Say what keeps the notebook from telling how its results came about."""
    if notebook.from_history:
        message.hint("the notebook is not saved: what the kernel has executed is kept as the source of the run")
    if comparison is None or comparison.is_consecutive:
        return
    if comparison.stale:
        message.warn(f"{_cells(comparison.stale)} changed after running")
    if comparison.unrun:
        message.warn(f"{_cells(comparison.unrun)} did not run")
    if not comparison.stale and not comparison.unrun:
        message.warn("the cells did not run once each from top to bottom: restart the kernel and run all to be sure")


def _cells(numbers: list[int]) -> str:
    return f"cell{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))} of the notebook"
