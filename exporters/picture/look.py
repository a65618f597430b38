"""How each kind of box looks, and what the legend calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from lineagelog.domain.artifact import DELETED, LIVE, TRASHED
from lineagelog.domain.run import ABORTED, FAILED, FINISHED, STARTED

GREY: Final = "#5F6B7A"
ARROW: Final = "#8A96A3"


class Look(NamedTuple):
    """How a kind of box is drawn, and what the legend calls it.

    Attributes:
        fill: Colour of the area.
        line: Colour of the frame.
        text: Colour of the title.
        legend: What it is.
        dark: Colour of the area where the page is dark; there the frame stays and texts are light.
        pen: Width of the frame.
        style: How the frame is drawn, if not as a line.
        is_struck: The title is struck out.
    """

    fill: str
    line: str
    text: str
    legend: str
    dark: str
    pen: float = 1.2
    style: str = ""
    is_struck: bool = False


SUBJECT_PEN: Final = 2.6

SUBJECT: Final = Look("#FFF1CC", "#E09F1F", "#5C3D00", "subject", "#4A3A12", SUBJECT_PEN)
ARTIFACT: Final = Look("#EAF2FC", "#3B78C3", "#16365F", "artifact", "#1B2B40")
TRASHED_ARTIFACT: Final = Look("#FFFFFF", "#3B78C3", GREY, "artifact in the trash", "#15191E", style="dotted")
DELETED_ARTIFACT: Final = Look(
    "#FFFFFF", GREY, GREY, "deleted artifact", "#15191E", style="dashed", is_struck=True
)  # fmt: skip
RUN: Final = Look("#E9F6EE", "#3E9B69", "#14472C", "run", "#17301F")
OPEN_RUN: Final = Look("#F3F5F7", "#7A8794", "#2F3A45", "run not ended", "#262C33")
FAILED_RUN: Final = Look("#FDEBEA", "#D64541", "#7A1613", "failed run", "#421A19", 1.6)
ABORTED_RUN: Final = Look("#FCEFE3", "#D9822B", "#703A06", "aborted run", "#40270F", 1.6)
RECORD: Final = Look("#EAF2FC", "#3B78C3", "#16365F", "record", "#1B2B40")
STEPS: Final = Look("#F3F5F7", "#7A8794", "#2F3A45", "artifacts and runs left out", "#262C33", style="dashed")

LOOKS: Final = (
    SUBJECT, ARTIFACT, TRASHED_ARTIFACT, DELETED_ARTIFACT, RUN, OPEN_RUN, FAILED_RUN, ABORTED_RUN, RECORD, STEPS,
)  # fmt: skip
"""All of them, in the order of the legend."""

BY_STATE: Final[Mapping[str, Look]] = {LIVE: ARTIFACT, TRASHED: TRASHED_ARTIFACT, DELETED: DELETED_ARTIFACT}
BY_STATUS: Final[Mapping[str, Look]] = {FINISHED: RUN, FAILED: FAILED_RUN, ABORTED: ABORTED_RUN, STARTED: OPEN_RUN}
