"""The README can be believed: its examples run as they stand, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DATABASE = "postgresql://user:password@host/database"


def blocks() -> Iterator[tuple[str, str]]:
    """Yield language and text of each block of code."""
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


def test_every_example_runs_in_order(tmp_path: Path, postgresql_address: str) -> None:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LINEAGELOG_", "XDG_", "PYTEST_"))
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = kept | {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path), "PATH": path}
    folder = tmp_path / "project"
    folder.mkdir()

    def run(*command: str | Path, cwd: Path = folder) -> str:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    prov = Path(sys.executable).with_name("prov")
    n_run = {"sh": 0, "python": 0}
    for number, (language, text) in enumerate(blocks()):
        if language == "python":
            named = re.match(r"# (\w+\.py)\n", text)
            script = folder / (named[1] if named else f"test_{number}.py")
            script.write_text(text)
            run(
                sys.executable,
                *(("-m", "pytest", "-q", "-p", "no:cacheprovider") if "def test_" in text else ()),
                script,
            )
            n_run[language] += 1
            continue
        for line in re.findall(r"^prov .*", text, re.MULTILINE):
            if "UID" in line:
                ask = "import lineagelog as ln; print(ln.Artifact.get(key='study/deep.parquet').uid)"
                line = line.replace("UID", run(sys.executable, "-c", ask).strip())
            # The shell splits the line as it would for a reader.
            command = line.replace(DATABASE, f"'{postgresql_address}'").replace("prov ", f"{prov} ", 1)
            elsewhere = tmp_path / "elsewhere"
            elsewhere.mkdir(exist_ok=True)
            run("bash", "-c", command, cwd=elsewhere if DATABASE in line else folder)
            n_run[language] += 1
    assert n_run == {"sh": README.count("\nprov "), "python": README.count("```python")}
    for name in ("lineage.svg", "lineage.png", "result.json", "everything.trig", "checkpoint.txt"):
        assert (folder / name).stat().st_size > 0, name


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake (?:PYTHON=\S+ )?([a-z]+)\b", README)) - {"lists"}))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
