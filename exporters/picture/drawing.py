"""What a picture shows: boxes with their texts, and arrows between them, before any format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from lineagelog.domain.amount import n_bytes
from lineagelog.domain.artifact import LIVE
from lineagelog.domain.ids import VERSION_LENGTH
from lineagelog.domain.run import ABORTED, FAILED, FINISHED, STARTED
from lineagelog.domain.values import parse_time
from lineagelog.exporters.picture.folding import Arrow, Group, Nature, fold
from lineagelog.exporters.picture.link import web_url
from lineagelog.exporters.picture.look import (
    ARTIFACT,
    BY_STATE,
    BY_STATUS,
    OPEN_RUN,
    RECORD,
    RUN,
    STEPS,
    SUBJECT,
    SUBJECT_PEN,
    Look,
)  # fmt: skip
from lineagelog.projections.hierarchy import Hierarchy
from lineagelog.projections.lineage import ArtifactNode, Edge, Graph, RunNode
from lineagelog.projections.rows import RowDict

Node: TypeAlias = ArtifactNode | RunNode

MAX_BOXES: Final = 150
"""So many boxes are laid out in a moment, and no eye follows more."""

_MAX_TITLE: Final = 40
_MAX_CHAIN: Final = 9
_MAX_UID: Final = 12
_MAX_NAMED: Final = 200
_USUAL_ROLES: Final = ("input", "output")


class Fact(NamedTuple):
    """One line of what is known of a box.

    Attributes:
        name: What it says.
        text: The value.
        url: Where it leads on the web.
        box: Name of the box it leads to in the picture.
    """

    name: str
    text: str
    url: str | None = None
    box: str | None = None


class Box(NamedTuple):
    """One box of a picture.

    Attributes:
        name: The uid of what it stands for, or of the first of those.
        shape: `run` has a bar at each side.
        look: Its colours.
        title: Its first line.
        lines: Lines below, in small letters.
        state: Last line, if its state is not the usual one.
        tip: What a pointer that rests on it is told.
        url: Where it leads on the web.
        facts: All that is known of it.
    """

    name: str
    shape: Literal["round", "run"]
    look: Look
    title: str
    lines: tuple[str, ...]
    state: str
    tip: str
    url: str | None
    facts: tuple[Fact, ...]


class Line(NamedTuple):
    """One arrow of a picture.

    Attributes:
        source: Name of the box where it begins.
        target: Name of the box where it ends.
        kind: `used`, `generated`, `seen` or `parent`.
        n_pairs: So many pairs of nodes it stands for.
        role: Part the artifact plays in the run, if not the usual one.
    """

    source: str
    target: str
    kind: str
    n_pairs: int
    role: str

    @property
    def tip(self) -> str:
        """What a pointer that rests on it is told."""
        verb = {"seen": "saved again with content that existed already", "parent": "parent of"}.get(
            self.kind, self.kind
        )
        role = f" as {self.role}" if self.role else ""
        return f"{verb}{role}" if self.n_pairs == 1 else f"{verb}{role}: {self.n_pairs:,} times"

    @property
    def label(self) -> str:
        """What stands beside it."""
        return " ".join(text for text in (f"{self.n_pairs:,}" if self.n_pairs > 1 else "", self.role) if text)


class Drawing(NamedTuple):
    """A picture.

    Attributes:
        title: What it shows.
        is_downward: Data flows from top to bottom, not from left to right.
        subjects: Names of the boxes it was asked for.
        boxes: The boxes, nearest to the subject first.
        lines: The arrows.
    """

    title: str
    is_downward: bool
    subjects: tuple[str, ...]
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]

    @property
    def looks(self) -> tuple[Look, ...]:
        """The looks of the boxes, each once; they differ in what the legend calls them."""
        found = {box.look.legend: box.look for box in self.boxes}
        return tuple(found.values())

    @property
    def has_seen_again(self) -> bool:
        """Some arrow says that content was saved again."""
        return any(line.kind == "seen" for line in self.lines)


def draw_lineage(graph: Graph, *, title: str | None = None, max_boxes: int = MAX_BOXES) -> Drawing:
    """Say what a picture of a lineage shows.

    Args:
        graph: Nodes and edges.
        title: Whose lineage it is; the names of its subjects by default.
        max_boxes: So many boxes are drawn at most, but for two that tell what is left out.
    """
    both: tuple[Node, ...] = (*graph.artifacts.values(), *graph.runs.values())
    nodes = {node.id: node for node in sorted(both, key=lambda node: node.depth)}
    natures = {node_id: _nature(node) for node_id, node in nodes.items()}
    arrows = {_arrow(edge): edge for edge in graph.edges}
    groups = fold(natures, arrows, subjects=graph.subjects, max_boxes=max_boxes)
    titles = [_title(nodes[subject]) for subject in graph.subjects if subject in nodes]
    return _drawing(
        f"Lineage of {title or _some(titles, 1)}",
        graph.subjects,
        {node_id: node.uid for node_id, node in nodes.items()},
        groups,
        arrows,
        lambda members, rule, facts: _lineage_box([nodes[member] for member in members], rule, graph.subjects, facts),
        {node_id: _title(node) for node_id, node in nodes.items()},
        {arrow: edge.role for arrow, edge in arrows.items() if edge.role not in _USUAL_ROLES},
    )


def draw_hierarchy(tree: Hierarchy, *, max_boxes: int = MAX_BOXES) -> Drawing:
    """Say what a picture of a record with its parents shows: parents above their children."""
    natures = {node: Nature("record", str(row.get("type") or ""), is_plain=True) for node, row in tree.rows.items()}
    arrows = dict.fromkeys(Arrow(parent, child, "parent") for parent, child in tree.edges)
    groups = fold(natures, arrows, subjects=(tree.subject,), max_boxes=max_boxes)
    titles = {node: str(row.get("key") or row.get("name")) for node, row in tree.rows.items()}
    drawing = _drawing(
        f"Parents of {titles[tree.subject]}",
        (tree.subject,),
        {node: str(row["uid"]) for node, row in tree.rows.items()},
        groups,
        arrows,
        lambda members, rule, facts: _record_box(
            [tree.rows[member] for member in members], rule, tree.subject in members, facts
        ),
        titles,
        {},
    )
    return drawing._replace(is_downward=True)


def shorten(text: str, length: int = _MAX_TITLE) -> str:
    """Cut the middle out of a long text: both the folder and the file name's end tell what it is."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 5
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


