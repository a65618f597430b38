"""What no rule decides: what time it is, and what is random. In production the machine says both; a test may step the clock itself.

Times of events are of the database's host (`Transaction.now`); those of this module are of the process that asks.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class Clock:
    """The clock and the randomness of the machine.

    Attributes:
        last_stamp: Stamp of the last id that was made (`ids.new_id`), which the next one has to exceed.
        is_stepped: This is the clock of a test.
    """

    is_stepped = False

    def __init__(self) -> None:
        self.last_stamp = 0

    def now(self) -> datetime:
        """Tell the time, UTC."""
        return datetime.now(UTC)

    def time_ns(self) -> int:
        """Tell the time for an id: nanoseconds since 1970."""
        return time.time_ns()

    def random_bytes(self, n: int) -> bytes:
        """Return bytes that nobody can guess."""
        return os.urandom(n)


class SteppedClock(Clock):
    """A clock that goes on by one step whenever it is read, and randomness that is the same each time: for tests.

    Events made under it say so in `software`, so that no such time is taken for one that was. It is meant for one thread of one
    process: others would read it in an order that nobody knows.

    Args:
        start: What it says first; UTC if it names no zone.
        step: How far it goes on with each reading; by nothing for a clock that stands still.
        seed: Another one gives other ids and uids.
    """

    is_stepped = True

    def __init__(self, start: datetime, step: timedelta = timedelta(seconds=1), *, seed: int = 0) -> None:
        super().__init__()
        self._now = start.astimezone(UTC) if start.tzinfo is not None else start.replace(tzinfo=UTC)
        self._step = step
        self._seed = seed
        self._n_random = 0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Tell the time, and go on by one step."""
        with self._lock:
            moment = self._now
            self._now += self._step
        return moment

    def time_ns(self) -> int:
        """Tell the time without going on: ids need no step, since each exceeds the one before it."""
        since = self._now - datetime(1970, 1, 1, tzinfo=UTC)
        return (since // timedelta(microseconds=1)) * 1000

    def random_bytes(self, n: int) -> bytes:
        """Return bytes that look random, the same in every test with this seed."""
        with self._lock:
            self._n_random += 1
            text = f"lineagelog stepped clock {self._seed} {self._n_random}"
        return hashlib.shake_128(text.encode()).digest(n)

    def advance(self, by: timedelta) -> None:
        """Let some time go by."""
        with self._lock:
            self._now += by


_clock: Clock = Clock()


def current_clock() -> Clock:
    """Return the clock in use."""
    return _clock


def now() -> datetime:
    """Tell the time, UTC."""
    return _clock.now()


@contextmanager
def using(clock: Clock) -> Iterator[None]:
    """Use another clock in this process for a while."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
