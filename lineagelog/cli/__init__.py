"""The command `prov`: each of its commands is one call of the public API, and prints what came back."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process, and end the process with its exit code."""
    from lineagelog.cli.app import run

    sys.exit(run(sys.argv[1:]))
