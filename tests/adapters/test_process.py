from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from lineagelog.adapters import process


def test_this_process_is_there_since_it_began() -> None:
    now = datetime.now(UTC)
    host = os.uname().nodename
    assert not process.has_ended(host, os.getpid(), now)
    # Whoever had the number an hour before this process began was another one.
    started = process.start_time(os.getpid())
    assert started is not None
    assert process.has_ended(host, os.getpid(), datetime.fromtimestamp(started, UTC) - timedelta(hours=1))


def test_of_other_machines_and_of_no_process_nothing_is_certain() -> None:
    assert not process.has_ended("elsewhere", 1, datetime.now(UTC) - timedelta(days=900))
    assert not process.has_ended(os.uname().nodename, None, datetime.now(UTC))


def test_a_process_that_has_ended_is_gone_even_before_its_parent_looks() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    now = datetime.now(UTC)
    deadline = time.monotonic() + 30
    while not process.has_ended(os.uname().nodename, ended.pid, now):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ended.wait() == 0
    assert process.has_ended(os.uname().nodename, ended.pid, now)


def test_ps_tells_the_same_as_the_kernel() -> None:
    """Other systems have no /proc."""
    by_kernel = process.start_time(os.getpid())
    by_ps = process._ask_ps(os.getpid())
    assert by_kernel is not None
    assert by_ps is not None
    assert abs(by_kernel - by_ps) < 2
    assert process._ask_ps(2**22 + 1) is None
