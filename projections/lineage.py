"""The lineage graph: what an artifact or run came from, what came from it, and what pictures and tables show of that.

The database finds the edges by a recursive query that visits each node once, however many ways lead to it; the distance
from the subject is counted afterwards, over the edges found. A query that carried the distance along would visit a node
again at each of its distances.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from lineagelog.domain.artifact import LIVE
from lineagelog.domain.errors import InvalidValueError
from lineagelog.projections.reader import Row
from lineagelog.projections.table import Dialect, Scalar

if TYPE_CHECKING:
    import networkx as nx

Direction: TypeAlias = Literal["upstream", "downstream", "both"]

_DIRECTIONS: Final = ("upstream", "downstream", "both")
_MADE: Final = "('generated', 'seen')"
_USED: Final = "('used')"
# Up to this depth the database stops by itself; a node is then visited at most once for each step of the depth.
_BOUNDED_DEPTH: Final = 8
_json: Final = msgspec.json.Encoder()


class Readable(Protocol):
    """Anything that answers a query with rows."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks."""
        ...

    def read(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[Row]:
        """Run a query, its parameters marked by `?`, and return all rows."""
        ...


class Edge(NamedTuple):
    """One use or generation of an artifact by a run.

    Attributes:
        run_id: Id of the run.
        artifact_id: Id of the artifact.
        kind: `used`, `generated`, or `seen`: saved again with content that existed already.
        role: Part the artifact plays in the run.
        at: When, UTC text of 27 characters.
        actor_id: Id of the user who did it.
        depth: Derivation step from the nearest subject, from 1.
        position: Place in the log.
    """

    run_id: str
    artifact_id: str
    kind: str
    role: str
    at: str
    actor_id: str | None
    depth: int
    position: int


@dataclass(frozen=True, slots=True)
class Closure:
    """Everything upstream or downstream of some subjects.

    A step leads from an artifact over a run to the next artifact; the run belongs to the step.

    Attributes:
        subjects: Ids of the artifacts and runs asked for.
        edges: Edges on the way, nearest first, then in the order of the log.
        artifacts: Artifact id to depth, nearest first; a subject has depth 0.
        runs: Run id to depth, nearest first; a subject has depth 0.
    """

    subjects: tuple[str, ...]
    edges: tuple[Edge, ...]
    artifacts: Mapping[str, int]
    runs: Mapping[str, int]


class ArtifactNode(NamedTuple):
    """An artifact in a lineage graph; `user` is the handle of who recorded it, `depth` its distance from the subject.

    `state` is `live`, `trashed` or `deleted`: history is shown whole.
    `is_latest` is whether the family has no newer live version. `n_files` is given of a folder, and `url` of what lies on the web.
    """

    id: str
    uid: str
    key: str | None
    description: str | None
    suffix: str
    kind: str | None
    otype: str | None
    size: int
    version: str | None
    created_at: str
    user: str | None
    depth: int
    state: str = LIVE
    hash: str | None = None
    version_number: int = 0
    is_latest: bool = True
    n_files: int | None = None
    url: str | None = None


class RunNode(NamedTuple):
    """A run in a lineage graph, with the code that ran; `user` is the handle of who started it.

    `reference` is what the run is called in another system, `transform_reference` where its code is found;
    `within` is the key of the transform whose run started it.
    """

    id: str
    uid: str
    name: str | None
    status: str
    started_at: str
    finished_at: str | None
    transform_id: str
    transform_uid: str
    transform_key: str
    transform_type: str
    transform_version: str | None
    user: str | None
    depth: int
    reference: str | None = None
    transform_reference: str | None = None
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """A closure with what is shown of each node.

    Attributes:
        subjects: Ids of the artifacts and runs asked for.
        artifacts: Artifact id to node, nearest first.
        runs: Run id to node, nearest first.
        edges: Edges, nearest first.
    """

    subjects: tuple[str, ...]
    artifacts: Mapping[str, ArtifactNode]
    runs: Mapping[str, RunNode]
    edges: tuple[Edge, ...]


def closure(
    reader: Readable,
    *,
    artifact_ids: Iterable[str] = (),
    run_ids: Iterable[str] = (),
    direction: Direction = "both",
    max_depth: int | None = None,
) -> Closure:
    """Find everything upstream or downstream of artifacts and runs, in one statement.

    "Both" means what the subjects came from and what came from them; not what else came from their sources.

    Args:
        reader: Where to read.
        artifact_ids: Ids of artifacts to start from.
        run_ids: Ids of runs to start from; their own inputs and outputs are one step away.
        direction: Against the flow of data, along it, or both.
        max_depth: Derivation steps to follow, all if `None`.

    Raises:
        InvalidValueError: An unknown direction, or a depth below 0.
    """
    if direction not in _DIRECTIONS:
        raise InvalidValueError("direction", f"is {direction!r}; it must be one of: {', '.join(_DIRECTIONS)}")
    if max_depth is not None and (isinstance(max_depth, bool) or not isinstance(max_depth, int) or max_depth < 0):
        raise InvalidValueError("max_depth", f"is {max_depth!r}; it must be a whole number from 0, or None")
    artifacts, runs = tuple(dict.fromkeys(artifact_ids)), tuple(dict.fromkeys(run_ids))
    # Half steps: an artifact stands on even ones, a run on odd ones.
    limit = None if max_depth is None else 2 * max_depth
    starts = dict.fromkeys(artifacts, 0) | dict.fromkeys(runs, 1)
    upstream, downstream = direction != "downstream", direction != "upstream"
    bound = limit if limit is not None and limit <= 2 * _BOUNDED_DEPTH else None
    sql = _closure_sql(reader.dialect, upstream=upstream, downstream=downstream, bound=bound)
    parameters = [_json.encode(ids).decode() for _ in range(upstream + downstream) for ids in (artifacts, runs)]
    found: dict[bool, list[Row]] = {True: [], False: []}
    for is_up, *row in reader.read(sql, parameters):
        found[bool(is_up)].append(tuple(row))
    edges: dict[int, Edge] = {}
    halves = dict(starts)
    for is_up, rows in found.items():
        _count_steps(rows, starts, limit, is_up=is_up, edges=edges, halves=halves)
    run_set = {edge.run_id for edge in edges.values()} | set(runs)
    nearest = sorted(halves.items(), key=lambda item: item[1])
    depths = {node: 0 if node in starts else (half + 1) // 2 for node, half in nearest}
    return Closure(
        subjects=(*artifacts, *runs),
        edges=tuple(sorted(edges.values(), key=lambda edge: (edge.depth, edge.position))),
        artifacts={node: depth for node, depth in depths.items() if node not in run_set},
        runs={node: depth for node, depth in depths.items() if node in run_set},
    )


def nodes(reader: Readable, found: Closure) -> Graph:
    """Load what pictures and tables show of each run and artifact of a closure, in two statements."""
    among = _among(reader.dialect)
    artifact_rows = reader.read(
        "SELECT a.id, a.uid, a.key, a.description, a.suffix, a.kind, a.otype, a.size, a.version, a.created_at, u.handle, a.state, "  # noqa: S608
        "a.hash, a.version_number, a.is_latest, a.n_files, "
        "CASE WHEN s.type IN ('http', 'https') THEN s.root || '/' || a.storage_path END "
        "FROM artifacts a LEFT JOIN users u ON u.id = a.created_by_id LEFT JOIN storages s ON s.id = a.storage_id "
        f"WHERE a.id IN {among}",
        (_json.encode(list(found.artifacts)).decode(),),
    )
    run_rows = reader.read(
        "SELECT r.id, r.uid, r.name, r.status, r.started_at, r.finished_at, t.id, t.uid, t.key, t.type, t.version, u.handle, "  # noqa: S608
        "r.reference, t.reference, starting.key "
        "FROM runs r JOIN transforms t ON t.id = r.transform_id LEFT JOIN users u ON u.id = r.created_by_id "
        "LEFT JOIN runs starter ON starter.id = r.initiated_by_run_id "
        "LEFT JOIN transforms starting ON starting.id = starter.transform_id "
        f"WHERE r.id IN {among}",
        (_json.encode(list(found.runs)).decode(),),
    )
    artifacts = {
        row[0]: ArtifactNode._make((*row[:11], found.artifacts[row[0]], *row[11:14], bool(row[14]), *row[15:]))
        for row in artifact_rows
    }
    runs = {row[0]: RunNode._make((*row[:12], found.runs[row[0]], *row[12:])) for row in run_rows}
    return Graph(
        subjects=found.subjects,
        artifacts={node: artifacts[node] for node in found.artifacts if node in artifacts},
        runs={node: runs[node] for node in found.runs if node in runs},
        edges=tuple(edge for edge in found.edges if edge.run_id in runs and edge.artifact_id in artifacts),
    )


def transform_parents(reader: Readable, transform_ids: Iterable[str]) -> list[tuple[str, str]]:
    """Pair transforms with the others whose runs saved artifacts that runs of theirs used, these oldest first."""
    return _transform_neighbours(reader, transform_ids, mine=_USED, theirs=_MADE)


def transform_children(reader: Readable, transform_ids: Iterable[str]) -> list[tuple[str, str]]:
    """Pair transforms with the others whose runs used artifacts that runs of theirs saved, these oldest first."""
    return _transform_neighbours(reader, transform_ids, mine=_MADE, theirs=_USED)


def rows(graph: Graph) -> list[dict[str, Any]]:
    """Write a graph as a table, one row for each edge in the direction of data flow, nearest first."""
    table = []
    for edge in graph.edges:
        artifact, run = graph.artifacts[edge.artifact_id], graph.runs[edge.run_id]
        source, target = (artifact.uid, run.uid) if edge.kind == "used" else (run.uid, artifact.uid)
        table.append(
            {
                "source": source, "target": target, "kind": edge.kind, "role": edge.role, "depth": edge.depth,
                "artifact_key": artifact.key, "transform_key": run.transform_key, "at": edge.at, "position": edge.position,
            }
        )  # fmt: skip
    return table


def to_networkx(graph: Graph) -> nx.MultiDiGraph[str]:
    """Build a graph in the direction of data flow.

    Returns:
        Nodes are uids; each has `node` (`artifact` or `run`), `subject`, and the fields of its row. Edges have `kind`, `role`, `at`
        and `depth`, and their place in the log as key.
    """
    import networkx as nx

    built: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    named: tuple[tuple[str, Mapping[str, ArtifactNode] | Mapping[str, RunNode]], ...] = (
        ("artifact", graph.artifacts),
        ("run", graph.runs),
    )
    for name, table in named:
        for node in table.values():
            built.add_node(node.uid, node=name, subject=node.id in graph.subjects, **node._asdict())
    for edge in graph.edges:
        artifact, run = graph.artifacts[edge.artifact_id].uid, graph.runs[edge.run_id].uid
        source, target = (artifact, run) if edge.kind == "used" else (run, artifact)
        built.add_edge(source, target, key=edge.position, kind=edge.kind, role=edge.role, at=edge.at, depth=edge.depth)
    return built


def to_graphml(graph: Graph) -> bytes:
    """Write a graph in GraphML, with its attributes; what is missing has none, and what XML cannot hold becomes U+FFFD."""
    import networkx as nx

    built = to_networkx(graph)
    plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for uid, row in built.nodes(data=True):
        plain.add_node(uid, **_xml_attributes(row))
    for source, target, position, row in built.edges(keys=True, data=True):
        plain.add_edge(source, target, key=position, **_xml_attributes(row))
    # The writer in pure Python gives the same text whether or not lxml is installed.
    out = BytesIO()
    nx.write_graphml_xml(plain, out)
    return out.getvalue()


def _xml_attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _NOT_XML.sub("\ufffd", value) if isinstance(value, str) else value
        for name, value in row.items()
        if value is not None
    }


_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _closure_sql(dialect: Dialect, *, upstream: bool, downstream: bool, bound: int | None) -> str:
    ways = (("up", 1, _MADE, _USED), ("down", 0, _USED, _MADE))
    wanted = [way for way, is_wanted in zip(ways, (upstream, downstream), strict=True) if is_wanted]
    views = [_walk_sql(dialect, name, from_artifact, from_run, bound) for name, _, from_artifact, from_run in wanted]
    parts = []
    for name, is_up, from_artifact, from_run in wanted:
        nodes = name if bound is None else f"(SELECT DISTINCT id, is_run FROM {name} WHERE half < {bound})"  # noqa: S608
        columns = f"{is_up}, e.position, e.run_id, e.artifact_id, e.kind, e.role, e.at, e.actor_id"
        # CROSS JOIN keeps SQLite from scanning all edges first; PostgreSQL reads it as a plain join.
        parts += [
            f"SELECT {columns} FROM {nodes} n CROSS JOIN edges e "  # noqa: S608 - the project's own words only
            f"WHERE n.is_run = {is_run} AND e.{own} = n.id AND e.kind IN {kinds}"
            for is_run, own, kinds in ((0, "artifact_id", from_artifact), (1, "run_id", from_run))
        ]
    return f"WITH RECURSIVE {', '.join(views)} {' UNION ALL '.join(parts)}"


def _walk_sql(dialect: Dialect, name: str, from_artifact: str, from_run: str, bound: int | None) -> str:
    """Write the view of the nodes on one way; `UNION` leaves known nodes away, so that cycles end."""
    counted = bound is not None
    columns = "id, is_run, half" if counted else "id, is_run"
    half = ", w.half + 1" if counted else ""
    within = f" AND w.half < {bound}" if counted else ""
    steps = (("run_id", 1, 0, "artifact_id", from_artifact), ("artifact_id", 0, 1, "run_id", from_run))
    first = [f", {is_run}" if counted else "" for is_run in (0, 1)]
    if dialect == "sqlite":
        start = f"SELECT value, 0{first[0]} FROM json_each(?) UNION SELECT value, 1{first[1]} FROM json_each(?)"  # noqa: S608
        recursive = " UNION ".join(
            f"SELECT e.{other}, {to_run}{half} FROM {name} w CROSS JOIN edges e "  # noqa: S608
            f"WHERE w.is_run = {is_run} AND e.{own} = w.id AND e.kind IN {kinds}{within}"
            for other, to_run, is_run, own, kinds in steps
        )
        return f"{name}({columns}) AS ({start} UNION {recursive})"
    # PostgreSQL allows one recursive term; the two kinds of step stand in a lateral subquery.
    start = " UNION ALL ".join(
        f'SELECT jsonb_array_elements_text(CAST(? AS text)::jsonb) COLLATE "C", {is_run}{first[is_run]}'
        for is_run in (0, 1)
    )
    lateral = " UNION ALL ".join(
        f"SELECT e.{other}, {to_run} FROM edges e WHERE w.is_run = {is_run} AND e.{own} = w.id AND e.kind IN {kinds}"  # noqa: S608
        for other, to_run, is_run, own, kinds in steps
    )
    recursive = (
        f"SELECT n.id, n.is_run{half} FROM {name} w CROSS JOIN LATERAL ({lateral}) n(id, is_run) WHERE true{within}"  # noqa: S608
    )
    return f"{name}({columns}) AS (({start}) UNION {recursive})"


def _count_steps(
    found: Sequence[Row],
    starts: Mapping[str, int],
    limit: int | None,
    *,
    is_up: bool,
    edges: dict[int, Edge],
    halves: dict[str, int],
) -> None:
    """Walk over the edges found, breadth first, and enter how far each edge and node is from the subjects."""
    leaving: dict[str, list[Row]] = {}
    for row in found:
        # Against the flow a use leads from the run to the artifact; along the flow from the artifact to the run.
        from_run = (row[3] == "used") is is_up
        leaving.setdefault(row[1] if from_run else row[2], []).append(row)
    reached = dict(starts)
    level: list[str] = []
    for half in range(limit if limit is not None else len(found) + 2):
        level += [node for node, start in starts.items() if start == half]
        if not level and half > 1:
            return
        following = []
        for node in level:
            for position, run_id, artifact_id, kind, role, at, actor_id in leaving.get(node, ()):
                depth = half // 2 + 1
                known = edges.get(position)
                if known is None or known.depth > depth:
                    edges[position] = Edge(run_id, artifact_id, kind, role, at, actor_id, depth, position)
                other = artifact_id if node == run_id else run_id
                if other not in reached:
                    reached[other] = half + 1
                    halves[other] = min(halves.get(other, half + 1), half + 1)
                    following.append(other)
        level = following


def _transform_neighbours(
    reader: Readable, transform_ids: Iterable[str], *, mine: str, theirs: str
) -> list[tuple[str, str]]:
    found = reader.read(
        "SELECT pair.one, t.id FROM (SELECT DISTINCT own.transform_id AS one, other.transform_id AS two FROM runs own "  # noqa: S608
        f"JOIN edges near ON near.run_id = own.id AND near.kind IN {mine} "
        f"JOIN edges far ON far.artifact_id = near.artifact_id AND far.kind IN {theirs} "
        f"JOIN runs other ON other.id = far.run_id WHERE own.transform_id IN {_among(reader.dialect)}) pair "
        "JOIN transforms t ON t.id = pair.two WHERE pair.one <> pair.two ORDER BY t.position",
        (_json.encode(list(transform_ids)).decode(),),
    )
    return [(row[0], row[1]) for row in found]


def _among(dialect: Dialect) -> str:
    if dialect == "sqlite":
        return "(SELECT value FROM json_each(?))"
    return '(SELECT jsonb_array_elements_text(CAST(? AS text)::jsonb) COLLATE "C")'
