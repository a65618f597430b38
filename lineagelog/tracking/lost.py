"""Runs whose process ended without saying so: killed outright, or gone with the machine. They are found, and ended on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lineagelog.domain.errors import ConstraintError, RunClosedError
from lineagelog.domain.run import LOST, STARTED
from lineagelog.projections import schema
from lineagelog.projections.rows import find

if TYPE_CHECKING:
    from lineagelog.registries.run import Run
    from lineagelog.store import Store


def lost_runs(store: Store) -> list[Run]:
    """Find the runs of this machine that are open on record while their process is gone."""
    rows = find(store.log.database, schema.RUNS, status=STARTED)
    return [run for run in (store.Run._from_row(store, row) for row in rows) if run.is_lost]


def close_lost(runs: Sequence[Run], *, reason: str | None = None, force: bool = False) -> list[Run]:
    """End lost runs on record, as aborted.

    Args:
        runs: The runs; all are looked at before the first is ended.
        reason: Why, in the user's words.
        force: Also those that may be alive still: on another machine, or held open by no process.

    Returns:
        Those that were ended; one that has ended by itself meanwhile is left as it is.

    Raises:
        ConstraintError: A run may be alive still.
        RunClosedError: A run has ended already.
    """
    for run in runs:
        if not run.is_open:
            raise RunClosedError(run.uid, run.status)
        if not force and not run.is_lost:
            where = f"its process {run.pid} on {run.host}" if run.pid is not None else "whoever started it"
            raise ConstraintError(
                f"run {run.uid} may be alive: {where} may still be at work; if you know better, pass force=True (or --force)"
            )
    ended = []
    for run in runs:
        try:
            ended.append(run.abort(LOST, reason=reason))
        except RunClosedError:
            run.refresh()
    return ended
