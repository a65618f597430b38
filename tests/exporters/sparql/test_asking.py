"""SPARQL answers questions of an export, and nothing else."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lineagelog.domain.errors import ExportError, ObjectMissingError, QueryError
from lineagelog.exporters.sparql.asking import check_query, query

ID = "https://w3id.org/lineagelog/id/Store0000001"


@pytest.fixture
def nquads(memory: Any, exporting: Any) -> list[bytes]:
    text: bytes = exporting(memory.log, "n-quads")
    return text.splitlines(keepends=True)


@pytest.fixture(params=[("trig", ".trig"), ("n-quads", ".nq")], ids=lambda pair: pair[0])
def path(request: pytest.FixtureRequest, memory: Any, exporting: Any, tmp_path: Path) -> Path:
    fmt, suffix = request.param
    file = tmp_path / f"export{suffix}"
    file.write_bytes(exporting(memory.log, fmt))
    return file


def test_which_run_used_which_artifact(path: Path) -> None:
    result = query(path, "SELECT ?run ?artifact { ?run a ll:Run ; prov:used ?artifact } ORDER BY ?run ?artifact")
    assert result.kind == "select"
    assert result.columns == ("run", "artifact")
    assert (f"{ID}/run/Run0000000parent", f"{ID}/artifact/0000000000000raw0000") in result.rows
    assert len(result.rows) == 4
    assert all("/run/" in run and "/artifact/" in artifact for run, artifact in result.rows)


def test_quads_are_read_from_a_stream(nquads: list[bytes]) -> None:
    assert query(iter(nquads), "ASK { ?artifact a ll:Artifact }").answer is True
    assert query(iter(nquads), "ASK { ?artifact a ll:Nothing }").answer is False


def test_values_become_those_of_python(nquads: list[bytes]) -> None:
    result = query(
        nquads,
        """SELECT ?size ?start ?dirty ?none {
            ?raw dcat:byteSize ?size . FILTER(?size > 1000)
            ?run ll:gitDirty ?dirty ; prov:startedAtTime ?start . OPTIONAL { ?run ll:nothing ?none } }""",
    )
    assert result.rows == ((3 * 10**9, datetime(2026, 11, 21, 9, tzinfo=UTC), True, None),)


def test_hostile_text_comes_back_as_it_was(nquads: list[bytes], hostile: str) -> None:
    result = query(nquads, f"SELECT ?text {{ <{ID}/artifact/0000000000000raw0000> dcterms:description ?text }}")
    assert result.rows == ((hostile,),)


def test_sources_of_sources_are_followed(nquads: list[bytes]) -> None:
    result = query(nquads, f"SELECT ?source {{ <{ID}/artifact/0000000000figure0000> prov:wasDerivedFrom+ ?source }}")
    assert (f"{ID}/artifact/0000000000000raw0000",) in result.rows


def test_what_holds_is_told_from_what_was_taken_back(nquads: list[bytes]) -> None:
    readme = (Path(__file__).parents[3] / "exporters" / "README.md").read_text()
    (asked,) = re.findall(r"^```sparql\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    asked = asked.replace("?artifact ;", f"<{ID}/artifact/0000000000000raw0000> ;")
    assert query(nquads, asked).rows == ()
    ended = asked.replace("NOT EXISTS", "EXISTS")
    assert set(query(nquads, ended).rows) == {(f"{ID}/label/Lgood001",), (f"{ID}/project/Pscreen00000",)}


def test_a_graph_is_answered_in_turtle(nquads: list[bytes]) -> None:
    result = query(nquads, "CONSTRUCT { ?run prov:used ?artifact } WHERE { ?run prov:used ?artifact }")
    assert result.kind == "graph"
    assert result.text is not None
    assert "prov:used" in result.text


@pytest.mark.parametrize(
    ("sparql", "message"),
    [
        ("SELECT * { SERVICE <http://x.example/> { ?a ?b ?c } }", "SERVICE in line 1, column 12 is refused"),
        ("SELECT * {\n  service silent ?x { ?a ?b ?c } }", "SERVICE in line 2, column 3"),
        ("SELECT * { S\\u0045RVICE <http://x.example/> { ?a ?b ?c } }", "SERVICE"),
        ("PREFIX : <http://x.example/> SELECT * {SERVICE:y{?a ?b ?c}}", "SERVICE"),
        ("PREFIX : <http://x.example/> SELECT * {?a ?b 5SERVICE:y{?a ?b ?c}}", "SERVICE"),
        ("SELECT * { ?a ?b '#' SERVICE <http://x.example/> { ?a ?b ?c } }", "SERVICE"),
        ("SELECT * { ?a ?b <#> . SERVICE <http://x.example/> { ?a ?b ?c } }", "SERVICE"),
        ("SELECT * FROM <http://g.example/> { ?a ?b ?c }", "FROM in line 1, column 10 is refused"),
        ("SELECT * from named <http://g.example/> { ?a ?b ?c }", "FROM"),
        ("INSERT DATA { <http://a> <http://b> 1 }", "INSERT is an update"),
        ("PREFIX a: <http://a/> DELETE WHERE { ?a ?b ?c }", "DELETE is an update"),
        ("LOAD <file:///etc/passwd>", "LOAD is an update"),
        ("SELECT * { ?a ?b", "malformed at line 1, column 1"),
        ("SELECT *\n{ ?a ?b ?c ) }", "malformed at line 2, column"),
        ("SELECTED ?a { ?a ?b ?c }", "malformed at line 1, column 1: 'SELECTED' is no form of query"),
        ("SELECT * { ?a nope:b ?c }", "malformed"),
        ("", "malformed"),
    ],
)
def test_what_is_no_question_of_the_export_is_refused(sparql: str, message: str, nquads: list[bytes]) -> None:
    with pytest.raises(QueryError, match=message):
        query(nquads, sparql)


@pytest.mark.parametrize(
    "sparql",
    [
        "SELECT * { ?service ?from 'SERVICE <http://x> FROM' } # SERVICE FROM",
        'SELECT * { ?a ?b """SERVICE\n"quoted" FROM""" }',
        "SELECT * { ?a <http://example.org/FROM/SERVICE> ?c }",
        "SELECT * { ?a ex:from ?c }",
        "ASK { ?from ?b ?c FILTER(?from < ?c && ?c > ?b) }",
    ],
)
def test_refused_words_inside_strings_names_and_comments_are_not_meant(sparql: str) -> None:
    check_query(sparql)


def test_an_endless_query_is_stopped(nquads: list[bytes]) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than 0\.5 seconds and was stopped"):
        query(
            nquads, "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?n1 ?o }", timeout_s=0.5
        )
    assert time.monotonic() - began < 30


def test_the_worker_opens_no_connection(nquads: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    # Even if a query with SERVICE were let through, the process that runs it could not reach anything.
    import socket

    from lineagelog.exporters.sparql import asking as sparql

    monkeypatch.setattr(sparql, "check_query", lambda text: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        with pytest.raises(QueryError, match="could not be answered"):
            query(nquads, f"SELECT * {{ SERVICE <http://127.0.0.1:{port}/> {{ ?a ?b ?c }} }}")
        with pytest.raises(TimeoutError):
            server.accept()


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is not an export as it was written"):
        query([b"no quads\n"], "ASK {}")
    with pytest.raises(ObjectMissingError, match="does not exist"):
        query(tmp_path / "none.trig", "ASK {}")
    with pytest.raises(ExportError, match=r"export in TriG \(\.trig\) or N-Quads \(\.nq\)"):
        query(tmp_path / "export.json", "ASK {}")
    with pytest.raises(ValueError, match="timeout_s is 0"):
        query([], "ASK {}", timeout_s=0)
