"""What is kept for later processes of a user."""

from __future__ import annotations

import subprocess
import sys

from lineagelog import location


def test_processes_that_remember_stores_at_once_lose_none() -> None:
    code = """
import sys
from lineagelog import location
for number in range(10):
    location.remember_store(f"{sys.argv[1]}-{number}", "name", "place")
    location.keep_login(f"{sys.argv[1]}-{number}", location.Login("ana", None))
"""
    processes = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(5)]
    assert [process.wait() for process in processes] == [0] * 5
    names = {f"{number}-{inner}" for number in range(5) for inner in range(10)}
    assert {entry["id"] for entry in location.known_stores()} == names
    assert {name for name in names if location.kept_login(name) == location.Login("ana", None)} == names
    location.forget_store("0-0")
    location.keep_login("0-0", None)
    assert len(location.known_stores()) == 49
    assert location.kept_login("0-0") is None
