"""Where sizes have a meaning: what is not as it must be, at initialization and in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from abcparam.analysis.graph import Graph
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Limit, Node
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.structure import SameNode


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
    """Θ(1), or exactly zero, or smaller where a map that contracts makes it so."""
    one = x.context.one
    if x.s0 == one or x.s0.is_zero:
        return True
    if not x.s0 < one:
        return False
    few = behind_contraction(x)
    return x.comes_from_contraction or (few is not None and x.s0 == few.s0)


def behind_contraction(x: Node) -> Node | None:
    """What a map makes few numbers of, if a value is made of that alone, by functions and maps.

    Both start at the same size, where the maps between them keep it; the first change of the few
    numbers is Θ(1), and the value's with it.
    """
    while isinstance(x, (LinearNode, PointwiseNode, SameNode)) and len(x.inputs) == 1:
        x = x.inputs[0]
        if x.comes_from_contraction:
            return x
    return None


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
