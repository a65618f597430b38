"""What tracking costs: each call of a tracked function, running a program by `prov run`, and keeping what a script prints."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.foundation import empty_store
from benchmarks.measure import Figure, process_cpu_s, seconds
from lineagelog.domain.event import encode
from lineagelog.domain.ids import new_id
from lineagelog.domain.run import EnvironmentRecorded, RunFinished, RunStarted
from lineagelog.registries.run import Run
from lineagelog.registries.transform import Transform
from lineagelog.store import Store
from lineagelog.tracking.calls import tracked

AT = "2026-11-21T03:22:44.540332Z"
TRACKED = "import lineagelog as ln\nln.track()\n"


def tracked_calls(n: int = 10_000) -> Iterator[Figure]:
    """Call a tracked function inside a run, against the two bare appends that each call makes."""

    @tracked()
    def add(first: int, second: int = 2) -> int:
        return first + second

    calls, appends = [], []
    with empty_store() as store, Run(Transform("caller")) as run:
        for number in range(n):
            calls.append(seconds(lambda number=number: add(number)))  # type: ignore[misc]
            if number % 10 == 0:
                appends.append(seconds(lambda: _two_appends(store, run)))
    took, bare = statistics.median(calls), statistics.median(appends)
    yield Figure(
        f"a call of a tracked function, of {n:,}",
        f"{took * 1e3:.2f} ms",
        "1.5x its two appends",
        f"two bare appends: {bare * 1e3:.2f} ms, ratio {took / bare:.1f}",
        took <= 1.5 * bare,
    )


def _two_appends(store: Store, run: Run) -> None:
    record = new_id()
    started = RunStarted(uid=record[-12:] + "0000", transform=run.transform_id, started_at=AT)
    store.append([store.new_event(started, record)])
    store.append([store.new_event(RunFinished(finished_at=AT), record, 2)])


def environments(n: int = 1_000) -> Iterator[Figure]:
    """Start and end many runs, each of which looks at its environment itself, in one store."""

    @tracked()
    def nothing() -> None: ...

    with empty_store() as store:
        for _ in range(n):
            nothing()
        sizes = [(event.topic, len(encode(event.fact))) for event in store.events()]
    found = [size for topic, size in sizes if topic == EnvironmentRecorded.topic]
    yield Figure(
        f"environments that {n:,} runs have recorded",
        f"{len(found)}, of {sum(found) / 1024:.1f} KiB",
        "1",
        f"all {len(sizes):,} events of these runs: {sum(size for _, size in sizes) / 1024:.0f} KiB",
        len(found) == 1,
    )


def programs() -> Iterator[Figure]:
    """Run `true` by `prov run`, whole process."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        Store.create(folder).close()
        call = "import sys; from lineagelog.cli import main; sys.argv = ['prov', 'run', '-q', '--', 'true']; sys.exit(main())"
        took = process_cpu_s(["-c", call], LINEAGELOG_STORE=folder)
    bare = process_cpu_s(["-c", "import subprocess; subprocess.run(['true'])"])
    yield Figure(
        "`prov run -- true`, whole process",
        f"{took:.3f} s CPU",
        "0.4 s",
        f"the same by subprocess.run: {bare:.3f} s",
        took <= 0.4,
    )


def prints(n: int = 100_000) -> Iterator[Figure]:
    """Print many lines in a tracked script, whole process, against the same script untracked and a tracked one that prints once."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        Store.create(folder).close()
        script = Path(folder) / "script.py"
        noise = f"for number in range({n}): print('line')\n"
        took = {}
        for name, code in (("both", TRACKED + noise), ("tracked", TRACKED + "print('line')"), ("printed", noise)):
            script.write_text(code)
            took[name] = process_cpu_s([str(script)], LINEAGELOG_STORE=folder, LINEAGELOG_QUIET="1")
    more = took["both"] - took["tracked"] - took["printed"]
    yield Figure(
        f"{n:,} prints of a tracked script, kept as its log",
        f"{more:.2f} s CPU more",
        "0.2 s more",
        f"untracked: {took['printed']:.2f} s, whole process",
        more <= 0.2,
    )


BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "tracked-calls": tracked_calls,
    "environments": environments,
    "programs": programs,
    "prints": prints,
}
