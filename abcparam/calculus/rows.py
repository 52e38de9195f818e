"""Parts of a map's result: disjoint rows of one matrix are as independent as two matrices.

Queries, keys and values are often one map whose result is split, so are gates and values, and the
gates of an LSTM. Their rows start independent, so that sums of products of two of them obey the
central limit.
"""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, number
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import NO_PARTS, Context, Node, Parts
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.stream import GivenNode
from abcparam.calculus.structure import ScaleNode, SelectNode, SumNode
from abcparam.diagnostics.source import START, Span

WHOLE = (Fraction(0), Fraction(1))
Rows = tuple[Polynomial | None, Parts]


class PartNode(SelectNode):
    """One of `count` equal parts of the last axis, counted from 0."""

    __slots__ = ("length",)

    def __init__(
        self, context: Context, x: Node, index: int, count: int, span: Span = START
    ) -> None:
        super().__init__(context, (x,), span)
        length, rows = rows_of(x, {})
        self.length = None if length is None else length / number(count)
        self.parts = {**x.parts, **{bit: _part(*r, index, count) for bit, r in rows.items()}}


def _part(start: Fraction, end: Fraction, index: int, count: int) -> tuple[Fraction, Fraction]:
    step = (end - start) / count
    return start + index * step, start + (index + 1) * step


def rows_of(node: Node, known: dict[int, Rows]) -> Rows:
    """The length of its last axis, and the tensors whose rows lie along it, with which of them.

    A tensor that is mixed with another part of itself is left out: none of its rows are known.
    `known` holds what was found of the nodes before it, by id: sums may share their summands.
    """
    if id(node) not in known:
        known[id(node)] = _rows_of(node, known)
    return known[id(node)]


def _rows_of(node: Node, known: dict[int, Rows]) -> Rows:
    match node:
        case LinearNode(parameter=parameter) if not node.transposed:
            axes = parameter.tensor.axes
            if len(axes) == 2:  # a convolution's channels are not its last axis
                return axes[parameter.tensor.table].value, {parameter.bit: WHOLE}
        case ValueNode(parameter=parameter) if not node.lookup and parameter.tensor.axes:
            return parameter.tensor.axes[-1].value, {parameter.bit: WHOLE}
        case PartNode(length=length):
            return length, node.parts if length is not None else NO_PARTS
        case PointwiseNode() | ScaleNode() | GivenNode():
            return rows_of(node.inputs[0], known)
        case SumNode() if type(node) is SumNode:
            return _rows_of_sum(node, known)
    return None, NO_PARTS


def _rows_of_sum(node: SumNode, known: dict[int, Rows]) -> Rows:
    """Those of its inputs, where they lie along the same axis and each is in one place only."""
    found = [rows_of(x, known) for x in node.inputs]
    lengths = {length for length, _ in found if length is not None}
    if len(lengths) != 1:
        return None, NO_PARTS
    parts: dict[int, tuple[Fraction, Fraction]] = {}
    for bit in {bit for _, rows in found for bit in rows}:
        places = {
            rows.get(bit) for x, (_, rows) in zip(node.inputs, found, strict=True) if x.maps & bit
        }
        if len(places) == 1 and (place := places.pop()) is not None:
            parts[bit] = place
    return lengths.pop(), parts
