"""Loading, opening, writing and looking into content by its format, with one verdict on what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineagelog.adapters.formats.base import Contents, Format, Location, missing_package, understood
from lineagelog.adapters.formats.registry import format_of
from lineagelog.adapters.formats.table import unite
from lineagelog.domain.errors import ObjectMissingError, UnsupportedFormatError

if TYPE_CHECKING:
    import pyarrow.dataset as ds


def needs_trust(path: Path, suffix: str, name: str | None = None) -> Format | None:
    """Return the format of a file, by its own or another name in messages, if loading it can run code in it, else `None`."""
    fmt = format_of(suffix)
    if fmt is None or path.is_dir():
        return None
    with understood(name or path.name, fmt):
        return fmt if fmt.may_run_code(path) else None


def load(path: Path, suffix: str, *, called: str | None = None, trust: bool = False, **options: Any) -> Any:
    """Load a file or folder into memory by its suffix.

    Args:
        path: The file.
        suffix: Its suffix, as recorded.
        called: What messages call it; the name of the file by default.
        trust: Load formats as well that can run any code while they are loaded.
        options: Passed on to the reader of a table: those of `pandas.read_csv` and the like, such as `sep=";"`.

    Returns:
        By format: a DataFrame, an annotated matrix, an array, an image, text, or what JSON and YAML hold.

    Raises:
        ObjectMissingError: There is no such file.
        StorageError: It cannot be read, or a package that reads it is missing.
        UnsupportedFormatError: No loader for this suffix, or the content is not of this format, would run code, lead to other
            files, or not fit into memory.
    """
    fmt = format_of(suffix)
    name = called or path.name
    if not path.exists():
        raise ObjectMissingError(f"{path} does not exist; check the path")
    if fmt is None or fmt.load is None or path.is_dir() != fmt.is_folder:
        what = "a folder" if path.is_dir() else f"of the format {suffix!r}" if suffix else "without a suffix"
        advice = "and read the files in it" if path.is_dir() else "or open() to read it"
        raise UnsupportedFormatError(
            f"{name} is {what}, which cannot be loaded into memory; use cache() for a local path, {advice}"
        )
    if options and not fmt.takes_options:
        raise TypeError(f"load() takes options for tables only, and {name} is none: {', '.join(options)}")
    executable = needs_trust(path, suffix, name)
    if executable is not None and not trust:
        raise UnsupportedFormatError(
            f"{name} is a pickle or holds some ({fmt.name}), which can run any code while it is loaded; if you trust its "
            "author, call load(trust=True), otherwise read it in another way through cache()"
        )
    with understood(name, fmt):
        return fmt.load(path, **options) if executable is None else fmt.load(path, trust=True)


def open_lazily(location: Location, suffix: str) -> Any:
    """Open content so that only what is asked for is read, local or remote.

    Args:
        location: Where it lies.
        suffix: Its suffix, as recorded.

    Returns:
        By format: an Arrow dataset, a backed annotated matrix, a Zarr group; `None` for formats that are read as bytes.

    Raises:
        StorageError: It cannot be read, or a package that reads it is missing.
        UnsupportedFormatError: It is not of this format, or leads to other files.
    """
    fmt = format_of(suffix)
    if fmt is None or fmt.open is None:
        return None
    with understood(location.name, fmt):
        return fmt.open(location)


def is_table(fmt: Format) -> bool:
    """Tell whether files of a format open as Arrow datasets, which can be read together."""
    return "pyarrow.Table" in fmt.types and fmt.open is not None


def open_together(tables: Sequence[tuple[Location, str]]) -> ds.Dataset:
    """Open several tables, each with its suffix, as one Arrow dataset; nothing but their schemas is read.

    Raises:
        StorageError: One cannot be read.
        UnsupportedFormatError: One is not of its format, or a column has types that do not go together.
    """
    children = [open_lazily(location, suffix) for location, suffix in tables]
    return unite([location.name for location, _ in tables], children)


def write(fmt: Format, obj: Any, destination: Path) -> Contents:
    """Write an object, and tell what was written.

    Raises:
        StorageError: It cannot be written, or a package that writes it is missing.
        UnsupportedFormatError: It holds what the format cannot.
    """
    assert fmt.write is not None
    try:
        return fmt.write(obj, destination)
    except ImportError as exc:
        raise missing_package(f"the {type(obj).__name__}", fmt, exc) from exc


def infer(location: Location, suffix: str) -> Contents:
    """Tell what a file holds, from what it says of itself.

    Returns:
        Nothing for formats that do not tell, and for files that cannot be read: they are content all the same.
    """
    fmt = format_of(suffix)
    if fmt is None or fmt.infer is None or location.is_folder != fmt.is_folder:
        return Contents()
    try:
        return fmt.infer(location)
    except Exception:  # noqa: BLE001 - a courtesy: no damaged file may keep its own bytes from being saved
        return Contents()
