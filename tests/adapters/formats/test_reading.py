"""Data formats: what is written comes back, what cannot be read says so, rows are counted as the formats count them."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lineagelog.adapters.formats import Contents, Location, format_for, infer, load, suffix_of, table, write
from lineagelog.domain.errors import ObjectMissingError, StorageError, UnsupportedFormatError


def n_observations(path: Path, suffix: str) -> int | None:
    return infer(Location.of(path), suffix).n_observations


def write_dataframe(df: pd.DataFrame, path: Path) -> Contents:
    return write(format_for(df, path.name)[0], df, path)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("iris.csv", ".csv"),
        ("a/b.d/iris.CSV.gz", ".CSV.gz"),
        ("x.tar.gz", ".tar.gz"),
        ("v1.2.final.parquet", ".parquet"),
        ("my.study.gz", ".gz"),
        ("cells.anndata.zarr/", ".anndata.zarr"),
        ("README", ""),
        (".gitignore", ""),
        (".hidden.txt", ".txt"),
        ("ends.", ""),
        ("Smith et al. 2020", ""),
        ("", ""),
        (".tar.gz", ".gz"),
    ],
)
def test_suffix_of(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix


@given(st.text())
def test_suffix_is_the_end_of_the_file_name(name: str) -> None:
    suffix = suffix_of(name)
    assert name.rstrip("/").endswith(suffix)
    assert "/" not in suffix
    assert suffix == "" or (suffix.startswith(".") and len(suffix) > 1)


@given(
    st.from_regex(r"[a-z0-9 _.-]{0,20}[a-z]", fullmatch=True), st.sampled_from([".csv", ".tar.gz", ".csv.gz", ".h5ad"])
)
def test_a_known_suffix_is_found_behind_any_stem(stem: str, suffix: str) -> None:
    assert suffix_of(stem + suffix) == suffix


def test_text_tables_come_back(tmp_path: Path) -> None:
    for suffix, sign in ((".csv", ","), (".tsv", "\t"), (".csv.gz", ","), (".tsv.gz", "\t")):
        content = f"a{sign}b\n1{sign}x\n2{sign}y\n".encode()
        # The name says nothing: the recorded suffix decides.
        path = tmp_path / "object"
        path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
        frame = load(path, suffix)
        assert frame.to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
        assert n_observations(path, suffix) == 2


def test_other_formats_come_back(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_text('{"a": [1, null]}')
    assert load(path, ".json") == {"a": [1, None]}
    path.write_text("a: [1, ü]\n", encoding="utf-8")
    assert load(path, ".yaml") == {"a": [1, "ü"]}
    assert load(path, ".md") == load(path, ".TXT") == "a: [1, ü]\n"
    frame = pd.DataFrame({"a": [1, 2, 3]})
    frame.to_feather(path)
    assert load(path, ".feather").equals(frame)
    assert n_observations(path, ".feather") == 3
    with path.open("wb") as file:
        np.save(file, np.arange(6).reshape(2, 3))
    assert load(path, ".npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert n_observations(path, ".npy") == 2
    for suffix, name in ((".png", "PNG"), (".gif", "GIF"), (".tif", "TIFF")):
        Image.new("L", (3, 2), 7).save(path, name)
        image = load(path, suffix)
        path.unlink()
        assert (image.size, image.convert("L").getpixel((2, 1))) == ((3, 2), 7)


def test_what_could_run_code_is_refused_unless_trusted(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(pickle.dumps({"a": 1}))
    for suffix in (".pkl", ".pickle", ".joblib", ".PKL"):
        with pytest.raises(UnsupportedFormatError, match="trust=True"):
            load(path, suffix)
    assert load(path, ".pkl", trust=True) == {"a": 1}
    path.write_text("!!python/object/apply:os.getcwd []\n")
    with pytest.raises(UnsupportedFormatError):
        load(path, ".yaml")
    with path.open("wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object))
    with pytest.raises(UnsupportedFormatError):
        load(path, ".npy")


@pytest.mark.parametrize(
    "suffix", [".csv", ".parquet", ".feather", ".json", ".npy", ".png", ".txt", ".csv.gz", ".yaml"]
)
def test_damaged_content_is_one_clear_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"\x00\xff\xfe{[" if suffix != ".csv" else b"")
    with pytest.raises(UnsupportedFormatError, match="object cannot be read as "):
        load(path, suffix)
    with pytest.raises(ObjectMissingError):
        load(tmp_path / "nothing", suffix)


def test_unknown_formats_and_folders_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.bin").touch()
    for path, suffix in ((tmp_path / "x.bin", ".bin"), (tmp_path / "x.bin", ""), (tmp_path, ".csv")):
        with pytest.raises(UnsupportedFormatError, match=r"cache\(\)"):
            load(path, suffix)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "x").touch()
    for module, suffix in (("yaml", ".yaml"), ("PIL", ".png")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(StorageError, match=r"lineagelog\[(yaml|image)\]"):
            load(tmp_path / "x", suffix)


def test_a_frame_is_written_the_same_each_time_and_comes_back(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3],
            "x": [0.5, None, 2.0],
            "name": ["a", "ü", None],
            "kind": pd.Categorical(["b", "a", "b"]),
            "when": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
            "many": [[1], [], [2, 3]],
        },
        index=pd.Index([10, 20, 30], name="key"),
    )
    write_dataframe(frame, tmp_path / "1")
    write_dataframe(frame.copy(), tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    back = load(tmp_path / "1", ".parquet")
    assert back.drop(columns="many").equals(frame.drop(columns="many"))
    assert [list(item) for item in back["many"]] == [[1], [], [2, 3]]
    assert back.index.name == "key"
    assert n_observations(tmp_path / "1", ".parquet") == 3


def test_a_column_that_parquet_cannot_hold_is_named(tmp_path: Path) -> None:
    for values in ([1, "a"], [1j, 2j], [object(), None], [2**70, 1]):
        frame = pd.DataFrame({"fine": [1, 2], "odd one": pd.Series(values, dtype=object)})
        with pytest.raises(UnsupportedFormatError, match="'odd one'"):
            write_dataframe(frame, tmp_path / "x")
    with pytest.raises(UnsupportedFormatError):
        write_dataframe(pd.DataFrame([[1, 2]], columns=["a", "a"]), tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with pytest.raises(StorageError, match="cannot be written"):
        write_dataframe(pd.DataFrame({"a": [1]}), tmp_path / "no" / "x")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(alphabet='ab",\n\r ', min_size=1), st.text(alphabet="x\n,")), max_size=20))
def test_records_are_counted_as_the_writer_wrote_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "x"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([("first", "second"), *rows])
    assert n_observations(path, ".csv") == len(rows)


def test_what_cannot_be_counted_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    assert n_observations(path, ".csv") == 0
    assert n_observations(path, ".parquet") is None
    assert n_observations(path, ".bin") is None
    monkeypatch.setattr(table, "COUNT_LIMIT_BYTES", 1000)
    path.write_bytes(b"a\n" * 600)
    assert n_observations(path, ".csv") is None
    path.write_bytes(gzip.compress(b"a\n" * 600))
    assert n_observations(path, ".csv.gz") is None


def test_json_of_other_encodings_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(json.dumps({"ü": 1}, ensure_ascii=False).encode("utf-16"))
    assert load(tmp_path / "x", ".json") == {"ü": 1}
