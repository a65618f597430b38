"""Build the `prov` library's document from the same statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lineagelog.domain.version import VERSION
from lineagelog.exporters.mapping import ALL, Scope
from lineagelog.exporters.vocabulary import DEFAULT_BASE
from lineagelog.projections.reader import Reader

if TYPE_CHECKING:
    from prov.model import ProvDocument


def to_prov(
    reader: Reader,
    *,
    scope: Scope = ALL,
    head_position: int,
    head_root: str,
    software: str = f"lineagelog {VERSION}",
    base: str = DEFAULT_BASE,
) -> ProvDocument:
    """Build a document of the `prov` library; meant for small sub-graphs, since it is held in memory."""
    raise NotImplementedError
