"""Pictures of lineage: a graph of artifacts and runs as SVG, PNG, PDF, DOT, Mermaid, GraphML or HTML.

Boxes with round corners are artifacts, boxes with a bar at each side are runs; arrows follow the flow of data. Graphviz comes
with the `pygraphviz` wheel, so no other program is needed.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from html import escape
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from lineagelog.domain.artifact import DELETED, LIVE, TRASHED
from lineagelog.domain.errors import ExportError, UnknownFormatError
from lineagelog.domain.ids import VERSION_LENGTH
from lineagelog.domain.run import ABORTED, FAILED, FINISHED, STARTED
from lineagelog.domain.values import parse_time
from lineagelog.projections.hierarchy import Hierarchy
from lineagelog.projections.lineage import ArtifactNode, Graph, RunNode, to_graphml

Format: TypeAlias = Literal["svg", "png", "pdf", "dot", "html", "mmd", "graphml"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""What a picture can be written as."""

_OF_LINEAGE: Final = ("mmd", "graphml")

FOLD_ABOVE: Final = 12
"""So many alike nodes are drawn one by one; more become one node that tells their number."""

_MAX_TITLE: Final = 40
_MAX_CHAIN: Final = 12
_MAX_UID: Final = 12
_LARGE: Final = 300
_DPI: Final = 144
_FONT: Final = "Helvetica,Arial,sans-serif"
_GREY: Final = "#5F6B7A"


class _Look(NamedTuple):
    """How a kind of node is drawn, and what the legend calls it."""

    fill: str
    line: str
    text: str
    legend: str
    pen: float = 1.2
    style: str = ""
    is_struck: bool = False


_ARTIFACT: Final = _Look("#EAF2FC", "#3B78C3", "#16365F", "artifact")
_TRASHED: Final = _Look("#FFFFFF", "#3B78C3", "#5F6B7A", "artifact in the trash", style="dotted")
_DELETED: Final = _Look("#FFFFFF", "#5F6B7A", "#5F6B7A", "deleted artifact", style="dashed", is_struck=True)
_RUN: Final = _Look("#E9F6EE", "#3E9B69", "#14472C", "run")
_SUBJECT: Final = _Look("#FFF1CC", "#E09F1F", "#5C3D00", "subject", 2.6)
_FAILED: Final = _Look("#FDEBEA", "#D64541", "#7A1613", "failed run", 1.6)
_ABORTED: Final = _Look("#FCEFE3", "#D9822B", "#703A06", "aborted run", 1.6)
_OPEN: Final = _Look("#F3F5F7", "#7A8794", "#2F3A45", "run not ended")
_ARTIFACT_LOOKS: Final[Mapping[str, _Look]] = {LIVE: _ARTIFACT, TRASHED: _TRASHED, DELETED: _DELETED}
_RUN_LOOKS: Final[Mapping[str, _Look]] = {FINISHED: _RUN, FAILED: _FAILED, ABORTED: _ABORTED, STARTED: _OPEN}


def render(graph: Graph, format: Format = "svg") -> bytes:  # noqa: A002 - the name its users know
    """Draw a lineage graph.

    Args:
        graph: Nodes and edges (`projections/lineage.py`).
        format: `svg`, `png`, `pdf`, `html` for a page on which it can be moved and enlarged, `dot` for Graphviz's own language,
            `mmd` for Mermaid's, which Markdown on many platforms shows, or `graphml` for programs that draw or analyse graphs:
            all nodes and edges with their attributes, nothing folded.

    Raises:
        UnknownFormatError: Another format.
        ExportError: Graphviz could not lay the graph out.
    """
    if format == "mmd":
        return to_mermaid(graph).encode()
    if format == "graphml":
        return to_graphml(graph)
    return _drawn(to_dot(graph), format, f"{len(graph.runs):,} runs")


def render_hierarchy(tree: Hierarchy, format: Format = "svg") -> bytes:  # noqa: A002
    """Draw a record with its parents; see `render`."""
    if format in _OF_LINEAGE:
        raise UnknownFormatError(format, tuple(name for name in FORMATS if name not in _OF_LINEAGE))
    return _drawn(hierarchy_to_dot(tree), format, f"{len(tree.rows):,} records")


