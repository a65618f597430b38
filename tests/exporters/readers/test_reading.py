"""Readers: the same statements from every format, one clear error for a broken file, nothing fetched."""

from __future__ import annotations

import json
import random
import resource
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from lineagelog.domain.errors import MalformedDocumentError, ObjectMissingError, UnknownFormatError
from lineagelog.exporters.readers import reading
from lineagelog.exporters.readers.document import PROV, Document, Statement
from lineagelog.exporters.readers.reading import read

EX = "http://example.org/"
TIME = "2012-03-31T09:21:00Z"

PROVN = f"""
// A comment, and /* another */
document
  prefix ex <{EX}>
  prefix other <{EX}>
  entity(ex:e, [prov:type='prov:Collection', prov:type="ex:text", ex:size=3, prov:label="a, b] )" @en])
  entity(ex:f) /* ex:g */
  activity(ex:a, {TIME}, -, [ex:note=\"\"\"two
lines "quoted\"\"\"])
  agent(ex:g)
  wasGeneratedBy(ex:gen; ex:e, ex:a, {TIME})
  used(ex:use; other:a, ex:f, -, [prov:role="ex:r" %% xsd:string])
  wasDerivedFrom(ex:e, ex:f, ex:a, ex:gen, ex:use)
  wasDerivedFrom(ex:e, ex:f, [prov:type='prov:Revision'])
  wasStartedBy(ex:a, ex:f, -, {TIME})
  wasAssociatedWith(-; ex:a, ex:g, -)
  specializationOf(ex:e, ex:f)
  hadMember(ex:e, ex:f)
  bundle ex:b
    prefix ex <{EX}inner/>
    entity(ex:e)
  endBundle
endDocument
"""

STATEMENTS = [
    Statement("entity", f"{EX}e", (), (f"{PROV}Collection",)),
    Statement("entity", f"{EX}f"),
    Statement("activity", f"{EX}a", (TIME, None)),
    Statement("agent", f"{EX}g"),
    Statement("wasGeneratedBy", f"{EX}gen", (f"{EX}e", f"{EX}a", TIME)),
    Statement("used", f"{EX}use", (f"{EX}a", f"{EX}f", None)),
    Statement("wasDerivedFrom", None, (f"{EX}e", f"{EX}f", f"{EX}a", f"{EX}gen", f"{EX}use")),
    Statement("wasDerivedFrom", None, (f"{EX}e", f"{EX}f", None, None, None), (f"{PROV}Revision",)),
    Statement("wasStartedBy", None, (f"{EX}a", f"{EX}f", None, TIME)),
    Statement("wasAssociatedWith", None, (f"{EX}a", f"{EX}g", None)),
    Statement("specializationOf", None, (f"{EX}e", f"{EX}f")),
    Statement("hadMember", None, (f"{EX}e", f"{EX}f")),
]

JSON = {
    "prefix": {"ex": EX, "default": EX},
    "entity": {
        "ex:e": {
            "prov:type": [{"$": "prov:Collection", "type": "xsd:QName"}, "ex:text"],
            "ex:size": 3, "prov:label": {"$": "x", "lang": "en"},
        },
        "f": {},
    },
    "activity": {"ex:a": {"prov:startTime": TIME}},
    "agent": {"ex:g": {}},
    "wasGeneratedBy": {
        "ex:gen": {"prov:entity": "ex:e", "prov:activity": "ex:a", "prov:time": {"$": TIME, "type": "xsd:dateTime"}},
    },
    "used": {"ex:use": [{"prov:activity": "ex:a", "prov:entity": "ex:f"}]},
    "wasDerivedFrom": {
        "_:1": {
            "prov:generatedEntity": "ex:e", "prov:usedEntity": "ex:f", "prov:activity": "ex:a", "prov:generation": "ex:gen",
            "prov:usage": "ex:use",
        },
        "_:2": {
            "prov:generatedEntity": "ex:e", "prov:usedEntity": "ex:f",
            "prov:type": {"$": "prov:Revision", "type": "prov:QUALIFIED_NAME"},
        },
    },
    "wasStartedBy": {"_:3": {"prov:activity": "ex:a", "prov:trigger": "ex:f", "prov:time": TIME}},
    "wasAssociatedWith": {"_:4": {"prov:activity": "ex:a", "prov:agent": "ex:g"}},
    "specializationOf": {"_:5": {"prov:specificEntity": "ex:e", "prov:generalEntity": "ex:f"}},
    "hadMember": {"_:6": {"prov:collection": "ex:e", "prov:entity": ["ex:f"]}},
    "bundle": {"ex:b": {"prefix": {"ex": f"{EX}inner/"}, "entity": {"ex:e": {}}}},
}  # fmt: skip

XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<prov:document xmlns:prov="{PROV}" xmlns:ex="{EX}" xmlns="{EX}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <prov:collection prov:id="ex:e"><prov:label xml:lang="en">x</prov:label><prov:type>ex:text</prov:type>
    <ex:size>3</ex:size></prov:collection>
  <prov:entity prov:id="f"/>
  <prov:activity prov:id="ex:a"><prov:startTime>{TIME}</prov:startTime></prov:activity>
  <prov:agent prov:id="ex:g"/>
  <prov:wasGeneratedBy prov:id="ex:gen"><prov:entity prov:ref="ex:e"/><prov:activity prov:ref="ex:a"/>
    <prov:time>{TIME}</prov:time></prov:wasGeneratedBy>
  <prov:used prov:id="ex:use"><prov:activity prov:ref="ex:a"/><prov:entity prov:ref="ex:f"/></prov:used>
  <prov:wasDerivedFrom><prov:generatedEntity prov:ref="ex:e"/><prov:usedEntity prov:ref="ex:f"/><prov:activity prov:ref="ex:a"/>
    <prov:generation prov:ref="ex:gen"/><prov:usage prov:ref="ex:use"/></prov:wasDerivedFrom>
  <prov:wasRevisionOf><prov:generatedEntity prov:ref="ex:e"/><prov:usedEntity prov:ref="ex:f"/></prov:wasRevisionOf>
  <prov:wasStartedBy><prov:activity prov:ref="ex:a"/><prov:trigger prov:ref="ex:f"/>
    <prov:time>{TIME}</prov:time></prov:wasStartedBy>
  <prov:wasAssociatedWith><prov:activity prov:ref="ex:a"/><prov:agent prov:ref="ex:g"/></prov:wasAssociatedWith>
  <prov:specializationOf><prov:specificEntity prov:ref="ex:e"/><prov:generalEntity prov:ref="ex:f"/></prov:specializationOf>
  <prov:hadMember><prov:collection prov:ref="ex:e"/><prov:entity prov:ref="ex:f"/></prov:hadMember>
  <prov:bundleContent prov:id="ex:b"><prov:entity xmlns:ex="{EX}inner/" prov:id="ex:e"/></prov:bundleContent>
</prov:document>
"""

TRIG = f"""
@prefix prov: <{PROV}> . @prefix ex: <{EX}> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
ex:e a prov:Entity, prov:Collection ; prov:hadMember ex:f ; prov:specializationOf ex:f ; prov:label "x"@en ;
  prov:wasGeneratedBy ex:a ; prov:qualifiedGeneration ex:gen ;
  prov:wasDerivedFrom ex:f ; prov:qualifiedDerivation [
    prov:entity ex:f ; prov:hadActivity ex:a ; prov:hadGeneration ex:gen ; prov:hadUsage ex:use ] .
ex:gen a prov:Generation ; prov:activity ex:a ; prov:atTime "{TIME}"^^xsd:dateTime .
ex:f a prov:Entity . ex:g a prov:Agent .
ex:a a prov:Activity ; prov:startedAtTime "{TIME}"^^xsd:dateTime ; prov:used ex:f ; prov:qualifiedUsage ex:use ;
  prov:qualifiedStart [ a prov:Start ; prov:entity ex:f ; prov:atTime "{TIME}"^^xsd:dateTime ] ; prov:wasAssociatedWith ex:g .
