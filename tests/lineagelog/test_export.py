"""Exports of a store from Python: parts, what is on record of them, and what is refused."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lineagelog.domain.errors import ExportError, InvalidValueError, RecordNotFoundError, UnknownFormatError
from lineagelog.exporters.export import FORMATS
from lineagelog.exporters.formats.table import TABLES
from lineagelog.store import Store


@pytest.fixture
def study(store: Store, tmp_path: Path) -> Store:
    """Two artifacts by one user, one of them in a project."""
    store.login("ada", name="Ada")
    project = store.Project("Screen").save()
    for name in ("raw", "clean"):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"{name}\n")
        artifact = store.Artifact(path, key=path.name).save()
    artifact.projects.add(project)
    return store


def artifacts(path: Path) -> set[str]:
    (bundle,) = json.loads(path.read_text())["bundle"].values()
    return {entity["ll:key"] for name, entity in bundle.get("entity", {}).items() if name.startswith("artifact:")}


def test_what_was_exported_is_on_record_with_its_digest(study: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.ttl"
    head = study.log.head()
    summary = study.export(path, project="Screen")
    content = path.read_bytes()
    assert (summary.sha256, summary.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    fact: Any = next(iter(study.log.read(after=head.position))).fact
    assert (fact.format, fact.sha256, fact.size_bytes) == ("turtle", summary.sha256, len(content))
    assert fact.scope == summary.scope == f"project {study.Project.get(name='Screen').uid}"
    assert (fact.up_to_position, fact.root, fact.n_statements) == (head.position, head.root, summary.n_statements)


def test_parts_are_named_by_records_names_or_uids(study: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    project = study.Project.get(name="Screen")
    for chosen in (project, "Screen", project.uid):
        study.export(path, project=chosen)
        assert artifacts(path) == {"clean.csv"}
    for user in (study.User.get(handle="ada"), "ada"):
        study.export(path, user=user)
        assert artifacts(path) == {"raw.csv", "clean.csv"}
    study.export(path, user="ada", project="Screen", since=datetime.now(UTC) - timedelta(hours=1))
    assert artifacts(path) == {"clean.csv"}
    study.export(path, until="2020-01-01T00:00Z")
    assert artifacts(path) == set()


def test_contradictions_are_refused_and_nothing_is_written(study: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    position = study.log.head().position
    for error, text, options in (
        (InvalidValueError, "no subject", {"direction": "both"}),
        (InvalidValueError, "no subject", {"max_depth": 2}),
        (InvalidValueError, "nothing lies between", {"since": "2026-02-01", "until": "2026-01-01"}),
        (InvalidValueError, "time zone", {"since": datetime(2026, 1, 1)}),
        (InvalidValueError, "'soon'", {"until": "soon"}),
        (InvalidValueError, "which is no Project", {"project": study.User.get(handle="ada")}),
        (RecordNotFoundError, "the name or uid .nothing", {"project": "nothing"}),
        (UnknownFormatError, "prov-jsonld", {"format": "word"}),
    ):
        with pytest.raises(error, match=text):
            study.export(path, **options)  # type: ignore[arg-type]
    with pytest.raises(UnknownFormatError, match=r"unknown format '\.docx'"):
        study.export(tmp_path / "out.docx")
    with pytest.raises(UnknownFormatError, match="the name of the file tells none"):
        study.export(tmp_path / "out")
    with pytest.raises(ExportError, match="it is a folder"):
        study.export(tmp_path, format="trig")
    assert not path.exists()
    assert study.log.head().position == position


def test_each_format_is_told_by_its_suffix(study: Store, tmp_path: Path) -> None:
    for formats in (FORMATS, TABLES):
        for name, known in formats.items():
            assert study.export(tmp_path / f"out{known.suffix}").format == name
    with pytest.raises(UnknownFormatError, match="edges-csv"):
        study.export(tmp_path / "out.csv")


def test_a_csv_file_has_its_metadata_beside_it(study: Store, tmp_path: Path) -> None:
    summary = study.export(tmp_path / "out.events.csv", project="Screen")
    metadata = json.loads((tmp_path / "out.events.csv-metadata.json").read_text())
    assert metadata["url"] == "out.events.csv"
    assert metadata["notes"][0]["leftOut"] == summary.left_out
    assert summary.left_out["events"] > 0
