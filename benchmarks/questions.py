"""Questions in SPARQL: the first of a store, the same again, and after some more events, in memory and on disk, on SQLite."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.foundation import append_history, artifact_event, empty_store
from benchmarks.measure import Figure, median_seconds, seconds
from lineagelog import Store, Transform
from lineagelog.asking import index_folder
from lineagelog.domain.ids import new_id, new_uid
from lineagelog.domain.run import RunFinished, RunStarted
from lineagelog.preferences import settings

_QUESTION = "SELECT ?run ?data { ?run prov:used ?data } LIMIT 10"
_EVENTS_OF_TEN_ARTIFACTS = 17
_NEW_EVENTS = 100


def questions(n: int) -> Iterator[Figure]:
    """Ask about so many artifacts."""
    with empty_store() as store, tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        settings.cache_dir = Path(folder)
        append_history(store, n * _EVENTS_OF_TEN_ARTIFACTS // 10)
        for place, on_disk in (("in memory", False), ("on disk", True)):
            ask = partial(store.sparql, _QUESTION, on_disk=on_disk)
            first = seconds(ask)
            again = median_seconds(ask, 5)
            _append_run(store)
            later = seconds(ask)
            size = sum(path.stat().st_size for path in index_folder().rglob("*") if path.is_file())
            about = f"{n:,} artifacts, graph {place}"
            beside = f"{size / 1e6:,.0f} MB in the cache folder" if on_disk else ""
            yield Figure(f"first question, {about}", f"{first:.1f} s", "", beside, True)
            yield Figure(
                "the same again",
                f"{again * 1e3:.0f} ms",
                "500 ms",
                f"the first, ratio {first / again:,.0f}",
                again <= 0.5,
            )
            yield Figure(
                f"after {_NEW_EVENTS} new events",
                f"{later * 1e3:,.0f} ms",
                "a tenth of the first",
                f"the first, ratio {first / later:,.0f}",
                later <= first / 10,
            )
        settings.cache_dir = None


def _append_run(store: Store) -> None:
    """Append a run that makes as many artifacts as there are to be new events, but for its own two."""
    transform, storage = Transform("history").save(), store.default_storage_id
    run, number, now = new_id(), store.log.head().position, "2026-01-01T00:00:00.000000Z"
    started = RunStarted(uid=new_uid(16), transform=transform.id, started_at=now)
    events = [store.new_event(started, run)]
    for _ in range(_NEW_EVENTS - 2):
        number += 1
        events.append(store.new_event(artifact_event(storage, number, run), new_id(), run=run))
    store.append([*events, store.new_event(RunFinished(finished_at=now), run, 2)])


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {"questions": partial(questions, 10_000)}

LONG: dict[str, Callable[[], Iterator[Figure]]] = {"questions-100k": partial(questions, 100_000)}
"""Benchmarks that take minutes, run if they are named."""
