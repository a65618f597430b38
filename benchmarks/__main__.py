"""Run the benchmarks and print a table: `python -m benchmarks [NAME …]`."""

from __future__ import annotations

import argparse
import platform
import sqlite3
import sys

from benchmarks import exports, formats, foundation, history, questions, registries, storage, tracking, validation
from benchmarks.measure import Figure

BENCHMARKS = {
    **foundation.BENCHMARKS,
    **registries.BENCHMARKS,
    **formats.BENCHMARKS,
    **storage.BENCHMARKS,
    **history.BENCHMARKS,
    **tracking.BENCHMARKS,
    **validation.BENCHMARKS,
    **exports.BENCHMARKS,
    **questions.BENCHMARKS,
}
LONG = {**registries.LONG, **history.LONG, **exports.LONG, **questions.LONG}
NAMED = {**BENCHMARKS, **LONG}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which to run: {', '.join(NAMED)}; by default all but {', '.join(LONG)}",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMED)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(NAMED)}")
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}\n"
    )
    print("| what | measured | aim | beside it, in the same run | holds |")
    print("| --- | --- | --- | --- | --- |")
    for name in arguments.names or BENCHMARKS:
        for figure in NAMED[name]():
            _print(figure)


def _print(figure: Figure) -> None:
    holds = "yes" if figure.holds else "NO"
    print(f"| {figure.what} | {figure.measured} | {figure.aim} | {figure.beside} | {holds} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
