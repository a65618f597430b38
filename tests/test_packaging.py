"""What is installed: the wheel holds the package with its layers inside, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("domain", "projections", "adapters", "exporters")
PLUGIN = "snakemake_logger_plugin_lineagelog"
"""Snakemake finds plugins by the name of a top-level package."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of what a source distribution holds, without network."""
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in (*LAYERS, "lineagelog"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-build-isolation", "--no-deps",
         "--no-index", "--wheel-dir", str(folder), str(source)],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    (path,) = folder.glob("lineagelog-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_one_package_and_the_plugin_of_snakemake(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lineagelog", PLUGIN}


def test_the_wheel_holds_every_module_of_every_layer(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"lineagelog/{path.relative_to(ROOT)}" for layer in LAYERS for path in (ROOT / layer).rglob("*.py")
    } | {
        # The plugin of Snakemake is installed as a package of its own.
        str(path.relative_to(ROOT)).replace(f"lineagelog/workflows/plugins/{PLUGIN}", PLUGIN)
        for path in (ROOT / "lineagelog").rglob("*.py")
        if path.relative_to(ROOT / "lineagelog").parts[0] not in LAYERS
    }  # fmt: skip
    missing = expected - set(wheel.namelist())
    assert not missing, f"add their packages to [tool.setuptools] in pyproject.toml: {sorted(missing)}"


def test_the_wheel_says_that_it_is_typed_and_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "lineagelog/py.typed" in names
    data = [path for suffix in ("*.ttl", "*.rq") for path in (ROOT / "exporters").rglob(suffix)]
    assert {f"lineagelog/{path.relative_to(ROOT)}" for path in data} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_installs_the_command_and_the_pytest_plugin(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    text = wheel.read(name).decode()
    assert "prov = lineagelog.cli:main" in text
    assert "lineagelog = lineagelog.pytest_plugin" in text


def test_the_wheel_works_without_the_source_tree(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import lineagelog.domain.version as v; import lineagelog.adapters.log.event_log as e\n"
        "print(v.__file__); print(e.EventLog.connect(None, create=True).head().position)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    path, position = done.stdout.split()
    assert Path(path).is_relative_to(tmp_path)
    assert position == "0"


def test_the_version_stands_in_one_place() -> None:
    from importlib.metadata import version

    from lineagelog.domain.version import VERSION

    assert version("lineagelog") == VERSION
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
