"""The audit trail as a report: who changed what from which old to which new value, the same in every form."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import lineagelog as ln
from lineagelog.audit.report import COLUMNS, texts_of
from lineagelog.domain.errors import (
    ExportError,
    InvalidValueError,
    RecordNotFoundError,
    UnknownFormatError,
    UserNotFoundError,
)
from lineagelog.domain.event import TOPICS, Change
from lineagelog.domain.store import ExportMade
from lineagelog.domain.transform import TransformUpdated
from lineagelog.store import Store

NASTY = [
    '=HYPERLINK("http://example.org")', "+1", "-2+3", "@SUM(A1)", "<script>alert(1)</script>", "a & b", '"quoted"', "",
    "two\nlines", "trailing  spaces ", "ünïcode 数", "\ttab first", "&lt;not markup&gt;", "'single",
]  # fmt: skip


class _Table(HTMLParser):
    """Reads the table of a report; `None` for a cell that holds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str | None]] = []
        self.tags: set[str] = set()
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append(None)
        if tag in ("span", "th"):
            self._inside, self.rows[-1][-1] = True, ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("span", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] = (self.rows[-1][-1] or "") + data


@pytest.fixture
def edited(store: Store, frame: Callable[..., pd.DataFrame]) -> Any:
    """An artifact whose description two users have changed, once in a run, with reasons."""
    store.login("ana", name="Ana Nowak")
    artifact = ln.Artifact.from_dataframe(frame(), key="a.csv", description="first").save()
    for text in NASTY:
        artifact.description = text
        artifact.save(reason=text or None)
    store.login("bo", name="Bo")
    ln.Feature("mass", dtype="float").save()
    with ln.Run(ln.Transform("clean.py").save()) as run:
        artifact.features.add_values({"mass": 1.5})
        artifact.features.add_values({"mass": -2.5}, reason="recalibrated")
        artifact.description = None
        artifact.save()
    return artifact, run


def test_every_change_has_who_when_what_old_new_why_and_run(store: Store, edited: Any) -> None:
    artifact, run = edited
    rows = list(store.audit(record=artifact.uid, field="description"))
    values = ["first", *NASTY, None]
    # Nothing changes between two texts that are stored alike.
    assert [(row.old, row.new) for row in rows] == list(pairwise(values))
    assert [row.who for row in rows] == ["ana"] * len(NASTY) + ["bo"]
    assert [row.reason for row in rows[:-1]] == [text or None for text in NASTY]
    assert {row.auth for row in rows} == {"declared"}
    assert (rows[-1].run, rows[-1].uid, rows[-1].kind, rows[-1].key) == (run.uid, artifact.uid, "Artifact", "a.csv")
    assert [row.position for row in rows] == [
        event.position for event in artifact.history() if "description" in getattr(event.fact, "changes", ())
    ]
    (before, after) = store.audit(field="mass")
    assert (before.old, before.new, after.old, after.new, after.reason) == (None, 1.5, 1.5, -2.5, "recalibrated")


