from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.domain.event import UnknownEvent
from lineagelog.pytest_plugin import assert_replay_agrees
from lineagelog.recording import open_recorded, record_log
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Lines = list[dict[str, Any]]

SAMPLE = Path(__file__).parents[1] / "recorded" / "study.jsonl"


@pytest.fixture
def recorded(sqlite_store: Store, frame: Frame, tmp_path: Path) -> Path:
    """A recorded log of a user, a run, its input, and an artifact in two versions."""
    sqlite_store.login("ada", name="Ada Lovelace")
    raw = ln.Artifact(frame(1), key="räw.parquet", run=False).save()
    with ln.Run(ln.Transform("clean")):
        raw.load()
        ln.Artifact(frame(2), key="räw.parquet").save()
    return record_log(sqlite_store, tmp_path / "study.jsonl")


def test_a_replayed_log_is_the_same_log(store: Store, frame: Frame, tmp_path: Path) -> None:
    store.login("ada", name="Ada Lovelace")
    with store.Run(store.Transform("make")):
        artifact = store.Artifact(frame(), key="t.parquet").save()
    head = store.log.head()
    path = store.record_log(tmp_path / "study.jsonl")
    assert store.log.head() == head, "recording is no event"
    with Store.open_recorded(path) as replayed:
        assert replayed.log.head() == head
        assert list(replayed.events()) == list(store.events())
        assert (replayed.id, replayed.uid, replayed.name) == (store.id, store.uid, store.name)
        assert_replay_agrees(replayed)
        pd.testing.assert_frame_equal(replayed.Artifact.to_dataframe(), store.Artifact.to_dataframe())
        assert replayed.verify().ok
        assert len(replayed.Artifact.get(artifact.uid).upstream()) == 1
        again = replayed.record_log(tmp_path / "again.jsonl")
    assert again.read_bytes() == path.read_bytes()


def test_a_log_recorded_on_one_database_is_replayed_on_the_other(
    recorded: Path, postgresql_address: str, tmp_path: Path
) -> None:
    with open_recorded(recorded, db=postgresql_address) as on_server:
        assert_replay_agrees(on_server)
        assert record_log(on_server, tmp_path / "again.jsonl").read_bytes() == recorded.read_bytes()
    with (
        Store.open(postgresql_address) as reopened,
        pytest.raises(errors.StoreExistsError, match="empty database only"),
    ):
        open_recorded(recorded, db=postgresql_address)
    assert reopened.closed


def test_a_replayed_store_goes_on(recorded: Path) -> None:
    with open_recorded(recorded) as replayed:
        position = replayed.log.head().position
        replayed.login("ada")
        artifact = replayed.Artifact.get(key="räw.parquet")
        artifact.description = "changed after the replay"
        artifact.save()
        assert replayed.log.head().position == position + 2
        assert_replay_agrees(replayed)


def test_content_is_found_in_the_folder_that_is_named(recorded: Path, store_folder: Path, frame: Frame) -> None:
    with open_recorded(recorded) as bare, pytest.raises(errors.StorageError, match="folder"):
        bare.Artifact.get(key="räw.parquet").load()
    with open_recorded(recorded, folder=store_folder) as replayed:
        pd.testing.assert_frame_equal(replayed.Artifact.get(key="räw.parquet").load(), frame(2))


def test_a_replayed_store_is_not_put_on_the_list_of_known_ones(recorded: Path, sqlite_store: Store) -> None:
    known = ln.list_stores()
    with open_recorded(recorded):
        assert ln.current_store() is sqlite_store
    assert ln.list_stores() == known


def _alter(lines: Lines, number: int, **values: Any) -> Lines:
    return [*lines[:number], lines[number] | values, *lines[number + 1 :]]


def _payload(lines: Lines) -> Lines:
    return _alter(lines, 6, payload=lines[6]["payload"].replace("}", ',"extra":1}', 1))


