"""The published files that explain exports: the vocabulary of our own terms, and the shapes that exports have.

References:
    OWL 2, https://www.w3.org/TR/owl2-overview/; SHACL, https://www.w3.org/TR/shacl/
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

VOCABULARY: Final = "vocabulary.ttl"
"""Classes, properties and roles with the prefix `ll:`, as OWL."""

SHAPES: Final = "shapes.ttl"
"""What an export holds of each record, as SHACL."""


def ontology_text(name: str) -> str:
    """Read one of the published files, which are Turtle."""
    return files("lineagelog.exporters").joinpath(name).read_text(encoding="utf-8")
