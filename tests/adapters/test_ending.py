"""How a main module was left, told at the end of real processes, which Python ends with the exit code that it should be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import atexit
from lineagelog.adapters.ending import MainModule

def watch():
    module = MainModule()
    atexit.register(lambda: print(repr(module.left_by()).replace("SystemExit()", "SystemExit(None)"), module.is_certain))
"""

# On 3.11 an exit code that nobody has seen being given is read off the main module alone.
tells_all = pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not tell")


def left_by(tmp_path: Path, code: str, *, option: str | None = None) -> tuple[int, str]:
    (tmp_path / "watching.py").write_text(WATCH)
    (tmp_path / "script.py").write_text(f"import sys\nfrom watching import watch\n{code}\n")
    how = ["-m", "script"] if option == "-m" else ["script.py"]
    done = subprocess.run([sys.executable, *how], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "in left_by" not in done.stderr
    told, _, is_certain = done.stdout.splitlines()[-1].rpartition(" ")
    return done.returncode, told if is_certain == "True" else "uncertain"


@pytest.mark.parametrize(
    ("code", "returncode", "error"),
    [
        ("watch()", 0, "None"),
        ("watch()\nraise SystemExit(1)", 1, "SystemExit(1)"),
        ("watch()\nraise SystemExit", 0, "SystemExit(None)"),
        ("watch()\nraise SystemExit(0)", 0, "SystemExit(0)"),
        ("watch()\nraise SystemExit('no input')", 1, "SystemExit('no input')"),
        ("watch()\ncode = 4\nwith open(__file__):\n    raise SystemExit(code)", 4, "SystemExit(4)"),
        ("watch()\nsys.exit(3)", 3, "SystemExit(3)"),
        ("from sys import exit as leave\nwatch()\nleave(3)", 3, "SystemExit(3)"),
        ("watch()\nexit(3)", 3, "SystemExit(3)"),
        ("watch()\nquit()", 0, "SystemExit(None)"),
        ("watch()\nimport argparse\nargparse.ArgumentParser().parse_args(['--what'])", 2, "SystemExit(2)"),
        ("watch()\nimport asyncio\nasync def main():\n    sys.exit(3)\nasyncio.run(main())", 3, "SystemExit(3)"),
        ("watch()\ntry:\n    sys.exit(3)\nfinally:\n    print()", 3, "SystemExit(3)"),
        ("watch()\ntry:\n    sys.exit(3)\nexcept SystemExit:\n    pass", 0, "None"),
        ("watch()\ntry:\n    sys.exit(3)\nexcept SystemExit:\n    raise SystemExit(4)", 4, "SystemExit(4)"),
        ("watch()\ntry:\n    sys.exit(3)\nexcept SystemExit:\n    1 / 0", 1, "ZeroDivisionError('division by zero')"),
        ("def main():\n    watch()\n    code = 5\n    return code\nsys.exit(main())", 5, "SystemExit(5)"),
        ("def main():\n    watch()\n    return 5\nraise SystemExit(main())", 5, "SystemExit(5)"),
        ("def main():\n    watch()\nraise SystemExit(main())", 0, "SystemExit(None)"),
        ("watch()\n1 / 0", 1, "ZeroDivisionError('division by zero')"),
        ("watch()\nsys.excepthook = print\n1 / 0", 1, "ZeroDivisionError('division by zero')"),
        ("watch()\nraise KeyboardInterrupt", 130, "KeyboardInterrupt()"),
        ("import threading\nwatch()\nt = threading.Thread(target=sys.exit, args=(3,))\nt.start()\nt.join()", 0, "None"),
        ("import threading\nt = threading.Thread(target=watch)\nt.start()\nt.join()\nsys.exit(3)", 3, "SystemExit(3)"),
        pytest.param("watch()\ndef f():\n    raise SystemExit(3)\nf()", 3, "SystemExit(3)", marks=tells_all),
    ],
)  # fmt: skip
def test_what_has_left_the_main_module(tmp_path: Path, code: str, returncode: int, error: str) -> None:
    found, told = left_by(tmp_path, code)
    assert told == error
    assert found in (returncode, -2 if returncode == 130 else returncode)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 tells")
def test_an_exit_code_that_nothing_tells_is_not_made_up(tmp_path: Path) -> None:
    for code in (
        "watch()\ndef f():\n    raise SystemExit(0)\nf()",
        "watch()\ntry:\n    raise SystemExit(0)\nexcept SystemExit as error:\n    raise error",
    ):
        _, told = left_by(tmp_path, code)
        assert "Python 3.11 does not tell" in told
    for code in (
        "def other():\n    return 3\ndef main():\n    watch()\n    return 5\nmain()\nraise SystemExit(other())",
        "watch()\nraise SystemExit(3 if len(sys.argv) > 1 else 0)",
    ):
        assert left_by(tmp_path, code)[1] == "uncertain"
    returned = "def main():\n    watch()\n    return {}\nsys.exit(main())"
    for expression in ("int('3')", "3 if len(sys.argv) > 1 else 0", "len(sys.argv) > 1 or 3"):
        assert left_by(tmp_path, returned.format(expression))[1] in ("uncertain", f"SystemExit({eval(expression)})")


def test_a_module_and_a_script_in_a_tool(tmp_path: Path) -> None:
    assert left_by(tmp_path, "watch()\nraise SystemExit(3)", option="-m") == (3, "SystemExit(3)")
    inner = "import runpy\nfrom pathlib import Path\nPath('inner.py').write_text('from watching import watch\\nwatch()\\n1 / 0')\n"
    assert left_by(tmp_path, f"{inner}runpy.run_path('inner.py', run_name='__main__')")[1].startswith(
        "ZeroDivisionError"
    )
    caught = f"{inner}try:\n    runpy.run_path('inner.py', run_name='__main__')\nexcept ZeroDivisionError:\n    pass"
    assert left_by(tmp_path, caught) == (0, "None")
