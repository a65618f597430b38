"""Pictures of lineage: a graph of artifacts and runs as SVG, PNG, PDF, DOT, Mermaid, GraphML or HTML.

Boxes with round corners are artifacts, boxes with a bar at each side are runs; arrows follow the flow of data. Graphviz comes
with the `pygraphviz` wheel, so no other program is needed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias, get_args

from lineagelog.domain.errors import ExportError, UnknownFormatError
from lineagelog.exporters.picture.dot import write_dot
from lineagelog.exporters.picture.drawing import Drawing, draw_hierarchy, draw_lineage
from lineagelog.exporters.picture.mermaid import write_mermaid
from lineagelog.exporters.picture.page import write_page
from lineagelog.projections.hierarchy import Hierarchy
from lineagelog.projections.lineage import Graph, to_graphml

Format: TypeAlias = Literal["svg", "png", "pdf", "dot", "html", "mmd", "graphml"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""What a picture can be written as."""

_OF_LINEAGE: Final = ("graphml",)
_DPI: Final = 144
_SCALED: Final = b"is too large for cairo-renderer bitmaps"


def render(graph: Graph, format: Format = "svg", *, title: str | None = None) -> bytes:  # noqa: A002 - the name its users know
    """Draw a lineage graph.

    Args:
        graph: Nodes and edges (`projections/lineage.py`).
        format: `svg`, `png`, `pdf`, `html` for a page on which it can be moved, enlarged and searched, `dot` for Graphviz's own
            language, `mmd` for Mermaid's, which Markdown on many platforms shows, or `graphml` for programs that draw or analyse
            graphs: all nodes and edges with their attributes, nothing folded.
        title: Whose lineage it is; the names of its subjects by default.

    Raises:
        UnknownFormatError: Another format.
        ExportError: Graphviz could not lay the graph out.
    """
    if format not in FORMATS:
        raise UnknownFormatError(format, FORMATS)
    if format == "graphml":
        return to_graphml(graph)
    if format == "mmd":
        return write_mermaid(lambda most: draw_lineage(graph, title=title, max_boxes=most)).encode()
    return _rendered(draw_lineage(graph, title=title), format)


def render_hierarchy(tree: Hierarchy, format: Format = "svg") -> bytes:  # noqa: A002
    """Draw a record with its parents; see `render`."""
    if format not in FORMATS or format in _OF_LINEAGE:
        raise UnknownFormatError(format, tuple(name for name in FORMATS if name not in _OF_LINEAGE))
    if format == "mmd":
        return write_mermaid(lambda most: draw_hierarchy(tree, max_boxes=most)).encode()
    return _rendered(draw_hierarchy(tree), format)


def to_dot(graph: Graph) -> str:
    """Write a lineage graph in Graphviz's language; the same graph always gives the same text."""
    return write_dot(draw_lineage(graph))


def _rendered(drawing: Drawing, format: Format) -> bytes:  # noqa: A002
    if format == "dot":
        return write_dot(drawing).encode()
    if format == "html":
        return write_page(drawing, _laid_out(write_dot(drawing, on_page=True), "svg", drawing)).encode()
    drawn = _laid_out(write_dot(drawing), format, drawing)
    # A wide picture fits the window that shows it alone, or the column of a notebook.
    return drawn.replace(b"<svg ", b'<svg style="max-width:100%;height:auto" ', 1) if format == "svg" else drawn


def _laid_out(dot: str, format: Format, drawing: Drawing) -> bytes:  # noqa: A002
    import pygraphviz

    try:
        with _without_warnings():
            drawn = pygraphviz.AGraph(string=dot).draw(
                format=format, prog="dot", args=f"-Gdpi={_DPI}" if format == "png" else ""
            )
    except (OSError, ValueError) as exc:
        raise ExportError(f"the picture of {len(drawing.boxes):,} boxes could not be laid out: {exc}") from exc
    return bytes(drawn)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep Fontconfig quiet, whose copy in the wheel may be older than the system's configuration it reads.

    That a picture too long for dots is made smaller shows by itself. Graphviz writes to the file descriptor itself, so that is
    turned aside; whatever else was written meanwhile is passed on.
    """
    with tempfile.TemporaryFile() as aside:
        original = os.dup(2)
        try:
            os.dup2(aside.fileno(), 2)
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)
            aside.seek(0)
            rest = b"".join(line for line in aside if not line.startswith(b"Fontconfig ") and _SCALED not in line)
            if rest:
                os.write(2, rest)
