"""Where sizes have a meaning: what is not as it must be, at initialization and in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from abcparam.analysis.graph import Graph
from abcparam.calculus.node import Limit, Node


class Violation(NamedTuple):
    """A size that is not as it must be.

    `node` is the activation, `limit` what it breaks, `at` where.
    """

    node: Node
    limit: Limit
    at: Node


def violations_at_init(graph: Graph) -> tuple[Violation, ...]:
    """Sizes at initialization that are not as they must be."""
    one = graph.context.one
    found = []
    for node in graph.nodes:
        for index, limit in node.limits():
            x = node.inputs[index]
            if (limit.kind == "softmax" and x.s0 > one) or (
                limit.kind == "pointwise" and not _sound(x)
            ):
                found.append(Violation(x, limit, node))
    limit = Limit("output", one)
    return (*found, *(Violation(o, limit, o) for o in graph.outputs if o.s0 > one))


def _sound(x: Node) -> bool:
    """Θ(1), or exactly zero, or smaller where the map that makes it contracts."""
    one = x.context.one
    if x.s0 == one or x.s0.is_zero:
        return True
    return x.s0 < one and x.comes_from_contraction


def violations(graph: Graph) -> Iterator[Violation]:
    """Changes that exceed their bounds."""
    for node in graph.nodes:
        for index, limit in node.limits():
            x = node.inputs[index]
            if x.d > limit.bound:
                yield Violation(x, limit, node)
    limit = Limit("output", graph.context.one)
    for output in graph.outputs:
        if output.d > limit.bound:
            yield Violation(output, limit, output)
