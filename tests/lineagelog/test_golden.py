"""Logs of each released version: opened, verified, rebuilt and exported as they were."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from lineagelog.domain.event import TOPICS, UnknownEvent
from lineagelog.domain.version import VERSION
from lineagelog.pytest_plugin import assert_replay_agrees
from lineagelog.recording import open_recorded

RECORDED = Path(__file__).parents[1] / "recorded"
LOGS = sorted((RECORDED / "logs").glob("*.jsonl"))


@pytest.fixture
def golden() -> ModuleType:
    """The program that records golden logs, and says what is made of them."""
    spec = importlib.util.spec_from_file_location("golden", RECORDED / "golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_released_log_is_read_and_exported_as_it_was(
    path: Path, database: str, request: pytest.FixtureRequest, golden: ModuleType, tmp_path: Path
) -> None:
    db = request.getfixturevalue("postgresql_address") if database == "postgresql" else None
    with open_recorded(path, db=db) as store:
        assert store.verify().ok
        assert not [event.topic for event in store.events() if isinstance(event.fact, UnknownEvent)]
        made = golden.pins(store)
        pinned = json.loads(path.with_suffix(".json").read_text())
        changed = [name for name, value in made["exports"].items() if pinned["exports"].get(name) != value]
        assert not changed, (
            f"these exports of a log of {path.stem} are other than they were; if that is meant: make pins"
        )
        assert made == pinned, "what is made of an old log has changed; if that is meant: make pins"
        assert store.rebuild() == made["n_events"]
        assert_replay_agrees(store)
        assert golden.pins(store) == pinned
        assert store.record_log(tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


def test_the_log_of_this_version_holds_every_kind_of_event() -> None:
    with open_recorded(RECORDED / "logs" / f"{VERSION}.jsonl") as store:
        missing = set(TOPICS) - {event.topic for event in store.events()}
    assert not missing, "let tests/recorded/golden.py cause these kinds of events, then: make golden"
