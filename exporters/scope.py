"""What an export speaks of: the whole store, the lineage of one record, or what some conditions hold for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from lineagelog.domain.errors import InvalidValueError
from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.mapping.rows import TIME
from lineagelog.exporters.statement import Attributes, Moment, Name, Value

KINDS: Final = ("artifact", "run", "transform", "collection")
"""Kinds of records whose lineage can be exported."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an export speaks of; where several conditions are given, only what all of them hold for.

    Attributes:
        kind: `all`, or the kind of the subject: `artifact`, `run`, `transform` or `collection`.
        uid: Whole uid of the subject.
        direction: Which way lineage is followed from the subject.
        max_depth: Longest way followed, in derivation steps; `None` follows to the end.
        project: Uid of a project: only what belongs to it.
        user: Uid of a user: only what this user recorded.
        since: Only what was recorded at this time or later; a time as the log writes it.
        until: Only what was recorded before this time.
    """

    kind: Literal["all", "artifact", "run", "transform", "collection"] = "all"
    uid: str = ""
    direction: Literal["upstream", "downstream", "both"] = "upstream"
    max_depth: int | None = None
    project: str | None = None
    user: str | None = None
    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        for what, value, choices in (
            ("the kind of scope", self.kind, ("all", *KINDS)),
            ("the direction", self.direction, ("upstream", "downstream", "both")),
        ):
            if value not in choices:
                raise InvalidValueError(what, f"is {value!r}; it must be one of: {', '.join(choices)}")
        for what, time in (("since", self.since), ("until", self.until)):
            if time is not None and not TIME.fullmatch(time):
                raise InvalidValueError(what, f"is {time!r}, which is no time as the log writes it")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InvalidValueError(
                "since", f"is {self.since}, which is not before until, {self.until}; nothing lies between"
            )

    @property
    def is_whole(self) -> bool:
        """Whether this is the whole store."""
        return self.kind == "all" and not self.is_conditional

    @property
    def is_conditional(self) -> bool:
        """Whether there are conditions beyond the subject."""
        return any(condition is not None for condition in (self.project, self.user, self.since, self.until))

    @property
    def slug(self) -> str:
        """Part of the names of an export, different for each scope."""
        parts = []
        if self.kind != "all":
            depth = "" if self.max_depth is None else f"-{self.max_depth}"
            parts.append(f"{self.kind}-{v.local_name(self.uid)}-{self.direction}{depth}")
        parts += [
            f"{what}-{v.local_name(uid)}" for what, uid in (("project", self.project), ("user", self.user)) if uid
        ]
        times = (("since", self.since), ("until", self.until))
        parts += [f"{what}-{''.join(filter(str.isalnum, time))}" for what, time in times if time]
        return "-".join(parts) or "all"

    def __str__(self) -> str:
        parts = []
        if self.kind != "all":
            parts.append(f"{self.kind} {self.uid} {self.direction}")
            if self.max_depth is not None:
                parts[0] += f" to depth {self.max_depth}"
        conditions = (("project", self.project), ("user", self.user), ("since", self.since), ("until", self.until))
        parts += [f"{what} {value}" for what, value in conditions if value]
        return ", ".join(parts) or "all"

    def attributes(self) -> Attributes:
        """List what an export says of its scope."""
        about: list[tuple[Name, Value | None]] = [(v.SCOPE, str(self))]
        if self.kind != "all":
            about += [(v.DIRECTION, self.direction), (v.MAX_DEPTH, self.max_depth)]
        about += [
            (v.OF_PROJECT, self.project and v.name("project", self.project)),
            (v.OF_USER, self.user and v.name("user", self.user)),
            (v.SINCE, self.since and Moment(self.since)),
            (v.UNTIL, self.until and Moment(self.until)),
        ]
        return tuple((name, value) for name, value in about if value is not None)


ALL: Final = Scope()
