"""Which files a program opens, as the kernel sees it: asked of `strace`, on Linux, where it is installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from lineagelog.domain.errors import StorageError

# With -y, the descriptor that a call returns is followed by the path it leads to: `= 3</data/in.csv>`.
_OPENED: Final = re.compile(r"\b(?:openat2?|open|creat)\((?P<arguments>.*)\)\s+=\s+\d+<(?P<path>/[^>]*)>$")
_WRITES: Final = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_NO_DATA: Final = frozenset({"__pycache__", "node_modules", "site-packages"})


class Opened(NamedTuple):
    """Files that a program has opened.

    Attributes:
        read: Those it only read.
        written: Those it opened for writing.
    """

    read: tuple[Path, ...]
    written: tuple[Path, ...]


def traced(command: Sequence[str], log: Path) -> list[str]:
    """Return the command line that runs a command and writes down what it opens.

    Raises:
        StorageError: `strace` is not installed.
    """
    if shutil.which("strace") is None:
        raise StorageError(
            "files can be watched only with strace, which is not installed; on Linux install its package, or leave --suggest away"
        )
    return [
        "strace", "--follow-forks", "--quiet=all", "--decode-fds=path", "--string-limit=4096",
        "--trace=open,openat,openat2,creat", f"--output={log}", "--", *command,
    ]  # fmt: skip


def read_trace(log: Path, folder: Path) -> Opened:
    """Read which files below a folder were opened; hidden files and folders, and those of installed packages, are no data.

    Args:
        log: What `strace` has written.
        folder: The folder.
    """
    with log.open(encoding="utf-8", errors="replace") as lines:
        return opened_files(lines, folder.resolve())


def opened_files(lines: Iterable[str], folder: Path) -> Opened:
    """Read the lines of `strace`; see `read_trace`."""
    read: dict[Path, None] = {}
    written: dict[Path, None] = {}
    for line in lines:
        match = _OPENED.search(line.rstrip("\n"))
        if match is None or "O_DIRECTORY" in match["arguments"]:
            continue
        path = Path(_unescaped(match["path"]))
        if not path.is_relative_to(folder) or not path.is_file():
            continue
        if any(part.startswith(".") or part in _NO_DATA for part in path.relative_to(folder).parts):
            continue
        into = written if "creat(" in line or _WRITES.search(match["arguments"].rpartition('"')[2]) else read
        into[path] = None
    return Opened(tuple(path for path in read if path not in written), tuple(written))


def _unescaped(text: str) -> str:
    r"""Decode the `\303\244` and `\t` that strace writes for bytes beyond printable ASCII."""
    if "\\" not in text:
        return text
    return (
        text.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1", "replace").decode(errors="replace")
    )
