"""The command `prov`: each of its commands is one call of the public API, and prints what came back."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process, and end the process with its exit code."""
    try:
        from lineagelog.cli.app import run

        code = run(sys.argv[1:])
    except ModuleNotFoundError as exc:
        # Without what draws tables and reads options nothing is left that could print it in another way.
        from lineagelog.domain.errors import MissingPackageError

        sys.exit(f"error: {exc if exc.name is None else MissingPackageError(exc.name)}")
    sys.exit(code)
