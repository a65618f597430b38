"""A proxy between a client and a server that does to one connection what networks do."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

FAULTS = ("none", "busy", "delay", "cut request", "cut answer", "flip request", "flip answer", "lost answer")
_METHODS = (b"PUT ", b"GET ", b"POST ", b"HEAD ", b"DELETE ")
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class FaultyProxy:
    """Passes bytes on, and does harm once after it was told to.

    Attributes:
        url: Address of the proxy.
    """

    def __init__(self, target: str) -> None:
        """Listen on a free port.

        Args:
            target: URL of the server.
        """
        host, port = target.removeprefix("http://").split(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._fault, self._after_bytes, self._times = "none", 0, 0
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, fault: str, *, after_bytes: int = 0, times: int = 1) -> None:
        """Do harm from now on.

        Args:
            fault: One of `FAULTS`.
            after_bytes: So many bytes pass in its direction before.
            times: How often it happens.
        """
        with self._lock:
            self._fault, self._after_bytes, self._times = fault, after_bytes, times

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                for source, sink, is_request in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pump, args=(source, sink, is_request), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 18):
                passed, answer = self._harm(block, is_request)
                if answer:
                    source.sendall(answer)
                if passed:
                    sink.sendall(passed)
                if len(passed) < len(block):
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _harm(self, block: bytes, is_request: bool) -> tuple[bytes, bytes]:
        """Decide what becomes of a block: what is passed on, and what is answered in the server's place."""
        with self._lock:
            fault = self._fault if self._times else "none"
            if fault == "none" or (is_request != (fault in ("busy", "delay", "cut request", "flip request"))):
                return block, b""
            if fault == "busy":
                if not block.startswith(_METHODS):
                    return block, b""
                self._times -= 1
                return b"", _BUSY
            if fault == "lost answer":
                self._times -= 1
                return b"", b""
            place, self._after_bytes = self._after_bytes, self._after_bytes - len(block)
            if place >= len(block):
                return block, b""
            self._times -= 1
            self._after_bytes = 0
        if fault == "delay":
            time.sleep(0.3)
            return block, b""
        if fault.startswith("cut"):
            return block[:place], b""
        return block[:place] + bytes([block[place] ^ 0x20]) + block[place + 1 :], b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
