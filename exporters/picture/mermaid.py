"""Mermaid's language: a drawing as a flowchart, which Markdown on many platforms shows.

References:
    Flowcharts, https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lineagelog.exporters.picture.dot import visible
from lineagelog.exporters.picture.drawing import MAX_BOXES, Box, Drawing
from lineagelog.exporters.picture.look import SUBJECT, Look

# Mermaid refuses more, unless the page that shows the text says otherwise.
_MAX_EDGES: Final = 500
_MAX_CHARACTERS: Final = 50_000


def write_mermaid(draw: Callable[[int], Drawing]) -> str:
    """Write a picture in Mermaid's language, folded and coloured like the others.

    Args:
        draw: Makes the drawing with at most so many boxes; it is asked for fewer until Mermaid takes the text.
    """
    most = MAX_BOXES
    while True:
        drawing = draw(most)
        text = _write(drawing)
        if most <= 1 or (len(drawing.lines) <= _MAX_EDGES and len(text) <= _MAX_CHARACTERS):
            return text
        most //= 2


def _write(drawing: Drawing) -> str:
    names = {box.name: f"n{number}" for number, box in enumerate(drawing.boxes)}
    lines = [f"flowchart {'TB' if drawing.is_downward else 'LR'}"]
    lines += [f"  {_box(names[box.name], box)}" for box in drawing.boxes]
    for line in drawing.lines:
        arrow = "-.->" if line.kind == "seen" else "-->"
        label = f'|"{_escaped(line.label)}"|' if line.label else ""
        lines.append(f"  {names[line.source]} {arrow}{label} {names[line.target]}")
    lines += [
        f'  click {names[box.name]} href "{box.url}" "{_escaped(box.title)}" _blank' for box in drawing.boxes if box.url
    ]
    lines += _legend(drawing)
    members: dict[str, list[str]] = {}
    for box in drawing.boxes:
        members.setdefault(_class(box.look), []).append(names[box.name])
    for look in drawing.looks:
        dashes = ",stroke-dasharray:4 3" if look.style else ""
        width = f",stroke-width:{look.pen:g}px"
        lines.append(f"  classDef {_class(look)} fill:{look.fill},stroke:{look.line},color:{look.text}{dashes}{width}")
        lines.append(f"  class {','.join((*members[_class(look)], f'l_{_class(look)}'))} {_class(look)}")
    return "\n".join((*lines, ""))


def _box(name: str, box: Box) -> str:
    # How a run ended is said in words too: not everyone tells the colours apart.
    state = f" · {box.look.legend if box.shape == 'run' else box.state}" if box.state else ""
    text = f'"{_escaped(box.title)}{state}"'
    return f"{name}[[{text}]]" if box.shape == "run" else f"{name}({text})"


def _legend(drawing: Drawing) -> list[str]:
    runs = {box.look.legend for box in drawing.boxes if box.shape == "run"} - {SUBJECT.legend}
    boxes = []
    for look in drawing.looks:
        left, right = ("[[", "]]") if look.legend in runs else ("(", ")")
        boxes.append(f'l_{_class(look)}{left}"{look.legend}"{right}')
    if drawing.has_seen_again:
        boxes.append('l_seen["- - → same content saved again"]')
    # Links that are not drawn keep the legend in a row.
    row = f"    {' ~~~ '.join(boxes)}"
    return ['  subgraph legend ["Legend"]', "    direction LR", row, "  end", "  style legend fill:none,stroke:#D5DAE0"]


def _class(look: Look) -> str:
    return look.legend.replace(" ", "_")


def _escaped(text: str) -> str:
    """Make a text part of a quoted label of Mermaid's, where `#…;` stands for any character that means something."""
    return "".join(
        character if character.isalnum() or character in " ._-/·…," else f"#{ord(character)};"
        for character in visible(text)
    )
