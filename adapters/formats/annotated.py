"""Annotated matrices and their collections: AnnData, MuData and SpatialData, in HDF5 files and Zarr folders."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lineagelog.adapters.formats.base import Contents, Format, Location, bounded_schema
from lineagelog.adapters.formats.hdf5 import check_loadable, check_self_contained
from lineagelog.adapters.formats.memory import check_fits
from lineagelog.domain.errors import LineageLogError, StorageError, UnsupportedFormatError

if TYPE_CHECKING:
    import anndata
    import mudata

_FRAMES: Final = ("obs", "var")


def _load_h5ad(path: Path) -> anndata.AnnData:
    import anndata
    import h5py

    with h5py.File(path, "r") as file:
        check_loadable(file, path.name)
    return anndata.read_h5ad(path)


def _open_h5ad(location: Location) -> anndata.AnnData:
    """Open a matrix that stays in the file; observations, variables and what is not the matrix are read."""
    import anndata

    source = location.open() if location.local is None else location.local
    _check_file(source, location.name)
    return anndata.read_h5ad(source, backed="r")


def concatenate(matrices: Mapping[str, anndata.AnnData], *, join: str) -> anndata.AnnData:
    """Put annotated matrices one under the other.

    Args:
        matrices: Uid of the artifact to its matrix; the uid becomes the observations' `artifact_uid`.
        join: `outer` takes the variables of all, `inner` those that all have.
    """
    import anndata

    return anndata.concat(matrices, join=join, label="artifact_uid")


def _load_h5mu(path: Path) -> mudata.MuData:
    import h5py
    import mudata

    with h5py.File(path, "r") as file:
        check_loadable(file, path.name)
    return mudata.read_h5mu(path)


def _open_h5mu(location: Location) -> Any:
    import mudata

    if location.local is None:
        return location.open()
    _check_file(location.local, location.name)
    return mudata.read_h5mu(location.local, backed="r")


def _check_file(source: Any, name: str) -> None:
    import h5py

    with h5py.File(source, "r") as file:
        check_self_contained(file, name)


def _infer_hdf5(location: Location) -> Contents:
    import h5py

    with location.open() as source, h5py.File(source, "r") as file:
        check_self_contained(file, location.name)
        return _contents(file)


def _contents(group: Any) -> Contents:
    """Tell what the frames of an annotated matrix say, in HDF5 or Zarr: columns are named by the path at which they lie."""
    schema: list[tuple[str, str]] = []
    lengths: dict[str, int | None] = {}
    for name in _FRAMES:
        frame = group.get(name)
        lengths[name] = None
        if frame is None or "column-order" not in frame.attrs:
            continue
        index = frame.get(str(frame.attrs.get("_index", "_index")))
        if index is not None and hasattr(index, "shape"):
            lengths[name] = int(index.shape[0])
        for column in frame.attrs["column-order"]:
            held = frame.get(str(column))
            if held is not None:
                schema.append((f"{name}/{column}", _type_in_file(held)))
    return Contents(lengths["obs"], lengths["var"], bounded_schema(schema))


def _type_in_file(held: Any) -> str:
    """Name the type of a stored column as Arrow would."""
    encoding = str(held.attrs.get("encoding-type", ""))
    if encoding == "categorical":
        ordered = int(bool(held.attrs.get("ordered", False)))
        indices, values = held.get("codes"), held.get("categories")
        return f"dictionary<values={_type_in_file(values)}, indices={_type_in_file(indices)}, ordered={ordered}>"
    if hasattr(held, "shape"):
        return _ARROW_NAMES.get(str(held.dtype), str(held.dtype)) if "string" not in encoding else "string"
    values = held.get("values")
    return _type_in_file(values) if values is not None else encoding or "null"


_ARROW_NAMES: Final = {
    "float64": "double",
    "float32": "float",
    "float16": "halffloat",
    "object": "string",
    "StringDType()": "string",
}


def _write_h5ad(obj: Any, destination: Path) -> Contents:
    from anndata.io import write_h5ad

    with _written("AnnData", "h5ad"):
        # A matrix that stays in a file would be moved to the new one by writing it.
        source = obj.to_memory() if obj.isbacked else obj
        # The caller's object stays as it is: texts are not made categories behind his back.
        write_h5ad(destination, source, convert_strings_to_categoricals=False)
    return _infer_hdf5(Location.of(destination))


def _write_h5mu(obj: Any, destination: Path) -> Contents:
    import mudata

    with _written("MuData", "h5mu"):
        mudata.write_h5mu(destination, obj)
    return _infer_hdf5(Location.of(destination))


@contextmanager
def _written(kind: str, fmt: str) -> Iterator[None]:
    try:
        yield
    except (LineageLogError, ImportError, MemoryError):
        raise
    except OSError as exc:
        raise StorageError(f"the {kind} cannot be written: {exc}; check permissions and free space") from exc
    except Exception as exc:  # the libraries raise whatever the values make them raise
        raise UnsupportedFormatError(
            f"the {kind} cannot be written as {fmt}: {exc}; change what is named there, or save a file of your own"
        ) from exc


def _write_zarr(obj: Any, destination: Path) -> Contents:
    package = type(obj).__module__.partition(".")[0]
    with _written(type(obj).__name__, "Zarr"):
        if package == "spatialdata":
            # The object does not move to the file, which goes away when it has been stored.
            obj.write(destination, update_sdata_path=False)
        elif package == "mudata":
            obj.write_zarr(destination)
        else:
            from anndata.io import write_zarr

            with warnings.catch_warnings():
                # Which version of Zarr is written is the user's setting of anndata, whether he knows it or not.
                warnings.filterwarnings("ignore", message="Writing zarr v2 data", category=UserWarning)
                write_zarr(str(destination), obj, convert_strings_to_categoricals=False)
    return _infer_zarr(Location.of(destination))


def _load_zarr(path: Path) -> Any:
    """Load a Zarr folder as what wrote it says it is."""
    group = _open_zarr(Location.of(path))
    check_fits(path.name, sum(array.nbytes for _, array in _arrays(group)))
    kind = str(group.attrs.get("encoding-type", "")).lower()
    if kind == "anndata":
        from anndata.io import read_zarr

        return read_zarr(str(path))
    if kind == "mudata":
        import mudata

        return mudata.read_zarr(str(path))
    if "spatialdata_attrs" in group.attrs:
        from lineagelog.adapters.formats import importing

        return importing.module("spatialdata").read_zarr(str(path))
    if hasattr(group, "shape"):
        return group[...]
    raise UnsupportedFormatError(
        f"{path.name} is a Zarr group, which cannot be loaded into memory as one object; use open()"
    )


def _open_zarr(location: Location) -> Any:
    """Open a Zarr group or array."""
    import zarr

    if location.local is None:
        from zarr.storage import FsspecStore

        opened = zarr.open(
            FsspecStore.from_mapper(location.filesystem.get_mapper(location.key), read_only=True), mode="r"
        )
    else:
        if not location.local.exists():
            raise FileNotFoundError(location.name)
        for path in location.local.rglob("*"):
            if path.is_symlink():
                inner = path.relative_to(location.local)
                raise UnsupportedFormatError(
                    f"{location.name} is not self-contained: {inner} is a link; copy what it means"
                )
        opened = zarr.open(str(location.local), mode="r")
    for place, array in _arrays(opened):
        _check_codecs(array.metadata.to_dict(), location.name, place)
    return opened


def _arrays(node: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(node, "shape"):
        yield "/", node
        return
    for place, member in node.members(max_depth=None):
        if hasattr(member, "shape"):
            yield place, member


def _check_codecs(metadata: Mapping[str, Any], name: str, place: str) -> None:
    """Refuse values that are packed as pickles, which run code when they are unpacked."""
    left: list[Any] = [metadata.get("filters"), metadata.get("compressor"), metadata.get("codecs")]
    while left:
        codec = left.pop()
        if isinstance(codec, Mapping):
            left += codec.values()
            named = str(codec.get("id") or codec.get("name") or "")
        elif isinstance(codec, Iterable) and not isinstance(codec, str):
            left += codec
            continue
        else:
            named = str(getattr(codec, "codec_id", "") or getattr(codec, "codec_name", ""))
        if "pickle" in named.lower():
            raise UnsupportedFormatError(
                f"{name} holds pickles in {place}, which can run any code while they are read; write it again without the "
                f"codec {named!r}"
            )


def _infer_zarr(location: Location) -> Contents:
    group = _open_zarr(location)
    if hasattr(group, "shape"):
        shape = group.shape
        return Contents(shape[0] if shape else None, shape[1] if len(shape) == 2 else None)
    if "spatialdata_attrs" in group.attrs:
        tables = group.get("tables")
        held = list(tables.groups()) if tables is not None else []
        return _contents(held[0][1]) if len(held) == 1 else Contents()
    return (
        _contents(group) if str(group.attrs.get("encoding-type", "")).lower() in ("anndata", "mudata") else Contents()
    )


FORMATS: Final = (
    Format(
        name="AnnData",
        suffixes=(".h5ad",),
        types=("anndata.AnnData",),
        load=_load_h5ad,
        open=_open_h5ad,
        write=_write_h5ad,
        infer=_infer_hdf5,
        kind="dataset",
        extra="lineagelog[anndata]",
    ),
    Format(
        name="MuData",
        suffixes=(".h5mu",),
        types=("mudata.MuData",),
        load=_load_h5mu,
        open=_open_h5mu,
        write=_write_h5mu,
        infer=_infer_hdf5,
        kind="dataset",
        extra="lineagelog[mudata]",
    ),
    Format(
        name="Zarr",
        suffixes=(".zarr", ".anndata.zarr", ".mudata.zarr", ".spatialdata.zarr", ".ome.zarr"),
        types=("anndata.AnnData", "mudata.MuData", "spatialdata.SpatialData"),
        load=_load_zarr,
        open=_open_zarr,
        write=_write_zarr,
        infer=_infer_zarr,
        is_folder=True,
        kind="dataset",
        extra="lineagelog[zarr]",
    ),
)
