"""What calls were given and gave back, as far as it was read from artifacts.

A function that loads data and returns them has inputs and no outputs; one that is given data and saves what it makes of them has
outputs and no inputs. Unless the one hands over and the other takes, no lineage leads from the data to the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from lineagelog import current
from lineagelog.domain import clock
from lineagelog.domain.artifact import DELETED
from lineagelog.domain.errors import ConcurrentWriteError
from lineagelog.domain.run import STARTED, InputAccessed
from lineagelog.domain.values import time_text
from lineagelog.projections import schema
from lineagelog.projections.rows import find, find_one
from lineagelog.registries.origin import Origin, origins_of, remember
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    from lineagelog.domain.event import Event
    from lineagelog.projections.rows import Readable, RowDict
    from lineagelog.registries.run import Run

RETURNED: Final = "returned"
"""How a run came by what a call has read for it."""

GIVEN: Final = "given"
"""How a call came by what its arguments were loaded from."""

_MAX_HELD: Final = 100


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
    remember(result, [Origin(call.store.id, artifact_id) for artifact_id, _ in call._used])
    caller = current.current_run(call.store)
    if caller is None or caller.id == call.id:
        return
    _add_inputs(caller, call._used - caller._used, RETURNED)


def take_given(call: Run, arguments: Iterable[object]) -> None:
    """Record as inputs of a call what the data that it is given were loaded from, as far as that is known.

    Args:
        call: Run of the call, which has just begun.
        arguments: What it was given; of lists, tuples and dictionaries what they hold.
    """
    given = {origin.artifact_id for origin in _origins(arguments) if origin.store_id == call.store.id}
    _add_inputs(call, {(artifact_id, "input") for artifact_id in given}, GIVEN)


def _origins(values: Iterable[object]) -> Iterator[Origin]:
    for value in values:
        held = list(islice(_held(value), _MAX_HELD))
        for item in (value, *held):
            yield from origins_of(item)


def _held(value: object) -> Iterable[object]:
    if type(value) is dict:
        return value.values()
    return value if type(value) in (list, tuple) else ()  # type: ignore[return-value]


def _add_inputs(run: Run, pairs: Iterable[tuple[str, str]], how: str) -> None:
    """Record inputs of a run, given by artifact and role, in one transaction."""
    new = sorted(pairs)
    if not new:
        return
    now = time_text(clock.now())
    database = run.store.log.database
    taken: list[InputAccessed] = []

    def decide(row: RowDict) -> list[Event]:
        taken[:] = [
            InputAccessed(artifact=artifact_id, how=how, accessed_at=now, role=role)
            for artifact_id, role in new
            if row["status"] == STARTED and _is_input(database, run.id, artifact_id, role)
        ]
        return list(taken)

    def check_not_deleted(reader: Readable) -> None:
        # Its stream is free to other writers, so only a look under the lock can tell.
        if any(_is_deleted(reader, fact.artifact) for fact in taken):
            raise ConcurrentWriteError(f"an artifact that {run.uid} reads has just been deleted")

    run.store.append_all_next(schema.RUNS, run.id, decide, run=run.id, guard=check_not_deleted)
    run._used.update(new)


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
