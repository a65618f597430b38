"""The end of artifacts: trash, restoring, deletion for good, replacement, and what is saved again afterwards."""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lineagelog as ln
from lineagelog import errors
from lineagelog.domain.event import RecordedEvent
from lineagelog.projections.query import Query
from lineagelog.pytest_plugin import assert_replay_agrees
from lineagelog.store import Store

Write = Callable[[str, str], Path]
Refused = Callable[..., errors.LineageLogError]
StartScript = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def save(write: Write) -> Callable[..., ln.Artifact]:
    """Save a text."""

    def call(text: str, key: str | None = "a.txt", **options: Any) -> ln.Artifact:
        return ln.Artifact(write("content.txt", text), key=key, **options).save()

    return call


def topics(artifact: ln.Artifact) -> list[str]:
    return [event.topic for event in artifact.history()]


def last(artifact: ln.Artifact) -> RecordedEvent:
    return list(artifact.history())[-1]


def test_the_trash_hides_and_gives_back(store: Store, save: Any) -> None:
    first, second = save("one"), save("two")
    second.delete(reason="wrong day")
    assert (second.state, second.is_latest, first.refresh().is_latest) == ("trashed", False, True)
    assert last(second).reason == "wrong day"
    assert second.load() == "two"
    assert ln.Artifact.get(key="a.txt") == first
    assert second.restore(reason="it was right") is second
    assert (second.state, second.is_latest, first.refresh().is_latest) == ("live", True, False)
    assert topics(second) == ["artifact.registered.1", "artifact.trashed.1", "artifact.restored.1"]
    first.delete()
    assert second.refresh().is_latest


def test_every_query_of_the_registry_leaves_out_what_has_ended_and_counts_what_it_shows(
    store: Store, save: Any
) -> None:
    kept, trashed, deleted = save("1", "k.txt"), save("2", "t.txt"), save("3", "d.txt")
    trashed.delete()
    deleted.delete(permanent=True)
    everything = [kept, trashed, deleted]
    for query in (
        ln.Artifact.filter(),
        ln.Artifact.all(),
        ln.Artifact.search("txt"),
        ln.Artifact.filter(suffix=".txt"),
    ):
        assert list(query) == [kept]
        assert (query.count(), len(query), query.first(), query.last(), query.one()) == (1, 1, kept, kept, kept)
        assert list(query.to_dataframe().index) == [kept.uid]
        assert query.values_list("uid") == [(kept.uid,)]
        assert list(query[:3]) == list(query.order_by("-size")) == list(query.exclude(size=7)) == [kept]
    assert not ln.Artifact.filter(key="t.txt").exists()
    assert dir(ln.Artifact.lookup()) == ["k_txt"]
    assert list(store.view()["Artifact"].index) == [kept.uid]
    assert store.overview().counts["artifacts"] == 1
    assert list(ln.Artifact.filter(state="trashed")) == [trashed]
    assert list(ln.Artifact.filter(state__in=["trashed", "live"])) == [kept, trashed]
    assert list(ln.Artifact.filter().exclude(state="live")) == [trashed, deleted]
    assert list(ln.Artifact.filter(~ln.Q(state="live") | ln.Q(key="x"), suffix=".txt")) == [trashed, deleted]
    assert list(ln.Artifact.filter(state="deleted")[:1].filter(suffix=".txt")) == [deleted]
    assert list(ln.Artifact.all()[:3].filter(state="trashed")) == [], "a slice keeps to the rows it had"
    assert list(ln.Artifact.filter().all_states()) == everything
    for artifact in everything:
        assert ln.Artifact.get(artifact.uid) == artifact
    with pytest.raises(errors.RecordNotFoundError):
        ln.Artifact.get(trashed.uid[:10])


def test_history_is_shown_whole_from_records_and_over_relations(store: Store, save: Any) -> None:
    with ln.Run(ln.Transform("make")) as run:
        made = save("1")
    with ln.Run(ln.Transform("use")) as reader:
        made.load()
    label, project = ln.ULabel("good").save(), ln.Project("screen").save()
    made.labels.add(label)
    made.projects.add(project)
    collection = ln.Collection([made], "all").save()
    newer = save("2", run=False)
    made.delete(permanent=True, reason="too large")
    assert list(run.outputs) == list(reader.inputs) == list(collection.artifacts) == [made]
    assert list(newer.versions) == [made, newer]
    assert list(run.transform.artifacts) == [made]
    assert list(ln.Run.filter(inputs__key="a.txt")) == [reader]
    assert list(ln.Run.filter(outputs=made)) == [run]
    assert list(ln.Collection.filter(artifacts__state="deleted")) == [collection]
    assert list(ln.Run.filter(inputs__in=ln.Artifact.filter(key="a.txt"))) == [], "this query starts at the registry"
    assert (list(made.ulabels), list(made.projects)) == ([label], [project])
    assert list(made.downstream()["uid"]) == [reader.uid]
    assert set(collection.upstream()["uid"]) == {made.uid, run.uid}
    assert made.lineage_graph().nodes[made.uid]["state"] == "deleted"
    assert ln.Artifact.filter(key="a.txt").to_dataframe()["revises"].tolist() == [made.uid]
    made.describe()


