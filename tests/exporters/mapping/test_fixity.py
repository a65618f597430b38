"""Checks of stored content are activities of their own, in no lineage and against no constraint."""

from __future__ import annotations

from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.exporters.scope import Scope
from lineagelog.exporters.statement import Activity, Association, Communication, Derivation, Generation, Usage

TABLE, FIGURE = "artifact:00000000000table0000", "artifact:0000000000figure0000"


def values(statement: Any, name: str) -> list[Any]:
    return [value for key, value in statement.attributes if key == name]


def checks(statements: list[Any]) -> dict[str, Any]:
    return {one.id: one for one in statements if isinstance(one, Activity) and one.id.startswith("checking:")}


@pytest.fixture
def statements(rich: EventLog, exporting: Any) -> list[Any]:
    found: list[Any] = exporting.statements(rich)
    return found


def test_a_check_used_the_artifact_and_says_what_it_found(statements: list[Any]) -> None:
    activities = checks(statements)
    used = {usage.id: usage for usage in statements if isinstance(usage, Usage) and usage.activity in activities}
    found = [(usage.entity, *values(activities[usage.activity], "ll:outcome")) for usage in used.values()]
    assert found == [(TABLE, "changed"), (TABLE, "intact"), (FIGURE, "missing"), ("storage:Stor00000001",)]
    changed, *_, location = (activities[usage.activity] for usage in used.values())
    assert values(changed, "prov:type") == ["ll:FixityCheck", "eventType:fix"]
    assert values(changed, "ll:foundSha256") == ["0" * 64]
    assert values(changed, "ll:foundByteSize") == [11]
    assert values(location, "ll:nMissing") == [1]
    assert values(location, "ll:contentRead") == [True]
    for usage in used.values():
        activity = activities[usage.activity]
        assert activity.start <= usage.time <= activity.end
        assert values(usage, "prov:role") == ["ll:checked"]


def test_a_check_is_associated_with_its_user_and_informed_by_its_run(statements: list[Any]) -> None:
    activities = list(checks(statements))
    agents = {
        one.activity: one.agent for one in statements if isinstance(one, Association) and one.activity in activities
    }
    assert list(agents.values()) == ["user:Bob00001", "user:Ada00001", "user:Bob00001"]
    informed = [one for one in statements if isinstance(one, Communication) and one.informed in activities]
    assert [(one.informed, one.informant) for one in informed] == [(activities[1], "run:Run000000000open")]


def test_nothing_is_generated_by_a_check_or_derived_through_one(statements: list[Any]) -> None:
    activities = checks(statements)
    assert not [one for one in statements if isinstance(one, Generation | Derivation) and one.activity in activities]


def test_a_part_holds_the_checks_of_its_artifacts_and_counts_the_others(rich: EventLog, exporting: Any) -> None:
    scope = Scope("artifact", FIGURE.partition(":")[2], max_depth=0)
    activities = checks(exporting.statements(rich, scope))
    assert [values(one, "ll:outcome") for one in activities.values()] == [["missing"]]
    _, summary = exporting.with_summary(rich, "prov-n", scope)
    assert summary.left_out["fixityChecks"] == 3