ex:use a prov:Usage ; prov:entity ex:f .
<{EX}b> {{ <{EX}inner/e> a prov:Entity }}
"""

JSONLD = {
    "@context": [{"ex": EX, "prov": PROV, "xsd": "http://www.w3.org/2001/XMLSchema#"}, "https://openprovenance.org/prov-jsonld/context.jsonld"],
    "@graph": [
        {"@type": "prov:Entity", "@id": "ex:e", "type": ["prov:Collection"]},
        {"@type": "prov:Entity", "@id": "ex:f"},
        {"@type": "prov:Activity", "@id": "ex:a", "startTime": TIME},
        {"@type": "prov:Agent", "@id": "ex:g"},
        {"@type": "prov:Generation", "@id": "ex:gen", "entity": "ex:e", "activity": "ex:a", "time": TIME},
        {"@type": "prov:Usage", "@id": "ex:use", "entity": {"@id": "ex:f"}, "activity": "ex:a"},
        {
            "@type": "prov:Derivation", "generatedEntity": "ex:e", "usedEntity": "ex:f", "activity": "ex:a", "generation": "ex:gen",
            "usage": "ex:use",
        },
        {"@type": "prov:Derivation", "generatedEntity": "ex:e", "usedEntity": "ex:f", "type": ["prov:Revision"]},
        {"@type": "prov:Start", "activity": "ex:a", "trigger": "ex:f", "time": TIME},
        {"@type": "prov:Association", "activity": "ex:a", "agent": "ex:g"},
        {"@type": "prov:Specialization", "specificEntity": "ex:e", "generalEntity": "ex:f"},
        {"@type": "prov:Membership", "collection": "ex:e", "entity": ["ex:f"]},
        {
            "@type": "prov:Bundle", "@id": "ex:b", "@context": [{"ex": f"{EX}inner/"}],
            "@graph": [{"@type": "prov:Entity", "@id": "ex:e"}],
        },
    ],
}  # fmt: skip

TEXTS = {
    ".provn": PROVN,
    ".json": json.dumps(JSON),
    ".provx": XML,
    ".trig": TRIG,
    ".jsonld": json.dumps(JSONLD),
}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def plain(statements: list[Statement]) -> set[tuple[Any, ...]]:
    """Statements without the names that a format has to make up, and with those types only that are of PROV."""
    return {
        (
            one.kind,
            None if one.id and one.id.startswith("_:") else one.id,
            one.arguments,
            tuple(sorted(set(one.types) & {f"{PROV}Collection"})),
        )
        for one in statements
    }


@pytest.mark.parametrize("suffix", TEXTS)
@pytest.mark.parametrize("told_by", ["suffix", "content"])
def test_every_format_says_the_same(tmp_path: Path, suffix: str, told_by: str) -> None:
    document = read(written(tmp_path, "file" + (suffix if told_by == "suffix" else ""), TEXTS[suffix]))
    assert document.format == reading.SUFFIXES[suffix]
    expected = plain(STATEMENTS)
    if suffix == ".trig":
        # The plain derivation of the same two entities says nothing that the qualified one does not.
        expected -= plain([STATEMENTS[7]])
    assert plain(document.toplevel) == expected
    assert document.bundles == {f"{EX}b": [Statement("entity", f"{EX}inner/e", (), ANY_TYPES)]}
    assert not document.notes


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ANY_TYPES: Any = _Any()

BROKEN = {
    "a.provn": [
        ("document\nentity(ex:e)\nendDocument", "line 2: the prefix of the name 'ex:e' is not declared"),
        ("document\nprefix ex <http://e/>\nentity(ex:e\nendDocument", "line 4: expected a comma or"),
        ("document\nnonsense(e)\nendDocument", "line 2: 'nonsense' is no statement"),
        ("document\nused(a, e, yesterday)\nendDocument", "line 2: 'yesterday' stands where used takes a time"),
        ("document\nentity(e)\n", "line 3: 'end of file' is no statement"),
        ("document\nentity(e, [x=\"y])\nendDocument", "line 2: unexpected '\"'"),
        ("document\nhadMember(c, e, f)\nendDocument", "line 2: hadMember has 3 parts; it takes 2 at most"),
        (b"document\n\xff", "line 2: not UTF-8"),
    ],
    "a.json": [
        ("{\n\"entity\":", "line 2: not JSON"),
        ("[]", "is a list, not a JSON object"),
        ('{"entity": []}', "entity is a list, not a JSON object"),
        ('{"entity": {"e": null}}', "entity 'e' is null, not a JSON object"),
        ('{"nothing": {}}', "'nothing' is no kind of statement"),
        ('{"used": {"u": {"prov:activity": 3}}}', "prov:activity of used 'u' is a number, not a name"),
        ('{"entity": {"x:e": {}}}', "prefix of the name 'x:e' is not declared"),
        ('{"bundle": {"b": {"bundle": {}}}}', "must not stand within another"),
        ("[" * 100_000, "nested too deeply"),
    ],
    "a.jsonld": [
        ('{"@context": "https://example.org/context", "@graph": []}', "would have to be fetched, which is refused"),
        ('{"@context": {}, "entity": {}}', "@graph is missing"),
    ],
    "a.xml": [
        ("<prov:document", "line 1: not well-formed XML"),
        (
            f'<p:document xmlns:p="{PROV}">\n<p:used><p:activity>a</p:activity></p:used></p:document>',
            "line 2: activity of used refers to nothing",
        ),
        ("<html/>", "line 1: the root is 'html', not prov:document"),
        (
            f'<p:document xmlns:p="{PROV}">\n<p:entity p:id="x:e"/></p:document>',
            "line 2: the prefix of the name 'x:e' is not declared",
        ),
    ],
    "a.ttl": [("@prefix ex: <http://e/> .\nex:a ex:b .", "line 2: not turtle")],
    "a.nq": [("<http://e/a> <http://e/b>\n", "not n-quads")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"), [(name, *case) for name, found in BROKEN.items() for case in found]
)
def test_broken_file_has_one_clear_error(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(MalformedDocumentError) as caught:
        read(written(tmp_path, name, content))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("suffix", TEXTS)
def test_damaged_file_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    pieces = [
        '"',
        "'",
        "{",
        "[",
        "]",
        "(",
        ")",
        "null",
        "3",
        "_:x",
        "<",
        ">",
        "&",
        ";",
        ",",
        "\\",
        "\x00",
        "\u202e",
        "%%",
        "/*",
        '"""',
        "prefix",
        "@",
    ]
    for seed in range(150):
        rng, text = random.Random(seed), TEXTS[suffix]
        for _ in range(rng.randrange(1, 5)):
            start = rng.randrange(len(text))
            end = start + rng.randrange(30)
            text = text[:start] + rng.choice(["", rng.choice(pieces), text[start:end] * 2]) + text[end:]
        try:
            read(written(tmp_path, f"a{suffix}", text))
        except MalformedDocumentError as exc:
            assert str(exc), f"seed {seed}"  # noqa: PT017 - either outcome is right, any other error is not


