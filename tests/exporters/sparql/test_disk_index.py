"""A graph on disk is shared by processes, and is made anew whenever it cannot be relied on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.domain.artifact import ArtifactUpdated
from lineagelog.domain.errors import QueryError
from lineagelog.domain.event import Change, NewEvent
from lineagelog.exporters.sparql import index as index_module
from lineagelog.exporters.sparql.asking import Engine, GraphError
from lineagelog.exporters.sparql.index import DiskIndex, Source, clear_indexes, kept_indexes

ALL = "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }"


def source(log: EventLog) -> Source:
    return Source(log.database.snapshot, lambda after, up_to: log.read(after=after, up_to=up_to))


class Kept:
    """An index, and what it is to be."""

    def __init__(self, recorder: Any, exporting: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder, self.folder = recorder, folder
        self._exporting = exporting
        self.index = DiskIndex(folder, source(recorder.log))
        self.done: list[str] = []
        self.n_updates = 0
        for name in ("load", "change"):
            monkeypatch.setattr(Engine, name, self._noted(name, getattr(Engine, name)))

    def _noted(self, name: str, method: Any) -> Any:
        def noted(*arguments: Any, **options: Any) -> Any:
            self.done.append(name)
            return method(*arguments, **options)

        return noted

    def check(self, *done: str) -> None:
        """Ask, and hold the answer against an export that is made anew, and what was done for it against what is expected."""
        self.done.clear()
        answer = self.index.ask(ALL, timeout_s=60)
        assert answer is not None
        assert answer.text is not None
        assert quads(answer.text, pyoxigraph.RdfFormat.TURTLE) == quads(
            self._exporting(self.recorder.log, "n-triples"), pyoxigraph.RdfFormat.N_TRIPLES
        )
        assert tuple(self.done) == done

    def update(self) -> None:
        """Record something more."""
        self.n_updates += 1
        changes = {"description": Change(None, f"text{self.n_updates}")}
        self.recorder.add("raw", ArtifactUpdated(changes=changes))
        self.recorder.flush()


def quads(text: str | bytes, format_: pyoxigraph.RdfFormat) -> set[str]:
    store = pyoxigraph.Store()
    store.bulk_load(text, format_)
    return {str(quad) for quad in store}


@pytest.fixture
def kept(memory: Any, exporting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(memory, exporting, tmp_path / "indexes" / "store", monkeypatch)


def test_only_the_first_question_makes_the_graph(kept: Kept) -> None:
    kept.check("load")
    kept.check()
    kept.update()
    kept.check("change")
    kept.check()


def test_what_cannot_be_relied_on_is_made_anew(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, graph = kept.folder / "index.json", kept.folder / "graph"
    kept.check("load")
    # Half made: a process was killed before it could say where the graph stands.
    manifest.unlink()
    kept.check("load")
    manifest.write_bytes(b'{"position": 1')
    kept.check("load")
    shutil.rmtree(graph)
    kept.check("load")
    shutil.rmtree(kept.folder)
    kept.check("load")
    # Another version says something else of the same log.
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "_version", lambda: "0" * 16)
        kept.check("load")
    kept.check("load")
    kept.check()


def test_a_log_that_was_put_back_or_replaced_is_noticed(kept: Kept, exporting: Any) -> None:
    kept.update()
    kept.check("load")
    other = EventLog.connect(None, create=True)
    # The same history but for its last event, as of a copy that was put back and written to.
    events = [
        NewEvent(stream=e.stream, version=e.version, fact=e.fact, actor=e.actor, run=e.run, reason=e.reason)
        for e in kept.recorder.log.read()
    ]
    other.append(events)
    kept.recorder.log.close()
    kept.recorder.log = other
    kept.index = DiskIndex(kept.folder, source(other))
    kept.check("load")
    other.close()


def test_a_damaged_graph_is_made_anew(kept: Kept) -> None:
    kept.check("load")
    for file in (kept.folder / "graph").glob("*.sst"):
        file.write_bytes(os.urandom(file.stat().st_size))
    kept.check("load")
    kept.update()
    for file in (kept.folder / "graph").glob("MANIFEST-*"):
        file.write_bytes(b"no manifest")
    kept.check("change", "load")


def test_a_change_that_was_cut_short_is_made_whole_by_the_next(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.check("load")
    kept.update()
    before = (kept.folder / "index.json").read_bytes()
    kept.check("change")
    # As if the process had been killed after it had changed the graph, and before it said so; and then half of it was lost.
    (kept.folder / "index.json").write_bytes(before)
    store = pyoxigraph.Store(kept.folder / "graph")
    (subject,) = {quad.subject for quad in store.quads_for_pattern(None, pyoxigraph.NamedNode(
        "http://purl.org/dc/terms/modified"), None) if "raw" in str(quad.subject)}  # fmt: skip
    for quad in list(store.quads_for_pattern(subject, None, None))[::2]:
        store.remove(quad)
    del store
    kept.update()
    kept.check("change")


def test_others_share_an_index_and_nobody_changes_one_that_is_read(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_WAIT_S", 0.1)
    kept.check("load")
    with (kept.folder / "lock").open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        kept.check()
        kept.update()
        assert kept.index.ask("ASK {}", timeout_s=10) is None
        assert clear_indexes(kept.folder.parent) == (0, 0)
    kept.check("change")


PROGRAM = """
import sys
from pathlib import Path
from lineagelog.adapters.log.event_log import EventLog
from lineagelog.exporters.sparql.index import DiskIndex, Source
log = EventLog.connect(Path(sys.argv[1]))
source = Source(log.database.snapshot, lambda after, up_to: log.read(after=after, up_to=up_to))
print("ready", flush=True)
DiskIndex(Path(sys.argv[2]), source).ask("ASK {}", timeout_s=60)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_wrong(
    tmp_path: Path, many: Any, exporting: Any
) -> None:
    log = EventLog.connect(tmp_path / "log.db", create=True)
    many(log, 300)
    versions = dict(log.database.read("SELECT id, revision FROM artifacts"))
    folder = tmp_path / "index"
    index = DiskIndex(folder, source(log))
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    choose = random.Random(seed)

    def kill_one() -> None:
        arguments = [sys.executable, "-c", PROGRAM, str(tmp_path / "log.db"), str(folder)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(choose.uniform(0.05, 0.9))
        process.kill()
        process.communicate()

    def check() -> None:
        answer = index.ask(ALL, timeout_s=60)
        assert answer is not None
        assert answer.text is not None
        expected = quads(exporting(log, "n-triples"), pyoxigraph.RdfFormat.N_TRIPLES)
        assert quads(answer.text, pyoxigraph.RdfFormat.TURTLE) == expected

    for _ in range(4):
        kill_one()
    check()
    for number in range(4):
        events = []
        for artifact in choose.sample(sorted(versions), 100):
            versions[artifact] += 1
            fact = ArtifactUpdated(changes={"kind": Change(None, f"kind{number}")})
            events.append(NewEvent(stream=artifact, version=versions[artifact], fact=fact))
        log.append(events)
        kill_one()
    check()
    log.close()


def test_old_indexes_are_removed_beyond_the_limits(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / "indexes" / f"store{number}" for number in range(3)]
    for number, folder in enumerate(folders):
        assert DiskIndex(folder, source(kept.recorder.log)).ask("ASK {}", timeout_s=60) is not None
        for file in (folder, *folder.rglob("*")):
            os.utime(file, (1000 + number, 1000 + number))
    assert [index.folder for index in kept_indexes(tmp_path / "indexes")] == folders[::-1]
    monkeypatch.setattr(index_module, "MAX_INDEXES", 1)
    n_removed, removed_bytes = clear_indexes(tmp_path / "indexes", beyond_limits=True, keep=folders[1])
    assert n_removed == 1
    assert removed_bytes > 10_000
    assert [folder.exists() for folder in folders] == [False, True, True]
    assert clear_indexes(tmp_path / "indexes")[0] == 2
    assert clear_indexes(tmp_path / "none") == (0, 0)


def test_an_endless_query_is_stopped_and_the_graph_stays(kept: Kept) -> None:
    kept.check("load")
    endless = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?n1 ?o }"
    with pytest.raises(QueryError, match=r"longer than 0\.5 seconds"):
        kept.index.ask(endless, timeout_s=0.5)
    kept.check()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def test_a_query_of_a_graph_on_disk_opens_no_connection(kept: Kept, server: socket.socket) -> None:
    # What `check_query` would refuse is asked all the same.
    kept.check("load")
    port = server.getsockname()[1]
    for sparql in (
        f"SELECT * {{ SERVICE <http://127.0.0.1:{port}/> {{ ?a ?b ?c }} }}",
        f"SELECT * {{ SERVICE SILENT <http://127.0.0.1:{port}/> {{ ?a ?b ?c }} }}",
    ):
        with contextlib.suppress(GraphError):
            kept.index.ask(sparql, timeout_s=10)
        with pytest.raises(TimeoutError):
            server.accept()
