"""Which code is running: a script, a module, a command, a notebook, or lines typed at a prompt; and its exact bytes."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from lineagelog.adapters.frames import MODULE_LEVEL, main_frames
from lineagelog.adapters.process import start_time
from lineagelog.domain.values import name_of_file

if TYPE_CHECKING:
    from lineagelog.adapters.notebook import Notebook

Kind: TypeAlias = Literal["script", "notebook", "prompt", "unknown"]

COMMAND_KEY: Final = "python -c"
"""Key of code that stood in the command line."""

STDIN_KEY: Final = "python -"
"""Key of code that came through standard input, from no file that has a name."""

PROMPT_KEY: Final = "python"
IPYTHON_KEY: Final = "ipython"
"""Keys of lines typed at a prompt."""

NOTEBOOK_KEY: Final = "notebook"
"""Key of a notebook whose front end does not say which file it is."""

# What installers write for a console command: https://packaging.python.org/en/latest/specifications/entry-points/
_ENTRY_POINT: Final = re.compile(rb"^from ([\w.]+) import (\w+)\s.*\bsys\.exit\(\2\b", re.MULTILINE | re.DOTALL)
_ENTRY_POINT_BYTES: Final = 4096
_OPTIONS_WITH_VALUE: Final = "WX"
_FROM_PIPE: Final = (
    "came through a pipe, which keeps nothing: give Python the file, or its content as `python - < FILE`"
)


class RunningCode(NamedTuple):
    """The code a run executes.

    Attributes:
        kind: `script`, `notebook`, `prompt`, or `unknown` in a program that Python is a part of.
        path: Its file, or the archive it lies in, if it has one that can be read.
        key: Name to register it under: the path from the outermost package on, which for a script in no package is its file
            name; otherwise one of the keys above.
        title: First heading of a notebook, or first line of a script's docstring.
        source: Its text.
        source_bytes: Its exact bytes, as they were when this was asked; of a notebook those of its cells.
        notebook: The notebook as last saved, or what the kernel has executed of one that nobody has saved.
        lacks_source: Why `source` is not known, as the end of a sentence about the code; `None` if it is.
    """

    kind: Kind
    path: Path | None
    key: str
    title: str | None = None
    source: str | None = None
    source_bytes: bytes | None = None
    notebook: Notebook | None = None
    lacks_source: str | None = None

    @property
    def hash(self) -> str | None:
        """SHA-256 of the exact bytes, 64 hexadecimal characters."""
        return None if self.source_bytes is None else hashlib.sha256(self.source_bytes).hexdigest()


def running_code(namespace: Mapping[str, Any] | None = None, path: Path | None = None) -> RunningCode:
    """Find the code that this process runs.

    The main module is the code; of an installed command it is the module that the command calls. If the main module is a tool
    that runs other people's code (pytest, `python -m cProfile`, a worker process), it is the module that asks.

    Args:
        namespace: Global names of the module that asks (`caller_namespace`).
        path: Its file, if it is known.
    """
    if path is not None:
        return _from_kernel(ipython_shell(), path) if in_kernel() else _from_file(path)
    asking = _Module.of(namespace)
    if asking.is_file and (asking.is_main or _under_pytest()):
        return _read(asking)
    if in_kernel():
        return _from_kernel(ipython_shell())
    main = _Module.of(vars(sys.modules["__main__"]) if "__main__" in sys.modules else None)
    if main.file is None:
        return _without_file(asking)
    called = _called_by_command(main)
    if called is not None:
        # A command that is part of the code that asks is what somebody started; another one is a tool.
        return _read(asking if asking.is_file and asking.top != called.top else called)
    if asking.is_file and _is_installed(main.file) and asking.top != main.top:
        return _read(asking)
    return _read(main)


def caller_namespace(depth: int = 1) -> dict[str, Any]:
    """Return the global names of a calling function.

    Args:
        depth: 1 for the caller of the function that asks, 2 for the caller of that one, and so on.
    """
    return sys._getframe(depth + 1).f_globals  # noqa: SLF001 - `inspect` reaches it the same way, after a slow import


def ipython_shell() -> Any:
    """Return the shell of IPython that runs in this process, if one does."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def in_kernel() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    return hasattr(ipython_shell(), "kernel")


def is_interactive() -> bool:
    """Tell whether what runs now is a line or a cell that somebody has sent, and not the whole of what the process is to do."""
    return ipython_shell() is not None or hasattr(sys, "ps1")


