"""A page that shows a picture by itself: to move, enlarge and search, with all that is known of each box.

It needs nothing else, asks nothing of the network, and works from a disk. What is known of a box is shown by the style sheet
alone, so that it can be read where scripts are switched off.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files

from lineagelog.exporters.picture.dot import visible
from lineagelog.exporters.picture.drawing import Box, Drawing, Fact
from lineagelog.exporters.picture.look import Look


def write_page(drawing: Drawing, svg: bytes) -> str:
    """Put a picture on a page.

    Args:
        drawing: What the picture shows.
        svg: The picture, in which each box leads to the anchor of its name.
    """
    picture = svg.decode()
    picture = picture[picture.index("<svg") :]
    style = _read("page.css") + "".join(_dark(look) for look in drawing.looks)
    script = _read("page.js")
    # Only this style and this script count: whatever a name could smuggle onto the page is not run.
    allowed = f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    sections = "\n".join(_section(box) for box in drawing.boxes)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'">
<title>{_text(drawing.title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{_text(drawing.title)}</h1>
<div role="toolbar" aria-label="Picture">
<button id="in" title="Enlarge (+)">+</button>
<button id="out" title="Reduce (-)">&minus;</button>
<button id="all" title="Show everything (0)">Everything</button>
<input id="find" type="search" placeholder="Find (/)" aria-label="Find a box">
<output id="found"></output>
</div>
</header>
<main data-subject="{_text(next(iter(drawing.subjects), ""))}">
{picture}</main>
<aside>
{sections}
</aside>
<footer>Drag to move, turn the wheel to enlarge, choose a box to read more. Keys: arrows, + - 0, / to find, Esc.</footer>
<script>{script}</script>
</body>
</html>
"""


def _section(box: Box) -> str:
    rows = "".join(f"<dt>{_text(fact.name)}</dt><dd>{_value(fact)}</dd>" for fact in box.facts)
    close = '<a class="close" href="#" aria-label="Close">&times;</a>'
    return f'<section id="{_text(box.name)}">{close}<h2>{_text(box.title)}</h2><dl>{rows}</dl></section>'


def _value(fact: Fact) -> str:
    text = _text(fact.text)
    if fact.box is not None:
        return f'<a href="#{_text(fact.box)}">{text}</a>'
    if fact.url is not None:
        return f'<a href="{escape(fact.url)}" target="_blank" rel="noopener noreferrer">{text}</a>'
    return text


def _dark(look: Look) -> str:
    """Colour the boxes of a look anew, and its sample in the legend, where people have set their screens to be dark."""
    return f'@media screen and (prefers-color-scheme: dark) {{ main [fill="{look.fill.lower()}"] {{ fill: {look.dark} }} }}\n'


def _text(text: str) -> str:
    return escape(visible(text))


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _read(name: str) -> str:
    return files("lineagelog.exporters.picture").joinpath(name).read_text(encoding="utf-8")
