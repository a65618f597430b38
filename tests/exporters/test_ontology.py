"""Our own terms are defined in the published vocabulary, and exports have the shape that the published shapes say."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import lineagelog.exporters
from lineagelog.domain.storage import StorageRegistered
from lineagelog.exporters.ontology import SHAPES, VOCABULARY, ontology_text
from lineagelog.exporters.scope import ALL, Scope
from lineagelog.exporters.vocabulary import NAMESPACES

LL, PROV, OA = (NAMESPACES[prefix] for prefix in ("ll", "prov", "oa"))
OWL = "http://www.w3.org/2002/07/owl#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
FIGURE = f"{'figure':0>16}0000"
SCOPES = [
    ALL,
    Scope("artifact", FIGURE, "both", max_depth=1),
    Scope(
        project="Pscreen00000",
        user="Ada00001",
        since="2000-01-01T00:00:00.000000Z",
        until="2100-01-01T00:00:00.000000Z",
    ),
]


def defined() -> Any:
    import rdflib

    return rdflib.Graph().parse(data=ontology_text(VOCABULARY), format="turtle")


def used(exporting: Any, log: Any) -> dict[str, set[str]]:
    """Terms of our own in exports, each with the ways in which it stands there: as a property, a class, or a name."""
    import pyoxigraph

    found: dict[str, set[str]] = {}
    for scope in SCOPES:
        for quad in pyoxigraph.parse(io.BytesIO(exporting(log, "n-quads", scope)), pyoxigraph.RdfFormat.N_QUADS):
            is_type = quad.predicate.value.endswith("#type")
            found.setdefault(quad.predicate.value, set()).add("property")
            if isinstance(quad.object, pyoxigraph.NamedNode):
                found.setdefault(quad.object.value, set()).add("class" if is_type else "name")
    return {iri.removeprefix(LL): ways for iri, ways in found.items() if iri.startswith(LL)}


def test_every_term_that_is_used_is_defined_and_the_other_way_round(memory: Any, exporting: Any) -> None:
    import rdflib

    graph = defined()
    kinds = {"Class": "class", "DatatypeProperty": "property", "ObjectProperty": "property", "NamedIndividual": "name"}
    terms: dict[str, set[str]] = {}
    for kind, way in kinds.items():
        for term in graph.subjects(rdflib.RDF.type, rdflib.URIRef(OWL + kind)):
            if isinstance(term, rdflib.URIRef):
                terms.setdefault(str(term).removeprefix(LL), set()).add(way)
    record_rare(memory)
    assert used(exporting, memory.log) == terms


def record_rare(r: Any) -> None:
    """Record what the other tests need not: a bucket, a named version, and a run whose derivations are left out."""
    bucket = StorageRegistered(
        uid="Stor00000002", root="s3://bucket", type="s3", region="eu-1", endpoint_url="http://localhost:9000"
    )
    r.add("bucket", bucket, actor="ada")
    r.start("dense", "clean")
    r.pending[-1] = structs.replace(r.pending[-1], context='{"host":"laboratory"}')
    for number in range(101):
        r.save(f"in{number}", None, version="first")
        r.read("dense", f"in{number}")
    for number in range(100):
        r.save(f"out{number}", "dense")
    r.flush()


def test_every_constant_of_our_own_is_defined() -> None:
    source = Path(lineagelog.exporters.__file__).with_name("vocabulary.py").read_text(encoding="utf-8")
    constants = set(re.findall(r'"ll:([A-Za-z0-9]+)"', source))
    assert len(constants) > 90
    assert {term for term in constants if f"\nll:{term} a owl:" not in ontology_text(VOCABULARY)} == set()


def test_terms_are_explained_and_tied_to_prov() -> None:
    import rdflib

    graph = defined()
    for term in {subject for subject in graph.subjects() if str(subject).startswith(LL)}:
        assert graph.value(term, rdflib.RDFS.label), term
        assert graph.value(term, rdflib.RDFS.comment), term
        kinds = {str(kind).rpartition("#")[2] for kind in graph.objects(term, rdflib.RDF.type)}
        if "Class" in kinds:
            assert all(str(above).startswith((PROV, OA)) for above in graph.objects(term, rdflib.RDFS.subClassOf))
            assert graph.value(term, rdflib.RDFS.subClassOf), term
        elif "NamedIndividual" not in kinds:
            assert graph.value(term, rdflib.RDFS.domain), term


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.slug[:20])
def test_exports_keep_to_domains_and_ranges(memory: Any, scope: Scope, exporting: Any) -> None:
    import rdflib
    from rdflib.collection import Collection

    ontology, data = defined(), graph_of(exporting(memory.log, "n-triples", scope))

    def classes(term: Any, relation: Any) -> set[Any]:
        found = ontology.value(term, relation)
        union = ontology.value(found, rdflib.OWL.unionOf)
        return set(Collection(ontology, union)) if union is not None else {found}

    n_checked = 0
    for subject, predicate, value in data:
        if not str(predicate).startswith(LL):
            continue
        n_checked += 1
        assert classes(predicate, rdflib.RDFS.domain) & set(data.objects(subject, rdflib.RDF.type)), (
            subject,
            predicate,
        )
        (range_, *more) = classes(predicate, rdflib.RDFS.range)
        if isinstance(value, rdflib.Literal):
            assert range_ is None or (value.datatype or rdflib.XSD.string) == range_, predicate
        else:
            assert {range_, *more} & set(data.objects(value, rdflib.RDF.type)), (subject, predicate)
    assert n_checked > 20


def graph_of(content: bytes) -> Any:
    import rdflib

    return rdflib.Graph().parse(data=content, format="nt")


def conforms(graph: Any) -> tuple[bool, str]:
    import pyshacl
    import rdflib

    shapes = rdflib.Graph().parse(data=ontology_text(SHAPES), format="turtle")
    ok, _, text = pyshacl.validate(graph, shacl_graph=shapes)
    return ok, text


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.slug[:20])
def test_every_export_has_the_published_shape(memory: Any, scope: Scope, exporting: Any) -> None:
    ok, text = conforms(graph_of(exporting(memory.log, "n-triples", scope)))
    assert ok, text


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [
        ("Artifact", r"artifact/\S+> <\S+qualifiedGeneration>"),
        ("Artifact", r"artifact/\S+> <\S+byteSize>"),
        ("Artifact", r"artifact/\S+> <\S+atLocation>"),
        ("Artifact", r"artifact/\S+> <\S+specializationOf>"),
        ("Run", r"run/\S+> <\S+startedAtTime>"),
        ("Run", r"<\S+hadPlan>"),
        ("Usage", r"usage/\S+> <\S+atTime>"),
        ("Derivation", r"<\S+hadUsage>"),
        ("Annotation", r"<\S+hasTarget>"),
        ("FeatureValue", r"annotation/\S+> <\S+ns#feature>"),
        ("EventLog", r"<\S+merkleRoot>"),
        ("Bundle", r"<\S+ns#scope>"),
        ("Collection", r"collection/\S+> <\S+nArtifacts>"),
        ("Transform", r"transform/\S+> <\S+ns#key>"),
        ("FixityCheck", r"checking/\S+> <\S+prov#used>"),
    ],
)
def test_an_export_that_lacks_something_does_not_conform(memory: Any, exporting: Any, shape: str, pattern: str) -> None:
    lines = exporting(memory.log, "n-triples").decode().splitlines(keepends=True)
    kept = [line for line in lines if not re.search(pattern, line)]
    assert len(kept) < len(lines)
    ok, text = conforms(graph_of("".join(kept).encode()))
    assert not ok
    assert text
