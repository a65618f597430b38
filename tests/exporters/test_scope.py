"""Parts of a store: lineage, projects, users and times, alone and together; each says what it is and what it left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.errors import InvalidValueError, RecordNotFoundError
from lineagelog.exporters.scope import ALL, Scope

SCREEN, ADA, BOB = "Pscreen00000", "Ada00001", "Bob00001"
FIGURE, TABLE, TABLE2, RAW, FOLDER, OTHER = (
    f"{name:0>16}{number:04}"
    for name, number in (("figure", 0), ("table", 0), ("table", 1), ("raw", 0), ("folder", 0), ("other", 0))
)
FIRST, SECOND = f"{'first':0>16}0000", f"{'first':0>16}0001"
PARENT, CHILD, NOBODY, OPEN = (f"Run{name:0>13}" for name in ("parent", "child", "nobody", "open"))


def held(exporting: Any, log: EventLog, scope: Scope, kind: str) -> set[str]:
    """Uids of the records of a kind in an export."""
    (bundle,) = json.loads(exporting(log, "prov-json", scope))["bundle"].values()
    records = {**bundle.get("entity", {}), **bundle.get("activity", {}), **bundle.get("agent", {})}
    return {name.partition(":")[2] for name in records if name.startswith(f"{kind}:")}


def test_a_collection_comes_with_its_members_and_their_lineage(rich: EventLog, exporting: Any) -> None:
    scope = Scope("collection", FIRST)
    assert held(exporting, rich, scope, "collection") == {FIRST}
    # The members are the table and the raw data; the child saved the table again.
    assert {TABLE, RAW, FOLDER} <= held(exporting, rich, scope, "artifact")
    assert FIGURE not in held(exporting, rich, scope, "artifact")
    assert {FIGURE, TABLE2} <= held(exporting, rich, Scope("collection", FIRST, "downstream"), "artifact")
    # What made the collection is there too, though not what it read.
    assert PARENT in held(exporting, rich, Scope("collection", SECOND, max_depth=0), "run")


def test_a_project_comes_with_what_its_runs_read_and_wrote(rich: EventLog, exporting: Any) -> None:
    scope = Scope(project=SCREEN)
    assert held(exporting, rich, scope, "project") == {SCREEN}
    assert held(exporting, rich, scope, "run") == {PARENT}
    assert held(exporting, rich, scope, "collection") == {SECOND}
    assert held(exporting, rich, scope, "artifact") == {RAW, FOLDER, TABLE, TABLE2, FIGURE}


def test_a_project_without_anything_in_it_is_still_named(rich: EventLog, exporting: Any) -> None:
    scope = Scope(project="Pidle0000000")
    assert held(exporting, rich, scope, "project") == {"Pidle0000000"}
    assert held(exporting, rich, scope, "artifact") == held(exporting, rich, scope, "run") == set()


def test_a_user_comes_with_what_they_recorded(rich: EventLog, exporting: Any) -> None:
    scope = Scope(user=BOB)
    assert held(exporting, rich, scope, "run") == {CHILD, PARENT}  # the parent started the child
    assert held(exporting, rich, scope, "artifact") == {FIGURE, TABLE, TABLE2, RAW}
    assert BOB in held(exporting, rich, scope, "user")
    assert "Clean00000000001" in held(exporting, rich, scope, "transform")
    assert OTHER not in held(exporting, rich, scope, "artifact")


def test_times_bound_what_was_recorded(rich: EventLog, exporting: Any) -> None:
    with rich.database.snapshot() as reader:
        created = dict(reader.read("SELECT uid, created_at FROM artifacts"))
    # All was recorded in two appends, which have a time each; what came with the second is the other artifact.
    times = sorted(set(created.values()))
    assert len(times) == 2
    assert {uid for uid, at in created.items() if at == times[1]} == {OTHER}
    before, after = Scope(until=times[1]), Scope(since=times[1])
    assert OTHER not in held(exporting, rich, before, "artifact")
    assert {FIGURE, RAW, TABLE} <= held(exporting, rich, before, "artifact")
    assert held(exporting, rich, after, "run") >= {OPEN}
    # The second collection was recorded then, and comes with its members.
    assert held(exporting, rich, after, "artifact") >= {OTHER, FIGURE}
    assert FOLDER not in held(exporting, rich, after, "artifact")


def test_of_several_conditions_all_hold(rich: EventLog, exporting: Any) -> None:
    def runs(**conditions: str) -> set[str]:
        return held(exporting, rich, Scope("artifact", FIGURE, **conditions), "run")

    assert {PARENT, CHILD} <= runs()
    assert runs(project=SCREEN) == {PARENT}
    assert runs(user=BOB, project=SCREEN) == set()
    assert held(exporting, rich, Scope("artifact", FIGURE, user=BOB), "artifact") == {FIGURE}
    assert held(exporting, rich, Scope(user=ADA, project=SCREEN), "run") == {PARENT}


@pytest.mark.parametrize(
    "scope",
    [
        Scope("collection", SECOND, "both"),
        Scope(project=SCREEN),
        Scope(user=BOB),
        Scope(until="2100-01-01T00:00:00.000000Z"),
        Scope("artifact", FIGURE, user=BOB, since="2000-01-01T00:00:00.000000Z"),
    ],
    ids=str,
)
def test_a_part_says_what_it_is_and_what_it_left_out(memory: Any, scope: Scope, exporting: Any, tmp_path: Any) -> None:
    from lineagelog.exporters.constraints import validate
    from lineagelog.exporters.readers.reading import read

    content, summary = exporting.with_summary(memory.log, "prov-json", scope)
    assert summary.scope == str(scope)
    document = json.loads(content)
    (name,) = document["bundle"]
    assert name == f"export:e{memory.log.head().position}-{scope.slug}"
    about = document["entity"][name]
    assert about["ll:scope"] == str(scope)
    for term, value in (("ofProject", scope.project), ("ofUser", scope.user)):
        assert (about.get(f"ll:{term}") or {"$": ":"})["$"].partition(":")[2] == (value or "")
    # What is held and what was left out are together what there is.
    with memory.log.database.snapshot() as reader:
        for table in ("artifacts", "runs", "transforms", "collections", "users"):
            ((total,),) = reader.read(f"SELECT count(*) FROM {table}")
            n_held = len(held(exporting, memory.log, scope, table[:-1]))
            assert summary.left_out[table] == total - n_held
            assert int(about[f"ll:leftOut{table.capitalize()}"]["$"]) == total - n_held
    path = tmp_path / "part.json"
    path.write_bytes(content)
    report = validate(read(path))
    assert report.valid, report.to_text()


def test_different_scopes_have_different_names() -> None:
    scopes = [
        ALL, Scope("artifact", "A1"), Scope("artifact", "A1", "both"), Scope("artifact", "A1", max_depth=1), Scope(project="A1"),
        Scope(user="A1"), Scope(since="2026-01-01T00:00:00.000000Z"), Scope(until="2026-01-01T00:00:00.000000Z"),
        Scope("artifact", "A1", project="A1"),
    ]  # fmt: skip
    assert len({scope.slug for scope in scopes}) == len({str(scope) for scope in scopes}) == len(scopes)


def test_what_does_not_exist_or_contradicts_itself_is_refused(memory: Any, exporting: Any) -> None:
    with pytest.raises(RecordNotFoundError, match="nosuch"):
        exporting(memory.log, "prov-n", Scope(project="nosuch"))
    with pytest.raises(RecordNotFoundError, match="nosuch"):
        exporting(memory.log, "prov-n", Scope(user="nosuch"))
    with pytest.raises(InvalidValueError, match="nothing lies between"):
        Scope(since="2026-01-02T00:00:00.000000Z", until="2026-01-01T00:00:00.000000Z")
    with pytest.raises(InvalidValueError, match="no time"):
        Scope(since="2026-01-02")
