"""SPARQL over a store: the graph is kept from one question to the next, in memory or on disk, and is always that of now."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lineagelog.asking import index_folder
from lineagelog.domain.errors import DomainError, QueryError
from lineagelog.exporters.sparql.asking import Engine
from lineagelog.store import Store

KEYS = "SELECT ?key { ?artifact a ll:Artifact ; ll:key ?key } ORDER BY ?key"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was exported for questions."""
    seen: list[Any] = []
    load = Engine.load
    monkeypatch.setattr(Engine, "load", lambda self, *a, **b: (seen.append(a), load(self, *a, **b))[1])
    return seen


def save(store: Store, name: str) -> Any:
    Path(name).write_text(name)
    return store.Artifact(name, key=name).save()


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_each_question_is_about_now_and_only_the_first_takes_an_export(
    store: Store, loads: list[Any], on_disk: bool
) -> None:
    def keys() -> list[str]:
        return [key for (key,) in store.sparql(KEYS, on_disk=on_disk).rows]

    artifact = save(store, "a")
    assert keys() == ["a"]
    save(store, "b")
    assert keys() == ["a", "b"]
    artifact.description = "first"
    artifact.save()
    assert store.sparql("ASK { ?a dcterms:description 'first' }", on_disk=on_disk).answer is True
    assert keys() == ["a", "b"]
    assert len(loads) == 1


def test_a_store_that_is_closed_ends_the_process_that_held_its_graph(sqlite_store: Store) -> None:
    sqlite_store.sparql("ASK {}")
    assert sqlite_store.index is not None
    engine = sqlite_store.index._engine
    assert engine is not None
    sqlite_store.sparql("ASK {}")
    assert sqlite_store.index._engine is engine
    process = engine._process
    assert process.poll() is None
    sqlite_store.close()
    assert process.poll() is not None


def test_a_question_that_takes_too_long_does_not_cost_the_graph(sqlite_store: Store, loads: list[Any]) -> None:
    save(sqlite_store, "a")
    endless = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?n1 ?o . ?p ?q ?r }"
    with pytest.raises(QueryError, match=r"longer than 0\.5 seconds"):
        sqlite_store.sparql(endless, timeout_s=0.5)
    assert sqlite_store.sparql(KEYS).rows == (("a",),)
    assert len(loads) == 1


def test_a_process_that_was_forked_has_a_graph_of_its_own(sqlite_store: Store) -> None:
    save(sqlite_store, "a")
    assert sqlite_store.sparql(KEYS).rows == (("a",),)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if sqlite_store.sparql(KEYS).rows == (("a",),) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sqlite_store.sparql(KEYS).rows == (("a",),)


def test_graphs_are_named_as_in_an_export_of_this_moment(sqlite_store: Store) -> None:
    for name in "ab":
        save(sqlite_store, name)
        position = sqlite_store.log.head().position
        ((graph, count),) = sqlite_store.sparql(
            "SELECT ?g (COUNT(*) AS ?n) { ?g prov:wasDerivedFrom ?log . GRAPH ?g { ?a a ll:Artifact } } GROUP BY ?g"
        ).rows
        assert graph.endswith(f"/export/e{position}-all")
        assert count == "ab".index(name) + 1


def test_a_view_of_the_past_keeps_a_graph_of_its_own(sqlite_store: Store, loads: list[Any]) -> None:
    save(sqlite_store, "a")
    position = sqlite_store.log.head().position
    save(sqlite_store, "b")
    with sqlite_store.as_of(position) as past:
        for _ in range(2):
            assert past.sparql(KEYS, on_disk=True).rows == (("a",),)
    assert len(loads) == 1
    assert sqlite_store.sparql(KEYS).rows == (("a",), ("b",))


