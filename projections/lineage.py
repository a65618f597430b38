"""The lineage graph: what an artifact or run came from, and what came from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lineagelog.projections.reader import Reader

if TYPE_CHECKING:
    import networkx as nx

Direction: TypeAlias = Literal["upstream", "downstream", "both"]


class Edge(NamedTuple):
    """One use or generation of an artifact by a run; `kind` is `used`, `generated` or `seen`."""

    run_id: str
    artifact_id: str
    kind: str
    role: str
    at: str
    actor_id: str | None
    depth: int


@dataclass(frozen=True, slots=True)
class Closure:
    """Everything up- or downstream; ids map to their depth in derivation steps, nearest first."""

    subjects: tuple[str, ...]
    edges: tuple[Edge, ...]
    artifacts: Mapping[str, int]
    runs: Mapping[str, int]


class ArtifactNode(NamedTuple):
    """An artifact in a lineage graph."""

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


class RunNode(NamedTuple):
    """A run in a lineage graph, with the code that ran."""

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


@dataclass(frozen=True, slots=True)
class Graph:
    """A closure with what is shown of each node; ids to nodes, nearest first."""

    subjects: tuple[str, ...]
    artifacts: Mapping[str, ArtifactNode]
    runs: Mapping[str, RunNode]
    edges: tuple[Edge, ...]


def closure(
    reader: Reader,
    *,
    artifact_ids: Iterable[str] = (),
    run_ids: Iterable[str] = (),
    direction: Direction = "both",
    max_depth: int | None = None,
) -> Closure:
    """Find everything up- or downstream of artifacts and runs in one statement."""
    raise NotImplementedError


def nodes(reader: Reader, found: Closure) -> Graph:
    """Load what pictures and tables show of each run and artifact of a closure."""
    raise NotImplementedError


def transform_parents(reader: Reader, transform_id: str) -> list[str]:
    """List the ids of the transforms whose runs saved artifacts that runs of this transform used."""
    raise NotImplementedError


def transform_children(reader: Reader, transform_id: str) -> list[str]:
    """List the ids of the transforms whose runs used artifacts that runs of this transform saved."""
    raise NotImplementedError


def to_networkx(graph: Graph) -> nx.MultiDiGraph[str]:
    """Build a graph in the direction of data flow; nodes carry the attributes of their row and `node` (`artifact` or `run`)."""
    raise NotImplementedError
