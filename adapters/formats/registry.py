"""The registry of formats: those built in, and those that installed packages add."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from lineagelog.adapters.formats import annotated, array, image, pickled, table, text
from lineagelog.adapters.formats.base import Format, type_name
from lineagelog.adapters.formats.suffix import suffix_of
from lineagelog.domain.errors import UnsupportedFormatError

GROUP: Final = "lineagelog.formats"
"""Entry points of this group are a `Format`, or several."""

BUILT_IN: Final = (
    *table.FORMATS,
    *annotated.FORMATS,
    *array.FORMATS,
    *text.FORMATS,
    *image.FORMATS,
    *pickled.FORMATS,
)
"""The formats of this package. Of those that write a type of object, the first is taken where the key does not tell."""

_BY_SUFFIX: Final = {suffix: fmt for fmt in BUILT_IN for suffix in fmt.suffixes}
# A key that ends so asks for a format that no object in memory is written in.
_FOREIGN: Final = (".xlsx", ".xls", ".h5", ".hdf5", ".rds", ".sqlite", ".orc", ".avro")


def list_formats() -> tuple[Format, ...]:
    """List all formats, those built in first."""
    return (*BUILT_IN, *_plugins())


def format_of(suffix: str) -> Format | None:
    """Find the format of files with a suffix; installed packages are asked only if it is not built in."""
    wanted = suffix.lower()
    if not wanted:
        return None
    found = _BY_SUFFIX.get(wanted)
    return found if found is not None else next((fmt for fmt in _plugins() if wanted in fmt.suffixes), None)


def format_for(obj: object, key: str | None) -> tuple[Format, str]:
    """Choose the format in which an object is stored.

    Args:
        obj: The object.
        key: Key of its artifact, whose suffix tells if it is one that this type can be stored in.

    Returns:
        The format and the suffix.

    Raises:
        UnsupportedFormatError: No format stores this type, or the key asks for one that does not.
    """
    able = [fmt for fmt in BUILT_IN if fmt.fits(obj) and fmt.write is not None]
    able = able or [fmt for fmt in _plugins() if fmt.fits(obj) and fmt.write is not None]
    kind = type(obj).__name__
    if not able:
        known = sorted({name.rpartition(".")[2] for fmt in list_formats() for name in fmt.types})
        raise UnsupportedFormatError(
            f"an object of type {kind} cannot be stored; pass one of {', '.join(known)}, or the path of a file you saved it to"
        )
    named = suffix_of(key or "").lower()
    for fmt in able:
        if named in fmt.suffixes:
            return fmt, named
    if named in _FOREIGN or format_of(named) is not None:
        choices = ", ".join(suffix for fmt in able for suffix in fmt.suffixes)
        raise UnsupportedFormatError(
            f"the {kind} cannot be stored under the key {key!r}: it is written by the suffix of its key as one of {choices}; "
            "choose such a key, or pass the path of a file you saved it to"
        )
    return able[0], able[0].suffixes[0]


def stored_type(obj: object, types: Iterable[str]) -> str | None:
    """Return the class name among types (`package.Class`) that an object is of or derived from; `None` if it is of none."""
    wanted = set(types)
    return next((cls.__name__ for cls in type(obj).__mro__ if type_name(cls) in wanted), None)


def length_of(obj: Any) -> int | None:
    """Count the observations of an object in memory: rows, or items along the first axis. `None` if it is not known yet."""
    found = getattr(obj, "n_obs", None)
    if found is None and isinstance(obj, list):
        found = len(obj)
    if found is None:
        shape = getattr(obj, "shape", None)
        found = shape[0] if isinstance(shape, tuple) and shape else None
    return int(found) if found is not None else None


@lru_cache(maxsize=1)
def _plugins() -> tuple[Format, ...]:
    """Load the formats of installed packages, once."""
    found: list[Format] = []
    taken = set(_BY_SUFFIX)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        for fmt in _formats_of(entry):
            clash = taken.intersection(fmt.suffixes)
            if clash:
                _warn(entry, f"the suffix {min(clash)} belongs to another format")
                continue
            taken.update(fmt.suffixes)
            found.append(fmt)
    return tuple(found)


def _formats_of(entry: EntryPoint) -> Iterator[Format]:
    try:
        loaded = entry.load()
        for fmt in loaded if isinstance(loaded, Iterable) else [loaded]:
            if not isinstance(fmt, Format):
                raise TypeError(f"it is {fmt!r}, no Format")
            yield fmt
    except Exception as exc:  # noqa: BLE001 - code of others, which must not keep anybody from his own data
        _warn(entry, f"{type(exc).__name__}: {exc}")


def _warn(entry: EntryPoint, why: str) -> None:
    package = entry.dist.name if entry.dist is not None else entry.value
    warnings.warn(
        f"the data format {entry.name!r} of {package} is not used: {why}; update or uninstall that package",
        stacklevel=2,
    )
