"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
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
    try:
        descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    except (OSError, ValueError) as exc:
        raise ExportError(f"{failure}: {exc}; choose a folder that exists and that you may write") from exc
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield cast("BinaryIO", out)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as exc:
        temporary.unlink(missing_ok=True)
        if isinstance(exc, OSError) and not isinstance(exc, LineageLogError):
            raise ExportError(f"{failure}: {exc}; choose another place") from exc
        raise
