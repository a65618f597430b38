"""Which code is running, asked by real programs started in each of the ways people start them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.script import caller_namespace, running_code

ASK = """
import json
from lineagelog.adapters.script import running_code
code = running_code(globals())
print(json.dumps([code.kind, str(code.path), code.key, code.title, code.source, code.hash, code.edited]))
"""


def run(*arguments: str, cwd: Path, stdin: str = "", **environment: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def answer(path: Path, title: str | None = None) -> list[Any]:
    content = path.read_bytes()
    key = path.name if path.name != "__main__.py" else f"{path.parent.name}/__main__.py"
    return ["script", str(path), key, title, content.decode(), hashlib.sha256(content).hexdigest(), False]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "pkg"
    path.mkdir()
    (path / "__init__.py").touch()
    (path / "mod.py").write_text(ASK)
    (path / "__main__.py").write_text(ASK)
    return path


def test_a_script(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(f'"""Clean the data.\n\nMore.\n"""\n{ASK}')
    assert run("run.py", cwd=tmp_path) == answer(script, "Clean the data.")
    (tmp_path / "link.py").symlink_to(script)
    assert run("link.py", cwd=tmp_path) == answer(script, "Clean the data.")


def test_a_script_that_changes_its_folder_and_asks_through_a_module(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(f"def ask():\n{''.join('    ' + line + chr(10) for line in ASK.splitlines())}")
    script = tmp_path / "run.py"
    script.write_text("import helper, os\nos.chdir('/')\nhelper.ask()\n")
    assert run("run.py", cwd=tmp_path) == answer(script)


def test_modules(package: Path) -> None:
    assert run("-m", "pkg.mod", cwd=package.parent) == answer(package / "mod.py")
    assert run("-m", "pkg", cwd=package.parent) == answer(package / "__main__.py")
    assert run("pkg", cwd=package.parent) == answer(package / "__main__.py")


def test_a_script_run_by_a_tool_is_the_script(package: Path) -> None:
    script = package / "mod.py"
    assert run("-m", "cProfile", "-o", "/dev/null", str(script), cwd=package) == answer(script)
    assert run("-m", "runpy", "pkg.mod", cwd=package.parent) == answer(script)


def test_an_installed_command_is_the_module_behind_it(package: Path, tmp_path: Path) -> None:
    (package / "cli.py").write_text(f"def main():\n{''.join('    ' + line + chr(10) for line in ASK.splitlines())}")
    command = Path(sys.executable).parent / f"lineagelog-test-{os.getpid()}"
    command.write_text("import sys\nfrom pkg.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    try:
        assert run(str(command), cwd=tmp_path, PYTHONPATH=str(tmp_path)) == answer(package / "cli.py")
        (package / "cli.py").write_text((package / "cli.py").read_text().replace("globals()", ""))
        assert run(str(command), cwd=tmp_path, PYTHONPATH=str(tmp_path)) == answer(package / "cli.py")
    finally:
        command.unlink()


def test_typed_code_has_no_file(tmp_path: Path) -> None:
    nothing = ["interactive", "None", "interactive", None, None, None, False]
    assert run("-c", ASK, cwd=tmp_path) == nothing
    assert run("-", cwd=tmp_path, stdin=ASK) == nothing
    assert run(cwd=tmp_path, stdin=ASK) == nothing


def test_exact_bytes_are_hashed_in_any_encoding(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    content = f"# -*- coding: latin-1 -*-\r\n# \xfc\r\n{ASK}".encode("latin-1")
    script.write_bytes(content)
    found = run("run.py", cwd=tmp_path)
    assert found[5] == hashlib.sha256(content).hexdigest()
    assert "\xfc" in found[4]


def test_a_script_edited_after_it_began_is_told(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    for addition, edited in (("x = 1\n", True), ("\n# a comment\n", False)):
        script.write_text(
            f"import pathlib\np = pathlib.Path(__file__)\np.write_text(p.read_text() + {addition!r})\n{ASK}"
        )
        assert run("run.py", cwd=tmp_path)[6] is edited


def test_under_pytest_it_is_the_test_module() -> None:
    found = running_code(globals())
    assert (found.kind, found.path) == ("script", Path(__file__).resolve())
    assert found.title == "Which code is running, asked by real programs started in each of the ways people start them."

    def ask() -> dict[str, Any]:
        return caller_namespace()

    assert ask() is globals()


def test_a_notebook(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    path = tmp_path / "study.ipynb"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("text\n# Iris study\n"), nbformat.v4.new_code_cell(ASK)]
    )
    nbformat.write(notebook, path)
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "other.ipynb")
    for session, expected in (
        (str(path), ["notebook", str(path), "study.ipynb", "Iris study"]),
        ("some/server/root/study.ipynb", ["notebook", str(path), "study.ipynb", "Iris study"]),
        (None, ["notebook", "None", "notebook", None]),
        # As a kernel inherits it from the notebook that started the program that runs this one.
        (str(tmp_path / "other.ipynb"), ["notebook", "None", "notebook", None]),
    ):
        environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
        if session is not None:
            environment["JPY_SESSION_NAME"] = session
        client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
        client.execute(env=environment)
        found = json.loads(notebook.cells[1].outputs[-1].text)
        assert found[:4] == expected
        assert found[5] == hashlib.sha256(found[4].encode()).hexdigest()
        assert ("Iris study" in found[4]) is (expected[2] == "study.ipynb")