_Draw: TypeAlias = Callable[[Sequence[str], str | None, Sequence[Fact]], Box]


def _drawing(
    title: str,
    subjects: Iterable[str],
    uids: Mapping[str, str],
    groups: Iterable[Group],
    arrows: Iterable[Arrow],
    draw: _Draw,
    titles: Mapping[str, str],
    roles: Mapping[Arrow, str],
) -> Drawing:
    """Put a picture together, a box for each node or group and an arrow for each pair of boxes and kind."""
    rules = {group.nodes[0]: group for group in groups}
    box_of = {node: first for first, group in rules.items() for node in group.nodes}
    merged: dict[Arrow, list[str]] = {}
    for arrow in arrows:
        ends = box_of.get(arrow.source, arrow.source), box_of.get(arrow.target, arrow.target)
        if ends[0] != ends[1]:
            merged.setdefault(Arrow(*ends, arrow.kind), []).append(roles.get(arrow, ""))
    lines = tuple(
        Line(uids[source], uids[target], kind, len(found), found[0] if len(set(found)) == 1 else "")
        for (source, target, kind), found in merged.items()
    )
    around: dict[str, list[Fact]] = {}
    for source, target, kind in merged:
        words = {"used": ("used by", "input"), "parent": ("parent of", "child of")}.get(kind, ("output", "made by"))
        around.setdefault(source, []).append(Fact(words[0], titles[target], box=uids[target]))
        around.setdefault(target, []).append(Fact(words[1], titles[source], box=uids[source]))
    boxes = [node for node in uids if box_of.get(node, node) == node]
    drawn = tuple(
        draw(group.nodes, group.rule, around.get(node, ()))
        if (group := rules.get(node)) is not None
        else draw((node,), None, around.get(node, ()))
        for node in boxes
    )
    # Facts name what they lead to as its box does.
    named = {box.name: box.title for box in drawn}
    drawn = tuple(
        box._replace(facts=tuple(fact._replace(text=named[fact.box]) if fact.box else fact for fact in box.facts))
        for box in drawn
    )
    shown = tuple(dict.fromkeys(uids[box_of.get(subject, subject)] for subject in subjects if subject in uids))
    return Drawing(title, _length(lines) > _MAX_CHAIN, shown, drawn, lines)


