"""Read PROV-N.

References:
    PROV-N, https://www.w3.org/TR/prov-n/, section 3 for statements and 3.7 for names and literals
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from lineagelog.domain.errors import MalformedDocumentError
from lineagelog.exporters.readers.document import KINDS, Document, Names, Statement

_TIME: Final = r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"
# PROV-N 3.7.1 lets a local name hold characters that other names do not, some of them escaped.
_LOCAL: Final = (
    r"(?:[\w/@~&+*?#$!]|%[0-9A-Fa-f]{2}|\\[=\'(),\-:;\[\].])(?:[\w/@~&+*?#$!.:\-]|%[0-9A-Fa-f]{2}|\\[=\'(),\-:;\[\].])*"
)
_SPACE: Final = re.compile(r"(?:\s+|//[^\n\r]*|/\*.*?\*/)*", re.DOTALL)
# What stands before a token is matched with it, and never given back.
_TOKEN: Final = re.compile(
    rf"""
    (?>{_SPACE.pattern})
    (?: (?P<iri><[^<>"{{}}|^`\\\x00-\x20]*>)
    | (?P<string>\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\"|"(?:[^"\\\n\r]|\\.)*")
    | (?P<time>{_TIME})(?![\w.\-])
    | (?P<quoted>'[^'\n\r]*(?:\\'[^'\n\r]*)*')
    | (?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)(?=\s*(?:[,\]]|%%))
    | (?P<number>-?\d+)(?=\s*[,\]])
    | (?P<name>(?:[^\W\d][\w.\-]*:|_:|:)?{_LOCAL}|[^\W\d][\w.\-]*:)
    | (?P<mark>%%|[-(){{}}\[\],;=])
    | (?P<end>\Z)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\([=\'(),\-:;\[\].])")


class _Token(NamedTuple):
    sort: str
    text: str
    offset: int


_END: Final = "end of file"


def read_provn(text: str, document: Document) -> None:
    """Read a document.

    Args:
        text: The file.
        document: Where its statements go.

    Raises:
        MalformedDocumentError: It does not follow the grammar; the message begins with the line.
    """
    _Reader(text, document).read()


def _tokens(text: str) -> Iterator[_Token]:
    offset = 0
    while True:
        match = _TOKEN.match(text, offset)
        if match is None:
            offset = _SPACE.match(text, offset).end()  # type: ignore[union-attr]
            raise _error(text, offset, f"unexpected {text[offset]!r}")
        sort: str = match.lastgroup  # type: ignore[assignment]
        if sort == "end":
            break
        yield _Token(sort, match[sort], match.start(sort))
        offset = match.end()
    yield _Token(_END, "", len(text))


def _error(text: str, offset: int, message: str) -> MalformedDocumentError:
    return MalformedDocumentError(f"line {text.count(chr(10), 0, offset) + 1}: {message}")


class _Reader:
    def __init__(self, text: str, document: Document) -> None:
        self._text = text
        self._document = document
        self._tokens = _tokens(text)
        self._token = next(self._tokens)

    def read(self) -> None:
        self._expect("document")
        names = Names()
        self._declarations(names)
        # The grammar has bundles last; what other tools write after them is read as well.
        while self._token.text != "endDocument":
            if self._token.text == "bundle":
                self._bundle(names)
            else:
                self._statement(names, None)
        self._expect("endDocument")
        if self._token.sort != _END:
            raise self._complaint("nothing may follow endDocument")

    def _bundle(self, outer: Names) -> None:
        self._next()
        token = self._next()
        names = Names(outer)
        self._declarations(names)
        bundle = self._resolve(outer.with_missing(names), token)
        self._document.bundles.setdefault(bundle, [])
        while self._token.text != "endBundle":
            self._statement(names, bundle)
        self._next()

    def _declarations(self, names: Names) -> None:
        while self._token.text in ("prefix", "default"):
            prefix = ""
            if self._next().text == "prefix":
                prefix = self._next().text
            token = self._next()
            if token.sort != "iri":
                raise self._complaint("a namespace stands in angle brackets", token)
            names.declare(prefix, token.text[1:-1])
            self._document.prefixes.setdefault(prefix, token.text[1:-1])

    def _statement(self, names: Names, bundle: str | None) -> None:
        token = self._next()
        keyword = token.text.removeprefix("prov:") if token.text == "prov:mentionOf" else token.text
        kind = KINDS.get(keyword)
        if kind is None:
            if token.sort != "name" or ":" not in token.text:
                raise self._complaint(f"{token.text or _END!r} is no statement", token)
            self._skip_extension(token)
            return
        self._expect("(")
        id_, arguments = self._arguments(kind.is_element)
        n_parts = len(kind.parameters)
        if len(arguments) > n_parts:
            raise self._complaint(f"{keyword} has {len(arguments)} parts; it takes {n_parts} at most", token)
        arguments += [None] * (n_parts - len(arguments))
        types: list[str] = []
        if self._token.text == "[":
            types = self._attributes(names)
        self._expect(")")
        for parameter, argument in zip(kind.parameters, arguments, strict=True):
            if argument is not None and (argument.sort == "time") != (parameter.role == "time"):
                what = "a time" if parameter.role == "time" else "a name"
                raise self._complaint(
                    f"{argument.text!r} stands where {keyword} takes {what}, its {parameter.name}", argument
                )
        parts = tuple(
            None if argument is None else argument.text if argument.sort == "time" else self._resolve(names, argument)
            for argument in arguments
        )
        name = self._resolve(names, id_) if id_ is not None and kind.has_id else None
        self._document.add(bundle, Statement(keyword, name, parts, tuple(types)))

    def _arguments(self, is_element: bool) -> tuple[_Token | None, list[_Token | None]]:
        """Read up to the attributes: an identifier, if there is one, and the parts."""
        id_: _Token | None = None
        parts: list[_Token | None] = []
        while self._token.text != ")" and self._token.text != "[":
            token = self._next()
            if token.sort not in ("name", "time") and token.text != "-":
                raise self._complaint(f"unexpected {token.text or _END!r}", token)
            part = None if token.text == "-" else token
            if self._token.text == ";":
                if parts or id_ is not None or is_element:
                    raise self._complaint("only the identifier of a relation stands before a semicolon")
                self._next()
                id_ = part
                continue
            parts.append(part)
            if self._token.text == ",":
                self._next()
            elif self._token.text != ")":
                raise self._complaint(f"expected a comma or `)`, found {self._token.text or _END!r}")
        if is_element:
            # Elements are named first among their parts (PROV-N 3.1).
            id_ = parts.pop(0) if parts else None
        return id_, parts

    def _attributes(self, names: Names) -> list[str]:
        """Read attributes; only types that are qualified names take part in the checks."""
        types = []
        self._next()
        while self._token.text != "]":
            key = self._next()
            if key.sort not in ("name", "number"):
                raise self._complaint(f"expected the name of an attribute, found {key.text or _END!r}", key)
            self._expect("=")
            value = self._next()
            if value.sort not in ("string", "quoted", "number", "name", "time"):
                raise self._complaint(f"expected the value of {key.text}, found {value.text or _END!r}", value)
            datatype = ""
            if value.sort == "string" and self._token.sort == "language":
                self._next()
            if value.sort == "string" and self._token.text == "%%":
                self._next()
                datatype = self._next().text
            if key.text == "prov:type" and (value.sort == "quoted" or datatype in ("xsd:QName", "prov:QUALIFIED_NAME")):
                types.append(self._resolve(names, value._replace(text=value.text[1:-1])))
            if self._token.text == ",":
                self._next()
            elif self._token.text != "]":
                raise self._complaint(f"expected a comma or `]`, found {self._token.text or _END!r}")
        self._next()
        return types

    def _skip_extension(self, token: _Token) -> None:
        """Pass over a statement of an extension (PROV-N 3.8)."""
        self._document.note(f"passed over {token.text}, which PROV-DM does not define")
        depth = 0
        while True:
            found = self._next()
            if found.sort == _END:
                raise self._complaint("the statement does not end", token)
            if found.sort == "mark":
                depth += (found.text in "([{") - (found.text in ")]}")
            if depth == 0:
                return

    def _resolve(self, names: Names, token: _Token) -> str:
        if token.sort not in ("name", "quoted"):
            raise self._complaint(f"{token.text or _END!r} is no name", token)
        try:
            return names.resolve(_ESCAPED.sub(r"\1", token.text) if "\\" in token.text else token.text)
        except MalformedDocumentError as exc:
            raise self._complaint(str(exc), token) from exc

    def _next(self) -> _Token:
        token = self._token
        if token.sort != _END:
            self._token = next(self._tokens)
        return token

    def _expect(self, text: str) -> None:
        if self._token.text != text:
            raise self._complaint(f"expected {text!r}, found {self._token.text or _END!r}")
        self._next()

    def _complaint(self, message: str, token: _Token | None = None) -> MalformedDocumentError:
        return _error(self._text, (token or self._token).offset, message)
