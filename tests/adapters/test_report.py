"""Notebooks as pages: what is too large for one is left out, and that is said."""

from __future__ import annotations

import time
from typing import Any

from lineagelog.adapters.report import to_html


def test_large_outputs_cost_no_more_than_small_ones_and_are_said_to_be_left_out() -> None:
    line = "a line of a log that goes on and on\n"
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stdout", "text": "first\n" + line * 100_000 + "last\n"},
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": "<td>1</td>" * 1_000_000}},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/html": "<td>1</td>" * 1_000_000, "text/plain": "the table"},
        },
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 40_000_000}},
    ]
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": "x = 1", "outputs": outputs}
    began = time.process_time()
    html = to_html({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}, "large")
    assert time.process_time() - began < 30
    assert len(html) < 4_000_000
    for words in (
        "first\n",
        "last\n",
        "characters are left out",
        "10,000,000 bytes is left out",
        "the table",
        "large already",
    ):
        assert words in html