def _arrow(edge: Edge) -> Arrow:
    if edge.kind == "used":
        return Arrow(edge.artifact_id, edge.run_id, edge.kind)
    return Arrow(edge.run_id, edge.artifact_id, edge.kind)


def _nature(node: Node) -> Nature:
    # A failed run never hides among those that went well, and what was deleted never among what is there.
    if isinstance(node, RunNode):
        return Nature(node.status, node.transform_key, node.status == FINISHED)
    return Nature(f"{node.state} artifact", node.suffix, node.state == LIVE)


def _lineage_box(nodes: Sequence[Node], rule: str | None, subjects: Sequence[str], facts: Sequence[Fact]) -> Box:
    is_subject = nodes[0].id in subjects
    artifacts = [node for node in nodes if isinstance(node, ArtifactNode)]
    runs = [node for node in nodes if isinstance(node, RunNode)]
    if rule in (None, "alike"):
        one = _subject_look if is_subject else _same_look
        if artifacts:
            look = one(BY_STATE.get(artifacts[0].state, ARTIFACT), ARTIFACT)
            return _artifact_box(artifacts[0], look, facts) if rule is None else _artifacts_box(artifacts, look, facts)
        look = one(BY_STATUS.get(runs[0].status, OPEN_RUN), RUN)
        return _run_box(runs[0], look, facts) if rule is None else _runs_box(runs, look, facts)
    counts = [f"{len(found):,} {what}" for found, what in ((runs, "runs"), (artifacts, "artifacts")) if found]
    where = {"steps": "one after the other", "before": "farther back", "after": "farther on"}[str(rule)]
    lines = (where, _who(nodes))
    members = [Fact("left out", _title(node)) for node in nodes[:_MAX_NAMED]]
    return Box(
        nodes[0].uid, "round", STEPS, " and ".join(counts), lines, "",
        f"{' and '.join(counts)}, {where}", None, (*_more(nodes), *members, *facts),
    )  # fmt: skip


def _artifact_box(node: ArtifactNode, look: Look, facts: Sequence[Fact]) -> Box:
    version = _version(node)
    folder = f"folder, {node.n_files:,} {'file' if node.n_files == 1 else 'files'}" if node.n_files is not None else ""
    kind = node.otype or node.kind or folder or node.suffix.lstrip(".")
    state = "" if node.state == LIVE else BY_STATE[node.state].legend.replace("artifact", "").strip()
    recorded = f"{_moment(node.created_at)}{f' by {node.user}' if node.user else ''}"
    url = web_url(node.url)
    known = (
        Fact("key", node.key or ""),
        Fact("description", node.description or ""),
        Fact("state", state),
        Fact("type", kind),
        Fact("version", version.removeprefix("version ")),
        Fact("size", n_bytes(node.size)),
        Fact("uid", node.uid),
        Fact("SHA-256", node.hash or ""),
        Fact("recorded", recorded),
        Fact("place", url or "", url=url),
    )
    lines = (
        _joined([kind, n_bytes(node.size), version, _short(node.uid)]),
        _joined([node.user or "", _moment(node.created_at)]),
    )
    return Box(node.uid, "round", look, shorten(_title(node)), lines, state, _tip(known), url, (*_given(known), *facts))


