"""Data formats: one registry of how files and objects are loaded, opened, written, and looked into.

Loading never runs what is in a file: formats that can are refused unless the caller trusts them, files that lead to other files
are refused, and so is what cannot fit into memory.
"""

from __future__ import annotations

from lineagelog.adapters.formats.annotated import concatenate
from lineagelog.adapters.formats.base import Contents, Format, Location
from lineagelog.adapters.formats.reading import (
    infer,
    is_table,
    load,
    needs_trust,
    open_lazily,
    open_together,
    write,
)
from lineagelog.adapters.formats.registry import format_for, format_of, length_of, list_formats, stored_type
from lineagelog.adapters.formats.suffix import suffix_of

__all__ = [
    "Contents",
    "Format",
    "Location",
    "concatenate",
    "format_for",
    "format_of",
    "infer",
    "is_table",
    "length_of",
    "list_formats",
    "load",
    "needs_trust",
    "open_lazily",
    "open_together",
    "stored_type",
    "suffix_of",
    "write",
]
