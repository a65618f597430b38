"""How much memory is left, so that what cannot fit is refused before it takes the machine down.

A small file may unpack to any size: a compressed table, an image of one colour, an array that says how large it is and holds
nothing. What a file says of itself is a lower bound of what loading it takes; only what is certain not to fit is refused.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

from lineagelog.domain.errors import UnsupportedFormatError

_MEMINFO: Final = Path("/proc/meminfo")
_STATM: Final = Path("/proc/self/statm")
_CGROUP: Final = Path("/sys/fs/cgroup")


def check_fits(name: str, needed_bytes: int) -> None:
    """Refuse what is certain not to fit into memory.

    Args:
        name: What messages call the content.
        needed_bytes: The least that loading it takes.

    Raises:
        UnsupportedFormatError: More is needed than there is.
    """
    available = available_bytes()
    if available is not None and needed_bytes > available:
        raise UnsupportedFormatError(
            f"{name} would take at least {needed_bytes / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are free; "
            "open() reads it part by part, or use cache() for a local path"
        )


def available_bytes() -> int | None:
    """Return the memory this process can still get: of the machine, its control group, its own limit. `None` if unknown."""
    found = []
    with suppress(OSError, ValueError, IndexError, StopIteration):
        line = next(line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    with suppress(OSError, ValueError, IndexError):
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            found.append(limit - int(_STATM.read_text().split()[0]) * resource.getpagesize())
    with suppress(OSError, ValueError):
        # "max" stands for no limit, and is no number. Pages of files that were read count as used, but are given up.
        limit = int((_CGROUP / "memory.max").read_text())
        statistics = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        used = int((_CGROUP / "memory.current").read_text()) - int(statistics.get("inactive_file", 0))
        found.append(limit - used)
    return max(min(found), 0) if found else None