FORGERIES: dict[str, Callable[[Lines], Lines]] = {
    "payload altered": _payload,
    "actor altered": lambda lines: _alter(lines, 6, actor=lines[1]["stream"][:-1] + "0"),
    "time altered": lambda lines: _alter(lines, 6, recorded_at="2020-01-01T00:00:00.000000Z"),
    "reason added": lambda lines: _alter(lines, 6, reason="because"),
    "leaf hash altered": lambda lines: _alter(lines, 6, leaf_hash="0" * 64),
    "leaf hash missing": lambda lines: [
        *lines[:6],
        {k: v for k, v in lines[6].items() if k != "leaf_hash"},
        *lines[7:],
    ],
    "column of another type": lambda lines: _alter(lines, 6, position="6"),
    "column that is true": lambda lines: _alter(lines, 1, position=True),
    "column that must not be null": lambda lines: _alter(lines, 6, topic=None),
    "column added": lambda lines: _alter(lines, 6, extra=1),
    "NUL": lambda lines: _alter(lines, 6, reason="a\x00b"),
    "event missing": lambda lines: [*lines[:6], *lines[7:]],
    "event twice": lambda lines: [*lines[:7], *lines[6:]],
    "events swapped": lambda lines: [*lines[:6], lines[7], lines[6], *lines[8:]],
    "last event missing": lambda lines: [*lines[:-2], lines[-1]],
    "footer missing": lambda lines: lines[:-1],
    "everything after the header missing": lambda lines: lines[:1],
    "empty": lambda _: [],
    "header missing": lambda lines: lines[1:],
    "header of another store": lambda lines: _alter(lines, 0, store="AAAAAAAA"),
    "footer with another count": lambda lines: _alter(lines, -1, count=3)[: len(lines)],
    "footer with another root": lambda lines: [*lines[:-1], lines[-1] | {"root": "0" * 64}],
    "line after the footer": lambda lines: [*lines, lines[-1]],
    "not an object": lambda lines: [*lines[:6], [1, 2], *lines[7:]],  # type: ignore[list-item]
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_file_that_is_not_as_it_was_recorded_is_refused(recorded: Path, tmp_path: Path, forgery: str) -> None:
    lines = [json.loads(line) for line in recorded.read_text().splitlines()]
    forged = tmp_path / "forged.jsonl"
    forged.write_text("".join(json.dumps(line) + "\n" for line in FORGERIES[forgery](lines)))
    with pytest.raises(errors.LogCorruptError, match=r"forged\.jsonl.*line \d+"):
        open_recorded(forged, db=tmp_path / "replayed.db")
    assert not list(tmp_path.glob("replayed.db*"))


@pytest.mark.parametrize("damage", [b"{", b"\xff\xfe", b'"\\ud800"', b"[" * 5000, b""], ids=repr)
def test_a_line_that_is_not_json_is_refused(recorded: Path, tmp_path: Path, damage: bytes) -> None:
    lines = recorded.read_bytes().splitlines()
    lines[5] = damage
    (tmp_path / "forged.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(errors.LogCorruptError, match="line 6"):
        open_recorded(tmp_path / "forged.jsonl")


def test_a_refused_log_leaves_an_empty_server_empty(recorded: Path, postgresql_address: str, tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl").write_bytes(b"".join(recorded.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(errors.LogCorruptError, match="cut short"):
        open_recorded(tmp_path / "cut.jsonl", db=postgresql_address)
    with open_recorded(recorded, db=postgresql_address) as replayed:
        assert_replay_agrees(replayed)


def test_a_refused_log_takes_no_file_away_that_is_named_alike(recorded: Path, tmp_path: Path) -> None:
    cut, other = tmp_path / "cut.jsonl", tmp_path / "replayed.db.notes.txt"
    cut.write_bytes(b"".join(recorded.read_bytes().splitlines(keepends=True)[:-1]))
    other.write_text("mine")
    with pytest.raises(errors.LogCorruptError, match="cut short"):
        open_recorded(cut, db=tmp_path / "replayed.db")
    assert list(tmp_path.glob("replayed.db*")) == [other]


def test_a_recording_of_newer_software_is_refused(recorded: Path, tmp_path: Path) -> None:
    lines = recorded.read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"lineagelog_recording": 2})
    (tmp_path / "newer.jsonl").write_text("\n".join(lines))
    with pytest.raises(errors.SchemaVersionError, match="newer"):
        open_recorded(tmp_path / "newer.jsonl")


def test_a_log_that_was_tampered_with_is_not_recorded(tmp_path: Path) -> None:
    import sqlite3

    with Store.create(tmp_path / "forged") as store:
        store.login("ada", name="Ada")
        with sqlite3.connect(tmp_path / "forged/.lineagelog/store.db") as connection:
            connection.execute("DROP TRIGGER events_refuse_update")
            connection.execute("UPDATE events SET reason = 'forged' WHERE position = 5")
        connection.close()
        with pytest.raises(errors.LogCorruptError, match="prov verify"):
            store.record_log(tmp_path / "forged.jsonl")
    assert not list(tmp_path.glob("*forged.jsonl*"))


def test_paths_that_cannot_be_used(recorded: Path, sqlite_store: Store, tmp_path: Path) -> None:
    with pytest.raises(errors.ObjectMissingError, match=r"nope\.jsonl"):
        open_recorded(tmp_path / "nope.jsonl")
    with pytest.raises(errors.ExportError, match="nowhere"):
        sqlite_store.record_log(tmp_path / "nowhere/a.jsonl")
    (tmp_path / "taken").mkdir()
    with pytest.raises(errors.ExportError, match="taken"):
        sqlite_store.record_log(tmp_path / "taken")
    with pytest.raises(errors.StorageError):
        open_recorded(recorded, db=tmp_path / "nowhere" / "a.db")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_stored_sample_replays_for_ever() -> None:
    """A log recorded by version 0.1.0, with every kind of event a user can cause; later versions must read it."""
    with open_recorded(SAMPLE) as study:
        assert_replay_agrees(study)
        assert study.verify().ok
        figure = study.Artifact.get(key="figure.csv")
        assert figure.run is not None
        assert figure.run.transform.key == "plot"
        assert [artifact.key for artifact in figure.run.inputs] == ["clean.csv"]
        assert [run.status for run in study.Run.all()] == ["finished", "finished", "failed", "aborted", "finished"]
        assert {user.handle for user in study.User.all()} == {"anonymous", "ada", "grace"}
        assert list(figure.upstream()["kind"]) == ["run", "artifact", "run", "artifact", "run"]
        assert figure.description == "Figure 1"
        unknown = [event.topic for event in study.events() if isinstance(event.fact, UnknownEvent)]
        assert not unknown, "a kind of event was forgotten"
        assert len({event.topic for event in study.events()}) == 23