def _drawn(dot: str, format: Format, what: str) -> bytes:  # noqa: A002
    if format not in FORMATS:
        raise UnknownFormatError(format, FORMATS)
    if format == "dot":
        return dot.encode()
    if format == "html":
        return _page(_drawn(dot, "svg", what))
    import pygraphviz

    try:
        with _without_font_warnings():
            drawn = pygraphviz.AGraph(string=dot).draw(
                format=format, prog="dot", args=f"-Gdpi={_DPI}" if format == "png" else ""
            )
    except (OSError, ValueError) as exc:
        raise ExportError(f"the picture of {what} could not be laid out: {exc}") from exc
    return bytes(drawn)


def _page(svg: bytes) -> bytes:
    """Put a picture on a page of its own, which needs nothing else and asks nothing of the network."""
    text = svg.decode()
    return _PAGE.replace("PICTURE", text[text.index("<svg") :]).encode()


# The picture is the only thing on the page; its view box is what is moved, so that lines and texts stay sharp.
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Lineage</title>
<style>
html, body { margin: 0; height: 100%; overflow: hidden; font: 12px Helvetica, Arial, sans-serif; color: #5F6B7A }
svg { width: 100%; height: 100%; cursor: grab; touch-action: none }
p { position: fixed; left: 1em; top: 0; pointer-events: none }
</style>
</head>
<body>
<p>Drag to move, turn the wheel to enlarge, double-click to see everything.</p>
PICTURE
<script>
"use strict";
const svg = document.querySelector("svg");
const whole = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
let box = [...whole], held = false;
svg.removeAttribute("width");
svg.removeAttribute("height");
const show = () => svg.setAttribute("viewBox", box.join(" "));
const scale = () => Math.max(box[2] / svg.clientWidth, box[3] / svg.clientHeight);
svg.addEventListener("pointerdown", (event) => { held = true; svg.setPointerCapture(event.pointerId); });
svg.addEventListener("pointerup", () => { held = false; });
svg.addEventListener("pointermove", (event) => {
  if (!held) return;
  box[0] -= event.movementX * scale();
  box[1] -= event.movementY * scale();
  show();
});
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300)));
  box = [at.x - (at.x - box[0]) * factor, at.y - (at.y - box[1]) * factor, box[2] * factor, box[3] * factor];
  show();
}, { passive: false });
svg.addEventListener("dblclick", () => { box = [...whole]; show(); });
</script>
</body>
</html>
"""


def to_mermaid(graph: Graph) -> str:
    """Write a lineage graph in Mermaid's language, folded and coloured like the other pictures."""
    folded = _fold(graph)
    names = {node: f"n{number}" for number, node in enumerate((*graph.artifacts, *graph.runs))}
    names |= {node: names[group[0]] for group in folded for node in group}
    hidden = {node for group in folded for node in group[1:]}
    counts = {group[0]: len(group) for group in folded}
    lines = [f"flowchart {'TB' if _length(graph) > _MAX_CHAIN else 'LR'}"]
    looks: dict[_Look, list[str]] = {}
    for node in graph.artifacts.values():
        if node.id not in hidden:
            look = _ARTIFACT_LOOKS.get(node.state, _ARTIFACT)
            look = _SUBJECT if node.id in graph.subjects and look is _ARTIFACT else look
            title = f"{counts[node.id]:,} artifacts" if node.id in counts else shorten(_title(node))
            lines.append(f'  {names[node.id]}("{_mermaid(title)}")')
            looks.setdefault(look, []).append(names[node.id])
    for run in graph.runs.values():
        if run.id not in hidden:
            look = _RUN_LOOKS.get(run.status, _RUN)
            look = _SUBJECT if run.id in graph.subjects and look is _RUN else look
            title = f"{counts[run.id]:,} runs" if run.id in counts else shorten(run.transform_key)
            state = "" if run.status == FINISHED else f" · {look.legend}"
            lines.append(f'  {names[run.id]}[["{_mermaid(title)}{state}"]]')
            looks.setdefault(look, []).append(names[run.id])
    edges: dict[tuple[str, str, str], int] = {}
    for edge in graph.edges:
        artifact, activity = names[edge.artifact_id], names[edge.run_id]
        ends = (artifact, activity) if edge.kind == "used" else (activity, artifact)
        edges[(*ends, edge.kind)] = edges.get((*ends, edge.kind), 0) + 1
    for (source, target, kind), count in edges.items():
        arrow = "-.->" if kind == "seen" else "-->"
        lines.append(f"  {source} {arrow}{f'|{count:,}|' if count > 1 else ''} {target}")
    for look, members in looks.items():
        name = look.legend.replace(" ", "_")
        dashes = ",stroke-dasharray:4 3" if look.style else ""
        lines.append(f"  classDef {name} fill:{look.fill},stroke:{look.line},color:{look.text}{dashes}")
        lines.append(f"  class {','.join(members)} {name}")
    return "\n".join((*lines, ""))


