"""Which nodes of a graph are drawn as one box, so that a picture of any graph can be read at a glance.

Three rules, each on what the one before it left: nodes that are alike in themselves and in all that they came from and that came
from them; the middle of a long stretch without a branch; and what is farthest from the subject of a picture that is still too
large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

Rule: TypeAlias = Literal["alike", "steps", "before", "after"]

FOLD_ABOVE: Final = 12
"""So many alike nodes are drawn one by one; more become one node that tells their number."""

_KEPT_ENDS: Final = 2


class Arrow(NamedTuple):
    """A step in the direction of data flow.

    Attributes:
        source: Where it begins.
        target: Where it ends.
        kind: `used`, `generated`, `seen` or `parent`.
    """

    source: str
    target: str
    kind: str


class Nature(NamedTuple):
    """What a node is in itself.

    Attributes:
        state: What never folds together with another: kind, state and status.
        type: What folds together with another only where all else is the same, and many.
        is_plain: It may lie in the middle of a stretch that is left out.
    """

    state: str
    type: str
    is_plain: bool


class Group(NamedTuple):
    """Nodes that are drawn as one.

    Attributes:
        rule: Why: they are `alike`, the `steps` of a stretch, or too far `before` or `after` the subject.
        nodes: They, in the order of the graph.
    """

    rule: Rule
    nodes: tuple[str, ...]


def fold(
    natures: Mapping[str, Nature], arrows: Collection[Arrow], *, subjects: Collection[str], max_boxes: int
) -> list[Group]:
    """Say what is drawn as one.

    Args:
        natures: The nodes.
        arrows: The steps between them.
        subjects: Nodes that are never folded, unless they are many themselves.
        max_boxes: So many boxes are left at most, but for one before and one after the subject.

    Returns:
        The groups; a node in none of them is drawn by itself.
    """
    kept = subjects if len(subjects) <= FOLD_ABOVE else ()
    if len(subjects) > FOLD_ABOVE:
        many = set(subjects)
        natures = {
            node: nature._replace(state=f"subject {nature.state}", is_plain=False) if node in many else nature
            for node, nature in natures.items()
        }
    folding = _Folding(natures, arrows)
    folding.join_neighbours(kept)
    folding.join_alike(kept)
    folding.join_stretches(kept)
    folding.join_far(kept or subjects, max_boxes)
    return folding.groups()


class _Folding:
    """A graph that becomes smaller with each rule; a box has the name of its first node."""

    def __init__(self, natures: Mapping[str, Nature], arrows: Iterable[Arrow]) -> None:
        self._natures = dict(natures)
        self._arrows = set(arrows)
        self._members: dict[str, list[str]] = {node: [node] for node in natures}
        self._rules: dict[str, Rule] = {}

    def groups(self) -> list[Group]:
        return [Group(rule, tuple(self._members[box])) for box, rule in self._rules.items()]

    def join_neighbours(self, kept: Collection[str]) -> None:
        """Join what has the very same neighbours: the inputs of one run, the runs that read one artifact."""
        around: dict[str, set[tuple[str, str]]] = {node: set() for node in self._natures}
        for source, target, kind in self._arrows:
            around[source].add((target, kind))
            around[target].add((source, kind))
        alike: dict[tuple[str, frozenset[tuple[str, str]]], dict[str, list[str]]] = {}
        for node, nature in self._natures.items():
            if node not in kept:
                places = alike.setdefault((nature.state, frozenset(around[node])), {})
                places.setdefault(nature.type, []).append(node)
        for places in alike.values():
            # One model among a hundred plots stays in sight, since only files of a type are folded; but not one of each of
            # a hundred types.
            found = [group for group in places.values() if len(group) > FOLD_ABOVE]
            rest = [node for group in places.values() if len(group) <= FOLD_ABOVE for node in group]
            for group in [*found, rest] if len(rest) > 2 * FOLD_ABOVE else found:
                self._join("alike", group)
        self._rename()

    def join_alike(self, kept: Collection[str]) -> None:
        """Join what came about in the same way and what became of it too: the samples that went through one pipeline."""
        labels: dict[str, Hashable] = {
            node: node if node in kept else (nature.state, nature.type, node in self._rules)
            for node, nature in self._natures.items()
        }
        backward, forward = self._signatures(labels, is_forward=False), self._signatures(labels, is_forward=True)
        alike: dict[Hashable, list[str]] = {}
        for node in self._natures:
            if node not in kept:
                alike.setdefault((backward[node], forward[node]), []).append(node)
        for group in alike.values():
            if len(group) > FOLD_ABOVE:
                self._join("alike", group)
        self._rename()

    def join_stretches(self, kept: Collection[str]) -> None:
        """Join the middle of a long stretch without a branch; what failed or is gone stays in sight."""
        before, after = self._neighbours()
        inner = {
            node
            for node, nature in self._natures.items()
            if nature.is_plain and node not in kept and len(before[node]) == len(after[node]) == 1
        }
        seen: set[str] = set()
        for node in self._natures:
            if node not in inner or node in seen:
                continue
            stretch = [node]
            seen.add(node)
            for neighbours, is_forward in ((after, True), (before, False)):
                (other,) = neighbours[node]
                while other in inner and other not in seen:
                    seen.add(other)
                    stretch.insert(len(stretch) if is_forward else 0, other)
                    (other,) = neighbours[other]
            if len(stretch) > 2 * FOLD_ABOVE:
                self._join("steps", stretch[_KEPT_ENDS:-_KEPT_ENDS])
        self._rename()

    def join_far(self, subjects: Collection[str], max_boxes: int) -> None:
        """Join what is farthest from the subjects, if there is too much: what lies before them, and what lies after."""
        if len(self._natures) <= max_boxes:
            return
        before, after = self._neighbours()
        starts = [node for node in subjects if node in before]
        upstream = _reached(starts, before)
        near = _reached(starts, {node: before[node] | after[node] for node in before})
        far = [*near, *(node for node in self._natures if node not in near)][max_boxes:]
        self._join("before", [node for node in far if node in upstream], least=1)
        self._join("after", [node for node in far if node not in upstream], least=1)
        self._rename()

    def _join(self, rule: Rule, boxes: Sequence[str], least: int = 2) -> None:
        if len(boxes) < least:
            return
        first, *others = boxes
        for other in others:
            self._members[first] += self._members.pop(other)
            self._rules.pop(other, None)
        self._rules[first] = rule

    def _rename(self) -> None:
        """Let arrows end at boxes, and nothing be left of nodes that have become part of one."""
        box_of = {node: box for box, nodes in self._members.items() for node in nodes}
        self._arrows = {
            Arrow(box_of[source], box_of[target], kind)
            for source, target, kind in self._arrows
            if box_of[source] != box_of[target]
        }
        self._natures = {box: nature for box, nature in self._natures.items() if box in self._members}

    def _neighbours(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        before: dict[str, set[str]] = {node: set() for node in self._natures}
        after: dict[str, set[str]] = {node: set() for node in self._natures}
        for source, target, _ in self._arrows:
            after[source].add(target)
            before[target].add(source)
        return before, after

    def _signatures(self, labels: Mapping[str, Hashable], *, is_forward: bool) -> dict[str, int]:
        """Number the nodes so that two have one number if they are alike, and all that is before them (or after) is.

        One pass in the order of the data. What lies in a circle is like nothing else.
        """
        leads_to: dict[str, list[str]] = {node: [] for node in labels}
        looks_at: dict[str, Counter[Hashable]] = {node: Counter() for node in labels}
        waits_for = dict.fromkeys(labels, 0)
        for source, target, kind in self._arrows:
            first, then = (target, source) if is_forward else (source, target)
            if kind == "seen":
                # Content that was saved again may have been read before: it would make a circle.
                looks_at[then][kind, labels[first]] += 1
            else:
                leads_to[first].append(then)
                waits_for[then] += 1
        numbers: dict[Hashable, int] = {}
        signatures: dict[str, int] = {}
        ready = [node for node, count in waits_for.items() if not count]
        while ready:
            node = ready.pop()
            # One and many differ: what all samples share is none of them.
            around = frozenset((other, count > 1) for other, count in looks_at[node].items())
            signatures[node] = numbers.setdefault((labels[node], around), len(numbers))
            for other in leads_to[node]:
                looks_at[other][signatures[node]] += 1
                waits_for[other] -= 1
                if not waits_for[other]:
                    ready.append(other)
        for node in labels:
            if node not in signatures:
                signatures[node] = numbers.setdefault(("circle", node), len(numbers))
        return signatures


def _reached(starts: Iterable[str], neighbours: Mapping[str, Iterable[str]]) -> dict[str, None]:
    """Walk from some nodes over all that can be reached, the nearest first."""
    reached = dict.fromkeys(starts)
    level = list(reached)
    while level:
        level = list(
            dict.fromkeys(other for node in level for other in sorted(neighbours[node]) if other not in reached)
        )
        reached.update(dict.fromkeys(level))
    return reached
