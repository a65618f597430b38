"""The process that holds a graph and answers SPARQL queries of it; started by `sparql.py` as a script, so it imports nothing of
this project.

It reads requests from standard input, one line of JSON each, and answers each by one line of JSON, which says how many bytes of an
answer follow:

    {"do": "load", "format": "nt", "path": null, "store": null}     fill the graph from a file, or from the chunks that follow
    {"do": "change", "subjects": […], "classes": […], "projects": "…", "store": …}     replace what is said of these by the chunks
    {"do": "ask", "query": "…", "prefixes": {…}, "timeout_s": 60, "store": …}

Chunks are a line with their size, and their bytes; one of size 0 is the last. The graph is in memory, or `store` is the folder of a
store of Oxigraph, which is open only while a request is carried out.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import platform
import resource
import signal
import struct
import sys
from typing import Any

import pyoxigraph

_PROV = "http://www.w3.org/ns/prov#"
_QUALIFIED = f"{_PROV}qualified"
_TYPE = pyoxigraph.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
_HAD_MEMBER = pyoxigraph.NamedNode(f"{_PROV}hadMember")
_FORMATS = {
    "trig": pyoxigraph.RdfFormat.TRIG,
    "nq": pyoxigraph.RdfFormat.N_QUADS,
    "nt": pyoxigraph.RdfFormat.N_TRIPLES,
}


def main() -> None:
    """Carry out requests until there are no more."""
    graph = pyoxigraph.Store()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        body = b""
        try:
            if request["do"] == "load":
                graph = _load(request)
                head: dict[str, Any] = {}
            elif request["do"] == "change":
                head = _change(_open(request, graph), request)
            else:
                head, body = _ask_apart(graph, request)
        except SyntaxError as exc:
            head = {"error": "source", "text": str(exc)}
        except (OSError, ValueError, RuntimeError) as exc:
            head = {"error": "source" if request.get("path") else "store", "text": str(exc)}
        sys.stdout.buffer.write(json.dumps({**head, "size": len(body)}).encode() + b"\n" + body)
        sys.stdout.buffer.flush()


def _open(request: dict[str, Any], graph: pyoxigraph.Store) -> pyoxigraph.Store:
    return graph if request["store"] is None else pyoxigraph.Store(request["store"])


def _load(request: dict[str, Any]) -> pyoxigraph.Store:
    chunks = io.BufferedReader(_Chunks(), 1 << 20) if request["path"] is None else None
    try:
        # What was in the graph before goes with its object.
        store = pyoxigraph.Store() if request["store"] is None else pyoxigraph.Store(request["store"])
        format_ = _FORMATS[request["format"]]
        if chunks is None:
            store.bulk_load(path=request["path"], format=format_)
        else:
            store.bulk_load(input=chunks, format=format_)
        if request["store"] is None:
            return store
        store.flush()
        store.optimize()
        return pyoxigraph.Store()
    finally:
        if chunks is not None:
            # The next request stands after the chunks, also if they could not be taken.
            while chunks.read(1 << 20):
                pass


def _change(store: pyoxigraph.Store, request: dict[str, Any]) -> dict[str, Any]:
    """Replace what is said of some subjects, and of the nodes of their qualified relations; all else is added to."""
    added = io.BufferedReader(_Chunks(), 1 << 20).read()
    projects = request["projects"]
    old: set[pyoxigraph.Quad] = set()
    subjects = set(map(pyoxigraph.NamedNode, request["subjects"]))
    for class_ in map(pyoxigraph.NamedNode, request["classes"]):
        subjects.update(
            pyoxigraph.NamedNode(_iri(quad.subject)) for quad in store.quads_for_pattern(None, _TYPE, class_)
        )
    for subject in subjects:
        is_project = subject.value.startswith(projects)
        for quad in store.quads_for_pattern(subject, None, None):
            # Who belongs to a project is said with the member, of which there may be many.
            if not (is_project and quad.predicate == _HAD_MEMBER):
                old.add(quad)
                if quad.predicate.value.startswith(_QUALIFIED):
                    old.update(store.quads_for_pattern(pyoxigraph.NamedNode(_iri(quad.object)), None, None))
        old.update(
            quad
            for quad in store.quads_for_pattern(None, _HAD_MEMBER, subject)
            if _iri(quad.subject).startswith(projects)
        )
    new = set(pyoxigraph.parse(added, pyoxigraph.RdfFormat.N_TRIPLES))
    for quad in old - new:
        store.remove(quad)
    store.extend(new - old)
    if request["store"] is not None:
        store.flush()
    return {"n_removed": len(old - new), "n_added": len(new - old)}


def _iri(node: Any) -> str:
    # An export has no blank nodes.
    return str(node.value)


class _Chunks(io.RawIOBase):
    """What follows a request, as a file."""

    def __init__(self) -> None:
        self._left = 0
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left and not self._is_done:
            self._left = int(sys.stdin.buffer.readline() or -1)
            self._is_done = not self._left
        data = sys.stdin.buffer.read(min(len(buffer), self._left)) if self._left > 0 else b""
        if self._left and not data:
            # Who asked is gone; what has arrived is no whole graph.
            os._exit(1)
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def _ask_apart(graph: pyoxigraph.Store, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer in a child that shares the graph: one that takes too long is killed, and the graph stays."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            head, body = _ask(graph, request)
            with os.fdopen(writing, "wb") as out:
                out.write(json.dumps(head).encode() + b"\n" + body)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        line, body = answer.readline(), answer.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return {"error": "timeout"}, b""
    return (json.loads(line), body) if line else ({"error": "died"}, b"")


def _ask(graph: pyoxigraph.Store, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    if request["store"] is not None:
        try:
            graph = pyoxigraph.Store.read_only(request["store"])
        except (OSError, RuntimeError) as exc:
            return {"error": "store", "text": str(exc)}, b""
    # A query that runs in native code cannot be interrupted from Python; an alarm that nobody handles ends the process.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, request["timeout_s"])
    # A store on disk opens some of its files when they are first read, so there connections alone are forbidden, where that can be.
    if request["store"] is None or not _forbid_connections():
        # From here on no file and no connection can be opened, whatever the query asks for.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    try:
        head, body = _answer(graph, request)
    except SyntaxError as exc:
        head, body = {"error": "syntax", "text": str(exc)}, b""
    except (OSError, ValueError, RuntimeError) as exc:
        head, body = {"error": "evaluation", "text": str(exc)}, b""
    signal.setitimer(signal.ITIMER_REAL, 0)
    return head, body


def _answer(graph: pyoxigraph.Store, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    # The statements of an export lie in the graph of its bundle, so the union of all graphs is what a question is about.
    results = graph.query(request["query"], prefixes=request["prefixes"], use_default_graph_as_union=True)
    if isinstance(results, pyoxigraph.QueryBoolean):
        return {"kind": "ask", "answer": bool(results)}, b""
    out = io.BytesIO()
    if isinstance(results, pyoxigraph.QueryTriples):
        pyoxigraph.serialize(results, out, pyoxigraph.RdfFormat.TURTLE, prefixes=request["prefixes"])
        return {"kind": "graph"}, out.getvalue()
    results.serialize(out, pyoxigraph.QueryResultsFormat.JSON)
    return {"kind": "select"}, out.getvalue()


_SOCKET_CALLS = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}
"""By machine: how the kernel calls it, and the numbers of `socket` and `io_uring_setup`."""


def _forbid_connections() -> bool:
    """Let the kernel refuse to this process every new socket (seccomp, Linux); tell whether it does."""
    if sys.platform != "linux" or platform.machine() not in _SOCKET_CALLS:
        return False
    machine, *calls = _SOCKET_CALLS[platform.machine()]
    load, equals, give = 0x20, 0x15, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | 13
    program = [
        # Of another machine's calls the numbers would mean others: they are refused.
        (load, 0, 0, 4), (equals, 1, 0, machine), (give, 0, 0, refuse), (load, 0, 0, 0),
        *((equals, len(calls) - place, 0, number) for place, number in enumerate(calls)),
        (give, 0, 0, allow), (give, 0, 0, refuse),
    ]  # fmt: skip
    text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(text)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    # PR_SET_NO_NEW_PRIVS is what allows a filter without privileges; PR_SET_SECCOMP with SECCOMP_MODE_FILTER sets it.
    return bool(prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, ctypes.addressof(filter_), 0, 0) == 0)


if __name__ == "__main__":
    main()
