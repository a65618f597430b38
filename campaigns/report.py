"""What a campaign found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """What became of the saves of a campaign.

    Attributes:
        saved: Saves that succeeded, by the fault they met.
        refused: Saves that ended with an error of the project, by the fault they met.
        problems: What must not be; empty if all is well.
    """

    saved: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def to_text(self) -> str:
        """Say it in words."""
        faults = sorted(self.saved | self.refused)
        saved, refused = self.saved.total(), self.refused.total()
        lines = [
            f"{saved + refused} runs, {saved} saved, {refused} refused, {len(self.problems)} problems",
            *(f"  {fault}: {self.saved[fault]} saved, {self.refused[fault]} refused" for fault in faults),
            *(f"  PROBLEM {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


class ForgeryReport(Report):
    """What became of forgeries: each is refused or a problem."""

    def to_text(self) -> str:
        """Say it in words."""
        lines = [f"{self.refused.total()} forgeries found, {len(self.problems)} problems"]
        lines += [f"  {kind}: {number} rightly taken" for kind, number in sorted(self.saved.items())]
        lines += [f"  {kind}: {number} found" for kind, number in sorted(self.refused.items())]
        return "\n".join([*lines, *(f"  PROBLEM {problem}" for problem in self.problems[:20])])
