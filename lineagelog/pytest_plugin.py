"""Fixtures and an assertion for tests of code that tracks itself: a store of its own, recorded logs, replay against live tables.

pytest loads this module in every environment that has the package, so it imports nothing of it before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import os

    from lineagelog.domain.clock import SteppedClock
    from lineagelog.registries.artifact import Artifact
    from lineagelog.store import Store

_SHOWN = 20
_CLOCK_FROM = "2026-01-01T00:00:00Z"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes snapshots anew."""
    group = parser.getgroup("lineagelog")
    group.addoption(
        "--lineagelog-update",
        action="store_true",
        dest="lineagelog_update",
        help="write the lineage that tests compare by lineagelog_snapshot anew",
    )


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


@pytest.fixture
def lineagelog_snapshot(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare the lineage of an artifact with what it was: `lineagelog_snapshot(artifact)`.

    What it was stands in `snapshots/` beside the test, in a file named after it, with a number from the second call on;
    `pytest --lineagelog-update` writes the files anew.
    """

    compared: list[Path] = []

    def compare(artifact: Artifact) -> None:
        __tracebackhide__ = True
        test = "".join(character if character.isalnum() else "_" for character in request.node.name).strip("_")
        number = f"-{len(compared) + 1}" if compared else ""
        path = request.path.parent / "snapshots" / request.path.stem / f"{test}{number}.txt"
        compared.append(path)
        text = lineage_text(artifact)
        if request.config.getoption("lineagelog_update"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.exists():
            raise AssertionError(f"there is no snapshot {path}; write it with: pytest --lineagelog-update\n{text}")
        before = path.read_text(encoding="utf-8")
        if text != before:
            from difflib import unified_diff

            difference = "\n".join(unified_diff(before.splitlines(), text.splitlines(), "before", "now", lineterm=""))
            raise AssertionError(
                f"the lineage is not that of {path}; if that is meant: pytest --lineagelog-update\n{difference}"
            )

    return compare


def lineage_text(artifact: Artifact) -> str:
    """Write where an artifact comes from as text that is the same each time: keys and parameters, no ids, hashes or times.

    Each artifact is followed by the run that made it, that by its inputs in the order of their keys, each one step further in. What
    stands further up already is not written out again.

    Args:
        artifact: A saved artifact.
    """
    import json

    lines: list[str] = []
    seen: set[str] = set()
    waiting: list[tuple[int, Artifact]] = [(0, artifact)]
    while waiting:
        depth, found = waiting.pop()
        run = found.run
        is_known = found.uid in seen and run is not None
        version = f" version {found.version_number}" if found.version_number else ""
        lines.append(f"{'  ' * depth}{found.key or '(no key)'}{version}{' (see above)' if is_known else ''}")
        seen.add(found.uid)
        if run is None or is_known:
            continue
        inputs = sorted(run.inputs, key=lambda one: (one.key or "", one.version_number, one.uid), reverse=True)
        # An artifact that was an argument is recorded by its uid, which is another each time.
        params = json.dumps(run.params, sort_keys=True, ensure_ascii=False) if run.params else ""
        for one in inputs:
            params = params.replace(f'"{one.uid}"', json.dumps(one.key, ensure_ascii=False))
        lines.append(f"{'  ' * depth}  by {run.transform.key}{' ' * bool(params)}{params}: {run.status}")
        waiting += [(depth + 2, one) for one in inputs]
    return "\n".join([*lines, ""])


def assert_tables_equal(store: Store, expected: Store, *, ignore: Collection[str] = ()) -> None:
    """Compare every row of every registry of two stores.

    Ids, uids and times are equal if both stores were made under `lineagelog_clock`, or one from a recorded log.

    Args:
        store: The store.
        expected: What it should hold.
        ignore: Columns that may differ, such as `created_at`.

    Raises:
        AssertionError: They differ; the text names each table, row and column that does.
    """
    from lineagelog.adapters.log.event_log import read_table
    from lineagelog.projections import schema

    __tracebackhide__ = True
    differences = []
    with store.log.database.snapshot() as one, expected.log.database.snapshot() as other:
        for table in schema.TABLES:
            if table is schema.SEARCH_WORDS:
                # They are made of the rows of the other tables.
                continue
            found, wanted = (
                {
                    tuple(row[table.names.index(name)] for name in table.key): dict(zip(table.names, row, strict=True))
                    for row in read_table(reader, table)
                }
                for reader in (one, other)
            )
            for key in sorted({*found, *wanted}):
                where = f"{table.name}, {' '.join(map('{} {}'.format, table.key, key))}"
                if key not in wanted or key not in found:
                    differences.append(f"{where}: {'not expected' if key in found else 'missing'}")
                    continue
                differences += [
                    f"{where}: {name} is {found[key][name]!r}, not {value!r}"
                    for name, value in wanted[key].items()
                    if name not in ignore and found[key][name] != value
                ]
    if differences:
        shown, more = differences[:_SHOWN], len(differences) - _SHOWN
        end = [f"and {more} more"] if more > 0 else []
        raise AssertionError("\n  ".join(["the registries are not equal", *shown, *end]))


def assert_replay_agrees(store: Store) -> None:
    """Replay the whole log into empty tables, and compare them with the live ones row by row.

    Args:
        store: The store.

    Raises:
        AssertionError: They differ; the text names each table, position and column that does.
    """
    from lineagelog.adapters.log.verification import verify_log

    __tracebackhide__ = True
    problems = verify_log(store.log.database, replay=True).problems
    if problems:
        lines = [f"position {problem.position}: {problem.what}" for problem in problems]
        raise AssertionError("\n  ".join([f"the tables of {store.name} are not what its log says", *lines]))
