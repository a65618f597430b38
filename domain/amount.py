"""Amounts as people read them."""

from __future__ import annotations


def n_bytes(size: int) -> str:
    """Write a size for people."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
