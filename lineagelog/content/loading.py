"""How content gets out of memory and back into it: artifacts made from objects, loaded whole, opened lazily."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from lineagelog import current
from lineagelog.domain.artifact import ArtifactTrusted
from lineagelog.domain.errors import InvalidValueError, ObjectMissingError, UnsupportedFormatError
from lineagelog.projections import schema
from lineagelog.registries.annotated import AnnotatedRecord

if TYPE_CHECKING:
    import anndata
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds

    from lineagelog.adapters.formats import Format, Location
    from lineagelog.registries.artifact import Artifact
    from lineagelog.registries.collection import Collection

R = TypeVar("R", bound="MadeFromObjects")

_DATAFRAMES: Final = ("pandas.DataFrame", "polars.DataFrame", "polars.LazyFrame")


class MadeFromObjects(AnnotatedRecord):
    """What artifacts have beside their constructor: one constructor for each type of object."""

    @classmethod
    def from_dataframe(cls: type[R], df: Any, **options: Any) -> R:
        """Describe an artifact that holds a DataFrame of pandas or polars.

        It is stored as its key ends: Parquet (`.parquet`, and without a key), Feather, CSV or TSV (with `.gz` as well).

        Args:
            df: The table; what it holds when `save()` is called is what is stored.
            options: Those of `Artifact`.

        Raises:
            TypeError: It is no DataFrame.
            UnsupportedFormatError: The key ends as that of another format.
        """
        return _from_object(cls, df, _DATAFRAMES, "from_dataframe", options)

    @classmethod
    def from_df(cls: type[R], df: Any, **options: Any) -> R:
        """Older name of `from_dataframe`."""
        return cls.from_dataframe(df, **options)

    @classmethod
    def from_arrow(cls: type[R], table: pa.Table, **options: Any) -> R:
        """Describe an artifact that holds an Arrow table; see `from_dataframe`."""
        return _from_object(cls, table, ("pyarrow.Table",), "from_arrow", options)

    @classmethod
    def from_anndata(cls: type[R], adata: anndata.AnnData, **options: Any) -> R:
        """Describe an artifact that holds an annotated matrix, stored as h5ad, or as Zarr if its key ends in `.zarr`."""
        return _from_object(cls, adata, ("anndata.AnnData",), "from_anndata", options)

    @classmethod
    def from_mudata(cls: type[R], mdata: Any, **options: Any) -> R:
        """Describe an artifact that holds several annotated matrices, stored as h5mu, or as Zarr if its key ends in `.zarr`."""
        return _from_object(cls, mdata, ("mudata.MuData",), "from_mudata", options)

    @classmethod
    def from_spatialdata(cls: type[R], sdata: Any, **options: Any) -> R:
        """Describe an artifact that holds spatial data, stored as Zarr."""
        return _from_object(cls, sdata, ("spatialdata.SpatialData",), "from_spatialdata", options)


def _from_object(cls: type[R], obj: Any, types: tuple[str, ...], call: str, options: dict[str, Any]) -> R:
    from lineagelog.adapters.formats import stored_type

    if stored_type(obj, types) is None:
        expected = " or ".join(types)
        raise TypeError(
            f"{call}() takes {expected}, not {type(obj).__name__}; Artifact(…) takes any object that can be stored, and paths"
        )
    make: Any = cls
    return make(obj, **{"kind": "dataset", **options})  # type: ignore[no-any-return]


def take_object(artifact: Artifact, obj: Any) -> None:
    """Describe an artifact by the object it is to hold.

    Raises:
        UnsupportedFormatError: Objects of this type cannot be stored, or not under this key.
    """
    from lineagelog.adapters.formats import format_for, length_of, stored_type

    fmt, suffix = format_for(obj, artifact.key)
    artifact._object = (obj, fmt)
    artifact.suffix = suffix
    artifact.otype = stored_type(obj, fmt.types)
    artifact.n_observations = length_of(obj)
    artifact.kind = artifact.kind or fmt.kind


def load(artifact: Artifact, *, trust: bool, options: dict[str, Any]) -> Any:
    """Load the content of an artifact; that code in it may run is on record before it does."""
    from lineagelog.adapters.formats import load, needs_trust

    path = artifact._local_copy()
    name = artifact.key or artifact.uid
    executable = needs_trust(path, artifact.suffix, name) if trust else None
    if executable is not None:
        _record_trust(artifact, executable)
    return load(path, artifact.suffix, called=name, trust=trust, **options)


def _record_trust(artifact: Artifact, fmt: Format) -> None:
    run = current.current_run(artifact.store)
    fact = ArtifactTrusted(format=fmt.name, how="load")
    run_id = run.id if run is not None else None
    artifact.store.present.append_next(schema.ARTIFACTS, artifact.id, lambda _: fact, run=run_id)


def open_content(artifact: Artifact, mode: str | None) -> Any:
    """Open the content of an artifact lazily, or as bytes."""
    from lineagelog.adapters.formats import open_lazily

    artifact._need_saved("open")
    if mode not in (None, "r", "rb"):
        raise InvalidValueError("the mode", f"is {mode!r}; what is stored can only be read: 'r', or 'rb' for its bytes")
    opened = open_lazily(_location(artifact), artifact.suffix) if mode != "rb" else None
    if opened is not None:
        return opened
    return artifact.store.storage_backend(artifact.storage_id).open_binary(artifact.storage_path)


def _location(artifact: Artifact) -> Location:
    """Say where the content lies.

    Raises:
        ObjectMissingError: Nothing lies there.
    """
    from lineagelog.adapters.formats import Location

    backend = artifact.store.storage_backend(artifact.storage_id)
    if not backend.exists(artifact.storage_path):
        raise ObjectMissingError(
            f"{backend.url(artifact.storage_path)} does not exist any more; restore it from a copy, or run `prov verify`"
        )
    local = backend.local_path(artifact.storage_path)
    name = artifact.key or artifact.uid
    if local is not None:
        return Location(name, local)
    return Location(name, None, *backend.in_file_system(artifact.storage_path))


def load_all(
    collection: Collection, *, join: Literal["inner", "outer"], is_run_input: bool | None
) -> pd.DataFrame | anndata.AnnData:
    """Load the artifacts of a collection as one table or annotated matrix."""
    from lineagelog.adapters.formats import concatenate, stored_type

    artifacts = list(collection)
    kinds = [_kind_of(collection, artifact) for artifact in artifacts]
    _check_alike(collection, artifacts, kinds)
    loaded = [artifact.load(is_run_input=is_run_input) for artifact in artifacts]
    if kinds[0] == "table":
        import pandas as pd

        return pd.concat(loaded, ignore_index=True, join=join)
    for artifact, matrix in zip(artifacts, loaded, strict=True):
        if stored_type(matrix, ("anndata.AnnData",)) is None:
            raise _not_alike(collection, artifact, f"is a {type(matrix).__name__}, no AnnData")
    return concatenate(dict(zip((artifact.uid for artifact in artifacts), loaded, strict=True)), join=join)


def open_all(collection: Collection, *, is_run_input: bool | None) -> ds.Dataset:
    """Open the artifacts of a collection as one Arrow dataset."""
    from lineagelog.adapters.formats import open_together
    from lineagelog.content.disposal import check_usable

    artifacts = list(collection)
    for artifact in artifacts:
        check_usable(artifact)
    kinds = [_kind_of(collection, artifact) for artifact in artifacts]
    _check_alike(collection, artifacts, kinds)
    if kinds[0] != "table":
        raise _not_alike(collection, artifacts[0], "is no table")
    dataset = open_together([(_location(artifact), artifact.suffix) for artifact in artifacts])
    for artifact in artifacts:
        artifact._track_access("open", is_run_input)
    return dataset


def _kind_of(collection: Collection, artifact: Artifact) -> str:
    """Tell what an artifact can be put together with: tables with tables, annotated matrices with their like."""
    from lineagelog.adapters.formats import format_of, is_table

    fmt = format_of(artifact.suffix)
    if fmt is not None and is_table(fmt):
        return "table"
    if fmt is not None and "anndata.AnnData" in fmt.types:
        return "AnnData"
    raise _not_alike(collection, artifact, "is neither a table nor an AnnData")


def _check_alike(collection: Collection, artifacts: Sequence[Artifact], kinds: Sequence[str]) -> None:
    for artifact, kind in zip(artifacts, kinds, strict=True):
        if kind != kinds[0]:
            raise _not_alike(collection, artifact, f"is {kind}, while others are {kinds[0]}")


def _not_alike(collection: Collection, artifact: Artifact, why: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{collection.key!r} cannot be read as one table: {artifact.key or artifact.uid} {why}; read its artifacts one by one"
    )
