"""Which exit code a `SystemExit` gave that nobody has seen, read off the instructions: for Python 3.11, which does not tell it."""

from __future__ import annotations

import dis
from types import FrameType
from typing import Any, Final

UNKNOWN: Final = (
    "the script raised SystemExit; which exit code it gave, Python 3.11 does not tell: call sys.exit() instead"
)
"""Stands for an exit code that was given in a function further in. Like any text it is that of a failure."""

COMPUTED: Final = object()
"""Stands for an exit code that the main module has computed on the spot, as in `raise SystemExit(main())`, and nothing tells."""

_EXITS: Final = ("SystemExit", "exit", "quit")


class Exit:
    """The exit of a main module.

    Its code is known if the module gives a constant or a variable, or what a function returns that is at work already and that
    returns one, as in `sys.exit(main())`.
    """

    def __init__(self, main: FrameType, called: FrameType | None = None) -> None:
        """Look where a main module is.

        Args:
            main: The module.
            called: The function that it has called and waits for now. It is kept only if what it returns is the exit code.
        """
        self._main = main
        self._called: FrameType | None = None
        self._place = -1
        if called is None:
            return
        following = [each for each in dis.get_instructions(main.f_code) if each.offset > main.f_lasti][:2]
        if [each.opname for each in following] == ["PRECALL", "CALL"]:
            exits = following[1]
            # A call begins in the source where what is called does.
            names = [each.argval for each in self._up_to(main) if _is_load(each) and _begin(each) == _begin(exits)]
            if exits.arg == 1 and names and names[-1] in _EXITS:
                self._called, self._place = called, exits.offset

    def code(self) -> Any:
        """Find the exit code, when a `SystemExit` has left the module."""
        *before, last = self._up_to(self._main)
        if last.opname == "RAISE_VARARGS" and before and before[-1].opname == "CALL":
            last = before.pop()
            if last.arg == 0:
                return None
            if last.offset != self._place:
                # The value stands before the two instructions of a call.
                return COMPUTED if before[-1].is_jump_target else _value(self._main, before[-2])
        elif last.opname == "RAISE_VARARGS" and before:
            raised = _value(self._main, before[-1])
            return None if raised is SystemExit else UNKNOWN
        if last.offset != self._place or self._called is None:
            return UNKNOWN
        *before, last = self._up_to(self._called)
        if last.opname != "RETURN_VALUE":
            return UNKNOWN
        return COMPUTED if last.is_jump_target else _value(self._called, before[-1])

    @staticmethod
    def _up_to(frame: FrameType) -> list[dis.Instruction]:
        return [each for each in dis.get_instructions(frame.f_code) if each.offset <= frame.f_lasti]


def _is_load(instruction: dis.Instruction) -> bool:
    return instruction.opname in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_METHOD", "LOAD_ATTR")


def _begin(instruction: dis.Instruction) -> tuple[int | None, int | None]:
    positions = instruction.positions
    return (positions.lineno, positions.col_offset) if positions is not None else (None, None)


def _value(frame: FrameType, loaded: dis.Instruction) -> Any:
    if loaded.opname == "LOAD_CONST":
        return loaded.argval
    if loaded.opname in ("LOAD_FAST", "LOAD_NAME", "LOAD_GLOBAL"):
        return {**frame.f_builtins, **frame.f_globals, **frame.f_locals}.get(loaded.argval, COMPUTED)
    return COMPUTED