def _run_box(run: RunNode, look: Look, facts: Sequence[Fact]) -> Box:
    state = "" if run.status == FINISHED else "not ended" if run.status == STARTED else run.status
    version = f"version {run.transform_version}" if run.transform_version else ""
    mark = {FAILED: "✗ ", ABORTED: "■ "}.get(run.status, "")
    url = web_url(run.reference) or web_url(run.transform_reference)
    known = (
        Fact("transform", run.transform_key),
        Fact("name", run.name or ""),
        Fact("within", run.within or ""),
        Fact("type", run.transform_type),
        Fact("version", run.transform_version or ""),
        Fact("state", run.status),
        Fact("run", run.uid),
        Fact("transform uid", run.transform_uid),
        Fact("started", f"{_moment(run.started_at)}{f' by {run.user}' if run.user else ''}"),
        Fact("ended", _moment(run.finished_at or "")),
        Fact("took", _duration(run)),
        Fact("reference", url or "", url=url),
    )
    within = f"within {run.within}" if run.within else ""
    what = _joined([shorten(fact) for fact in (run.transform_type, run.name or "", version, _short(run.transform_uid))])
    lines = (what, shorten(within), _joined([run.user or "", _moment(run.started_at), _duration(run)]))
    return Box(
        run.uid, "run", look, shorten(run.transform_key), lines, f"{mark}{state}", _tip(known), url, (*_given(known), *facts)
    )  # fmt: skip


def _artifacts_box(nodes: Sequence[ArtifactNode], look: Look, facts: Sequence[Fact]) -> Box:
    title = f"{len(nodes):,} artifacts"
    size = n_bytes(sum(node.size for node in nodes))
    lines = (_joined([_some(sorted({node.suffix for node in nodes if node.suffix})), size]), _who(nodes))
    known = (Fact("size", size), *_more(nodes))
    members = [Fact("artifact", f"{_title(node)}  {node.uid}", url=web_url(node.url)) for node in nodes[:_MAX_NAMED]]
    state = "" if nodes[0].state == LIVE else BY_STATE[nodes[0].state].legend.replace("artifact", "").strip()
    tip = f"{title}, from {_title(nodes[0])} to {_title(nodes[-1])}"
    return Box(nodes[0].uid, "round", look, title, lines, state, tip, None, (*known, *facts, *members))


def _runs_box(runs: Sequence[RunNode], look: Look, facts: Sequence[Fact]) -> Box:
    title = f"{len(runs):,} runs"
    lines = (shorten(_some(sorted({run.transform_key for run in runs}))), _who(runs))
    members = [Fact("run", f"{run.transform_key}  {run.uid}  {_moment(run.started_at)}") for run in runs[:_MAX_NAMED]]
    state = "" if runs[0].status == FINISHED else "not ended" if runs[0].status == STARTED else runs[0].status
    tip = f"{title}, from run {runs[0].uid} to {runs[-1].uid}"
    return Box(runs[0].uid, "run", look, title, lines, state, tip, None, (*_more(runs), *facts, *members))


