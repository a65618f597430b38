"""Exports as a whole: the same twice, on both databases, of the store or a part of it, in flat memory."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from lineagelog.adapters.log import sqlite
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.annotation import FeatureDefined, LabelDefined, ParentAdded, RecordDefined
from lineagelog.domain.errors import ExportError, RecordNotFoundError, UnknownFormatError
from lineagelog.domain.user import UserRegistered
from lineagelog.exporters.export import FORMATS, export
from lineagelog.exporters.mapping import rows
from lineagelog.exporters.scope import Scope

FIGURE = "0000000000figure0000"
TABLE = "00000000000table0000"


@pytest.fixture(params=sorted(FORMATS))
def fmt(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_two_exports_of_one_position_are_equal(rich: EventLog, fmt: str, exporting: Any) -> None:
    first = exporting(rich, fmt)
    assert len(first) > 5000
    assert exporting(rich, fmt) == first


def test_an_export_survives_a_rebuild(rich: EventLog, fmt: str, exporting: Any) -> None:
    first = exporting(rich, fmt)
    rich.rebuild()
    assert exporting(rich, fmt) == first


def test_every_format_counts_the_same_statements(memory: Any, exporting: Any) -> None:
    summaries = [exporting.with_summary(memory.log, name)[1] for name in FORMATS]
    assert len({summary.n_statements for summary in summaries}) == 1
    assert all(summary.counts == summaries[0].counts for summary in summaries)
    assert summaries[0].n_statements == sum(summaries[0].counts.values()) > 60
    position = memory.log.head().position
    assert summaries[0].bundle == f"https://w3id.org/lineagelog/id/Store0000001/export/e{position}-all"


def test_an_unknown_format_is_refused_with_the_choices(memory: Any, exporting: Any) -> None:
    with pytest.raises(UnknownFormatError, match="'pdf'; choose one of: prov-json, prov-n, prov-xml, prov-jsonld, "):
        exporting(memory.log, "pdf")


def test_an_unknown_subject_is_refused(memory: Any, exporting: Any) -> None:
    for kind in ("artifact", "run", "transform"):
        with pytest.raises(RecordNotFoundError, match="nosuchuid"):
            exporting(memory.log, "prov-n", Scope(kind, "nosuchuid"))


def test_an_unknown_kind_of_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="'user'; it must be one of: all, artifact, run, transform, collection"):
        Scope("user", "Ada00001")  # type: ignore[arg-type]


def test_a_database_without_a_store_is_refused(log: EventLog, exporting: Any) -> None:
    with pytest.raises(ExportError, match="holds no store"):
        exporting(log, "prov-n")


def test_upstream_of_an_artifact_holds_what_it_came_from(rich: EventLog, exporting: Any) -> None:
    text, summary = exporting.with_summary(rich, "prov-json", Scope("artifact", TABLE))
    (bundle,) = json.loads(text)["bundle"].values()
    entities = {name for name in bundle["entity"] if name.startswith("artifact:")}
    assert {f"artifact:{TABLE}", "artifact:0000000000000raw0000", "artifact:0000000000folder0000"} <= entities
    assert f"artifact:{FIGURE}" not in entities
    assert summary.scope == f"artifact {TABLE} upstream"


def test_downstream_of_an_artifact_holds_what_came_of_it(rich: EventLog, exporting: Any) -> None:
    text = exporting(rich, "prov-json", Scope("artifact", TABLE, direction="downstream"))
    (bundle,) = json.loads(text)["bundle"].values()
    assert f"artifact:{FIGURE}" in bundle["entity"]
    assert "artifact:0000000000folder0000" not in bundle["entity"]


@pytest.mark.parametrize(
    "scope", [Scope("run", "Run0000000parent"), Scope("transform", "Clean00000000000")], ids=lambda scope: scope.kind
)
def test_a_run_is_exported_with_its_inputs_and_outputs(rich: EventLog, scope: Scope, exporting: Any) -> None:
    (bundle,) = json.loads(exporting(rich, "prov-json", scope))["bundle"].values()
    assert "run:Run0000000parent" in bundle["activity"]
    assert {use["prov:entity"] for use in bundle["used"].values() if use["prov:activity"] == "run:Run0000000parent"} == {
        "artifact:0000000000000raw0000", "artifact:0000000000folder0000", f"artifact:{TABLE}",
    }  # fmt: skip
    assert {f"artifact:{TABLE}", "artifact:00000000000table0001"} <= bundle["entity"].keys()


def test_a_part_names_nothing_that_it_does_not_hold(rich: EventLog, exporting: Any) -> None:
    for scope in (Scope("artifact", FIGURE, max_depth=1), Scope("run", "Run00000000child", direction="downstream")):
        (bundle,) = json.loads(exporting(rich, "prov-json", scope))["bundle"].values()
        held = {name for kind in ("entity", "activity", "agent") for name in bundle[kind]}
        for kind in bundle.keys() - {"entity", "activity", "agent"}:
            for relation in bundle[kind].values():
                named = {
                    value
                    for term, value in relation.items()
                    if isinstance(value, str)
                    and term not in ("prov:time", "prov:generation", "prov:usage", "ll:how", "ll:role")
                }
                assert named <= held, (kind, relation)
        for kind in ("entity", "activity", "agent"):
            for name, element in bundle[kind].items():
                assert set(_references(element)) <= held, name


def _references(element: dict[str, Any]) -> Iterator[str]:
    """Hand out the records that the attributes of an element name."""
    for term in ("oa:hasTarget", "oa:hasBody", "ll:feature", "ll:ofType", "ll:parent", "ll:project", "ll:environment"):
        values = element.get(term, [])
        for value in values if isinstance(values, list) else [values]:
            yield value["$"]


def test_a_part_holds_the_annotations_of_its_records_and_what_they_use(rich: EventLog, exporting: Any) -> None:
    (bundle,) = json.loads(exporting(rich, "prov-json", Scope("artifact", TABLE)))["bundle"].values()
    notes = [entity for name, entity in bundle["entity"].items() if name.startswith("annotation:")]
    targets = {target for note in notes for target in _references({"oa:hasTarget": note["oa:hasTarget"]})}
    # The child is upstream, since it saved the table again.
    assert targets == {
        f"artifact:{TABLE}", f"artifact:{'raw':0>16}0000", "run:Run0000000parent", "run:Run00000000child", "label:Lfine001",
    }  # fmt: skip
    labels = {name for name in bundle["entity"] if name.startswith(("label:", "record:", "project:"))}
    # With the type and the parents of each, those that were taken away too.
    assert labels == {
        "label:Lgrade01", "label:Lgood001", "label:Lfine001", "label:Lunused1", "record:Rsample000000000",
        "record:Rp53000000000000", "project:Pscreen00000",
    }  # fmt: skip
    assert "user:Bob00001" in bundle["agent"]
    # What was taken off the raw data, a value of the child that was removed, one of the table that was replaced, a parent.
    ended = [end["prov:entity"] for end in bundle["wasInvalidatedBy"].values()]
    assert sum(name.startswith("annotation:") for name in ended) == 6
    for relation in ("wasGeneratedBy", "wasInvalidatedBy"):
        for statement in bundle[relation].values():
            assert statement["prov:entity"] in bundle["entity"]
            assert statement.get("prov:activity") in {*bundle["activity"], None}


def test_a_part_holds_what_only_an_annotation_leads_to(basics: Any, exporting: Any) -> None:
    basics.add("bob", UserRegistered(uid="Bob00001", handle="bob"))
    for name in ("above", "middle", "below"):
        basics.add(name, LabelDefined(uid=f"L{name:0>7}", name=name), actor="ada")
    for child, parent in (("below", "middle"), ("middle", "above")):
        basics.add(child, ParentAdded(parent=basics.ids[parent], registry="ULabel"), actor="ada")
    basics.add("type", RecordDefined(uid="R00000000000type", name="type", is_type=True), actor="ada")
    basics.add("mouse", RecordDefined(uid="R0000000000mouse", name="mouse", type=basics.ids["type"]), actor="ada")
    basics.add("animal", FeatureDefined(uid="F00000animal", name="animal", dtype="cat[Record]"), actor="ada")
    basics.save("out", None)
    basics.start("later", "clean")
    basics.label("out", "below", "Artifact", actor="bob", run="later")
    basics.value("out", "Artifact", {"animal": basics.ids["mouse"]}, actor="ada")
    basics.flush()
    (bundle,) = json.loads(exporting(basics.log, "prov-json", Scope("artifact", f"{'out':0>16}0000")))[
        "bundle"
    ].values()
    labels = {name: entity for name, entity in bundle["entity"].items() if name.startswith("label:")}
    assert {name: list(_references(entity)) for name, entity in labels.items()} == {
        "label:L00above": [], "label:L0middle": ["label:L00above"], "label:L00below": ["label:L0middle"],
    }  # fmt: skip
    assert {"record:R0000000000mouse", "record:R00000000000type"} <= bundle["entity"].keys()
    assert "user:Bob00001" in bundle["agent"]
    # The run in which the label was put on it made nothing that the artifact came of.
    assert "wasInformedBy" not in bundle


def test_each_label_keeps_its_own_parents(basics: Any, exporting: Any) -> None:
    for name in ("a", "b", "c", "d"):
        basics.add(name, LabelDefined(uid=f"L000000{name}", name=name))
    for child, parent in (("d", "a"), ("c", "b"), ("c", "a"), ("b", "a")):
        basics.add(child, ParentAdded(parent=basics.ids[parent], registry="ULabel"))
    basics.flush()
    (bundle,) = json.loads(exporting(basics.log, "prov-json"))["bundle"].values()
    labels = {name[-1]: entity for name, entity in bundle["entity"].items() if name.startswith("label:")}
    assert {name: [parent[-1] for parent in _references(entity)] for name, entity in labels.items()} == {
        "a": [], "b": ["a"], "c": ["b", "a"], "d": ["a"],
    }  # fmt: skip


def test_a_run_is_exported_with_the_collections_it_made(rich: EventLog, exporting: Any) -> None:
    text, summary = exporting.with_summary(rich, "prov-json", Scope("run", "Run0000000parent"))
    (bundle,) = json.loads(text)["bundle"].values()
    assert {name for name in bundle["entity"] if name.startswith("collection:")} == {"collection:00000000000first0001"}
    members = [m["prov:entity"] for m in bundle["hadMember"].values() if m["prov:collection"].startswith("collection:")]
    assert members == [f"artifact:{TABLE}", "artifact:0000000000000raw0000"]
    assert summary.left_out["collections"] == 1
    # Two of the other collection, and the figure in this one, which is not of this run.
    assert summary.left_out["members"] == 3


def test_a_part_says_what_was_left_out(rich: EventLog, exporting: Any) -> None:
    scope = Scope("artifact", FIGURE, max_depth=1)
    text, summary = exporting.with_summary(rich, "prov-json", scope)
    document = json.loads(text)
    (bundle,) = document["bundle"].values()
    n_artifacts = sum(name.startswith("artifact:") for name in bundle["entity"])
    assert summary.left_out["artifacts"] == 6 - n_artifacts > 0
    inputs = [usage for usage in bundle["used"].values() if usage["prov:activity"].startswith("run:")]
    assert summary.left_out["inputs"] == 4 - len(inputs) > 0
    assert summary.left_out["sessions"] == 1
    n_notes = sum(name.startswith("annotation:") for name in bundle["entity"])
    assert summary.left_out["annotations"] == 27 - n_notes > 0
    for kind, total in (("labels", 4), ("records", 2), ("features", 10), ("projects", 2), ("collections", 2)):
        held = sum(name.startswith(f"{kind[:-1]}:") for name in bundle["entity"])
        assert summary.left_out[kind] == total - held, kind
    assert summary.left_out["members"] == 5
    about = next(entity for name, entity in document["entity"].items() if name.startswith("export:"))
    assert about["ll:leftOutArtifacts"] == {"$": str(summary.left_out["artifacts"]), "type": "xsd:int"}
    assert about["ll:scope"] == f"artifact {FIGURE} upstream to depth 1"
    assert about["ll:maxDepth"]["$"] == "1"


def test_the_whole_store_leaves_nothing_out(memory: Any, exporting: Any) -> None:
    assert exporting.with_summary(memory.log, "trig")[1].left_out == {}


def test_an_export_describes_itself_and_the_log(memory: Any, exporting: Any, hostile: str) -> None:
    document = json.loads(exporting(memory.log, "prov-json"))
    head = memory.log.head()
    log = document["entity"][f"log:e{head.position}"]
    assert log["ll:merkleRoot"] == head.root
    assert log["ll:lastPosition"]["$"] == str(head.position)
    assert log["dcterms:title"] == f"study {hostile}"
    bundle = f"export:e{head.position}-all"
    assert document["entity"][bundle]["prov:type"] == {"$": "prov:Bundle", "type": "xsd:QName"}
    (generation,) = document["wasGeneratedBy"].values()
    assert generation == {"prov:entity": bundle, "prov:activity": f"exporting:e{head.position}-all"}
    assert list(document["bundle"]) == [bundle]


class _Sink:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> int:
        return len(data)


def test_memory_does_not_grow_with_the_store(tmp_path: Path, many: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rows come in batches; with small ones every buffer is full in the small store already.
    monkeypatch.setattr(sqlite, "_FETCH_ROWS", 10)
    monkeypatch.setattr(rows, "_BLOCK", 10)
    peaks: list[int] = []
    formats = ("n-quads", "turtle", "prov-json", "prov-jsonld", "prov-xml")
    for n_artifacts in (300, 1_200):
        log = EventLog.connect(tmp_path / f"{n_artifacts}.db", create=True)
        many(log, n_artifacts)
        head = log.head()
        for fmt in formats:
            with log.database.snapshot() as reader:
                tracemalloc.start()
                place = {"head_position": head.position, "head_root": head.root}
                summary = export(reader, cast("BinaryIO", _Sink()), format=fmt, **place)
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            assert summary.n_statements > 7 * n_artifacts
        log.close()
    small, large = peaks[: len(formats)], peaks[len(formats) :]
    assert all(after < 1.3 * before for before, after in zip(small, large, strict=True)), peaks


def test_progress_counts_every_statement(rich: EventLog) -> None:
    told: list[int] = []
    with rich.database.snapshot() as snapshot:
        head = rich.head()
        summary = export(
            snapshot,
            io.BytesIO(),
            format="n-quads",
            head_position=head.position,
            head_root=head.root,
            progress=told.append,
        )
    assert sum(told) == summary.n_statements > 0
