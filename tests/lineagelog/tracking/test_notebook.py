"""Notebooks in real kernels: a front end that runs cell by cell, and the programs that run them whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from prov.model import ProvAssociation

import lineagelog as ln
from lineagelog.domain.event import Change
from lineagelog.store import Store

TRACK = "import lineagelog as ln\nrun = ln.track()"
FINISH = "ln.finish()"


class FrontEnd:
    """What Jupyter or VS Code does: sends cells to a kernel, shows what comes back, and saves the file when asked to."""

    def __init__(self, path: Path, cells: list[Any], environment: dict[str, str]) -> None:
        from jupyter_client.manager import KernelManager

        self.path = path
        self.notebook = nbformat.v4.new_notebook(cells=cells)
        self.kernel = KernelManager(kernel_name="python3")
        self.kernel.start_kernel(env=environment, cwd=str(path.parent))
        self.client = self.kernel.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def save(self) -> None:
        nbformat.write(self.notebook, self.path)

    def edit(self, number: int, source: str) -> None:
        self.notebook.cells[number - 1].source = source

    def run(self, *numbers: int) -> str:
        """Run cells by their place, all if none is named, and return what they print."""
        printed = ""
        for number in numbers or range(1, len(self.notebook.cells) + 1):
            cell = self.notebook.cells[number - 1]
            if cell.cell_type != "code":
                continue
            cell.outputs = []

            def keep(message: dict[str, Any], outputs: list[Any] = cell.outputs) -> None:
                if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                    outputs.append(nbformat.v4.output_from_msg(message))

            reply = self.client.execute_interactive(cell.source, timeout=60, output_hook=keep)
            cell.execution_count = reply["content"]["execution_count"]
            printed += "".join(output.get("text", output.get("evalue", "")) for output in cell.outputs)
        return printed

    def stop(self, *, now: bool = False) -> None:
        """End the kernel, as the front end does when it is told to."""
        self.client.stop_channels()
        self.kernel.shutdown_kernel(now=now)


Open = Callable[..., FrontEnd]


def code(source: str) -> Any:
    return nbformat.v4.new_code_cell(source)


def text(source: str) -> Any:
    return nbformat.v4.new_markdown_cell(source)


@pytest.fixture
def kernel_environment(script_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    own = {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter")}
    # A kernel warns of its own plans.
    return {name: value for name, value in script_environment.items() if name != "PYTHONWARNINGS"} | own


@pytest.fixture
def open_notebook(kernel_environment: dict[str, str], tmp_path: Path) -> Iterator[Open]:
    opened: list[FrontEnd] = []

    def opening(*cells: Any, name: str = "study.ipynb", saved: bool = True, session: bool = True) -> FrontEnd:
        path = tmp_path / "notebooks" / name
        path.parent.mkdir(exist_ok=True)
        told = {"JPY_SESSION_NAME": str(path)} if session else {}
        front_end = FrontEnd(path, list(cells), kernel_environment | told)
        if saved:
            front_end.save()
        opened.append(front_end)
        return front_end

    yield opening
    for front_end in opened:
        if front_end.kernel.has_kernel:
            front_end.stop(now=True)


def test_a_notebook_that_is_run_from_top_to_bottom(sqlite_store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(
        text("Some words.\n## Part\n# Depth of *B*"),
        code(TRACK),
        code("import pandas as pd\ntable = pd.DataFrame({'x': [1]})\nprint('hello', 'xyzzy')\ntable"),
        code("password = \"hunter22secret\"\nprint('password=' + password)"),
        code(FINISH),
        code(""),
    )
    notebook.run(1, 2, 3, 4)
    notebook.save()
    said = notebook.run(5)
    run = sqlite_store.Run.get()
    assert run.status == "finished"
    assert (run.is_consecutive, run.stale_cells, run.unrun_cells) == (True, [], [])
    assert "!" not in said, said
    assert "finished Run" in said
    transform = run.transform
    assert (transform.key, transform.type, transform.description) == ("study.ipynb", "notebook", "Depth of *B*")
    assert sqlite_store.Transform.filter().count() == 1, "running and saving a notebook makes no version"
    again = nbformat.reads(transform.source_code, as_version=4)
    nbformat.validate(again)
    assert [cell.cell_type for cell in again.cells] == ["markdown", "code", "code", "code", "code"]
    assert again.cells[2].source == notebook.notebook.cells[2].source
    assert all(not cell.outputs for cell in again.cells if cell.cell_type == "code")
    assert "xyzzy'" in transform.source_code
    assert "hunter22secret" not in transform.source_code
    assert transform.source_redacted
    assert run.imports is not None
    assert "pandas" in run.imports
    assert "lineagelog" not in run.imports or run.imports["lineagelog"]
    assert run.environment is not None
    assert run.imports["pandas"] == run.environment["packages"]["pandas"]
    assert "ipykernel" not in run.imports
    assert run.report is not None
    assert (run.report.key, run.report.kind) == (f"runs/{run.uid}/report.html", "run_report")
    html = run.report.cache().read_text()
    assert "hello xyzzy" in html
    assert "Depth of" in html
    assert "hunter22secret" not in html
    assert not any("hunter22secret" in str(event.fact) for event in sqlite_store.events())
    assert sqlite_store.Run.filter(is_consecutive=True).count() == 1


def test_a_notebook_that_is_edited_while_it_runs(store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(code(TRACK), code("x = 1"))
    notebook.run(1)
    before = store.Run.get().transform
    notebook.notebook.cells += [code("a = ln.Artifact(__import__('pathlib').Path('a.txt'), key='a.txt')"), code(FINISH)]
    notebook.edit(2, "open('a.txt', 'w').write('a')")
    notebook.edit(3, "artifact = ln.Artifact('a.txt', key='a.txt').save()\nln.Collection(artifact, key='all').save()")
    notebook.run(2, 3)
    assert store.Artifact.get(key="a.txt").transform == before
    asked = notebook.run(4)
    assert asked.count("save it and run ln.finish() again") == 1
    assert store.Run.get().status == "started"
    notebook.save()
    said = notebook.run(4)
    assert "the notebook has changed since ln.track()" in said
    run = store.Run.get()
    assert run.status == "finished"
    assert run.is_consecutive, "that finish() had to be called twice does not count"
    assert run.transform != before
    assert run.transform.uid[:12] == before.uid[:12]
    assert "open('a.txt', 'w')" in (run.transform.source_code or "")
    assert store.Artifact.get(key="a.txt").transform == run.transform
    assert store.Collection.get(key="all").transform == run.transform
    assert run.transform.runs.count() == 1
    assert before.runs.count() == 0
    assert run.report is not None
    (change,) = [event.fact.changes for event in run.history() if event.topic == "run.updated.1"]
    assert change["transform_id"].old == before.id
    (entry,) = store.trail(what="run.updated")
    assert entry.changes["transform_id"] == Change(before.uid, run.transform.uid)
    plans = {
        str(plan)
        for record in store.to_prov().flattened().get_records(ProvAssociation)
        for plan in [record.args[2]]
        if plan
    }
    assert plans == {f"transform:{run.transform.uid}"}


def test_cells_out_of_order_stale_and_left_out_are_told(sqlite_store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(text("# Order"), code(TRACK), code("x = 1"), code("y = 2"), code("z = 3"), code(FINISH))
    notebook.run(2, 4, 3)
    notebook.edit(4, "y = 22")
    notebook.save()
    said = notebook.run(6)
    run = sqlite_store.Run.get()
    assert (run.is_consecutive, run.stale_cells, run.unrun_cells) == (False, [4], [5])
    assert "cell 4 of the notebook changed after running" in said
    assert "cell 5 of the notebook did not run" in said
    assert sqlite_store.Run.filter(is_consecutive=False).count() == 1
    # The kernel goes on, and so may the next run.
    notebook.edit(2, "run = ln.track()")
    notebook.run(2, 3, 4, 5)
    notebook.save()
    said = notebook.run(6)
    second = sqlite_store.Run.all()[1]
    assert (second.is_consecutive, second.stale_cells, second.unrun_cells) == (False, [], [])
    assert "did not run once each from top to bottom" in said
    assert said.count("!") == 1


def test_a_notebook_that_is_not_saved_is_what_was_executed(sqlite_store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(code(TRACK), code("x = 'token-abc'\nprint(len(x) * 111)"), code(FINISH), saved=False)
    said = notebook.run(1)
    assert "study.ipynb cannot be read here: it was never saved" in said
    notebook.run(2)
    said = notebook.run(3)
    assert "what the kernel has executed is kept as the source" in said
    run = sqlite_store.Run.get()
    assert (run.status, run.is_consecutive) == ("finished", None)
    again = nbformat.reads(run.transform.source_code, as_version=4)
    assert [cell.source for cell in again.cells] == [TRACK, "x = 'token-abc'\nprint(len(x) * 111)", FINISH]
    assert run.report is not None
    assert ">999" in run.report.cache().read_text()
    assert again.metadata.lineagelog == {"source": "input history"}
    assert run.transform.key == "study.ipynb"


def test_a_saved_notebook_whose_changes_are_not_saved(sqlite_store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(code(TRACK), code("x = 1"), code(FINISH))
    notebook.run(1)
    notebook.edit(2, "x = 2")
    notebook.run(2)
    assert "save it and run" in notebook.run(3)
    said = notebook.run(3)
    assert "save it and run" not in said
    run = sqlite_store.Run.get()
    assert run.status == "finished"
    assert "x = 2" in (run.transform.source_code or "")
    assert "input history" in (run.transform.source_code or "")


def test_an_error_in_a_cell_and_sys_exit_do_not_end_the_run(sqlite_store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(code(TRACK), code("1 / 0"), code("import sys\nsys.exit(3)"), code("x = 1"))
    notebook.run()
    assert sqlite_store.Run.get().status == "started"
    notebook.save()
    notebook.stop()
    run = sqlite_store.Run.get()
    assert run.status == "finished", "the kernel was shut down"
    assert run.is_consecutive
    assert run.report is None


def test_a_restart_ends_the_run(sqlite_store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(code(TRACK), code("x = 1"))
    notebook.run(1)
    notebook.client.stop_channels()
    notebook.kernel.restart_kernel(now=False)
    assert sqlite_store.Run.get().status == "finished"
    notebook.client = notebook.kernel.blocking_client()
    notebook.client.start_channels()
    notebook.client.wait_for_ready(timeout=60)
    notebook.run(1)
    first, second = sqlite_store.Run.all()
    assert (first.transform, second.status) == (second.transform, "started")


def test_two_kernels_on_one_notebook(sqlite_store: Store, open_notebook: Open) -> None:
    cells = [code(TRACK), code("x = 1"), code(FINISH)]
    one, other = open_notebook(*cells), open_notebook(*cells)
    one.run(1)
    other.run(1)
    other.edit(2, "x = 2")
    other.run(2)
    other.save()
    other.run(3)
    one.run(2)
    one.edit(2, "x = 1")
    one.save()
    one.run(3)
    first, second = sqlite_store.Run.all()
    assert [first.status, second.status] == ["finished", "finished"]
    assert "x = 1" in (first.transform.source_code or "")
    assert "x = 2" in (second.transform.source_code or "")
    assert first.transform.uid[:12] == second.transform.uid[:12]


def test_vs_code_says_which_file_it_is(sqlite_store: Store, open_notebook: Open, tmp_path: Path) -> None:
    told = f"__vsc_ipynb_file__ = {str(tmp_path / 'notebooks' / 'study.ipynb')!r}"
    notebook = open_notebook(text("# Study"), code(TRACK), code(FINISH), session=False)
    notebook.client.execute(told, silent=True)
    notebook.run(2)
    notebook.save()
    notebook.run(3)
    run = sqlite_store.Run.get()
    assert (run.transform.key, run.transform.description, run.is_consecutive) == ("study.ipynb", "Study", True)


def test_a_notebook_that_is_renamed_is_found(sqlite_store: Store, open_notebook: Open) -> None:
    notebook = open_notebook(code(TRACK), code("x = 1"), code(FINISH))
    notebook.client.execute("import sys\nsys.modules['nbconvert'] = None", silent=True)
    notebook.run(1, 2)
    notebook.path = notebook.path.rename(notebook.path.with_name("renamed.ipynb"))
    notebook.save()
    said = notebook.run(3)
    run = sqlite_store.Run.get()
    assert (run.status, run.is_consecutive, run.transform.key) == ("finished", True, "study.ipynb")
    assert said.count("lineagelog[notebook]") == 1
    assert run.report is None


def test_colab_is_asked_for_what_it_shows(sqlite_store: Store, open_notebook: Open, tmp_path: Path) -> None:
    shown = nbformat.v4.new_notebook(cells=[code(TRACK), code(FINISH)], metadata={"colab": {"name": "In colab.ipynb"}})
    package = tmp_path / "notebooks" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "_message.py").write_text(
        "import json\n"
        "def blocking_request(request_type, request='', timeout_sec=5, parent=None):\n"
        "    assert request_type == 'get_ipynb'\n"
        f"    return {{'ipynb': json.loads({json.dumps(shown)!r})}}\n"
    )
    notebook = open_notebook(code(TRACK), code(FINISH), session=False, saved=False)
    notebook.client.execute_interactive("import google.colab", silent=True, store_history=False, timeout=60)
    notebook.run()
    run = sqlite_store.Run.get()
    assert (run.transform.key, run.is_consecutive, run.status) == ("In colab.ipynb", True, "finished")
    assert run.report is not None
    # VS Code on a machine of Colab.
    told = f"__vsc_ipynb_file__ = {str(notebook.path)!r}"
    notebook.client.execute_interactive(told, silent=True, store_history=False, timeout=60)
    notebook.save()
    notebook.run(1)
    assert sqlite_store.Run.all()[1].transform.key == "study.ipynb"


def execute(path: Path, environment: dict[str, str], *command: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *command],
        cwd=folder or path.parent,
        env=environment | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def parameterized(tmp_path: Path) -> Path:
    """A notebook with parameters that is tracked below them."""
    parameters = nbformat.v4.new_code_cell("level = 1", metadata={"tags": ["parameters"]})
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [text("# Study"), parameters, code(TRACK), code("print('level', level)"), code(FINISH)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "study.ipynb")
    return tmp_path / "study.ipynb"


CALL = """
import sys, papermill
papermill.execute_notebook('study.ipynb', 'out.ipynb', {'level': 4, **dict([sys.argv[1:]])})
"""


def test_papermill(sqlite_store: Store, kernel_environment: dict[str, str], parameterized: Path) -> None:
    execute(parameterized, kernel_environment, "papermill", "study.ipynb", "copy.ipynb", "-p", "level", "3")
    parameterized.with_name("call.py").write_text(CALL)
    execute(parameterized, kernel_environment, "call", "PAPERMILL_OUTPUT_PATH", "out.ipynb")
    first, second = sqlite_store.Run.all()
    assert [first.params, second.params] == [{"level": 3}, {"level": 4}]
    assert first.transform == second.transform, "parameters make no version"
    assert (first.transform.key, first.transform.description) == ("study.ipynb", "Study")
    for run, level in ((first, 3), (second, 4)):
        assert (run.status, run.is_consecutive, run.unrun_cells) == ("finished", True, [])
        assert run.report is not None
        assert f"level {level}" in run.report.cache().read_text()


def test_papermill_in_a_notebook_that_names_itself(
    sqlite_store: Store, kernel_environment: dict[str, str], parameterized: Path
) -> None:
    parameterized.write_text(parameterized.read_text().replace("track()", "track(path='study.ipynb')"))
    parameterized.with_name("call.py").write_text(CALL)
    execute(parameterized, kernel_environment, "call", "more", "1")
    run = sqlite_store.Run.get()
    assert (run.status, run.transform.key, run.is_consecutive) == ("finished", "study.ipynb", True)
    assert "level = 4" not in (run.transform.source_code or "")


def test_programs_that_run_notebooks_and_are_told_the_file(
    sqlite_store: Store, kernel_environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "study.ipynb"
    shown = code(f"{TRACK}\nprint('level', 6 * 7)")
    # What an earlier execution left in the file, with the count that it will have again.
    shown.execution_count, shown.outputs = 1, [nbformat.v4.new_output("stream", text="level 41")]
    nbformat.write(nbformat.v4.new_notebook(cells=[text("# Study"), shown, code(FINISH)]), path)
    # As if the command was given in another notebook.
    outer = tmp_path / "outer.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[code("!jupyter nbconvert --execute study.ipynb")]), outer)
    execute(
        path,
        kernel_environment | {"JPY_SESSION_NAME": str(outer)},
        *("nbconvert", "--to", "notebook", "--execute", "--output", "executed.ipynb", "study.ipynb"),
    )
    run = sqlite_store.Run.get()
    assert (run.status, run.transform.key, run.transform.description) == ("finished", "study.ipynb", "Study")
    assert (run.is_consecutive, run.unrun_cells) == (True, [])
    assert run.report is not None
    html = run.report.cache().read_text()
    assert "level 42" in html, "the program writes the outputs later than this"
    assert "level 41" not in html


def test_a_program_that_tells_no_name(sqlite_store: Store, kernel_environment: dict[str, str], tmp_path: Path) -> None:
    from nbclient import NotebookClient

    path = tmp_path / "named.ipynb"
    for track, key, said in (
        (TRACK, "notebook", 'ln.track(path="study.ipynb")'),
        (TRACK.replace("()", "(path='named.ipynb')"), "named.ipynb", "created Transform"),
    ):
        notebook = nbformat.v4.new_notebook(cells=[code(track), code(FINISH)])
        nbformat.write(notebook, path)
        client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
        client.execute(env=kernel_environment)
        run = sqlite_store.Run.last()
        assert run is not None
        assert (run.status, run.transform.key) == ("finished", key)
        assert run.is_consecutive is (True if key == "named.ipynb" else None)
        assert said in str(notebook.cells[0].outputs)
        assert "save" not in str(notebook.cells[1].outputs).replace("not saved", "")
    ln.Transform.get(key="notebook")


def test_an_error_at_which_a_program_gives_up_fails_the_run(
    sqlite_store: Store, kernel_environment: dict[str, str], tmp_path: Path
) -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.v4.new_notebook(cells=[code(TRACK), code("1 / 0"), code(FINISH)])
    nbformat.write(notebook, tmp_path / "study.ipynb")
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.raises(CellExecutionError):
        client.execute(env=kernel_environment | {"JPY_SESSION_NAME": str(tmp_path / "study.ipynb")})
    run = sqlite_store.Run.get()
    assert (run.status, run.error_type, run.transform.key) == ("failed", "ZeroDivisionError", "study.ipynb")


def test_nothing_is_said_to_the_quiet(
    sqlite_store: Store, open_notebook: Open, kernel_environment: dict[str, str]
) -> None:
    kernel_environment["LINEAGELOG_QUIET"] = "1"
    notebook = open_notebook(code(TRACK), code("x = 1"), code("y = 1"), code(FINISH))
    assert notebook.run(1, 3) == ""
    notebook.save()
    notebook.run(4)
    outputs = notebook.notebook.cells[3].outputs
    assert [output.output_type for output in outputs] == ["execute_result"]
    assert sqlite_store.Run.get().unrun_cells == [2]
