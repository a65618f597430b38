"""Notebooks of a real Jupyter server: as JupyterLab does it, sessions and files by REST, cells by websocket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pytest

from lineagelog.store import Store

websocket = pytest.importorskip("websocket", reason="websocket-client is not installed: `pip install jupyter_server`")
pytest.importorskip("jupyter_server", reason="jupyter_server is not installed: `pip install jupyter_server`")

TRACK = "import lineagelog as ln\nrun = ln.track()"


class Server:
    """A Jupyter server in a process of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        log = folder.parent / "server.log"
        options = {
            "ServerApp.root_dir": folder,
            "ServerApp.port": 0,
            "IdentityProvider.token": "",
            "ServerApp.password": "",
            "ServerApp.disable_check_xsrf": True,
            "ServerApp.allow_root": True,
            "ServerApp.open_browser": False,
            "ServerApp.terminals_enabled": False,
        }
        runtime = Path(environment["JUPYTER_RUNTIME_DIR"])
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *(f"--{name}={value}" for name, value in options.items())],
                cwd=folder,
                env=environment,
                stdout=file,
                stderr=file,
            )
        deadline = time.monotonic() + 60
        while not (said := list(runtime.glob("jpserver-*.json"))):
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        self.url = json.loads(said[0].read_text())["url"]

    def ask(self, method: str, path: str, /, **content: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}api/{quote(path)}",
            method=method,
            data=json.dumps(content).encode() if content else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


class OpenNotebook:
    """A notebook in a front end."""

    def __init__(self, server: Server, path: str, *cells: str) -> None:
        self._server, self._path = server, path
        v4 = nbformat.v4
        self.notebook = v4.new_notebook(
            cells=[v4.new_markdown_cell("# Depth"), *(v4.new_code_cell(source) for source in cells)]
        )
        self.save()
        session = server.ask(
            "POST", "sessions", path=path, name=Path(path).name, type="notebook", kernel={"name": "python3"}
        )
        self._session, self._kernel = session["id"], session["kernel"]["id"]
        self._client = uuid.uuid4().hex
        self._connect()

    def save(self) -> None:
        self._server.ask("PUT", f"contents/{self._path}", type="notebook", content=self.notebook)

    def rename(self, path: str) -> None:
        self._server.ask("PATCH", f"contents/{self._path}", path=path)
        self._server.ask("PATCH", f"sessions/{self._session}", path=path, name=Path(path).name)
        self._path = path

    def close(self) -> None:
        self._socket.close()

    def restart(self) -> None:
        self.close()
        self._server.ask("POST", f"kernels/{self._kernel}/restart")
        self._connect()

    def interrupt(self) -> None:
        self._server.ask("POST", f"kernels/{self._kernel}/interrupt")

    def start(self, number: int) -> None:
        """Begin to run a cell, by its place among those of code."""
        self._cell = self._code[number - 1]
        self._request = uuid.uuid4().hex
        header = {"msg_id": self._request, "msg_type": "execute_request", "session": self._client, "version": "5.3"}
        content = {"code": self._cell.source, "silent": False, "store_history": True, "allow_stdin": True}
        message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._socket.send(json.dumps(message))

    def wait(self, *, shown: bool = False) -> str:
        """Wait for the end of the cell that runs, or until it has shown something, and return what it has shown."""
        outputs: list[Any] = []
        replied = idle = False
        while not (replied and idle) and not (shown and outputs):
            message = json.loads(self._socket.recv())
            if message["parent_header"].get("msg_id") != self._request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind in ("stream", "display_data", "execute_result", "error"):
                outputs.append(nbformat.v4.output_from_msg(message))
            elif kind == "execute_reply":
                self._cell.execution_count, replied = content["execution_count"], True
            elif kind == "status" and content["execution_state"] == "idle":
                idle = True
        self._cell.outputs = outputs
        return "".join(output.get("text", output.get("evalue", "")) for output in outputs)

    def run(self, *numbers: int) -> str:
        said = ""
        for number in numbers or range(1, len(self._code) + 1):
            self.start(number)
            said += self.wait()
        return said

    @property
    def _code(self) -> list[Any]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    def _connect(self) -> None:
        address = self._server.url.replace("http", "ws", 1)
        self._socket = websocket.create_connection(
            f"{address}api/kernels/{self._kernel}/channels?session_id={self._client}", timeout=60
        )


@pytest.fixture
def server(script_environment: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    own = {
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    inherited = {name: value for name, value in script_environment.items() if name != "PYTHONWARNINGS"}
    folder = tmp_path / "notebooks"
    (folder / "my study").mkdir(parents=True)
    running = Server(folder, inherited | own)
    yield running
    running.stop()


def test_a_notebook_of_a_server_is_found_and_run_all_ends_it(
    sqlite_store: Store, server: Server, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    cells = (TRACK, "print(6 * 7)\nrun", "ln.finish()")
    notebook = OpenNotebook(server, "my study/depth.ipynb", *cells)
    said = notebook.run()
    first = sqlite_store.Run.get()
    assert (first.transform.key, first.transform.description) == ("depth.ipynb", "Depth")
    assert (first.status, first.is_consecutive) == ("finished", True), "all that ran had been saved"
    assert "!" not in said, said
    streams = [output.name for cell in notebook.notebook.cells[1:] for output in cell.outputs if "name" in output]
    assert set(streams) == {"stdout"}, "a notebook shows standard error in red"
    assert first.report is not None
    assert "<pre>42\n</pre>" in first.report.cache().read_text()

    # Saved with these outputs, run anew by another kernel: the counts are the same, the outputs are not.
    notebook.notebook.cells[2].source = "print(6 * 9)\nrun"
    notebook.save()
    notebook.restart()
    notebook.run(1, 2)
    notebook.rename("my study/deeper.ipynb")
    notebook.notebook.cells[2].source = "print(5 * 9)"
    notebook.run(2)
    assert "save it and run ln.finish() again" in notebook.run(3)
    notebook.save()
    said = notebook.run(3)
    assert "the notebook has changed since ln.track()" in said
    second = sqlite_store.Run.all()[1]
    assert (second.status, second.transform.key, second.is_consecutive) == ("finished", "depth.ipynb", False)
    assert "print(5 * 9)" in (second.transform.source_code or "")
    assert second.report is not None
    html = second.report.cache().read_text()
    assert "<pre>45\n</pre>" in html
    assert "<pre>42\n</pre>" not in html

    # An interrupt ends a cell, not the run; a kernel that is killed leaves a lost one.
    notebook.notebook.cells[2].source = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    notebook.run(1)
    third = sqlite_store.Run.all()[2]
    notebook.start(2)
    notebook.wait(shown=True)
    notebook.interrupt()
    notebook.wait()
    assert third.refresh().status == "started"
    assert third.pid is not None
    os.kill(third.pid, signal.SIGKILL)
    wait_until(lambda: third.refresh().is_lost)
    notebook.close()
