"""Where sizes have a meaning: what is not as it must be, at initialization and in training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.analysis.graph import Graph
from abcparam.calculus.bilinear import ProductNode
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
    known: dict[Node, Gains | None] = {}
    for node in graph.nodes:
        for index, limit in node.limits():
            x = node.inputs[index]
            if not _allowed(x, limit, known):
                found.append(Violation(x, limit, node))
    limit = Limit("output", one)
    found += [Violation(output, limit, output) for output in graph.outputs if output.s0 > one]
    return tuple(found or unsettled(graph))


def unsettled(graph: Graph) -> Iterator[Violation]:
    """Streams that a copy multiplies by more or less than 1: no power of the depth is their size.

    What a branch has of the stream adds up to more than it, so that each pass finds them larger.
    """
    for stream in graph.streams:
        if stream.initial() > stream.s0:
            yield Violation(stream, Limit("stream", stream.s0), stream)


Gains = tuple[Size, ...]  # each once


def _allowed(x: Node, limit: Limit, known: dict[Node, Gains | None]) -> bool:
    """Of a power of the width a logarithm is none, be it made of few numbers or of many."""
    match limit.kind:
        case "softmax":
            return x.s0 <= limit.bound
        case "logarithm":
            return x.s0 == limit.bound
        case "pointwise":
            return _sound(x, known)
    return True


def _sound(x: Node, known: dict[Node, Gains | None]) -> bool:
    """Θ(1), or exactly zero, or smaller where a map that contracts makes it so."""
    one = x.context.one
    if x.s0 == one or x.s0.is_zero:
        return True
    if not x.s0 < one:
        return False
    gains = gains_behind_few(x, known)
    return gains is not None and all(gain == one for gain in gains)


def gains_behind_few(x: Node, known: dict[Node, Gains | None]) -> Gains | None:
    """What maps make of the few numbers that a map made of many, if a value is of those alone.

    It starts as small as they do, where each of these maps keeps the size of what it takes; the
    first change of the few numbers is Θ(1), and the value's with it. `known`: of values asked
    before, whose sizes are still the same.
    """
    if x not in known:
        known[x] = () if x.comes_from_contraction else _gains(x, known)
    return known[x]


def _gains(x: Node, known: dict[Node, Gains | None]) -> Gains | None:
    match x:
        case LinearNode():
            inner = gains_behind_few(x.inputs[0], known)
            return None if inner is None else _once([x.s0 - x.inputs[0].s0, *inner])
        case ProductNode() if x.contracted == x.context.one:
            return _gains_of_factors(x, known)
        case PointwiseNode() | SameNode() if len(x.inputs) == 1:
            return gains_behind_few(x.inputs[0], known)
        case SumNode():
            terms = [gains_behind_few(term, known) for term in x.inputs if not term.s0.is_zero]
            found = [gains for gains in terms if gains is not None]
            return _once(g for gains in found for g in gains) if len(found) == len(terms) else None
    return None


def _gains_of_factors(x: ProductNode, known: dict[Node, Gains | None]) -> Gains | None:
    """A product is as small as its factors of few numbers; the others have to keep their size."""
    factors = [(factor, gains_behind_few(factor, known)) for factor in x.inputs]
    if all(gains is None for _, gains in factors):
        return None
    return _once(g for factor, gains in factors for g in ((factor.s0,) if gains is None else gains))


def _once(sizes: Iterable[Size]) -> Gains:
    return tuple(dict.fromkeys(sizes))


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
