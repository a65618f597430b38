"""Graphviz's language: a drawing as boxes with tables for labels, and a legend below."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import Final

from lineagelog.exporters.picture.drawing import Box, Drawing, Line
from lineagelog.exporters.picture.look import ARROW, GREY, LOOKS, Look

_LARGE: Final = 150
_FONT: Final = "Helvetica,Arial,sans-serif"


def write_dot(drawing: Drawing, *, on_page: bool = False) -> str:
    """Write a drawing in Graphviz's language; the same drawing always gives the same text.

    Args:
        drawing: The picture.
        on_page: Boxes lead to what is known of them on the same page, and not to the web.
    """
    lines = [_header(drawing)]
    lines += [_box(box, f"#{box.name}" if on_page else box.url, on_page=on_page) for box in drawing.boxes]
    lines += [_line(line) for line in drawing.lines]
    return "\n".join((*lines, "}", ""))


def _header(drawing: Drawing) -> str:
    # Wide boxes in short chains read best from left to right; a long chain would shrink to nothing on a page.
    direction = "TB" if drawing.is_downward else "LR"
    layout = [
        f"rankdir={direction}", 'bgcolor="white"', "pad=0.3", "nodesep=0.22", "ranksep=0.5", "splines=true",
        f'fontname="{_FONT}"', "labelloc=b", f"label=<{_legend(drawing)}>", 'outputorder="edgesfirst"', 'tooltip=" "',
    ]  # fmt: skip
    if len(drawing.boxes) > _LARGE:
        layout += ["splines=line", "nslimit=2", "nslimit1=2", "mclimit=0.3"]
    return "\n".join(
        (
            f"digraph {_quoted(drawing.title)} {{",
            f"  graph [{', '.join(layout)}];",
            f'  node [fontname="{_FONT}", fontsize=11, margin="0.14,0.08", shape=box];',
            f'  edge [color="{ARROW}", arrowsize=0.7, penwidth=1.2, fontname="{_FONT}", fontsize=9, fontcolor="{GREY}"];',
        )
    )


def _legend(drawing: Drawing) -> str:
    shown = {look.legend: look for look in drawing.looks}
    order = [look.legend for look in LOOKS]
    cells = [
        f'<TD BGCOLOR="{look.fill}" COLOR="{look.line}" BORDER="1"{_styled(look)} WIDTH="16" HEIGHT="12" '
        'FIXEDSIZE="TRUE"></TD>'
        f'<TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="{GREY}">{look.legend}  </FONT></TD>'
        for look in sorted(
            shown.values(), key=lambda look: order.index(look.legend) if look.legend in order else len(order)
        )
    ]
    if drawing.has_seen_again:
        cells.append(
            f'<TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="{GREY}">- - →  same content saved again</FONT></TD>'
        )
    if any(line.kind != "parent" for line in drawing.lines):
        cells.append(f'<TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="{GREY}">→  data flows this way</FONT></TD>')
    cells = cells or ["<TD> </TD>"]
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="1"><TR>{"".join(cells)}</TR></TABLE>'


def _styled(look: Look) -> str:
    return f' STYLE="{look.style}"' if look.style else ""


def _box(box: Box, url: str | None, *, on_page: bool) -> str:
    look = box.look
    named = f"<S>{_html(box.title)}</S>" if look.is_struck else _html(box.title)
    rows = [f'<TR><TD ALIGN="LEFT"><B><FONT COLOR="{look.text}">{named}</FONT></B></TD></TR>']
    rows += [
        f'<TR><TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="{GREY}">{_html(text)}</FONT></TD></TR>'
        for text in box.lines
        if text
    ]
    if box.state:
        rows.append(
            f'<TR><TD ALIGN="LEFT"><B><FONT POINT-SIZE="9" COLOR="{look.line}">{_html(box.state)}</FONT></B></TD></TR>'
        )
    label = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'
    style = "filled" if box.shape == "run" else "rounded,filled"
    style = f"{style},{look.style}" if look.style else style
    sides = "shape=component" if box.shape == "run" else "shape=box, peripheries=1"
    link = f", URL={_quoted(url)}" if url else ""
    link += ', target="_blank"' if url and not on_page else ""
    return (
        f"  {_quoted(box.name)} [label=<{label}>, {sides}, "
        f'style="{style}", fillcolor="{look.fill}", color="{look.line}", penwidth={look.pen}, '
        f"tooltip={_quoted(box.tip)}{link}];"
    )


def _line(line: Line) -> str:
    attributes = [f"tooltip={_quoted(line.tip)}"]
    if line.kind == "seen":
        attributes.append("style=dashed")
    if line.label:
        attributes.append(f"label=<  {_html(line.label)}>")
    if line.n_pairs > 1:
        attributes.append("penwidth=2")
    return f"  {_quoted(line.source)} -> {_quoted(line.target)} [{', '.join(attributes)}];"


def _html(text: str) -> str:
    """Make a text part of a label that Graphviz reads as HTML, in which its escapes, begun by a backslash, are replaced too."""
    return escape(visible(text)).replace("\\", "\\" * 2)


def _quoted(text: str) -> str:
    """Make a text a quoted string of Graphviz's language, in which its escapes are replaced twice."""
    lines = (escape(visible(line)).replace("\\", "\\" * 4) for line in text.split("\n"))
    return f'"{"&#10;".join(lines)}"'


def visible(text: str) -> str:
    """Put a space in the place of each character that nobody sees and that may steer what is shown."""
    return "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)