def _mermaid(text: str) -> str:
    """Make a text part of a quoted label of Mermaid's, where `#…;` stands for any character that means something."""
    return "".join(
        character if character.isalnum() or character in " ._-/·…," else f"#{ord(character)};"
        for character in _visible(text)
    )


@contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Keep Fontconfig quiet, whose copy in the wheel may be older than the system's configuration it reads.

    It writes to the file descriptor itself, so that is turned aside; whatever else was written meanwhile is passed on.
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
            rest = b"".join(line for line in aside if not line.startswith(b"Fontconfig "))
            if rest:
                os.write(2, rest)


def to_dot(graph: Graph) -> str:
    """Write a lineage graph in Graphviz's language; the same graph always gives the same text."""
    folded = _fold(graph)
    names = {node: f"n{number}" for number, node in enumerate((*graph.artifacts, *graph.runs))}
    names |= {node: names[group[0]] for group in folded for node in group}
    hidden = {node for group in folded for node in group[1:]}
    counts = {group[0]: group for group in folded}
    looks: dict[_Look, None] = {}
    lines = []
    for node in graph.artifacts.values():
        if node.id not in hidden:
            look = _ARTIFACT_LOOKS.get(node.state, _ARTIFACT)
            if node.id in graph.subjects:
                # What has become of it matters more than that it was asked for; then only the frame tells.
                look = _SUBJECT if look is _ARTIFACT else look
            looks[look] = None
            look = look._replace(pen=_SUBJECT.pen) if node.id in graph.subjects else look
            members = [graph.artifacts[other] for other in counts.get(node.id, ())]
            lines.append(_artifact_line(names[node.id], node, members, look))
    for run in graph.runs.values():
        if run.id not in hidden:
            look = _RUN_LOOKS.get(run.status, _RUN)
            if run.id in graph.subjects:
                # How a run ended matters more than that it was asked for; then only the frame tells.
                look = _SUBJECT if look is _RUN else look
            looks[look] = None
            look = look._replace(pen=_SUBJECT.pen) if run.id in graph.subjects else look
            group = [graph.runs[other] for other in counts.get(run.id, ())]
            lines.append(_run_line(names[run.id], run, group, look))
    edges: dict[tuple[str, str, str], int] = {}
    for edge in graph.edges:
        artifact, activity = names[edge.artifact_id], names[edge.run_id]
        ends = (artifact, activity) if edge.kind == "used" else (activity, artifact)
        edges[(*ends, edge.kind)] = edges.get((*ends, edge.kind), 0) + 1
    lines += [_edge_line(*ends, count) for ends, count in edges.items()]
    seen_again = any(kind == "seen" for _, _, kind in edges)
    # Wide boxes in short chains read best from left to right; a long chain would shrink to nothing on a page.
    direction = "TB" if _length(graph) > _MAX_CHAIN else "LR"
    header = _header(direction, n_drawn=len(names) - len(hidden), legend=_legend(looks, seen_again=seen_again))
    return "\n".join((header, *lines, "}", ""))


def hierarchy_to_dot(tree: Hierarchy) -> str:
    """Write a record with its parents in Graphviz's language, parents above their children."""
    names = {node: f"n{number}" for number, node in enumerate(tree.rows)}
    lines = []
    for node, row in tree.rows.items():
        look = _SUBJECT if node == tree.subject else _ARTIFACT
        title = str(row.get("key") or row.get("name"))
        facts = [
            str(row.get("type") or ""),
            f"version {row['version']}" if row.get("version") else "",
            _short(row["uid"]),
        ]
        tip = "\n".join(text for text in (title, row.get("description") or "", f"uid {row['uid']}") if text)
        lines.append(_node_line(names[node], shorten(title), [_joined(facts)], look, "box", "rounded,filled", tip=tip))
    lines += [_edge_line(names[parent], names[child], "parent", 1) for parent, child in tree.edges]
    return "\n".join((_header("TB", n_drawn=len(names), legend=" "), *lines, "}", ""))


