"""What records that have a lineage, or parents, can be asked: pictures, tables and graphs of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd


class LinealRecord(BaseRecord):
    """A record with a lineage: an artifact, a run, or all artifacts of a collection."""

    def view_lineage(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Draw the lineage around it: a picture in a notebook, a file elsewhere.

        Args:
            path: File to write, `.svg`, `.png`, `.pdf`, `.html`, `.dot`, `.mmd` or `.graphml`;
                `lineage-<uid>.svg` in the working directory by default outside notebooks.
            options: `direction` (`both`, `upstream` or `downstream`) and `max_depth` (derivation steps).

        Returns:
            In a notebook the picture, elsewhere the path of the file.
        """
        from lineagelog.lineage import view_lineage

        return view_lineage(self, path, **options)

    def upstream(self, *, max_depth: int | None = None) -> pd.DataFrame:
        """List everything it was made from; of a collection its artifacts as well.

        Args:
            max_depth: Derivation steps to follow; all by default.

        Returns:
            One row for each artifact and run, nearest first: `depth`, `kind`, `uid`, `name`, `transform`, `user`, `at`.
        """
        from lineagelog.lineage import lineage_table

        return lineage_table(self, "upstream", max_depth)

    def downstream(self, *, max_depth: int | None = None) -> pd.DataFrame:
        """List everything that was made from it; see `upstream`."""
        from lineagelog.lineage import lineage_table

        return lineage_table(self, "downstream", max_depth)

    def lineage_graph(self, *, direction: str = "both", max_depth: int | None = None) -> nx.MultiDiGraph[str]:
        """Return the lineage as a networkx graph in the direction of data flow, nodes named by their uids.

        Args:
            direction: `both`, `upstream` or `downstream`.
            max_depth: Derivation steps to follow; all by default.
        """
        from lineagelog.lineage import lineage_graph

        return lineage_graph(self, direction, max_depth)


class HierarchicalRecord(BaseRecord):
    """A record with parents and children of its own kind."""

    def view_parents(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        with_children: bool = False,
        max_depth: int | None = None,
    ) -> Any:
        """Draw all parents, and theirs: a picture in a notebook, a file elsewhere.

        Args:
            path: File to write, `.svg`, `.png`, `.pdf`, `.html`, `.dot` or `.mmd`; `parents-<uid>.svg` in the working directory
                by default outside notebooks.
            with_children: Draw all children as well.
            max_depth: So many steps; to the end by default. Many that are alike become one box that tells their number.

        Returns:
            In a notebook the picture, elsewhere the path of the file.
        """
        from lineagelog.lineage import view_parents

        return view_parents(self, path, with_children=with_children, max_depth=max_depth)