def test_filters_select_what_they_say(store: Store, edited: Any) -> None:
    artifact, run = edited
    every = list(store.audit())
    middle = every[len(every) // 2].at
    for conditions, holds in (
        ({"who": "bo"}, lambda row: row.who == "bo"),
        ({"run": run.uid}, lambda row: row.run == run.uid),
        ({"record": artifact.uid}, lambda row: row.uid == artifact.uid),
        ({"what": "ArtifactUpdated"}, lambda row: row.event == "ArtifactUpdated"),
        ({"since": middle}, lambda row: row.at >= middle),
        ({"until": middle}, lambda row: row.at < middle),
        ({"field": "mass"}, lambda row: row.field == "mass"),
        ({"why": "RECALI"}, lambda row: row.reason == "recalibrated"),
        ({"why": "Ünï"}, lambda row: row.reason == "ünïcode 数"),
        ({"who": "bo", "field": "description"}, lambda row: (row.who, row.field) == ("bo", "description")),
    ):
        expected = [row for row in every if holds(row)]
        assert expected
        assert list(store.audit(**conditions)) == expected, conditions  # type: ignore[arg-type]
    assert [row.position for row in store.audit(newest_first=True)] == [row.position for row in reversed(every)]
    assert [event.position for event in store.User.get(handle="bo").activity(newest_first=False)] == list(
        dict.fromkeys(row.position for row in every if row.who == "bo")
    )
    for error, conditions in (
        (UserNotFoundError, {"who": "nobody"}),
        (RecordNotFoundError, {"record": "zzzzzzzz"}),
        (InvalidValueError, {"what": "Nothing"}),
        (InvalidValueError, {"why": " "}),
    ):
        with pytest.raises(error):
            store.audit(**conditions)  # type: ignore[arg-type]


def test_every_form_holds_the_same(store: Store, edited: Any, tmp_path: Path) -> None:
    expected = [list(texts_of(row)) for row in store.audit()]
    for name in ("trail.html", "trail.csv", "trail.parquet"):
        assert store.audit().write(tmp_path / name, record=False) == len(expected)

    text = (tmp_path / "trail.html").read_text()
    table = _Table()
    table.feed(text)
    assert table.rows == [list(COLUMNS), *expected]
    assert "script" not in table.tags
    assert "http:" not in text.replace("http://example.org", "")
    assert store.log.head().root in text

    with (tmp_path / "trail.csv").open(newline="") as file:
        header, *cells = csv.reader(file)
    assert header == list(COLUMNS)
    for row, texts in zip(cells, expected, strict=True):
        for name, cell, value in zip(COLUMNS, row, texts, strict=True):
            is_number = name in ("old", "new") and value in ("1.5", "-2.5")
            assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
            assert cell in (value or "", f"'{value}")

    parquet = pq.read_table(tmp_path / "trail.parquet").to_pylist()
    assert [row["position"] for row in parquet] == [int(str(row[0])) for row in expected]
    assert [[row[name] for name in COLUMNS[2:]] for row in parquet] == [row[2:] for row in expected]
    assert [row["at"] for row in parquet] == [row.at for row in store.audit()]
    assert len(store.audit().to_dataframe()) == len(expected)

    with pytest.raises(UnknownFormatError, match="csv, html, parquet"):
        store.audit().write(tmp_path / "trail.pdf")
    assert not (tmp_path / "trail.pdf").exists()


def test_a_thousand_random_changes_read_back_field_by_field(sqlite_store: Store, tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    random = Random(seed)
    letters = [*"=+-@'\"<>&;,\t\n |", *"äé数🧪\u202e\u2028\x1b", *"abc 123"]

    def value() -> Any:
        text = "".join(random.choices(letters, k=random.randint(0, 12)))
        return random.choice([None, text, random.random(), -random.randint(0, 99), {text: [text]}, True])

    transform = sqlite_store.Transform("changed").save()
    sqlite_store.append(
        [
            sqlite_store.new_event(
                TransformUpdated(changes={"mood": Change(value(), value())}),
                transform.id,
                version,
                reason=str(value()),
            )
            for version in range(2, 1002)
        ]
    )
    # A field without a column, so that any value may follow any other.
    trail = sqlite_store.audit(field="mood")
    expected = [list(texts_of(row)) for row in trail]
    assert len(expected) == 1000
    for name in ("trail.html", "trail.csv", "trail.parquet"):
        trail.write(tmp_path / name)
    table = _Table()
    table.feed((tmp_path / "trail.html").read_text())
    assert table.rows[1:] == expected
    with (tmp_path / "trail.csv").open(newline="") as file:
        cells = list(csv.reader(file))[1:]
    for row, texts in zip(cells, expected, strict=True):
        assert [cell in (text or "", f"'{text}") for cell, text in zip(row, texts, strict=True)] == [True] * len(
            COLUMNS
        )
    parquet = pq.read_table(tmp_path / "trail.parquet").to_pylist()
    assert [[row[name] for name in COLUMNS[2:]] for row in parquet] == [row[2:] for row in expected]


def test_a_report_that_is_written_is_an_event_as_any_export(
    store: Store, edited: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    head = store.log.head()
    n_rows = store.audit(who="ana", what="artifact").write(tmp_path / "trail.csv")
    (event,) = store.events(after=head.position)
    content = (tmp_path / "trail.csv").read_bytes()
    assert event.fact == ExportMade(
        format="audit-csv",
        scope="who ana, what artifact",
        up_to_position=head.position,
        root=head.root,
        n_statements=n_rows,
        sha256=sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    artifact, run = edited
    whole = f"record {artifact.uid}, run {run.uid}"
    assert store.audit(record=artifact.uid[:5], run=run.uid[:5]).scope == whole, "a beginning may tell two some day"
    # The report itself is no part of the log it tells of.
    store.audit().write(tmp_path / "trail.html")
    assert f"log of {event.position} events" in (tmp_path / "trail.html").read_text()
    with store.as_of(head.position) as past:
        past.audit().write(tmp_path / "past.parquet")
    assert [one.fact.format for one in store.events(after=head.position)] == [
        "audit-csv",
        "audit-html",
        "audit-parquet",
    ]  # type: ignore[attr-defined]

    last = store.log.head()
    store.audit().write(tmp_path / "trail.csv", record=False)
    with pytest.raises(ExportError, match="folder"):
        store.audit().write(tmp_path, format="csv")
    monkeypatch.setattr(store.log.database, "read_only", True)
    store.audit().write(tmp_path / "read_only.csv")
    assert (tmp_path / "read_only.csv").exists()
    assert "not on record" in capfd.readouterr().err
    assert store.log.head() == last


def test_an_empty_trail_is_written_as_such(sqlite_store: Store, tmp_path: Path) -> None:
    for name in ("trail.html", "trail.csv", "trail.parquet"):
        assert sqlite_store.audit(field="nothing").write(tmp_path / name) == 0
    assert (tmp_path / "trail.csv").read_text().splitlines() == [",".join(COLUMNS)]


def test_the_trail_of_the_past_is_as_it_was(store: Store, edited: Any) -> None:
    rows = list(store.audit())
    position = rows[len(rows) // 2].position
    with store.as_of(position) as past:
        assert list(past.audit()) == [row for row in rows if row.position <= position]


def test_every_kind_of_change_can_be_found_by_its_field() -> None:
    from lineagelog.audit.trail import _CHANGING

    assert {"artifact.updated.1", "feature_values.set.1", "run.updated.1"} & set(TOPICS) <= set(_CHANGING)
    assert all("updated" not in topic or topic in _CHANGING for topic in TOPICS)


def test_the_command_writes_what_the_store_reports(
    store: Store, edited: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lineagelog.cli.app import run

    artifact, _ = edited
    address = store.address
    capsys.readouterr()
    expected = [list(texts_of(row)) for row in store.audit(record=artifact.uid, field="description")]
    arguments = ["audit", "--store", address, "--record", artifact.uid, "--field", "description"]
    assert run([*arguments, "--csv"]) == 0
    assert [row[0] for row in csv.reader(io.StringIO(capsys.readouterr().out))][1:] == [row[0] for row in expected]
    assert run([*arguments, "--json", "--all"]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["old"], row["new"]) for row in reversed(objects)] == [(row[11], row[12]) for row in expected]
    assert run([*arguments, "-o", str(tmp_path / "trail.html")]) == 0
    table = _Table()
    table.feed((tmp_path / "trail.html").read_text())
    assert table.rows[1:] == expected
    assert run(arguments) == 0
    assert "declared" in capsys.readouterr().out
