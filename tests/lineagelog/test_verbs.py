"""Every public verb: one that changes something adds exactly the events it should, every other none. A new one has to be listed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pandas as pd
import pytest

import lineagelog as ln
from lineagelog.audit.policy import Policy
from lineagelog.registries.linking import Labels, LinkedSet
from lineagelog.registries.measuring import FeatureValues
from lineagelog.registries.queryset import QuerySet
from lineagelog.registries.record import _MODULES, BaseRecord, registry_class
from lineagelog.store import Store

Scene = SimpleNamespace
Verb = Callable[[Scene], Any]

_NEW = ["artifact.registered.1"]
_INPUT = ["input.accessed.1"]


def _in_run(name: str) -> Verb:
    """Use an artifact within a run; only what the use itself records is looked at."""
    return lambda s: s.in_run(lambda: getattr(s.artifact, name)())


def _assign(s: Scene) -> None:
    s.artifact.description = "new"
    s.artifact.save(reason="typo")


CHANGES: Final[dict[str, tuple[Verb, list[str]]]] = {
    "ln.login": (lambda s: ln.login("ana", name="Ana"), ["user.registered.1", "user.logged_in.1"]),
    "Store.login": (
        lambda s: s.store.login("ana", email="a@example.org", reason="moved"),
        ["user.updated.1", "user.logged_in.1", "user.logged_out.1"],
    ),
    "Store.logout": (lambda s: s.store.logout(), ["user.logged_out.1"]),
    "ln.logout": (lambda s: (s.store.login("ana"), ln.logout()), ["user.logged_in.1", "user.logged_out.1"]),
    "Artifact.from_dataframe": (lambda s: s.keep(ln.Artifact.from_dataframe(s.frame(1), key="a.csv")).save(), _NEW),
    "Base.save": (_assign, ["artifact.updated.1"]),
    "ln.save": (lambda s: ln.save([s.file("b"), s.file("c")]), _NEW * 2),
    "Store.save": (lambda s: s.store.save([s.file("d")]), _NEW),
    "Artifact.load": (_in_run("load"), _INPUT),
    "Artifact.cache": (_in_run("cache"), _INPUT),
    "Artifact.stage": (_in_run("stage"), _INPUT),
    "Artifact.open": (_in_run("open"), _INPUT),
    "Artifact.backed": (_in_run("backed"), _INPUT),
    "Artifact.verify": (lambda s: s.artifact.verify(), ["artifact.verified.1"]),
    "Artifact.replace": (
        lambda s: s.file("e").save().replace(s.path("f")).save(),
        [*_NEW, *_NEW, "artifact.trashed.1"],
    ),
    "Artifact.delete": (lambda s: s.artifact.delete(reason="x"), ["artifact.trashed.1"]),
    "Artifact.restore": (lambda s: s.artifact.restore(reason="x"), ["artifact.restored.1"]),
    "QuerySet.delete": (lambda s: s.these().delete(reason="x"), ["artifact.trashed.1"]),
    "QuerySet.restore": (lambda s: s.these().all_states().restore(reason="x"), ["artifact.restored.1"]),
    "Labels.add": (lambda s: s.artifact.labels.add(s.label), ["label.attached.1"]),
    "Labels.remove": (lambda s: s.artifact.labels.remove(s.label, reason="x"), ["label.detached.1"]),
    "LinkedSet.add": (lambda s: s.artifact.projects.add(s.project), ["project.assigned.1"]),
    "LinkedSet.remove": (lambda s: s.artifact.projects.remove(s.project, reason="x"), ["project.unassigned.1"]),
    "LinkedSet.delete": (lambda s: s.collection.artifacts.delete(reason="x"), ["artifact.trashed.1"]),
    "LinkedSet.restore": (lambda s: s.collection.artifacts.all_states().restore(reason="x"), ["artifact.restored.1"]),
    "FeatureValues.add": (lambda s: s.artifact.features.add(s.feature), ["feature_values.set.1"]),
    "FeatureValues.add_values": (
        lambda s: s.artifact.features.add_values({"mass": 1.0}, reason="x"),
        ["feature_values.set.1"],
    ),
    "FeatureValues.remove_values": (
        lambda s: s.artifact.features.remove_values("mass", reason="x"),
        ["feature_values.removed.1"],
    ),
    "Storage.make_default": (lambda s: s.storage.make_default(reason="x"), ["storage.made_default.1"]),
    "Collection.append": (lambda s: s.collection.append(s.other), ["collection.registered.1"]),
    "Collection.load": (lambda s: s.in_run(s.collection.load), _INPUT),
    "Collection.open": (lambda s: s.in_run(s.collection.open), _INPUT),
    "Collection.cache": (lambda s: s.in_run(s.collection.cache), _INPUT),
    "Run.add_input": (lambda s: s.in_run(lambda: s.run.add_input(s.artifact)), _INPUT),
    "Run.finish": (lambda s: s.new_run().finish(), ["run.started.1", "run.finished.1"]),
    "Run.fail": (lambda s: s.new_run().fail(ValueError("x")), ["run.started.1", "run.failed.1"]),
    "Run.abort": (lambda s: s.new_run().abort("x"), ["run.started.1", "run.aborted.1"]),
    "Store.export": (lambda s: s.store.export(s.path("x").with_suffix(".json")), ["export.made.1"]),
    "Store.fixture": (lambda s: s.store.fixture(s.path("x"), anonymise=True), ["export.made.1"]),
    "Store.generate_key": (lambda s: s.store.generate_key(), ["key.registered.1"]),
    "Store.checkpoint": (lambda s: s.store.checkpoint(), ["checkpoint.sealed.1"]),
    "Store.check_storage": (lambda s: s.store.check_storage(content=False), ["storage.checked.1"] * 2),
    "Store.collect_orphans": (
        lambda s: (s.orphan(), s.store.collect_orphans(older_than=s.no_time, reason="x")),
        ["storage.collected.1"],
    ),
    "Policy.set_require_reason": (lambda s: s.store.policy.set_require_reason(reason="x"), ["policy.changed.1"]),
}
"""Verbs that change something, in the order in which they are tried on one store: how, and the events it adds."""

NO_EVENTS: Final = {
    "Base": "all count describe df distinct exclude exists filter first get history last lookup one one_or_none order_by refresh "
    "search to_dataframe to_list values values_list",
    "QuerySet": "all all_states count df distinct exclude exists filter first get last lookup one one_or_none order_by search "
    "to_dataframe to_list values values_list",
    "LinkedSet": "all all_states count df distinct exclude exists filter first get last lookup one one_or_none order_by search "
    "to_dataframe to_list values values_list",
    "Labels": "to_dataframe",
    "FeatureValues": "get_values to_dataframe",
    "User": "activity",
    "Transform": "view_parents",
    "ULabel": "view_parents",
    "Record": "view_parents",
    "Storage": "view_tree",
    "Run": "downstream lineage_graph upstream view_lineage",
    "Artifact": "downstream lineage_graph upstream view_lineage view_tree",
    "Collection": "downstream lineage_graph upstream view_lineage",
    "Store": "as_current as_of audit because check_is_present close content_by_storage events find_storage open overview "
    "prove sealing_keys record_log resolve_root sparql storage_backend storage_backends to_prov to_rdflib trail verify view",
    "ln": "as_of close connect current_run current_store errors list_stores open settings setup validate_prov view view_tree",
}
"""Verbs that ask."""

ELSEWHERE: Final = {
    "Artifact": "from_anndata from_arrow from_df from_dir from_mudata from_spatialdata",
    "Run": "bind",
    "Store": "append append_all_next append_next create delete new_event open_recorded rebuild",
    "ln": "init delete track tracked finish",
}
"""Verbs that make something to be saved later, are the ways by which all others record, make or end a whole store, or follow a
program; what these record is tested with them."""


def owners() -> Iterator[tuple[str, Any]]:
    yield from (
        ("Base", BaseRecord), ("QuerySet", QuerySet), ("LinkedSet", LinkedSet), ("Labels", Labels),
        ("FeatureValues", FeatureValues), ("Policy", Policy), ("Store", Store),
    )  # fmt: skip
    for name in _MODULES:
        yield name, registry_class(name)


def verbs() -> Iterator[str]:
    """Every public verb of the package."""
    yield from (
        f"ln.{name}" for name in ln.__all__ if not name.startswith("_") and not isinstance(getattr(ln, name), type)
    )
    inherited = {name for name in dir(BaseRecord) if not name.startswith("_")}
    for owner, kind in owners():
        for name in dir(kind):
            attribute = inspect.getattr_static(kind, name)
            is_verb = callable(attribute) or isinstance(attribute, classmethod | staticmethod)
            # A registry's own way of saving or asking is that of all.
            if (
                is_verb
                and not name.startswith("_")
                and (owner == "Base" or owner not in _MODULES or name not in inherited)
            ):
                yield f"{owner}.{name}"


def listed(table: dict[str, str]) -> set[str]:
    return {f"{owner}.{name}" for owner, names in table.items() for name in names.split()}


def test_every_verb_is_listed_once() -> None:
    tables = [set(CHANGES), listed(NO_EVENTS), listed(ELSEWHERE)]
    found = set(verbs())
    assert found - set.union(*tables) == set(), "say in this file which events these verbs add"
    assert set.union(*tables) - found == set(), "these verbs are gone"
    assert sum(map(len, tables)) == len(set.union(*tables))


@pytest.fixture
def scene(sqlite_store: Store, frame: Callable[..., pd.DataFrame], tmp_path: Path) -> Scene:
    from datetime import timedelta

    def path(name: str) -> Path:
        place = tmp_path / "given" / f"{name}.txt"
        place.parent.mkdir(exist_ok=True)
        place.write_text(name)
        return place

    def in_run(use: Callable[[], Any]) -> list[str]:
        with ln.Run(scene.transform) as scene.run:
            before = sqlite_store.log.head().position
            use()
            return [event.topic for event in sqlite_store.events(after=before)]

    def keep(artifact: Any) -> Any:
        scene.artifact = artifact
        return artifact

    def orphan() -> None:
        folder = Path(sqlite_store.resolve_root(".")) / ".lineagelog" / "objects" / sqlite_store.uid
        (folder / "left.bin").write_bytes(b"left")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    scene = Scene(store=sqlite_store, frame=frame, path=path, in_run=in_run, keep=keep, orphan=orphan)
    scene.no_time = timedelta(0)
    scene.file = lambda name: ln.Artifact(path(name), key=f"{name}.txt")
    scene.these = lambda: ln.Artifact.filter(key="a.csv")
    scene.new_run = lambda: ln.Run(scene.transform).save()
    scene.transform = ln.Transform("t.py").save()
    scene.label, scene.project = ln.ULabel("good").save(), ln.Project("study").save()
    scene.feature = ln.Feature("mass", dtype="float").save()
    scene.storage = ln.Storage(elsewhere).save()
    member = ln.Artifact.from_dataframe(frame(8), key="member.csv").save()
    scene.other = ln.Artifact.from_dataframe(frame(9), key="other.csv").save()
    scene.collection = ln.Collection([member], key="c").save()
    return scene


def test_each_verb_that_changes_something_adds_exactly_its_events(scene: Scene) -> None:
    for name, (verb, expected) in CHANGES.items():
        before = scene.store.log.head().position
        used = verb(scene)
        found = [event.topic for event in scene.store.events(after=before)]
        if expected == _INPUT:
            found = used
        assert found == expected, name


def test_each_verb_that_changes_or_takes_away_can_be_told_why() -> None:
    from lineagelog.domain.event import TOPICS
    from lineagelog.domain.policy import _REMOVALS

    changing = {fact.topic for fact in _REMOVALS} | {topic for topic in TOPICS if "updated" in topic}
    changing |= {"policy.changed.1", "storage.made_default.1", "feature_values.set.1"}
    kinds = dict(owners())
    for name, (_, topics) in CHANGES.items():
        owner, _, verb = name.partition(".")
        if changing & set(topics) and name != "ln.logout":
            function = getattr(ln if owner == "ln" else kinds[owner], verb)
            assert "reason" in inspect.signature(function).parameters, f"{name} cannot be told why"


def test_asking_adds_no_event(scene: Scene, tmp_path: Path) -> None:
    artifact = ln.Artifact.from_dataframe(scene.frame(1), key="a.csv").save()
    before = scene.store.log.head()
    scene.store.verify()
    scene.store.sparql("ASK { ?s ?p ?o }")
    scene.store.to_prov()
    scene.store.record_log(tmp_path / "log.jsonl")
    scene.store.view()
    artifact.describe()
    artifact.view_lineage(tmp_path / "lineage.svg")
    scene.store.as_of(before.position).close()
    for _ in (*artifact.history(), *scene.store.audit(), *scene.store.trail()):
        pass
    assert scene.store.log.head() == before
