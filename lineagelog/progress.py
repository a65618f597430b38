"""Progress of long work, shown when somebody is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from lineagelog.preferences import settings

SHOW_FROM_BYTES: Final = 50_000_000
"""Work on fewer bytes is over before a bar could be read."""


@contextmanager
def byte_progress(label: str, total_bytes: int) -> Iterator[Callable[[int], object] | None]:
    """Show a bar over bytes on a terminal; yields what takes the number of bytes done, or `None`."""
    if total_bytes < SHOW_FROM_BYTES or not _watched():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total_bytes, desc=label, unit="B", unit_scale=True, leave=False) as bar:
        yield bar.update


@contextmanager
def event_progress(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar over events on a terminal; yields what takes the number done and the number in all, or `None`."""
    if not _watched():
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=label, unit=" events", leave=False, delay=0.5) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


@contextmanager
def statement_progress(label: str) -> Iterator[Callable[[int], object] | None]:
    """Show a counter of statements, whose number is not known beforehand; yields what takes the number done."""
    if not _watched():
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=label, unit=" statements", unit_scale=True, leave=False, delay=0.5) as bar:
        yield bar.update


def _watched() -> bool:
    return settings.progress_bars and settings.verbosity > 0 and sys.stderr is not None and sys.stderr.isatty()
