"""A short profile of each campaign; `python -m campaigns` runs them in full."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from campaigns import changing_files, forgery, s3_faults
from campaigns.report import Report


@pytest.mark.parametrize(
    ("campaign", "runs"), [(s3_faults.faults, 8), (s3_faults.kills, 2), (changing_files.changing_files, 12)]
)
def test_a_registered_artifact_has_its_bytes_whatever_happens(
    campaign: Callable[[Path, int, int], Report], runs: int, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    report = campaign(tmp_path, runs, seed)
    print(f"seed {seed}: {report.to_text()}")
    assert not report.problems
    assert report.saved.total() + report.refused.total() >= runs


@pytest.mark.parametrize(
    ("campaign", "runs"),
    [(forgery.forged_proofs, 2_000), (forgery.flipped_bits, 10), (forgery.rewritten_logs, 16)],
)
def test_no_forgery_is_accepted(
    campaign: Callable[[Path, int, int], Report], runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    seed = random.SystemRandom().randrange(2**32)
    report = campaign(tmp_path, runs, seed)
    print(f"seed {seed}: {report.to_text()}")
    assert not report.problems
    assert report.refused.total() >= runs * 0.95
