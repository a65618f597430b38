"""What a call read, handed to the run that it returns to.

A function that loads data and returns them has inputs and no outputs; the run that called it goes on to save what it makes of them,
and has outputs and no inputs. Unless the caller is told, no lineage leads from the one to the other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from lineagelog import current
from lineagelog.domain import clock
from lineagelog.domain.artifact import DELETED
from lineagelog.domain.errors import ConcurrentWriteError
from lineagelog.domain.run import STARTED, InputAccessed
from lineagelog.domain.values import time_text
from lineagelog.projections import schema
from lineagelog.projections.rows import find, find_one
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    from lineagelog.domain.event import Event
    from lineagelog.projections.rows import Readable, RowDict
    from lineagelog.registries.run import Run

RETURNED: Final = "returned"
"""How a run came by what a call has read for it."""


def hand_over(call: Run, result: object) -> None:
    """Record what a call has read as inputs of the run around it, if the call gives back anything made of it.

    Records that it gives back know by themselves where they come from. What the run around it has made is no input of it. A run
    that has ended takes nothing over.

    Args:
        call: Run of the call; the current run is that of the caller again.
        result: What the call has returned, or a generator yielded.
    """
    if not call._used or not _is_data(result) or call.pid != os.getpid():
        return
    caller = current.current_run(call.store)
    if caller is None or caller.id == call.id:
        return
    new = sorted(call._used - caller._used)
    if not new:
        return
    now = time_text(clock.now())
    database = call.store.log.database
    taken: list[InputAccessed] = []

    def decide(row: RowDict) -> list[Event]:
        taken[:] = [
            InputAccessed(artifact=artifact_id, how=RETURNED, accessed_at=now, role=role)
            for artifact_id, role in new
            if row["status"] == STARTED and _is_input(database, caller.id, artifact_id, role)
        ]
        return list(taken)

    def check_not_deleted(reader: Readable) -> None:
        # Its stream is free to other writers, so only a look under the lock can tell.
        if any(_is_deleted(reader, fact.artifact) for fact in taken):
            raise ConcurrentWriteError(f"an artifact that {call.uid} has read has just been deleted")

    call.store.append_all_next(schema.RUNS, caller.id, decide, run=caller.id, guard=check_not_deleted)
    caller._used.update(new)


def _is_data(value: object) -> bool:
    """Tell whether a value may hold what was read: anything but records, and containers of nothing else."""
    if value is None or isinstance(value, BaseRecord):
        return False
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(_is_data(item) for item in value)
    return True


def _is_input(reader: Readable, run_id: str, artifact_id: str, role: str) -> bool:
    """Tell whether an artifact becomes an input of a run: it is none in this role yet, and neither the run's own nor deleted."""
    edges = find(reader, schema.EDGES, run_id=run_id, artifact_id=artifact_id)
    is_known = any(edge["kind"] != "used" or edge["role"] == role for edge in edges)
    return not is_known and not _is_deleted(reader, artifact_id)


def _is_deleted(reader: Readable, artifact_id: str) -> bool:
    return find_one(reader, schema.ARTIFACTS, id=artifact_id, state=DELETED) is not None
