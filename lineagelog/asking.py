"""SPARQL over a store: what is asked, and the graph that answers, which is kept from one question to the next."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lineagelog import message
from lineagelog.domain.errors import InvalidValueError, RecordNotFoundError
from lineagelog.preferences import settings
from lineagelog.progress import statement_progress
from lineagelog.registries.finding import find_record
from lineagelog.registries.record import BaseRecord

if TYPE_CHECKING:
    from lineagelog.exporters.sparql.asking import QueryResult
    from lineagelog.exporters.sparql.index import Source
    from lineagelog.store import Store

_FOLDER = "sparql"


def sparql(
    store: Store,
    query: str | None,
    *,
    named: str | None,
    about: BaseRecord | str | None,
    timeout_s: float,
    on_disk: bool,
) -> QueryResult:
    """Answer a SPARQL query over the provenance of a store; see `Store.sparql`."""
    from lineagelog.exporters.sparql.asking import check_query, check_timeout, names_graphs
    from lineagelog.exporters.sparql.cookbook import named_query

    if (query is None) == (named is None):
        raise InvalidValueError("query", "is needed, or `named` instead of it; give one of the two")
    if named is not None:
        chosen = named_query(named)
        if chosen.about is not None and about is not None:
            about = _about(store, about)
        query = chosen.filled(about.uid if isinstance(about, BaseRecord) else about)
    elif about is not None:
        raise InvalidValueError("about", "goes with a named query; name one with `named`")
    assert query is not None
    check_timeout(timeout_s)
    check_query(query)
    if names_graphs(query):
        # The bundle of an export is named by its position, so that a graph of that name is good for one question.
        return _ask_export(store, query, timeout_s)
    # A view of the past stays as it is, and is rarely asked by more than one process.
    if on_disk and store.present is store:
        result = _ask_on_disk(store, query, timeout_s)
        if result is not None:
            return result
    return _ask_in_memory(store, query, timeout_s)


def index_folder() -> Path:
    """Return where indexes of stores are kept."""
    return settings.cache_dir / _FOLDER


def forget_index(store: Store) -> None:
    """Remove the index of a store that is deleted, and with it what it tells of the store."""
    shutil.rmtree(index_folder() / store.id, ignore_errors=True)


def _ask_in_memory(store: Store, query: str, timeout_s: float) -> QueryResult:
    from lineagelog.exporters.sparql.index import MemoryIndex

    if store.index is None:
        store.index = MemoryIndex(_source(store))
    return store.index.ask(query, timeout_s=timeout_s)


def _ask_on_disk(store: Store, query: str, timeout_s: float) -> QueryResult | None:
    """Ask the index on disk; there is no answer if it cannot be kept, or is in use and not up to date."""
    from lineagelog.exporters.sparql.asking import GraphError
    from lineagelog.exporters.sparql.index import DiskIndex, clear_indexes

    folder = index_folder() / store.id
    try:
        result = DiskIndex(folder, _source(store)).ask(query, timeout_s=timeout_s)
        clear_indexes(index_folder(), beyond_limits=True, keep=folder)
    except (OSError, GraphError) as exc:
        message.warn(f"the index in {folder} cannot be kept, so this question takes longer: {exc}")
        return None
    return result


def _ask_export(store: Store, query: str, timeout_s: float) -> QueryResult:
    from lineagelog.exporters.sparql.asking import Engine
    from lineagelog.exporters.sparql.index import export_chunks

    with Engine() as engine:
        engine.load(export_chunks(_source(store)))
        return engine.ask(query, timeout_s=timeout_s)


def _source(store: Store) -> Source:
    from lineagelog.exporters.sparql.index import Source

    # The log and not the store, which holds the index.
    log, name = store.log, store.name
    return Source(
        log.database.snapshot,
        lambda after, up_to: log.read(after=after, up_to=up_to),
        lambda: statement_progress(f"graph of {name}"),
    )


def _about(store: Store, about: BaseRecord | str) -> str:
    """Take an artifact, its key, which means all its versions, or its uid or the beginning of it."""
    if not isinstance(about, BaseRecord):
        if store.Artifact._whole().filter(key=about).exists():
            return about
        try:
            about = find_record(store, about, ("Artifact",))
        except RecordNotFoundError as exc:
            raise RecordNotFoundError(
                "artifact", f"the key or uid {about!r}", "looked among all, deleted ones too"
            ) from exc
    elif about.registry.name != "Artifact":
        raise InvalidValueError("about", f"is {about!r}, which is no Artifact")
    about._need_saved("ask about")
    return str(about.uid)
