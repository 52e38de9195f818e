"""Values of few numbers that a map made of many: as small at first as these, and no longer then.

They start at n^(-1/2) with the exponents that are right for their map, and are Θ(1) once it has
learnt. What maps, factors and functions make of them starts as small, and is released with them.
"""

from __future__ import annotations

from abcparam.algebra.sizes import Size
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.structure import SameNode, ScaleNode, SumNode


def released(x: Node) -> Size | None:
    """The size of a value once the few numbers are Θ(1); None where it is not of those alone."""
    if x.comes_from_contraction:
        return x.s0 | x.context.one
    if not x.of_few or x.s0.is_zero:
        return None
    match x:
        case LinearNode():
            inner = released(x.inputs[0])
            return None if inner is None else inner + x.s0.less(x.inputs[0].s0)
        case ScaleNode():
            inner = released(x.inputs[0])
            return None if inner is None else inner + x.factor
        case ProductNode() if x.contracted == x.context.one:
            return _factors(x)
        case PointwiseNode():
            inner = released(x.inputs[0])
            return None if inner is None else x.size_at(inner)
        case SameNode() if len(x.inputs) == 1:
            return released(x.inputs[0])
        case SumNode():
            return _terms(x)
    return None


def _factors(x: ProductNode) -> Size | None:
    """Factors that are not of few numbers have the size that they start at."""
    sizes = [(released(factor) if factor.of_few else None) for factor in x.inputs]
    if not any(sizes):
        return None
    left, right = (
        factor.s0 if size is None else size for factor, size in zip(x.inputs, sizes, strict=True)
    )
    return left + right


def _terms(x: SumNode) -> Size | None:
    size = x.context.zero
    for term in x.inputs:
        if not term.s0.is_zero:
            inner = released(term)
            if inner is None:
                return None
            size = size | inner
    return size
