"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from lineagelog.domain.errors import ExportError, LineageLogError


@contextmanager
def written_whole(path: Path, failure: str) -> Iterator[BinaryIO]:
    """Write a file under another name beside it, which takes its place when the block ends without an error.

    Args:
        path: The file; what lies there is replaced.
        failure: Beginning of the error if it cannot be written, such as `the export cannot be written to x.json`.

    Raises:
        ExportError: The file cannot be written.
    """
    temporary = path.absolute().with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        # Not by tempfile, whose files nobody else may read: the process's mask says who may.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as exc:
        raise ExportError(f"{failure}: {_cause(exc)}; choose a folder that exists and that you may write") from exc
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield cast("BinaryIO", out)
        temporary.replace(path)
    except BaseException as exc:
        temporary.unlink(missing_ok=True)
        if isinstance(exc, OSError) and not isinstance(exc, LineageLogError):
            raise ExportError(f"{failure}: {_cause(exc)}; choose another place") from exc
        raise


def _cause(exc: Exception) -> str:
    """Say what went wrong without the name of the temporary file, which tells nobody anything."""
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