class _Module(NamedTuple):
    """A module as it names itself.

    Attributes:
        name: Its full name, as far as it is part of a package; `python -m package.module` keeps it in `__spec__` only.
        file: Where it was loaded from; that may be inside an archive, or gone.
        is_main: It is the main module.
        loader: What loaded it.
    """

    name: str | None = None
    file: Path | None = None
    is_main: bool = False
    loader: object = None

    @classmethod
    def of(cls, namespace: Mapping[str, Any] | None) -> _Module:
        if namespace is None:
            return cls()
        spec = namespace.get("__spec__")
        name, file = namespace.get("__name__"), namespace.get("__file__")
        if spec is not None:
            # `runpy` shows its own file in __file__ until it has found the module's.
            name, file = spec.name, (spec.origin if spec.has_location else file)
        is_main = namespace.get("__name__") == "__main__"
        known = isinstance(name, str) and name not in ("__main__", "__mp_main__")
        # Of what came through standard input it is "<stdin>"; the prompt of Python 3.13 lends its own module to what is typed.
        is_path = isinstance(file, str) and not file.startswith("<") and name != "_pyrepl.__main__"
        return cls(
            name if known else None,
            Path(str(file)) if is_path else None,
            is_main,
            namespace.get("__loader__"),
        )

    @property
    def is_file(self) -> bool:
        """It lies in a file of its own, which can be read."""
        return self.file is not None and self.file.is_file() and os.access(self.file, os.R_OK)

    @property
    def top(self) -> str | None:
        """The outermost package it is in."""
        return self.name.partition(".")[0] if self.name is not None else None


def _under_pytest() -> bool:
    # Programs that a test starts inherit the variable, though they are not run by pytest.
    return "pytest" in sys.modules and "PYTEST_CURRENT_TEST" in os.environ


def _is_installed(path: Path) -> bool:
    """Tell whether a file was put where it is by an installer or came with Python."""
    import sysconfig

    folders = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib", "scripts")]
    return any(path.resolve().is_relative_to(folder) for folder in folders)


def _called_by_command(main: _Module) -> _Module | None:
    """Return the module of the function that a console command calls, if that is what runs."""
    if main.file is None or main.file.suffix or not main.is_file or main.file.stat().st_size > _ENTRY_POINT_BYTES:
        return None
    content = main.file.read_bytes()
    found = _ENTRY_POINT.search(content)
    # Wherever they put it, installers make it name itself.
    if found is None or not (b"sys.argv[0]" in content or _is_installed(main.file)):
        return None
    imported = sys.modules.get(found[1].decode())
    function = getattr(imported, found[2].decode(), None)
    # A package may offer under its own name what one of its modules defines.
    defined = sys.modules.get(function.__module__) if isinstance(function, FunctionType) else None
    module = _Module.of(vars(defined or imported)) if isinstance(defined or imported, ModuleType) else _Module()
    return module if module.is_file else None


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
    return _read(_Module(file=path)) if notebook is None else _of_notebook(notebook, path.name, path)


def _of_notebook(notebook: Notebook, name: str, file: Path | None) -> RunningCode:
    content = notebook.source()
    key = Path(notebook.origin or name).name
    return RunningCode("notebook", file, key, notebook.title, content.decode(), content, notebook)


def _without_file(asking: _Module) -> RunningCode:
    """Describe code whose main module came from no file: lines at a prompt, of the command line, or of standard input."""
    if ipython_shell() is not None:
        return RunningCode("prompt", None, IPYTHON_KEY)
    if is_interactive():
        return RunningCode("prompt", None, PROMPT_KEY)
    option, value = _started_with(sys.orig_argv)
    if option == "c" and value.startswith("from multiprocessing."):
        # A worker process: Python itself has written its command line.
        return _read(asking) if asking.is_file else RunningCode("unknown", None, "")
    if option == "c":
        return _described("script", None, COMMAND_KEY, os.fsencode(value))
    if option == "-":
        return _from_stdin()
    return RunningCode("unknown", None, "")


def _started_with(command: list[str]) -> tuple[str, str]:
    """Find what an interpreter was told to run: `c` and the code, `m` and a module, `-` for standard input, or a file."""
    words = iter(command[1:])
    for word in words:
        if word == "-" or not word.startswith("-"):
            return ("-", "") if word == "-" else ("file", word)
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(words, None)
            continue
        for place, letter in enumerate(word[1:], 2):
            rest = word[place:]
            if letter in "cm":
                return letter, rest or next(words, "")
            if letter in _OPTIONS_WITH_VALUE:
                if not rest:
                    next(words, None)
                break
    return "-", ""


