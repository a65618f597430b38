"""Writers killed at random moments of saving; the campaign of a thousand kills is a command (`docs/testing.md`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_writers.py")
KILLS = 20


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_killed_writers_lose_no_content_and_leave_only_orphans_that_are_listed(
    request: pytest.FixtureRequest, database: str
) -> None:
    address = ["--db", request.getfixturevalue("postgresql_address")] if database == "postgresql" else []
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", str(KILLS), *address],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        timeout=240,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "none lost" in done.stdout
