"""Namespaces and terms that the exports are written in, as data."""

from __future__ import annotations

from typing import Final

DEFAULT_BASE: Final = "https://w3id.org/lineagelog/id"
