"""Where sizes have a meaning: what is not as it must be, at initialization and in training."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.analysis.graph import Graph
from abcparam.calculus.node import Limit, Node
from abcparam.calculus.normalize import NormNode


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


class Powerless(NamedTuple):
    """What no power of the dims is the size of, at initialization and of its change."""

    at_init: Collection[Node] = ()
    changes: Collection[Node] = ()

    def hides(self, slack: Size) -> bool:
        """Whether a slack other than 0 follows from powers that are none."""
        return bool(self.changes) and slack != slack.space.one


def powerless(graph: Graph) -> Powerless:
    """What is made of streams that a copy multiplies: they grow or fade exponentially in depth.

    A norm divides that out.
    """
    streams = {violation.node for violation in unsettled(graph)}
    running = {s for s in graph.streams if s in streams or s.change()[1] > s.dr}
    at_init = _carried(graph, streams)
    return Powerless({x for x in at_init if not x.s0.is_zero}, _carried(graph, running))


def _carried(graph: Graph, streams: Collection[Node]) -> set[Node]:
    """What has the size of one of these streams as a factor or term of its own."""
    found = set(streams)
    for node in graph.nodes if found else ():
        if not isinstance(node, NormNode) and any(x in found for x in node.inputs):
            found.add(node)
    return found


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
