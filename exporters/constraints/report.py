"""What a validation found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_SHOWN: Final = 50
_RECORDS_SHOWN: Final = 12
"""So many violations, and records of each, are written out as text; the report holds all."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason why a document is not valid.

    Attributes:
        constraint: Number of the constraint in PROV-CONSTRAINTS; `None` for a missing part and for `mentionOf`.
        title: Number and name of the constraint.
        message: What is wrong, in words.
        records: The statements involved, in PROV-N without their attributes.
        bundle: Bundle they are in; `None` for the toplevel.
        cycle: For ordering: the events that would each have to precede the next, in words; the last leads to the first.
    """

    constraint: int | None
    title: str
    message: str
    records: tuple[str, ...]
    bundle: str | None = None
    cycle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict on a document.

    Attributes:
        violations: Every violation found.
        n_statements: Statements that were checked.
        n_bundles: Bundles that were checked, each on its own.
        format: Format the document was read from.
        notes: What PROV-CONSTRAINTS says nothing of and was passed over.
        warnings: Times that contradict the order of events, if they were asked for.
    """

    violations: tuple[Violation, ...]
    n_statements: int
    n_bundles: int
    format: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the document is valid as PROV-CONSTRAINTS 7.1 and 7.2 define it."""
        return not self.violations

    def to_text(self) -> str:
        """Write it for people."""
        bundles = f" and {self.n_bundles:,} bundle{'s' * (self.n_bundles != 1)}" if self.n_bundles else ""
        what = f"{self.n_statements:,} statement{'s' * (self.n_statements != 1)}{bundles}"
        n_violations = len(self.violations)
        lines = [f"valid: {what}"]
        if n_violations:
            lines = [f"NOT VALID: {n_violations:,} violation{'s' * (n_violations != 1)} in {what}"]
        for violation in self.violations[:_SHOWN]:
            where = f" in bundle {violation.bundle}" if violation.bundle else ""
            lines.append(f"{violation.title}{where}: {violation.message}")
            lines += [f"  {record}" for record in violation.records[:_RECORDS_SHOWN]]
            if len(violation.records) > _RECORDS_SHOWN:
                lines.append(f"  … and {len(violation.records) - _RECORDS_SHOWN:,} more records")
        if len(self.violations) > _SHOWN:
            lines.append(f"… and {len(self.violations) - _SHOWN:,} more")
        lines += [f"warning: {warning}" for warning in self.warnings[:_SHOWN]]
        if len(self.warnings) > _SHOWN:
            lines.append(f"… and {len(self.warnings) - _SHOWN:,} more warnings")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON's data model has it."""
        return {
            "valid": self.valid,
            "format": self.format,
            "n_statements": self.n_statements,
            "n_bundles": self.n_bundles,
            "violations": [
                {
                    "constraint": violation.constraint,
                    "title": violation.title,
                    "message": violation.message,
                    "records": list(violation.records),
                    "bundle": violation.bundle,
                    "cycle": list(violation.cycle),
                }
                for violation in self.violations
            ],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }
