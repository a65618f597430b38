"""Read PROV-XML.

The parser is expat, which fetches nothing. A document type declaration is refused as soon as it begins, so that no entity is
ever declared: what a document says must not depend on entities, and PROV-XML needs none.

References:
    PROV-XML, https://www.w3.org/TR/prov-xml/
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final
from xml.parsers import expat

from lineagelog.domain.errors import MalformedDocumentError
from lineagelog.exporters.readers.document import BLANK, KINDS, PROV, SUBTYPES, Document, Statement, combine

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_SEPARATOR: Final = " "
_ID: Final = f"{PROV}{_SEPARATOR}id"
_REF: Final = f"{PROV}{_SEPARATOR}ref"
_XSI_TYPE: Final = f"{_XSI}{_SEPARATOR}type"

_ELEMENTS: Final = (
    {keyword: (keyword, None) for keyword in KINDS}
    | {name[0].lower() + name[1:]: (kind, name) for name, kind in SUBTYPES.items() if kind != "wasDerivedFrom"}
    | {
        "wasRevisionOf": ("wasDerivedFrom", "Revision"),
        "wasQuotedFrom": ("wasDerivedFrom", "Quotation"),
        "hadPrimarySource": ("wasDerivedFrom", "PrimarySource"),
    }
)
"""Kind and type that each element stands for."""


def read_xml(content: bytes, document: Document) -> None:
    """Read a document.

    Args:
        content: The file.
        document: Where its statements go.

    Raises:
        MalformedDocumentError: It is not well-formed, has a document type declaration, or is not PROV-XML.
    """
    _Reader(document).read(content)


def refuse_doctype(content: bytes) -> None:
    """Refuse XML that has a document type declaration or is not well-formed.

    Raises:
        MalformedDocumentError: It has one, or is not.
    """
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    _parse(parser, content)


def _parse(parser: expat.XMLParserType, content: bytes) -> None:
    try:
        parser.Parse(content, True)
    except expat.ExpatError as exc:
        raise MalformedDocumentError(
            f"line {exc.lineno}: not well-formed XML: {expat.errors.messages[exc.code]}"
        ) from exc
    except MalformedDocumentError as exc:
        raise MalformedDocumentError(f"line {parser.CurrentLineNumber}: {exc}") from exc


def _refuse(*_: Any) -> None:
    raise MalformedDocumentError(
        "a document type declaration (DOCTYPE) is refused, for its entities could be made to fetch or to fill memory; "
        "write out what they stand for and remove it"
    )


_TOPLEVEL, _BUNDLE, _STATEMENT, _PART, _VALUE = "toplevel", "bundle", "statement", "part", "value"
_UNDECIDED: Final = "bundle or entity"
"""Sorts of open elements. `bundle` is an entity by the schema, and a container where tools write statements into it."""


_TIMES: Final = frozenset({"time", "startTime", "endTime"})


class _Frame:
    """An open element.

    Attributes:
        name: Its name, without the namespace if that is PROV's.
        sort: What it is to the reader, as above.
        attributes: Its XML attributes.
        children: Of a statement: what its parts say, by their names.
        types: Of a statement: its `prov:type` values that are names.
        text: Of a part: its text in pieces.
    """

    __slots__ = ("attributes", "children", "name", "sort", "text", "types")

    def __init__(self, name: str, sort: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.sort = sort
        self.attributes = attributes
        self.children: defaultdict[str, list[str | None]] = defaultdict(list)
        self.types: list[str] = []
        self.text: list[str] = []


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._stack: list[_Frame] = []
        self._scopes: defaultdict[str, list[str]] = defaultdict(list)
        self._bundle: str | None = None
        self._parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self._parser.StartDoctypeDeclHandler = _refuse
        self._parser.StartNamespaceDeclHandler = self._declare
        self._parser.EndNamespaceDeclHandler = lambda prefix: self._scopes[prefix or ""].pop()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def read(self, content: bytes) -> None:
        _parse(self._parser, content)

    def _declare(self, prefix: str | None, iri: str | None) -> None:
        self._scopes[prefix or ""].append(iri or "")
        if prefix and iri:
            self._document.prefixes.setdefault(prefix, iri)

    def _resolve(self, name: str) -> str:
        if name.startswith(BLANK):
            return name
        prefix, colon, local = name.partition(":")
        scope = self._scopes.get(prefix if colon else "")
        if scope:
            return scope[-1] + (local if colon else name)
        if colon and prefix not in ("http", "https", "urn"):
            raise MalformedDocumentError(f"the prefix of the name {name!r} is not declared")
        return name

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(_SEPARATOR)
        if not self._stack:
            if (namespace, name) not in ((PROV, "document"), (PROV, "bundleContent")):
                raise MalformedDocumentError(f"the root is {name!r}, not prov:document; this is not PROV-XML")
            self._stack.append(_Frame(name, _TOPLEVEL, attributes))
            return
        parent = self._stack[-1]
        is_statement = namespace == PROV and name in _ELEMENTS
        if parent.sort == _UNDECIDED and is_statement:
            parent.sort = _BUNDLE
            self._open_bundle(parent)
        if parent.sort in (_TOPLEVEL, _BUNDLE):
            self._start_statement(namespace, name, attributes, parent)
        elif parent.sort in (_STATEMENT, _UNDECIDED):
            self._stack.append(_Frame(name if namespace == PROV else tag, _PART, attributes))
        else:
            # Whatever stands within an attribute is its value.
            self._stack.append(_Frame(name, _VALUE, attributes))

    def _start_statement(self, namespace: str, name: str, attributes: dict[str, str], parent: _Frame) -> None:
        if namespace == PROV and name == "bundleContent" and self._bundle is None:
            frame = _Frame(name, _BUNDLE, attributes)
            self._stack.append(frame)
            self._open_bundle(frame)
        elif namespace == PROV and name == "bundle" and self._bundle is None and parent.sort == _TOPLEVEL:
            self._stack.append(_Frame(name, _UNDECIDED, attributes))
        elif namespace == PROV and name in _ELEMENTS:
            self._stack.append(_Frame(name, _STATEMENT, attributes))
        elif namespace == PROV and name in ("bundleContent", "document"):
            raise MalformedDocumentError(f"a {name} must not stand within another")
        else:
            self._document.note(f"passed over {name}, which PROV-DM does not define")
            self._stack.append(_Frame(name, _VALUE, attributes))

    def _open_bundle(self, frame: _Frame) -> None:
        if _ID not in frame.attributes:
            raise MalformedDocumentError("a bundle needs prov:id")
        self._bundle = self._resolve(frame.attributes[_ID])
        self._document.bundles.setdefault(self._bundle, [])

    def _characters(self, text: str) -> None:
        if self._stack and self._stack[-1].sort == _PART:
            self._stack[-1].text.append(text)

    def _end(self, _: str) -> None:
        frame = self._stack.pop()
        if frame.sort == _PART:
            self._take_part(self._stack[-1], frame)
        elif frame.sort in (_STATEMENT, _UNDECIDED):
            self._add(frame)
        elif frame.sort == _BUNDLE:
            self._bundle = None

    def _take_part(self, statement: _Frame, part: _Frame) -> None:
        text = "".join(part.text).strip()
        if _REF in part.attributes:
            statement.children[part.name].append(self._resolve(part.attributes[_REF].strip()))
        elif part.name == "type":
            declared = part.attributes.get(_XSI_TYPE)
            if declared is not None and declared.endswith(("QName", "QUALIFIED_NAME")) and text:
                statement.types.append(self._resolve(text))
        elif part.name in _TIMES:
            statement.children[part.name].append(text or None)
        elif any(part.name == parameter.name for parameter in KINDS[_ELEMENTS[statement.name][0]].parameters):
            raise MalformedDocumentError(f"{part.name} of {statement.name} refers to nothing: prov:ref is missing")

    def _add(self, frame: _Frame) -> None:
        kind_name, subtype = _ELEMENTS[frame.name]
        kind = KINDS[kind_name]
        types = frame.types + ([PROV + subtype] if subtype else [])
        if _XSI_TYPE in frame.attributes:
            types.append(self._resolve(frame.attributes[_XSI_TYPE]))
        id_ = frame.attributes.get(_ID)
        name = self._resolve(id_.strip()) if id_ is not None and kind.has_id else None
        for arguments in combine(tuple(frame.children[parameter.name]) for parameter in kind.parameters):
            self._document.add(self._bundle, Statement(kind_name, name, arguments, tuple(types)))
