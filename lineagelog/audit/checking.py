"""Checks of a store: the log against itself, the registries against the log, and the log against checkpoints that were kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lineagelog.audit.sealing import (
    KeptCheckpoint,
    SealedCheckpoint,
    kept_checkpoints,
    origin_of,
    own_verifiers,
    read_note,
    sealing_keys,
    second_place,
)
from lineagelog.domain.errors import InvalidValueError, LineageLogError
from lineagelog.domain.note import Checkpoint, SignedNote, VerifierKey

if TYPE_CHECKING:
    from lineagelog.adapters.log.verification import ClockAnomaly, Problem, Verification
    from lineagelog.content.fixity import StorageReport
    from lineagelog.store import Store


@dataclass(frozen=True, slots=True)
class HeldCheckpoint:
    """A checkpoint whose signature is right, and that the log was held against.

    Attributes:
        source: File or URL it was read from.
        checkpoint: What it says.
        key: Fingerprint of the key that signed it.
        outside: It was kept outside the store.
        agrees: The log begins with the events it speaks of.
    """

    source: str
    checkpoint: Checkpoint
    key: str
    outside: bool
    agrees: bool


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check of a store found.

    Attributes:
        n_events: Events that were read.
        root: Merkle tree head computed from them, 64 hexadecimal characters.
        problems: What is wrong: first events, the lowest position first, then the head, the triggers and the registries, then
            what contradicts a checkpoint.
        checkpoints: The checkpoints the log was held against.
        not_checked: What could not be checked, in words.
        content: What the check of the stored content found, if it was asked for.
        clock_anomalies: Events recorded earlier than the one before them: the clock was set back. Nothing is wrong with them, but
            their times are to be read with care.
        registries_checked: The registries were compared with what the log says.
    """

    n_events: int
    root: str
    problems: tuple[Problem, ...]
    checkpoints: tuple[HeldCheckpoint, ...] = ()
    not_checked: tuple[str, ...] = ()
    content: StorageReport | None = None
    clock_anomalies: tuple[ClockAnomaly, ...] = ()
    registries_checked: bool = True

    @property
    def ok(self) -> bool:
        """Nothing wrong was found; `sealed_up_to` says how much of the end of the log that covers."""
        return not self.problems and (self.content is None or self.content.ok)

    @property
    def sealed_up_to(self) -> int | None:
        """Last event that a checkpoint from outside the store vouches for, `None` without one: the log may have been cut short."""
        return max((held.checkpoint.size for held in self.checkpoints if held.outside and held.agrees), default=None)

    @property
    def first_bad_position(self) -> int | None:
        """Lowest position that is wrong."""
        return next((problem.position for problem in self.problems if problem.position is not None), None)

    def to_text(self) -> str:
        """Say in words what was found, and what could not be checked."""
        lines = [f"{self.n_events} events read, tree root {self.root}"]
        for problem in self.problems:
            where = f"event {problem.position} " if problem.position is not None else ""
            about = f"; it is about {problem.subject}" if problem.subject is not None else ""
            lines.append(f"PROBLEM: {where}{problem.what}{about}")
        lines += [
            f"NOTE: the clock was set back: event {anomaly.position} was recorded at {anomaly.recorded_at}, the one before it at "
            f"{anomaly.before}; their order is that of the positions"
            for anomaly in self.clock_anomalies
        ]
        if not self.problems:
            replayed = ", and the registries are what the log says" if self.registries_checked else ""
            lines.append(f"every event is as it was recorded{replayed}")
        if self.content is not None:
            lines.append(self.content.to_text())
        newest = max(
            (held for held in self.checkpoints if held.agrees),
            key=lambda held: (held.outside, held.checkpoint.size),
            default=None,
        )
        if newest is not None and not self.problems:
            lines.append(
                f"the log contains the {newest.checkpoint.size} events of the checkpoint {newest.source}, unchanged and in order "
                f"(signed by the key {newest.key}; checkpoints compared: {len(self.checkpoints)})"
            )
        lines += [f"NOT CHECKED: {what}" for what in self.not_checked]
        return "\n".join(lines)


