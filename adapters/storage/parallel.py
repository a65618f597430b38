"""Several things at once, with bounded memory: hashing, copying and network waits release the interpreter."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from lineagelog.adapters.storage.base import Progress

N_WORKERS: Final = 8
"""Enough to hide the waits of a disk or a network, on few cores as well."""

T = TypeVar("T")
R = TypeVar("R")


def in_order(function: Callable[[T], R], items: Iterable[T], n_workers: int = N_WORKERS) -> Generator[R, None, None]:
    """Call a function on each item, several at a time, and yield the results in the order of the items.

    Items are taken as they are needed: at most `n_workers` of them, and as many results, exist at a time. The first
    error is raised when its turn comes; what has not begun by then never begins, and what has begun is waited for.

    Args:
        function: Called in other threads.
        items: May be endless; read in the thread of the caller.
        n_workers: Calls at a time.
    """
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) < 2:
        # What is alone needs no thread, whose start takes longer than most calls.
        yield from map(function, first)
        return
    with ThreadPoolExecutor(n_workers, thread_name_prefix="lineagelog-storage") as pool:
        waiting: deque[Future[R]] = deque([pool.submit(function, item) for item in first])
        try:
            for item in source:
                if len(waiting) > n_workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def from_any_thread(progress: Progress | None) -> Progress | None:
    """Make a progress callback one that several threads may call."""
    if progress is None:
        return None
    lock = threading.Lock()

    def report(n_bytes: int) -> None:
        with lock:
            progress(n_bytes)

    return report
