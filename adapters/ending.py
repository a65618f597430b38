"""How the main module of this process is left: at its end, or by which exception.

Python tells nobody of `SystemExit`: it calls no hook for it, and has dropped it by the time the process ends. What remains is the
frame of the main module. Its last instruction is a return, or else an exception has left it there. Which one that was is known

- of all but `SystemExit`: Python keeps it for debuggers;
- of `SystemExit` on Python 3.12 and later: `sys.monitoring` shows every exception that leaves a function;
- of `sys.exit()`, `exit()` and `quit()` on Python 3.11: they are listened to;
- of `raise SystemExit` on Python 3.11 not at all. Its exit code is read off the instruction, where that says it.
"""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from lineagelog.adapters.frames import MODULE_LEVEL, main_frames

_TOOL_IDS: Final = (3, 4)
"""Numbers of `sys.monitoring` that are set aside for no kind of tool."""

_WATCHER: Final = "lineagelog"


class MainModule:
    """The main module of this process, watched until the process ends.

    Attributes:
        is_certain: What `left_by` has returned is known. On Python 3.11 it is not if the main module exits with what it computes
            on the spot, as in `raise SystemExit(main())`; that is taken for 0.
    """

    def __init__(self, *, watch: bool = True) -> None:
        """Begin to watch it.

        Args:
            watch: There is a main module that ends when the process does; without one nothing leaves it.
        """
        frames = [frame for frame in main_frames() if not _is_own(frame)] if watch else []
        # A tool may run a main module of its own, further in.
        while frames and not _is_main(frames[-1]):
            frames.pop()
        self._frame = frames[-1] if frames else None
        self.is_certain = True
        self._exit: Exit | None = None
        self._left: BaseException | None = None
        self._asked: SystemExit | None = None
        self._asked_at = -1
        if self._frame is not None and not self._monitor(self._frame.f_code):
            self._listen(self._frame)
            if len(frames) > 1:
                from lineagelog.adapters.exit_code import Exit

                self._exit = Exit(self._frame, frames[-2])

    def left_by(self) -> BaseException | None:
        """Return the exception that has left the main module; `None` if none has, or nothing tells of a main module."""
        frame = self._frame
        if frame is None or _has_returned(frame) or any(frame is each for each in main_frames()):
            return None
        # `last_exc` is new in Python 3.12, and `last_value` will go.
        for error in (self._left, getattr(sys, "last_exc", None), getattr(sys, "last_value", None)):
            if isinstance(error, BaseException) and _went_through(error, frame):
                return error
        if self._asked is not None and self._asked_at == frame.f_lasti:
            return self._asked
        from lineagelog.adapters.exit_code import COMPUTED, Exit

        code = (self._exit or Exit(frame)).code()
        if self._asked is not None and _went_through(self._asked, frame) and isinstance(code, str):
            # It was caught here, and raised again.
            return self._asked
        if code is COMPUTED:
            self.is_certain = False
            return None
        return SystemExit(code)

    def _monitor(self, main: CodeType) -> bool:
        """Watch which exceptions leave the main module; this costs other code 0.2 µs for each function that one leaves."""
        monitoring: Any = getattr(sys, "monitoring", None)
        number = next((each for each in _TOOL_IDS if monitoring and monitoring.get_tool(each) is None), None)
        if number is None:
            return False

        def on_unwind(code: CodeType, _offset: int, error: BaseException) -> None:
            if code is main:
                self._left = error

        monitoring.use_tool_id(number, _WATCHER)
        monitoring.register_callback(number, monitoring.events.PY_UNWIND, on_unwind)
        monitoring.set_events(number, monitoring.events.PY_UNWIND)
        return True

    def _listen(self, main: FrameType) -> None:
        """Keep the exception of the last call that asks Python to exit, and where the main module was at that moment."""

        def heard(function: Callable[..., Any]) -> Callable[..., Any]:
            def leave(*arguments: Any, **keywords: Any) -> Any:
                try:
                    return function(*arguments, **keywords)
                except SystemExit as error:
                    # In another thread it ends only that.
                    if threading.current_thread() is threading.main_thread():
                        self._asked, self._asked_at = error, main.f_lasti
                    raise

            return leave

        original, sys.exit = sys.exit, heard(sys.exit)
        for name, value in list(main.f_globals.items()):
            if value is original:
                # The script has it by `from sys import exit`.
                main.f_globals[name] = sys.exit
        # `exit` and `quit` are two objects of one class; with `python -S` there are none.
        quitter: Any = type(getattr(builtins, "exit", None))
        if quitter.__name__ == "Quitter":
            quitter.__call__ = heard(quitter.__call__)


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("lineagelog.")


def _is_main(frame: FrameType) -> bool:
    return frame.f_code.co_name == MODULE_LEVEL and frame.f_globals.get("__name__") == "__main__"


def _has_returned(frame: FrameType) -> bool:
    import opcode

    return opcode.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")


def _went_through(error: BaseException, frame: FrameType) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame is not frame:
        trace = trace.tb_next
    return trace is not None
