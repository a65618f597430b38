"""Another program, run to its end: its output passed on as it comes and kept, signals passed on, its exit told."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final, NamedTuple, TextIO

from lineagelog.adapters.terminal import channel, copy_size, descriptor_of_terminal, place_of
from lineagelog.adapters.transcript import Transcript
from lineagelog.domain.errors import ObjectMissingError, StorageError
from lineagelog.domain.values import name_of_file

_BLOCK_BYTES: Final = 1 << 16
_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)
_DRAIN_S: Final = 2.0
"""How long a program that has ended may leave others writing to its output before nobody listens any more."""

_MAX_SOURCE_BYTES: Final = 1_000_000
_INTERPRETERS: Final = (
    "python",
    "pypy",
    "bash",
    "sh",
    "zsh",
    "ksh",
    "dash",
    "Rscript",
    "perl",
    "ruby",
    "node",
    "julia",
)


class Code(NamedTuple):
    """What a command line runs.

    Attributes:
        key: Name of the program, or of the script that an interpreter is told to run.
        path: The script, if it is a text file.
        source: Its bytes, or the lines that an interpreter was given by `-c`.
    """

    key: str
    path: Path | None
    source: bytes | None


def code_of(command: Sequence[str]) -> Code:
    """Find what a command line runs: the script of an interpreter, a script that names its own, or an installed program.

    Raises:
        ObjectMissingError: There is no such program.
        StorageError: It is not executable.
    """
    found = shutil.which(command[0])
    if found is None:
        if Path(command[0]).is_file() and os.sep in command[0]:
            raise StorageError(
                f"{command[0]} is not executable; run `chmod +x` on it, or put its interpreter before it"
            )
        raise ObjectMissingError(f"there is no program {command[0]!r}; check its name and PATH")
    name = Path(command[0]).name
    candidates = [Path(found)]
    if name.rstrip("0123456789.").startswith(_INTERPRETERS):
        if "-m" in command[1:-1]:
            return Code(f"{name} -m {command[list(command).index('-m') + 1]}", None, None)
        if "-c" in command[1:-1]:
            return Code(f"{name} -c", None, os.fsencode(command[list(command).index("-c") + 1]))
        words = [word for word in command[1:] if not word.startswith("-")]
        candidates.insert(0, Path(words[0]) if words else Path(found))
    for path in candidates:
        source = _text_of(path)
        if source is not None:
            return Code(name_of_file(path.name), path.resolve(), source)
    return Code(name, None, None)


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        code: Its exit code; the negative number of the signal that ended it.
        is_heard_no_more: What it has started is still there with its output, to which nobody listens any more.
    """

    code: int
    is_heard_no_more: bool


def run_program(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    transcript: Transcript | None,
    output: TextIO | None = None,
) -> Ended:
    """Run a program to its end.

    Args:
        command: Its name and arguments.
        environment: Its environment variables.
        transcript: Keeps its output, which is passed on all the same, to a terminal through another one; with `None` the
            program gets this process's own streams.
        output: Where its standard output goes; this process's own by default.

    Raises:
        StorageError: It cannot be started.
    """
    # A program whose output goes elsewhere is listened to as well: not everything that can be written to has a descriptor.
    is_heard = transcript is not None or output is not None
    targets: list[Any] = [output or sys.stdout, sys.stderr] if is_heard else []
    places = {place_of(target): target for target in reversed(targets)}
    # What goes to one place keeps its order only if it comes through one channel.
    channels = {place: (target, *channel(target)) for place, target in places.items()}
    given: list[int | None] = [channels[place_of(target)][2] for target in targets] or [None, None]
    with _signals_held() as received:
        try:
            process = subprocess.Popen(list(command), stdout=given[0], stderr=given[1], env=dict(environment))
        except OSError as exc:
            for _, listening, _ in channels.values():
                os.close(listening)
            raise StorageError(
                f"{command[0]} cannot be started: {exc.strerror}; if it is a script, its first line must name its "
                "interpreter, as in #!/bin/sh"
            ) from exc
        finally:
            for _, _, end in channels.values():
                os.close(end)
        received.to = process
        listeners = []
        for target, listening, _ in channels.values():
            real = descriptor_of_terminal(target)
            if real is not None:
                received.terminals.append((real, listening))
            listeners.append(threading.Thread(target=_pass_on, args=(listening, target, transcript), daemon=True))
            listeners[-1].start()
        code = process.wait()
        for listener in listeners:
            listener.join(_DRAIN_S)
        received.terminals = []
    return Ended(code, any(listener.is_alive() for listener in listeners))


class _Received:
    """Passes signals on to a program; a terminal has sent it those of the keyboard already."""

    def __init__(self) -> None:
        self.to: subprocess.Popen[bytes] | None = None
        self.terminals: list[tuple[int, int]] = []

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGWINCH:
            for real, front in self.terminals:
                copy_size(real, front)
        if number == signal.SIGINT and any(
            descriptor_of_terminal(stream) is not None for stream in (sys.stdin, sys.stdout, sys.stderr)
        ):
            return
        if self.to is not None:
            with suppress(ProcessLookupError):
                self.to.send_signal(number)


@contextmanager
def _signals_held() -> Iterator[_Received]:
    """Outlive what ends the program, so that its end can be recorded."""
    received = _Received()
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _PASSED_ON:
            before[number] = signal.signal(number, received)
    try:
        yield received
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)


def _pass_on(listening: int, beside: Any, transcript: Transcript | None) -> None:
    out = getattr(beside, "buffer", None)
    with os.fdopen(listening, "rb", buffering=0) as stream:
        while block := _next_of(stream):
            if transcript is not None:
                transcript.add(block)
            try:
                if out is not None:
                    out.write(block)
                    out.flush()
                elif beside is not None:
                    beside.write(block.decode(errors="replace"))
            except BrokenPipeError:
                # Whoever read the output has stopped. The program learns of it as it would without us, lest it print for ever.
                return
            except (OSError, ValueError):
                # Output that cannot be passed on is kept all the same.
                continue


def _next_of(stream: IO[bytes]) -> bytes | None:
    try:
        return stream.read(_BLOCK_BYTES)
    except OSError as exc:
        # So Linux says that nobody has a terminal open any more.
        if exc.errno == errno.EIO:
            return None
        raise


def _text_of(path: Path) -> bytes | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_SOURCE_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    return None if b"\x00" in content else content
