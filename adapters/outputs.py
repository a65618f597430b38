"""What the cells of a notebook show, kept by the kernel itself, as a front end keeps it.

A program that runs a notebook writes it, outputs included, when the kernel has ended: too late for whoever runs in the kernel.

References:
    Messages of a kernel, https://jupyter-client.readthedocs.io/en/stable/messaging.html#messages-on-the-iopub-pub-sub-channel
"""

from __future__ import annotations

import sys
import threading
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

MAX_OUTPUT_BYTES: Final = 32_000_000
"""So much output of a notebook is kept and shown in its report; it is held in memory."""

Output: TypeAlias = dict[str, Any]
"""An output as the notebook format writes it."""

_TOO_MUCH: Final = f"(left out: the outputs of this notebook are more than {MAX_OUTPUT_BYTES // 1_000_000} MB)\n"


class Outputs:
    """Keeps what a kernel sends to its front ends, from now on until it is closed."""

    def __init__(self, shell: Any, count: int) -> None:
        """Begin to keep.

        Args:
            shell: IPython's shell.
            count: Number of the input that runs now.
        """
        self._session = shell.kernel.session
        self._send = self._session.send
        # Streams are sent by a thread of their own.
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._kept: dict[int, list[Output]] = {}
        self._displays: dict[str, list[Output]] = {}
        self._to_clear: set[int] = set()
        self._left_bytes = MAX_OUTPUT_BYTES
        # The cell that runs now was announced before anybody listened.
        now = _request(shell.get_parent())
        if now is not None:
            self._begin(now, count)
        # All messages go through here, whichever part of the kernel makes them.
        self._session.send = self._listen

    def close(self) -> None:
        """Listen no longer."""
        if self._session.send == self._listen:
            self._session.send = self._send

    def by_count(self) -> dict[int, list[Output]]:
        """Return what has been shown so far, by the number of the input that showed it."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        with self._lock:
            return {count: list(outputs) for count, outputs in self._kept.items()}

    def _listen(self, *args: Any, **kwargs: Any) -> Any:
        sent = self._send(*args, **kwargs)
        # Nothing that is shown may be lost for the sake of its being kept.
        with suppress(Exception):
            self._keep(sent)
        return sent

    def _keep(self, message: Mapping[str, Any]) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        request = message["parent_header"].get("msg_id")
        with self._lock:
            if kind == "execute_input":
                self._begin(request, content["execution_count"])
            elif kind == "update_display_data":
                for shown in self._displays.get(content["transient"]["display_id"], ()):
                    shown.update(self._affordable({name: _plain(content[name]) for name in ("data", "metadata")}))
            elif request in self._counts:
                self._add(self._counts[request], kind, content)

    def _begin(self, request: str, count: int) -> None:
        self._counts[request] = count
        self._kept[count] = []

    def _add(self, count: int, kind: str, content: Mapping[str, Any]) -> None:
        outputs = self._kept[count]
        if kind == "clear_output":
            if content["wait"]:
                self._to_clear.add(count)
            else:
                outputs.clear()
            return
        names = _ATTRIBUTES.get(kind)
        if names is None:
            return
        if count in self._to_clear:
            self._to_clear.remove(count)
            outputs.clear()
        output = self._affordable({"output_type": kind, **{name: _plain(content[name]) for name in names}})
        last = outputs[-1] if outputs else {}
        if kind == last.get("output_type") == "stream" and last["name"] == output["name"]:
            # A loop that prints without end is told once that it did.
            if output["text"] != [_TOO_MUCH] or last["text"][-1] != _TOO_MUCH:
                last["text"].extend(output["text"])
            return
        outputs.append(output)
        display = content.get("transient", {}).get("display_id")
        if display is not None:
            self._displays.setdefault(display, []).append(output)

    def _affordable(self, output: Output) -> Output:
        """Return an output if there is still room for it, else a word that it was left out."""
        is_text = output.get("output_type") == "stream"
        if is_text:
            output["text"] = [output["text"]]
        size = sum(map(output_size, output.values()))
        fits, self._left_bytes = size <= self._left_bytes, max(self._left_bytes - size, 0)
        if fits:
            return output
        if is_text:
            return {**output, "text": [_TOO_MUCH]}
        if output.get("output_type") == "error":
            return {**output, "evalue": _TOO_MUCH, "traceback": []}
        return {**output, "data": {"text/plain": _TOO_MUCH}, "metadata": {}}


_ATTRIBUTES: Final = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}
"""What the notebook format keeps of each kind of output."""


def _request(parent: Mapping[str, Any]) -> str | None:
    """Return the id of the request that is carried out; a message holds it in its header, which later kernels hand out alone."""
    found = parent.get("header", parent).get("msg_id")
    return str(found) if found is not None else None


def _plain(value: Any) -> Any:
    """Write bytes as a message does, when it is sent."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return b64encode(value).decode() if isinstance(value, bytes) else value


def output_size(value: Any) -> int:
    """Return about how many bytes an output, or a part of one, takes."""
    if isinstance(value, Mapping):
        return sum(map(output_size, value.values()))
    if isinstance(value, list):
        return sum(map(output_size, value))
    return len(value) if isinstance(value, str) else 8
