from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog import errors
from lineagelog.store import Store

Frame = Callable[..., pd.DataFrame]
Refused = Callable[..., errors.LineageLogError]


def test_a_context_ends_its_run(store: Store, frame: Frame) -> None:
    with ln.Run(ln.Transform("fit"), name="first", params={"k": 3}) as run:
        assert run.is_open
        artifact = ln.Artifact(frame(), key="t.parquet").save()
    assert (run.status, run.is_open, run.name, run.params) == ("finished", False, "first", {"k": 3})
    assert artifact.run == run
    assert artifact.transform == run.transform
    assert [output.uid for output in run.outputs] == [artifact.uid]
    assert run.finished_at is not None
    assert timedelta(0) <= run.finished_at - run.started_at < timedelta(minutes=1)


def test_an_exception_in_a_context_is_recorded_and_goes_on(store: Store) -> None:
    with pytest.raises(KeyError, match="nope"), ln.Run(ln.Transform("fit")) as run:
        raise KeyError("nope")
    assert (run.status, run.error_type) == ("failed", "KeyError")
    assert "test_an_exception_in_a_context" in (run.error_traceback or "")


def test_an_interrupt_in_a_context_aborts_its_run(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), ln.Run(ln.Transform("fit")) as run:
        raise KeyboardInterrupt
    assert (run.status, run.error_type) == ("aborted", "SIGINT")


def test_a_message_that_the_log_cannot_hold_is_cleaned_not_lost(store: Store) -> None:
    with pytest.raises(ValueError), ln.Run(ln.Transform("fit")) as run:
        raise ValueError("bad \x00 \ud800 password=hunter22hunter22")
    assert run.status == "failed"
    assert "bad" in (run.error_message or "")
    assert not any("hunter22" in str(event.fact) for event in run.history())


def test_a_run_ended_inside_its_context_stays_as_it_is(store: Store) -> None:
    with ln.Run(ln.Transform("fit")) as run:
        run.abort("enough")
    assert (run.refresh().status, run.error_type) == ("aborted", "enough")


def test_nested_runs_are_children_of_the_outer_one(store: Store, frame: Frame) -> None:
    with ln.Run(ln.Transform("outer")) as outer:
        with ln.Run(ln.Transform("inner")) as inner:
            made_inside = ln.Artifact(frame(1), key="a.parquet").save()
        made_outside = ln.Artifact(frame(2), key="b.parquet").save()
    assert inner.initiated_by_run == outer
    assert [run.uid for run in outer.child_runs] == [inner.uid]
    assert outer.initiated_by_run is None
    assert (made_inside.run, made_outside.run) == (inner, outer)


def test_a_run_can_be_named_as_the_maker(store: Store, frame: Frame) -> None:
    run = ln.Run(ln.Transform("fit"))
    artifact = ln.Artifact(frame(1), key="a.parquet", run=run).save()
    assert artifact.run == run
    assert run.status == "started"
    with ln.Run(ln.Transform("other")):
        nobody = ln.Artifact(frame(2), key="b.parquet", run=False).save()
    assert nobody.run is None


def test_a_closed_run_refuses_everything(store: Store, frame: Frame, refused: Refused) -> None:
    artifact = ln.Artifact(frame(1), key="a.parquet", run=False).save()
    with ln.Run(ln.Transform("fit")) as run:
        pass
    refused(errors.RunClosedError, run.finish, "already finished")
    refused(errors.RunClosedError, lambda: run.abort("x"))
    refused(errors.RunClosedError, lambda: run.fail(ValueError()))
    refused(errors.RunClosedError, lambda: run.add_input(artifact))
    refused(errors.RunClosedError, run.__enter__)
    refused(errors.RunClosedError, lambda: ln.Artifact(frame(2), key="b.parquet", run=run).save())
    stale = ln.Run.get(run.uid)
    refused(errors.RunClosedError, stale.finish)


def test_nothing_is_left_in_storage_by_a_refused_save(store: Store, frame: Frame) -> None:
    assert store.folder is not None
    with ln.Run(ln.Transform("fit")) as run:
        pass
    with pytest.raises(errors.RunClosedError):
        ln.Artifact(frame(), key="t.parquet", run=run).save()
    assert not list(store.folder.rglob("*.parquet"))


