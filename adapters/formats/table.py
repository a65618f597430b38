"""Tables: Parquet, Feather, CSV and TSV, as DataFrames of pandas or polars, Arrow tables, and Arrow datasets over files."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lineagelog.adapters.formats.base import Contents, Format, Location, bounded_schema, type_name
from lineagelog.adapters.formats.memory import available_bytes, check_fits
from lineagelog.domain.errors import StorageError, UnsupportedFormatError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds

COUNT_LIMIT_BYTES: Final = 100_000_000
"""Text tables beyond this size are not counted: that would read all of them once more."""

SNIFF_BYTES: Final = 2**20
"""So much of a text table tells the types of its columns."""

_TYPES: Final = ("pandas.DataFrame", "pyarrow.Table", "polars.DataFrame", "polars.LazyFrame")
# Deflate does not reach more; below this no file can be a bomb.
_DEFLATE_RATIO: Final = 1_032
_INDEX: Final = re.compile(r"__index_level_\d+__")
_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4}


def _load_parquet(path: Path, **options: Any) -> pd.DataFrame:
    import pandas as pd
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    wanted = options.get("columns")
    columns = (metadata.schema.column(index) for index in range(metadata.num_columns))
    width = sum(
        _WIDTHS.get(column.physical_type, 8)
        for column in columns
        # Of nested values there may be fewer than rows.
        if column.max_repetition_level == 0 and (wanted is None or column.path in wanted)
    )
    check_fits(path.name, metadata.num_rows * width)
    return pd.read_parquet(path, **options)


def _infer_parquet(location: Location) -> Contents:
    import pyarrow.parquet as pq

    with location.open() as file:
        metadata = pq.read_metadata(file)
        return _contents(metadata.schema.to_arrow_schema(), int(metadata.num_rows))


def _load_feather(path: Path, **options: Any) -> pd.DataFrame:
    import pandas as pd

    dataset = _open_dataset(Location.of(path), "feather")
    width = sum(_fixed_width(field.type) for field in dataset.schema)
    check_fits(path.name, dataset.count_rows() * width)
    frame: pd.DataFrame = pd.read_feather(path, **options)
    return frame


def _fixed_width(kind: pa.DataType) -> int:
    try:
        return int(kind.bit_width) // 8
    except ValueError:
        # A pointer to each value at least.
        return 8


def _infer_feather(location: Location) -> Contents:
    dataset = _open_dataset(location, "feather")
    return _contents(dataset.schema, int(dataset.count_rows()))


def _contents(schema: pa.Schema, n_rows: int | None) -> Contents:
    # What pandas adds to keep an index without a name is no column.
    fields = [field for field in schema if not _INDEX.fullmatch(field.name)]
    return Contents(n_rows, len(fields), bounded_schema((field.name, str(field.type)) for field in fields))


def _load_text(path: Path, *, separator: str, compressed: bool, **options: Any) -> pd.DataFrame:
    import pandas as pd

    if compressed:
        _check_unpacked(path)
    else:
        check_fits(path.name, path.stat().st_size)
    frame: pd.DataFrame = pd.read_csv(
        path, **{"sep": separator, "compression": "gzip" if compressed else None, **options}
    )
    return frame


def _check_unpacked(path: Path) -> None:
    """Refuse a compressed table that does not fit; it is unpacked to find out, but only if it is large enough to be one."""
    available = available_bytes()
    if available is None or path.stat().st_size * _DEFLATE_RATIO < available // 8:
        return
    size = lines = 0
    unpacking = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while packed := file.read(2**16):
            while packed:
                block = unpacking.decompress(packed, 2**20)
                size += len(block)
                lines += block.count(b"\n")
                # A value takes eight bytes, however few characters it has.
                check_fits(path.name, max(size, lines * 8))
                packed = unpacking.unconsumed_tail
                if unpacking.eof:
                    # Several compressed parts may stand one after another.
                    packed = unpacking.unused_data
                    unpacking = zlib.decompressobj(wbits=31)


def _infer_text(location: Location, *, separator: str, compressed: bool) -> Contents:
    n_rows: int | None = None
    # To count is to read all of it, which nobody wants to happen over a network.
    if location.local is not None and location.local.stat().st_size <= COUNT_LIMIT_BYTES:
        with suppress(OverflowError, EOFError, OSError, zlib.error):
            n_rows = _count_records(location.local, separator, compressed)
    schema = _sniff(location, separator, compressed)
    return Contents(n_rows) if schema is None else _contents(schema, n_rows)


def _sniff(location: Location, separator: str, compressed: bool) -> pa.Schema | None:
    """Read the names of the columns, and their types as the first records show them."""
    import gzip

    import pyarrow as pa
    from pyarrow import csv

    with location.open() as file, gzip.GzipFile(fileobj=file) if compressed else file as records:
        start = records.read(SNIFF_BYTES)
    if len(start) == SNIFF_BYTES:
        # The last record is cut somewhere.
        start = start[: start.rfind(b"\n") + 1]
    if not start.strip():
        return None
    try:
        return csv.read_csv(
            io.BytesIO(start),
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        ).schema
    except pa.ArrowException:
        return None


def _count_records(path: Path, separator: str, compressed: bool) -> int:
    """Count the records behind the header; a quoted field may hold line ends, and empty lines are no records."""
    import csv
    import gzip

    with gzip.open(path) if compressed else path.open("rb") as binary:
        limited = io.TextIOWrapper(io.BufferedReader(_Limited(binary)), encoding="utf-8", errors="replace", newline="")
        try:
            records = sum(1 for record in csv.reader(limited, delimiter=separator) if record)
        except csv.Error as exc:
            raise OverflowError from exc
    return max(records - 1, 0)


class _Limited(io.RawIOBase):
    """A stream that ends in an error beyond `COUNT_LIMIT_BYTES`: a small compressed file may unpack to any size."""

    def __init__(self, source: Any) -> None:
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


def unite(names: Sequence[str], children: Sequence[ds.Dataset]) -> ds.Dataset:
    """Make one Arrow dataset of several.

    Columns that are missing in one are empty there; numbers are widened where tables differ.

    Args:
        names: What messages call each of them.
        children: The datasets.

    Raises:
        UnsupportedFormatError: A column has types that do not go together.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    schema = children[0].schema.remove_metadata()
    for name, child in zip(names[1:], children[1:], strict=True):
        try:
            schema = pa.unify_schemas([schema, child.schema.remove_metadata()], promote_options="permissive")
        except pa.ArrowException as exc:
            clash = next(
                (field for field in child.schema if field.name in schema.names and not _unifies(schema, field)), None
            )
            told = (
                f"its column {clash.name!r} is {clash.type}, and {schema.field(clash.name).type} in those before it"
                if clash is not None
                else str(exc)
            )
            raise UnsupportedFormatError(
                f"{name} does not fit into one table: {told}; convert it, or open the artifacts one by one"
            ) from exc
    return ds.dataset([child.replace_schema(schema) for child in children])


