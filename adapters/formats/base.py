"""What a data format is, where content lies that is read, and what can be told of it without loading it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from lineagelog.domain.errors import LineageLogError, ObjectMissingError, StorageError, UnsupportedFormatError

SCHEMA_LIMIT: Final = 1_000
"""Columns of a table that are recorded; how many there are is recorded as well."""

_TEXT_LIMIT: Final = 200
"""Characters of a column's name or type that are recorded."""


class Contents(NamedTuple):
    """What is known of a content without loading it; `None` where the format or the file does not tell.

    Attributes:
        n_observations: Rows of a table, observations of an annotated matrix, length of an array.
        n_variables: Columns of a table, variables of an annotated matrix.
        table_schema: Column name to the name of its Arrow type, in order; at most `SCHEMA_LIMIT` of them.
    """

    n_observations: int | None = None
    n_variables: int | None = None
    table_schema: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """Where content lies: on a local disk, or in a file system of fsspec.

    Attributes:
        name: What messages call it.
        local: Local path of the file or folder, `None` where it is remote.
        filesystem: File system of fsspec that holds it, if it is remote.
        key: Its path in that file system.
    """

    name: str
    local: Path | None
    filesystem: Any = None
    key: str = ""

    @classmethod
    def of(cls, path: Path) -> Location:
        """Speak of a local path."""
        return cls(path.name, path)

    @property
    def is_folder(self) -> bool:
        """It is a folder, or a prefix of remote objects."""
        return self.local.is_dir() if self.local is not None else bool(self.filesystem.isdir(self.key))

    def open(self) -> BinaryIO:
        """Open the file; of a remote one, blocks of a megabyte are fetched where they are read."""
        if self.local is not None:
            return self.local.open("rb")
        return cast("BinaryIO", self.filesystem.open(self.key, "rb", block_size=2**20, cache_type="blockcache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A data format: which files and objects have it, and the functions that read and write them.

    A function that is missing is something the format cannot do. Libraries are imported inside the functions, so that a
    description costs nothing.

    Attributes:
        name: What messages call it, such as `Parquet`.
        suffixes: File name extensions in lower case, the one that new files get first.
        types: Objects it writes, as top-level package and class, such as `pandas.DataFrame`; subclasses count as well.
        load: Reads a local file or folder into memory; takes the path, and options if `takes_options`.
        open: Opens content so that only what is asked for is read.
        write: Writes an object to a path that does not exist, and tells what it wrote.
        infer: Tells what a file holds without loading it.
        runs_code: Loading may run code that is in the file; or a function that tells whether it does for a file.
        takes_options: `load` passes keyword options on to the library's reader.
        is_folder: Content is a folder.
        kind: Kind of artifact that such a file is, if the format tells.
        extra: Extra of this package that brings the libraries, or the name of a package to install.
    """

    name: str
    suffixes: tuple[str, ...]
    types: tuple[str, ...] = ()
    load: Callable[..., Any] | None = None
    open: Callable[[Location], Any] | None = None
    write: Callable[[Any, Path], Contents] | None = None
    infer: Callable[[Location], Contents] | None = None
    runs_code: bool | Callable[[Path], bool] = False
    takes_options: bool = False
    is_folder: bool = False
    kind: str | None = None
    extra: str | None = None

    def fits(self, obj: object) -> bool:
        """Tell whether it writes objects of this type; no library is imported for it."""
        return any(type_name(cls) in self.types for cls in type(obj).__mro__)

    def may_run_code(self, path: Path) -> bool:
        """Tell whether loading this file could run code that is in it."""
        return self.runs_code(path) if callable(self.runs_code) else self.runs_code


def type_name(cls: type) -> str:
    """Name a class as formats name the types they write: top-level package and class."""
    return f"{cls.__module__.partition('.')[0]}.{cls.__name__}"


def bounded_schema(columns: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Make the recorded form of a schema: bounded, in order, each name once, and only text that a log can hold.

    Args:
        columns: Name and type of each column.
    """
    found: dict[str, str] = {}
    for name, kind in columns:
        if len(found) == SCHEMA_LIMIT:
            break
        unique = base = _recordable(name)
        number = 0
        while unique in found:
            # As pandas numbers equal names.
            number += 1
            unique = f"{base}.{number}"
        found[unique] = _recordable(kind)
    return found


def _recordable(text: str) -> str:
    # Neither a NUL nor half of a surrogate pair can be stored.
    clean = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return clean if len(clean) <= _TEXT_LIMIT else f"{clean[: _TEXT_LIMIT - 1]}…"


@contextmanager
def understood(name: str, fmt: Format) -> Iterator[None]:
    """Raise errors of this project in place of those of the many readers, which have no common base.

    Args:
        name: What messages call the content.
        fmt: Its format.
    """
    try:
        yield
    except LineageLogError:
        raise
    except FileNotFoundError as exc:
        raise ObjectMissingError(f"{name} does not exist; check the path") from exc
    except PermissionError as exc:
        raise StorageError(f"{name} cannot be read: {exc.strerror}; check its permissions") from exc
    except ImportError as exc:
        raise missing_package(name, fmt, exc) from exc
    except MemoryError as exc:
        raise UnsupportedFormatError(
            f"{name} does not fit into memory as {fmt.name}; open() reads it part by part"
        ) from exc
    except Exception as exc:
        raise UnsupportedFormatError(
            f"{name} cannot be read as {fmt.name}: {_first_line(exc)}; use cache() for a local path, and look at the file"
        ) from exc


def missing_package(name: str, fmt: Format, exc: ImportError) -> StorageError:
    """Say which package a format needs."""
    wanted = f"run `pip install '{fmt.extra}'`" if fmt.extra else "install the package named there"
    return StorageError(f"{name}: {fmt.name} needs a package that is not installed ({exc}); {wanted}")


def _first_line(exc: Exception) -> str:
    text = str(exc).strip().partition("\n")[0]
    return f"{type(exc).__name__}: {text[:300]}" if text else type(exc).__name__
