"""The Jupyter kernel that a process may be: which notebook it runs, and what it has executed.

A kernel is sent code, not files. Where its notebook lies can only be known from what the program that started it left behind.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from lineagelog.adapters.environment import installed, normal_name
from lineagelog.adapters.notebook import Execution, Notebook, parse, read
from lineagelog.adapters.outputs import Output, Outputs

_COLAB_TIMEOUT_S: Final = 5
_IN_VS_CODE: Final = "__vsc_ipynb_file__"
_IPYTHON_NAMES: Final = {"In", "Out", "exit", "quit", "get_ipython", "open"}


class Found(NamedTuple):
    """The notebook of a kernel.

    Attributes:
        name: What its front end calls it, a path or a file name; `None` if nothing tells.
        path: Its file, if it has one that can be read.
        notebook: What it says as last saved; `None` if it was never saved.
    """

    name: str | None = None
    path: Path | None = None
    notebook: Notebook | None = None


class Kernel:
    """The kernel that this process is, followed until it is left alone again.

    Attributes:
        is_attended: Somebody sits at a front end.
        error: What the last cell that ended raised.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        # A cell that runs is known by its request; when the process ends, nobody has asked for anything.
        self.is_attended = is_attended(shell)
        self.error: BaseException | None = None
        self._since = time.time()
        self._ended: dict[int, float] = {}
        self._outputs = Outputs(shell, len(inputs(shell)) - 1)
        shell.events.register("post_run_cell", self._note_end)

    def leave(self) -> None:
        """Follow it no longer."""
        self._outputs.close()
        if self._note_end in self._shell.events.callbacks["post_run_cell"]:
            self._shell.events.unregister("post_run_cell", self._note_end)

    def history(self) -> list[Execution]:
        """List what it has executed, the cell that runs now last."""
        return [
            # What ran before anybody listened has ended at that moment at the latest.
            Execution(count, source, self._ended.get(count, self._since) if self._has_ended(count) else None)
            for count, source in enumerate(inputs(self._shell))
            if source.strip()
        ]

    def outputs(self) -> dict[int, list[Output]]:
        """Return what its inputs have shown since it is followed, by their number."""
        return self._outputs.by_count()

    def find(self, path: Path | None = None) -> Found:
        """Look for its notebook as it is now.

        Args:
            path: Where it was, or is said to be; if it is gone from there, it may have been renamed.
        """
        return find_notebook(self._shell, path)

    def imports(self) -> dict[str, str]:
        """List the packages that the notebook has imported, itself or in modules of its own: name to version, sorted."""
        from importlib import metadata

        names = set(_names_in(self._shell.user_ns))
        distributions = metadata.packages_distributions()
        for module in list(sys.modules.values()):
            # Modules that no distribution brought are code of the notebook's own.
            if _is_own(module, distributions):
                names.update(_names_in(vars(module)))
        # Metadata without a name exist.
        found = {normal_name(name) for top in names for name in distributions.get(top, ()) if name}
        return {name: version for name, version in installed().items() if name in found}

    def _has_ended(self, count: int) -> bool:
        return count in self._ended or count < len(inputs(self._shell)) - 1

    def _note_end(self, result: Any) -> None:
        self.error = result.error_before_exec or result.error_in_exec
        if result.execution_count is not None:
            self._ended[result.execution_count] = time.time()


def inputs(shell: Any) -> list[str]:
    """Return what a kernel has executed, by count; the first is empty, since counts begin at 1."""
    return list(shell.history_manager.input_hist_raw)


def find_notebook(shell: Any, path: Path | None = None) -> Found:
    """Find the notebook that a kernel runs, by what its front end or the program that runs it says.

    Args:
        shell: IPython's shell.
        path: Its file, if it is known and still there.
    """
    if path is not None and path.is_file():
        return Found(str(path), path, read(path))
    now = inputs(shell)[-1]
    # VS Code can use the machines of Colab as well, and does not know its questions.
    found = _in_colab() if _IN_VS_CODE not in shell.user_ns else None
    if found is not None:
        return found
    for name, is_own in _candidates(shell):
        file = _readable(name)
        notebook = read(file) if file is not None else None
        # Programs that a notebook starts inherit its variables, and so do the kernels that these start: to be believed, the
        # notebook has to hold the cell that runs. Only one that somebody is writing may not have been saved since.
        is_believed = is_own or is_attended(shell)
        if notebook is not None and (is_believed or notebook.holds(now)):
            return Found(name, file, notebook)
        if is_believed:
            return _renamed(name, now) or Found(name)
    return _named_by_parent(now) or Found()