def _unifies(schema: pa.Schema, field: pa.Field) -> bool:
    import pyarrow as pa

    try:
        pa.unify_schemas([pa.schema([schema.field(field.name)]), pa.schema([field])], promote_options="permissive")
    except pa.ArrowException:
        return False
    return True


def _open_dataset(location: Location, kind: str, *, separator: str | None = None) -> ds.Dataset:
    import pyarrow.dataset as ds
    from pyarrow import csv

    reader: Any = kind
    if separator is not None:
        reader = ds.CsvFileFormat(csv.ParseOptions(delimiter=separator, newlines_in_values=True))
    if location.local is not None:
        # The compression is told by the suffix, which need not be that of the file.
        return ds.dataset(str(location.local), format=reader)
    return ds.dataset(location.key, format=reader, filesystem=_by_ranges(location.filesystem))


def _by_ranges(filesystem: Any) -> Any:
    """Let Arrow read from a file system of fsspec exactly what it asks for.

    File systems read ahead by tens of megabytes, which for one column of a Parquet file fetches all the others.
    """
    from pyarrow import PythonFile, fs

    class Handler(fs.FSSpecHandler):  # type: ignore[misc]
        def open_input_file(self, path: str) -> Any:
            return PythonFile(self.fs.open(path, mode="rb", cache_type="none"), mode="r")

    return fs.PyFileSystem(Handler(filesystem))


def write_parquet(obj: Any, destination: Path) -> Contents:
    """Write a table as Parquet; the same table gives the same bytes under one version of pandas and pyarrow.

    Raises:
        UnsupportedFormatError: A column holds what Parquet cannot; the text names it.
        StorageError: The file cannot be written.
    """
    import pyarrow.parquet as pq

    table = _to_arrow(obj, "Parquet")
    with _written(destination, "Parquet"):
        pq.write_table(table, destination, compression="zstd")
    return _contents(table.schema, table.num_rows)


def _write_feather(obj: Any, destination: Path) -> Contents:
    from pyarrow import feather

    table = _to_arrow(obj, "Feather")
    with _written(destination, "Feather"):
        feather.write_feather(table, str(destination), compression="zstd")
    return _contents(table.schema, table.num_rows)


