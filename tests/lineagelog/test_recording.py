"""Recorded logs: what is recorded from one store is the same log in another."""

from __future__ import annotations

from pathlib import Path

from lineagelog.pytest_plugin import assert_replay_agrees
from lineagelog.recording import open_recorded, record_log
from lineagelog.store import Store


def test_a_recorded_log_gives_the_same_store_again(store: Store, tmp_path: Path) -> None:
    store.login("ana", name="Ana Nowak")
    run = store.Run(store.Transform("count"), params={"k": 3}).save().finish()
    recorded = record_log(store, tmp_path / "study.jsonl")
    with open_recorded(recorded) as again:
        assert again.uid == store.uid
        assert again.log.head() == store.log.head()
        assert list(again.events()) == list(store.events())
        assert again.Run.get(run.uid).params == {"k": 3}
        assert_replay_agrees(again)
