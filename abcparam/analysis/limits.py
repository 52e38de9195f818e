"""Where sizes have a meaning: what is not as it must be, at initialization and in training."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.algebra.record import NamedTuple
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
    """Sizes at initialization that are not as they must be.

    What is made of a stream that has no size has none either.
    """
    one = graph.context.one
    found = list(unsettled(graph))
    sizeless = graph.made_of([stream.node for stream in found])
    for node in graph.nodes:
        for index, limit in node.limits():
            x = node.inputs[index]
            if x not in sizeless and not _allowed(x, limit):
                found.append(Violation(x, limit, node))
    limit = Limit("output", one)
    large = [output for output in graph.outputs if output.s0 > one and output not in sizeless]
    return tuple(found + [Violation(output, limit, output) for output in large])


def unsettled(graph: Graph) -> Iterator[Violation]:
    """Streams that a copy multiplies by more or less than 1: no power of the depth is their size.

    What a branch has of the stream adds up to more than it, so that each pass finds them larger.
    """
    for stream in graph.streams:
        if stream.initial() > stream.s0:
            yield Violation(stream, Limit("stream", stream.s0), stream)


def _allowed(x: Node, limit: Limit) -> bool:
    """Of a power of the width a logarithm is none, be it made of few numbers or of many."""
    match limit.kind:
        case "softmax":
            return x.s0 <= limit.bound
        case "logarithm":
            return x.s0 == limit.bound
        case "pointwise":
            return _sound(x)
    return True


def _sound(x: Node) -> bool:
    """Θ(1), or exactly zero, or smaller until the few numbers that it is of have learnt."""
    one = x.context.one
    return x.s0 == one or x.s0.is_zero or (x.s0 < one and x.released == one)


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
