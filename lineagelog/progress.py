"""Progress of long work, shown when somebody is looking."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from lineagelog.message import WARNING, would_say
from lineagelog.preferences import settings
from lineagelog.text import clean

SHOW_FROM_BYTES: Final = 50_000_000
"""Work on fewer bytes is over before a bar could be read."""


_around: list[Callable[[int], object]] = []
"""The bar over all that is being done, while there is one."""


@contextmanager
def byte_progress(label: str, total_bytes: int | Callable[[], int]) -> Iterator[Callable[[int], object] | None]:
    """Show a bar over bytes on a terminal; yields what takes the number of bytes done, or `None`.

    Inside of another such block the bytes are added to its bar.

    Args:
        label: What is done, and to what.
        total_bytes: Bytes in all, or what counts them if somebody is looking.
    """
    if not _watched():
        yield None
        return
    if _around:
        yield _around[-1]
        return
    total = total_bytes() if callable(total_bytes) else total_bytes
    if total < SHOW_FROM_BYTES:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=clean(label), unit="B", unit_scale=True, leave=False) as bar:
        _around.append(bar.update)
        try:
            yield bar.update
        finally:
            _around.pop()


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
    return settings.progress_bars and would_say(WARNING) and sys.stderr is not None and sys.stderr.isatty()