def _from_stdin() -> RunningCode:
    """Describe code that the interpreter read from standard input, if that is a file and holds what was compiled."""
    try:
        # Unlike a read, this leaves the place at which a program goes on reading alone; a pipe refuses it.
        content = os.pread(0, os.fstat(0).st_size, 0)
    except OSError:
        return RunningCode("script", None, STDIN_KEY, lacks_source=_FROM_PIPE)
    path = _name_of_stdin()
    key = _key(path, None) if path is not None else STDIN_KEY
    if _is_compiled_from(content, "<stdin>") is not True:
        lacks = "was changed, or not read from its beginning, so what runs cannot be read again"
        return RunningCode("script", path, key, lacks_source=lacks)
    return _described("script", path, key, content)


def _name_of_stdin() -> Path | None:
    """Find the file that standard input was redirected from, where the kernel tells it."""
    try:
        path = Path("/dev/fd/0").resolve()
        return path if path.is_file() and path.samefile("/dev/fd/0") else None
    except OSError:
        return None


def _read(module: _Module) -> RunningCode:
    """Describe a module by its file, or by its place in an archive."""
    assert module.file is not None
    path = module.file.resolve() if module.is_file else None
    key = _key(path or module.file, module.name)
    archive = next((each.resolve() for each in module.file.parents if each.is_file()), None)
    content = path.read_bytes() if path is not None else _from_loader(module) if archive is not None else None
    if content is None and module.file.exists() and not module.file.is_file():
        return RunningCode("script", None, STDIN_KEY, lacks_source=_FROM_PIPE)
    if content is None:
        lacks = "cannot be read any more: it was moved or removed after it had started"
        return RunningCode("script", archive, key, lacks_source=lacks)
    if b"\x00" in content:
        return RunningCode("script", path or archive, key, lacks_source="is compiled code")
    if _was_edited(path, content) if path is not None else _is_compiled_from(content, str(module.file)) is False:
        lacks = "was changed after it had started, so what runs cannot be read any more"
        return RunningCode("script", path, key, lacks_source=lacks)
    return _described("script", path or archive, key, content)


def _from_loader(module: _Module) -> bytes | None:
    """Ask what has loaded a module for its source, as of one in an archive."""
    get_data = getattr(module.loader, "get_data", None)
    try:
        return bytes(get_data(str(module.file))) if get_data is not None else None
    except OSError:
        return None


def _key(path: Path, module: str | None) -> str:
    """Name a file by its path from the outermost package on, so that equally named modules of two packages are two families."""
    n_packages = module.count(".") + (path.name == "__init__.py") if module is not None else 0
    folders = iter(path.parents)
    n_folders = 0
    while n_folders < len(path.parents) - 1 and (next(folders) / "__init__.py").is_file():
        n_folders += 1
    if path.name in ("__main__.py", "__init__.py"):
        n_folders = max(n_folders, 1)
    return name_of_file("/".join(path.parts[-1 - max(n_packages, n_folders) :]))


def _described(kind: Kind, path: Path | None, key: str, content: bytes) -> RunningCode:
    text = _decode(content)
    return RunningCode(kind, path, key, _first_line(text), text, content)


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

    A file that is older than the process cannot have been edited since. For a newer one, the code that is at work is compared
    with the code that the file would give now.
    """
    started = start_time(os.getpid())
    state = path.stat()
    # A second early, to be safe. Another file that was put in its place may keep an older time of its own.
    if started is not None and max(state.st_mtime, state.st_ctime) < started - 1.0:
        return False
    return _is_compiled_from(content, path) is False


def _is_compiled_from(content: bytes, file: Path | str) -> bool | None:
    """Tell whether the module of a file that is at work was compiled from a source; `None` if none of the file is."""
    running = _module_code(file)
    if running is None:
        return None
    try:
        return bool(compile(content, running.co_filename, "exec", dont_inherit=True) == running)
    except (SyntaxError, ValueError):
        return False


def _module_code(file: Path | str) -> CodeType | None:
    for frame in main_frames():
        name = frame.f_code.co_filename
        if frame.f_code.co_name == MODULE_LEVEL and (name == file or Path(name).resolve() == file):
            return frame.f_code
    return None
