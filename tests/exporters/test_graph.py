"""A dataset of rdflib holds what an export holds, and nothing is fetched for it."""

from __future__ import annotations

import io
import socket
from pathlib import Path
from typing import Any

import pytest
import rdflib

from lineagelog.exporters.graph import to_rdflib
from lineagelog.exporters.scope import ALL, Scope

# The parsers of rdflib 7 use names of its own that it warns of.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib")


def built(log: Any, scope: Scope = ALL) -> rdflib.Dataset:
    head = log.head()
    with log.database.snapshot() as reader:
        return to_rdflib(reader, scope=scope, head_position=head.position, head_root=head.root)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("scope", [ALL, Scope("artifact", "0000000000figure0000")], ids=["whole", "part"])
def test_it_holds_the_quads_of_an_export(memory: Any, exporting: Any, scope: Scope) -> None:
    dataset = built(memory.log, scope)
    exported = rdflib.Dataset(default_union=True)
    exported.parse(io.BytesIO(exporting(memory.log, "trig", scope)), format="trig")
    assert set(dataset.quads()) == set(exported.quads())
    names = {str(graph.identifier) for graph in dataset.graphs()}
    assert any(name.endswith(f"/export/e{memory.log.head().position}-{scope.slug}") for name in names)


@pytest.mark.usefixtures("offline")
def test_it_answers_queries_with_the_prefixes_of_an_export(memory: Any) -> None:
    rows = built(memory.log).query("SELECT ?run ?artifact { ?run a ll:Run ; prov:used ?artifact }")
    assert len(list(rows)) == 4


@pytest.mark.usefixtures("offline")
def test_an_export_file_is_read_by_rdflib_itself(memory: Any, exporting: Any, tmp_path: Path) -> None:
    for format_, suffix in (("trig", ".trig"), ("n-quads", ".nq")):
        (tmp_path / f"x{suffix}").write_bytes(exporting(memory.log, format_))
        dataset = rdflib.Dataset(default_union=True).parse(tmp_path / f"x{suffix}")
        assert len(list(dataset.query("SELECT ?a { ?a a <https://w3id.org/lineagelog/ns#Artifact> }"))) > 3