def test_file_that_is_missing_unknown_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ObjectMissingError, match="does not exist"):
        read(tmp_path / "nothing.json")
    with pytest.raises(ObjectMissingError, match="is not a file"):
        read(tmp_path)
    path = written(tmp_path, "file.provn", "document entity(e) entity(f) endDocument")
    with pytest.raises(UnknownFormatError, match="'pdf'; choose one of: prov-json, "):
        read(path, format="pdf")
    with pytest.raises(MalformedDocumentError, match="more than 1 statements"):
        read(path, max_statements=1)
    with pytest.raises(MalformedDocumentError, match="cannot be told; say it with --format"):
        read(written(tmp_path, "file.bin", b"\x00\x01"))
    empty = read(written(tmp_path, "o.ttl", "<http://e/a> <http://e/b> <http://e/c> ."))
    assert list(empty.notes) == ["the file holds no statement of PROV"]
    monkeypatch.setattr(reading, "MAX_BYTES", 3)
    with pytest.raises(MalformedDocumentError, match="larger than 3 bytes"):
        read(path)


def test_nothing_of_json_is_dropped(tmp_path: Path) -> None:
    text = (
        '{"entity": {"a": {}, "a": {}}, "entity": {"b": {}}, "used": {"u": [{"prov:activity": "x"}, {"prov:activity": "y"}]}, '
        '"hadDictionaryMember": {}}'
    )
    document = read(written(tmp_path, "a.json", text))
    assert [(one.kind, one.id, one.arguments[:1]) for one in document.toplevel] == [
        ("entity", "a", ()), ("entity", "a", ()), ("entity", "b", ()), ("used", "u", ("x",)), ("used", "u", ("y",)),
    ]  # fmt: skip
    assert list(document.notes) == ["passed over hadDictionaryMember, which PROV-DM does not define"]


