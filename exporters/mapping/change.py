"""What an export of a whole store says otherwise than one of an earlier position: which subjects anew, and what more.

An RDF export of the whole store changes subject by subject. What it says of a record follows from the rows of that record, from
those its runs and inputs have had all along, and from two things that may come later: that its run had ended before it was
recorded, and that its run came to have too many inputs and outputs for their derivations to be written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from lineagelog.exporters import vocabulary as v
from lineagelog.exporters.mapping.annotation import DEFINITIONS
from lineagelog.exporters.mapping.derivation import is_dense
from lineagelog.exporters.mapping.rows import chunked
from lineagelog.exporters.mapping.stream import Export, open_export
from lineagelog.exporters.scope import ALL
from lineagelog.projections.reader import Reader
from lineagelog.projections.touched import Touched


class Change(NamedTuple):
    """How a graph of the whole store is brought up to date.

    Attributes:
        subjects: IRIs of the subjects that are described anew, with the nodes of their qualified relations.
        classes: IRIs of classes of which all subjects are described anew: what an export says of itself.
        projects: Beginning of the IRIs of projects. That something belongs to a project is replaced with the member.
        export: What is to be said of them now; that it says more of subjects which stay is no contradiction to what was said.
    """

    subjects: list[str]
    classes: list[str]
    projects: str
    export: Export


def open_change(
    reader: Reader, touched: Touched, *, since: int, head_position: int, head_root: str, software: str, base: str
) -> Change:
    """Find out what became of an export.

    Args:
        reader: One consistent view of the store.
        touched: What the events after the earlier position touched; not everything.
        since: The earlier position, or one before it.
        head_position: Last position of the log in that view.
        head_root: Merkle tree head at that position.
        software: Name and version of the exporting software.
        base: Beginning of the IRIs of all records.
    """
    ids = set(touched.ids)
    for sql in _MADE_AFTER_THE_END:
        ids.update(str(id_) for (id_,) in chunked(reader, sql, touched.runs_that_ended))
    became_dense = set()
    for run_id, used, made, used_before, made_before in _edges(reader, touched, since):
        if is_dense(used, made):
            # Such a run says how many derivations are left out, which each input and output changes.
            ids.add(run_id)
            if not is_dense(used_before, made_before):
                became_dense.add(run_id)
    ids.update(str(id_) for (id_,) in chunked(reader, _MADE, became_dense))
    only = frozenset(ids)
    export = open_export(
        reader,
        scope=ALL,
        head_position=head_position,
        head_root=head_root,
        software=software,
        base=base,
        only=only,
    )

    def iri(name: str) -> str:
        prefix, _, local = name.partition(":")
        return f"{export.prefixes[prefix]}{local}"

    subjects = [iri(name) for name in _records(reader, only)]
    return Change(subjects, [iri(name) for name in _DESCRIPTION], iri("project:"), export)


def _records(reader: Reader, ids: frozenset[str]) -> Iterator[str]:
    for table, prefix in _PREFIXES.items():
        sql = f"SELECT t.uid FROM {table} t WHERE t.id {{these}}"  # noqa: S608 - names from this module
        yield from (f"{prefix}:{v.local_name(uid)}" for (uid,) in chunked(reader, sql, ids))
    for table, prefix in {"sessions": "session", "environments": "environment"}.items():
        sql = f"SELECT t.id FROM {table} t WHERE t.id {{these}}"  # noqa: S608 - names from this function
        yield from (f"{prefix}:{v.local_name(id_)}" for (id_,) in chunked(reader, sql, ids))


def _edges(reader: Reader, touched: Touched, since: int) -> Iterator[tuple[str, int, int, int, int]]:
    """Count what each run read and made, and had by then."""
    sql = _EDGES.format(since=int(since), these="{these}")
    for run_id, *counts in chunked(reader, sql, touched.runs_with_edges):
        used, made, used_before, made_before = map(int, counts)
        yield str(run_id), used, made, used_before, made_before


_PREFIXES: Final = {
    "users": "user",
    "storages": "storage",
    "transforms": "transform",
    "runs": "run",
    "artifacts": "artifact",
    "collections": "collection",
    **DEFINITIONS,
}
_DESCRIPTION: Final = (v.BUNDLE, v.EXPORTING, v.EVENT_LOG)
_MADE_AFTER_THE_END: Final = tuple(
    f"SELECT t.id FROM {table} t JOIN runs r ON r.id = t.run_id WHERE r.finished_at < t.created_at AND t.run_id {{these}}"  # noqa: S608 - constants
    for table in ("artifacts", "collections")
)
_MADE: Final = "SELECT t.artifact_id FROM edges t WHERE t.kind = 'generated' AND t.run_id {these}"
_EDGES: Final = """
    SELECT t.run_id, SUM(CASE WHEN t.kind = 'used' THEN 1 ELSE 0 END), SUM(CASE WHEN t.kind = 'generated' THEN 1 ELSE 0 END),
        SUM(CASE WHEN t.kind = 'used' AND t.position <= {since} THEN 1 ELSE 0 END),
        SUM(CASE WHEN t.kind = 'generated' AND t.position <= {since} THEN 1 ELSE 0 END)
    FROM edges t WHERE t.run_id {these} GROUP BY t.run_id"""
