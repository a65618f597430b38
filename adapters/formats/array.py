"""NumPy arrays. Those of Python objects are pickles in disguise, and are loaded only where the caller trusts the file."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Final

from lineagelog.adapters.formats.base import Contents, Format, Location
from lineagelog.adapters.formats.memory import check_fits
from lineagelog.domain.errors import StorageError, UnsupportedFormatError


def _load_array(path: Path, *, trust: bool = False) -> Any:
    import numpy as np

    with path.open("rb") as file:
        shape, dtype = _header(file)
    check_fits(path.name, math.prod(shape) * dtype.itemsize)
    return np.load(path, allow_pickle=trust)


def _open_array(location: Location) -> Any:
    import numpy as np

    if location.local is None:
        return location.open()
    return np.load(location.local, mmap_mode="r", allow_pickle=False)


def _infer_array(location: Location) -> Contents:
    with location.open() as file:
        shape = _header(file)[0]
    n_variables = int(shape[1]) if len(shape) == 2 else None
    return Contents(int(shape[0]) if shape else None, n_variables)


def _holds_objects(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(_header(file)[1].hasobject)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], Any]:
    """Read shape and type of the values, which stand before them."""
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _write_array(obj: Any, destination: Path) -> Contents:
    import numpy as np

    if obj.dtype.hasobject:
        raise UnsupportedFormatError(
            f"an array of Python objects (dtype {obj.dtype}) cannot be stored: it would be a pickle; convert it, for example "
            "with array.astype(str)"
        )
    try:
        with destination.open("wb") as file:
            np.save(file, obj, allow_pickle=False)
    except OSError as exc:
        raise StorageError(f"{destination} cannot be written: {exc}; check permissions and free space") from exc
    return Contents(obj.shape[0] if obj.ndim else None, obj.shape[1] if obj.ndim == 2 else None)


def _load_arrays(path: Path, *, trust: bool = False) -> dict[str, Any]:
    """Load all arrays of an archive, name to array."""
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        check_fits(path.name, sum(member.file_size for member in archive.infolist()))
    with np.load(path, allow_pickle=trust) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _archive_holds_objects(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                # What is no array is handed out as bytes.
                if member.endswith(".npy") and _header(file)[1].hasobject:  # type: ignore[arg-type]
                    return True
    return False


FORMATS: Final = (
    Format(
        name="NumPy array",
        suffixes=(".npy",),
        types=("numpy.ndarray",),
        load=_load_array,
        open=_open_array,
        write=_write_array,
        infer=_infer_array,
        runs_code=_holds_objects,
        kind="dataset",
    ),
    Format(name="NumPy archive", suffixes=(".npz",), load=_load_arrays, runs_code=_archive_holds_objects),
)
