"""The process that answers one SPARQL query; started by `sparql.py` as a script, so it imports nothing of this project.

It reads one line of JSON (the query, its time limit, where the data is) and, unless they are in a file, the N-Quads that follow it.
It writes one line of JSON (the kind of answer, or the error) and the answer.
"""

from __future__ import annotations

import io
import json
import resource
import signal
import sys
from typing import Any

import pyoxigraph


def main() -> None:
    """Load the data, then answer within the time limit."""
    task = json.loads(sys.stdin.buffer.readline())
    store = pyoxigraph.Store()
    try:
        _load(store, task)
    except (SyntaxError, OSError, ValueError) as exc:
        _answer({"error": "source", "text": str(exc)})
        return
    # A query that runs in native code cannot be interrupted from Python; an alarm that nobody handles ends the process.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, task["timeout_s"])
    # From here on no file and no connection can be opened, whatever the query asks for.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    try:
        head, body = _ask(store, task)
    except SyntaxError as exc:
        head, body = {"error": "syntax", "text": str(exc)}, b""
    except (OSError, ValueError, RuntimeError) as exc:
        head, body = {"error": "evaluation", "text": str(exc)}, b""
    signal.setitimer(signal.ITIMER_REAL, 0)
    _answer(head, body)


def _load(store: pyoxigraph.Store, task: dict[str, Any]) -> None:
    if task["path"] is None:
        store.bulk_load(input=sys.stdin.buffer, format=pyoxigraph.RdfFormat.N_QUADS)
    else:
        format_ = pyoxigraph.RdfFormat.from_extension(task["extension"])
        store.bulk_load(path=task["path"], format=format_)


def _ask(store: pyoxigraph.Store, task: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    # The statements of an export lie in the graph of its bundle, so the union of all graphs is what a question is about.
    results = store.query(task["query"], prefixes=task["prefixes"], use_default_graph_as_union=True)
    if isinstance(results, pyoxigraph.QueryBoolean):
        return {"kind": "ask", "answer": bool(results)}, b""
    out = io.BytesIO()
    if isinstance(results, pyoxigraph.QueryTriples):
        pyoxigraph.serialize(results, out, pyoxigraph.RdfFormat.TURTLE, prefixes=task["prefixes"])
        return {"kind": "graph"}, out.getvalue()
    results.serialize(out, pyoxigraph.QueryResultsFormat.JSON)
    return {"kind": "select"}, out.getvalue()


def _answer(head: dict[str, Any], body: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
