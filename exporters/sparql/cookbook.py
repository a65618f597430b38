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

from lineagelog.domain.errors import InvalidValueError, MultipleRecordsError, QueryError, RecordNotFoundError
from lineagelog.domain.ids import VERSION_LENGTH
from lineagelog.exporters.sparql.asking import Engine, QueryResult, check_timeout

_IS_KEY: Final = 'ASK { ?artifact ll:key "UID" ; a ll:Artifact }'
_UIDS: Final = """SELECT ?uid {
  ?artifact a ll:Artifact BIND(REPLACE(STR(?artifact), "^.*/", "") AS ?uid) FILTER(STRSTARTS(?uid, "UID"))
}"""
_SHOWN: Final = 10
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
    folder = files("lineagelog.exporters.sparql").joinpath("queries")
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

    Args:
        source: Path of the export.
        name: Name of the query.
        about: The artifact it is about: its key, which means all its versions, or its uid or the beginning of it.
        timeout_s: Longest time, seconds.

    Raises:
        QueryError: There is no query of this name, or it takes too long.
        InvalidValueError: What it is about is missing, or it is about everything.
        RecordNotFoundError: The export has nothing of what it is about.
        MultipleRecordsError: The uids of several artifacts begin with it.
    """
    chosen = named_query(name)
    chosen.filled(about)
    check_timeout(timeout_s)
    with Engine() as engine:
        engine.load(source)
        if about is not None:
            about = _known(engine, about, str(source), timeout_s)
        return engine.ask(chosen.filled(about), timeout_s=timeout_s)


def _known(engine: Engine, about: str, source: str, timeout_s: float) -> str:
    """Take a key as it is, and make a whole uid of its beginning: that nothing came of it is another answer than that it is not."""
    if engine.ask(fill(_IS_KEY, about), timeout_s=timeout_s).answer:
        return about
    uids = sorted(uid for (uid,) in engine.ask(fill(_UIDS, about), timeout_s=timeout_s).rows)
    # Of a family of versions the latest is meant, as everywhere.
    if len({uid[:-VERSION_LENGTH] for uid in uids}) > 1:
        raise MultipleRecordsError("artifact", f"the uid {about!r}", tuple(uids[:_SHOWN]))
    if not uids:
        raise RecordNotFoundError("artifact", f"the key or uid {about!r}", f"looked in {source}")
    return str(uids[-1])


def _read(name: str, text: str) -> NamedQuery:
    first, second, *_ = text.splitlines()
    about = second.removeprefix(_ABOUT) if second.startswith(_ABOUT) else None
    return NamedQuery(name, first.removeprefix("# "), about, text)
