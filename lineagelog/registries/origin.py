"""Which artifacts an object in memory was read from, for as long as it lives.

Known are the objects that `load()`, `open()` and tracked calls have handed out, not what is computed from them. Objects that
cannot be referred to weakly, such as texts, numbers and lists, are not remembered.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple


class Origin(NamedTuple):
    """Where an object comes from.

    Attributes:
        store_id: Id of the store.
        artifact_id: Id of the artifact.
    """

    store_id: str
    artifact_id: str


# They live as long as the program, and are handed around for other reasons than what was read.
_SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, Enum)
_known: Final[dict[int, tuple[weakref.ref[Any], frozenset[Origin]]]] = {}


def remember(value: object, origins: Iterable[Origin]) -> None:
    """Note that an object was read from some artifacts, besides those it is known to come from."""
    if isinstance(value, _SHARED):
        return
    number = id(value)
    try:
        reference = weakref.ref(value, partial(_forget, number))
    except TypeError:
        return
    _known[number] = (reference, origins_of(value).union(origins))


def origins_of(value: object) -> frozenset[Origin]:
    """Tell from which artifacts an object is known to have been read."""
    reference, origins = _known.get(id(value), (None, frozenset()))
    # The number of an object that is gone may be that of another one.
    return origins if reference is not None and reference() is value else frozenset()


def _forget(number: int, reference: weakref.ref[Any]) -> None:
    known = _known.get(number)
    if known is not None and known[0] is reference:
        del _known[number]
