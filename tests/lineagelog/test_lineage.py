from __future__ import annotations

import html
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]


class Chain(NamedTuple):
    raw: ln.Artifact
    clean: ln.Run
    table: ln.Artifact
    plot: ln.Run
    figure: ln.Artifact


@pytest.fixture
def chain(store: Store, frame: Frame) -> Chain:
    """raw -> clean -> table -> plot -> figure."""
    store.login("ada", name="Ada")
    raw = ln.Artifact(frame(1), key="raw.parquet", run=False).save()
    with ln.Run(ln.Transform("clean.py")) as clean:
        raw.load()
        table = ln.Artifact(frame(2), key="table.parquet").save()
    with ln.Run(ln.Transform("plot.py"), name="for the paper") as plot:
        table.load()
        figure = ln.Artifact(frame(3), key="figure.parquet").save()
    return Chain(raw, clean, table, plot, figure)


def test_upstream_lists_everything_it_was_made_from_nearest_first(chain: Chain) -> None:
    rows = chain.figure.upstream()
    assert list(rows["uid"]) == [chain.plot.uid, chain.table.uid, chain.clean.uid, chain.raw.uid]
    assert list(rows["kind"]) == ["run", "artifact", "run", "artifact"]
    assert list(rows["user"]) == ["ada"] * 4
    assert list(rows["transform"])[::2] == ["plot.py", "clean.py"]
    assert list(chain.figure.upstream(max_depth=1)["uid"]) == [chain.plot.uid, chain.table.uid]
    assert rows["depth"].is_monotonic_increasing


def test_downstream_lists_everything_that_was_made_from_it(chain: Chain) -> None:
    assert list(chain.raw.downstream()["uid"]) == [chain.clean.uid, chain.table.uid, chain.plot.uid, chain.figure.uid]
    assert len(chain.figure.downstream()) == 0
    assert len(chain.raw.upstream()) == 0


def test_the_lineage_of_a_run(chain: Chain) -> None:
    assert set(chain.clean.upstream()["uid"]) == {chain.raw.uid}
    assert set(chain.clean.downstream()["uid"]) == {chain.table.uid, chain.plot.uid, chain.figure.uid}


def test_the_lineage_graph_points_the_way_data_flows(chain: Chain) -> None:
    graph = chain.table.lineage_graph()
    assert set(graph.nodes) == {record.uid for record in chain}
    assert graph.has_edge(chain.raw.uid, chain.clean.uid)
    assert graph.has_edge(chain.clean.uid, chain.table.uid)
    upstream = chain.table.lineage_graph(direction="upstream")
    assert set(upstream.nodes) == {chain.raw.uid, chain.clean.uid, chain.table.uid}
    assert chain.clean.lineage_graph(direction="downstream").has_edge(chain.plot.uid, chain.figure.uid)


