"""Which part of a file name says what format the file has."""

from __future__ import annotations

from typing import Final

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
