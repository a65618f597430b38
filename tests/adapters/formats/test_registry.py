"""One registry of formats: built in first, others by entry point; a broken one is a warning, and a missing package is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lineagelog.adapters.formats import Location, format_for, format_of, list_formats, load, open_lazily, write
from lineagelog.domain.errors import StorageError, UnsupportedFormatError

ROOT = Path(__file__).parents[3]

_PLUGIN = """
from pathlib import Path
from lineagelog.adapters.formats import Contents, Format

def _load(path):
    return path.read_text().split()

def _write(obj, path):
    path.write_text(" ".join(obj.words))
    return Contents(n_observations=len(obj.words))

class Words:
    def __init__(self, *words):
        self.words = words

FORMATS = [Format(name="words", suffixes=(".words",), types=("wordpack.Words",), load=_load, write=_write)]
TWICE = Format(name="another CSV", suffixes=(".csv",), load=_load)
NOTHING = 7
"""

_SCRIPT = """
import warnings, sys
from lineagelog.adapters import formats
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    assert formats.format_of(".csv").name == "CSV"
    assert "wordpack" not in sys.modules, "nobody has asked for it yet"
    assert formats.format_of(".words").name == "words"
    assert formats.format_of(".csv").name == "CSV"
    import wordpack, lineagelog as ln
    ln.init("study")
    saved = ln.Artifact(wordpack.Words("a", "b"), key="w.words", run=False).save()
    assert (saved.otype, saved.n_observations, saved.load()) == ("Words", 2, ["a", "b"])
    assert [fmt.name for fmt in formats.list_formats()][-1] == "words"
print("\\n".join(str(one.message) for one in said))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder on the path of modules that holds an installed package with formats, some of them broken."""
    site = tmp_path / "site"
    (site / "wordpack-1.dist-info").mkdir(parents=True)
    (site / "wordpack.py").write_text(_PLUGIN)
    (site / "wordpack-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: wordpack\nVersion: 1\n")
    (site / "wordpack-1.dist-info/entry_points.txt").write_text(
        "[lineagelog.formats]\nwords = wordpack:FORMATS\ntwice = wordpack:TWICE\nnothing = wordpack:NOTHING\n"
        "gone = wordpack:GONE\n"
    )
    return site


def test_an_installed_package_adds_formats_and_a_broken_one_is_a_warning(plugin: Path, tmp_path: Path) -> None:
    import os

    path = os.pathsep.join([str(plugin), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "PYTHONPATH": path, "LINEAGELOG_QUIET": "1", "XDG_CONFIG_HOME": str(tmp_path / "config")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3, said
    for line, why in zip(said, ("GONE", "it is 7, no Format", ".csv belongs to another"), strict=True):
        assert why in line
        assert "of wordpack is not used" in line


def test_suffixes_belong_to_one_format_and_types_have_one_that_comes_first() -> None:
    suffixes = [suffix for fmt in list_formats() for suffix in fmt.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    frame = pd.DataFrame({"a": [1]})
    assert format_for(frame, None)[1] == format_for(frame, "results")[1] == ".parquet"
    assert format_for(frame, "a/b.CSV.GZ")[1] == ".csv.gz"
    assert format_of("") is None
    assert format_of(".CSV") is format_of(".csv")


def test_the_table_of_formats_in_the_documents_is_the_registry() -> None:
    text = (ROOT / "docs/formats.md").read_text()
    for fmt in list_formats():
        for suffix in fmt.suffixes:
            assert f"`{suffix}`" in text, f"{suffix} of {fmt.name}"


@pytest.mark.parametrize(
    ("module", "suffix", "extra"),
    [
        ("yaml", ".yaml", "yaml"),
        ("PIL", ".png", "image"),
        ("anndata", ".h5ad", "anndata"),
        ("mudata", ".h5mu", "mudata"),
        ("zarr", ".zarr", "zarr"),
        ("joblib", ".joblib", "joblib"),
    ],
)
def test_a_missing_package_is_one_error_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, suffix: str, extra: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.mkdir() if suffix == ".zarr" else path.touch()
    monkeypatch.setitem(sys.modules, module, None)
    reads: list[Callable[[], object]] = [lambda: load(path, suffix, trust=suffix == ".joblib")]
    if suffix in (".h5ad", ".h5mu", ".zarr"):
        reads.append(lambda: open_lazily(Location.of(path), suffix))
    for read in reads:
        with pytest.raises(StorageError, match=rf"pip install 'lineagelog\[{extra}\]'"):
            read()


def test_a_writer_whose_package_is_missing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    fmt, _ = format_for([1], "a.yaml")
    with pytest.raises(StorageError, match=r"lineagelog\[yaml\]"):
        write(fmt, [1], tmp_path / "a.yaml")
    with pytest.raises(UnsupportedFormatError, match="Python objects"):
        write(format_for(np.array([object()]), None)[0], np.array([object()]), tmp_path / "a.npy")
