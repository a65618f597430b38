"""Numbers as XML Schema writes them."""

from __future__ import annotations

import math


def integer_type(value: int) -> str:
    """Choose the narrowest of `xsd:int`, `xsd:long` and `xsd:integer` that holds a number."""
    if -(2**31) <= value < 2**31:
        return "xsd:int"
    return "xsd:long" if -(2**63) <= value < 2**63 else "xsd:integer"


def double_text(value: float) -> str:
    """Write an `xsd:double` (XML Schema 3.3.5)."""
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