def test_bundle_element_of_xml_is_an_entity_or_a_container(tmp_path: Path) -> None:
    head = f'<prov:document xmlns:prov="{PROV}" xmlns:e="{EX}">'
    entity = read(
        written(
            tmp_path,
            "a.xml",
            f'{head}<prov:bundle prov:id="e:b"><prov:label>x</prov:label></prov:bundle></prov:document>',
        )
    )
    assert (entity.toplevel, entity.bundles) == ([Statement("entity", f"{EX}b", (), (f"{PROV}Bundle",))], {})
    container = read(
        written(
            tmp_path,
            "b.xml",
            f'{head}<prov:bundle prov:id="e:b"><prov:agent prov:id="e:g"/></prov:bundle></prov:document>',
        )
    )
    assert (container.toplevel, container.bundles) == ([], {f"{EX}b": [Statement("agent", f"{EX}g")]})


ENTITY = '<prov:document xmlns:prov="http://www.w3.org/ns/prov#" xmlns:e="http://e/"><prov:entity prov:id="e:&a;"/></prov:document>'
HOSTILE = {
    "billion laughs": '<!DOCTYPE d [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    + '<!ENTITY a "&a11;">]>',
    "quadratic": f'<!DOCTYPE d [<!ENTITY a "{"x" * 100_000}">]>',
    "file": '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "http": '<!DOCTYPE d [<!ENTITY a SYSTEM "http://127.0.0.1:9/x">]>',
    "external subset": '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd">',
    "public": '<!DOCTYPE d PUBLIC "-//x" "http://127.0.0.1:9/x.dtd">',
    "parameter entity": '<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
    "empty": "<!DOCTYPE d>",
    "recursive": '<!DOCTYPE d [<!ENTITY a "&b;"><!ENTITY b "&a;">]>',
    "attribute default": '<!DOCTYPE d [<!ATTLIST d x CDATA "y">]>',
    "notation": '<!DOCTYPE d [<!NOTATION n SYSTEM "file:///bin/sh">]>',
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", HOSTILE)
def test_document_type_is_refused_before_it_is_read(
    tmp_path: Path, name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>'
    path = written(tmp_path, "a.xml", f"{declaration}{HOSTILE[name]}{ENTITY}".encode(encoding))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(MalformedDocumentError, match="line 1: a document type declaration"):
        read(path)
    assert time.monotonic() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_document_type_of_rdf_in_xml_is_refused(tmp_path: Path) -> None:
    rdf = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:prov="http://www.w3.org/ns/prov#">\n'
        '<prov:Entity rdf:about="http://e/x"><prov:wasGeneratedBy rdf:resource="http://e/a"/></prov:Entity></rdf:RDF>'
    )
    for name in ("a.rdf", "a"):
        document = read(written(tmp_path, name, rdf))
        assert document.format == "rdf-xml"
        assert [one.kind for one in document.toplevel] == ["entity", "wasGeneratedBy"]
    for declaration in HOSTILE.values():
        with pytest.raises(MalformedDocumentError, match="line 1: a document type declaration"):
            read(written(tmp_path, "a.rdf", declaration + rdf))


def test_entity_without_a_declaration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MalformedDocumentError, match="undefined entity"):
        read(written(tmp_path, "a.xml", ENTITY))


def test_relations_of_rdf_are_read_in_every_form(tmp_path: Path) -> None:
    head = f"@prefix prov: <{PROV}> . @prefix ex: <{EX}> .\n"

    def statements(text: str) -> Document:
        return read(written(tmp_path, "a.ttl", head + text))

    assert plain(statements("ex:a prov:generated ex:e .").toplevel) == {
        ("wasGeneratedBy", None, (f"{EX}e", f"{EX}a", None), ())
    }
    assert plain(statements("ex:e prov:wasRevisionOf ex:f .").toplevel) == {
        ("wasDerivedFrom", None, (f"{EX}e", f"{EX}f", None, None, None), ())
    }
    assert plain(statements(f'ex:e prov:generatedAtTime "{TIME}" .').toplevel) == {
        ("wasGeneratedBy", None, (f"{EX}e", None, TIME), ())
    }
    assert plain(statements("ex:p a prov:Person .").toplevel) == {("agent", f"{EX}p", (), ())}
    both = statements("ex:e prov:qualifiedAttribution ex:q . ex:q prov:agent ex:g, ex:h .").toplevel
    assert {one.arguments for one in both} == {(f"{EX}e", f"{EX}g"), (f"{EX}e", f"{EX}h")}
    assert "leads to a literal" in next(iter(statements('ex:e prov:wasGeneratedBy "a" .').notes))
    assert "that no prov:qualifiedUsage leads to" in next(iter(statements("ex:u a prov:Usage .").notes))
