"""Read PROV-O in Turtle, TriG, N-Triples, N-Quads or RDF/XML.

A relation may be written as a direct property, as a qualified node, or as both; a direct property says nothing that the
qualified node of the same two objects does not say. Each named graph is a bundle.

References:
    PROV-O, https://www.w3.org/TR/prov-o/, section 3.3 for the qualified terms and appendix B for inverse names
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, NamedTuple, TypeAlias

from lineagelog.domain.errors import MalformedDocumentError
from lineagelog.exporters.readers.document import KINDS, PROV, SUBTYPES, Document, Statement, combine
from lineagelog.exporters.readers.xml import refuse_doctype

FORMATS: Final = {
    "turtle": "TURTLE",
    "trig": "TRIG",
    "n-triples": "N_TRIPLES",
    "n-quads": "N_QUADS",
    "rdf-xml": "RDF_XML",
}
"""Format to its name in pyoxigraph."""

_TYPE: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


class _Qualified(NamedTuple):
    """How PROV-O writes a relation as a node; its subject is the first part of the statement.

    Attributes:
        kind: Kind of statement.
        parts: Properties of the node, with the place of what they lead to.
    """

    kind: str
    parts: dict[str, int]


_DERIVATION: Final = _Qualified(
    "wasDerivedFrom", {"entity": 1, "influencer": 1, "hadActivity": 2, "hadGeneration": 3, "hadUsage": 4}
)
_QUALIFIED: Final = {
    "qualifiedGeneration": _Qualified("wasGeneratedBy", {"activity": 1, "influencer": 1, "atTime": 2}),
    "qualifiedUsage": _Qualified("used", {"entity": 1, "influencer": 1, "atTime": 2}),
    "qualifiedCommunication": _Qualified("wasInformedBy", {"activity": 1, "influencer": 1}),
    "qualifiedStart": _Qualified("wasStartedBy", {"entity": 1, "influencer": 1, "hadActivity": 2, "atTime": 3}),
    "qualifiedEnd": _Qualified("wasEndedBy", {"entity": 1, "influencer": 1, "hadActivity": 2, "atTime": 3}),
    "qualifiedInvalidation": _Qualified("wasInvalidatedBy", {"activity": 1, "influencer": 1, "atTime": 2}),
    "qualifiedDerivation": _DERIVATION,
    "qualifiedRevision": _DERIVATION,
    "qualifiedQuotation": _DERIVATION,
    "qualifiedPrimarySource": _DERIVATION,
    "qualifiedAttribution": _Qualified("wasAttributedTo", {"agent": 1, "influencer": 1}),
    "qualifiedAssociation": _Qualified("wasAssociatedWith", {"agent": 1, "influencer": 1, "hadPlan": 2}),
    "qualifiedDelegation": _Qualified("actedOnBehalfOf", {"agent": 1, "influencer": 1, "hadActivity": 2}),
    "qualifiedInfluence": _Qualified("wasInfluencedBy", {"influencer": 1, "entity": 1, "activity": 1, "agent": 1}),
}

_DIRECT: Final = {
    name: name
    for name in (
        "wasGeneratedBy", "used", "wasInformedBy", "wasStartedBy", "wasEndedBy", "wasInvalidatedBy", "wasDerivedFrom",
        "wasAttributedTo", "wasAssociatedWith", "actedOnBehalfOf", "wasInfluencedBy", "specializationOf", "alternateOf",
        "hadMember",
    )
} | {"wasRevisionOf": "wasDerivedFrom", "wasQuotedFrom": "wasDerivedFrom", "hadPrimarySource": "wasDerivedFrom"}  # fmt: skip

_INVERSE: Final = {"generated": "wasGeneratedBy", "invalidated": "wasInvalidatedBy", "influenced": "wasInfluencedBy"}
_MOMENTS: Final = {"generatedAtTime": "wasGeneratedBy", "invalidatedAtTime": "wasInvalidatedBy"}
_CLASSES: Final = {"Entity": "entity", "Activity": "activity", "Agent": "agent"} | {
    name: kind for name, kind in SUBTYPES.items() if KINDS[kind].is_element
}

_RELATION_CLASSES: Final = {PROV + name.removeprefix("qualified"): name for name in _QUALIFIED}
"""Class of each qualified node, with the property that leads to it."""

_Node: TypeAlias = "defaultdict[str, list[str]]"
_Graph: TypeAlias = "defaultdict[str, _Node]"


def read_rdf(content: bytes, document: Document, format: str) -> None:  # noqa: A002 - the word of the command line
    """Read a document.

    Args:
        content: The file.
        document: Where its statements go.
        format: One of `FORMATS`.

    Raises:
        MalformedDocumentError: It does not follow the grammar of its format.
    """
    import pyoxigraph

    if format == "rdf-xml":
        refuse_doctype(content)
    graphs: dict[str | None, _Graph] = {None: _new_graph()}
    n_quads = 0
    try:
        parser = pyoxigraph.parse(content, format=getattr(pyoxigraph.RdfFormat, FORMATS[format]))
        for quad in parser:
            n_quads += 1
            if n_quads > 8 * document.max_statements:
                raise MalformedDocumentError(
                    f"the document holds more than {n_quads - 1:,} triples, too many to check in memory"
                )
            _take(quad, graphs, document)
    except (SyntaxError, ValueError) as exc:
        if isinstance(exc, MalformedDocumentError):
            raise
        where = f"line {exc.lineno}: " if isinstance(exc, SyntaxError) and exc.lineno else ""
        raise MalformedDocumentError(f"{where}not {format}: {exc.args[0] if exc.args else exc}") from exc
    document.prefixes.update(parser.prefixes)
    for bundle, graph in graphs.items():
        if bundle is not None:
            document.bundles.setdefault(bundle, [])
        _read_graph(graph, bundle, document)


def _new_graph() -> _Graph:
    return defaultdict(lambda: defaultdict(list))


def _take(quad: Any, graphs: dict[str | None, _Graph], document: Document) -> None:
    """Keep what a triple says in PROV; names of properties are kept without the namespace."""
    predicate = quad.predicate.value
    if predicate == _TYPE:
        name = "type"
    elif predicate.startswith(PROV):
        name = predicate[len(PROV) :]
    else:
        return
    graph_name = type(quad.graph_name).__name__
    bundle = None if graph_name == "DefaultGraph" else _term(quad.graph_name)
    if bundle not in graphs:
        graphs[bundle] = _new_graph()
    is_literal = type(quad.object).__name__ == "Literal"
    if is_literal and (name in _DIRECT or name in _INVERSE or name in _QUALIFIED):
        document.note(f"passed over prov:{name} where it leads to a literal")
        return
    graphs[bundle][_term(quad.subject)][name].append(quad.object.value if is_literal else _term(quad.object))


def _term(term: Any) -> str:
    return f"_:{term.value}" if type(term).__name__ == "BlankNode" else str(getattr(term, "value", term))


def _read_graph(graph: _Graph, bundle: str | None, document: Document) -> None:
    qualified: set[tuple[str, str, str]] = set()
    nodes = list(graph.items())
    reached = {id_ for _, node in nodes for name in _QUALIFIED for id_ in node.get(name, ())}
    for subject, node in nodes:
        for type_ in node.get("type", ()):
            if type_ in _RELATION_CLASSES and subject not in reached:
                document.note(
                    f"passed over nodes of type prov:{type_[len(PROV) :]} that no prov:{_RELATION_CLASSES[type_]} leads to"
                )
        _read_element(subject, node, bundle, document)
        # Most subjects have none of these properties.
        for name, form in () if node.keys().isdisjoint(_QUALIFIED) else _QUALIFIED.items():
            for id_ in node.get(name, ()):
                _read_qualified(form, subject, id_, graph, bundle, document, qualified)
    for subject, node in nodes:
        for name, kind in () if node.keys().isdisjoint(_DIRECT) else _DIRECT.items():
            for target in node.get(name, ()):
                _read_direct(kind, subject, target, bundle, document, qualified)
        for name, kind in _INVERSE.items():
            for target in node.get(name, ()):
                _read_direct(kind, target, subject, bundle, document, qualified)
        for name, kind in _MOMENTS.items():
            for time in node.get(name, ()):
                document.add(bundle, Statement(kind, None, (subject, None, time)))
        for general in node.get("mentionOf", ()):
            for inside in node.get("asInBundle") or (None,):
                document.add(bundle, Statement("mentionOf", None, (subject, general, inside)))


def _read_element(subject: str, node: _Node, bundle: str | None, document: Document) -> None:
    types = node.get("type", [])
    kinds = {_CLASSES[one[len(PROV) :]] for one in types if one.startswith(PROV) and one[len(PROV) :] in _CLASSES}
    times = (tuple(node.get("startedAtTime", ())), tuple(node.get("endedAtTime", ())))
    if any(times):
        kinds.add("activity")
    for kind in sorted(kinds):
        for arguments in combine(times) if kind == "activity" else ((),):
            document.add(bundle, Statement(kind, subject, tuple(arguments), tuple(types)))


def _read_qualified(
    form: _Qualified,
    subject: str,
    id_: str,
    graph: _Graph,
    bundle: str | None,
    document: Document,
    seen: set[tuple[str, str, str]],
) -> None:
    node: dict[str, list[str]] = graph.get(id_, {})
    values: list[tuple[str | None, ...]] = [() for _ in KINDS[form.kind].parameters]
    values[0] = (subject,)
    for name, place in form.parts.items():
        values[place] += tuple(one for one in node.get(name, ()) if one not in values[place])
    types = tuple(node.get("type", ()))
    for arguments in combine(values):
        if arguments[1] is not None:
            seen.add((form.kind, subject, arguments[1]))
        document.add(bundle, Statement(form.kind, id_, arguments, types))


def _read_direct(
    kind: str, subject: str, target: str, bundle: str | None, document: Document, seen: set[tuple[str, str, str]]
) -> None:
    if (kind, subject, target) not in seen:
        seen.add((kind, subject, target))
        n_others = len(KINDS[kind].parameters) - 2
        document.add(bundle, Statement(kind, None, (subject, target, *([None] * n_others))))
