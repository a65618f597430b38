"""A notebook with its outputs as one page of HTML."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from lineagelog.adapters.notebook import without_secrets


def can_report() -> bool:
    """Tell whether nbconvert, which writes the page, is installed."""
    return find_spec("nbconvert") is not None


def to_html(content: Mapping[str, Any], title: str) -> str:
    """Write a notebook as HTML, secrets redacted.

    Args:
        content: The whole notebook, outputs included.
        title: Title of the page.
    """
    with warnings.catch_warnings():
        # It speaks of its own plans, and of pictures without a description.
        warnings.simplefilter("ignore")
        import nbformat
        from nbconvert import HTMLExporter

        logger = logging.getLogger(f"{__name__}.nbconvert")
        logger.disabled = True
        exporter = HTMLExporter(log=logger)  # type: ignore[no-untyped-call]
        node = nbformat.from_dict(without_secrets(content))  # type: ignore[no-untyped-call]
        html, _ = exporter.from_notebook_node(node, resources={"metadata": {"name": title}})
    return str(html)
