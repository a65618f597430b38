"""Text for people: what comes from a store can steer no terminal."""

from __future__ import annotations


def clean(text: str, *, keep: str = "") -> str:
    """Show control characters, direction marks and broken characters as escapes.

    Args:
        text: Any text.
        keep: Characters that may stay.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
