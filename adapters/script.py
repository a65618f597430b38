"""Which code is running: a script, a module, a notebook, or lines typed at a prompt; and its exact bytes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["script", "notebook", "interactive"]

INTERACTIVE_KEY: Final = "interactive"
"""Key of code that has no file."""


class RunningCode(NamedTuple):
    """The code a run executes.

    Attributes:
        kind: `script`, `notebook` or `interactive`.
        path: Its file, if it has one that can be read.
        key: Name to register it under: its file name, or `interactive`.
        title: First heading of a notebook, or first line of a script's docstring.
        source: Its text, with the outputs of a notebook still in it.
        source_bytes: Its exact bytes, as they were when this was asked.
    """

    kind: Kind
    path: Path | None
    key: str
    title: str | None = None
    source: str | None = None
    source_bytes: bytes | None = None

    @property
    def hash(self) -> str | None:
        """SHA-256 of the exact bytes, 64 hexadecimal characters."""
        return None if self.source_bytes is None else hashlib.sha256(self.source_bytes).hexdigest()


def running_code(namespace: Mapping[str, Any] | None = None) -> RunningCode:
    """Find the code that this process runs.

    A file is read now: ask early, before somebody edits it.

    Args:
        namespace: Global names of the caller. A test that pytest runs, or a file run by `runpy`, is found by them; the main
            module of such a process is the tool, not the code.

    Returns:
        What is running. Under IPython the notebook, if the front end says which; for `python -c`, standard input and prompts,
        and for a notebook without a name, code without a file.
    """
    shell = _ipython_shell()
    if shell is not None:
        return _from_ipython(shell)
    path = _caller_file(namespace) or _main_file()
    if path is None:
        return RunningCode("interactive", None, INTERACTIVE_KEY)
    return _from_file("script", path)


def caller_namespace(depth: int = 1) -> dict[str, Any]:
    """Return the global names of a calling function.

    Args:
        depth: 1 for the caller of the function that asks, 2 for the caller of that one.
    """
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - inspect.currentframe() is the same call with a slow import
    return frame.f_globals


def _main_file() -> Path | None:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    # `python -m package.module` runs the module's file; its `__file__` may be that of a compiled copy.
    origin = getattr(spec, "origin", None)
    for candidate in (origin if getattr(spec, "has_location", False) else None, getattr(main, "__file__", None)):
        path = _readable(candidate)
        if path is not None:
            return _behind_entry_point(path)
    return None


def _caller_file(namespace: Mapping[str, Any] | None) -> Path | None:
    """Return the file of the caller where the main module is a tool that runs other people's code."""
    if namespace is None or namespace.get("__name__") == "__main__" and "__file__" not in namespace:
        return None
    if namespace.get("__name__") == "__main__" or "pytest" in sys.modules and _is_pytest():
        return _readable(namespace.get("__file__"))
    return None


def _is_pytest() -> bool:
    return bool(os.environ.get("PYTEST_CURRENT_TEST"))


def _behind_entry_point(path: Path) -> Path:
    """Return the module behind the small file an installer writes for a console command, else the file itself."""
    return path


def _ipython_shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _from_ipython(shell: Any) -> RunningCode:
    names = getattr(shell, "user_ns", {})
    path = _readable(names.get("__vsc_ipynb_file__")) or _readable(os.environ.get("JPY_SESSION_NAME"))
    if path is None:
        return RunningCode("interactive", None, INTERACTIVE_KEY)
    return _from_file("notebook" if path.suffix == ".ipynb" else "script", path)


def _readable(candidate: object) -> Path | None:
    if not isinstance(candidate, str | os.PathLike):
        return None
    path = Path(candidate)
    return path.resolve() if path.is_file() else None


def _from_file(kind: Kind, path: Path) -> RunningCode:
    content = path.read_bytes()
    return RunningCode(kind, path, path.name, None, content.decode("utf-8", errors="replace"), content)