def test_view_lineage_writes_pictures(chain: Chain, tmp_path: Path) -> None:
    path = chain.figure.view_lineage()
    assert path == Path(f"lineage-{chain.figure.uid}.svg")
    svg = path.read_text()
    for text in ("raw.parquet", "clean.py", "table.parquet", "plot.py", "figure.parquet"):
        assert text in svg
    assert chain.figure.view_lineage(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert chain.figure.view_lineage(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert "digraph" in chain.plot.view_lineage(tmp_path / "a.dot", direction="upstream", max_depth=1).read_text()


def test_wrong_directions_depths_and_formats_are_refused(chain: Chain, refused: Refused) -> None:
    refused(errors.InvalidValueError, lambda: chain.figure.lineage_graph(direction="sideways"), "sideways")
    refused(errors.InvalidValueError, lambda: chain.figure.upstream(max_depth=0), "max_depth")
    refused(errors.UnsupportedFormatError, lambda: chain.figure.view_lineage("lineage.gif"), r"\.svg")
    assert not Path("lineage.gif").exists()


def test_a_notebook_shows_the_picture(chain: Chain, store_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        # The front ends of notebooks warn of their own plans.
        warnings.simplefilter("ignore")
        import nbformat
        from nbclient import NotebookClient

        monkeypatch.setenv("LINEAGELOG_STORE", str(store_folder))
        notebook = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_code_cell(
                    "import lineagelog as ln\nrun = ln.track(ln.Transform('study', type='notebook'))"
                ),
                nbformat.v4.new_code_cell(f"ln.Artifact.get({chain.figure.uid!r}).view_lineage()"),
                nbformat.v4.new_code_cell("run.describe()\nln.finish().status"),
            ]
        )
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (picture,) = notebook.cells[1].outputs
    assert "raw.parquet" in picture.data["image/svg+xml"]
    assert notebook.cells[2].outputs[-1].data["text/plain"] == "'finished'"
    assert ln.Run.get(transform__key="study").status == "finished"
    assert not list(Path.cwd().glob("lineage-*.svg"))


def test_parents_are_drawn_with_and_without_children(store: Store, chain: Chain, tmp_path: Path) -> None:
    names = ("<b>cell</b>", "T cell", "CD8+ T cell", "naive")
    cells = [ln.ULabel(name).save() for name in names]
    for child, parent in zip(cells[1:], cells, strict=False):
        child.parents.add(parent)
    drawn = cells[2].view_parents().read_text()
    assert Path(f"parents-{cells[2].uid}.svg").is_file()
    assert [name for name in names if html.escape(name) in drawn] == list(names[:3])
    both = cells[2].view_parents(tmp_path / "both.dot", with_children=True).read_text()
    assert both.count(" -> ") == 3
    clean, plot = ln.Transform.get(key="clean.py"), ln.Transform.get(key="plot.py")
    assert clean in plot.parents
    assert "clean.py" in plot.view_parents(tmp_path / "plot.svg").read_text()
    assert "plot.py" not in clean.view_parents(tmp_path / "clean.svg").read_text()
    assert "plot.py" in clean.view_parents(tmp_path / "clean.svg", with_children=True).read_text()


def test_parents_are_drawn_as_deep_as_asked_and_many_children_as_their_number(store: Store, tmp_path: Path) -> None:
    names = ("cell", "T cell", "CD8+ T cell", "naive")
    cells = [ln.ULabel(name).save() for name in names]
    for child, parent in zip(cells[1:], cells, strict=False):
        child.parents.add(parent)
    for number in range(30):
        ln.ULabel(f"clone {number}").save().parents.add(cells[3])
    drawn = cells[3].view_parents(tmp_path / "a.html", max_depth=1).read_text()
    assert "CD8+ T cell" in drawn
    assert "<dd>T cell</dd>" not in drawn
    assert "30 records" in cells[3].view_parents(tmp_path / "a.svg", with_children=True).read_text()
    assert '("30 records")' in cells[3].view_parents(tmp_path / "a.mmd", with_children=True).read_text()
    with pytest.raises(errors.InvalidValueError, match="max_depth"):
        cells[3].view_parents(max_depth=0)


def test_a_picture_shows_where_a_run_belongs_and_leads_to_its_code(store: Store, frame: Frame, tmp_path: Path) -> None:
    code = "https://example.org/study/blob/main/clean.py"
    with ln.Run(ln.Transform("study.py")):
        with ln.Run(ln.Transform("clean.py", reference=code, reference_type="url")):
            table = ln.Artifact(frame(2), key="table.parquet").save()
        drawn = table.view_lineage(tmp_path / "a.svg").read_text()
    assert "within study.py" in drawn
    assert f'xlink:href="{code}"' in drawn
    assert f"SHA&#45;256 {table.hash}" in drawn
    collection = ln.Collection(table, key="all tables").save()
    assert "Lineage of all tables" in collection.view_lineage(tmp_path / "a.html").read_text()


def test_logs_and_diffs_of_runs_are_left_out_unless_something_has_read_them(store: Store, frame: Frame) -> None:
    raw = ln.Artifact.from_dataframe(frame(), key="raw.parquet").save()
    with ln.Run(ln.Transform("clean")) as run:
        raw.load()
        ln.Artifact.from_dataframe(frame(2), key="clean.parquet").save()
        log = run._save_own("run_log", "log.txt", "dropped 3 rows")
    assert set(raw.downstream()["name"].dropna()) == {"clean.parquet"}
    assert set(raw.lineage_graph()) == {raw.uid, run.uid, ln.Artifact.get(key="clean.parquet").uid}
    assert raw.uid in set(log.upstream()["uid"])
    with ln.Run(ln.Transform("count warnings")):
        log.load()
        ln.Artifact.from_dataframe(frame(3), key="warnings.parquet").save()
    assert set(raw.downstream()["name"].dropna()) == {"clean.parquet", log.key, "warnings.parquet"}
