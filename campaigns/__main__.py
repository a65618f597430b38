"""Run the campaigns and print what was found: `python -m campaigns [NAME …] [--runs N] [--seed S]`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from campaigns import changing_files, forgery, s3_faults, signatures
from campaigns.report import Report

CAMPAIGNS = {
    "s3-faults": (s3_faults.faults, 300),
    "s3-kills": (s3_faults.kills, 30),
    "changing-files": (changing_files.changing_files, 200),
    "forged-proofs": (forgery.forged_proofs, 100_000),
    "forged-signatures": (signatures.forged_signatures, 3_000),
    "flipped-bits": (forgery.flipped_bits, 60),
    "rewritten-logs": (forgery.rewritten_logs, 500),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m campaigns", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(CAMPAIGNS)}; all by default"
    )
    parser.add_argument("--runs", type=int, help="how many faults; by default as many as the campaign is meant for")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="repeats a campaign")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(CAMPAIGNS)
    if unknown:
        parser.error(f"there is no campaign {', '.join(sorted(unknown))}; there are: {', '.join(CAMPAIGNS)}")
    problems = 0
    for name in arguments.names or CAMPAIGNS:
        function, runs = CAMPAIGNS[name]
        with tempfile.TemporaryDirectory(prefix="lineagelog-campaign-") as folder:
            report: Report = function(Path(folder), arguments.runs or runs, arguments.seed)
        print(f"{name}, seed {arguments.seed}: {report.to_text()}", flush=True)
        problems += len(report.problems)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
