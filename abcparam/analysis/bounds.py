"""Bounds on changes, backward through the graph, as in critical-path analysis."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.record import Record
from abcparam.algebra.sizes import Size
from abcparam.analysis.laws import Laws
from abcparam.calculus.node import ChangeBounds, Node


class Bounds(Record):
    """The bounds on the coherent change of every activation of a graph, and on the random one.

    The latter hold for what has a mean over the draws of a copy.
    """

    coherent: Mapping[Node, Size]
    random: Mapping[Node, Size]

    def of_updates(self, node: Node) -> tuple[tuple[Size, Size], ...]:
        """What a node's own tensor's update adds, and how much that may be: coherent, random."""
        return (node.update(), self.coherent[node]), (node.strewn(), self.random[node])


def bound(laws: Laws) -> Bounds:
    """The bounds that the limits of a graph set, by its laws."""
    graph = laws.graph
    one, unbounded = graph.context.one, graph.context.unbounded
    found = dict.fromkeys(graph.nodes, ChangeBounds(unbounded, unbounded, unbounded))
    found |= dict.fromkeys(graph.outputs, ChangeBounds(one, one, unbounded))
    for _ in graph.passes():
        for node in reversed(graph.nodes):
            for index, limit in node.limits():
                x = node.inputs[index]
                here = ChangeBounds(limit.bound, limit.bound, unbounded)
                found[x] = found[x].tightened(here)
            for x, passed in node.bound_back(found[node]):
                found[x] = found[x].tightened(passed)
    coherent = {node: bounds.coherent for node, bounds in found.items()}
    return Bounds(coherent, {node: _of_means(bounds) for node, bounds in found.items()})


def _of_means(bounds: ChangeBounds) -> Size:
    return bounds.random & bounds.mean if bounds.mean.is_bound else bounds.random
