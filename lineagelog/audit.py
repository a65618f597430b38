"""Checks of a store, and checkpoints: the end of the log written down to be kept elsewhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lineagelog import message
from lineagelog.domain.errors import ExportError, InvalidValueError, ObjectMissingError
from lineagelog.domain.store import CheckpointSealed
from lineagelog.projections import schema

if TYPE_CHECKING:
    from lineagelog.adapters.log.verification import ClockAnomaly, Problem
    from lineagelog.fixity import StorageReport
    from lineagelog.store import Store

ORIGIN_PREFIX: Final = "lineagelog/"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The end of a log at one moment.

    Its text form is the body of a C2SP checkpoint: origin, size and root on three lines.

    Attributes:
        origin: `lineagelog/` and the uid of the store.
        size: Number of events.
        root: Merkle tree head over them, 64 hexadecimal characters.

    References:
        C2SP tlog-checkpoint, https://c2sp.org/tlog-checkpoint
    """

    origin: str
    size: int
    root: str

    def to_text(self) -> str:
        """Write the checkpoint."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(bytes.fromhex(self.root)).decode()}\n"

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            InvalidValueError: The text is not one.
        """
        lines = text.split("\n")
        try:
            origin, size, root = lines[:3]
            digest = base64.b64decode(root, validate=True)
            if len(digest) != 32 or str(int(size)) != size or int(size) < 0 or not origin.startswith(ORIGIN_PREFIX):
                raise ValueError("not the three lines of a checkpoint")
        except (ValueError, binascii.Error) as exc:
            raise InvalidValueError(
                "the checkpoint", f"cannot be read ({exc}); pass a file that `prov checkpoint` wrote"
            ) from exc
        return cls(origin, int(size), digest.hex())

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a checkpoint from a file.

        Raises:
            ObjectMissingError: There is no such file.
            InvalidValueError: The file is no checkpoint.
        """
        try:
            return cls.from_text(path.read_text())
        except (OSError, UnicodeDecodeError) as exc:
            raise ObjectMissingError(
                f"the checkpoint {path} cannot be read: {exc}; pass a file that `prov checkpoint` wrote"
            ) from exc


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check of a store found.

    Attributes:
        n_events: Events that were read.
        root: Merkle tree head computed from them, 64 hexadecimal characters.
        problems: What is wrong: first events, the lowest position first, then the head, the triggers and the registries.
        checkpoint: The checkpoint the log was held against, if one was given.
        content: What the check of the stored content found, if it was asked for.
        clock_anomalies: Events recorded earlier than the one before them: the clock was set back. Nothing is wrong with them, but
            their times are to be read with care.
    """

    n_events: int
    root: str
    problems: tuple[Problem, ...]
    checkpoint: Checkpoint | None
    content: StorageReport | None = None
    clock_anomalies: tuple[ClockAnomaly, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing wrong was found."""
        return not self.problems and (self.content is None or self.content.ok)

    @property
    def first_bad_position(self) -> int | None:
        """Lowest position that is wrong."""
        return next((problem.position for problem in self.problems if problem.position is not None), None)

    def to_text(self) -> str:
        """Say in words what was found, and what could not be checked."""
        lines = [f"{self.n_events} events read, tree root {self.root}"]
        for problem in self.problems:
            where = f"event {problem.position} " if problem.position is not None else ""
            lines.append(f"PROBLEM: {where}{problem.what}")
        lines += [
            f"NOTE: the clock was set back: event {anomaly.position} was recorded at {anomaly.recorded_at}, the one before it at "
            f"{anomaly.before}; their order is that of the positions"
            for anomaly in self.clock_anomalies
        ]
        if not self.problems:
            lines.append("every event is as it was recorded, and the registries are what the log says")
        if self.content is not None:
            lines.append(self.content.to_text())
        else:
            lines.append(
                "NOT CHECKED: the stored content of artifacts; `prov verify --content` reads all of it, `load()` and `cache()` "
                "compare what they read with its recorded hash"
            )
        if self.checkpoint is None:
            lines.append(
                "NOT CHECKED: whether the log was cut short or written anew as a whole; that needs a checkpoint kept elsewhere "
                "(`prov checkpoint -o FILE`, then `prov verify --checkpoint FILE`)"
            )
        elif not self.problems:
            lines.append(
                f"the log contains the {self.checkpoint.size} events of the checkpoint, unchanged and in order"
            )
        return "\n".join(lines)


def verify(
    store: Store,
    *,
    checkpoint: Checkpoint | None = None,
    content: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Recompute the Merkle tree over every column of every event, and compare head, registries and checkpoint.

    Args:
        store: The store.
        checkpoint: End of the log as written down earlier and kept elsewhere. Without one a log that was cut short, or
            written anew as a whole, cannot be told from a whole one, and the report says so.
        content: Also read the stored content of all artifacts (`check_storage`), which puts what it finds on record. It is done
            after the log was checked.
        progress: Called with the number of events done and of all.
    """
    from lineagelog.adapters.log.verification import Problem, verify_log

    found = verify_log(
        store.log.database, checkpoint_size=checkpoint.size if checkpoint is not None else None, progress=progress
    )
    problems = list(found.problems)
    if checkpoint is not None:
        if checkpoint.origin != f"{ORIGIN_PREFIX}{store.uid}":
            problems.append(Problem(None, f"the checkpoint is of another store ({checkpoint.origin})"))
        elif found.checkpoint_root is None:
            problems.append(
                Problem(
                    found.n_events + 1,
                    f"is missing: the log is shorter than the checkpoint, which speaks of {checkpoint.size} events",
                )
            )
        elif found.checkpoint_root != checkpoint.root:
            problems.append(Problem(None, f"the first {checkpoint.size} events are not those of the checkpoint"))
    checked = None
    if content:
        from lineagelog.fixity import check_storage

        checked = check_storage(store)
    return VerifyReport(found.n_events, found.root, tuple(problems), checkpoint, checked, found.clock_anomalies)


def seal(store: Store, path: Path | None) -> Checkpoint:
    """Write down the end of the log; the sealing itself is the event after it.

    Args:
        store: The store.
        path: File to write; keep it where those who can write the database cannot.
    """
    head = store.log.head()
    checkpoint = Checkpoint(f"{ORIGIN_PREFIX}{store.uid}", head.position, head.root)
    if path is not None:
        try:
            path.write_text(checkpoint.to_text())
        except (OSError, ValueError) as exc:
            raise ExportError(
                f"the checkpoint cannot be written to {path}: {exc}; choose a folder you may write"
            ) from exc
    store = store.present
    if store.log.database.read_only:
        message.warn(f"{store.name} can only be read here, so this checkpoint is not on record")
        return checkpoint
    fact = CheckpointSealed(up_to_position=head.position, root=head.root)
    store.append_next(schema.STORES, store.id, lambda _: fact)
    return checkpoint
