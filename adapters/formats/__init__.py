"""Data formats: one registry of how files and objects are loaded, opened, written, and looked into.

Loading never runs what is in a file: formats that can are refused unless the caller trusts them, files that lead to other files
are refused, and so is what cannot fit into memory.
"""

from __future__ import annotations

from lineagelog.adapters.formats.base import Contents, Format, Location
from lineagelog.adapters.formats.reading import infer, load, needs_trust, open_lazily, write
from lineagelog.adapters.formats.registry import format_for, format_of, list_formats
from lineagelog.adapters.formats.suffix import suffix_of

__all__ = [
    "Contents",
    "Format",
    "Location",
    "format_for",
    "format_of",
    "infer",
    "list_formats",
    "load",
    "needs_trust",
    "open_lazily",
    "suffix_of",
    "write",
]
