"""Where sizes have a meaning: what is not as it must be, at initialization and in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from abcparam.algebra.sizes import Size
from abcparam.analysis.graph import Graph
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Limit, Node
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.structure import SameNode, SumNode


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
    gains = gains_behind_few(x)
    return gains is not None and all(gain == one for gain in gains)


def gains_behind_few(x: Node) -> list[Size] | None:
    """What maps make of the few numbers that a map made of many, if a value is of those alone.

    It starts as small as they do, where each of these maps keeps the size of what it takes; the
    first change of the few numbers is Θ(1), and the value's with it.
    """
    if x.comes_from_contraction:
        return []
    match x:
        case LinearNode():
            inner = gains_behind_few(x.inputs[0])
            return None if inner is None else [x.s0 - x.inputs[0].s0, *inner]
        case PointwiseNode() | SameNode() if len(x.inputs) == 1:
            return gains_behind_few(x.inputs[0])
        case SumNode():
            terms = [gains_behind_few(term) for term in x.inputs if not term.s0.is_zero]
            known = [gains for gains in terms if gains is not None]
            return [g for gains in known for g in gains] if len(known) == len(terms) else None
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
