"""Tables of edges and events: all rows, in the order of the log, harmless in a spreadsheet and without loss."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from lineagelog.adapters.log import sqlite
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.exporters.export import export
from lineagelog.exporters.formats.table import EDGE_COLUMNS, TABLES, write_csv
from lineagelog.exporters.scope import ALL, Scope

FIGURE = f"{'figure':0>16}0000"
SCOPES = [ALL, Scope("artifact", FIGURE), Scope(user="Bob00001")]


def rows_of_csv(content: bytes) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))
    # One apostrophe stands before what would be a formula.
    return [{name: text[1:] if text.startswith("'") else text for name, text in row.items()} for row in rows]


def rows_of_parquet(content: bytes) -> list[dict[str, str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content)).to_pylist()
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in table]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_both_formats_hold_the_rows_of_the_log(rich: EventLog, scope: Scope, exporting: Any) -> None:
    for table in ("edges", "events"):
        found = rows_of_csv(exporting(rich, f"{table}-csv", scope))
        assert found == rows_of_parquet(exporting(rich, f"{table}-parquet", scope))
        positions = [int(row["position"]) for row in found]
        assert positions == sorted(set(positions))
        if scope is ALL:
            with rich.database.snapshot() as reader:
                ((n_rows,),) = reader.read(f"SELECT count(*) FROM {table}")
            assert len(found) == n_rows
        else:
            assert found


def test_events_are_whole_and_named(memory: Any, exporting: Any, hostile: str) -> None:
    found = {int(row["position"]): row for row in rows_of_csv(exporting(memory.log, "events-csv"))}
    n_hostile = 0
    for event in memory.log.read():
        row = found.pop(event.position)
        assert (row["topic"], row["stream"], int(row["version"])) == (event.topic, event.stream, event.version)
        assert row["recorded_at"] == event.recorded_at
        assert row["reason"] == (event.reason or "")
        n_hostile += hostile in (row["reason"], json.loads(row["payload"]).get("description"))
        assert (row["user"] != "") is (event.actor is not None)
    assert not found
    assert n_hostile > 3


def test_edges_lead_where_the_data_go(memory: Any, exporting: Any) -> None:
    found = rows_of_csv(exporting(memory.log, "edges-csv", Scope("artifact", FIGURE)))
    made = [row for row in found if row["kind"] == "generated" and row["artifact"] == FIGURE]
    assert [(row["source"], row["target"], row["user"]) for row in made] == [("Run00000000child", FIGURE, "bob")]
    used = [row for row in found if row["kind"] == "used"]
    assert all((row["source"], row["target"]) == (row["artifact"], row["run"]) for row in used)
    assert {row["role"] for row in used} == {"input", "training set: é"}


@pytest.mark.parametrize("fmt", sorted(TABLES))
def test_two_tables_of_one_position_are_equal(rich: EventLog, fmt: str, exporting: Any) -> None:
    assert exporting(rich, fmt) == exporting(rich, fmt)
    summary = exporting.with_summary(rich, fmt, SCOPES[1])[1]
    assert summary.left_out["artifacts"] > 0
    assert summary.n_statements == summary.counts["rows"] > 0


def test_a_part_says_what_was_left_out(memory: Any, exporting: Any) -> None:
    import pyarrow.parquet as pq

    content, summary = exporting.with_summary(memory.log, "events-parquet", SCOPES[1])
    about = json.loads(pq.read_schema(io.BytesIO(content)).metadata[b"lineagelog"])
    assert about["scope"] == f"artifact {FIGURE} upstream"
    assert about["leftOut"] == summary.left_out
    assert about["merkleRoot"] == memory.log.head().root
    assert summary.left_out["events"] + summary.n_statements == memory.log.head().position
    metadata = exporting.with_summary(memory.log, "events-csv", SCOPES[1])[1].metadata
    assert metadata["notes"][0]["leftOut"] == summary.left_out
    assert [column["name"] for column in metadata["tableSchema"]["columns"]][:2] == ["position", "recorded_at"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'quoted'", "''", '"=1"', "a\nb", "", "a,b", "é"]
)
def test_no_cell_is_a_formula_and_nothing_is_lost(text: str) -> None:
    out = io.BytesIO()
    assert list(write_csv(out, EDGE_COLUMNS[:2], iter([(1, text), (2, None)]), {})) == [2]
    ((_, cell), (_, nothing)) = list(csv.reader(io.StringIO(out.getvalue().decode(), newline=""), strict=True))[1:]
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.removeprefix("'") == text
    assert nothing == ""
    # Quotes tell an empty text from none.
    assert out.getvalue().endswith(b"2,\n")


class _Sink:
    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None:
        pass


def test_memory_of_a_table_does_not_grow(tmp_path: Path, many: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_FETCH_ROWS", 10)
    monkeypatch.setattr("lineagelog.exporters.formats.table._BATCH", 100)
    peaks = []
    for n_artifacts in (300, 1_200):
        log = EventLog.connect(tmp_path / f"{n_artifacts}.db", create=True)
        many(log, n_artifacts)
        head = log.head()
        with log.database.snapshot() as reader:
            tracemalloc.start()
            place = {"head_position": head.position, "head_root": head.root}
            summary = export(reader, cast("BinaryIO", _Sink()), format="events-csv", **place)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert summary.n_statements > 3 * n_artifacts
        log.close()
    assert peaks[1] < 1.3 * peaks[0], peaks
