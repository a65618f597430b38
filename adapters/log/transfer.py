"""Recorded logs: a whole log as lines of JSON, and the way back into an empty database.

The first line is a header, then comes one line for each event in the order of the log with every column of it, and the last line
holds their number and the Merkle tree head. Reading recomputes every leaf hash and the head: a line that was altered, added,
left out or moved, and a file that was cut short, are refused, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from lineagelog.adapters.log.database import Database, Transaction
from lineagelog.adapters.log.event_log import Head, create_projections, to_recorded
from lineagelog.adapters.log.schema import EVENTS, READ_HEAD, create_log
from lineagelog.domain.errors import LogCorruptError, SchemaVersionError, StoreExistsError
from lineagelog.domain.event import RecordedEvent, encode
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.store import FORMAT_VERSION, StoreCreated
from lineagelog.projections.projector import project_all
from lineagelog.projections.table import Scalar

RECORDING_FORMAT: Final = 1
"""Form of recorded logs; a reader refuses numbers it does not know."""

_BATCH: Final = 5_000
_KINDS: Final = {column.name: int if column.kind == "int" else str for column in EVENTS.columns}
_NULLABLE: Final = frozenset(column.name for column in EVENTS.columns if column.null)


def write_log(database: Database, store_uid: str) -> Iterator[bytes]:
    """Write the log of a database, as of the moment of the first line.

    Args:
        database: Where it lies.
        store_uid: Uid of its store, which the header names.

    Yields:
        The lines, each with its line feed.

    Raises:
        LogCorruptError: The events are not those the head of the log speaks of.
    """
    with database.snapshot() as snapshot:
        ((_, _, head_root, store_format),) = snapshot.read(READ_HEAD)
        yield _line({"lineagelog_recording": RECORDING_FORMAT, "store": store_uid, "format": store_format})
        frontier = Frontier()
        sql = f"SELECT {', '.join(EVENTS.names)} FROM {EVENTS.name} ORDER BY position"  # noqa: S608 - names from the schema only
        for row in snapshot.stream(sql):
            frontier.extend((leaf_hash(encode_entry(row[:-1])),))
            yield _line(dict(zip(EVENTS.names, row, strict=True)))
        if frontier.root().hex() != head_root:
            raise LogCorruptError(
                f"the log of {database.name} is not the one that was written, so it was not recorded; "
                "run `prov verify` to find the place"
            )
        yield _line({"count": frontier.size, "root": head_root})


def write_derived(
    events: Iterable[RecordedEvent], store_uid: str, store_format: int, derived: Mapping[str, Any]
) -> Iterator[bytes]:
    """Write a log that was made from another one: with leaf hashes and a tree head of its own, and a header that says so.

    Args:
        events: The events, at the positions that they are to have.
        store_uid: Uid of the store they make, which the header names.
        store_format: Form of that store.
        derived: What the header says of where they come from.

    Yields:
        The lines, each with its line feed.
    """
    header = {"lineagelog_recording": RECORDING_FORMAT, "store": store_uid, "format": store_format}
    yield _line({**header, "derived": dict(derived)})
    frontier = Frontier()
    for event in events:
        columns = (
            event.position, event.event_id, event.stream, event.version, event.topic, event.recorded_at, event.actor, event.run,
            event.reason, event.context, encode(event.fact),
        )  # fmt: skip
        leaf = leaf_hash(encode_entry(columns))
        frontier.extend((leaf,))
        yield _line(dict(zip(EVENTS.names, (*columns, leaf.hex()), strict=True)))
    yield _line({"count": frontier.size, "root": frontier.root().hex()})


def read_log(database: Database, lines: Iterable[bytes], name: str) -> Head:
    """Read a recorded log into an empty database: the same positions, ids and times, and the registries that follow from them.

    Args:
        database: Where it goes; tables are made if they are not there.
        lines: What `write_log` gave.
        name: What an error calls the recorded log.

    Returns:
        The end of the log that was read.

    Raises:
        LogCorruptError: A line is not as it was written, or the end is missing; nothing was recorded.
        SchemaVersionError: A newer version of the software has written it.
        StoreExistsError: The database holds a log already.
    """
    create_log(database)
    create_projections(database)
    with database.write() as transaction:
        ((last_position, *_),) = transaction.read(READ_HEAD)
        if last_position:
            raise StoreExistsError(
                f"{database.name} holds a store already; a recorded log can be read into an empty database only"
            )
        reading = _Reading(name)
        frontier = reading.run(transaction, lines)
        root = frontier.root().hex()
        transaction.execute(
            "UPDATE log_head SET format = ?, position = ?, frontier = ?, root = ? WHERE id = 1",
            (reading.store_format, frontier.size, frontier.to_bytes().hex(), root),
        )
    return Head(frontier.size, root)


class _Reading:
    """One reading of a recorded log, line by line."""

    def __init__(self, name: str) -> None:
        self.store_format = FORMAT_VERSION
        self._name = name
        self._number = 0
        self._frontier = Frontier()
        self._store = ""
        self._store_was_made = False

    def run(self, transaction: Transaction, lines: Iterable[bytes]) -> Frontier:
        """Write every event and what it projects; the caller's transaction keeps all or nothing."""
        rows: list[tuple[Scalar, ...]] = []
        events: list[RecordedEvent] = []
        ended = False
        for self._number, line in enumerate(lines, start=1):
            data = self._parse(line)
            if ended:
                raise self._refused("something follows the last line")
            if self._number == 1:
                self._check_header(data)
            elif "count" in data:
                self._check_footer(data)
                ended = True
            else:
                row = self._check_event(data)
                rows.append(row)
                events.append(self._decoded(row))
                if len(rows) >= _BATCH:
                    _write(transaction, rows, events)
        if not ended:
            self._number += 1
            raise self._refused("the end is missing: the file was cut short")
        _write(transaction, rows, events)
        return self._frontier

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            return msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, ValueError, RecursionError) as exc:
            raise self._refused(f"it is not a line of JSON with an object ({exc})") from exc

    def _check_header(self, data: dict[str, Any]) -> None:
        number = data.get("lineagelog_recording")
        if type(number) is not int or not isinstance(data.get("store"), str):
            raise self._refused("it is not the header of a recorded log")
        if number > RECORDING_FORMAT:
            raise SchemaVersionError(
                f"{self._name} is a recorded log of format {number}; this software knows formats up to {RECORDING_FORMAT}. "
                "Install a newer lineagelog"
            )
        self._store = data["store"]
        # Recordings of the first version name none.
        store_format = data.get("format", FORMAT_VERSION)
        if type(store_format) is not int or store_format < 1:
            raise self._refused(f"its format is {store_format!r}, which no store has")
        self.store_format = max(store_format, FORMAT_VERSION)

    def _check_event(self, data: dict[str, Any]) -> tuple[Scalar, ...]:
        if tuple(data) != EVENTS.names:
            raise self._refused("it has not the columns of an event")
        for column, value in data.items():
            if type(value) is not _KINDS[column] and not (value is None and column in _NULLABLE):
                raise self._refused(f"its {column} is {value!r}, which no event has")
            if isinstance(value, str) and "\x00" in value:
                raise self._refused(f"its {column} holds a NUL character")
        row = tuple(data.values())
        position = self._frontier.size + 1
        if row[0] != position:
            raise self._refused(f"it holds event {row[0]} where event {position} was expected")
        leaf = leaf_hash(encode_entry(row[:-1]))
        if leaf.hex() != row[-1]:
            raise self._refused(
                f"event {position} was altered after it was recorded: its content does not give its leaf hash"
            )
        self._frontier.extend((leaf,))
        return row

    def _decoded(self, row: tuple[Scalar, ...]) -> RecordedEvent:
        event = to_recorded(row[:-1])
        if isinstance(event.fact, StoreCreated) and event.fact.uid != self._store:
            raise self._refused(
                f"the header speaks of the store {self._store}, but event {event.position} made another"
            )
        self._store_was_made |= isinstance(event.fact, StoreCreated)
        return event

    def _check_footer(self, data: dict[str, Any]) -> None:
        found = {"count": self._frontier.size, "root": self._frontier.root().hex()}
        if data != found:
            raise self._refused(
                f"it speaks of {data.get('count')!r} events with the tree head {data.get('root')!r}, "
                f"but there are {found['count']} with the tree head {found['root']}"
            )
        if not self._store_was_made:
            raise self._refused("no event before it made a store")

    def _refused(self, why: str) -> LogCorruptError:
        return LogCorruptError(f"{self._name} cannot be replayed, line {self._number}: {why}. Record the log anew")


def _write(transaction: Transaction, rows: list[tuple[Scalar, ...]], events: list[RecordedEvent]) -> None:
    transaction.insert_rows(EVENTS.name, EVENTS.names, rows)
    transaction.apply(project_all(events))
    rows.clear()
    events.clear()


def _line(data: dict[str, Any]) -> bytes:
    return msgspec.json.encode(data) + b"\n"
