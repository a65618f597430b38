"""Which data format a file has, how it is loaded, and how a DataFrame is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class ObjectInfo(NamedTuple):
    """What is known of an object in memory.

    Attributes:
        otype: Name of its type, such as `DataFrame`; `None` for a path.
        n_observations: Number of rows of a table.
        suffix: Suffix of the file it is written to.
        kind: `dataset`, `model`, `plot`, or `None` where nothing tells.
    """

    otype: str | None
    n_observations: int | None
    suffix: str
    kind: str | None


def suffix_of(name: str) -> str:
    """Return the suffix of a file name, `.tar.gz` and `.anndata.zarr` as one; empty if there is none."""
    raise NotImplementedError


def load(path: Path, suffix: str, *, trust: bool = False) -> Any:
    """Load a file into memory by its suffix.

    Args:
        path: The file.
        suffix: Its suffix, as recorded.
        trust: Also load pickles, which can run any code while they are loaded.

    Raises:
        UnsupportedFormatError: No loader for this suffix, or the content is not of this format.
    """
    raise NotImplementedError


def write_dataframe(df: pd.DataFrame, destination: Path) -> None:
    """Write a DataFrame as Parquet; the same frame gives the same bytes under one version of pyarrow.

    Raises:
        UnsupportedFormatError: A column holds what Parquet cannot; the text names it.
    """
    raise NotImplementedError


def describe_object(obj: object) -> ObjectInfo:
    """Say what an object in memory is."""
    raise NotImplementedError


def n_observations(path: Path, suffix: str) -> int | None:
    """Count the rows of a table; `None` where that is not known or would take long."""
    raise NotImplementedError
