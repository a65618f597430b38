"""How the benchmarks time things: whole processes by the operating system's accounts, calls by a monotonic clock."""

from __future__ import annotations

import atexit
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

_SLOW_STARTS: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONDEVMODE", "PYTHONWARNINGS")
"""Variables that slow a process down in development, and that hardly anybody sets who uses the package."""


class Figure(NamedTuple):
    """One row of the table.

    Attributes:
        what: What was done.
        measured: What it took.
        aim: What it should take.
        beside: The limit or peer it was measured against in the same run.
        holds: The aim is met.
    """

    what: str
    measured: str
    aim: str
    beside: str
    holds: bool


def seconds(function: Callable[[], object]) -> float:
    """Time one call, seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median_seconds(function: Callable[[], object], runs: int) -> float:
    """Time several calls and return the median, seconds."""
    return statistics.median(seconds(function) for _ in range(runs))


def process_cpu_s(arguments: list[str], runs: int = 7, **environment: str) -> float:
    """Return the median processor time of a Python process, seconds, user and system together.

    It starts as that of an installed package does: modules are compiled already, output is buffered.
    """
    samples = []
    inherited = {name: value for name, value in os.environ.items() if name not in _SLOW_STARTS}
    for number in range(runs + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            env=inherited | {"PYTHONPYCACHEPREFIX": _compiled()} | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # The first run warms the caches and does not count.
        if number:
            samples.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(samples)


@cache
def _compiled() -> str:
    """Make a folder for compiled modules, whatever can be written beside their sources."""
    folder = tempfile.TemporaryDirectory(prefix="lineagelog-")
    atexit.register(folder.cleanup)
    return folder.name


PEAK = """
import pathlib, resource, sys
status = pathlib.Path("/proc/self/status")
if status.exists():
    # What `getrusage` calls the peak includes the parent's memory at the moment of the fork; this does not.
    print(next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024)
"""


def process_peak_mb(code: str) -> float:
    """Return the largest memory of a Python process that runs some code, MiB."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{PEAK}"], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])
