"""What is streamed reads back as the document that the `prov` library builds; and each format is valid by its own rules."""

from __future__ import annotations

import importlib.resources
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineagelog.adapters.log.event_log import EventLog
from lineagelog.exporters.mapping import ALL, Export, Scope
from lineagelog.exporters.provjson import write_provjson
from lineagelog.exporters.provn import write_provn
from lineagelog.exporters.statement import Bundle, Day, Entity, Membership, Moment, Name, Usage
from lineagelog.exporters.vocabulary import store_prefixes

SCOPES = [ALL, Scope("artifact", "0000000000figure0000"), Scope("run", "Run0000000parent", direction="both")]
FORMATS = {"prov-json": "json", "prov-n": "provn"}


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.kind)
@pytest.mark.parametrize("fmt", FORMATS)
def test_a_streamed_export_reads_back_as_the_document(rich: EventLog, fmt: str, scope: Scope, exporting: Any) -> None:
    from prov.model import ProvDocument

    text = exporting(rich, fmt, scope).decode()
    document = exporting.document(rich, scope)
    assert sum(len(bundle.records) for bundle in document.bundles) > 30
    assert ProvDocument.deserialize(content=text, format=FORMATS[fmt]) == document


@pytest.mark.parametrize("keyword", ["wasInformedBy", "hadMember"])
def test_a_lost_statement_would_be_noticed(memory: Any, exporting: Any, keyword: str) -> None:
    from prov.model import ProvDocument

    text = exporting(memory.log, "prov-n").decode()
    lines = text.splitlines(keepends=True)
    lost = next(line for line in lines if line.lstrip().startswith(keyword))
    kept = [line for line in lines if line is not lost]
    assert len(kept) == len(lines) - 1
    changed = ProvDocument.deserialize(content="".join(kept), format="provn")
    assert changed != exporting.document(memory.log)


def test_prov_json_follows_the_published_schema(rich: EventLog, exporting: Any) -> None:
    import jsonschema

    schema = json.loads(
        importlib.resources.files("prov").joinpath("tests/schemas/prov-json.schema.json").read_text(encoding="utf-8")
    )
    validator = jsonschema.validators.validator_for(schema)(schema)
    for scope in SCOPES:
        document = json.loads(exporting(rich, "prov-json", scope))
        assert not [str(error) for error in validator.iter_errors(document)]
        # The schema of a bundle is that of a document, which the published one leaves open.
        for bundle in document["bundle"].values():
            assert not [str(error) for error in validator.iter_errors(bundle)]


def test_prov_json_repeats_no_key(memory: Any, exporting: Any) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), [key for key, _ in pairs]
        return dict(pairs)

    assert json.loads(exporting(memory.log, "prov-json"), object_pairs_hook=unique)["bundle"]


def test_prov_n_has_the_lines_that_the_library_writes(memory: Any, exporting: Any) -> None:
    ours = exporting(memory.log, "prov-n").decode()
    theirs = exporting.document(memory.log).get_provn()
    assert _statements(ours) == _statements(theirs)
    assert len(_statements(ours)) > 70


def _statements(text: str) -> list[str]:
    """One line a statement, sorted, with strings and times in one form; declarations of prefixes left away."""
    text = re.sub(
        r'"""((?:[^"\\]|\\.)*)"""',
        lambda match: '"' + match[1].replace("\n", "\\n").replace("\r", "\\r") + '"',
        text,
    )
    text = text.replace("\\t", "\t").replace("+00:00", "Z")
    # The library leaves out a fraction of zero.
    text = text.replace(".000000Z", "Z")
    lines = (line.strip() for line in text.split("\n"))
    return sorted(line for line in lines if line and not line.startswith(("prefix", "default")))


def _export(text: str, number: int, number_: float, flag: bool) -> Export:
    """An export of one entity that holds a value of each type, and a relation with one."""
    attributes = (
        (Name("ll:text"), text),
        (Name("ll:number"), number),
        (Name("ll:double"), number_),
        (Name("ll:flag"), flag),
        (Name("ll:at"), Moment("2026-11-21T03:22:44.540332Z")),
        (Name("ll:on"), Day("2026-11-21")),
        (Name("prov:type"), Name("ll:Thing")),
        (Name("prov:type"), Name("ll:Other")),
    )
    usage = Usage(Name("usage:1"), Name("run:1"), Name("artifact:1"), None, ((Name("ll:text"), text),))
    bundle = Name("export:1-all")
    membership = Membership(None, Name("project:1"), Name("artifact:1"))
    statements = [Entity(bundle), Bundle(bundle), Entity(Name("artifact:1"), attributes), usage, membership]
    return Export(store_prefixes("https://example.org/é x", "S1"), bundle, {}, iter(statements))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
NUMBER = st.integers(-(2**70), 2**70)
DOUBLE = st.floats(allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(text=TEXT, number=NUMBER, double=DOUBLE, flag=st.booleans())
@pytest.mark.parametrize("fmt", FORMATS)
def test_any_value_reads_back(fmt: str, text: str, number: int, double: float, flag: bool) -> None:
    from prov.model import ProvDocument

    write = {"prov-json": write_provjson, "prov-n": write_provn}[fmt]
    content = "".join(write(_export(text, number, double, flag)))
    document = ProvDocument.deserialize(content=content.encode(), format=FORMATS[fmt])
    (bundle,) = document.bundles
    entity, usage, membership = bundle.records
    found = {str(name): value for name, value in entity.attributes if str(name).startswith("ll:")}
    assert found["ll:text"] == text
    assert found["ll:number"] == number
    assert found["ll:double"] == double
    assert found["ll:flag"] is flag
    assert found["ll:at"].isoformat() == "2026-11-21T03:22:44.540332+00:00"
    assert (found["ll:on"].value, str(found["ll:on"].datatype)) == ("2026-11-21", "xsd:date")
    assert [str(value) for _, value in membership.attributes] == ["project:1", "artifact:1"]
    assert {str(name) for name in entity.get_asserted_types()} == {"ll:Thing", "ll:Other"}
    assert [value for name, value in usage.attributes if str(name) == "ll:text"] == [text]
    assert entity.identifier.uri == "https://example.org/%C3%A9%20x/S1/artifact/1"
