"""PROV-CONSTRAINTS: whether a PROV document is valid, and if not, which constraint which records break."""

from lineagelog.exporters.constraints.report import Report, Violation
from lineagelog.exporters.constraints.validation import validate

__all__ = ["Report", "Violation", "validate"]
