"""Where a box may lead: to the web, and nowhere else."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

_SCHEMES: Final = ("http", "https")
# What RFC 3986 allows in a URL, but for the apostrophe, which ends strings in HTML and in Mermaid's language.
_ALLOWED: Final = "%:/?#[]@!$&()*+,;=-._~"


def web_url(text: str | None) -> str | None:
    """Return the address that a text of a user is, if it leads to the web and tells no password.

    `javascript:`, `data:`, `file:` and whatever else a browser may act upon are no addresses here. What is returned holds only
    characters that mean nothing in HTML attributes, in Graphviz's language and in Mermaid's.
    """
    if (
        not text
        or text != text.strip()
        or any(character.isspace() or not character.isprintable() for character in text)
    ):
        return None
    try:
        parts = urlsplit(text)
        host, secret = parts.hostname, parts.username or parts.password
    except ValueError:
        return None
    if parts.scheme.lower() not in _SCHEMES or not host or secret or "\\" in text:
        return None
    return quote(text, safe=_ALLOWED)