def _record_box(rows: Sequence[RowDict], rule: str | None, is_subject: bool, facts: Sequence[Fact]) -> Box:
    first = rows[0]
    if rule is not None:
        titles = [str(row.get("key") or row.get("name")) for row in rows]
        where = {"steps": "one below the other", "before": "farther up", "after": "farther down"}.get(rule, "")
        members = [Fact("record", f"{title}  {row['uid']}") for title, row in zip(titles, rows, strict=True)][
            :_MAX_NAMED
        ]
        look = RECORD if rule == "alike" else STEPS._replace(legend="records left out")
        title = f"{len(rows):,} records"
        return Box(
            first["uid"], "round", look, title, (where, _some(titles, 2)), "", f"{title}, from {titles[0]}",
            None, (*facts, *members),
        )  # fmt: skip
    title = str(first.get("key") or first.get("name"))
    url = web_url(first.get("reference")) or web_url(first.get("url"))
    known = (
        Fact("name", title),
        Fact("description", first.get("description") or ""),
        Fact("type", str(first.get("type") or "")),
        Fact("version", first.get("version") or ""),
        Fact("uid", first["uid"]),
        Fact("recorded", _moment(first.get("created_at") or "")),
        Fact("reference", url or "", url=url),
    )
    version = f"version {first['version']}" if first.get("version") else ""
    lines = (_joined([str(first.get("type") or ""), version, _short(first["uid"])]),)
    look = SUBJECT if is_subject else RECORD
    return Box(first["uid"], "round", look, shorten(title), lines, "", _tip(known), url, (*_given(known), *facts))


def _subject_look(look: Look, usual: Look) -> Look:
    # What has become of it matters more than that it was asked for; then only the frame tells.
    return SUBJECT if look is usual else look._replace(pen=SUBJECT_PEN)


def _same_look(look: Look, usual: Look) -> Look:  # noqa: ARG001 - the twin of the function above
    return look


def _length(lines: Iterable[Line]) -> int:
    """Count the boxes on the longest way of the data; a circle ends it."""
    after: dict[str, list[str]] = {}
    waits_for: dict[str, int] = {}
    for line in lines:
        after.setdefault(line.source, []).append(line.target)
        waits_for[line.target] = waits_for.get(line.target, 0) + 1
    ready = [box for box in after if box not in waits_for]
    length = dict.fromkeys(ready, 1)
    while ready:
        box = ready.pop()
        for other in after.get(box, ()):
            length[other] = max(length.get(other, 1), length[box] + 1)
            waits_for[other] -= 1
            if not waits_for[other]:
                ready.append(other)
    return max(length.values(), default=1)


def _title(node: Node) -> str:
    if isinstance(node, RunNode):
        return node.transform_key
    return node.key or node.description or f"{node.uid}{node.suffix}"


def _version(node: ArtifactNode) -> str:
    """Say which version it is, where that is told by a tag or there are several."""
    if node.version:
        return f"version {node.version}"
    is_older = node.state == LIVE and not node.is_latest
    return f"version {node.version_number + 1}" if node.version_number or is_older else ""


def _tip(facts: Iterable[Fact]) -> str:
    """Say on several lines what is known; the first is the name alone."""
    first, *others = (fact for fact in facts if fact.text)
    return "\n".join((first.text, *(f"{fact.name} {fact.text}" for fact in others)))


def _given(facts: Iterable[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.text]


def _more(nodes: Sequence[Node]) -> list[Fact]:
    if len(nodes) <= _MAX_NAMED:
        return []
    return [Fact("named here", f"the first {_MAX_NAMED:,} of {len(nodes):,}")]


def _who(nodes: Iterable[Node]) -> str:
    return _some(sorted({node.user for node in nodes if node.user}))


def _some(texts: Sequence[str], most: int = 3) -> str:
    """Name some texts, and say how many more there are."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _joined(facts: Iterable[str]) -> str:
    return " · ".join(fact for fact in facts if fact)


def _short(uid: str) -> str:
    """Shorten the uid of a version to what tells the family and the version; `prov show` takes its beginning."""
    return uid if len(uid) <= _MAX_UID else f"{uid[:6]}…{uid[-VERSION_LENGTH:]}"


def _moment(text: str) -> str:
    return text[:16].replace("T", " ") if text else ""


def _duration(run: RunNode) -> str:
    if run.finished_at is None:
        return ""
    seconds = (parse_time(run.finished_at) - parse_time(run.started_at)).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))
