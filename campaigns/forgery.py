"""Forgers: proofs and checkpoints that were altered, events with flipped bits, logs that were cut short, put back or written anew.

None may pass for what it was. The forger knows all of this software and owns the database, but not the private key.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from campaigns.report import ForgeryReport, Report
from lineagelog import location, verify_proof
from lineagelog.adapters.log.schema import EVENTS, TRIGGERS
from lineagelog.adapters.signing import SigningKey
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.note import Checkpoint
from lineagelog.store import Store

N_EVENTS = 130
_COLUMNS = ", ".join(EVENTS.names)


class Sealed(NamedTuple):
    """A store with a checkpoint outside of it, and what an auditor holds."""

    folder: Path
    checkpoint: Path
    key: str
    positions: list[int]
    """Sizes of the log of which `store-<size>.db` is a copy."""


def make_store(folder: Path, n_events: int = N_EVENTS) -> Sealed:
    """Make a store with copies of its database from earlier times."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = []
    with Store.create(folder / "store", name="study") as store:
        for number in range(n_events):
            store.ULabel(name=f"label {number}", description="ä" * (number % 7)).save()
            if number % (n_events // 5) == n_events // 10:
                sizes.append(store.log.head().position)
                _copy(folder, sizes[-1])
        key = store.generate_key().to_text()
        sizes.append(store.log.head().position)
        _copy(folder, sizes[-1])
        for number in range(3):
            store.ULabel(name=f"later {number}").save()
        store.checkpoint(folder / "outside.txt")
    # The forger takes away what lies beside the store; the auditor's copy stays.
    shutil.rmtree(folder / "store" / location.FOLDER / location.CHECKPOINTS)
    return Sealed(folder, folder / "outside.txt", key, sizes)


def _database(folder: Path) -> Path:
    return folder / location.FOLDER / location.DATABASE


def _copy(folder: Path, size: int) -> None:
    with (
        closing(sqlite3.connect(_database(folder / "store"))) as source,
        closing(sqlite3.connect(folder / f"store-{size}.db")) as target,
    ):
        source.backup(target)


# Proofs and checkpoints


def forged_proofs(folder: Path, runs: int, seed: int) -> Report:
    """Alter proofs, checkpoints and keys by bytes and by meaning, and give them to the verifier."""
    chance = random.Random(seed)
    sealed = make_store(folder, 20)
    with Store.open(folder / "store") as store:
        labels = store.ULabel.filter().order_by("position")
        first, second = labels[3], labels[11]
        first.description = "changed"
        first.save(reason="twice in the log")
        store.checkpoint(folder / "newer.txt")
        store.prove(first, folder / "proof.json", since=sealed.checkpoint)
        store.prove(second, folder / "other.json", since=sealed.checkpoint)
    proof, other = (json.loads((folder / name).read_text()) for name in ("proof.json", "other.json"))
    data, note = (folder / "proof.json").read_bytes(), (folder / "newer.txt").read_bytes()
    forger = SigningKey.generate(sealed.key.partition("+")[0])
    report = ForgeryReport()
    right = verify_proof.verify_ed25519
    # The same signature is looked at again and again; what was found the first time is remembered.
    verify_proof.verify_ed25519 = lru_cache(maxsize=4096)(right)
    try:
        assert len(verify_proof.verify_proof(data, sealed.key, note).events) == 2
        for number in range(runs):
            kind, forged = _forge(chance, data, note, sealed.key, proof, other, forger)
            # A change that took itself back, such as the exchange of two equal bytes, has forged nothing.
            while forged[0] == data and forged[1] == sealed.key and forged[2] in (None, note):
                kind, forged = _forge(chance, data, note, sealed.key, proof, other, forger)
            try:
                verify_proof.verify_proof(*forged)
            except verify_proof.NotProvenError:
                report.refused[kind] += 1
            except Exception as exc:  # noqa: BLE001 - any other end of the verifier is what is looked for
                report.problems.append(f"{number}, {kind}: {exc!r}")
            else:
                report.problems.append(f"{number}, {kind}: was accepted")
    finally:
        verify_proof.verify_ed25519 = right
    return report


def _forge(
    chance: random.Random,
    data: bytes,
    note: bytes,
    key: str,
    proof: dict[str, Any],
    other: dict[str, Any],
    forger: SigningKey,
) -> tuple[str, tuple[bytes, str, bytes | None]]:
    """Make one forgery: its kind, and what the verifier is given."""
    kind = chance.choice(["byte of the proof"] * 4 + ["byte of the checkpoint", "byte of the key", "meaning", "signer"])
    if kind == "byte of the proof":
        return kind, (_mutate(chance, data), key, None)
    if kind == "byte of the checkpoint":
        return kind, (data, key, _mutate(chance, note))
    if kind == "byte of the key":
        changed = _mutate(chance, key.encode()).decode("latin-1")
        return kind, (data, changed if changed.strip() != key else key, note)
    forged = json.loads(json.dumps(proof))
    if kind == "signer":
        text = proof["checkpoint"].rpartition("\n\n")[0] + "\n"
        signature = forger.sign(text).to_text().rpartition("\n\n")[2]
        if chance.random() < 0.5:
            # Under the id of the right key.
            forged["checkpoint"] = f"{text}\n{proof['checkpoint'].rpartition(chr(10) * 2)[2][:40]}{signature[40:]}"
        else:
            forged["checkpoint"] = f"{text}\n{signature}"
        return kind, (verify_proof.to_bytes(forged), key, None)
    _change_meaning(chance, forged, other)
    return kind, (verify_proof.to_bytes(forged), key, note)


def _change_meaning(chance: random.Random, forged: dict[str, Any], other: dict[str, Any]) -> None:
    entry = chance.choice(forged["events"])
    event, path = entry["event"], entry["inclusion"]
    grown = forged["consistency"]
    match chance.randrange(9):
        case 0:
            column = chance.choice(list(event))
            value = event[column]
            event[column] = value + chance.choice([-1, 1, 2**40]) if isinstance(value, int) else f"{value or ''}x"
        case 1:
            column = chance.choice([name for name in event if event[name] is not None])
            event[column] = str(event[column]) if isinstance(event[column], int) else None
        case 2:
            path[:] = chance.choice([path[:-1], [*path, path[-1]], path[1:], [*path, *path], []])
        case 3:
            first, second = chance.sample(range(len(path)), 2)
            path[first], path[second] = path[second], path[first]
        case 4:
            entry["inclusion"] = other["events"][0]["inclusion"]
        case 5:
            entry["event"] = other["events"][0]["event"]
        case 6:
            grown[:] = chance.choice([grown[:-1], [*grown, grown[-1]], grown[::-1], []])
        case 7:
            forged["checkpoint"], forged["previous"] = forged["previous"], forged["checkpoint"]
        case 8:
            # A list of events that is empty would be no forgery: such a proof shows less, and nothing that is false.
            name = chance.choice(list(forged))
            forged[name] = chance.choice([None, {}, 0, "", [[]], [{}], True, *([[]] if name != "events" else [])])


def _mutate(chance: random.Random, data: bytes) -> bytes:
    """Change, insert, remove or exchange bytes at random places."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        place = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                changed[place] = chance.randrange(256)
            case 2:
                changed.insert(place, chance.randrange(256))
            case 3 if len(changed) > 1:
                del changed[place]
            case _:
                target = chance.randrange(len(changed))
                changed[place], changed[target] = changed[target], changed[place]
    return bytes(changed)


# Events


def flipped_bits(folder: Path, runs: int, seed: int) -> Report:
    """Flip every single bit of every column of every event, in memory; `runs` is the number of events."""
    del seed
    make_store(folder, max(10, runs))
    with closing(sqlite3.connect(_database(folder / "store"))) as database:
        rows = list(islice(database.execute(f"SELECT {_COLUMNS} FROM events ORDER BY position"), runs))
    report = ForgeryReport()
    for *columns, leaf in rows:
        for index, value in enumerate(columns):
            before, after = columns[:index], columns[index + 1 :]
            for flipped in _flips(value):
                if leaf_hash(encode_entry([*before, flipped, *after])).hex() == leaf:
                    report.problems.append(f"event {columns[0]}, {EVENTS.names[index]}: {flipped!r} is not noticed")
                report.refused[EVENTS.names[index]] += 1
    return report


def _flips(value: str | int | None) -> list[str | int]:
    if value is None:
        return ["", 0]
    if isinstance(value, int):
        return [value ^ 1 << bit for bit in range(63)]
    data, flips = value.encode(), []
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        # What is not UTF-8 any more cannot even be read, which is found as well.
        flips.append(changed.decode(errors="surrogateescape").encode(errors="replace").decode())
    return [flip for flip in flips if flip != value]


# Logs


def rewritten_logs(folder: Path, runs: int, seed: int) -> Report:
    """Cut, put back, fork and rewrite logs as an owner of the database can, and check them with and without a checkpoint."""
    chance = random.Random(seed)
    sealed = make_store(folder / "original")
    kinds = (_truncate, _roll_back, _fork, _swap, _insert, _remove, _rewrite, _rewrite_with_own_key)
    report = ForgeryReport()
    for number in range(runs):
        forge = kinds[number % len(kinds)]
        work = folder / f"case-{number}"
        shutil.copytree(sealed.folder / "store", work)
        hidden = forge(work, sealed, chance)
        kind = forge.__name__.strip("_").replace("_", " ")
        with Store.open(work) as store:
            blind = store.verify()
            held = store.verify(checkpoint=sealed.checkpoint, keys=[sealed.key])
        if held.ok:
            report.problems.append(f"{number}, {kind}: is not found with a checkpoint")
        elif hidden and not blind.ok:
            report.problems.append(f"{number}, {kind}: the forger left a trace: {blind.to_text()}")
        elif "truncation is not checkable" not in blind.to_text() or blind.sealed_up_to is not None:
            report.problems.append(f"{number}, {kind}: without a checkpoint the check says plain OK")
        else:
            report.refused[kind] += 1
        shutil.rmtree(work)
    return report


def _forged(work: Path, change: Callable[[sqlite3.Connection], None], *, fit: bool) -> bool:
    """Change the events past all protection; make leaves, head and registries fit if the forger is careful."""
    with closing(sqlite3.connect(_database(work), isolation_level=None)) as database:
        for name in TRIGGERS["sqlite"]:
            database.execute(f"DROP TRIGGER {name}")
        change(database)
        if fit:
            frontier, roots = Frontier(), dict[int, str]()
            for *columns, _ in database.execute(f"SELECT {_COLUMNS} FROM events ORDER BY position").fetchall():
                columns[-1] = _fitting(columns[-1], roots)
                leaf = leaf_hash(encode_entry(columns))
                frontier.extend([leaf])
                roots[frontier.size] = frontier.root().hex()
                database.execute(
                    "UPDATE events SET payload = ?, leaf_hash = ? WHERE position = ?",
                    (columns[-1], leaf.hex(), columns[0]),
                )
            database.execute(
                "UPDATE log_head SET position = ?, frontier = ?, root = ?",
                (frontier.size, frontier.to_bytes().hex(), frontier.root().hex()),
            )
        for statement in TRIGGERS["sqlite"].values():
            database.execute(statement)
    if fit:
        with Store.open(work) as store:
            store.rebuild()
    return fit


def _fitting(payload: str, roots: Mapping[int, str]) -> str:
    """Let an event that names an earlier tree head name the one of the forged log."""
    fact = json.loads(payload)
    if fact.get("root") is None or fact.get("up_to_position") not in roots:
        return payload
    return json.dumps({**fact, "root": roots[fact["up_to_position"]]}, ensure_ascii=False, separators=(",", ":"))


def _size(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT max(position) FROM events").fetchone()[0])


def _truncate(work: Path, _: Sealed, chance: random.Random) -> bool:
    # The sealing itself is the last event, and the checkpoint does not speak of it.
    n_cut = chance.randint(2, 100)
    return _forged(
        work,
        lambda database: database.execute("DELETE FROM events WHERE position > ?", (_size(database) - n_cut,)) and None,
        fit=chance.random() < 0.8,
    )


def _put_back(work: Path, sealed: Sealed, chance: random.Random) -> None:
    for ending in ("", "-wal", "-shm"):
        _database(work).with_name(f"{location.DATABASE}{ending}").unlink(missing_ok=True)
    shutil.copy(sealed.folder / f"store-{chance.choice(sealed.positions)}.db", _database(work))
    with closing(sqlite3.connect(_database(work))) as database:
        database.execute("PRAGMA journal_mode=WAL")


def _roll_back(work: Path, sealed: Sealed, chance: random.Random) -> bool:
    _put_back(work, sealed, chance)
    return True


def _fork(work: Path, sealed: Sealed, chance: random.Random) -> bool:
    _put_back(work, sealed, chance)
    with Store.open(work) as store:
        for number in range(chance.choice([1, 10, N_EVENTS])):
            store.ULabel(name=f"another history {number}").save()
    return True


def _swap(work: Path, _: Sealed, chance: random.Random) -> bool:
    def change(database: sqlite3.Connection) -> None:
        first, second = chance.sample(range(5, _size(database) - 1), 2)
        for old, new in ((first, -1), (second, first), (-1, second)):
            database.execute("UPDATE events SET position = ? WHERE position = ?", (new, old))

    return _forged(work, change, fit=chance.random() < 0.7)


def _insert(work: Path, _: Sealed, chance: random.Random) -> bool:
    def change(database: sqlite3.Connection) -> None:
        place = chance.randint(5, _size(database) - 1)
        # A unique key cannot be moved by one in place.
        database.execute("UPDATE events SET position = -position WHERE position >= ?", (place,))
        database.execute("UPDATE events SET position = 1 - position WHERE position < 0")
        (row,) = database.execute("SELECT * FROM events WHERE topic = 'label.defined.1' LIMIT 1").fetchall()
        names = [name for (_, name, *_) in database.execute("PRAGMA table_info(events)")]
        forged = dict(zip(names, row, strict=True)) | {"position": place}
        forged["event_id"] = forged["stream"] = f"01999999-0000-7000-8000-{chance.getrandbits(48):012x}"
        payload = json.loads(forged["payload"]) | {"uid": "Forged01", "name": "forged"}
        forged["payload"] = json.dumps(payload, separators=(",", ":"))
        marks = ", ".join("?" * len(forged))
        database.execute(f"INSERT INTO events ({', '.join(forged)}) VALUES ({marks})", list(forged.values()))

    return _forged(work, change, fit=chance.random() < 0.7)


def _remove(work: Path, _: Sealed, chance: random.Random) -> bool:
    def change(database: sqlite3.Connection) -> None:
        labels = database.execute("SELECT position FROM events WHERE topic = 'label.defined.1'").fetchall()
        place = chance.choice(labels)[0]
        database.execute("DELETE FROM events WHERE position = ?", (place,))
        database.execute("UPDATE events SET position = -position WHERE position > ?", (place,))
        database.execute("UPDATE events SET position = -1 - position WHERE position < 0")

    return _forged(work, change, fit=chance.random() < 0.7)


def _edit(database: sqlite3.Connection, chance: random.Random) -> None:
    labels = database.execute(
        "SELECT position FROM events WHERE topic = 'label.defined.1' AND payload LIKE '%\"label %'"
    ).fetchall()
    place = chance.choice(labels)[0]
    database.execute(
        "UPDATE events SET payload = replace(payload, '\"label ', '\"labels ') WHERE position = ?", (place,)
    )


def _rewrite(work: Path, _: Sealed, chance: random.Random) -> bool:
    return _forged(work, lambda database: _edit(database, chance), fit=chance.random() < 0.8)


def _rewrite_with_own_key(work: Path, _: Sealed, chance: random.Random) -> bool:
    """Write the log anew with a key of the forger's in place of the right one, and seal it."""
    with Store.open(work) as store:
        key = SigningKey.generate(f"lineagelog/{store.uid}")

    def change(database: sqlite3.Connection) -> None:
        _edit(database, chance)
        database.execute(
            "UPDATE events SET payload = ? WHERE topic = 'key.registered.1'",
            (json.dumps({"verifier_key": key.verifier.to_text()}),),
        )

    _forged(work, change, fit=True)
    with Store.open(work) as store:
        head = store.log.head()
        note = key.sign(Checkpoint(key.name, head.position, head.root).to_text())
    beside = work / location.FOLDER / location.CHECKPOINTS
    beside.mkdir()
    (beside / f"{head.position:012d}-{head.root[:16]}-{key.verifier.fingerprint}.txt").write_text(note.to_text())
    return True
