"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lineagelog.domain.errors import ExportError
from lineagelog.writing import written_whole


def test_the_mask_of_the_process_says_who_may_read(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    before = os.umask(0o077)
    try:
        with written_whole(path, "the export cannot be written") as out:
            out.write(b"new")
    finally:
        os.umask(before)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), written_whole(path, "the export cannot be written") as out:
        out.writelines([b"new", "no bytes"])  # type: ignore[list-item]
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir() if found.is_file()] == [
        ("export.json", b"old")
    ]
    with (
        pytest.raises(ExportError, match=r"^the export cannot be written: No such file or directory; choose"),
        written_whole(tmp_path / "a/b", "the export cannot be written"),
    ):
        pass
