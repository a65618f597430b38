"""The log, tracking, saving, lineage and export on SQLite."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Figure, median_seconds, process_cpu_s, process_peak_mb, seconds
from lineagelog import Artifact, Run, Store, Transform
from lineagelog.domain.artifact import ArtifactRegistered
from lineagelog.domain.event import NewEvent
from lineagelog.domain.ids import new_id, new_uid, versioned_uid
from lineagelog.domain.run import InputAccessed, RunFinished, RunStarted
from lineagelog.preferences import settings
from lineagelog.projections.lineage import closure


@contextmanager
def empty_store() -> Iterator[Store]:
    """Make a store in a folder of its own, the current one until the end."""
    settings.verbosity = "silent"  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, Store.create(folder) as store, store.as_current():
        yield store


def bulk_save(n: int = 10_000) -> Iterator[Figure]:
    """Save artifacts that lie in storage already, in one call, the median of three stores; hashing is left out."""
    took = statistics.median(_bulk_save(n) for _ in range(3))
    limit, rate = _bare_insert(n), n / took
    yield Figure(
        f"bulk save of {n:,} artifacts in storage, hashing left out",
        f"{rate:,.0f}/s",
        "10,000/s",
        f"bare INSERT of as many rows of the same width: {n / limit:,.0f}/s, ratio {took / limit:.1f}",
        rate >= 10_000,
    )


def _bulk_save(n: int) -> float:
    with empty_store() as store:
        assert store.folder is not None
        folder = store.folder / "data"
        folder.mkdir()
        for number in range(n):
            (folder / f"{number:05d}.txt").write_text(str(number))
        with Run(Transform("import")):
            artifacts = [Artifact(path) for path in sorted(folder.iterdir())]
            backend = store.storage_backend(store.default_storage_id)
            kind = type(backend)
            original = kind.hash_in_place
            known = {path: backend.hash_in_place(path) for _, path in (a._place for a in artifacts if a._place)}
            kind.hash_in_place = lambda _self, path, _progress=None: known[path]  # type: ignore[method-assign]
            try:
                return seconds(lambda: store.save(artifacts))
            finally:
                kind.hash_in_place = original  # type: ignore[method-assign]


def single_save(n: int = 300) -> Iterator[Figure]:
    """One durable append of one artifact against one bare commit that is as durable, in turn."""
    with empty_store() as store, tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        bare = _bare_database(Path(folder) / "bare.db")
        storage, append, commit = store.default_storage_id, [], []
        for number in range(n):
            event = store.new_event(artifact_event(storage, number), new_id())
            append.append(seconds(lambda event=event: store.append([event])))  # type: ignore[misc]
            commit.append(seconds(lambda number=number: _bare_commit(bare, number)))  # type: ignore[misc]
        bare.close()
    mine, limit = statistics.median(append), statistics.median(commit)
    yield Figure(
        "one durable save of one artifact's record",
        f"{mine * 1e3:.2f} ms",
        "3x a bare commit",
        f"bare fsync'd commit: {limit * 1e3:.2f} ms, ratio {mine / limit:.1f}",
        mine / limit <= 3,
    )


def start() -> Iterator[Figure]:
    """Processor time of whole processes."""
    empty = process_cpu_s(["-c", "pass"])
    imported = process_cpu_s(["-c", "import lineagelog"])
    yield Figure(
        "`import lineagelog`, whole process",
        f"{imported:.3f} s CPU",
        "0.15 s",
        f"`python -c pass`: {empty:.3f} s",
        imported < 0.15,
    )
    with empty_store() as store, tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text("import lineagelog as ln\nln.track(params={'lr': 0.1})\nln.finish()\n")
        tracked = process_cpu_s([str(script)], LINEAGELOG_STORE=str(store.folder), LINEAGELOG_QUIET="1")
    yield Figure(
        "script with `track()` and `finish()`, whole process",
        f"{tracked:.3f} s CPU",
        "0.4 s",
        f"`python -c pass`: {empty:.3f} s",
        tracked < 0.4,
    )


def lineage(steps: int = 200) -> Iterator[Figure]:
    """The closure of a long chain."""
    with empty_store() as store:
        _append_chain(store, steps)
        last = store.Artifact.filter().last()
        assert last is not None
        with store.log.database.snapshot() as snapshot:
            took = median_seconds(lambda: closure(snapshot, artifact_ids=[last.id], direction="upstream"), 20)
            found = closure(snapshot, artifact_ids=[last.id], direction="upstream")
            assert len(found.runs) == steps
    yield Figure(
        f"lineage closure of a {steps}-step chain",
        f"{took * 1e3:.1f} ms",
        "10 ms",
        f"{len(found.edges)} edges",
        took < 0.010,
    )


def rebuild(n: int = 60_000) -> Iterator[Figure]:
    """Registries made anew from the log."""
    with empty_store() as store:
        append_history(store, n)
        events = store.log.head().position
        took = seconds(store.rebuild)
    yield Figure(
        f"rebuild of {events:,} events",
        f"{events / took:,.0f} events/s",
        "30,000 events/s",
        "",
        events / took >= 30_000,
    )


def export_memory() -> Iterator[Figure]:
    """Memory of an export as the store grows tenfold."""
    for format_name in ("prov-json", "n-quads"):
        peaks = []
        for n in (5_000, 50_000):
            with empty_store() as store:
                append_history(store, n)
                code = (
                    "import lineagelog as ln\n"
                    f"ln.open({str(store.folder)!r}).export({str(store.folder)!r} + '/out', "
                    f"format={format_name!r}, record=False)"
                )
                peaks.append(process_peak_mb(code))
        yield Figure(
            f"memory of a {format_name} export",
            f"{peaks[1]:.0f} MiB at 50,000 events",
            "flat",
            f"{peaks[0]:.0f} MiB at 5,000 events",
            peaks[1] < peaks[0] * 1.2,
        )


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "bulk-save": bulk_save,
    "single-save": single_save,
    "start": start,
    "lineage": lineage,
    "rebuild": rebuild,
    "export-memory": export_memory,
}


def artifact_event(storage: str, number: int, run: str | None = None) -> ArtifactRegistered:
    """Make the event of an artifact whose bytes are said to lie in storage."""
    return ArtifactRegistered(
        uid=versioned_uid(new_uid(16), 0),
        version_number=0,
        storage=storage,
        path=f"data/{number:07d}.csv",
        size_bytes=number,
        hash=f"{number:064x}",
        key=f"data/{number:07d}.csv",
        key_is_virtual=False,
        suffix=".csv",
        run=run,
    )


def _append_chain(store: Store, steps: int) -> None:
    """Append runs each of which reads the artifact of the one before."""
    transform, storage = Transform("chain").save(), store.default_storage_id
    events: list[NewEvent] = []
    previous = None
    for number in range(steps):
        run, artifact = new_id(), new_id()
        now = "2026-01-01T00:00:00.000000Z"
        events.append(store.new_event(RunStarted(uid=new_uid(16), transform=transform.id, started_at=now), run))
        version = 1
        if previous is not None:
            version += 1
            events.append(store.new_event(InputAccessed(artifact=previous, how="load", accessed_at=now), run, version))
        events.append(store.new_event(artifact_event(storage, number, run), artifact, run=run))
        events.append(store.new_event(RunFinished(finished_at=now), run, version + 1))
        previous = artifact
    store.append(events)


def append_history(store: Store, n: int) -> None:
    """Append about `n` events as a year of work would leave them: runs with five inputs and ten outputs."""
    transform, storage = Transform("history").save(), store.default_storage_id
    recent: list[str] = []
    number, now = 0, "2026-01-01T00:00:00.000000Z"
    events: list[NewEvent] = []
    while store.log.head().position + len(events) < n:
        run = new_id()
        events.append(store.new_event(RunStarted(uid=new_uid(16), transform=transform.id, started_at=now), run))
        inputs = recent[-50::10]
        for version, artifact in enumerate(inputs, start=2):
            events.append(store.new_event(InputAccessed(artifact=artifact, how="load", accessed_at=now), run, version))
        for _ in range(10):
            number += 1
            recent.append(new_id())
            events.append(store.new_event(artifact_event(storage, number, run), recent[-1], run=run))
        events.append(store.new_event(RunFinished(finished_at=now), run, len(inputs) + 2))
        if len(events) > 10_000:
            store.append(events)
            events = []
            del recent[:-100]
    store.append(events)


def _bare_database(path: Path) -> sqlite3.Connection:
    """Open a database with the same durability as a store's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE bare (position INTEGER PRIMARY KEY, payload TEXT)")
    return connection


def _bare_commit(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO bare (payload) VALUES (?)", (f"{number:0600d}",))
    connection.execute("COMMIT")


def _bare_insert(n: int) -> float:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        bare = _bare_database(Path(folder) / "bare.db")

        def insert() -> None:
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany("INSERT INTO bare (payload) VALUES (?)", ((f"{number:01200d}",) for number in range(n)))
            bare.execute("COMMIT")

        took = seconds(insert)
        bare.close()
    return took
