"""Lineage for people: pictures, tables, and a graph object."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from lineagelog.domain.artifact import KINDS_OF_RUNS
from lineagelog.domain.errors import ExportError, InvalidValueError, UnsupportedFormatError
from lineagelog.domain.values import parse_time
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

    from lineagelog.exporters.picture import Format
    from lineagelog.projections.lineage import Direction, Graph

_DIRECTIONS: Final = ("both", "upstream", "downstream")


def view_lineage(
    record: BaseRecord,
    path: str | os.PathLike[str] | None = None,
    *,
    direction: str = "both",
    max_depth: int | None = None,
) -> Any:
    """Draw the lineage around an artifact, run or collection; see `Artifact.view_lineage`."""
    from lineagelog.exporters.picture import render

    graph = read_graph(record, direction, max_depth)
    title = getattr(record, "key", None) or getattr(record, "name", None)
    return _show(partial(render, graph, title=title), path, f"lineage-{record.uid}.svg")


def view_parents(
    record: BaseRecord,
    path: str | os.PathLike[str] | None = None,
    *,
    with_children: bool = False,
    max_depth: int | None = None,
) -> Any:
    """Draw the parents of a record; see `Transform.view_parents`."""
    from lineagelog.exporters.picture import render_hierarchy
    from lineagelog.projections.hierarchy import hierarchy

    record._need_saved("view_parents")
    _check_depth(max_depth)
    with record.store.log.database.snapshot() as snapshot:
        tree = hierarchy(snapshot, record.registry.table, record.id, with_children=with_children, max_depth=max_depth)
    return _show(partial(render_hierarchy, tree), path, f"parents-{record.uid}.svg")


def _show(draw: Callable[[Format], bytes], path: str | os.PathLike[str] | None, default: str) -> Any:
    """Show a picture in a notebook, or write it to a file, whose ending says the format.

    Raises:
        ExportError: The file cannot be written.
        UnsupportedFormatError: There are no pictures of this format.
    """
    from lineagelog.exporters.picture import FORMATS

    if path is None and in_notebook():
        from IPython.display import SVG

        return SVG(draw("svg"))  # type: ignore[no-untyped-call]
    target = Path(path) if path is not None else Path(default)
    format_name = next((name for name in FORMATS if target.suffix == f".{name}"), None)
    if format_name is None:
        endings = " or ".join((", ".join(f".{name}" for name in FORMATS[:-1]), f".{FORMATS[-1]}"))
        raise UnsupportedFormatError(
            f"a picture cannot be written to {target.name}; choose a name that ends in {endings}"
        )
    picture = draw(format_name)
    try:
        target.write_bytes(picture)
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise ExportError(f"the picture cannot be written to {target}: {why}; choose a folder you may write") from exc
    return target


def lineage_table(record: BaseRecord, direction: str, max_depth: int | None) -> pd.DataFrame:
    """List the artifacts and runs of a lineage, nearest first, without the record itself."""
    import pandas as pd

    graph = read_graph(record, direction, max_depth)
    rows: list[tuple[Any, ...]] = [
        (node.depth, "artifact", node.uid, node.key or node.description, None, node.user, parse_time(node.created_at))
        for node in graph.artifacts.values()
        if node.id != record.id
    ]
    rows += [
        (node.depth, "run", node.uid, node.name, node.transform_key, node.user, parse_time(node.started_at))
        for node in graph.runs.values()
        if node.id != record.id
    ]
    rows.sort(key=lambda row: (row[0], row[1] == "artifact", row[-1]))
    return pd.DataFrame(rows, columns=["depth", "kind", "uid", "name", "transform", "user", "at"])


def lineage_graph(record: BaseRecord, direction: str, max_depth: int | None) -> nx.MultiDiGraph[str]:
    """Build a networkx graph of a lineage."""
    from lineagelog.projections.lineage import to_networkx

    return to_networkx(read_graph(record, direction, max_depth))


def read_graph(record: BaseRecord, direction: str, max_depth: int | None) -> Graph:
    """Read the lineage around an artifact or run, or around all artifacts of a collection, without logs and the like of runs.

    Raises:
        InvalidValueError: There is no such direction, or the depth is below 1.
    """
    from lineagelog.projections.lineage import closure, nodes

    record._need_saved("lineage")
    if direction not in _DIRECTIONS:
        raise InvalidValueError("direction", f"is {direction!r}; it must be one of: {', '.join(_DIRECTIONS)}")
    _check_depth(max_depth)
    members = getattr(record, "artifacts", None) if record.registry.name == "Collection" else None
    if members is not None:
        subjects = {"artifact_ids": members.to_list("id")}
    else:
        subjects = {"artifact_ids": [record.id]} if record.registry.name == "Artifact" else {"run_ids": [record.id]}
    with record.store.log.database.snapshot() as snapshot:
        found = closure(snapshot, direction=cast("Direction", direction), max_depth=max_depth, **subjects)
        return _without_own_outputs(nodes(snapshot, found))


def _without_own_outputs(graph: Graph) -> Graph:
    """Leave away logs, reports and diffs of runs, as queries do, unless they were asked for or a run has read them."""
    used = {edge.artifact_id for edge in graph.edges if edge.kind == "used"}
    kept = {
        node_id: node
        for node_id, node in graph.artifacts.items()
        if node.kind not in KINDS_OF_RUNS or node_id in used or node_id in graph.subjects
    }
    return replace(graph, artifacts=kept, edges=tuple(edge for edge in graph.edges if edge.artifact_id in kept))


def _check_depth(max_depth: int | None) -> None:
    if max_depth is not None and max_depth < 1:
        raise InvalidValueError("max_depth", f"is {max_depth}; it must be 1 or more, or None for all")


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    from lineagelog.adapters.script import in_kernel

    return in_kernel()
