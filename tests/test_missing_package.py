"""An installation that lacks a package says so in one line, whichever part of it is asked first."""

from __future__ import annotations

import subprocess
import sys

import pytest

_WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def ran(package: str, code: str) -> subprocess.CompletedProcess[str]:
    code = _WITHOUT.format(package=package) + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("package", ["msgspec", "eventsourcing"])
def test_the_package_is_named_when_a_name_is_first_used(package: str) -> None:
    done = ran(package, "import lineagelog as ln\ntry:\n    ln.Store\nexcept ImportError as exc:\n    print(exc)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"the module '{package}")
    assert "pip install lineagelog" in done.stdout


@pytest.mark.parametrize("package", ["typer", "msgspec", "pygraphviz"])
def test_the_command_says_it_in_one_line(package: str, tmp_path: object) -> None:
    code = f"import os\nos.chdir({str(tmp_path)!r})\nimport lineagelog.cli\n"
    if package == "pygraphviz":
        code += (
            "import lineagelog as ln\nln.settings.verbosity = 0\nln.init('s')\n"
            "open('a.txt', 'w').write('x')\na = ln.Artifact('a.txt', key='a.txt', run=False).save()\n"
            "sys.argv = ['prov', '--store', 's', 'lineage', a.uid, '-o', 'a.svg']\n"
        )
    else:
        code += "sys.argv = ['prov', 'runs']\n"
    done = ran(package, code + "lineagelog.cli.main()")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: the module '{package}")
