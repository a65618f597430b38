"""From the projection tables to PROV statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Scope:
    """What an export speaks of.

    Attributes:
        kind: `all`, or the kind of the subject: `artifact`, `run` or `transform`.
        uid: Whole uid of the subject.
        direction: Which way lineage is followed from the subject.
        max_depth: Longest way followed, in runs; `None` follows to the end.
    """

    kind: Literal["all", "artifact", "run", "transform"] = "all"
    uid: str = ""
    direction: Literal["upstream", "downstream", "both"] = "upstream"
    max_depth: int | None = None


ALL: Final = Scope()
