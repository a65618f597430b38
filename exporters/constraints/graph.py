"""Strongly connected components and shortest cycles, without recursion: chains of any length are walked."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


def components(successors: Sequence[Sequence[int]]) -> list[int]:
    """Number the strongly connected components of a graph (Tarjan's algorithm).

    Args:
        successors: For each node, the nodes it leads to.

    Returns:
        For each node the number of its component.
    """
    n_nodes = len(successors)
    index, low, component = [-1] * n_nodes, [0] * n_nodes, [-1] * n_nodes
    stack: list[int] = []
    n_seen = n_components = 0
    for start in range(n_nodes):
        if index[start] >= 0:
            continue
        # Each entry is a node and how many of its successors have been looked at.
        path = [(start, 0)]
        while path:
            node, position = path.pop()
            if position == 0:
                index[node] = low[node] = n_seen
                n_seen += 1
                stack.append(node)
            elif component[successors[node][position - 1]] < 0:
                low[node] = min(low[node], low[successors[node][position - 1]])
            for following in range(position, len(successors[node])):
                target = successors[node][following]
                if index[target] < 0:
                    path += [(node, following + 1), (target, 0)]
                    break
                if component[target] < 0:
                    low[node] = min(low[node], index[target])
            else:
                if low[node] == index[node]:
                    while True:
                        member = stack.pop()
                        component[member] = n_components
                        if member == node:
                            break
                    n_components += 1
    return component


def shortest_path(successors: Sequence[Sequence[int]], source: int, target: int, within: Sequence[int]) -> list[int]:
    """Find a shortest path between two nodes of one component; both ends are part of it, and it may be a single node."""
    before = {source: -1}
    queue = deque([source])
    while queue:
        node = queue.popleft()
        if node == target:
            break
        for following in successors[node]:
            if following not in before and within[following] == within[source]:
                before[following] = node
                queue.append(following)
    path = [target]
    while before[path[-1]] >= 0:
        path.append(before[path[-1]])
    return path[::-1]
