"""Writers in processes of their own, for the tests of concurrency and of sudden death. Run as a script."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.event import NewEvent
from lineagelog.domain.ids import new_id
from lineagelog.domain.user import UserRegistered


def open_log(address: str, *, create: bool = False) -> EventLog:
    return EventLog.connect(address if "://" in address else Path(address), create=create)


def user() -> NewEvent:
    stream = new_id()
    return NewEvent(stream=stream, version=1, fact=UserRegistered(uid=stream[-12:], handle=f"user-{stream}"))


def fork(task: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            task()
            status = 0
        except BaseException:  # noqa: BLE001 - it is printed, and the exit status tells
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def race(address: str, n_processes: int, n_appends: int) -> None:
    """Let processes create one log at once and append to it; print the number of events each was told of."""

    def write() -> None:
        log = open_log(address, create=True)
        for _ in range(n_appends):
            (recorded,) = log.append([user()])
            # One write each: lines of several processes do not mix.
            os.write(1, f"{recorded.position} {recorded.event_id}\n".encode())
        log.close()

    children = [fork(write) for _ in range(n_processes)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(map(abs, statuses)))


def kill(address: str, n_kills: int, seed: int) -> None:
    """Kill a writer again and again at random moments; print the id of each event that was acknowledged."""
    chance = random.Random(seed)
    open_log(address, create=True).close()
    for _ in range(n_kills):
        receive, send = os.pipe()
        sizes = [chance.choice([1, 1, 2, 7, 300]) for _ in range(10_000)]

        def write(sizes: list[int] = sizes, send: int = send) -> None:
            log = open_log(address)
            for size in sizes:
                recorded = log.append([user() for _ in range(size)])
                os.write(send, "".join(f"{event.event_id}\n" for event in recorded).encode())

        child = fork(write)
        os.close(send)
        acknowledged = []
        deadline = time.monotonic() + chance.uniform(0.0, 0.04)
        # The first answer shows that it is at work; the moment of death is drawn from there on.
        data = os.read(receive, 37) if chance.random() < 0.9 else b""
        while time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while chunk := os.read(receive, 1 << 16):
            data += chunk
        os.close(receive)
        acknowledged = [line for line in data.decode().split("\n")[:-1] if len(line) == 36]
        print("\n".join(acknowledged))


if __name__ == "__main__":
    command, address, *numbers = sys.argv[1:]
    {"race": race, "kill": kill}[command](address, *map(int, numbers))
