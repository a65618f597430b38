"""Which data format a file has, how it is loaded, and how a DataFrame is written.

Loading never runs what is in a file: pickles are refused unless the caller trusts them, YAML is read by the safe loader, arrays
without objects.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from lineagelog.domain.errors import LineageLogError, ObjectMissingError, StorageError, UnsupportedFormatError

if TYPE_CHECKING:
    import gzip

    import pandas as pd

COUNT_LIMIT_BYTES: Final = 100_000_000
"""Text tables beyond this size are not counted: that would read all of them once more."""

_COMPRESSIONS: Final = (".gz", ".bz2", ".xz", ".zst", ".zip")
_COMPRESSED: Final = (
    ".tar",
    ".csv",
    ".tsv",
    ".txt",
    ".json",
    ".jsonl",
    ".fastq",
    ".fasta",
    ".vcf",
    ".bed",
    ".gtf",
    ".gff",
)
_COMPOSITES: Final = frozenset(
    {
        *(inner + outer for inner in _COMPRESSED for outer in _COMPRESSIONS),
        ".anndata.zarr",
        ".spatialdata.zarr",
        ".mudata.zarr",
        ".ome.zarr",
        ".ome.tif",
        ".ome.tiff",
        ".nii.gz",
        ".vitessce.json",
    }
)
_TABLES: Final = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
WRITABLE: Final = (".parquet", *_TABLES)
"""Suffixes under which a DataFrame can be stored, the default first."""
_TEXTS: Final = (".txt", ".md", ".html", ".py", ".log", ".svg")
_IMAGES: Final = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp")
_PICKLES: Final = (".pkl", ".pickle", ".joblib")


class ObjectInfo(NamedTuple):
    """What is known of an object in memory.

    Attributes:
        otype: Name of its type, such as `DataFrame`; `None` for a path.
        n_observations: Number of rows of a table.
        suffix: Suffix of its file, of a DataFrame that of the file it is written to.
        kind: `dataset`, `plot`, or `None` where nothing tells.
    """

    otype: str | None
    n_observations: int | None
    suffix: str
    kind: str | None


def suffix_of(name: str) -> str:
    """Return the suffix of a file name as it is written, with its dot; empty if there is none.

    Suffixes that only say something together are one: `.tar.gz`, `.csv.gz`, `.anndata.zarr`. Anything behind the last dot
    counts, unless it could not be an extension: empty, longer than 16 characters, or with spaces in it.

    Args:
        name: File name, or path with forward slashes.
    """
    base = name.rstrip("/").rpartition("/")[2].lstrip(".")
    parts = base.split(".")
    if len(parts) < 2:
        return ""
    last = parts[-1]
    if not last or len(last) > 16 or not all(character.isalnum() or character in "_-+" for character in last):
        return ""
    both = "." + ".".join(parts[-2:])
    if len(parts) > 2 and both.lower() in _COMPOSITES:
        return both
    return f".{last}"


def load(path: Path, suffix: str, *, trust: bool = False, **options: Any) -> Any:
    """Load a file into memory by its suffix.

    Args:
        path: The file.
        suffix: Its suffix, as recorded.
        trust: Load pickles as well, which can run any code while they are loaded.
        options: Passed on to the reader of a table: those of `pandas.read_csv` and the like, such as `sep=";"`.

    Returns:
        DataFrame, NumPy array, image, text, or what JSON and YAML hold.

    Raises:
        StorageError: It cannot be read, or a package that reads it is missing.
        UnsupportedFormatError: No loader for this suffix, or the content is not of this format.
    """
    kind = suffix.lower()
    if kind in _PICKLES and not trust:
        raise UnsupportedFormatError(
            f"{path.name} is a pickle, which can run any code while it is loaded; if you trust its author, call "
            "load(trust=True), otherwise read it in another way through cache()"
        )
    loader = _loader(kind)
    if loader is None or path.is_dir():
        what = "a folder" if path.is_dir() else f"of the format {suffix!r}" if suffix else "without a suffix"
        raise UnsupportedFormatError(
            f"{path.name} is {what}, which cannot be loaded into memory; use cache() for a local path, or open() to read it"
        )
    if options and not (kind in _TABLES or kind in (".parquet", ".feather")):
        raise TypeError(f"load() takes options for tables only, and {path.name} is none: {', '.join(options)}")
    with _understood(path, suffix):
        return loader(path, **options)


def write_dataframe(df: pd.DataFrame, destination: Path) -> None:
    """Write a DataFrame; the same frame gives the same bytes under one version of pandas and pyarrow.

    Args:
        df: The frame. Parquet keeps its index; in CSV and TSV an index that is not just row numbers becomes the first columns.
        destination: The file to write: CSV or TSV by its suffix (`WRITABLE`), else Parquet.

    Raises:
        UnsupportedFormatError: A column holds what Parquet cannot; the text names it.
        StorageError: The file cannot be written.
    """
    if destination.name.endswith(WRITABLE[1:]):
        _write_text_table(df, destination)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # One thread: with several, the order of dictionary entries could differ from one time to the next.
        table = pa.Table.from_pandas(df, nthreads=1)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        column = _unwritable_column(df)
        named = f"its column {column!r} holds" if column is not None else "it holds"
        raise UnsupportedFormatError(
            f"the DataFrame cannot be written as Parquet: {named} values that do not fit one type ({exc}); convert them, for "
            "example with df[column].astype(str), or save a file of your own"
        ) from exc
    try:
        pq.write_table(table, destination, compression="zstd")
    except (OSError, pa.ArrowException) as exc:
        raise StorageError(f"{destination} cannot be written: {exc}; check permissions and free space") from exc


def _write_text_table(df: pd.DataFrame, destination: Path) -> None:
    import pandas as pd

    rows_only = isinstance(df.index, pd.RangeIndex) and df.index.start == 0 and df.index.step == 1
    try:
        df.to_csv(
            destination, sep="\t" if ".tsv" in destination.suffixes else ",", index=not rows_only, lineterminator="\n",
            # Without its time of writing, the same frame gives the same compressed bytes.
            compression={"method": "gzip", "mtime": 0} if destination.suffix == ".gz" else None,
        )  # fmt: skip
    except OSError as exc:
        raise StorageError(f"{destination} cannot be written: {exc}; check permissions and free space") from exc


def describe_object(obj: object) -> ObjectInfo:
    """Say what an object in memory, or the file a path names, is."""
    if isinstance(obj, str | Path):
        suffix = suffix_of(Path(obj).name)
        kind = "plot" if suffix.lower() in (*_IMAGES, ".svg", ".pdf") else None
        return ObjectInfo(None, None, suffix, kind)
    if is_dataframe(obj):
        return ObjectInfo("DataFrame", len(cast("pd.DataFrame", obj)), ".parquet", "dataset")
    return ObjectInfo(type(obj).__name__, None, "", None)


def is_dataframe(obj: object) -> bool:
    """Tell whether an object is a pandas DataFrame, without importing pandas."""
    return any(
        cls.__name__ == "DataFrame" and cls.__module__.partition(".")[0] == "pandas" for cls in type(obj).__mro__
    )


def counts_rows(suffix: str) -> bool:
    """Tell whether `n_observations` looks into files of this suffix at all."""
    return suffix.lower() in {".parquet", ".feather", ".npy", *_TABLES}


def n_observations(path: Path, suffix: str) -> int | None:
    """Count the rows of a table.

    Args:
        path: The file.
        suffix: Its suffix.

    Returns:
        Rows of a Parquet or Feather file by its metadata; records of a CSV or TSV file, without the header, as the CSV rules count
        them; rows of an array. `None` for other formats, for text tables over 100 MB, and for what cannot be read.
    """
    kind = suffix.lower()
    try:
        if kind == ".parquet":
            import pyarrow.parquet as pq

            return int(pq.read_metadata(path).num_rows)
        if kind in _TABLES and path.stat().st_size <= COUNT_LIMIT_BYTES:
            return _count_records(path, kind)
        if kind == ".feather":
            import pyarrow as pa

            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                return sum(int(reader.get_batch(index).num_rows) for index in range(reader.num_record_batches))
        if kind == ".npy":
            import numpy as np

            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return int(array.shape[0]) if array.ndim else None
    except Exception:  # noqa: BLE001 - a count is a courtesy: no damaged file may keep its own bytes from being saved
        return None
    return None


def _loader(kind: str) -> Callable[..., Any] | None:
    if kind in _TABLES:
        return partial(_load_csv, kind=kind)
    if kind in _TEXTS:
        return lambda path: path.read_text(encoding="utf-8")
    if kind in _IMAGES:
        return _load_image
    return {
        ".parquet": _load_parquet,
        ".feather": _load_feather,
        ".json": _load_json,
        ".yaml": _load_yaml,
        ".yml": _load_yaml,
        ".npy": _load_array,
        ".pkl": _load_pickle,
        ".pickle": _load_pickle,
        ".joblib": _load_joblib,
    }.get(kind)


@contextmanager
def _understood(path: Path, suffix: str) -> Iterator[None]:
    """Raise errors of this project in place of those of the many readers, which have no common base."""
    try:
        yield
    except (LineageLogError, MemoryError):
        raise
    except FileNotFoundError as exc:
        raise ObjectMissingError(f"{path} does not exist; check the path") from exc
    except PermissionError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}; check its permissions") from exc
    except ImportError as exc:
        raise StorageError(
            f"{path.name} needs a package that is not installed: {exc}; install it, or use cache()"
        ) from exc
    except Exception as exc:
        raise UnsupportedFormatError(
            f"{path.name} cannot be read as {suffix}: {exc}; use cache() for a local path, and look at the file"
        ) from exc


def _load_csv(path: Path, *, kind: str, **options: Any) -> Any:
    import pandas as pd

    separator = "\t" if kind.startswith(".tsv") else ","
    compression = "gzip" if kind.endswith(".gz") else None
    return pd.read_csv(path, **{"sep": separator, "compression": compression, **options})


def _load_parquet(path: Path, **options: Any) -> Any:
    import pandas as pd

    return pd.read_parquet(path, **options)


def _load_feather(path: Path, **options: Any) -> Any:
    import pandas as pd

    return pd.read_feather(path, **options)


def _load_json(path: Path) -> Any:
    import json

    return json.loads(path.read_bytes())


def _load_yaml(path: Path) -> Any:
    try:
        import yaml
    except ImportError as exc:
        raise StorageError("YAML needs a package that is not installed; run `pip install 'lineagelog[yaml]'`") from exc
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _load_image(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError as exc:
        raise StorageError(
            "images need a package that is not installed; run `pip install 'lineagelog[image]'`"
        ) from exc
    with Image.open(path) as image:
        image.load()
        return image.copy()


def _load_array(path: Path) -> Any:
    import numpy as np

    return np.load(path, allow_pickle=False)


def _load_pickle(path: Path) -> Any:
    import pickle

    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - reached only where the caller trusts the file


def _load_joblib(path: Path) -> Any:
    import importlib

    # It has no type stubs, and need not be installed.
    return importlib.import_module("joblib").load(path)


def _unwritable_column(df: pd.DataFrame) -> object:
    """Find the first column that cannot be converted on its own."""
    import pyarrow as pa

    for index, name in enumerate(df.columns):
        try:
            pa.array(df.iloc[:, index], from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return name
    return None


def _count_records(path: Path, kind: str) -> int | None:
    """Count the records behind the header; a quoted field may hold line ends, and empty lines are no records."""
    import csv
    import gzip

    with gzip.open(path) if kind.endswith(".gz") else path.open("rb") as binary:
        limited = io.TextIOWrapper(io.BufferedReader(_Limited(binary)), encoding="utf-8", errors="replace", newline="")
        records = sum(1 for record in csv.reader(limited, delimiter="\t" if kind.startswith(".tsv") else ",") if record)
    return max(records - 1, 0)


class _Limited(io.RawIOBase):
    """A stream that ends in an error beyond `COUNT_LIMIT_BYTES`: a small compressed file may unpack to any size."""

    def __init__(self, source: gzip.GzipFile | BinaryIO) -> None:
        self._source = source
        self._left = COUNT_LIMIT_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._source.read(len(buffer))
        self._left -= len(block)
        if self._left < 0:
            raise OverflowError
        buffer[: len(block)] = block
        return len(block)
