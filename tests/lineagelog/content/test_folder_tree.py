"""Trees of folders: counted in full, named within limits, local and remote, and harmless to look at."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.adapters.storage import open_storage
from lineagelog.cli import exits
from lineagelog.cli.app import run
from lineagelog.content.folder_tree import build_tree, read_tree
from lineagelog.store import Store

FILES = {"a.csv": "aaaa", "study0/i1.jpg": "1", "study0/i2.jpg": "22", "study0/deep/er/x.tar.gz": "333", "README": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "iris" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "iris/empty").mkdir()
    return tmp_path / "iris"


@pytest.fixture(params=["local", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "elsewhere")
    if request.param == "s3":
        request.getfixturevalue("s3_environment")
        return f"s3://bucket/{uuid.uuid4().hex}"
    return f"memory://{uuid.uuid4().hex}"


def test_a_folder_is_counted_and_named_wherever_it_lies(root: str, folder: Path) -> None:
    storage = open_storage(root)
    storage.put_folder(folder, "data/iris")
    top = read_tree(storage, "data/iris")
    assert (top.n_folders, top.n_files, top.size_bytes) == (3, 5, 10)
    assert dict(top.suffixes) == {".csv": 1, ".jpg": 2, ".tar.gz": 1, "": 1}
    assert list(top.files.items()) == [("README", 0), ("a.csv", 4)]
    study = top.folders["study0"]
    assert (study.n_folders, study.n_files, study.size_bytes, list(study.files)) == (2, 3, 6, ["i1.jpg", "i2.jpg"])
    assert top.summary == "3 folders, 5 files, 10 B: 2 .jpg, 1 without suffix, 1 .csv, 1 .tar.gz"
    assert read_tree(storage).folders["data"].folders["iris"].to_dict()["n_files"] == 5
    with pytest.raises(errors.ObjectMissingError, match="nowhere"):
        read_tree(storage, "nowhere")
    with pytest.raises(errors.UnsupportedFormatError, match="is a file"):
        read_tree(storage, "data/iris/a.csv")


def test_depth_and_number_are_limited_and_the_counts_are_not(folder: Path) -> None:
    top = read_tree(open_storage(folder), max_depth=1, max_files=1)
    assert (top.n_folders, top.n_files, top.n_unnamed) == (3, 5, 1)
    study = top.folders["study0"]
    assert (study.n_files, study.n_folders, study.n_unnamed, study.folders, study.is_cut) == (3, 2, 1, {}, True)
    flat = build_tree("big", ((f"d{n % 7}/f{n}.txt", 1) for n in range(100_000)), max_files=2)
    assert (flat.n_folders, flat.n_files, flat.size_bytes) == (7, 100_000, 100_000)
    assert sum(len(inner.files) for inner in flat.folders.values()) == 14


def test_artifacts_and_locations_are_shown_without_being_read(
    sqlite_store: Store, root: str, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    storage = sqlite_store.Storage(root).save().make_default()
    artifact = ln.Artifact(folder, key="iris", run=False).save()
    capsys.readouterr()
    artifact.view_tree()
    shown = capsys.readouterr().out
    assert "3 folders, 5 files, 10 B: 2 .jpg" in shown
    assert "├── study0/  3 files, 6 B\n" in shown
    assert "│   ├── i1.jpg  1 B\n" in shown
    storage.view_tree(max_depth=1)
    assert "5 files" in capsys.readouterr().out
    ln.view_tree(root, max_files=0)
    assert "i1.jpg" not in capsys.readouterr().out
    assert not (tmp_path / "xdg-cache/lineagelog/content").exists()


def test_prov_tree_takes_a_path_or_a_uid(sqlite_store: Store, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = ln.Artifact(folder, key="iris", run=False).save()
    place = ["--store", str(sqlite_store.folder)]
    for target in (str(folder), artifact.uid, sqlite_store.storage.uid):
        capsys.readouterr()
        assert run(["tree", target, "--json", *place]) == 0
        assert json.loads(capsys.readouterr().out)["n_files"] >= 5
    assert run(["tree", "nowhere", *place]) == exits.NOT_FOUND


def test_a_link_is_listed_and_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("s")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder)
    top = read_tree(open_storage(folder))
    assert {"link", "loop"} <= top.files.keys()
    assert top.n_files == 7


def test_names_can_neither_steer_a_terminal_nor_become_html(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["\x1b[31mred", "[bold]b", "<script>alert(1)<", "\u202etxt.exe", "line\nbreak", "\udcff"]
    (tmp_path / "odd").mkdir()
    for name in names:
        (tmp_path / "odd" / f"{name}.x{name[:4]}").mkdir()
        (tmp_path / "odd" / f"{name}.x{name[:4]}" / name).touch()
    ln.view_tree(tmp_path / "odd")
    shown = capsys.readouterr().out
    assert r"\x1b[31mred" in shown
    assert "[bold]b" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert r"line\nbreak" in shown
    displayed: list[Any] = []
    monkeypatch.setattr("lineagelog.lineage.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", displayed.append)
    ln.view_tree(tmp_path / "odd")
    page = "".join(item._repr_mimebundle_((), ())["text/html"] for item in displayed)
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
