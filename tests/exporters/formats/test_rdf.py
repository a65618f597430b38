"""TriG and N-Quads hold the same quads, Turtle and N-Triples the same triples; two parsers read them alike."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.exporters.block import Block
from lineagelog.exporters.formats.ntriples import write_nquads, write_ntriples
from lineagelog.exporters.formats.turtle import write_trig, write_turtle
from lineagelog.exporters.mapping.stream import Export
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.statement import Bundle, Entity, Name
from lineagelog.exporters.vocabulary import store_prefixes

PROV = "http://www.w3.org/ns/prov#"
ID = "https://w3id.org/lineagelog/id/Store0000001"
XSD = "http://www.w3.org/2001/XMLSchema#"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


def _quads(data: bytes, fmt: str) -> set[Any]:
    import pyoxigraph

    formats = pyoxigraph.RdfFormat
    format_ = {
        "trig": formats.TRIG, "n-quads": formats.N_QUADS, "turtle": formats.TURTLE, "n-triples": formats.N_TRIPLES,
    }[fmt]  # fmt: skip
    return set(pyoxigraph.parse(io.BytesIO(data), format_))


@pytest.mark.parametrize("scope", [ALL, Scope("artifact", "0000000000figure0000")], ids=lambda scope: scope.kind)
def test_trig_and_n_quads_hold_the_same_quads(rich: EventLog, scope: Scope, exporting: Any) -> None:
    trig, nquads = (_quads(exporting(rich, fmt, scope), fmt) for fmt in ("trig", "n-quads"))
    assert len(trig) > 250
    assert trig == nquads


def test_triples_are_the_quads_without_their_graphs(memory: Any, exporting: Any) -> None:
    quads = {quad.triple for quad in _quads(exporting(memory.log, "n-quads"), "n-quads")}
    for fmt in ("turtle", "n-triples"):
        assert {quad.triple for quad in _quads(exporting(memory.log, fmt), fmt)} == quads


def test_json_ld_says_the_qualified_part_of_the_quads(memory: Any, exporting: Any) -> None:
    import pyoxigraph

    data = io.BytesIO(exporting(memory.log, "prov-jsonld"))
    ours = list(pyoxigraph.parse(data, pyoxigraph.RdfFormat.JSON_LD))
    quads = _quads(exporting(memory.log, "n-quads"), "n-quads")
    # Relations without a name are blank nodes in PROV-JSONLD and direct properties in the others; those have both of the rest.
    named = {quad for quad in ours if isinstance(quad.subject, pyoxigraph.NamedNode)}
    named = {quad for quad in named if not isinstance(quad.object, pyoxigraph.BlankNode)}
    assert len(named) > 800
    assert _integers_alike(named) <= _integers_alike(quads)
    direct = {PROV + name for name in (
        "used", "wasGeneratedBy", "wasInvalidatedBy", "wasInformedBy", "wasAssociatedWith", "actedOnBehalfOf", "wasDerivedFrom",
        "wasAttributedTo", "specializationOf", "hadMember", "wasRevisionOf", "generatedAtTime", "invalidatedAtTime",
    )}  # fmt: skip
    lost = {quad.predicate.value for quad in _missing(quads, named)}
    assert lost <= direct


def _integers_alike(quads: set[Any]) -> set[str]:
    """Write quads as text; which integer type a number has depends on the format."""
    return {re.sub(r"XMLSchema#(int|long)>", "XMLSchema#integer>", str(quad)) for quad in quads}


def _missing(quads: set[Any], among: set[Any]) -> list[Any]:
    held = _integers_alike(among)
    return [quad for quad in quads if not _integers_alike({quad}) <= held]


def test_another_parser_reads_the_same_quads(memory: Any, exporting: Any) -> None:
    import rdflib

    graphs: list[set[Any]] = []
    for fmt, name in (("trig", "trig"), ("n-quads", "nquads")):
        dataset = rdflib.Dataset()
        with warnings.catch_warnings():
            # The library still calls what it has deprecated itself.
            warnings.simplefilter("ignore", DeprecationWarning)
            dataset.parse(data=exporting(memory.log, fmt), format=name)
        graphs.append(set(dataset.quads()))
    assert graphs[0] == graphs[1]
    assert len(graphs[0]) == len(_quads(exporting(memory.log, "n-quads"), "n-quads"))


def test_there_are_no_blank_nodes(memory: Any, exporting: Any) -> None:
    assert b"_:" not in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", exporting(memory.log, "n-quads"))


def test_the_bundle_is_a_graph_that_the_default_graph_describes(memory: Any, exporting: Any) -> None:
    import pyoxigraph

    graph = pyoxigraph.NamedNode(f"{ID}/export/e{memory.log.head().position}-all")
    quads = _quads(exporting(memory.log, "trig"), "trig")
    assert {quad.graph_name for quad in quads} == {graph, pyoxigraph.DefaultGraph()}
    outside = {quad for quad in quads if quad.graph_name == pyoxigraph.DefaultGraph()}
    assert any(quad.subject == graph and quad.object.value == f"{PROV}Bundle" for quad in outside)


def test_relations_are_written_directly_and_qualified(memory: Any, exporting: Any) -> None:
    triples = {
        (quad.subject.value, quad.predicate.value, quad.object.value)
        for quad in _quads(exporting(memory.log, "n-quads"), "n-quads")
    }
    run, raw = f"{ID}/run/Run0000000parent", f"{ID}/artifact/0000000000000raw0000"
    table, table2 = f"{ID}/artifact/00000000000table0000", f"{ID}/artifact/00000000000table0001"
    assert (run, f"{PROV}used", raw) in triples
    assert (table, f"{PROV}wasGeneratedBy", run) in triples
    assert (table, f"{PROV}wasDerivedFrom", raw) in triples
    assert (table2, f"{PROV}wasRevisionOf", table) in triples
    assert (table, f"{PROV}atLocation", f"{ID}/storage/Stor00000001") in triples
    collection = f"{ID}/collection/00000000000first0000"
    assert (collection, f"{PROV}hadMember", raw) in triples
    assert (f"{ID}/project/Pscreen00000", f"{PROV}hadMember", table) in triples
    notes = {s for s, p, o in triples if (p, o) == ("http://www.w3.org/ns/oa#hasTarget", table)}
    assert len(notes) == 14
    assert all((note, RDF_TYPE, "http://www.w3.org/ns/oa#Annotation") in triples for note in notes)
    invalidations = [(s, o) for s, p, o in triples if p == f"{PROV}qualifiedInvalidation" and s in notes]
    ((replaced, node),) = invalidations
    (activity,) = (o for s, p, o in triples if (s, p) == (replaced, f"{PROV}wasInvalidatedBy"))
    (ended_at,) = (o for s, p, o in triples if (s, p) == (replaced, f"{PROV}invalidatedAtTime"))
    assert {(node, RDF_TYPE, f"{PROV}Invalidation"), (node, f"{PROV}activity", activity)} <= triples
    assert (node, f"{PROV}atTime", ended_at) in triples
    assert (activity, "https://w3id.org/lineagelog/ns#reason", "counted again") in triples
    (usage,) = (s for s, p, o in triples if p == f"{PROV}entity" and o == raw and "/usage/" in s)
    assert (run, f"{PROV}qualifiedUsage", usage) in triples
    assert (usage, f"{PROV}atTime", "2026-11-21T09:00:01.000000Z") in triples
    assert (usage, f"{PROV}hadRole", "https://w3id.org/lineagelog/ns#input") in triples
    (association,) = (s for s, p, _ in triples if p == f"{PROV}hadPlan" and s.endswith("/Run0000000parent-operator"))
    assert (run, f"{PROV}qualifiedAssociation", association) in triples


def test_literals_have_their_types(memory: Any, exporting: Any) -> None:
    types: dict[str, set[str]] = {}
    for quad in _quads(exporting(memory.log, "trig"), "trig"):
        if hasattr(quad.object, "datatype"):
            types.setdefault(quad.predicate.value, set()).add(quad.object.datatype.value)
    assert types[f"{PROV}startedAtTime"] == types[f"{PROV}atTime"] == {f"{XSD}dateTime"}
    assert types["http://www.w3.org/ns/dcat#byteSize"] == {f"{XSD}integer"}
    assert types["https://w3id.org/lineagelog/ns#gitDirty"] == {f"{XSD}boolean"}
    assert types["https://w3id.org/lineagelog/ns#value"] == {
        f"{XSD}{name}" for name in ("string", "boolean", "integer", "double", "date", "dateTime")
    }
    assert types["http://www.w3.org/2000/01/rdf-schema#label"] == {f"{XSD}string"}


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    number=st.integers(-(2**70), 2**70),
    double=st.floats(),
)
@pytest.mark.parametrize("fmt", ["trig", "n-quads", "turtle", "n-triples"])
def test_any_value_reads_back(fmt: str, text: str, number: int, double: float) -> None:
    bundle = Name("export:1-all")
    attributes = ((Name("ll:text"), text), (Name("ll:number"), number), (Name("ll:double"), double))
    statements = [Entity(bundle), Bundle(bundle), Entity(Name("artifact:1"), attributes)]
    prefixes = store_prefixes('https://example.org/"<> {é}', "S1")
    write = {"trig": write_trig, "n-quads": write_nquads, "turtle": write_turtle, "n-triples": write_ntriples}[fmt]
    data = "".join(write(Export(prefixes, bundle, {}, map(Block.of, statements)))).encode()
    found = {quad.predicate.value.rpartition("#")[2]: quad.object for quad in _quads(data, fmt)}
    assert found["text"].value == text
    assert int(found["number"].value) == number
    assert float(found["double"].value) == pytest.approx(double, rel=0, abs=0, nan_ok=True)
