"""Which code is running: a script, a module, a notebook, or lines typed at a prompt; and its exact bytes."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from lineagelog.adapters.process import start_time

if TYPE_CHECKING:
    from lineagelog.adapters.notebook import Notebook

Kind: TypeAlias = Literal["script", "notebook", "interactive"]

INTERACTIVE_KEY: Final = "interactive"
"""Key of code that has no file."""

NOTEBOOK_KEY: Final = "notebook"
"""Key of a notebook whose front end does not say which file it is."""

_ENTRY_POINT: Final = re.compile(r"^from ([\w.]+) import \w+", re.MULTILINE)
_ENTRY_POINT_BYTES: Final = 4096


class RunningCode(NamedTuple):
    """The code a run executes.

    Attributes:
        kind: `script`, `notebook` or `interactive`.
        path: Its file, if it has one that can be read.
        key: Name to register it under: the file name, `package/__main__.py`, `notebook` or `interactive`.
        title: First heading of a notebook, or first line of a script's docstring.
        source: Its text.
        source_bytes: Its exact bytes, as they were when this was asked; of a notebook those of its cells.
        notebook: The notebook as last saved, or what the kernel has executed of one that nobody has saved.
        edited: The file was changed after the process had read it, so `source` is not what runs.
    """

    kind: Kind
    path: Path | None
    key: str
    title: str | None = None
    source: str | None = None
    source_bytes: bytes | None = None
    notebook: Notebook | None = None
    edited: bool = False

    @property
    def hash(self) -> str | None:
        """SHA-256 of the exact bytes, 64 hexadecimal characters."""
        return None if self.source_bytes is None else hashlib.sha256(self.source_bytes).hexdigest()


def running_code(namespace: Mapping[str, Any] | None = None, path: Path | None = None) -> RunningCode:
    """Find the code that this process runs.

    The main module is the code, unless it is a tool that runs other people's code (pytest, an installed command,
    `python -m cProfile`): then it is the module that asks.

    Args:
        namespace: Global names of the module that asks (`caller_namespace`).
        path: Its file, if it is known.

    Returns:
        What is running. For `python -c`, standard input and prompts, and for notebooks that do not tell their name, code
        without a file.
    """
    shell = ipython_shell()
    if path is not None:
        return _from_kernel(shell, path) if in_kernel() else _from_file(path)
    caller = _file_of(namespace)
    asked_by_main = namespace is not None and namespace.get("__name__") == "__main__"
    if caller is not None and (asked_by_main or _under_pytest()):
        return _read(caller)
    if in_kernel():
        return _from_kernel(shell)
    if shell is not None:
        return RunningCode("interactive", None, INTERACTIVE_KEY)
    main = _main_file()
    if main is None:
        return RunningCode("interactive", None, INTERACTIVE_KEY)
    if _is_installed(main):
        path = caller or _behind_entry_point(main) or main
        return _read(path)
    return _read(main)


def caller_namespace(depth: int = 1) -> dict[str, Any]:
    """Return the global names of a calling function.

    Args:
        depth: 1 for the caller of the function that asks, 2 for the caller of that one, and so on.
    """
    return sys._getframe(depth + 1).f_globals  # noqa: SLF001 - `inspect` reaches it the same way, after a slow import


def _file_of(namespace: Mapping[str, Any] | None) -> Path | None:
    return None if namespace is None else _readable(namespace.get("__file__"))


def _main_file() -> Path | None:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    # `python -m package.module` keeps the module's own name and file here only.
    if spec is not None and spec.has_location:
        return _readable(spec.origin)
    return _readable(getattr(main, "__file__", None))


def _under_pytest() -> bool:
    # Programs that a test starts inherit the variable, though they are not run by pytest.
    return "pytest" in sys.modules and "PYTEST_CURRENT_TEST" in os.environ


def _is_installed(path: Path) -> bool:
    """Tell whether a file was put where it is by an installer or came with Python."""
    import sysconfig

    folders = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib", "scripts")]
    return any(path.is_relative_to(folder) for folder in folders)


def _behind_entry_point(path: Path) -> Path | None:
    """Return the module that the small file an installer writes for a console command imports."""
    if path.stat().st_size > _ENTRY_POINT_BYTES:
        return None
    match = _ENTRY_POINT.search(path.read_text(errors="replace"))
    return None if match is None else _readable(getattr(sys.modules.get(match[1]), "__file__", None))


def ipython_shell() -> Any:
    """Return the shell of IPython that runs in this process, if one does."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def in_kernel() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    return hasattr(ipython_shell(), "kernel")


def _from_kernel(shell: Any, path: Path | None = None) -> RunningCode:
    """Describe the notebook that the kernel of this process runs, by its file or by what has been executed so far."""
    from lineagelog.adapters.kernel import find_notebook, inputs
    from lineagelog.adapters.notebook import from_history

    name, file, notebook = find_notebook(shell, path)
    return _of_notebook(notebook or from_history(inputs(shell)), name or NOTEBOOK_KEY, file)


def _from_file(path: Path) -> RunningCode:
    """Describe a file as the code that runs, though this process is no kernel that runs it."""
    from lineagelog.adapters.notebook import read

    notebook = read(path) if path.suffix == ".ipynb" else None
    return _read(path) if notebook is None else _of_notebook(notebook, path.name, path)


def _of_notebook(notebook: Notebook, name: str, file: Path | None) -> RunningCode:
    content = notebook.source()
    key = Path(notebook.origin or name).name
    return RunningCode("notebook", file, key, notebook.title, content.decode(), content, notebook)


def _readable(candidate: object) -> Path | None:
    if not isinstance(candidate, str | os.PathLike):
        return None
    path = Path(candidate)
    return path.resolve() if path.is_file() and os.access(path, os.R_OK) else None


def _read(path: Path) -> RunningCode:
    content = path.read_bytes()
    key = path.name if path.name not in ("__main__.py", "__init__.py") else f"{path.parent.name}/{path.name}"
    text = _decode(content)
    return RunningCode("script", path, key, _first_line(text), text, content, edited=_was_edited(path, content))


def _decode(content: bytes) -> str:
    """Decode source code as Python does: UTF-8, or what a comment in the first two lines declares (PEP 263)."""
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError:
        encoding = "utf-8"
    return content.decode(encoding, errors="replace")


def _first_line(text: str) -> str | None:
    import ast

    try:
        lines = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    except (SyntaxError, ValueError, RecursionError):
        return None
    return lines[0].strip() or None if lines else None


def _was_edited(path: Path, content: bytes) -> bool:
    """Tell whether a script is no longer what the interpreter compiled.

    A file that is older than the process cannot have been edited since. For a newer one, the code that stands on the stack is
    compared with the code that the file would give now.
    """
    started = start_time(os.getpid())
    # A second early, to be safe.
    if started is not None and path.stat().st_mtime < started - 1.0:
        return False
    running = _module_code(path)
    if running is None:
        return False
    try:
        return compile(content, running.co_filename, "exec", dont_inherit=True) != running
    except (SyntaxError, ValueError):
        return True


def _module_code(path: Path) -> CodeType | None:
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - as in `caller_namespace`
    while frame is not None:
        if frame.f_code.co_name == "<module>" and _readable(frame.f_code.co_filename) == path:
            return frame.f_code
        frame = frame.f_back
    return None