def test_where_no_index_can_be_kept_the_question_is_answered_all_the_same(
    sqlite_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    save(sqlite_store, "a")
    index_folder().parent.mkdir(parents=True)
    index_folder().write_text("no folder")
    assert sqlite_store.sparql(KEYS, on_disk=True).rows == (("a",),)
    assert "cannot be kept, so this question takes longer" in capsys.readouterr().err


def test_a_full_disk_costs_the_index_and_not_the_answer(sqlite_store: Store) -> None:
    save(sqlite_store, "a")
    program = (
        "import resource, sys; from lineagelog import Store\n"
        "with Store.open(sys.argv[1]) as store:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        # Python keeps compiled modules that were cut short, and stumbles over them later.
        "    sys.dont_write_bytecode = True\n"
        f"    print(store.sparql({KEYS!r}, on_disk=True).rows)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sqlite_store.address], capture_output=True, text=True, check=False
    )
    assert done.stdout == "(('a',),)\n", done.stderr
    assert "cannot be kept, so this question takes longer" in done.stderr
    assert not (index_folder() / sqlite_store.id / "index.json").exists()
    assert not (index_folder() / sqlite_store.id / "graph").exists()
    assert sqlite_store.sparql(KEYS, on_disk=True).rows == (("a",),)


def test_a_store_that_is_deleted_takes_its_index_along(sqlite_store: Store) -> None:
    assert sqlite_store.sparql("ASK { ?s ?p ?o }", on_disk=True).answer is True
    folder = index_folder() / sqlite_store.id
    assert (folder / "graph").is_dir()
    with pytest.raises(DomainError, match="nothing was deleted"):
        sqlite_store.delete()
    assert folder.exists()
    sqlite_store.delete(force=True)
    assert not folder.exists()


@pytest.fixture
def hits() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server, and what was asked of it."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/x", seen
    server.shutdown()
    server.server_close()
    thread.join()


ATTACKS = (
    "SELECT * { SERVICE <URL> { ?s ?p ?o } }",
    "SELECT * { service silent <URL> { ?s ?p ?o } }",
    "SELECT * { \\u0053ERVICE <URL> { ?s ?p ?o } }",
    "SELECT * { \\U00000053ervice <URL> { ?s ?p ?o } }",
    "SELECT * { SERVICE#\n<URL> { ?s ?p ?o } }",
    "SELECT * { ?s ?p '#' . SERVICE <URL> { ?s ?p ?o } }",
    "SELECT * { ?s ?p <a#b> . SERVICE <URL> { ?s ?p ?o } }",
    "SELECT * { { SELECT ?s { { SERVICE <URL> { ?s ?p ?o } } } } }",
    "SELECT * { GRAPH ?g { SERVICE <URL> { ?s ?p ?o } } }",
    "SELECT * { OPTIONAL { ?s ?p ?o MINUS { SERVICE <URL> { ?s ?p ?o } } } }",
    "ASK { FILTER EXISTS { SERVICE <URL> { ?s ?p ?o } } }",
    "SELECT * { BIND(<URL> AS ?u) SERVICE ?u { ?s ?p ?o } }",
    "PREFIX x: <URL> SELECT * { SERVICE x: { ?s ?p ?o } }",
    "PREFIX SERVICE: <URL> SELECT * { ?s ?p ?o SERVICE SERVICE: { ?s ?p ?o } }",
    "BASE <URL> SELECT * { SERVICE <> { ?s ?p ?o } }",
    "CONSTRUCT { ?s ?p ?o } WHERE { SERVICE <URL> { ?s ?p ?o } }",
    "DESCRIBE ?s { SERVICE <URL> { ?s ?p ?o } }",
    "SELECT * { ?s ?p 1SERVICE <URL> { ?s ?p ?o } }",
    'SELECT * { ?s ?p """a"""SERVICE <URL> { ?s ?p ?o } }',
    "SELECT * { ?s ?p 'a\\'' SERVICE <URL> { ?s ?p ?o } }",
    "SELECT * { ?s ?p 'a'@enSERVICE <URL> { ?s ?p ?o } . SERVICE <URL> { ?s ?p ?o } }",
    "SELECT * FROM <URL> { ?s ?p ?o }",
    "SELECT * FROM NAMED <URL> { GRAPH ?g { ?s ?p ?o } }",
    "SELECT * \\u0046ROM <URL> { ?s ?p ?o }",
    "DESCRIBE <URL> FROM <URL>",
    "LOAD <URL>",
    "LOAD SILENT <URL> INTO GRAPH <URL>",
    "SELECT * { ?s ?p ?o } ; LOAD <URL>",
    "INSERT { ?s ?p ?o } USING <URL> WHERE { ?s ?p ?o }",
    "WITH <URL> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
    "PREFIX a: <URL> CLEAR ALL",
    "DROP DEFAULT",
)


@pytest.mark.parametrize("where", ["memory", "disk", "export"])
def test_nothing_is_fetched_and_nothing_is_changed(
    sqlite_store: Store, where: str, hits: tuple[str, list[str]], tmp_path: Path
) -> None:
    from lineagelog.exporters.sparql.asking import query

    url, seen = hits
    save(sqlite_store, "a")
    sqlite_store.export(tmp_path / "x.nq")

    def ask(sparql: str) -> Any:
        if where == "export":
            return query(tmp_path / "x.nq", sparql)
        return sqlite_store.sparql(sparql, on_disk=where == "disk")

    before = ask("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }").rows
    for attack in ATTACKS:
        with pytest.raises(QueryError):
            ask(attack.replace("URL", url))
    assert seen == []
    assert ask("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }").rows == before
