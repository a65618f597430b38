"""Fixtures for tests: a recorded log of a part of a store, without what tells of people and projects.

A fixture is a log of its own: its events have new positions and a Merkle tree of their own, and its head says where they come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from lineagelog.adapters.log.event_log import read_events
from lineagelog.adapters.log.schema import READ_HEAD
from lineagelog.domain.errors import ExportError, InvalidValueError
from lineagelog.domain.event import RecordedEvent
from lineagelog.domain.pseudonym import LEFT_OUT, UUID7, Pseudonyms, uid
from lineagelog.domain.run import InputAccessed
from lineagelog.domain.user import UserLoggedIn, UserLoggedOut
from lineagelog.domain.values import parse_time
from lineagelog.writing import written_whole

if TYPE_CHECKING:
    import os

    from lineagelog.exporters.scope import Scope
    from lineagelog.projections.reader import Reader
    from lineagelog.registries.record import BaseRecord
    from lineagelog.store import Store

FORMAT: Final = "fixture"
"""Name of the format in the event that records the export."""

_HEADER_AND_FOOTER: Final = 2
_FIRST_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_FAMILIES: Final = tuple(
    f"SELECT t.id FROM {table} t WHERE t.stem IN (SELECT f.stem FROM {table} f WHERE f.id {{these}})"  # noqa: S608
    for table in ("artifacts", "collections", "transforms")
)
_REFERENCES: Final = "SELECT t.topic, t.actor, t.run, t.context, t.payload FROM events t WHERE t.stream {these}"
_STREAMS: Final = "SELECT DISTINCT t.stream FROM events t WHERE t.stream {these}"
_INPUT: Final = InputAccessed.topic
_LOG_INS: Final = (UserLoggedIn.topic, UserLoggedOut.topic)
_OF_THE_WHOLE: Final = frozenset(
    {
        "attempt.refused.1", "checkpoint.sealed.1", "export.made.1", "key.registered.1", "login.failed.1", "storage.checked.1",
        "storage.collected.1",
    }
)  # fmt: skip
"""Topics that speak of the whole store or its whole log, and say nothing of a part."""


@dataclass(frozen=True, slots=True)
class FixtureSummary:
    """What a fixture holds.

    Attributes:
        path: The file.
        scope: `all`, or whose lineage it is.
        n_events: Number of its events.
        n_left_out: Events of the store that it does not hold.
        anonymised: Names, texts, paths and ids were replaced.
    """

    path: Path
    scope: str
    n_events: int
    n_left_out: int
    anonymised: bool


def write_fixture(
    store: Store,
    path: str | os.PathLike[str],
    *,
    subject: BaseRecord | str | None = None,
    direction: str | None = None,
    max_depth: int | None = None,
    anonymise: bool = False,
    shift_times: bool = False,
    keep_numbers: bool = False,
    record: bool = True,
) -> FixtureSummary:
    """Write a recorded log that holds what a test needs and no more; `open_recorded` opens it.

    Args:
        store: The store, or a view of its past.
        path: File to write, by custom ending in `.jsonl`; it is replaced when the fixture is complete.
        subject: An artifact, run, transform or collection, or its uid: only its lineage, with all events of the records that belong
            to it and of those they refer to; everything by default.
        direction: Which way lineage is followed from the subject: `upstream`, `downstream` or `both`; `upstream` by default.
        max_depth: How many derivation steps are followed from the subject; to the end by default.
        anonymise: Replace names, texts, paths, hosts, hashes and ids; leave source code, packages and tracebacks out.
        shift_times: Move all times by as much as brings the first event to the first of January 2000.
        keep_numbers: Leave numbers among parameters and feature values as they are where the rest is anonymised.
        record: Record the fixture as an export, which it is.

    Raises:
        RecordNotFoundError: There is no such subject.
        InvalidValueError: A direction or depth without a subject, or times or numbers are named where nothing is anonymised.
        ExportError: The file cannot be written.
    """
    from lineagelog.adapters.log.transfer import write_derived
    from lineagelog.export import head_of, record_export, scope_of
    from lineagelog.exporters.formats.hashing import HashedFile

    for name, chosen in (("shift_times", shift_times), ("keep_numbers", keep_numbers)):
        if chosen and not anonymise:
            raise InvalidValueError(name, "goes with anonymise; without it everything stays as it was recorded")
    scope = scope_of(store, subject, direction, max_depth=max_depth)
    target = Path(path)
    failure = f"the fixture cannot be written to {target}"
    if target.is_dir():
        # Told now: a fixture is recorded before it gets its name, so that none goes out unrecorded.
        raise ExportError(f"{failure}: it is a folder; name a file")
    with written_whole(target, failure) as out:
        sink = HashedFile(out)
        with store.log.database.snapshot() as snapshot:
            head = head_of(snapshot)
            ((*_, store_format),) = snapshot.read(READ_HEAD)
            events = _everything(snapshot) if scope.is_whole else _part(snapshot, store, scope)
            store_uid = store.uid
            if anonymise:
                names = _pseudonyms(snapshot, shift_times=shift_times, keep_numbers=keep_numbers)
                store_uid = uid(names, store_uid)
                events = filter(None, map(names.event, events))
            # Not of whom: the head tells no more than a test has to know.
            derived = {"from_events": head.position, "anonymised": anonymise, "times_shifted": shift_times}
            n_lines = 0
            for line in write_derived(_renumbered(events), store_uid, store_format, derived):
                sink.write(line)
                n_lines += 1
            n_events = n_lines - _HEADER_AND_FOOTER
        out.flush()
        if record:
            record_export(
                store,
                head,
                format=FORMAT,
                scope=f"{scope}{', anonymised' if anonymise else ''}",
                n_statements=n_events,
                sha256=sink.sha256,
                size_bytes=sink.size_bytes,
            )
    return FixtureSummary(target, str(scope), n_events, head.position - n_events, anonymise)


def _pseudonyms(reader: Reader, *, shift_times: bool, keep_numbers: bool) -> Pseudonyms:
    """Begin with what stands for itself: the event that makes a store has the same id in every log."""
    from lineagelog.founding import CREATED_EVENT_ID

    ((first,),) = reader.read("SELECT recorded_at FROM events WHERE position = 1")
    shift = _FIRST_DAY - parse_time(first) if shift_times else timedelta(0)
    names = Pseudonyms(shift=shift, keep_numbers=keep_numbers)
    names.keep_id(CREATED_EVENT_ID)
    return names


def _everything(reader: Reader) -> Iterator[RecordedEvent]:
    """Read the log, without what speaks of its own head, which a derived log has not."""
    return (event for event in read_events(reader) if event.topic not in LEFT_OUT)


def _part(reader: Reader, store: Store, scope: Scope) -> Iterator[RecordedEvent]:
    """Read the events about the records of a scope, and of all that these refer to.

    Versions of one family stay together, since a newer one says that the older ones are not the latest. Of a run beyond the scope,
    which a record refers to, the inputs beyond it are left out: they would lead through the whole store.
    """
    from lineagelog.exporters.mapping.rows import chunked
    from lineagelog.exporters.part import Part

    kept: set[str] = set()
    sessions: set[str] = set()
    new = {store.id, *Part.find(reader, scope).ids}
    while new:
        kept |= new
        referred = {
            str(record_id) for sql in _FAMILIES for (record_id,) in chunked(reader, sql, new) if record_id is not None
        }
        for topic, actor, run, context, payload in chunked(reader, _REFERENCES, new):
            if topic in _OF_THE_WHOLE or topic in _LOG_INS:
                continue
            sessions.update(UUID7.findall(context))
            referred.update(id_ for id_ in (actor, run) if id_ is not None)
            if topic != _INPUT:
                referred.update(UUID7.findall(payload))
        new = {str(stream) for (stream,) in chunked(reader, _STREAMS, referred - kept)}

    for event in read_events(reader, kept):
        fact = event.fact
        if event.topic in _OF_THE_WHOLE:
            continue
        if isinstance(fact, UserLoggedIn | UserLoggedOut) and fact.session not in sessions:
            continue
        if isinstance(fact, InputAccessed) and fact.artifact not in kept:
            continue
        yield event


def _renumbered(events: Iterable[RecordedEvent]) -> Iterator[RecordedEvent]:
    """Close the gaps that left-out events leave, in the log and in the streams."""
    versions: Counter[str] = Counter()
    for position, event in enumerate(events, start=1):
        versions[event.stream] += 1
        yield msgspec.structs.replace(event, position=position, version=versions[event.stream])