def is_attended(shell: Any) -> bool:
    """Tell whether somebody sits at a front end: programs that execute notebooks let no cell ask for input."""
    return bool(getattr(shell.kernel, "_allow_stdin", False))


def _candidates(shell: Any) -> Iterator[tuple[str, bool]]:
    """Name the notebooks that are spoken of, and say whether it is this kernel alone that is told of it."""
    for variable in (_IN_VS_CODE, "PAPERMILL_OUTPUT_PATH"):
        value = shell.user_ns.get(variable)
        if isinstance(value, str) and value:
            yield value, True
    # Jupyter Server gives the path; some servers give it relative to their own root.
    session = os.environ.get("JPY_SESSION_NAME")
    if session:
        yield session, False


def _readable(name: str) -> Path | None:
    for path in (Path(name), Path(Path(name).name)):
        if path.suffix == ".ipynb" and path.is_file() and os.access(path, os.R_OK):
            # A kernel runs in the folder of its notebook.
            return path.resolve()
    return None


def _renamed(name: str, now: str) -> Found | None:
    """Find a notebook that was renamed after its kernel had started: the only one in its folder with the cell that runs."""
    folder = Path(name).parent if Path(name).is_absolute() else Path()
    if Path(name).suffix != ".ipynb" or Path(name).is_file() or not now.strip() or not folder.is_dir():
        return None
    found = [(path.resolve(), notebook) for path in folder.glob("*.ipynb") if (notebook := read(path)) is not None]
    holding = [(path, notebook) for path, notebook in found if notebook.holds(now)]
    return Found(str(holding[0][0]), *holding[0]) if len(holding) == 1 else None


def _in_colab() -> Found | None:
    """Ask the front end of Google Colab, whose notebooks lie on no disk of this machine."""
    if "google.colab" not in sys.modules:
        return None
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", timeout_sec=_COLAB_TIMEOUT_S) or {}
        notebook = parse(answer["ipynb"], time.time())
    except Exception:  # noqa: BLE001 - the interface is not a public one and may be anything
        return None
    noted = notebook.metadata.get("colab")
    name = noted.get("name") if isinstance(noted, dict) else None
    return Found(name if isinstance(name, str) and name else None, None, notebook)


def _named_by_parent(now: str) -> Found | None:
    """Look for the notebook in the command that started this kernel, such as `jupyter execute study.ipynb`."""
    parent = Path(f"/proc/{os.getppid()}")
    try:
        arguments = (parent / "cmdline").read_bytes().decode(errors="replace").split("\x00")
        folder = (parent / "cwd").readlink()
    except OSError:
        return None
    found = []
    for argument in arguments:
        path = folder / argument
        notebook = read(path) if path.suffix == ".ipynb" else None
        if notebook is not None and notebook.holds(now):
            found.append(Found(str(path), path.resolve(), notebook))
    # Papermill writes while it runs; the others leave the file that they were given as it is.
    papermill = [each for each in found if each.notebook is not None and each.notebook.is_run_by_papermill]
    return next(iter(papermill + found), None)


def _names_in(namespace: Mapping[str, Any]) -> Iterator[str]:
    """Name the packages from which the values of a namespace come."""
    for name, value in list(namespace.items()):
        if name.startswith("_") or name in _IPYTHON_NAMES:
            continue
        if isinstance(value, ModuleType):
            origin = value.__name__
        else:
            origin = value.__module__ if isinstance(value, type | FunctionType) else type(value).__module__
        if isinstance(origin, str):
            yield origin.partition(".")[0]


def _is_own(module: Any, distributions: Mapping[str, Any]) -> bool:
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    top = name.partition(".")[0] if isinstance(name, str) else ""
    if not isinstance(file, str) or top in distributions or top in sys.stdlib_module_names:
        return False
    return not Path(file).is_relative_to(sys.prefix) or Path(file).is_relative_to(Path.cwd())