def _to_arrow(obj: Any, name: str) -> pa.Table:
    import pyarrow as pa

    package = _package(obj)
    if package == "polars":
        import polars

        frame = obj.collect() if isinstance(obj, polars.LazyFrame) else obj
        # Without views of strings, which not every reader knows.
        return frame.to_arrow(compat_level=polars.CompatLevel.oldest())
    if package == "pyarrow":
        return obj
    try:
        # One thread: with several, the order of dictionary entries could differ from one time to the next.
        return pa.Table.from_pandas(obj, nthreads=1)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        if not obj.columns.is_unique:
            twice = obj.columns[obj.columns.duplicated()][0]
            raise UnsupportedFormatError(
                f"the DataFrame cannot be written as {name}: several of its columns are called {twice!r}; rename all but one"
            ) from exc
        column = _unwritable_column(obj)
        named = f"its column {column!r} holds" if column is not None else "it holds"
        raise UnsupportedFormatError(
            f"the DataFrame cannot be written as {name}: {named} values that do not fit one type ({exc}); convert them, for "
            "example with df[column].astype(str), or save a file of your own"
        ) from exc


def _package(obj: Any) -> str:
    """Return the package of a table's class, or of the one it is derived from."""
    return next(name for name in map(type_name, type(obj).__mro__) if name in _TYPES).partition(".")[0]


@contextmanager
def _written(destination: Path, name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except OSError as exc:
        raise StorageError(f"{destination} cannot be written: {exc}; check permissions and free space") from exc
    except pa.ArrowException as exc:
        raise UnsupportedFormatError(
            f"the table cannot be written as {name}: {exc}; convert the column, or save a file of your own"
        ) from exc


def _write_text(obj: Any, destination: Path, *, separator: str, compressed: bool) -> Contents:
    import gzip

    try:
        # Without name and time of writing, the same table gives the same compressed bytes.
        with (
            destination.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) if compressed else file as out,
        ):
            return _write_records(obj, out, separator)
    except OSError as exc:
        raise StorageError(f"{destination} cannot be written: {exc}; check permissions and free space") from exc


def _write_records(obj: Any, out: Any, separator: str) -> Contents:
    import pyarrow as pa

    if _package(obj) != "pandas":
        from pyarrow import csv

        table = _to_arrow(obj, "CSV")
        try:
            csv.write_csv(table, out, csv.WriteOptions(delimiter=separator))
        except pa.ArrowException as exc:
            raise UnsupportedFormatError(f"the table cannot be written as CSV: {exc}; store it as Parquet") from exc
        return _contents(table.schema, table.num_rows)
    import pandas as pd

    rows_only = isinstance(obj.index, pd.RangeIndex) and obj.index.start == 0 and obj.index.step == 1
    obj.to_csv(out, sep=separator, index=not rows_only, lineterminator="\n")
    kinds = [(str(name), _arrow_type(obj.iloc[:, place])) for place, name in enumerate(obj.columns)]
    return Contents(len(obj), len(kinds), bounded_schema(kinds))


def _arrow_type(column: pd.Series[Any]) -> str:
    import pyarrow as pa

    try:
        return str(pa.array(column.iloc[:1_000], from_pandas=True).type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # As text, which is what the file holds of values of several types.
        return "string"


def _unwritable_column(df: pd.DataFrame) -> object:
    """Find the first column that cannot be converted on its own."""
    import pyarrow as pa

    for index, name in enumerate(df.columns):
        try:
            pa.array(df.iloc[:, index], from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return name
    return None


def _text_format(name: str, suffix: str, separator: str, *, compressed: bool) -> Format:
    return Format(
        name=name,
        suffixes=(suffix,),
        types=_TYPES,
        load=partial(_load_text, separator=separator, compressed=compressed),
        open=partial(_open_text, separator=separator, suffix=suffix),
        write=partial(_write_text, separator=separator, compressed=compressed),
        infer=partial(_infer_text, separator=separator, compressed=compressed),
        takes_options=True,
        kind="dataset",
    )


def _open_text(location: Location, *, separator: str, suffix: str) -> ds.Dataset:
    return _open_dataset(location, suffix, separator=separator)


PARQUET: Final = Format(
    name="Parquet",
    suffixes=(".parquet",),
    types=_TYPES,
    load=_load_parquet,
    open=partial(_open_dataset, kind="parquet"),
    write=write_parquet,
    infer=_infer_parquet,
    takes_options=True,
    kind="dataset",
)
FORMATS: Final = (
    PARQUET,
    _text_format("CSV", ".csv", ",", compressed=False),
    _text_format("TSV", ".tsv", "\t", compressed=False),
    _text_format("compressed CSV", ".csv.gz", ",", compressed=True),
    _text_format("compressed TSV", ".tsv.gz", "\t", compressed=True),
    Format(
        name="Feather",
        suffixes=(".feather",),
        types=_TYPES,
        load=_load_feather,
        open=partial(_open_dataset, kind="feather"),
        write=_write_feather,
        infer=_infer_feather,
        takes_options=True,
        kind="dataset",
    ),
)
