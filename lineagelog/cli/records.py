"""Commands about records: show, the listings of each registry, lineage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lineagelog.cli.app import Call, command
from lineagelog.cli.logs import ENTRY_KEYS, entry_object, in_words
from lineagelog.domain.errors import InvalidValueError

if TYPE_CHECKING:
    from rich.tree import Tree

    from lineagelog.projections.lineage import Graph
    from lineagelog.projections.registry import Registry
    from lineagelog.record import BaseRecord

_MAX_TREE_DEPTH: Final = 12
_LISTED: Final = 50

_PATHS: Final = {"created_by": "created_by__handle", "transform": "transform__key"}
"""Relation to the field by which people know the record it leads to."""

_Uid = Annotated[str, typer.Argument(metavar="UID", help="Uid of the record, or its beginning.")]


@command(
    "show",
    examples=("prov show UID", "prov show UID --json"),
    json=f"one object: `registry`, `id`, the fields of the record, `created_by` (handle), and `history`, a list of: {ENTRY_KEYS}.",
)
def show(call: Call, uid: _Uid) -> None:
    """Print a record and its history.

    The record may be of any registry; the history has each change with its old and new value, who made it, and why.
    """
    from lineagelog.description import build_tree
    from lineagelog.finding import find_record

    with call.store() as store:
        record = find_record(store, uid)
        history = list(store.trail(record=record.uid, newest_first=False))
        if call.out.json:
            entries = [entry_object(entry) for entry in history]
            call.out.object({**_record_object(record), "history": entries})
            return
        call.out.tree(build_tree(record))
        call.out.table(
            ("#", "time (UTC)", "who", "event", "what changed, and why"),
            ((entry.position, entry.at, entry.who, entry.event, in_words(entry)) for entry in history),
        )


def _listing(registry: str, name: str, shown: tuple[str, ...], example: str) -> Callable[..., None]:
    """Make the command that lists one registry."""

    def listing(
        call: Call,
        where: Annotated[
            list[str] | None,
            typer.Option(
                metavar="FIELD__LOOKUP=VALUE", help="Only records for which this holds; may be given more than once."
            ),
        ] = None,
        search: Annotated[
            str | None, typer.Option(metavar="TEXT", help="Only records with this text, best match first.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = _LISTED,
        all_: Annotated[bool, typer.Option("--all", help="No limit.")] = False,
    ) -> None:
        with call.store() as store:
            found = getattr(store, registry).filter(**_conditions(where or []))
            found = found.search(search) if search is not None else found.order_by("-position")
            rows = (found if all_ else found[:limit]).values(*_columns(found.query.registry))
            if call.out.json:
                call.out.objects({"registry": registry, **_row_object(row)} for row in rows)
                return
            call.out.table(shown, ([row[_PATHS.get(field, field)] for field in shown] for row in rows))
            total = len(rows) if all_ else found.count()
            if total > len(rows):
                call.out.say(f"{len(rows):,} of {total:,} {name}; see more with --limit or --all")
            elif not rows:
                call.out.say(f"no {name} match")

    listing.__doc__ = (
        f"List {name}, newest first.\n\n"
        "--where takes the conditions of queries: a field, also of a related record, a lookup such as exact, contains, "
        "startswith, gte, in or isnull, and a value, read as JSON if it is JSON and as text otherwise."
    )
    return command(
        name,
        examples=(f"prov {name}", f"prov {name} --where {example} --json"),
        json="one object a line: `registry`, `id`, the fields of the record, `created_by` (handle).",
    )(listing)


_listing(
    "Artifact",
    "artifacts",
    ("uid", "key", "size", "kind", "version", "is_latest", "created_by", "created_at"),
    "key__endswith=.csv",
)
_listing(
    "Run", "runs", ("uid", "transform", "name", "status", "started_at", "finished_at", "created_by"), "status=finished"
)
_listing(
    "Transform",
    "transforms",
    ("uid", "key", "type", "version", "is_latest", "created_by", "created_at"),
    "is_latest=true",
)
_listing("User", "users", ("uid", "handle", "name", "email", "created_at"), "handle=HANDLE")


@command(
    "lineage",
    examples=(
        "prov lineage UID",
        "prov lineage UID -o lineage.svg",
        "prov lineage UID --direction upstream --depth 2 --json",
    ),
    json="one object a line, for each edge in the direction of data flow, nearest first: `source` and `target` (uids), `kind`, "
    "`role`, `depth`, `artifact_key`, `transform_key`, `at`, `position`; with -o one object: `path`.",
)
def lineage(
    call: Call,
    uid: Annotated[str, typer.Argument(metavar="UID", help="Uid of an artifact or run, or its beginning.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Draw it: a name ending in .svg, .png or .dot."),
    ] = None,
    direction: Annotated[str, typer.Option(help="upstream, downstream or both.")] = "both",
    depth: Annotated[int | None, typer.Option(help="So many steps, from artifact to artifact; all by default.")] = None,
) -> None:
    """Print or draw a lineage.

    It holds what an artifact or run came from, and what came of it: as text, or as a picture with -o.
    """
    from lineagelog.finding import find_record
    from lineagelog.lineage import read_graph, view_lineage
    from lineagelog.projections.lineage import rows

    with call.store() as store:
        record = find_record(store, uid, ("Artifact", "Run"))
        if output is not None:
            path = view_lineage(record, output, direction=direction, max_depth=depth)
            if call.out.json:
                call.out.object({"path": str(path)})
            else:
                call.out.say(f"wrote the lineage of {record.uid} to {path}")
            return
        graph = read_graph(record, direction, depth)
    if call.out.json:
        call.out.objects(rows(graph))
    elif max((edge.depth for edge in graph.edges), default=0) > _MAX_TREE_DEPTH:
        columns = ("depth", "source", "kind", "target", "artifact_key", "transform_key", "at")
        call.out.table(columns, ([row[column] for column in columns] for row in rows(graph)))
    else:
        call.out.tree(_lineage_tree(graph, record.id))


def _lineage_tree(graph: Graph, subject: str) -> Tree:
    """Lay out a lineage: what the record came from, then what came of it; each node is unfolded once."""
    from rich.tree import Tree

    tree = Tree(_node_line(graph, subject))
    for title, is_up in (("came from", True), ("led to", False)):
        following: dict[str, list[tuple[str, str]]] = {}
        for edge in graph.edges:
            # A use leads from the artifact to the run; against the flow of data from the run to the artifact.
            from_run = (edge.kind == "used") is is_up
            near, far = (edge.run_id, edge.artifact_id) if from_run else (edge.artifact_id, edge.run_id)
            following.setdefault(near, []).append((far, edge.kind))
        if subject not in following:
            continue
        seen = {subject}
        waiting = [(tree.add(title), subject)]
        while waiting:
            branch, node = waiting.pop()
            for far, kind in following.get(node, ()):
                line = f"{kind} {_node_line(graph, far)}"
                if far in seen:
                    branch.add(f"{line} (above or below)" if far in following else line)
                    continue
                seen.add(far)
                waiting.append((branch.add(line), far))
    return tree


def _node_line(graph: Graph, node_id: str) -> str:
    artifact = graph.artifacts.get(node_id)
    if artifact is not None:
        return f"artifact {artifact.uid} {artifact.key or artifact.description or ''} by {artifact.user or '?'}"
    run = graph.runs[node_id]
    return f"run {run.uid} of {run.transform_key} by {run.user or '?'}, {run.status}, {run.started_at[:19].replace('T', ' ')}"


def _conditions(where: list[str]) -> dict[str, Any]:
    """Read the conditions of `--where`."""
    conditions: dict[str, Any] = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidValueError("--where", f"is {text!r}; write FIELD=VALUE or FIELD__LOOKUP=VALUE")
        if name in conditions:
            raise InvalidValueError(
                "--where", f"names {name} twice; use the lookup `in` with a JSON list for alternatives"
            )
        try:
            conditions[name] = json.loads(value)
        except ValueError:
            conditions[name] = value
    return conditions


def _record_object(record: BaseRecord) -> dict[str, Any]:
    """Build the JSON form of a record."""
    user = record.created_by
    fields = {name: getattr(record, name) for name in record.registry.fields}
    return {"registry": record.registry.name, "id": record.id, **fields, "created_by": user.handle if user else None}


def _columns(registry: Registry) -> list[str]:
    """Name what is read of each record in a listing, in one statement: its fields, and what people call its relations."""
    return ["id", *registry.fields, *(path for relation, path in _PATHS.items() if relation in registry.relations)]


def _row_object(row: dict[str, Any]) -> dict[str, Any]:
    """Build the JSON form of a row, equal to that of its record."""
    return {
        **{name: value for name, value in row.items() if name not in _PATHS.values()},
        "created_by": row.get(_PATHS["created_by"]),
    }