def test_deleting_for_good_removes_the_bytes_the_store_has_put_there(store: Store, save: Any) -> None:
    store.login("mara", name="Mara")
    artifact = save("secret")
    path = artifact.path
    artifact.delete(permanent=True, reason="holds personal data")
    assert (artifact.state, artifact.content_removed, artifact.is_latest) == ("deleted", True, False)
    assert not path.exists()
    gone = last(artifact).fact
    assert (gone.path, gone.hash, gone.size_bytes, gone.content_removed, gone.latest) == (
        artifact.storage_path, artifact.hash, 6, True, None,
    )  # fmt: skip
    for use in (artifact.load, artifact.cache, artifact.open, lambda: ln.Collection([artifact], "c")):
        with pytest.raises(errors.ArtifactDeletedError, match=r"by mara on 20.* UTC \(holds personal data\)"):
            use()
    with ln.Run(ln.Transform("use")) as run, pytest.raises(errors.ArtifactDeletedError):
        run.add_input(artifact)
    assert not run.inputs.exists()
    for use in (artifact.backed, artifact.stage, artifact.view_tree, lambda: artifact.open("rb")):
        with pytest.raises(errors.ArtifactDeletedError, match="by mara"):
            use()
    artifact.description = "what it was"
    artifact.save(reason="for the record")
    assert ln.Artifact.get(artifact.uid).description == "what it was"


def test_a_collection_says_who_deleted_what_it_holds(sqlite_store: Store) -> None:
    table = ln.Artifact(pd.DataFrame({"x": [1]}), key="a.parquet", run=False).save()
    collection = ln.Collection([table], "c", run=False).save()
    table.delete(permanent=True, reason="holds personal data")
    for use in (collection.open, collection.load):
        with pytest.raises(errors.ArtifactDeletedError, match=r"by anonymous on .* \(holds personal data\)"):
            use()


def test_what_lies_in_place_belongs_to_the_user(store: Store, refused: Refused) -> None:
    assert store.folder is not None
    folder = store.folder / "raw"
    folder.mkdir()
    kept, dropped, whole = folder / "kept.txt", folder / "dropped.txt", folder
    kept.write_text("1")
    dropped.write_text("2")
    of_file, of_other, of_folder = (ln.Artifact(path).save() for path in (kept, dropped, whole))
    assert of_file.storage_path == "raw/kept.txt"
    of_file.delete(permanent=True)
    assert kept.exists()
    assert (of_file.state, of_file.content_removed) == ("deleted", False)
    with pytest.raises(errors.ArtifactDeletedError):
        of_file.load()
    error = refused(errors.ConstraintError, lambda: of_folder.delete(permanent=True, storage=True))
    assert of_other.uid in str(error)
    refused(errors.ConstraintError, lambda: of_other.delete(permanent=True, storage=True), of_folder.uid)
    assert dropped.exists()
    assert ln.Artifact.filter(id__in=[of_folder.id, of_other.id]).delete(permanent=True, storage=True) == 2
    assert not folder.exists()


def test_bytes_can_be_left_where_they_are(store: Store, save: Any) -> None:
    artifact = save("x")
    artifact.delete(permanent=True, storage=False)
    assert artifact.path.exists()
    assert not artifact.content_removed


def test_a_place_that_holds_the_store_is_never_removed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outer" / "data").mkdir(parents=True)
    (tmp_path / "outer" / "data" / "a.txt").write_text("1")
    ln.Storage(tmp_path / "outer").save()
    artifact = ln.Artifact(tmp_path / "outer" / "data").save()
    assert store.folder is not None
    (tmp_path / "outer" / "data" / "store").symlink_to(store.folder)
    store.folder.rename(tmp_path / "outer" / "data" / "moved")
    moved, store.folder = store.folder, tmp_path / "outer" / "data" / "moved"
    # The database is still found where it was opened.
    moved.symlink_to(store.folder)
    try:
        # While the folder is elsewhere, only connections that are open already reach the database.
        before = store.log.head()
        with pytest.raises(errors.ConstraintError, match="holds the store itself"):
            artifact.delete(permanent=True, storage=True)
        assert store.log.head() == before
    finally:
        moved.unlink()
        store.folder.rename(moved)
        store.folder = moved


