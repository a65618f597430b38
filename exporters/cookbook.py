"""Questions that auditors ask, each a named SPARQL query in `queries/`.

The files are whole queries, to be read, changed and asked anywhere. Their first line is the question. Where a second line says
what they are about, the text `"UID"` in them stands for it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from lineagelog.domain.errors import InvalidValueError, QueryError, RecordNotFoundError
from lineagelog.exporters.sparql import QueryResult, query

_EXISTS: Final = """ASK {
  VALUES ?about { "UID" }
  { ?artifact ll:key ?about ; a ll:Artifact } UNION
  { ?artifact a ll:Artifact BIND(REPLACE(STR(?artifact), "^.*/", "") AS ?about) }
}"""
_PLACE: Final = '"UID"'
_ABOUT: Final = "# About: "


class NamedQuery(NamedTuple):
    """A question with its query.

    Attributes:
        name: What it is called, as in `prov query --named NAME`.
        question: The question in words.
        about: What must be named to ask it; None if it is about everything.
        sparql: The query, with the text `"UID"` for what it is about.
    """

    name: str
    question: str
    about: str | None
    sparql: str

    def filled(self, about: str | None) -> str:
        """Return the query about one thing.

        Raises:
            InvalidValueError: The query needs something to be about and got nothing, or the other way round.
        """
        if self.about is None:
            if about is not None:
                raise InvalidValueError("about", f"is {about!r}, but {self.name!r} asks about everything; leave it out")
            return self.sparql
        if not about:
            raise InvalidValueError("about", f"is missing: {self.name!r} asks about one thing; give the {self.about}")
        return fill(self.sparql, about)


def fill(sparql: str, about: str) -> str:
    """Put a text in its place in a query; no text ends the string it stands in, which is written as JSON writes it."""
    return sparql.replace(_PLACE, json.dumps(about, ensure_ascii=False))


@cache
def named_queries() -> dict[str, NamedQuery]:
    """Return the named queries, by name."""
    folder = files("lineagelog.exporters").joinpath("queries")
    texts = {file.name[:-3]: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".rq")}
    return {name: _read(name, texts[name]) for name in sorted(texts)}


def named_query(name: str) -> NamedQuery:
    """Return the query of this name.

    Raises:
        QueryError: There is none.
    """
    queries = named_queries()
    if name not in queries:
        raise QueryError(f"there is no query named {name!r}; there are {', '.join(queries)}")
    return queries[name]


def ask_named(source: str | Path, name: str, about: str | None, *, timeout_s: float = 30.0) -> QueryResult:
    """Ask an export a named query; see `sparql.query`.

    Raises:
        QueryError: There is no query of this name, or it takes too long.
        InvalidValueError: What it is about is missing, or it is about everything.
        RecordNotFoundError: The export has nothing of what it is about.
    """
    chosen = named_query(name)
    result = query(source, chosen.filled(about), timeout_s=timeout_s)
    # Nobody touched it is another answer than there is no such thing here.
    if about is not None and not result.rows and not query(source, fill(_EXISTS, about), timeout_s=timeout_s).answer:
        raise RecordNotFoundError("artifact", f"the key or uid {about!r}", f"looked in {source}")
    return result


def _read(name: str, text: str) -> NamedQuery:
    first, second, *_ = text.splitlines()
    about = second.removeprefix(_ABOUT) if second.startswith(_ABOUT) else None
    return NamedQuery(name, first.removeprefix("# "), about, text)
