"""Which code is running, asked by real programs started in each of the ways people start them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import venv
import zipapp
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from lineagelog.adapters.script import caller_namespace, running_code
from lineagelog.domain.values import check_name

ASK = """
import json
from lineagelog.adapters.script import running_code
code = running_code(globals())
print(json.dumps([code.kind, str(code.path), code.key, code.title, code.source, code.hash, code.lacks_source]))
"""


def run(*arguments: str, cwd: Path, stdin: str | Path | int = "", **environment: str) -> list[Any]:
    with stdin.open() if isinstance(stdin, Path) else nullcontext(stdin) as given:
        source: dict[str, Any] = {"input": given} if isinstance(given, str) else {"stdin": given}
        done = _run(arguments, cwd, environment, source)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _run(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], source: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        **source,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def answer(path: Path, title: str | None = None, *, key: str | None = None, content: bytes | None = None) -> list[Any]:
    content = path.read_bytes() if content is None else content
    text, digest = content.decode(), hashlib.sha256(content).hexdigest()
    return ["script", str(path), key or path.name, title, text, digest, None]


def function(code: str) -> str:
    return f"def ask():\n{textwrap.indent(code, '    ')}"


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
    (tmp_path / "helper.py").write_text(function(ASK))
    script = tmp_path / "run.py"
    script.write_text("import helper, os\nos.chdir('/')\nhelper.ask()\n")
    assert run("run.py", cwd=tmp_path) == answer(script)


def test_modules_are_told_apart_by_their_packages(package: Path) -> None:
    assert run("-m", "pkg.mod", cwd=package.parent) == answer(package / "mod.py", key="pkg/mod.py")
    assert run("pkg/mod.py", cwd=package.parent) == answer(package / "mod.py", key="pkg/mod.py")
    assert run("-m", "pkg", cwd=package.parent) == answer(package / "__main__.py", key="pkg/__main__.py")
    assert run("pkg", cwd=package.parent) == answer(package / "__main__.py", key="pkg/__main__.py")
    (package / "__init__.py").unlink()
    assert run("-m", "pkg.mod", cwd=package.parent) == answer(package / "mod.py", key="pkg/mod.py"), "a namespace"


def test_a_script_run_by_a_tool_is_the_script(package: Path) -> None:
    script = package / "mod.py"
    assert run("-m", "cProfile", "-o", "/dev/null", str(script), cwd=package) == answer(script, key="pkg/mod.py")
    assert run("-m", "runpy", "pkg.mod", cwd=package.parent) == answer(script, key="pkg/mod.py")
    (package / "outer.py").write_text(f"import runpy\nrunpy.run_path({str(script)!r}, run_name='__main__')\n")
    assert run("outer.py", cwd=package) == answer(script, key="pkg/mod.py")


@pytest.mark.parametrize("target", [False, True], ids=["environment", "folder"])
def test_an_installed_command_is_the_module_that_it_calls(tmp_path: Path, target: bool) -> None:
    source = tmp_path / "source"
    (source / "pkg").mkdir(parents=True)
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'pkg'\nversion = '1'\nscripts = {ask = 'pkg:main', other = 'pkg:main'}\n"
        "[tool.setuptools]\npackages = ['pkg']\n"
    )
    # The package offers what one module defines, and another one asks.
    (source / "pkg" / "__init__.py").write_text("from pkg.cli import main\n")
    (source / "pkg" / "cli.py").write_text("def main():\n    from pkg import helper\n    helper.ask()\n")
    (source / "pkg" / "helper.py").write_text(function(ASK))
    python, options = sys.executable, ["--target", str(tmp_path / "made")]
    if not target:
        venv.create(tmp_path / "made", symlinks=True)
        python, options = str(tmp_path / "made/bin/python"), ["--prefix", str(tmp_path / "made")]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "--no-build-isolation", "--no-index", *options, str(source)], check=True)
    (module,) = (tmp_path / "made").rglob("cli.py")
    # pip has named the Python that ran it in the first line of the command.
    done = subprocess.run(
        [python, str(tmp_path / "made/bin/ask")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(module.parents[1]), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == answer(module, key="pkg/cli.py")


def test_a_command_of_another_package_is_a_tool(tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text("import runpy, sys\ndef main():\n    runpy.run_module(sys.argv[1])\n")
    (tmp_path / "mine.py").write_text(ASK)
    command = tmp_path / "tool"
    command.write_text("import sys\nfrom tool import main\nsys.argv[0] = sys.argv[0]\nsys.exit(main())\n")
    folders = os.pathsep.join([str(tmp_path), *sys.path])
    assert run(str(command), "mine", cwd=tmp_path, PYTHONPATH=folders) == answer(tmp_path / "mine.py")


def test_an_archive(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__main__.py").write_text(ASK)
    zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz")
    expected = answer(tmp_path / "app.pyz", key="app.pyz/__main__.py", content=ASK.encode())
    assert run("app.pyz", cwd=tmp_path) == expected


def test_the_command_line_is_the_source(tmp_path: Path) -> None:
    expected = ["script", "None", "python -c", None, ASK, hashlib.sha256(ASK.encode()).hexdigest(), None]
    assert run("-c", ASK, cwd=tmp_path) == expected
    assert run("-uW", "error", "-X", "utf8", f"-c{ASK}", "-c", "other", cwd=tmp_path) == expected
    (tmp_path / "helper.py").write_text(function(ASK))
    command = "import helper; helper.ask()"
    assert run("-c", command, cwd=tmp_path)[2:5] == ["python -c", None, command]


def test_standard_input_is_the_source_if_it_can_be_read_again(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(ASK)
    for option in (["-"], []):
        assert run(*option, cwd=tmp_path, stdin=script) == answer(script)
        kind, path, key, title, source, digest, lacks = run(*option, cwd=tmp_path, stdin=ASK)
        assert (kind, path, key, title, source, digest) == ("script", "None", "python -", None, None, None)
        assert "pipe" in lacks
    with tempfile.TemporaryFile("w+") as nameless:
        nameless.write(ASK)
        nameless.seek(0)
        assert run("-", cwd=tmp_path, stdin=nameless.fileno())[2:5] == ["python -", None, ASK]
        nameless.seek(0)
        nameless.write(f"# not read\n{ASK}")
        nameless.flush()
        os.lseek(nameless.fileno(), len("# not read\n"), os.SEEK_SET)
        assert run("-", cwd=tmp_path, stdin=nameless.fileno())[4:6] == [None, None], "what ran is a part of it"


def test_in_a_worker_process_it_is_the_script_of_its_parent(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(function(ASK))
    script = tmp_path / "run.py"
    script.write_text(
        "import helper, multiprocessing\nif __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=helper.ask)\n"
        "    process.start()\n    process.join()\n"
    )
    assert run("run.py", cwd=tmp_path) == answer(script)
    # What a child is made of for the parent's command line is of no interest to anybody.
    assert run("-c", script.read_text(), cwd=tmp_path) == answer(tmp_path / "helper.py")


@pytest.mark.parametrize("name", ["größe 表.py", os.fsdecode(b"\xff\xfe.py"), "two\nlines.py", " .py "])
def test_a_script_of_any_name(tmp_path: Path, name: str) -> None:
    script = tmp_path / name
    script.write_text(ASK.replace("str(code.path)", "ascii(code.path)"))
    found = run(name, cwd=tmp_path)
    assert found[5] == hashlib.sha256(script.read_bytes()).hexdigest()
    assert check_name(found[2], "the key") == found[2]


def test_exact_bytes_are_hashed_in_any_encoding(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    content = f"# -*- coding: latin-1 -*-\r\n# \xfc\r\n{ASK}".encode("latin-1")
    script.write_bytes(content)
    found = run("run.py", cwd=tmp_path)
    assert found[5] == hashlib.sha256(content).hexdigest()
    assert "\xfc" in found[4]


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ("p.write_text(p.read_text() + 'x = 1\\n')", "was changed"),
        ("p.write_text(p.read_text() + '# a comment\\n')", None),
        ("q = p.with_suffix('.new'); q.write_text('x = 1'); os.utime(q, (0, 0)); q.replace(p)", "was changed"),
        ("p.unlink()", "moved or removed"),
    ],
    ids=["edited", "commented", "replaced", "removed"],
)
def test_a_script_that_is_no_longer_what_runs_has_no_source(tmp_path: Path, change: str, lacks: str | None) -> None:
    script = tmp_path / "run.py"
    script.write_text(f"import os, pathlib\np = pathlib.Path(__file__)\n{change}\n{ASK}")
    for asked in (
        ASK,
        "import threading\nthread = threading.Thread(target=helper.ask)\nthread.start(); thread.join()\n",
    ):
        (tmp_path / "helper.py").write_text(function(ASK))
        script.write_text(f"import helper, os, pathlib\np = pathlib.Path(__file__)\n{change}\n{asked}")
        found = run("run.py", cwd=tmp_path)
        assert (found[0], found[2]) == ("script", "run.py")
        assert (found[4] is None, found[5] is None) == (lacks is not None, lacks is not None)
        assert (lacks or "") in (found[6] or "")


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
