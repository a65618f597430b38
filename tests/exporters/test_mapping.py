"""What each event comes to in PROV, and the constraints that hold in every export."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.artifact import ArtifactRegistered
from lineagelog.domain.errors import ExportError
from lineagelog.domain.event import TOPICS
from lineagelog.domain.ids import new_id
from lineagelog.exporters.mapping import EVENT_MAPPING, Excluded, Mapped
from lineagelog.exporters.statement import (
    Activity,
    Agent,
    Association,
    Attribution,
    Bundle,
    Communication,
    Delegation,
    Derivation,
    Entity,
    Generation,
    Name,
    Specialization,
    Usage,
)

PARENT, CHILD = Name("run:Run0000000parent"), Name("run:Run00000000child")
RAW, FOLDER = Name("artifact:0000000000000raw0000"), Name("artifact:0000000000folder0000")
TABLE, TABLE2 = Name("artifact:00000000000table0000"), Name("artifact:00000000000table0001")
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


def test_every_artifact_has_exactly_one_generation(statements: list[Any]) -> None:
    generated = Counter(generation.entity for generation in of(Generation, statements))
    artifacts = {name for name in by_id(Entity, statements) if name.startswith("artifact:")}
    assert set(generated) == artifacts
    assert len(artifacts) == 6
    assert set(generated.values()) == {1}
    by_entity = {generation.entity: generation for generation in of(Generation, statements)}
    assert by_entity[TABLE].activity == PARENT
    assert by_entity[RAW].activity is None
    assert by_entity[RAW].time is not None


def test_a_usage_has_time_and_role(statements: list[Any]) -> None:
    usages = {(usage.activity, usage.entity): usage for usage in of(Usage, statements)}
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
        assert int(usage.id.partition(":")[2]) < int(generation.id.partition(":")[2])
    pairs = {(derivation.generated_entity, derivation.used_entity) for derivation in derivations if derivation.activity}
    assert {(TABLE, RAW), (TABLE, FOLDER), (TABLE2, RAW), (TABLE2, TABLE)} <= pairs
    assert (TABLE, TABLE) not in pairs


def test_a_version_revises_the_one_before_and_specialises_its_family(statements: list[Any]) -> None:
    revisions = {
        (derivation.generated_entity, derivation.used_entity)
        for derivation in of(Derivation, statements)
        if REVISION in derivation.attributes
    }
    assert revisions == {(TABLE2, TABLE), ("transform:Clean00000000001", "transform:Clean00000000000")}
    families = {(s.specific_entity, s.general_entity) for s in of(Specialization, statements)}
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
    assert [(c.informed, c.informant) for c in of(Communication, statements)] == [(CHILD, PARENT)]


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
