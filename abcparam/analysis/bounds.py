"""Bounds on changes, backward through the graph, as in critical-path analysis."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.record import Record
from abcparam.algebra.sizes import Size
from abcparam.analysis.laws import Laws
from abcparam.calculus.node import Node


class Bounds(Record):
    """The bounds on the coherent and on the random change of every activation of a graph."""

    coherent: Mapping[Node, Size]
    random: Mapping[Node, Size]


def bound(laws: Laws) -> Bounds:
    """The bounds that the limits of a graph set, by its laws."""
    graph = laws.graph
    coherent = dict.fromkeys(graph.nodes, graph.context.unbounded)
    coherent |= dict.fromkeys(graph.outputs, graph.context.one)
    random = dict(coherent)
    for _ in graph.passes():
        for node in reversed(graph.nodes):
            for index, limit in node.limits():
                x = node.inputs[index]
                coherent[x] = coherent[x] & limit.bound
                random[x] = random[x] & limit.bound
            for x, first, second in node.bound_back(coherent[node], random[node]):
                coherent[x] = coherent[x] & first
                random[x] = random[x] & second
    return Bounds(coherent, random)