def test_content_saved_again_comes_back_from_the_trash_and_not_from_a_deletion(
    store: Store, save: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = save("one"), save("two")
    second.delete()
    again = save("two")
    assert (again, again.state, again.is_latest, again.version_number) == (second, "live", True, 1)
    assert topics(again)[-2:] == ["artifact.restored.1", "artifact.seen_again.1"]
    assert "which was in the trash and is restored" in capsys.readouterr().err
    first.delete()
    third = save("one")
    assert (third.version_number, third.revises_id) == (2, second.id)
    third.delete(permanent=True)
    assert second.refresh().is_latest
    fourth = save("one")
    assert (fourth.version_number, fourth.revises_id) == (3, second.id)
    for artifact in (second.refresh(), fourth):
        artifact.delete(permanent=True)
    fifth = save("five")
    assert (fifth.version_number, fifth.uid[:16]) == (4, first.uid[:16])
    assert fifth.revises_id == first.id, "the only version that is not deleted lies in the trash"
    nameless = save("n", key=None)
    nameless.delete()
    assert save("n", key=None) == nameless
    nameless.refresh().delete(permanent=True)
    assert save("n", key=None) != nameless


def test_a_replacement_is_the_next_version_and_takes_over_what_the_artifact_is_about(
    store: Store, save: Any, write: Write, refused: Refused
) -> None:
    old = save("wrong", description="weights", kind="dataset")
    label, project = ln.ULabel("good").save(), ln.Project("screen").save()
    ln.Feature("mean", dtype="float").save()
    old.labels.add(label)
    old.projects.add(project)
    old.features.add_values({"mean": 2.5})
    new = old.replace(write("right.txt", "right"), reason="wrong unit")
    assert (new.uid[:16], new.version_number, new.revises_id) == (old.uid[:16], 1, old.id)
    assert (new.key, new.description, new.kind, new.load()) == ("a.txt", "weights", "dataset", "right")
    assert (list(new.ulabels), list(new.projects), new.features.get_values()) == ([label], [project], {})
    assert (old.state, old.is_latest, new.is_latest) == ("trashed", False, True)
    assert last(old).reason == "wrong unit" == next(new.history()).reason
    assert last(old).position - next(new.history()).position == 3, "one transaction, nothing in between"
    new.description = "weights in kg"
    new.save()
    refused(
        errors.ArtifactStateError, lambda: old.replace(write("x.txt", "x")), "cannot be replaced: it is in the trash"
    )
    refused(errors.InvalidValueError, lambda: new.replace(write("x.txt", "right")), "holds already")
    old.restore()
    refused(errors.ConstraintError, lambda: old.replace(write("x.txt", "x")), new.uid)
    again = new.replace(write("x.txt", "x"), description="other", run=False)
    assert again.description == "other"


def test_refusals_say_what_to_do_and_record_nothing(store: Store, save: Any, refused: Refused, write: Write) -> None:
    artifact = save("1")
    refused(errors.ArtifactStateError, artifact.restore, "cannot be restored: it is not in the trash")
    refused(errors.InvalidValueError, lambda: artifact.delete(storage=True), "pass permanent=True")
    artifact.delete()
    refused(errors.ArtifactStateError, artifact.delete, r"delete\(permanent=True\)")
    other = save("2", "b.txt")
    everything = ln.Artifact.filter(state__in=["live", "trashed"])
    refused(errors.ArtifactStateError, everything.delete, artifact.uid)
    assert other.refresh().state == "live"
    artifact.delete(permanent=True)
    refused(errors.ArtifactStateError, lambda: artifact.delete(permanent=True), "cannot be deleted again")
    refused(errors.ArtifactStateError, artifact.restore, "cannot come back")
    refused(errors.ArtifactDeletedError, artifact.load)
    refused(errors.DomainError, ln.Run.filter().delete, "only artifacts can")
    refused(errors.ImmutableFieldError, lambda: setattr(artifact, "state", "live"))
    with pytest.raises(errors.UnsavedRecordError):
        ln.Artifact(write("c.txt", "c")).delete()


def test_many_end_in_one_transaction(store: Store, save: Any) -> None:
    artifacts = [save(str(number)) for number in range(3)] + [save("x", "b.txt")]
    assert ln.Artifact.filter().delete(reason="cleaning up") == 4
    assert not ln.Artifact.filter().exists()
    assert ln.Artifact.filter(state="trashed").restore() == 4
    assert [artifact.refresh().is_latest for artifact in artifacts] == [False, False, True, True]
    assert ln.Artifact.filter(key="a.txt").delete(permanent=True) == 3
    assert [artifact.path.exists() for artifact in artifacts] == [False, False, False, True]
    assert ln.Artifact.filter(key="none").delete() == 0


def test_what_is_in_the_trash_is_said_to_be_there_when_it_is_used(
    store: Store, save: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = save("1")
    artifact.delete()
    capsys.readouterr()
    with ln.Run(ln.Transform("use")) as run:
        artifact.load()
    assert f"{artifact.uid} is in the trash" in capsys.readouterr().err
    assert list(run.inputs) == [artifact]


def test_bytes_that_cannot_be_removed_are_pointed_out(
    store: Store, save: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = save("1")

    def fail(path: str) -> None:
        raise errors.StorageError(f"{path} cannot be removed: the disk is read-only")

    monkeypatch.setattr(store.storage_backend(artifact.storage_id), "delete", fail)
    artifact.delete(permanent=True)
    assert artifact.state == "deleted"
    assert "the deletion of a.txt is recorded, but its content" in capsys.readouterr().err


DELETE_AND_DIE = """
import os, signal, sys
import lineagelog as ln
from lineagelog.content import disposal
from lineagelog.store import Store

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

artifact = ln.Artifact.get(sys.argv[1])
if sys.argv[2] == "before":
    Store.append = die
else:
    disposal._remove = die
artifact.delete(permanent=True, reason="gone")
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_deletion_that_is_killed_never_leaves_lost_content_without_a_record(
    sqlite_store: Store, save: Any, start_script: StartScript, moment: str
) -> None:
    artifact = save("1")
    process = start_script(DELETE_AND_DIE, arguments=(artifact.uid, moment), LINEAGELOG_QUIET="1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    artifact.refresh()
    assert artifact.path.exists(), "bytes may be left over"
    if moment == "before":
        assert (artifact.state, artifact.load()) == ("live", "1")
    else:
        assert (artifact.state, artifact.content_removed) == ("deleted", True)
        with pytest.raises(errors.ArtifactDeletedError, match="gone"):
            artifact.load()


CONTEND = """
import random, sys
import lineagelog as ln
from lineagelog import errors

writer, n_steps = int(sys.argv[1]), int(sys.argv[2])
rng = random.Random(int(sys.argv[3]))
for step in range(n_steps):
    if rng.random() < 0.4:
        with open(sys.argv[4], "w") as file:
            file.write(rng.choice(["same", f"{writer} {step}"]))
        ln.Artifact(sys.argv[4], key="shared.txt", run=False).save()
        print("saved", flush=True)
        continue
    versions = list(ln.Artifact.filter(key="shared.txt").all_states())
    artifact, verb = rng.choice(versions), rng.choice(["trashed", "restored", "deleted"])
    try:
        if verb == "restored":
            artifact.restore()
        else:
            artifact.delete(permanent=verb == "deleted" and rng.random() < 0.5)
        print("trashed" if artifact.state == "trashed" else verb, flush=True)
    except errors.ArtifactStateError:
        pass
"""


def test_processes_that_save_and_end_versions_at_once_leave_one_latest_and_lose_nothing(
    store: Store, save: Any, start_script: StartScript, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")
    save("first", "shared.txt", run=False)
    begun = store.log.head().position
    processes = [
        start_script(
            CONTEND,
            name=f"contender{number}.py",
            arguments=(str(number), "12", str(seed + number), str(tmp_path / f"{number}.txt")),
            LINEAGELOG_QUIET="1",
        )
        for number in range(3)
    ]
    said: list[str] = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        said += out.split()
    done = Counter(event.topic.split(".")[1] for event in store.events(after=begun))
    told = Counter(said)
    assert done["registered"] + done["seen_again"] == told["saved"]
    assert (done["trashed"], done["deleted"]) == (told["trashed"], told["deleted"])
    assert done["restored"] >= told["restored"], "saving what is in the trash restores it as well"
    family = list(ln.Artifact.filter(key="shared.txt").all_states().order_by("version_number"))
    assert [version.version_number for version in family] == list(range(len(family)))
    live = [version for version in family if version.state == "live"]
    assert [version for version in family if version.is_latest] == live[-1:]
    for version in family:
        assert version.path.exists() == (version.state != "deleted")


CONTENTS = ("alpha", "beta", "gamma")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["save", "save", "trash", "restore", "delete", "replace"]),
        st.integers(0, 5),
        st.sampled_from(CONTENTS),
    ),
    min_size=4,
    max_size=14,
)


class Model:
    """What should come of a family of versions, as content and state of each."""

    def __init__(self) -> None:
        self.versions: list[list[str]] = []

    @property
    def latest(self) -> int | None:
        return max((n for n, (_, state) in enumerate(self.versions) if state == "live"), default=None)

    def save(self, content: str) -> int:
        latest = self.latest
        if latest is not None and self.versions[latest][0] == content:
            return latest
        for number in reversed(range(0 if latest is None else latest + 1, len(self.versions))):
            if self.versions[number] == [content, "trashed"]:
                self.versions[number][1] = "live"
                return number
        self.versions.append([content, "live"])
        return len(self.versions) - 1

    def step(self, verb: str, number: int, content: str) -> bool:
        """Do it, and tell whether it is allowed."""
        if verb == "save":
            self.save(content)
            return True
        known, state = self.versions[number]
        allowed = {
            "trash": state == "live",
            "restore": state == "trashed",
            "delete": state != "deleted",
            "replace": state == "live" and number == self.latest and known != content,
        }[verb]
        if allowed:
            after = {"trash": "trashed", "restore": "live", "delete": "deleted", "replace": "trashed"}[verb]
            self.versions[number][1] = after
            if verb == "replace":
                self.versions.append([content, "live"])
        return allowed


def check_against_the_model(store: Store, write: Write, key: str, steps: list[tuple[str, int, str]]) -> None:
    model = Model()
    for verb, number, content in steps:
        if verb != "save" and not model.versions:
            continue
        number %= max(len(model.versions), 1)
        before = store.log.head().position
        family = list(ln.Artifact.filter(key=key).all_states().order_by("version_number"))
        path = write("model.txt", content)
        calls: dict[str, Callable[[], object]] = {
            "save": lambda path=path: ln.Artifact(path, key=key, run=False).save(),
            "trash": lambda: family[number].delete(),  # noqa: B023 - called at once
            "restore": lambda: family[number].restore(),  # noqa: B023
            "delete": lambda: family[number].delete(permanent=True),  # noqa: B023
            "replace": lambda path=path: family[number].replace(path, run=False),  # noqa: B023
        }
        if model.step(verb, number, content):
            calls[verb]()
        else:
            with pytest.raises((errors.ArtifactStateError, errors.ConstraintError, errors.InvalidValueError)):
                calls[verb]()
            assert store.log.head().position == before
        family = list(ln.Artifact.filter(key=key).all_states().order_by("version_number"))
        assert [artifact.state for artifact in family] == [state for _, state in model.versions]
        assert [n for n, artifact in enumerate(family) if artifact.is_latest] == (
            [] if model.latest is None else [model.latest]
        )
        shown = [artifact for artifact in family if artifact.state == "live"]
        assert list(ln.Artifact.filter(key=key)) == shown
        for artifact, (text, state) in zip(family, model.versions, strict=True):
            assert artifact.path.exists() == (state != "deleted")
            assert state == "deleted" or artifact.path.read_text() == text
        revised = {artifact.id: artifact for artifact in family}
        assert all(a.revises_id is None or revised[a.revises_id].version_number < a.version_number for a in family)


@pytest.mark.parametrize(("database", "examples"), [("sqlite", 20), ("postgresql", 5)])
def test_families_behave_as_a_small_model_says(
    request: pytest.FixtureRequest, write: Write, tmp_path: Path, database: str, examples: int
) -> None:
    db = None if database == "sqlite" else str(request.getfixturevalue("postgresql_address"))
    numbers = count()
    ln.settings.verbosity = "silent"
    with Store.create(tmp_path / "model", db=db) as store, store.as_current():

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
        @given(STEPS)
        def run(steps: list[tuple[str, int, str]]) -> None:
            check_against_the_model(store, write, f"{next(numbers)}.txt", steps)

        run()
        assert_replay_agrees(store)
        assert store.verify().ok


def test_a_query_names_the_state_wherever_the_condition_stands() -> None:
    from lineagelog.projections.registry import ARTIFACT, RUN

    def hides(query: Query) -> bool:
        return "state" in str(query.effective()[len(query.conditions) :])

    asked = Query(ARTIFACT)
    assert hides(asked)
    assert hides(asked.filter(key="a"))
    assert not hides(asked.filter(state="trashed").filter(key="a"))
    assert not hides(asked.exclude(state__in=["live"]))
    assert not hides(asked.filter(state="trashed").slice(0, 2).filter(key="a"))
    assert hides(asked.filter(revises__state="trashed")), "that is the state of another artifact"
    assert not hides(asked.all_states())
    assert not hides(Query(RUN))