def shorten(text: str, length: int = _MAX_TITLE) -> str:
    """Cut the middle out of a long text: both the folder and the file name's end tell what it is."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 5
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def _header(direction: str, *, n_drawn: int, legend: str) -> str:
    layout = [
        f"rankdir={direction}", 'bgcolor="white"', "pad=0.3", "nodesep=0.22", "ranksep=0.5", "splines=true",
        f'fontname="{_FONT}"', "labelloc=b", f"label=<{legend}>", 'outputorder="edgesfirst"', 'tooltip=" "',
    ]  # fmt: skip
    if n_drawn > _LARGE:
        layout += ["splines=line", "nslimit=2", "nslimit1=2", "mclimit=0.3"]
    return "\n".join(
        (
            'digraph "lineage" {',
            f"  graph [{', '.join(layout)}];",
            f'  node [fontname="{_FONT}", fontsize=11, margin="0.14,0.08", shape=box];',
            f'  edge [color="#8A96A3", arrowsize=0.7, penwidth=1.2, fontname="{_FONT}", fontsize=9, fontcolor="{_GREY}"];',
        )
    )


def _legend(looks: Iterable[_Look], *, seen_again: bool) -> str:
    order = (_SUBJECT, _ARTIFACT, _TRASHED, _DELETED, _RUN, _OPEN, _FAILED, _ABORTED)
    shown = set(looks)
    cells = [
        f'<TD BGCOLOR="{look.fill}" COLOR="{look.line}" BORDER="1"{_styled(look)} WIDTH="16" HEIGHT="12" '
        'FIXEDSIZE="TRUE"></TD>'
        f'<TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="{_GREY}">{look.legend}  </FONT></TD>'
        for look in order
        if look in shown
    ]
    if seen_again:
        cells.append(
            f'<TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="{_GREY}">- - →  same content saved again</FONT></TD>'
        )
    cells = cells or ["<TD> </TD>"]
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="1"><TR>{"".join(cells)}</TR></TABLE>'


def _styled(look: _Look) -> str:
    return f' STYLE="{look.style}"' if look.style else ""


def _artifact_line(name: str, node: ArtifactNode, members: list[ArtifactNode], look: _Look) -> str:
    if members:
        suffixes = sorted({member.suffix for member in members if member.suffix})
        facts = [", ".join(suffixes[:3]) + (" …" if len(suffixes) > 3 else ""), _size(sum(m.size for m in members))]
        title, more = f"{len(members):,} artifacts", [_joined(facts), _who(m.user for m in members)]
        return _node_line(name, title, more, look, "box", "rounded,filled", tip=f"{title}, from {_title(node)}")
    version = f"version {node.version}" if node.version else ""
    facts = [node.otype or node.kind or node.suffix.lstrip("."), _size(node.size), version, _short(node.uid)]
    more = [_joined(facts), _joined([node.user or "", _moment(node.created_at)])]
    tip = "\n".join(text for text in (_title(node), node.description or "", f"uid {node.uid}") if text)
    state = "" if node.state == LIVE else _ARTIFACT_LOOKS[node.state].legend.replace("artifact", "").strip()
    if state:
        tip = f"{tip}\n{state}"
    return _node_line(name, shorten(_title(node)), more, look, "box", "rounded,filled", tip=tip, state=state)


def _run_line(name: str, run: RunNode, members: list[RunNode], look: _Look) -> str:
    if members:
        title = f"{len(members):,} runs"
        keys = sorted({member.transform_key for member in members})
        more = [shorten(", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")), _who(m.user for m in members)]
        return _node_line(name, title, more, look, "box", "filled", tip=f"{title}, from run {run.uid}", bars=True)
    state = "" if run.status == FINISHED else "not ended" if run.status == STARTED else run.status
    version = f"version {run.transform_version}" if run.transform_version else ""
    facts = [run.transform_type, run.name or "", version, _short(run.transform_uid)]
    more = [_joined([shorten(fact) for fact in facts])]
    more.append(_joined([run.user or "", _moment(run.started_at), _duration(run)]))
    tip = f"{run.transform_key}\nrun {run.uid}, {run.status}"
    mark = {FAILED: "✗ ", ABORTED: "■ "}.get(run.status, "")
    return _node_line(
        name, shorten(run.transform_key), more, look, "box", "filled", tip=tip, state=f"{mark}{state}", bars=True
    )


def _short(uid: str) -> str:
    """Shorten the uid of a version to what tells the family and the version; `prov show` takes its beginning."""
    return uid if len(uid) <= _MAX_UID else f"{uid[:6]}…{uid[-VERSION_LENGTH:]}"


def _node_line(
    name: str,
    title: str,
    more: list[str],
    look: _Look,
    shape: str,
    style: str,
    *,
    tip: str,
    state: str = "",
    bars: bool = False,
) -> str:
    named = f"<S>{_html(title)}</S>" if look.is_struck else _html(title)
    rows = [f'<TR><TD ALIGN="LEFT"><B><FONT COLOR="{look.text}">{named}</FONT></B></TD></TR>']
    rows += [
        f'<TR><TD ALIGN="LEFT"><FONT POINT-SIZE="9" COLOR="{_GREY}">{_html(text)}</FONT></TD></TR>'
        for text in more
        if text
    ]
    if state:
        rows.append(
            f'<TR><TD ALIGN="LEFT"><B><FONT POINT-SIZE="9" COLOR="{look.line}">{_html(state)}</FONT></B></TD></TR>'
        )
    label = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'
    sides = ", peripheries=1" if not bars else ""
    style = f"{style},{look.style}" if look.style else style
    return (
        f'  {name} [label=<{label}>, shape={"component" if bars else shape}, style="{style}", fillcolor="{look.fill}", '
        f'color="{look.line}", penwidth={look.pen}, tooltip={_quoted(tip)}{sides}];'
    )


def _edge_line(source: str, target: str, kind: str, count: int) -> str:
    attributes = []
    if kind == "seen":
        attributes.append("style=dashed")
    if count > 1:
        attributes += [f'label="  {count:,}"', "penwidth=2"]
    return f"  {source} -> {target} [{', '.join(attributes)}];"


def _fold(graph: Graph) -> list[list[str]]:
    """Group the artifacts, and the runs, that have the very same neighbours; few of them are left as they are."""
    around: dict[str, set[tuple[str, str]]] = {}
    for edge in graph.edges:
        around.setdefault(edge.artifact_id, set()).add((edge.run_id, edge.kind))
        around.setdefault(edge.run_id, set()).add((edge.artifact_id, edge.kind))
    alike: dict[tuple[object, ...], dict[str, list[str]]] = {}
    for node in graph.artifacts.values():
        if node.id not in graph.subjects and node.id in around:
            # What was deleted never hides among what is there, nor the other way round.
            places = alike.setdefault((f"{node.state} artifact", frozenset(around[node.id])), {})
            places.setdefault(node.suffix, []).append(node.id)
    for run in graph.runs.values():
        if run.id not in graph.subjects and run.id in around:
            # A failed run never hides among those that went well.
            alike.setdefault((run.status, frozenset(around[run.id])), {}).setdefault("", []).append(run.id)
    groups = []
    for places in alike.values():
        # One model among a hundred plots stays in sight, since only files of a type are folded; but not one of each of
        # a hundred types.
        groups += [group for group in places.values() if len(group) > FOLD_ABOVE]
        rest = [node for group in places.values() if len(group) <= FOLD_ABOVE for node in group]
        groups += [rest] if len(rest) > 2 * FOLD_ABOVE else []
    return groups


def _length(graph: Graph) -> int:
    """Count the nodes on the way of the data, from where it begins to the farthest end."""
    after: dict[str, list[str]] = {}
    followers = set()
    for edge in graph.edges:
        ends = (edge.artifact_id, edge.run_id) if edge.kind == "used" else (edge.run_id, edge.artifact_id)
        after.setdefault(ends[0], []).append(ends[1])
        followers.add(ends[1])
    level = [node for node in after if node not in followers] or list(graph.subjects)
    known, length = set(level), 0
    while level:
        length += 1
        level = list(dict.fromkeys(other for node in level for other in after.get(node, ()) if other not in known))
        known.update(level)
    return length


def _title(node: ArtifactNode) -> str:
    return node.key or node.description or f"{node.uid}{node.suffix}"


def _who(users: Iterable[str | None]) -> str:
    handles = sorted({user for user in users if user})
    return ", ".join(handles[:3]) + (" …" if len(handles) > 3 else "")


def _joined(facts: Iterable[str]) -> str:
    return " · ".join(fact for fact in facts if fact)


def _size(size_bytes: int) -> str:
    amount, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def _moment(text: str) -> str:
    return text[:16].replace("T", " ") if text else ""


def _duration(run: RunNode) -> str:
    if run.finished_at is None:
        return ""
    seconds = (parse_time(run.finished_at) - parse_time(run.started_at)).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))


def _html(text: str) -> str:
    """Make a text part of a label that Graphviz reads as HTML."""
    return escape(_visible(text), quote=True)


def _quoted(text: str) -> str:
    """Make a text a quoted string of Graphviz's language; its own escapes begin with a backslash."""
    lines = (_visible(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n"))
    return '"' + "\\n".join(lines) + '"'


def _visible(text: str) -> str:
    return "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)
