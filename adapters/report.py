"""A notebook with its outputs as one page of HTML."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from lineagelog.adapters.notebook import without_secrets
from lineagelog.adapters.outputs import MAX_OUTPUT_BYTES, Output, output_size

_MAX_TEXT_BYTES: Final = 1_000_000
"""Longest text or page that one output may be; to make a page of 10 MB takes nbconvert two minutes."""


def can_report() -> bool:
    """Tell whether nbconvert, which writes the page, is installed."""
    return find_spec("nbconvert") is not None


def to_html(content: Mapping[str, Any], title: str) -> str:
    """Write a notebook as HTML, secrets redacted, and outputs left out that are too large for a page.

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
        node = nbformat.from_dict(without_secrets(_bounded(content)))  # type: ignore[no-untyped-call]
        html, _ = exporter.from_notebook_node(node, resources={"metadata": {"name": title}})
    return str(html)


def _bounded(content: Mapping[str, Any]) -> dict[str, Any]:
    """Cut long text in outputs, and leave out what is too large or too much; the page says so in its place."""
    left = MAX_OUTPUT_BYTES
    cells = []
    for cell in content.get("cells", ()):
        kept = []
        for output in cell.get("outputs", ()):
            bounded = _bounded_output(output)
            size = output_size(bounded)
            if size > left:
                bounded, size = _note(f"an output of {size:,} bytes is left out: the report is large already"), 0
            left -= size
            kept.append(bounded)
        cells.append({**cell, "outputs": kept} if kept else cell)
    return {**content, "cells": cells}


def _bounded_output(output: Output) -> Output:
    if output.get("output_type") == "stream" and output_size(output) > _MAX_TEXT_BYTES:
        text = "".join(output["text"])
        half = _MAX_TEXT_BYTES // 2
        cut = f"{text[:half]}\n… {len(text) - 2 * half:,} characters are left out …\n{text[-half:]}"
        return {**output, "text": cut}
    data = output.get("data")
    if not isinstance(data, Mapping):
        return output
    # Pictures are put in as they are.
    fits = {
        kind: value
        for kind, value in data.items()
        if kind.startswith("image/") or output_size(value) <= _MAX_TEXT_BYTES
    }
    if len(fits) == len(data):
        return output
    if not fits:
        return _note(f"an output of {output_size(data):,} bytes is left out")
    return {**output, "data": fits}


def _note(text: str) -> Output:
    return {"output_type": "display_data", "metadata": {}, "data": {"text/plain": f"({text})"}}
