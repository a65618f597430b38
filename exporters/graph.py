"""An export as a graph of the library rdflib, for those who work with it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from lineagelog.domain.version import VERSION
from lineagelog.exporters.formats.ntriples import write_nquads
from lineagelog.exporters.mapping.stream import open_export
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.vocabulary import DEFAULT_BASE
from lineagelog.projections.reader import Reader

if TYPE_CHECKING:
    from rdflib import Dataset


def to_rdflib(
    reader: Reader,
    *,
    scope: Scope = ALL,
    head_position: int,
    head_root: str,
    software: str = f"lineagelog {VERSION}",
    base: str = DEFAULT_BASE,
) -> Dataset:
    """Build a dataset of rdflib.

    It holds the same quads as an export in N-Quads, all in memory (some 1.3 kB a quad), so it is meant for small sub-graphs.
    Nothing is fetched.

    Args:
        reader: One consistent view of the store.
        scope: What to export.
        head_position: Last position of the log in that view.
        head_root: Merkle tree head at that position.
        software: Name and version of the exporting software.
        base: Beginning of the IRIs of everything in the store.

    Returns:
        A dataset with the bundle as its one named graph. Its default graph is the union of all, so that a query finds what the
        bundle holds. The prefixes of the export are bound.

    Raises:
        RecordNotFoundError: The subject of the scope does not exist.
    """
    from rdflib import Dataset

    export = open_export(
        reader, scope=scope, head_position=head_position, head_root=head_root, software=software, base=base
    )
    dataset = Dataset(default_union=True)
    for prefix, iri in export.prefixes.items():
        dataset.bind(prefix, iri, replace=True)
    with warnings.catch_warnings():
        # The parsers of rdflib 7 use names of its own that it warns of.
        warnings.simplefilter("ignore", DeprecationWarning)
        dataset.parse(data="".join(write_nquads(export)), format="nquads")
    return dataset
