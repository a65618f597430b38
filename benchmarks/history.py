"""Looking back: whether the log is what was recorded, and a store as of an earlier event, the first time and again, on SQLite."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.foundation import append_history, empty_store
from benchmarks.measure import Figure, median_seconds, process_peak_mb, seconds
from lineagelog import Store
from lineagelog.preferences import settings


def as_of(n: int = 100_000) -> Iterator[Figure]:
    """Open a store as of its middle and as of a little later, and read an artifact each time."""
    with empty_store() as store, tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        settings.cache_dir = Path(folder)
        append_history(store, n)
        middle = n // 2

        def look(position: int) -> None:
            with store.as_of(position) as past:
                assert past.Artifact.filter().first() is not None

        first = seconds(partial(look, middle))
        again = median_seconds(partial(look, middle), 5)
        nearby = seconds(partial(look, middle + n // 100))
        with Store.open(str(store.folder)) as other:
            # Another process has to find out for itself that the view is right.
            unseen = seconds(lambda: other.as_of(middle).close())
        whole = seconds(partial(look, n))
        settings.cache_dir = None
    yield Figure(
        f"as of event {middle:,} of {n:,}, first",
        f"{first:.1f} s",
        f"{5 * n / 100_000:g} s",
        f"{middle / first:,.0f} events/s",
        first <= 5 * n / 100_000,
    )
    yield Figure(
        "the same again", f"{again * 1e3:.0f} ms", "50 ms", f"in another process {unseen * 1e3:.0f} ms", again <= 0.05
    )
    yield Figure(
        f"as of {n // 100:,} events later",
        f"{nearby:.1f} s",
        "a tenth of the first",
        "built on the one before",
        nearby < first / 10,
    )
    yield Figure(f"as of event {n:,}, built on these", f"{whole:.1f} s", "", "", True)


def verify(n: int = 60_000) -> Iterator[Figure]:
    """Check a whole store, its log alone, and one in which a row was changed."""
    with empty_store() as store:
        append_history(store, n)
        n = store.log.head().position
        yield _checked(f"verify of {n:,} events, every row compared", n, 100_000, lambda: store.verify().ok)
        peak = process_peak_mb(f"import lineagelog as ln\nassert ln.open({str(store.folder)!r}).verify().ok")
        yield Figure("memory of it", f"{peak:.0f} MiB", "200 MiB", "", peak < 200)
        yield _checked(f"verify of {n:,} events, the log alone", n, 100_000, lambda: store.verify(log_only=True).ok)
        with store.log.database.write() as transaction:
            transaction.execute(
                "UPDATE artifacts SET description = 'changed' WHERE position = (SELECT max(position) FROM artifacts)"
            )
        yield _checked(f"verify of {n:,} events, replayed to name a changed row", n, 0, lambda: not store.verify().ok)


def _checked(what: str, n: int, aim: int, check: Callable[[], bool]) -> Figure:
    start = time.process_time()
    took = seconds(lambda: check() or sys.exit("the check has not found what it must"))
    cpu_s = time.process_time() - start
    aims = f"{aim:,} events/s" if aim else ""
    return Figure(
        what, f"{n / took:,.0f} events/s", aims, f"{n / cpu_s:,.0f} a second of processor time", n / took >= aim
    )


def audit(n: int = 100_000) -> Iterator[Figure]:
    """Find in the audit trail what one user did, what happened to one record, and every change of one field."""
    with empty_store() as store:
        append_history(store, n)
        store.login("ana", name="Ana")
        artifact = store.Artifact.filter().last()
        assert artifact is not None
        artifact.description = "changed"
        artifact.save(reason="for the benchmark")
        for what, conditions in (
            ("user", {"who": "ana"}),
            ("record", {"record": artifact.uid}),
            ("field", {"field": "description"}),
        ):
            took = median_seconds(lambda conditions=conditions: list(store.audit(**conditions)), 3)  # type: ignore[misc]
            yield Figure(
                f"audit trail of one {what} among {n:,} events", f"{took * 1e3:.0f} ms", "1,000 ms", "", took <= 1
            )


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {"verify": verify, "as-of": as_of, "audit": audit}

LONG: dict[str, Callable[[], Iterator[Figure]]] = {
    "as-of-million": partial(as_of, 1_000_000),
    "verify-million": partial(verify, 1_000_000),
}
"""Benchmarks that take minutes, run if they are named."""