def verify(
    store: Store,
    *,
    checkpoint: str | os.PathLike[str] | SealedCheckpoint | None = None,
    keys: Sequence[str] = (),
    content: bool = False,
    log_only: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Recompute the Merkle tree over every column of every event, and compare head, registries and all checkpoints there are.

    Beside the checkpoint that is given, those beside the store and at its second place are read.

    Args:
        store: The store.
        checkpoint: End of the log as signed earlier and kept elsewhere. Without one from outside the store a log that was cut
            short, or written anew as a whole, cannot be told from a whole one, and the report says so.
        keys: Verifier keys (`name+fingerprint+base64`) that are believed, and no others. By default those that this user
            holds and those that the log names are.
        content: Also read the stored content of all artifacts (`check_storage`), which puts what it finds on record. It is done
            after the log was checked.
        log_only: Leave the registries out, which takes a third of the time; the report says so.
        progress: Called with the number of events done and of all.

    Raises:
        ObjectMissingError: There is no such file.
        InvalidValueError: The file is no checkpoint, or a key cannot be read.
    """
    from lineagelog.adapters.log.verification import verify_log

    evidence = _Evidence(store, keys)
    if isinstance(checkpoint, SealedCheckpoint):
        evidence.take(KeptCheckpoint("given", checkpoint.note.to_text(), True), given=True)
    elif checkpoint is not None:
        evidence.take(KeptCheckpoint(os.fspath(checkpoint), read_note(checkpoint), True), given=True)
    evidence.take_kept()
    # A replay by this software does not give what newer software has made of the same events.
    is_newer = store.log.database.written_by_newer is not None
    claims = _claimed_heads(store)
    found = verify_log(
        store.log.database,
        checkpoint_sizes={held.checkpoint.size for held, _ in evidence.held} | {claim.size for claim in claims},
        projections=not (is_newer or log_only),
        progress=progress,
    )
    held, problems = evidence.compare(found)
    # Where events are known to be altered, this says nothing more.
    problems += [] if found.problems else _contradicted(claims, found)
    notes = _not_checked(held, evidence, keys, content=content, log_only=log_only)
    not_checked = (*_not_known(found, is_newer=is_newer), *notes)
    checked = None
    if content:
        from lineagelog.content.fixity import check_storage

        checked = check_storage(store)
    return VerifyReport(
        found.n_events,
        found.root,
        (*found.problems, *problems),
        held,
        not_checked,
        checked,
        found.clock_anomalies,
        registries_checked=not (is_newer or log_only),
    )


class _Claim(NamedTuple):
    """An event that names the tree head over the events before it, as exports and checkpoints do."""

    position: int
    size: int
    root: str


def _claimed_heads(store: Store) -> list[_Claim]:
    """Read what the log says of its own earlier heads: whoever rewrites an event and fits the tree has to find these as well."""
    from lineagelog.adapters.log.schema import EVENTS
    from lineagelog.domain.event import decode
    from lineagelog.domain.store import CheckpointSealed, ExportMade

    sql = f"SELECT position, topic, payload FROM {EVENTS.name} WHERE stream = ? AND topic IN (?, ?)"  # noqa: S608 - names from the schema only
    claims = []
    # What cannot be read is named by the check of the events.
    with suppress(LineageLogError):
        for position, topic, payload in store.log.database.read(
            sql, (store.id, ExportMade.topic, CheckpointSealed.topic)
        ):
            fact = decode(topic, payload)
            if isinstance(fact, ExportMade | CheckpointSealed) and 0 < fact.up_to_position < position:
                claims.append(_Claim(position, fact.up_to_position, fact.root))
    return claims


def _contradicted(claims: Sequence[_Claim], found: Verification) -> list[Problem]:
    """Name the first event whose word on an earlier head the tree does not bear out."""
    from lineagelog.adapters.log.verification import Problem

    wrong = [claim for claim in claims if found.roots.get(claim.size) != claim.root]
    if not wrong:
        return []
    first = min(wrong, key=lambda claim: claim.size)
    what = (
        f"says that the first {first.size} events had the tree root {first.root}, and theirs is {found.roots.get(first.size)}: "
        "events among them were changed together with their leaf hashes, or this one was"
    )
    return [Problem(first.position, what)]


class _Evidence:
    """The checkpoints that speak of a log, and who signed them."""

    def __init__(self, store: Store, keys: Sequence[str]) -> None:
        self._store = store
        self.held: list[tuple[HeldCheckpoint, VerifierKey]] = []
        self.problems: list[Problem] = []
        self.not_checked: list[str] = []
        self.from_log = not keys
        self._registered = []
        try:
            self._registered = sealing_keys(store)
        except LineageLogError as exc:
            self._add_problem(f"the keys of the store cannot be read from its log: {exc}")
        if keys:
            self._believed = [VerifierKey.from_text(key) for key in keys]
        else:
            self._believed = [*(key.verifier for key in self._registered), *own_verifiers(store)]
        strange = [key.name for key in self._believed if key.name != origin_of(store)]
        if strange:
            raise InvalidValueError(
                "the verifier key", f"{strange[0]} is the key of another log; this one is {origin_of(store)}"
            )

    def take(self, kept: KeptCheckpoint, *, given: bool = False) -> None:
        """Read a checkpoint; what is wrong with one that was given is an error, what is wrong with another a problem."""
        from lineagelog.adapters.signing import signed_by

        try:
            note = SignedNote.from_text(kept.text)
            checkpoint = Checkpoint.from_text(note.text)
        except InvalidValueError as exc:
            if given:
                raise
            self._add_problem(f"the checkpoint {kept.source} was damaged or altered: {exc}")
            return
        if not given and self._store.is_past and checkpoint.size > self._store.log.head().position:
            # A view of the past is shorter than what was sealed later, and rightly so.
            return
        key = signed_by(note, self._believed)
        if checkpoint.origin != origin_of(self._store):
            self._add_problem(f"the checkpoint {kept.source} is of another store ({checkpoint.origin})")
        elif key is not None:
            held = HeldCheckpoint(kept.source, checkpoint, key.fingerprint, kept.outside, agrees=False)
            self.held.append((held, key))
        elif not given and not self.from_log and signed_by(note, [known.verifier for known in self._registered]):
            self.not_checked.append(f"the checkpoint {kept.source}, which is signed by a key that was not given")
        else:
            self._add_problem(
                f"the checkpoint {kept.source} is not signed by a key that is believed: it was altered, or somebody else wrote it"
            )

    def take_kept(self) -> None:
        """Read the checkpoints beside the store and at its second place."""
        second = second_place(self._store)
        for place in (None, second) if second is not None else (None,):
            try:
                for kept in kept_checkpoints(self._store, place):
                    self.take(kept)
            except LineageLogError as exc:
                where = f"at {place}" if place is not None else "beside the store"
                self.not_checked.append(f"the checkpoints {where}, which cannot be read: {exc}")

    def compare(self, found: Verification) -> tuple[tuple[HeldCheckpoint, ...], list[Problem]]:
        """Hold the log against all checkpoints."""
        from dataclasses import replace

        held, heads = [], dict[int, HeldCheckpoint]()
        replaced = {key.verifier: key.until for key in self._registered if key.until is not None}
        for one, key in sorted(self.held, key=lambda pair: pair[0].checkpoint.size):
            size, root = one.checkpoint.size, one.checkpoint.root
            agrees = found.roots.get(size) == root
            held.append(replace(one, agrees=agrees))
            first = heads.setdefault(size, one)
            if first.checkpoint.root != root:
                self._add_problem(
                    f"the log was forked: {first.source} and {one.source} are both signed and name two heads of {size} events, "
                    f"{first.checkpoint.root} and {root}"
                )
            if size > found.n_events:
                self._add_problem(
                    f"is missing: the log is shorter than the checkpoint {one.source}, which speaks of {size} events; it was cut "
                    "short, or an older copy was put in its place",
                    found.n_events + 1,
                )
            elif not agrees:
                self._add_problem(
                    f"the first {size} events are not those of the checkpoint {one.source}: the log was written anew or forked; "
                    f"its head was {root} and is {found.roots[size]}"
                )
            elif size > (replaced.get(key) or size):
                self._add_problem(f"the checkpoint {one.source} is signed by the key {one.key} after that was replaced")
        return tuple(held), self.problems

    def believes_own_keys_only(self) -> bool:
        """Tell whether this user holds every key that has signed, so that none of them is known from the log alone."""
        own = own_verifiers(self._store)
        return all(signer in own for _, signer in self.held)

    def _add_problem(self, what: str, position: int | None = None) -> None:
        from lineagelog.adapters.log.verification import Problem

        self.problems.append(Problem(position, what))


def _not_known(found: Verification, *, is_newer: bool) -> Iterator[str]:
    """Say what only newer software could check."""
    if is_newer:
        yield "the registries, which newer software has written; that software can replay the log and compare them"
    if found.unknown:
        kinds = ", ".join(f"{count:,} {topic}" for topic, count in sorted(found.unknown.items()))
        yield f"what events of unknown kinds mean ({kinds}); they are as they were recorded, and nothing is made of them"


def _not_checked(
    held: Sequence[HeldCheckpoint], evidence: _Evidence, keys: Sequence[str], *, content: bool, log_only: bool
) -> tuple[str, ...]:
    """Say what a check has not shown."""
    notes = list(evidence.not_checked)
    if log_only:
        notes.append(
            "the registries, from which queries, lineage and exports are answered: whether they are what the log says; "
            "`prov verify` without --log-only compares every row"
        )
    if not content:
        notes.append(
            "the stored content of artifacts; `prov verify --content` reads all of it, `load()` and `cache()` compare what they "
            "read with its recorded hash"
        )
    if not any(one.outside for one in held):
        those = "those beside the store can be taken away together with events; " if held else ""
        notes.append(
            f"whether the log was cut short or written anew as a whole: truncation is not checkable without a checkpoint kept "
            f"elsewhere; {those}`prov checkpoint -o FILE` or `--also PLACE` writes one, `prov verify --checkpoint FILE` uses it"
        )
    if held and not keys and not evidence.believes_own_keys_only():
        notes.append(
            "whether the keys that signed are the right ones: they were taken from the log itself; `prov verify --key KEY` "
            "believes only the key you got from its holder (`prov key show`)"
        )
    return tuple(notes)
