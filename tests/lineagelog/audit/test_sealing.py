"""Checkpoints: who signs them, where they go, and what is found by them."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lineagelog import location
from lineagelog.adapters.log.schema import EVENTS, TRIGGERS
from lineagelog.adapters.signing import SigningKey
from lineagelog.audit.sealing import SealedCheckpoint
from lineagelog.domain.errors import (
    DomainError,
    ExportError,
    InvalidValueError,
    LineageLogError,
    LogCorruptError,
    StorageError,
)
from lineagelog.domain.merkle import Frontier, encode_entry, leaf_hash
from lineagelog.domain.note import Checkpoint, SignedNote
from lineagelog.domain.store import KeyRegistered
from lineagelog.store import Store

Refused = Callable[..., LineageLogError]


def key_file(store: Store) -> Path:
    return location.signing_key_path(store.uid, store.sealing_keys()[-1].verifier.fingerprint)


def beside(store: Store) -> list[Path]:
    assert store.folder is not None
    return sorted((store.folder / location.FOLDER / location.CHECKPOINTS).glob("*"))


def close_and_copy(store: Store, target: Path) -> None:
    """Keep a copy of the database as it is now."""
    assert store.folder is not None
    store.close()
    shutil.copy(location.home(store.folder) / location.DATABASE, target)


def put_back(store: Store, source: Path) -> Store:
    """Put an older copy in the place of the database, and open it."""
    assert store.folder is not None
    store.close()
    database = location.home(store.folder) / location.DATABASE
    for ending in ("-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    shutil.copy(source, database)
    return Store.open(store.folder)


def test_the_private_key_lies_outside_the_store_and_no_event_holds_it(store: Store, tmp_path: Path) -> None:
    sealed = store.checkpoint(tmp_path / "c.txt")
    path = key_file(store)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.folder is not None
    assert not path.is_relative_to(store.folder)
    # The base64 text may hold a plus sign itself.
    secret = path.read_text().strip().split("+", 4)[4]
    assert SigningKey.from_text(path.read_text()).verifier == sealed.key
    assert secret not in repr(list(store.events()))
    assert [event.fact.verifier_key for event in store.events(topic="key.registered")] == [sealed.key.to_text()]  # type: ignore[attr-defined]


def test_a_checkpoint_is_a_signed_note_of_the_end_of_the_log(store: Store, tmp_path: Path) -> None:
    store.generate_key()
    head = store.log.head()
    sealed = store.checkpoint(tmp_path / "c.txt")
    note = SignedNote.from_text((tmp_path / "c.txt").read_text())
    assert Checkpoint.from_text(note.text) == Checkpoint(f"lineagelog/{store.uid}", head.position, head.root)
    assert (note, [path.read_text() for path in beside(store)]) == (sealed.note, [note.to_text()])
    report = store.verify(checkpoint=tmp_path / "c.txt", keys=[sealed.key.to_text()])
    assert report.ok
    assert report.sealed_up_to == head.position
    assert "truncation" not in report.to_text()


def test_nothing_is_overwritten(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.checkpoint(tmp_path / "c.txt")
    before, text = sqlite_store.log.head(), (tmp_path / "c.txt").read_text()
    with pytest.raises(ExportError, match="overwrites nothing"):
        sqlite_store.checkpoint(tmp_path / "c.txt")
    assert (sqlite_store.log.head(), (tmp_path / "c.txt").read_text()) == (before, text)


def test_the_second_place_is_remembered_and_speaks_from_outside(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.checkpoint(also=tmp_path / "elsewhere")
    sqlite_store.checkpoint()
    kept = list((tmp_path / "elsewhere").rglob("*.txt"))
    assert len(kept) == 2
    report = sqlite_store.verify()
    assert report.sealed_up_to == sqlite_store.log.head().position - 1
    assert [held.outside for held in report.checkpoints].count(True) == 2
    kept[0].chmod(0o600)
    kept[0].write_text(kept[0].read_text().replace("lineagelog/", "lineagelog/x"))
    assert "another store" in sqlite_store.verify().to_text()
    shutil.rmtree(tmp_path / "elsewhere")


def test_the_second_place_may_be_a_bucket(sqlite_store: Store, s3_environment: str, tmp_path: Path) -> None:
    sealed = sqlite_store.checkpoint(also=f"s3://bucket/{sqlite_store.uid}")
    assert sealed.places[0].startswith(f"s3://bucket/{sqlite_store.uid}/")
    assert sqlite_store.verify().sealed_up_to == sealed.checkpoint.size


def test_a_second_place_inside_the_store_is_refused(store: Store, refused: Refused) -> None:
    assert store.folder is not None
    refused(InvalidValueError, lambda: store.checkpoint(also=store.folder / "inside"), "outside")  # type: ignore[operator]


def test_a_second_place_that_cannot_be_reached_stops_the_sealing_and_is_named_by_the_check(
    sqlite_store: Store, tmp_path: Path
) -> None:
    sqlite_store.checkpoint(also=tmp_path / "elsewhere")
    before = sqlite_store.log.head()
    shutil.rmtree(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("a file in its place")
    with pytest.raises(StorageError, match="elsewhere"):
        sqlite_store.checkpoint(tmp_path / "c.txt")
    assert not (tmp_path / "c.txt").exists()
    assert sqlite_store.log.head() == before
    assert "truncation is not checkable" in sqlite_store.verify().to_text()


def test_a_rotated_key_signs_no_more_and_its_checkpoints_stay_good(sqlite_store: Store, tmp_path: Path) -> None:
    old = sqlite_store.checkpoint(tmp_path / "old.txt")
    old_key = SigningKey.from_text(key_file(sqlite_store).read_text())
    old_file = key_file(sqlite_store)
    assert sqlite_store.generate_key() == old.key
    new = sqlite_store.generate_key(rotate=True)
    assert new != old.key
    assert not old_file.exists()
    assert sqlite_store.checkpoint(tmp_path / "new.txt").key == new
    assert sqlite_store.verify(checkpoint=tmp_path / "old.txt").ok
    assert [key.until is None for key in sqlite_store.sealing_keys()] == [False, True]
    head = sqlite_store.log.head()
    stolen = old_key.sign(Checkpoint(old_key.name, head.position, head.root).to_text())
    (tmp_path / "stolen.txt").write_text(stolen.to_text())
    assert "after that was replaced" in sqlite_store.verify(checkpoint=tmp_path / "stolen.txt").to_text()


def test_only_the_keys_that_are_given_are_believed(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.checkpoint(tmp_path / "c.txt")
    other = SigningKey.generate(f"lineagelog/{sqlite_store.uid}").verifier.to_text()
    assert "not signed by a key" in sqlite_store.verify(checkpoint=tmp_path / "c.txt", keys=[other]).to_text()
    strange = SigningKey.generate("lineagelog/strange").verifier.to_text()
    with pytest.raises(InvalidValueError, match="another log"):
        sqlite_store.verify(keys=[strange])


def test_whoever_lacks_the_key_is_told_and_may_add_one(sqlite_store: Store, tmp_path: Path) -> None:
    sealed = sqlite_store.checkpoint(tmp_path / "c.txt")
    key_file(sqlite_store).unlink()
    with pytest.raises(DomainError, match="prov key generate"):
        sqlite_store.checkpoint(tmp_path / "d.txt")
    assert not (tmp_path / "d.txt").exists()
    assert sqlite_store.generate_key() != sealed.key
    sqlite_store.checkpoint(tmp_path / "d.txt")
    assert "taken from the log itself" in sqlite_store.verify(checkpoint=tmp_path / "c.txt").to_text()
    assert sqlite_store.verify(checkpoint=tmp_path / "c.txt").ok


def test_an_older_copy_that_is_put_back_refuses_writes(sqlite_store: Store, tmp_path: Path) -> None:
    close_and_copy(sqlite_store, tmp_path / "old.db")
    with Store.open(sqlite_store.folder or "") as store:
        store.ULabel(name="one").save()
        store.checkpoint()
    with put_back(store, tmp_path / "old.db") as older:
        before = older.log.head()
        with pytest.raises(LogCorruptError, match="older copy"):
            older.ULabel(name="two").save()
        assert older.log.head() == before
        assert "shorter than the checkpoint" in older.verify().to_text()
        beside(older)[0].rename(tmp_path / "set aside.txt")
        older.ULabel(name="two").save()


def test_a_fork_refuses_writes_and_both_heads_are_named(sqlite_store: Store, tmp_path: Path) -> None:
    close_and_copy(sqlite_store, tmp_path / "old.db")
    with Store.open(sqlite_store.folder or "") as store:
        store.generate_key()
        first = store.checkpoint(tmp_path / "first.txt")
    (set_aside,) = beside(store)
    set_aside.rename(tmp_path / "set aside.txt")
    with put_back(store, tmp_path / "old.db") as fork:
        # The same key signs another history of the same length.
        fork.ULabel(name="another history").save()
        head = fork.log.head()
        assert head.position == first.checkpoint.size
        key = SigningKey.from_text(location.signing_key_path(fork.uid, first.key.fingerprint).read_text())
        second = key.sign(Checkpoint(key.name, head.position, head.root).to_text())
        (tmp_path / "set aside.txt").rename(set_aside)
        (set_aside.parent / f"{head.position:012d}-{head.root[:16]}-x.txt").write_text(second.to_text())
        text = fork.verify(checkpoint=tmp_path / "first.txt", keys=[first.key.to_text()]).to_text()
        assert "the log was forked" in text
        assert first.checkpoint.root in text
        assert head.root in text


def test_a_longer_fork_refuses_writes(sqlite_store: Store, tmp_path: Path) -> None:
    close_and_copy(sqlite_store, tmp_path / "old.db")
    with Store.open(sqlite_store.folder or "") as store:
        store.checkpoint()
    (set_aside,) = beside(store)
    set_aside.rename(tmp_path / "set aside.txt")
    with put_back(store, tmp_path / "old.db") as fork:
        for number in range(5):
            fork.ULabel(name=f"another history {number}").save()
    (tmp_path / "set aside.txt").rename(set_aside)
    with Store.open(fork.folder or "") as again, pytest.raises(LogCorruptError, match="nothing was recorded"):
        again.ULabel(name="more").save()


def test_a_checkpoint_of_another_store_or_of_nobody_is_found(sqlite_store: Store, tmp_path: Path) -> None:
    sealed = sqlite_store.checkpoint(tmp_path / "c.txt")
    with Store.create(tmp_path / "other") as other:
        assert "another store" in other.verify(checkpoint=sealed).to_text()
    (tmp_path / "bare.txt").write_text(sealed.checkpoint.to_text())
    with pytest.raises(InvalidValueError, match="signatures"):
        sqlite_store.verify(checkpoint=tmp_path / "bare.txt")
    path = beside(sqlite_store)[0]
    path.chmod(0o600)
    path.write_text("nothing")
    assert "damaged or altered" in sqlite_store.verify().to_text()
    path.unlink()


def test_a_proof_of_what_is_later_than_the_checkpoint_is_refused(
    store: Store, tmp_path: Path, refused: Refused
) -> None:
    with pytest.raises(StorageError, match="prov checkpoint"):
        store.prove(store.uid, tmp_path / "p.json")
    store.checkpoint(tmp_path / "c.txt")
    label = store.ULabel(name="later").save()
    refused(DomainError, lambda: store.prove(label, tmp_path / "p.json"), "later than the checkpoint")
    refused(InvalidValueError, lambda: store.prove(None, tmp_path / "p.json"), "nothing")
    newer: SealedCheckpoint = store.checkpoint(tmp_path / "d.txt")
    proof = store.prove(label, tmp_path / "p.json", since=tmp_path / "c.txt")
    assert proof.positions == (newer.checkpoint.size,)
    assert not list(store.events(topic=KeyRegistered.topic))[1:]


def test_no_proof_is_written_of_an_event_that_was_changed(sqlite_store: Store, tmp_path: Path) -> None:
    label = sqlite_store.ULabel(name="checked").save()
    sqlite_store.checkpoint(tmp_path / "c.txt")

    def set_reason(reason: str | None) -> None:
        with sqlite_store.log.database.write() as transaction:
            for name in TRIGGERS["sqlite"]:
                transaction.execute(f"DROP TRIGGER {name}")
            transaction.execute("UPDATE events SET reason = ? WHERE stream = ?", (reason, label.id))
            for statement in TRIGGERS["sqlite"].values():
                transaction.execute(statement)

    set_reason("I was told to")
    with pytest.raises(LogCorruptError, match="was changed after it was recorded"):
        sqlite_store.prove(label, tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()
    set_reason(None)
    sqlite_store.prove(label, tmp_path / "p.json")


def test_an_event_rewritten_with_its_tree_is_told_by_an_export_made_after_it(
    sqlite_store: Store, tmp_path: Path
) -> None:
    label = sqlite_store.ULabel(name="checked").save(reason="by hand")
    sqlite_store.export(tmp_path / "all.trig")
    exported = sqlite_store.log.head().position

    def rewrite(reason: str) -> None:
        with sqlite_store.log.database.write() as transaction:
            for name in TRIGGERS["sqlite"]:
                transaction.execute(f"DROP TRIGGER {name}")
            transaction.execute("UPDATE events SET reason = ? WHERE stream = ?", (reason, label.id))
            frontier = Frontier()
            for row in transaction.read(f"SELECT {', '.join(EVENTS.names)} FROM events ORDER BY position"):
                leaf = leaf_hash(encode_entry(row[:-1]))
                frontier.extend([leaf])
                transaction.execute("UPDATE events SET leaf_hash = ? WHERE position = ?", (leaf.hex(), row[0]))
            head = (frontier.to_bytes().hex(), frontier.root().hex())
            transaction.execute("UPDATE log_head SET frontier = ?, root = ?", head)
            for statement in TRIGGERS["sqlite"].values():
                transaction.execute(statement)

    rewrite("by machine")
    (problem,) = sqlite_store.verify().problems
    assert problem.position == exported
    assert f"says that the first {exported - 1} events had the tree root" in problem.what
    rewrite("by hand")
    assert sqlite_store.verify().ok
