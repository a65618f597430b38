"""Servers that take a connection and then say nothing: each wait has an end, and each attempt is counted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lineagelog.adapters.storage import open_storage, retry
from lineagelog.domain.errors import StorageError

_PATIENCE_S = 0.3
_BEGUN = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"x\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    b"Content-Type: text/csv\r\n\r\nabc"
)  # fmt: skip


class SilentServer:
    """Takes connections, perhaps begins an answer, and says nothing more.

    Attributes:
        url: Its address.
        n_requests: Requests that have come.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.begins = False
        self.n_requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with suppress(OSError):
            while client.recv(65_536):
                self.n_requests += 1
                if self.begins:
                    client.sendall(_BEGUN)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentServer]:
    monkeypatch.setattr(retry, "CONNECT_TIMEOUT_S", _PATIENCE_S)
    monkeypatch.setattr(retry, "READ_TIMEOUT_S", _PATIENCE_S)
    monkeypatch.setattr(retry, "_FIRST_WAIT_S", 0.01)
    server = SilentServer()
    for name, value in (("ENDPOINT_URL", server.url), ("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("begins", [False, True], ids=["never answers", "falls silent"])
@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_silent_server_is_given_up_and_named(silent: SilentServer, kind: str, begins: bool, tmp_path: Path) -> None:
    silent.begins = begins
    storage = open_storage("s3://bucket/x" if kind == "s3" else f"{silent.url}/x")
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"cannot be used now|broke off") as caught:
        storage.fetch("a.csv", tmp_path / "a.csv", expected="0" * 64)
    assert "a.csv" in str(caught.value)
    assert time.monotonic() - began < 20
    assert silent.n_requests <= 3 * retry.ATTEMPTS, "attempts are not multiplied by one another"
    assert not list(tmp_path.iterdir())


def test_looking_for_an_object_on_a_silent_server_ends_too(silent: SilentServer) -> None:
    began = time.monotonic()
    for root in ("s3://bucket/x", f"{silent.url}/x"):
        with pytest.raises(StorageError, match="cannot be used now"):
            open_storage(root).exists("a.csv")
    assert time.monotonic() - began < 20


def test_a_web_server_that_is_not_there_does_not_make_its_files_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
    with pytest.raises(StorageError, match="cannot be used now"):
        open_storage(url).stat("a.csv")
