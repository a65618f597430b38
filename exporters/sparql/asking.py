"""Ask SPARQL questions of an export.

Queries are answered by pyoxigraph in processes of their own (`sparql_worker.py`), which can be stopped and reach nothing.

References:
    SPARQL 1.1, https://www.w3.org/TR/sparql11-query/
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from lineagelog.domain.errors import ExportError, ObjectMissingError, QueryError
from lineagelog.exporters.vocabulary import NAMESPACES

if TYPE_CHECKING:
    from lineagelog.exporters.mapping.change import Change

SUFFIXES: Final = (".trig", ".nq")
"""Extensions of the exports that can be asked."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to a query.

    Attributes:
        kind: `select`, `ask` or `graph`.
        columns: Names of the variables, for `select`.
        rows: One tuple for each solution: IRIs and texts as `str`, numbers, `bool`, aware `datetime`, `None` where unbound.
        answer: The answer of `ask`.
        text: Turtle text of `graph` (CONSTRUCT and DESCRIBE).
    """

    kind: Literal["select", "ask", "graph"]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    answer: bool | None = None
    text: str | None = None


def query(source: str | Path | Iterable[bytes], sparql: str, *, timeout_s: float = 30.0) -> QueryResult:
    """Answer a SPARQL 1.1 query over an export.

    The prefixes `prov`, `ll`, `rdfs`, `dcterms`, `dcat`, `schema` and `xsd` need not be declared.

    Args:
        source: Path of an export in TriG (`.trig`) or N-Quads (`.nq`), or the bytes of an N-Quads export in chunks.
        sparql: A SELECT, ASK, CONSTRUCT or DESCRIBE query; the default graph is the union of all graphs.
        timeout_s: Longest time the query may take once the export is loaded, seconds.

    Raises:
        QueryError: The query is malformed, refused (SERVICE, FROM, updates), or takes too long.
        ObjectMissingError: There is no such file.
        ExportError: The source is not an export in one of the two formats.
    """
    check_timeout(timeout_s)
    check_query(sparql)
    with Engine() as engine:
        engine.load(source)
        return engine.ask(sparql, timeout_s=timeout_s)


def check_timeout(timeout_s: float) -> None:
    """Refuse a time in which nothing can be answered.

    Raises:
        ValueError: It is not more than 0.
    """
    if not timeout_s > 0:
        raise ValueError(f"timeout_s is {timeout_s!r}; it must be more than 0 seconds")


class GraphError(ExportError):
    """The store of Oxigraph on disk cannot be read or written: it is damaged, or the disk is full."""


class Engine:
    """A process that holds a graph and answers queries of it, until it is closed.

    Each query runs in a child of that process. The engine has no time limit and its thread cannot be stopped, a process can; and
    that process can open neither file nor connection, so that no query reaches the network, whatever it contains. Of a graph on
    disk it can open files, and no connection.
    """

    def __init__(self, store: Path | None = None, *, lock: int | None = None) -> None:
        """Start the process.

        Args:
            store: Folder of a store of Oxigraph; without it the graph is in memory.
            lock: Descriptor of a lock that is to be held until that process has ended, too.
        """
        worker = Path(__file__).with_name("worker.py")
        self._store = store and str(store)
        # `-P`: the folder of the script is not searched for modules.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=() if lock is None else (lock,),
        )
        self._end = weakref.finalize(self, _end, self._process, os.getpid())

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, and give up the graph if it is in memory."""
        self._end()

    def load(self, source: str | Path | Iterable[bytes], *, format: str = "nq") -> None:  # noqa: A002 - the word of the library
        """Fill the graph; what was in it is gone, if it is in memory.

        Args:
            source: Path of an export in TriG or N-Quads, or its bytes in chunks.
            format: Of chunks, `nq` or `nt`.

        Raises:
            ObjectMissingError: There is no such file.
            ExportError: The source is not an export in one of the two formats.
            GraphError: The graph on disk cannot be written.
        """
        path, chunks = _open_source(source)
        request = {"do": "load", "format": path.suffix[1:] if path else format, "path": path and str(path)}
        head, _ = self._request(request, chunks if path is None else None)
        self._raise(head, str(path) if path else "the export")

    def change(self, change: Change, chunks: Iterable[bytes]) -> None:
        """Replace all that is said of some subjects, and add to what is said of others.

        Args:
            change: What is described anew.
            chunks: What is said of it, and what more, as N-Triples.

        Raises:
            GraphError: The graph on disk cannot be written.
        """
        request = {
            "do": "change",
            "subjects": change.subjects,
            "classes": change.classes,
            "projects": change.projects,
        }
        head, _ = self._request(request, chunks)
        self._raise(head, "the change")

    def ask(self, sparql: str, *, timeout_s: float) -> QueryResult:
        """Answer a query that was checked by `check_query`.

        Raises:
            QueryError: The query is malformed, or takes too long.
            GraphError: The graph on disk cannot be read.
        """
        request = {"do": "ask", "query": sparql, "prefixes": NAMESPACES, "timeout_s": timeout_s}
        head, body = self._request(request, None)
        if head.get("error") == "timeout":
            raise QueryError(
                f"the query took longer than {timeout_s:g} seconds and was stopped; "
                "narrow it (LIMIT, a fixed subject) or allow it more time"
            )
        self._raise(head, "the export")
        return _read_answer(head, body)

    def _request(self, request: dict[str, Any], chunks: Iterable[bytes] | None) -> tuple[dict[str, Any], bytes]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        # A process that gave up early has said why on its output.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps({"store": self._store, **request}).encode() + b"\n")
            if chunks is not None:
                for chunk in chunks:
                    if chunk:
                        process.stdin.write(b"%d\n" % len(chunk) + chunk)
                process.stdin.write(b"0\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            process.kill()
            complaint = process.stderr.read().decode(errors="replace").strip()[-500:]
            raise ExportError(f"the query process ended without an answer: {complaint or 'killed'}")
        head: dict[str, Any] = json.loads(line)
        return head, process.stdout.read(head["size"])

    def _raise(self, head: dict[str, Any], source: str) -> None:
        error = head.get("error")
        if error == "source":
            raise ExportError(f"{source} is not an export as it was written: {head['text']}; make it again")
        if error == "store" or (error == "evaluation" and self._store is not None):
            raise GraphError(head["text"])
        if error == "died":
            if self._store is not None:
                # What is damaged may end the process that reads it.
                raise GraphError("the process that read it was killed")
            raise ExportError("the query process ended without an answer: killed")


def _end(process: subprocess.Popen[bytes], started_by: int) -> None:
    if os.getpid() != started_by:
        # It belongs to the process that this one was forked from, which goes on asking it.
        process.returncode = 0
        return
    process.kill()
    # What a killed process left unread in the pipe is nobody's.
    with suppress(BrokenPipeError):
        process.communicate()


def names_graphs(sparql: str) -> bool:
    """Tell whether a query speaks of named graphs, or may."""
    text = _CODEPOINT.sub(_character, sparql)
    return any((token["word"] or "").upper().endswith("GRAPH") for token in _TOKEN.finditer(text))


def check_query(sparql: str) -> None:
    """Refuse what is not a question about the export at hand.

    Strings, IRIs, comments and variables are passed over; so is nothing else, which may refuse a prefix called `from:`, but
    lets nothing through.

    Raises:
        QueryError: An update, or a query with SERVICE, FROM or FROM NAMED.
    """
    # SPARQL 19.2: escapes of characters are replaced before anything else is read.
    text = _CODEPOINT.sub(_character, sparql)
    form = ""
    for token in _TOKEN.finditer(text):
        word = token["word"] or (token["name"] or "").partition(":")[0]
        upper = word.upper()
        if upper.endswith("SERVICE"):
            raise QueryError(
                f"SERVICE in {_place(text, token.start())} is refused: a query never leaves this machine; "
                "remove it and ask the other endpoint itself"
            )
        if upper.endswith("FROM"):
            raise QueryError(
                f"FROM in {_place(text, token.start())} is refused: the query is about the whole export; "
                "remove it, or use GRAPH to name a bundle"
            )
        if token["word"] and not form and upper not in ("PREFIX", "BASE"):
            form = upper
            if form in _UPDATES:
                raise QueryError(f"{form} is an update, and an export is never changed; ask by {_CHOICE}")
            if form not in _FORMS:
                place = _place(text, token.start())
                raise QueryError(
                    f"the query is malformed at {place}: {token['word']!r} is no form of query; ask by {_CHOICE}"
                )


_FORMS: Final = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
_CHOICE: Final = "SELECT, ASK, CONSTRUCT or DESCRIBE"
_UPDATES: Final = frozenset({"INSERT", "DELETE", "LOAD", "CLEAR", "CREATE", "DROP", "COPY", "MOVE", "ADD", "WITH"})
_CODEPOINT: Final = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_TOKEN: Final = re.compile(
    r"""
      \#[^\r\n]*                                            # comment
    | <[^<>"{}|^`\\\x00-\x20]*>                             # IRI
    | \"\"\"(?:\"{0,2}(?:[^"\\]|\\.))*\"\"\" | '''(?:'{0,2}(?:[^'\\]|\\.))*'''
    | "(?:[^"\\\r\n]|\\.)*" | '(?:[^'\\\r\n]|\\.)*'         # strings
    | [?$]\w+ | @[A-Za-z]+(?:-[A-Za-z0-9]+)*                # variable, language tag
    | (?P<name>[\w.\-]*:(?:[\w.\-:]|%[0-9A-Fa-f]{2}|\\.)*)  # prefixed name
    | (?P<word>[^\W\d]\w*)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def _character(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16)
    return chr(code) if code <= sys.maxunicode else match[0]


def _place(text: str, offset: int) -> str:
    line_start = text.rfind("\n", 0, offset) + 1
    return f"line {text.count(chr(10), 0, offset) + 1}, column {offset - line_start + 1}"


def _open_source(source: str | Path | Iterable[bytes]) -> tuple[Path | None, Iterator[bytes]]:
    if not isinstance(source, str | Path):
        return None, iter(source)
    path = Path(source).absolute()
    if path.suffix not in SUFFIXES:
        raise ExportError(f"{path} cannot be asked; export in TriG (.trig) or N-Quads (.nq) and ask that file")
    if not path.is_file():
        raise ObjectMissingError(f"{path} does not exist; make it with `prov export --format trig -o {path.name}`")
    return path, iter(())


def _read_answer(head: dict[str, Any], body: bytes) -> QueryResult:
    error = head.get("error")
    if error == "syntax":
        raise QueryError(_malformed(head["text"]))
    if error is not None:
        raise QueryError(f"the query could not be answered: {head['text']}")
    if head["kind"] == "ask":
        return QueryResult("ask", answer=head["answer"])
    if head["kind"] == "graph":
        return QueryResult("graph", text=body.decode())
    answer = json.loads(body)
    columns = tuple(answer["head"]["vars"])
    rows = tuple(
        tuple(_python_value(solution.get(column)) for column in columns) for solution in answer["results"]["bindings"]
    )
    return QueryResult("select", columns=columns, rows=rows)


def _malformed(text: str) -> str:
    """Turn the engine's complaint into a place and a short reason; it lists every token it could have read."""
    match = re.match(r"error at (\d+):(\d+): (.*)", text, re.DOTALL)
    if match is None:
        return f"the query is malformed: {text}"
    reason = match[3] if len(match[3]) <= 120 else "something else must stand here, or the query ends too early"
    return f"the query is malformed at line {match[1]}, column {match[2]}: {reason}"


def _python_value(term: dict[str, Any] | None) -> Any:
    if term is None:
        return None
    if term["type"] == "bnode":
        return f"_:{term['value']}"
    convert = _CONVERTERS.get(term.get("datatype", ""))
    if convert is None:
        return term["value"]
    try:
        return convert(term["value"])
    except ValueError:
        # A literal outside its datatype's lexical space is shown as it stands.
        return term["value"]


_XSD: Final = NAMESPACES["xsd"]
_CONVERTERS: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys((f"{_XSD}{name}" for name in ("integer", "int", "long", "nonNegativeInteger")), int),
    **dict.fromkeys((f"{_XSD}{name}" for name in ("double", "float", "decimal")), float),
    f"{_XSD}boolean": lambda text: text in ("true", "1"),
    f"{_XSD}dateTime": datetime.fromisoformat,
}
