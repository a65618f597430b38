"""What each event comes to in PROV, and the constraints that hold in every export."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.annotation import FeatureDefined, LabelDefined, LabelDetached
from lineagelog.domain.artifact import ArtifactRegistered
from lineagelog.domain.errors import ExportError
from lineagelog.domain.event import TOPICS
from lineagelog.domain.ids import new_id
from lineagelog.exporters.mapping.kinds import EVENT_MAPPING, Excluded, Mapped
from lineagelog.exporters.statement import (
    Activity,
    Agent,
    Association,
    Attribution,
    Bundle,
    Communication,
    Day,
    Delegation,
    Derivation,
    Entity,
    Generation,
    Invalidation,
    Membership,
    Moment,
    Name,
    Specialization,
    Usage,
)

PARENT, CHILD = Name("run:Run0000000parent"), Name("run:Run00000000child")
RAW, FOLDER = Name("artifact:0000000000000raw0000"), Name("artifact:0000000000folder0000")
TABLE, TABLE2 = Name("artifact:00000000000table0000"), Name("artifact:00000000000table0001")
FIGURE, OTHER = Name("artifact:0000000000figure0000"), Name("artifact:00000000000other0000")
FIRST, SECOND = Name("collection:00000000000first0000"), Name("collection:00000000000first0001")
REVISION = (Name("prov:type"), Name("prov:Revision"))


@pytest.fixture
def statements(rich: EventLog, exporting: Any) -> list[Any]:
    """The statements inside the bundle."""
    found = exporting.statements(rich)
    (mark,) = (number for number, statement in enumerate(found) if isinstance(statement, Bundle))
    inside: list[Any] = found[mark + 1 :]
    return inside


def of(kind: type, statements: list[Any]) -> list[Any]:
    return [statement for statement in statements if isinstance(statement, kind)]


def by_id(kind: type, statements: list[Any]) -> dict[str, Any]:
    found = {statement.id: statement for statement in of(kind, statements)}
    assert len(found) == len(of(kind, statements))
    return found


def values(statement: Any, name: str) -> list[Any]:
    return [value for key, value in statement.attributes if key == name]


def test_every_topic_is_mapped_or_excluded_with_a_reason() -> None:
    assert set(EVENT_MAPPING) == set(TOPICS)
    for topic, entry in EVENT_MAPPING.items():
        if isinstance(entry, Mapped):
            assert entry.statements, topic
            assert entry.note, topic
        else:
            assert isinstance(entry, Excluded)
            assert len(entry.reason) > 20, topic


def test_each_kind_of_statement_comes_in_one_piece(rich: EventLog, exporting: Any) -> None:
    keywords = [statement.keyword for statement in exporting.statements(rich)]
    pieces = [keyword for number, keyword in enumerate(keywords) if number == 0 or keywords[number - 1] != keyword]
    mark = pieces.index("bundle")
    for part in (pieces[:mark], pieces[mark + 1 :]):
        assert len(part) == len(set(part)), part


def test_no_two_kinds_of_record_share_a_name(statements: list[Any]) -> None:
    entities, activities, agents = (by_id(kind, statements).keys() for kind in (Entity, Activity, Agent))
    assert not entities & activities
    assert not activities & agents
    assert not entities & agents


def test_every_artifact_collection_and_annotation_has_exactly_one_generation(statements: list[Any]) -> None:
    generated = Counter(generation.entity for generation in of(Generation, statements))
    artifacts = {name for name in by_id(Entity, statements) if name.startswith("artifact:")}
    others = {name for name in by_id(Entity, statements) if name.startswith(("collection:", "annotation:"))}
    assert set(generated) == artifacts | others
    assert len(artifacts) == 6
    assert set(generated.values()) == {1}
    by_entity = {generation.entity: generation for generation in of(Generation, statements)}
    assert by_entity[TABLE].activity == PARENT
    assert by_entity[RAW].activity is None
    assert by_entity[RAW].time is not None


def test_a_usage_has_time_and_role(statements: list[Any]) -> None:
    usages = {
        (usage.activity, usage.entity): usage
        for usage in of(Usage, statements)
        if not usage.activity.startswith("checking:")
    }
    assert len(usages) == 4
    assert usages[PARENT, RAW].time == "2026-11-21T09:00:01.000000Z"
    assert values(usages[PARENT, RAW], "prov:role") == ["ll:input"]
    assert values(usages[PARENT, FOLDER], "ll:role") == ["training set: é"]
    (role,) = values(usages[PARENT, FOLDER], "prov:role")
    assert role.startswith("role:x--")


def test_a_derivation_names_activity_generation_and_usage_or_none(statements: list[Any]) -> None:
    generations, usages = by_id(Generation, statements), by_id(Usage, statements)
    derivations = of(Derivation, statements)
    for derivation in derivations:
        parts = (derivation.activity, derivation.generation, derivation.usage)
        if REVISION in derivation.attributes:
            assert parts == (None, None, None)
            continue
        generation, usage = generations[derivation.generation], usages[derivation.usage]
        assert generation.entity == derivation.generated_entity
        assert usage.entity == derivation.used_entity
        assert derivation.activity == generation.activity == usage.activity
        # The position in the log is part of the name: what was read later cannot have been a source.
        assert int(usage.id.partition(":e")[2]) < int(generation.id.partition(":e")[2])
    pairs = {(derivation.generated_entity, derivation.used_entity) for derivation in derivations if derivation.activity}
    assert {(TABLE, RAW), (TABLE, FOLDER), (TABLE2, RAW), (TABLE2, TABLE)} <= pairs
    assert (TABLE, TABLE) not in pairs


def test_what_was_deleted_is_invalidated_once_by_who_did_it_with_the_reason(
    statements: list[Any], hostile: str
) -> None:
    found = [end for end in of(Invalidation, statements) if end.entity.startswith("artifact:")]
    ends = {end.entity: end for end in found}
    assert len(ends) == len(found) == 2
    deletion = by_id(Activity, statements)[ends[OTHER].activity]
    assert deletion.start == deletion.end == ends[OTHER].time
    assert values(deletion, "prov:type") == ["ll:Deletion", "eventType:del"]
    assert values(deletion, "ll:reason") == [hostile]
    assert values(deletion, "ll:contentRemoved") == [False]
    assert [a.agent for a in of(Association, statements) if a.activity == deletion.id] == ["user:Bob00001"]
    assert [c.informant for c in of(Communication, statements) if c.informed == deletion.id] == ["run:Run000000000open"]
    unsaid = by_id(Activity, statements)[ends[TABLE].activity]
    assert (values(unsaid, "ll:reason"), values(unsaid, "ll:contentRemoved")) == ([], [True])
    assert not [a for a in of(Association, statements) if a.activity == unsaid.id]
    entities = by_id(Entity, statements)
    assert [values(entities[name], "ll:state") for name in (OTHER, TABLE, FOLDER, FIGURE)] == [
        ["deleted"], ["deleted"], ["trashed"], [],
    ]  # fmt: skip


def test_an_invalidation_follows_generation_and_usages(statements: list[Any]) -> None:
    # PROV-CONSTRAINTS 36 and 38, by the order of the log.
    ends = {end.entity: position(end.id) for end in of(Invalidation, statements) if end.entity.startswith("artifact:")}
    assert any(usage.entity in ends for usage in of(Usage, statements))
    # Annotations end by other events than those they are named by; their own test follows.
    for earlier in (*of(Generation, statements), *of(Usage, statements)):
        assert position(earlier.id) < ends.get(earlier.entity, float("inf")), earlier


def position(name: str) -> int:
    return int(name.rpartition(":e")[2].partition("-")[0])


def test_a_version_revises_the_one_before_and_specialises_its_family(statements: list[Any]) -> None:
    revisions = {
        (derivation.generated_entity, derivation.used_entity)
        for derivation in of(Derivation, statements)
        if REVISION in derivation.attributes
    }
    assert revisions == {
        (TABLE2, TABLE),
        ("transform:Clean00000000001", "transform:Clean00000000000"),
        (SECOND, FIRST),
    }
    families = {(s.specific_entity, s.general_entity) for s in of(Specialization, statements)}
    assert {(FIRST, "collection-family:00000000000first"), (SECOND, "collection-family:00000000000first")} <= families
    assert {(TABLE, "artifact-family:00000000000table"), (TABLE2, "artifact-family:00000000000table")} <= families
    entities = by_id(Entity, statements)
    for specific, general in families:
        assert specific != general
        assert specific in entities
        assert general in entities


def test_a_run_is_associated_with_person_and_interpreter_by_its_plan(statements: list[Any]) -> None:
    associations = [association for association in of(Association, statements) if association.activity == PARENT]
    assert {association.plan for association in associations} == {"transform:Clean00000000000"}
    assert [values(association, "prov:role") for association in associations] == [["ll:operator"], ["ll:interpreter"]]
    person, software = (association.agent for association in associations)
    (delegation,) = of(Delegation, statements)
    assert (delegation.delegate, delegation.responsible, delegation.activity) == (software, person, PARENT)
    agents = by_id(Agent, statements)
    assert values(agents[software], "prov:label") == ["CPython 3.11.9"]
    assert values(agents[person], "ll:handle") == ["ada"]


def test_a_run_of_nobody_still_names_its_plan(statements: list[Any]) -> None:
    (association,) = (a for a in of(Association, statements) if a.activity == "run:Run0000000nobody")
    assert association.agent is None
    assert association.plan == "transform:Clean00000000001"


def test_runs_end_in_every_way(statements: list[Any], hostile: str) -> None:
    runs = by_id(Activity, statements)
    assert values(runs[PARENT], "ll:status") == ["finished"]
    assert runs[PARENT].end == "2026-11-21T09:05:00.123456Z"
    assert values(runs[CHILD], "ll:status") == ["failed"]
    assert values(runs[CHILD], "ll:errorMessage") == [hostile]
    assert values(runs[Name("run:Run0000000nobody")], "ll:errorType") == ["SIGINT"]
    assert values(runs[Name("run:Run000000000open")], "ll:status") == ["started"]
    assert runs[Name("run:Run000000000open")].end is None


def test_no_traceback_and_no_source_leaves_the_store(rich: EventLog, exporting: Any) -> None:
    text = exporting(rich, "prov-n")
    assert b"Traceback" not in text
    assert b"sourceCode" not in text


def test_content_seen_again_is_an_attribute_of_the_run(statements: list[Any]) -> None:
    assert values(by_id(Activity, statements)[CHILD], "ll:sawAgain") == [TABLE, RAW]
    assert values(by_id(Activity, statements)[PARENT], "ll:sawAgain") == []


def test_a_nested_run_was_informed_by_its_parent(statements: list[Any]) -> None:
    informed = [(c.informed, c.informant) for c in of(Communication, statements)]
    assert [pair for pair in informed if pair[0].startswith("run:")] == [(CHILD, PARENT)]


def test_a_session_is_an_activity_of_its_user(statements: list[Any]) -> None:
    (session,) = (a for a in of(Activity, statements) if a.id.startswith("session:"))
    assert session.start < session.end or session.start == session.end
    assert [a.agent for a in of(Association, statements) if a.activity == session.id] == ["user:Bob00001"]


def test_an_artifact_is_attributed_and_located(statements: list[Any]) -> None:
    table = by_id(Entity, statements)[TABLE]
    assert values(table, "prov:location") == ["storage:Stor00000001"]
    assert values(table, "ll:sha256") == ["ab" * 32]
    assert values(by_id(Entity, statements)[FOLDER], "ll:folderSha256") == ["ab" * 32]
    attributed = {attribution.entity: attribution.agent for attribution in of(Attribution, statements)}
    assert attributed[TABLE] == "user:Ada00001"
    assert FOLDER not in attributed


def test_current_values_follow_an_update(statements: list[Any]) -> None:
    figure = by_id(Entity, statements)[Name("artifact:0000000000figure0000")]
    assert values(figure, "dcterms:description") == ["a figure"]
    assert values(figure, "dcterms:modified")


def annotations(statements: list[Any], type_: str) -> list[Any]:
    return [entity for entity in of(Entity, statements) if type_ in values(entity, "prov:type")]


def ended(statements: list[Any]) -> dict[Name, Invalidation]:
    """The invalidations, by the annotation that each ended."""
    ends = [end for end in of(Invalidation, statements) if end.entity.startswith("annotation:")]
    found = {invalidation.entity: invalidation for invalidation in ends}
    assert len(found) == len(ends)
    return found


def test_a_definition_has_its_current_values_type_and_parents(statements: list[Any], hostile: str) -> None:
    entities = by_id(Entity, statements)
    good, fine = entities[Name("label:Lgood001")], entities[Name("label:Lfine001")]
    assert values(good, "prov:label") == [f"good {hostile}"]
    assert values(good, "ll:ofType") == ["label:Lgrade01"]
    assert values(good, "ll:reference") == ["x"]
    assert values(fine, "ll:parent") == ["label:Lgood001"]
    assert values(entities[Name("label:Lgrade01")], "ll:isType") == [True]
    p53 = entities[Name("record:Rp53000000000000")]
    assert values(p53, "prov:type") == ["ll:Record"]
    assert values(p53, "ll:ofType") == ["record:Rsample000000000"]
    assert values(p53, "dcterms:description") == [hostile]
    weight = entities[Name("feature:F00000weight")]
    assert (values(weight, "ll:dtype"), values(weight, "ll:unit")) == (["float"], ["kg"])
    assert values(weight, "ll:synonyms") == ['["w","é"]']
    screen = entities[Name("project:Pscreen00000")]
    assert values(screen, "prov:type") == ["prov:Collection", "ll:Project"]
    assert values(screen, "schema:url") == ["https://example.org/screen"]


def test_a_definition_and_a_collection_are_attributed(statements: list[Any]) -> None:
    attributed = {attribution.entity: attribution.agent for attribution in of(Attribution, statements)}
    ada, bob = "user:Ada00001", "user:Bob00001"
    assert {
        attributed[name] for name in ("label:Lgood001", "record:Rp53000000000000", "feature:F00000weight", FIRST)
    } == {ada}
    assert {attributed[name] for name in ("label:Lfine001", "project:Pscreen00000")} == {bob}


def test_a_label_is_an_annotation_with_target_and_body(statements: list[Any]) -> None:
    found = {
        (values(entity, "oa:hasTarget")[0], values(entity, "oa:hasBody")[0])
        for entity in annotations(statements, "ll:LabelAnnotation")
    }
    assert found == {
        (RAW, "label:Lgood001"),
        (TABLE, "label:Lfine001"),
        (TABLE, "record:Rp53000000000000"),
        ("artifact:0000000000figure0000", "record:Rp53000000000000"),
        (PARENT, "label:Lgood001"),
        (SECOND, "label:Lunused1"),
    }
    assert all(
        "oa:Annotation" in values(entity, "prov:type") for entity in annotations(statements, "ll:LabelAnnotation")
    )


def test_a_feature_value_has_the_type_of_its_feature(statements: list[Any], hostile: str) -> None:
    found = {
        values(entity, "ll:feature")[0].partition(":")[2].lstrip("F0"): entity
        for entity in annotations(statements, "ll:FeatureValue")
        if values(entity, "oa:hasTarget") == [TABLE] and entity.id not in ended(statements)
    }
    assert len(found) == 10
    plain = {name: value for name, entity in found.items() for value in values(entity, "ll:value")}
    assert plain == {
        "weight": 2.0, "count": 4, "note": hostile, "valid": True, "day": "2026-11-21", "moment": "2026-11-21T08:00:00.000000Z",
        "layout": plain["layout"], "phase": "late",
    }  # fmt: skip
    assert json.loads(plain["layout"]) == {"b": [1, hostile]}
    assert [type(plain[name]) for name in ("weight", "count", "note", "valid", "day", "moment")] == [
        float, int, str, bool, Day, Moment,
    ]  # fmt: skip
    assert values(found["quality"], "oa:hasBody") == ["label:Lgood001"]
    assert values(found["sample"], "oa:hasBody") == ["record:Rp53000000000000"]


def test_a_value_that_is_not_of_its_type_stays_text(basics: Any, exporting: Any) -> None:
    basics.save("odd", None)
    for name in ("date", "datetime"):
        basics.add(name, FeatureDefined(uid=f"F{name:0>11}", name=name, dtype=name))
    basics.value("odd", "Artifact", {"date": "tomorrow", "datetime": 'now"^^<x>'})
    basics.flush()
    found = annotations(exporting.statements(basics.log), "ll:FeatureValue")
    assert [[(type(value), value) for value in values(entity, "ll:value")] for entity in found] == [
        [(str, "tomorrow")],
        [(str, 'now"^^<x>')],
    ]


def test_an_annotation_is_generated_by_an_activity_of_who_made_it_in_a_run(statements: list[Any]) -> None:
    activities = {
        activity.id: activity
        for activity in of(Activity, statements)
        if "ll:Annotating" in values(activity, "prov:type")
    }
    notes = {entity.id: entity for entity in annotations(statements, "oa:Annotation")}
    generated = {
        generation.entity: generation for generation in of(Generation, statements) if generation.entity in notes
    }
    invalidated = {invalidation.activity for invalidation in ended(statements).values()}
    assert {generation.activity for generation in generated.values()} | invalidated == set(activities)
    associated = {association.activity: association.agent for association in of(Association, statements)}
    informed = {c.informed: c.informant for c in of(Communication, statements)}
    made = {}
    for name, entity in notes.items():
        if name in ended(statements):
            continue
        activity = activities[generated[name].activity]
        assert activity.start == activity.end == generated[name].time == values(entity, "dcterms:created")[0]
        key = values(entity, "oa:hasTarget")[0], *values(entity, "oa:hasBody"), *values(entity, "ll:feature")
        made[key] = associated.get(activity.id), informed.get(activity.id)
    assert made[TABLE, "label:Lfine001"] == ("user:Bob00001", PARENT)
    assert made[TABLE, "record:Rp53000000000000"] == ("user:Bob00001", CHILD)
    assert made[TABLE, "feature:F00000weight"] == ("user:Bob00001", PARENT)
    assert made[TABLE, "feature:F000000count"] == ("user:Ada00001", None)
    assert made["artifact:0000000000figure0000", "record:Rp53000000000000"] == (None, None)
    # The ten values of one event came of one activity.
    assert Counter(generation.activity for generation in generated.values()).most_common(1)[0][1] == 10


def test_what_was_taken_back_was_invalidated_by_who_did_it_why(statements: list[Any], hostile: str) -> None:
    entities, activities = by_id(Entity, statements), by_id(Activity, statements)
    generated = {generation.entity: generation for generation in of(Generation, statements)}
    associated = {association.activity: association.agent for association in of(Association, statements)}
    informed = {c.informed: c.informant for c in of(Communication, statements)}
    found = Counter()
    for name, invalidation in ended(statements).items():
        entity, activity = entities[name], activities[invalidation.activity]
        # Each ended once, after it began, within the activity that ended it (constraints 25, 34 and 36).
        assert generated[name].time <= invalidation.time == activity.start == activity.end
        assert int(generated[name].activity.partition(":e")[2]) < int(activity.id.partition(":e")[2])
        what = values(entity, "oa:hasTarget")[0], (values(entity, "oa:hasBody") or values(entity, "ll:value"))[0]
        found[*what, associated.get(activity.id), informed.get(activity.id), *values(activity, "ll:reason")] += 1
    ada, bob = "user:Ada00001", "user:Bob00001"
    assert found == {
        (RAW, "label:Lgood001", bob, "run:Run000000000open", hostile): 1,
        (RAW, "label:Lgood001", ada, None): 1,
        (RAW, "project:Pscreen00000", ada, None): 1,
        ("label:Lfine001", "label:Lunused1", bob, None): 1,
        (TABLE, 3, ada, None, "counted again"): 1,
        (CHILD, "x", ada, None): 1,
    }


def test_a_value_that_replaced_another_came_of_the_activity_that_ended_it(statements: list[Any]) -> None:
    counts = {
        values(entity, "ll:value")[0]: entity.id
        for entity in annotations(statements, "ll:FeatureValue")
        if values(entity, "ll:feature") == ["feature:F000000count"]
    }
    (generation,) = [g for g in of(Generation, statements) if g.entity == counts[4]]
    assert ended(statements)[counts[3]].activity == generation.activity
    assert counts[4] not in ended(statements)


def test_a_feature_without_a_value_is_an_annotation_without_one(basics: Any, exporting: Any) -> None:
    basics.save("table", None)
    basics.add("weight", FeatureDefined(uid="F00000weight", name="weight", dtype="float"))
    basics.value("table", "Artifact", {"weight": None})
    basics.value("table", "Artifact", {"weight": 0.5})
    basics.flush()
    found = exporting.statements(basics.log)
    told = {
        tuple(values(entity, "ll:value")): entity.id in ended(found) for entity in annotations(found, "ll:FeatureValue")
    }
    assert told == {(): True, (0.5,): False}


def test_a_parent_is_an_annotation_of_the_child(statements: list[Any]) -> None:
    found = {
        (values(entity, "oa:hasTarget")[0], values(entity, "oa:hasBody")[0], entity.id in ended(statements))
        for entity in annotations(statements, "ll:ParentAssignment")
    }
    assert found == {("label:Lfine001", "label:Lgood001", False), ("label:Lfine001", "label:Lunused1", True)}


def test_a_project_has_artifacts_and_collections_as_members_and_is_named_by_runs(statements: list[Any]) -> None:
    members = [m.entity for m in of(Membership, statements) if m.collection == "project:Pscreen00000"]
    assert members == [TABLE, SECOND]
    assert values(by_id(Activity, statements)[PARENT], "ll:project") == ["project:Pscreen00000"]
    targets = {values(entity, "oa:hasTarget")[0] for entity in annotations(statements, "ll:ProjectAssignment")}
    # What was taken out of the project is no member of it, and its assignment is told all the same.
    assert targets == {TABLE, PARENT, SECOND, RAW}


def test_a_collection_has_its_artifacts_as_members_in_their_order(statements: list[Any], hostile: str) -> None:
    members = [(m.collection, m.entity) for m in of(Membership, statements) if m.collection.startswith("collection:")]
    figure = "artifact:0000000000figure0000"
    assert members == [(FIRST, TABLE), (FIRST, RAW), (SECOND, figure), (SECOND, TABLE), (SECOND, RAW)]
    first = by_id(Entity, statements)[FIRST]
    assert values(first, "prov:type") == ["prov:Collection", "ll:Collection"]
    assert values(first, "dcterms:description") == [hostile]
    assert values(by_id(Entity, statements)[SECOND], "dcterms:description") == ["all"]
    made_by = {generation.entity: generation.activity for generation in of(Generation, statements)}
    assert (made_by[FIRST], made_by[SECOND]) == (None, PARENT)


def test_members_are_held_by_collections_and_are_entities(statements: list[Any]) -> None:
    entities = by_id(Entity, statements)
    for membership in of(Membership, statements):
        assert "prov:Collection" in values(entities[membership.collection], "prov:type")
        assert membership.entity in entities


def test_an_annotation_of_what_is_not_in_the_log_is_left_away(basics: Any, exporting: Any) -> None:
    basics.add("good", LabelDefined(uid="Lgood001", name="good"))
    basics.save("table", None)
    basics.ids["nowhere"] = new_id()
    basics.label("table", "nowhere", "Artifact")
    basics.label("stray", "good", "Artifact")
    basics.flush()
    basics.add("table", LabelDetached(label=basics.ids["nowhere"], registry="ULabel", subject="Artifact"))
    basics.flush()
    found = exporting.statements(basics.log)
    assert annotations(found, "oa:Annotation") == []
    assert {statement.keyword for statement in found} == {
        "agent", "entity", "activity", "wasGeneratedBy", "wasAssociatedWith", "wasAttributedTo", "wasDerivedFrom",
        "specializationOf", "bundle",
    }  # fmt: skip


@pytest.mark.parametrize(("n", "written"), [(100, True), (101, False)])
def test_derivations_of_a_dense_run_are_left_to_usage_and_generation(
    basics: Any, n: int, written: bool, exporting: Any
) -> None:
    for number in range(n):
        basics.save(f"in{number}", None, hash=f"{number:064x}")
    basics.start("dense", "clean")
    for number in range(n):
        basics.read("dense", f"in{number}")
    for number in range(n):
        basics.save(f"out{number}", "dense", hash=f"{number:064d}")
    basics.flush()
    found = exporting.statements(basics.log)
    _, summary = exporting.with_summary(basics.log, "prov-n")
    inside = [derivation for derivation in of(Derivation, found) if derivation.activity == "run:Run00000000dense"]
    run = by_id(Activity, found)[Name("run:Run00000000dense")]
    if written:
        assert len(inside) == n * n
        assert values(run, "ll:derivationsOmitted") == []
        assert summary.left_out == {}
    else:
        assert inside == []
        assert values(run, "ll:derivationsOmitted") == [n * n]
        assert summary.left_out == {"derivations": n * n}
        assert ("ll:leftOutDerivations", n * n) in of(Entity, found)[0].attributes


def test_a_run_with_one_input_keeps_its_derivations_however_many_outputs(basics: Any, exporting: Any) -> None:
    basics.save("source", None)
    basics.start("wide", "clean")
    basics.read("wide", "source")
    for number in range(10_001):
        basics.save(f"out{number}", "wide", hash=f"{number:064d}")
    basics.flush()
    assert len(of(Derivation, exporting.statements(basics.log))) == 10_001 + 1  # and the export from the log


def test_a_uid_that_is_no_name_is_written_as_one(basics: Any, exporting: Any) -> None:
    fact = ArtifactRegistered(
        uid="|no> <name|0000",
        version_number=0,
        storage=basics.ids["storage"],
        path="x",
        size_bytes=1,
        hash="0" * 64,
    )
    basics.add("evil", fact, actor="ada")
    basics.flush()
    for fmt in ("prov-n", "n-quads", "trig", "prov-json"):
        assert b"<name" not in exporting(basics.log, fmt)


def test_a_time_that_is_none_is_refused(basics: Any, exporting: Any) -> None:
    basics.start("late", "clean")
    basics.pending[-1] = type(basics.pending[-1])(
        stream=new_id(),
        version=1,
        fact=type(basics.pending[-1].fact)(uid="Run00", transform=basics.ids["clean"], started_at="yesterday)"),
    )
    basics.flush()
    with pytest.raises(ExportError, match="'yesterday\\)' is not a time"):
        exporting(basics.log, "prov-n")
