"""A short profile of each campaign; `python -m campaigns` runs them in full."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from campaigns import changing_files, forgery, s3_faults, signatures
from campaigns.report import Report
from lineagelog import verify_proof
from lineagelog.adapters import signing
from lineagelog.adapters.log import recorder, verification
from lineagelog.adapters.log.schema import EVENTS
from lineagelog.audit import checking as audit
from lineagelog.domain import merkle


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
    [
        (forgery.forged_proofs, 2_000),
        (forgery.flipped_bits, 10),
        (forgery.rewritten_logs, 16),
        (signatures.forged_signatures, 30),
    ],
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


def _leave_out_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree does not cover one column."""
    reason, right = EVENTS.names.index("reason"), merkle.encode_entry
    for module in (recorder, forgery):
        monkeypatch.setattr(
            module, "encode_entry", lambda columns: right([*columns[:reason], None, *columns[reason + 1 :]])
        )


def _believe_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint is held against the number of events alone."""
    right = verification.verify_log

    def believing(database: Any, **options: Any) -> Any:
        found, sizes = right(database, **options), options["checkpoint_sizes"]
        roots = {size: _RootOf(size) for size in sizes if size <= found.n_events}
        return dataclasses.replace(found, roots=roots)

    class _RootOf(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    monkeypatch.setattr(verification, "verify_log", believing)


def _reduce_scalars(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature has several forms."""
    right, order = verify_proof.verify_ed25519, verify_proof._ORDER

    def lenient(public: bytes, message: bytes, signature: bytes) -> bool:
        scalar = int.from_bytes(signature[32:], "little") % order
        return right(public, message, signature[:32] + scalar.to_bytes(32, "little"))

    monkeypatch.setattr(verify_proof, "verify_ed25519", lenient)


def _say_plainly_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is silent on what was not checked."""
    monkeypatch.setattr(audit, "_not_checked", lambda *_, **__: ())


@pytest.mark.parametrize(
    ("campaign", "runs", "plant", "message"),
    [
        (forgery.forged_proofs, 300, lambda patch: patch.setattr(verify_proof, "is_included", lambda *_: True), "accepted"),
        (forgery.forged_proofs, 300, lambda patch: patch.setattr(verify_proof, "is_consistent", lambda *_: True), "accepted"),
        (forgery.forged_proofs, 300, lambda patch: patch.setattr(verify_proof, "verify_ed25519", lambda *_: True), "signer"),
        (forgery.flipped_bits, 10, _leave_out_the_reason, "reason: .* is not noticed"),
        (forgery.rewritten_logs, 8, _believe_sizes, "is not found with a checkpoint"),
        (forgery.rewritten_logs, 8, _say_plainly_ok, "plain OK"),
        (signatures.forged_signatures, 10, lambda patch: patch.setattr(signing, "_is_sound", lambda _: True), "small order"),
        (signatures.forged_signatures, 10, _reduce_scalars, "scalar beyond"),
    ],
    ids=[
        "events-outside-of-the-tree", "shrunken-logs", "any-signature", "an-uncovered-column", "sizes-alone", "silence",
        "keys-of-small-order", "scalars-beyond-the-order",
    ],
)  # fmt: skip
def test_a_campaign_finds_the_fault_that_is_planted(
    campaign: Callable[[Path, int, int], Report],
    runs: int,
    plant: Callable[[pytest.MonkeyPatch], None],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    plant(monkeypatch)
    report = campaign(tmp_path, runs, 1)
    assert any(re.search(message, problem) for problem in report.problems), report.to_text()
