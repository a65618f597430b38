"""Fixtures and an assertion for tests of code that tracks itself: a store of its own, recorded logs, replay against live tables.

pytest loads this module in every environment that has the package, so it imports nothing of it before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import os

    from lineagelog.domain.clock import SteppedClock
    from lineagelog.store import Store

_CLOCK_FROM = "2026-01-01T00:00:00Z"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "lineagelog_clock(start='2026-01-01T00:00:00Z', step_s=1, seed=0): stores of this test get their times from a clock that "
        "goes on by one step with each reading, and the same ids and uids each time",
    )


@pytest.fixture
def lineagelog_clock(request: pytest.FixtureRequest) -> Iterator[SteppedClock]:
    """Replace the clock and the randomness of stores: the same test makes the same log, byte for byte, each time and everywhere.

    The marker `lineagelog_clock` sets the first time and the step. `lineagelog_clock.advance(timedelta(days=1))` lets time go by.
    """
    from datetime import datetime, timedelta

    from lineagelog.domain.clock import SteppedClock, using

    marker = request.node.get_closest_marker("lineagelog_clock")
    options = dict(marker.kwargs) if marker is not None else {}
    start, step_s = options.pop("start", _CLOCK_FROM), options.pop("step_s", 1)
    clock = SteppedClock(
        datetime.fromisoformat(start) if isinstance(start, str) else start, timedelta(seconds=step_s), **options
    )
    with using(clock):
        yield clock


@pytest.fixture
def lineagelog_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """Make an empty store in the test's own folder, the current one for the length of the test.

    Configuration and cache folders are the test's own, so that no store or log-in of the person who runs the test plays a part.
    """
    if "lineagelog_clock" in request.fixturenames or request.node.get_closest_marker("lineagelog_clock") is not None:
        # Whatever the order of a test's arguments: the first events of the store are made under its clock.
        request.getfixturevalue("lineagelog_clock")
    from lineagelog import current
    from lineagelog.store import Store

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg-config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    for name in ("LINEAGELOG_STORE", "LINEAGELOG_USER", "LINEAGELOG_CACHE_DIR", "LINEAGELOG_CACHE_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    run_before = current.process_run()
    current.set_process_run(None)
    store = Store.create(tmp_path / "lineagelog-store")
    try:
        with store.as_current():
            yield store
    finally:
        current.set_process_run(run_before)
        store.close()


@pytest.fixture
def lineagelog_open() -> Iterator[Callable[..., Store]]:
    """Open stores from recorded logs: `lineagelog_open("study.jsonl")`; they are closed after the test.

    The factory takes the arguments of `lineagelog.recording.open_recorded`.
    """
    opened: list[Store] = []

    def open_recorded(
        path: str | os.PathLike[str], *, db: str | Path | None = None, folder: str | os.PathLike[str] | None = None
    ) -> Store:
        from lineagelog import recording

        opened.append(recording.open_recorded(path, db=db, folder=folder))
        return opened[-1]

    yield open_recorded
    for store in opened:
        store.close()


@pytest.fixture
def lineagelog_record() -> Callable[[Store, str | os.PathLike[str]], Path]:
    """Record a store into a file that `lineagelog_open` opens: `lineagelog_record(store, "study.jsonl")`."""

    def record(store: Store, path: str | os.PathLike[str]) -> Path:
        from lineagelog.recording import record_log

        return record_log(store, path)

    return record


def assert_replay_agrees(store: Store) -> None:
    """Replay the whole log into empty tables, and compare them with the live ones row by row.

    Args:
        store: The store.

    Raises:
        AssertionError: They differ; the text names each table, position and column that does.
    """
    from lineagelog.adapters.log.verification import verify_log

    __tracebackhide__ = True
    problems = verify_log(store.log.database).problems
    if problems:
        lines = [f"position {problem.position}: {problem.what}" for problem in problems]
        raise AssertionError("\n  ".join([f"the tables of {store.name} are not what its log says", *lines]))
