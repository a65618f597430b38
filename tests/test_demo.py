"""The demo does what the README says of it: it is run once, and what it printed and wrote is checked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from prov.model import ProvDocument

from lineagelog.store import Store

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo.py"


class Demo(NamedTuple):
    """What a run of the demo left behind."""

    output: Path
    printed: str
    home: Path

    def part(self, number: int) -> str:
        """Return what one numbered part printed."""
        return self.printed.partition(f"\n{number}. ")[2].partition(f"\n{number + 1}. ")[0]


def run_demo(output: Path, home: Path) -> subprocess.CompletedProcess[str]:
    # What the demo must not touch is led to a folder that can be looked at afterwards.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LINEAGELOG_", "XDG_"))}
    return subprocess.run(
        [sys.executable, DEMO, "--output", output],
        env=environment | {"HOME": str(home)},
        cwd=output.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    home = folder / "home"
    home.mkdir()
    done = run_demo(folder / "output", home)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    return Demo(folder / "output", done.stdout, home)


@pytest.fixture
def store(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with Store.open(demo.output / "store") as store:
        yield store


def test_the_figure_is_traced_to_run_code_user_and_inputs(demo: Demo, store: Store) -> None:
    figure = store.Artifact.get(key="iris/figure.png")
    run = figure.run
    assert run is not None
    assert run.created_by is not None
    assert (figure.version_number, run.created_by.handle, run.transform.key) == (1, "mei", "train.py")
    assert run.inputs.one() == store.Artifact.get(key="iris/clean.parquet")
    told = demo.part(2)
    for fact in (
        figure.key,
        run.uid,
        "train.py, version 1",
        "Mei Tanaka (mei)",
        "iris/clean.parquet, version 2, 140 rows",
    ):
        assert fact in told
    assert run.transform.source_code == (demo.output / "scripts" / "train.py").read_text()


def test_changed_code_gives_new_versions(demo: Demo, store: Store) -> None:
    assert store.Transform.get(key="clean.py").versions.count() == 2
    assert store.Transform.get(key="train.py").versions.count() == 1
    for key in ("iris/clean.parquet", "iris/model.joblib", "iris/metrics.json", "iris/figure.png"):
        assert store.Artifact.get(key=key).versions.count() == 2
    assert store.Artifact.filter(key__startswith="iris/studies").count() == 4
    assert "-MAX_DEVIATION = 3.0\n    +MAX_DEVIATION = 2.5" in demo.part(2)


def test_pictures_show_the_whole_way(demo: Demo) -> None:
    picture = (demo.output / "results" / "lineage.svg").read_text()
    for name in (
        "upload.py",
        "iris/studies/study2.csv",
        "clean.py",
        "iris/clean.parquet",
        "train.py",
        "iris/figure.png",
    ):
        assert name in picture
    assert (demo.output / "results" / "lineage.png").read_bytes().startswith(b"\x89PNG")
    assert (demo.output / "results" / "downstream.svg").read_text().count("iris/figure.png") >= 2


def test_exports_can_be_read_by_others(demo: Demo) -> None:
    results = demo.output / "results"
    document = ProvDocument.deserialize(str(results / "figure.json"), format="json")
    (bundle,) = document.bundles
    keys = {str(value) for record in bundle.records for name, value in record.attributes if name.localpart == "key"}
    assert {"iris/figure.png", "iris/studies", "clean.py"} <= keys
    assert (results / "figure.provn").read_text().startswith("document")
    assert "prov:wasDerivedFrom" in (results / "figure.trig").read_text()


def test_the_export_answers_the_questions(demo: Demo) -> None:
    told = demo.part(5)
    for answer in (
        r"Amara Osei +amara +upload\.py",
        r"Jonas Lind +jonas +clean\.py",
        r"Mei Tanaka +mei +train\.py",
        r'2 +clean\.py +\{"max_deviation":2\.5\}',
        r"iris/studies/study1\.csv +[0-9a-f]{64}",
    ):
        assert re.search(answer, told), answer


def test_tampering_is_found_where_it_was_done(demo: Demo, store: Store) -> None:
    assert store.verify().ok
    claimed = re.search(r"event (\d+) now claims", demo.part(7))
    assert claimed is not None
    with Store.open(demo.output / "copy-that-was-tampered-with") as copy:
        assert copy.verify().first_bad_position == int(claimed[1])
    assert f"PROBLEM: event {claimed[1]} was changed" in demo.part(7)


def test_nothing_outside_the_output_is_touched(demo: Demo) -> None:
    assert list(demo.home.iterdir()) == []
    assert sorted(path.name for path in demo.output.parent.iterdir()) == ["home", "output"]


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "thesis" / "chapter1.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    done = run_demo(mine.parent, tmp_path)
    assert done.returncode == 1
    assert "was not made by the demo" in done.stderr
    assert mine.read_text() == "years of work"
