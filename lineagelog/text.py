"""Text for people: what comes from a store can steer no terminal, and sizes are read at a glance."""

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


def n_bytes(size: int) -> str:
    """Write a size for people."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
