"""A store that demands reasons: no change without one, the refusal on record, what only adds is free."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog.cli import exits
from lineagelog.cli.app import run
from lineagelog.domain.errors import ArtifactDeletedError, ReasonRequiredError
from lineagelog.domain.event import TOPICS
from lineagelog.domain.policy import AttemptRefused, PolicyChanged, demands_reason
from lineagelog.store import Store

BLANK = [None, "", "  ", "\t\n"]


@pytest.fixture
def strict(store: Store, frame: Callable[..., pd.DataFrame]) -> Any:
    """A store with some records, which demands reasons."""
    store.login("ana", name="Ana")
    artifact = ln.Artifact.from_dataframe(frame(), key="a.csv").save()
    label = ln.ULabel("good").save()
    parent = ln.ULabel("any").save()
    feature = ln.Feature("mass", dtype="float").save()
    project = ln.Project("study").save()
    artifact.ulabels.add(label)
    artifact.projects.add(project)
    artifact.features.add_values({feature: 1.0})
    label.parents.add(parent)
    store.policy.set_require_reason()
    return artifact, label, parent, feature, project


def changes_of(store: Store, records: Any, folder: Path) -> dict[str, Callable[[str | None], Any]]:
    """Everything that changes or takes away: what it records, and how it is done with a reason."""
    artifact, label, parent, feature, project = records

    def assign(reason: str | None) -> None:
        fresh = ln.Artifact.get(artifact.uid)
        fresh.description = "new"
        fresh.save(reason=reason)

    def rename(reason: str | None) -> None:
        user = store.User.get(handle="ana")
        user.email = "ana@example.org"
        ln.save([user], reason=reason)

    def elsewhere(reason: str | None) -> None:
        (folder / "elsewhere").mkdir(exist_ok=True)
        ln.Storage(folder / "elsewhere").save().make_default(reason=reason)

    return {
        "artifact.updated.1": assign,
        "user.updated.1": rename,
        "storage.made_default.1": elsewhere,
        "feature_values.set.1": lambda reason: artifact.features.add_values({feature: 2.0}, reason=reason),
        "feature_values.removed.1": lambda reason: artifact.features.remove_values(feature, reason=reason),
        "label.detached.1": lambda reason: artifact.ulabels.remove(label, reason=reason),
        "parent.removed.1": lambda reason: label.parents.remove(parent, reason=reason),
        "project.unassigned.1": lambda reason: artifact.projects.remove(project, reason=reason),
        "artifact.trashed.1": lambda reason: ln.Artifact.filter(key="a.csv").delete(reason=reason),
        "artifact.restored.1": lambda reason: artifact.restore(reason=reason),
        "artifact.deleted.1": lambda reason: artifact.delete(permanent=True, reason=reason),
        "policy.changed.1": lambda reason: store.policy.set_require_reason(False, reason=reason),
    }


def test_no_change_without_a_reason_and_each_with_it_verbatim(store: Store, strict: Any, tmp_path: Path) -> None:
    for number, (topic, change) in enumerate(changes_of(store, strict, tmp_path).items()):
        before = store.log.head().position
        with pytest.raises(ReasonRequiredError, match="demands a reason for each change and deletion") as caught:
            change(BLANK[number % len(BLANK)])
        assert caught.value.attempt == topic
        recorded = [event for event in store.events(after=before) if event.topic != "storage.registered.1"]
        (refused,) = recorded
        assert isinstance(refused.fact, AttemptRefused)
        assert (refused.fact.attempt, refused.fact.why) == (topic, "no reason was given")
        assert refused.actor == store.User.get(handle="ana").id
        reason = f" because of {topic}; =1+1 \n and ünïcode "
        change(reason)
        last = list(store.events(after=before))[-1]
        assert (last.topic, last.reason) == (topic, reason)
    assert not store.policy.require_reason


def test_every_topic_that_changes_something_is_tried_here(store: Store, strict: Any, tmp_path: Path) -> None:
    tried = set(changes_of(store, strict, tmp_path))
    # These are changes of fields like any other, by the same code; orphans have their own test.
    alike = {topic for topic in TOPICS if topic.partition(".")[2] == "updated.1"} | {"storage.collected.1"}
    adds = {topic for topic in TOPICS if topic.split(".")[1] in (
        "registered", "defined", "created", "started", "finished", "failed", "aborted", "accessed", "seen_again", "attached",
        "assigned", "added", "recorded", "verified", "checked", "trusted", "made", "sealed", "logged_in", "logged_out", "refused",
    )}  # fmt: skip
    left = set(TOPICS) - tried - alike - adds
    assert not left, f"decide whether these demand a reason (demands_reason), and try them here: {left}"


def test_what_only_adds_needs_no_reason(store: Store, strict: Any, frame: Callable[..., pd.DataFrame]) -> None:
    artifact = ln.Artifact.from_dataframe(frame(2), key="a.csv").save()
    artifact.ulabels.add(ln.ULabel("better").save())
    artifact.features.add_values({"mass": 3.0})
    with ln.Run(ln.Transform("t").save()):
        artifact.load()
    store.login("bo", name="Bo")
    store.logout()
    assert not [event for event in store.events() if isinstance(event.fact, AttemptRefused)]


def test_a_refusal_names_the_change_and_the_record_as_the_trail_does(store: Store, strict: Any) -> None:
    artifact = strict[0]
    with pytest.raises(
        ReasonRequiredError, match=f"none was given for ArtifactTrashed of Artifact {artifact.uid}; nothing"
    ):
        artifact.delete()
    (*_, row) = store.audit(record=artifact.uid)
    assert (row.event, row.key, row.details) == (
        "AttemptRefused",
        artifact.key,
        {"attempt": "ArtifactTrashed", "why": "no reason was given"},
    )


def test_one_reason_for_several_changes(store: Store, strict: Any, frame: Callable[..., pd.DataFrame]) -> None:
    artifact = strict[0]
    with store.because("new calibration"):
        artifact.description = "new"
        artifact.save()
        artifact.features.add_values({"mass": 5.0}, reason="measured anew")
        ln.Artifact.from_dataframe(frame(7), key="b.csv").save()
    assert [event.reason for event in store.events()][-3:] == ["new calibration", "measured anew", "new calibration"]
    with pytest.raises(ReasonRequiredError):
        artifact.delete()
    ln.ULabel("odd").save(reason="asked for by Bo")
    assert list(store.events())[-1].reason == "asked for by Bo"


def test_the_policy_is_looked_at_under_the_lock(store: Store, strict: Any) -> None:
    store.policy.set_require_reason(False, reason="over")
    artifact = ln.Artifact.get(strict[0].uid)
    artifact.description = "new"
    # Another process has the last word between reading and writing.
    with Store.open(store.address) as other:
        other.policy.set_require_reason()
        with pytest.raises(ReasonRequiredError):
            artifact.save()
    store.policy.set_require_reason(reason="on again, which it is already")
    assert [type(event.fact) for event in store.events()][-2:] == [PolicyChanged, AttemptRefused]


def test_a_refused_deletion_keeps_the_content(store: Store, strict: Any) -> None:
    artifact = strict[0]
    with pytest.raises(ReasonRequiredError):
        artifact.delete(permanent=True)
    assert len(artifact.load()) == 3


def test_who_tries_to_use_deleted_content_is_on_record_once(store: Store, strict: Any) -> None:
    artifact = strict[0]
    artifact.delete(permanent=True, reason="personal data of somebody")
    for use in (artifact.load, artifact.cache, artifact.open):
        before = store.log.head().position
        with pytest.raises(ArtifactDeletedError):
            use()
        (event,) = store.events(after=before)
        assert event.fact == AttemptRefused(
            attempt="use of deleted content", why="it was deleted for good", registry="Artifact", uid=artifact.uid
        )
    entry = next(store.trail(what="AttemptRefused"))
    assert (entry.who, entry.kind, entry.uid, entry.key) == ("ana", "Artifact", artifact.uid, artifact.key)
    # Whoever asks what happened to the record learns what was refused as well, and nothing of other records.
    happened = [row.event for row in store.audit(record=artifact.uid)]
    assert happened[-4:] == ["ArtifactDeleted", *["AttemptRefused"] * 3]
    assert happened.count("AttemptRefused") == 3
    assert "AttemptRefused" not in [row.event for row in store.audit(record=strict[1].uid)]


def test_the_command_line_asks_for_reasons_too(
    store: Store, strict: Any, capsys: pytest.CaptureFixture[str], frame: Callable[..., pd.DataFrame]
) -> None:
    at = ["--store", store.address]
    uid = strict[0].uid

    def prov(*arguments: str, code: int = exits.DONE) -> tuple[str, str]:
        capsys.readouterr()
        assert run([*arguments, *at]) == code, capsys.readouterr().err
        captured = capsys.readouterr()
        return captured.out, captured.err

    assert json.loads(prov("policy", "show", "--json")[0]) == {"require_reason": True}
    before = store.log.head().position
    for arguments in (["trash", uid], ["trash", uid, "--reason", " "], ["policy", "require-reason", "--off"]):
        assert "--reason" in prov(*arguments, code=exits.REFUSED)[1]
    assert {event.topic for event in store.events(after=before)} == {"attempt.refused.1"}
    prov("login", "ana", "--name", "Ana B.", code=exits.REFUSED)
    prov("login", "ana", "--name", "Ana B.", "--reason", "married")
    prov("trash", uid, "--reason", "wrong")
    prov("policy", "require-reason", "--off", "--reason", "the study is closed")
    prov("restore", uid)
    reasons = [event.reason for event in store.events(after=before) if demands_reason(event.fact)]
    assert reasons == ["married", "wrong", "the study is closed", None]
