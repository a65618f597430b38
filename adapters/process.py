"""Whether a process of this machine that was seen earlier is still the same one, and still there."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Final

_SLACK_S: Final = 2.0
"""A start time comes in ticks since boot or in whole seconds, and the clock of the wall may have been set a little since."""


def has_ended(host: str | None, pid: int | None, seen_at: datetime) -> bool:
    """Tell whether a process that was seen on a machine is gone for certain.

    Numbers are given out again: a process that began after the moment is another one. Of processes on other machines nothing
    is certain.

    Args:
        host: Machine, as events hold it.
        pid: Number of the process.
        seen_at: When it was seen, with time zone.
    """
    if pid is None or host != os.uname().nodename:
        return False
    started = start_time(pid)
    return started is None or started > seen_at.timestamp() + _SLACK_S


def start_time(pid: int) -> float | None:
    """Return when a process began, Unix seconds; `None` if there is none of this number, or only its remains."""
    try:
        # proc(5): field 22, counted from after the command, which may itself hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _ask_ps(pid)
    except (OSError, AttributeError, IndexError, ValueError):
        return _ask_ps(pid)
    return time.time() - age


def _ask_ps(pid: int) -> float | None:
    """Ask `ps`, on systems without `/proc` such as macOS."""
    try:
        done = subprocess.run(
            ["ps", "-o", "state=,lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        state, _, started = done.stdout.strip().partition(" ")
        if not started or state.startswith("Z"):
            return None
        return time.mktime(time.strptime(started.strip(), "%a %b %d %H:%M:%S %Y"))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