def test_reading_makes_an_input_once_with_time_user_and_call(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    user = store.login("ada", name="Ada")
    with ln.Run(ln.Transform("read")) as run:
        artifact.load()
        artifact.cache()
        ln.Artifact.get(artifact.uid).load()
    assert [used.uid for used in run.inputs] == [artifact.uid]
    assert [reader.uid for reader in artifact.input_of_runs] == [run.uid]
    (event,) = store.events(topic="input.accessed")
    assert (event.actor, event.run, event.stream) == (user.id, run.id, run.id)
    assert (event.fact.how, event.fact.artifact) == ("load", artifact.id)  # type: ignore[attr-defined]


def test_the_same_artifact_is_an_input_of_each_run_that_reads_it(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    for number in range(2):
        with ln.Run(ln.Transform(f"read {number}")), artifact.open(mode="rb") as handle:
            assert handle.read(4) == b"PAR1"
    assert artifact.input_of_runs.count() == 2


def test_own_outputs_are_no_inputs_unless_said_so(store: Store, frame: Frame) -> None:
    with ln.Run(ln.Transform("make")) as run:
        artifact = ln.Artifact(frame(), key="t.parquet").save()
        artifact.load()
        ln.Artifact.get(artifact.uid).cache()
    assert not run.inputs
    with ln.Run(ln.Transform("again")) as again:
        seen = ln.Artifact(frame(), key="t.parquet").save()
        seen.load()
    assert not again.inputs
    with ln.Run(ln.Transform("third")) as third:
        ln.Artifact(frame(), key="t.parquet").save().load(is_run_input=True)
    assert third.inputs.count() == 1


def test_input_tracking_can_be_switched_off_and_overridden(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    with ln.Run(ln.Transform("quiet")) as quiet:
        artifact.load(is_run_input=False)
        ln.settings.track_run_inputs = False
        artifact.load()
        assert not quiet.inputs
        artifact.load(is_run_input=True)
        assert quiet.inputs.count() == 1


def test_reading_outside_of_a_run_records_nothing(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    head = store.log.head()
    artifact.load()
    assert store.log.head() == head


def test_one_artifact_may_play_two_roles(store: Store, frame: Frame) -> None:
    artifact = ln.Artifact(frame(), key="t.parquet", run=False).save()
    with ln.Run(ln.Transform("fit")) as run:
        run.add_input(artifact, role="training")
        run.add_input(artifact, role="test")
        run.add_input(artifact, role="test")
    assert [event.fact.role for event in store.events(topic="input.accessed")] == ["training", "test"]  # type: ignore[attr-defined]
    assert [used.uid for used in run.inputs] == [artifact.uid]


def test_name_and_reference_of_a_run_change_and_the_rest_does_not(store: Store, refused: Refused) -> None:
    with ln.Run(ln.Transform("fit")) as run:
        pass
    run.name = "the good one"
    run.reference = "https://example.org/runs/1"
    run.save()
    assert ln.Run.get(run.uid).name == "the good one"
    for field in ("params", "status", "started_at", "git_commit", "transform_id", "uid"):
        refused(errors.ImmutableFieldError, lambda field=field: setattr(run, field, "x"), field)  # type: ignore[misc]


def test_a_reference_that_is_assigned_later_keeps_no_password(store: Store) -> None:
    run = ln.Run(ln.Transform("fit")).save()
    run.reference = "https://ada:hunter22@example.org/runs/1"
    run.save()
    assert run.reference == "https://example.org/runs/1"
    assert not any("hunter22" in str(event.fact) for event in run.history())


def test_a_run_needs_a_transform(store: Store) -> None:
    with pytest.raises(TypeError, match="str"):
        ln.Run("script.py")  # type: ignore[arg-type]


def test_the_context_of_a_run_elsewhere_hides_none_of_this_store(store: Store, frame: Frame, tmp_path: Path) -> None:
    with Store.create(tmp_path / "other") as other, store.Run(store.Transform("here")) as here:
        with other.Run(other.Transform("elsewhere")) as elsewhere:
            ours = store.Artifact(frame(1), key="t.parquet").save()
            theirs = other.Artifact(frame(2), key="t.parquet").save()
        assert elsewhere.outputs.one() == theirs
    assert here.outputs.one() == ours


def test_a_forked_child_that_leaves_the_context_does_not_end_the_run(store: Store, frame: Frame) -> None:
    with ln.Run(ln.Transform("parent")) as run:
        child = 0
        try:
            child = os.fork()
            if child == 0:
                with ln.Run(ln.Transform("child")):
                    pass
                run.__exit__(None, None, None)
        finally:
            if child == 0:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0
        assert run.refresh().status == "started"
        ln.Artifact(frame(), key="t.parquet").save()
    assert run.refresh().status == "finished"
    assert run.child_runs.one().status == "finished"


def test_a_run_is_entered_once_at_a_time(store: Store) -> None:
    with ln.Run(ln.Transform("make")) as run, pytest.raises(errors.DomainError, match="entered already"), run:
        pass
    assert ln.Run.get(run.uid).status == "finished"
