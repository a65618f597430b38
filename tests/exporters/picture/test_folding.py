"""What of a graph is drawn as one box."""

from __future__ import annotations

import time
from itertools import pairwise

from lineagelog.exporters.picture.folding import FOLD_ABOVE, Arrow, Group, Nature, fold

ARTIFACT, RUN = Nature("live artifact", ".csv", True), Nature("finished", "clean.py", True)
FAILED = Nature("failed", "clean.py", False)


def chain(n_runs: int, **others: Nature) -> tuple[dict[str, Nature], list[Arrow]]:
    """a0 -> r0 -> a1 -> …"""
    nodes = [f"{kind}{n}" for n in range(n_runs + 1) for kind in "ar"][:-1]
    natures = {node: others.get(node, ARTIFACT if node[0] == "a" else RUN) for node in nodes}
    return natures, [Arrow(one, two, "x") for one, two in pairwise(nodes)]


def folded(
    natures: dict[str, Nature], arrows: list[Arrow], *subjects: str, max_boxes: int = 1000
) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in fold(natures, arrows, subjects=subjects, max_boxes=max_boxes):
        found.setdefault(group.rule, []).append(group)
    return found


def test_the_samples_of_one_pipeline_become_one_line_of_boxes() -> None:
    samples = range(FOLD_ABOVE + 1)
    natures = {"reference": ARTIFACT, "merge": RUN, "matrix": ARTIFACT}
    arrows = [Arrow("merge", "matrix", "generated")]
    for n in samples:
        natures |= {f"in{n}": ARTIFACT, f"run{n}": RUN, f"out{n}": ARTIFACT}
        arrows += [Arrow(f"in{n}", f"run{n}", "used"), Arrow("reference", f"run{n}", "used")]
        arrows += [Arrow(f"run{n}", f"out{n}", "generated"), Arrow(f"out{n}", "merge", "used")]
    found = folded(natures, arrows, "matrix")
    assert found == {"alike": [Group("alike", tuple(f"{name}{n}" for n in samples)) for name in ("in", "run", "out")]}
    natures["run3"] = FAILED
    assert "alike" not in folded(natures, arrows, "matrix")


def test_the_middle_of_a_long_stretch_is_left_out_and_what_failed_is_not() -> None:
    natures, arrows = chain(40)
    (group,) = folded(natures, arrows, "a40")["steps"]
    assert set(natures) - set(group.nodes) == {"a0", "r0", "a1", "r39", "a39", "a40"}
    assert folded(*chain(10), "a10") == {}
    shown = set(natures) - {node for group in folded(*chain(40, r20=FAILED), "a40")["steps"] for node in group.nodes}
    assert "r20" in shown
    assert "a20" in shown


def test_what_is_farthest_is_left_out_of_a_picture_that_is_too_large() -> None:
    natures, arrows = chain(40)
    for n in range(41):
        # A different neighbour at each place: nothing is alike, and nothing is a stretch.
        natures[f"p{n}"] = Nature(f"kind {n}", "", False)
        arrows.append(Arrow(f"p{n}", f"a{n}", "x"))
    found = folded(natures, arrows, "a20", max_boxes=30)
    ((before,), (after,)) = found["before"], found["after"]
    assert {"a0", "r0", "p0"} <= set(before.nodes)
    assert {"a40", "r39"} <= set(after.nodes)
    assert len(natures) - len(before.nodes) - len(after.nodes) == 30
    assert not {"a20", "r20", "r19", "p20"} & {*before.nodes, *after.nodes}


def test_many_subjects_are_folded_too_but_not_with_others() -> None:
    natures = {f"a{n}": ARTIFACT for n in range(100)}
    groups = folded(natures, [], *(f"a{n}" for n in range(50)))["alike"]
    assert [len(group.nodes) for group in groups] == [50, 50]


def test_circles_end_and_large_graphs_fold_quickly() -> None:
    natures, arrows = chain(3)
    assert folded(natures, [*arrows, Arrow("a3", "r0", "used")], "a1") == {}
    natures, arrows = chain(3000)
    natures |= {f"x{n}": ARTIFACT for n in range(20_000)}
    arrows += [Arrow("r7", f"x{n}", "generated") for n in range(20_000)]
    began = time.process_time()
    found = folded(natures, arrows, "a3000")
    assert time.process_time() - began < 3
    assert [len(group.nodes) for group in found["alike"]] == [20_000]
