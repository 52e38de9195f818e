"""Parts of a map's result: disjoint rows of one matrix are as independent as two matrices.

Queries, keys and values are often one map whose result is split, so are gates and values, and the
gates of an LSTM. Their rows start independent, so that sums of products of two of them obey the
central limit.
"""

from __future__ import annotations

from collections.abc import Callable

from abcparam.algebra.polynomials import ONE, Polynomial, number
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Context, Node
from abcparam.calculus.parts import ALL_ROWS, NO_PARTS, Parts, Range, Rows, part
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.stream import GivenNode
from abcparam.calculus.structure import ScaleNode, SelectNode, SumNode
from abcparam.diagnostics.source import START, Span

Along = tuple[Polynomial | None, Parts]


def is_whole(length: Polynomial) -> bool:
    """Whether it is one, whatever its dims are."""
    return length.constant is not None and length.constant.denominator == 1


class PartNode(SelectNode):
    """A part of each of the heads of the last axis: from where to where, of all of it."""

    __slots__ = ("length",)

    def __init__(
        self,
        context: Context,
        x: Node,
        share: Range,
        span: Span = START,
        heads: Polynomial = ONE,
        is_whole: Callable[[Polynomial], bool] = is_whole,
    ) -> None:
        super().__init__(context, (x,), span)
        length, along = rows_of(x, {})
        self.length = None if length is None else length * number(share[1] - share[0])
        found = {bit: part(rows, share, heads, is_whole) for bit, rows in along.items()}
        self.parts = {**x.parts, **found}


def rows_of(node: Node, known: dict[int, Along]) -> Along:
    """The length of its last axis, and the tensors whose rows lie along it, with which of them.

    A tensor that is mixed with another part of itself is left out: none of its rows are known.
    `known` holds what was found of the nodes before it, by id: sums may share their summands.
    """
    if id(node) not in known:
        known[id(node)] = _rows_of(node, known)
    return known[id(node)]


def _rows_of(node: Node, known: dict[int, Along]) -> Along:
    match node:
        case LinearNode(parameter=parameter) if not node.transposed:
            axes = parameter.tensor.axes
            if len(axes) == 2:  # a convolution's channels are not its last axis
                return axes[parameter.tensor.table].value, {parameter.bit: ALL_ROWS}
        case ValueNode(parameter=parameter) if not node.lookup and parameter.tensor.axes:
            return parameter.tensor.axes[-1].value, {parameter.bit: ALL_ROWS}
        case PartNode(length=length):
            return length, node.parts if length is not None else NO_PARTS
        case PointwiseNode() | ScaleNode() | GivenNode():
            return rows_of(node.inputs[0], known)
        case SumNode() if type(node) is SumNode:
            return _rows_of_sum(node, known)
    return None, NO_PARTS


def _rows_of_sum(node: SumNode, known: dict[int, Along]) -> Along:
    """Those of its inputs, where they lie along the same axis and each is in one place only."""
    found = [rows_of(x, known) for x in node.inputs]
    lengths = {length for length, _ in found if length is not None}
    if len(lengths) != 1:
        return None, NO_PARTS
    parts: dict[int, Rows] = {}
    for bit in {bit for _, rows in found for bit in rows}:
        first, *others = [
            rows.get(bit) for x, (_, rows) in zip(node.inputs, found, strict=True) if x.maps & bit
        ]
        if first is not None and all(other == first for other in others):
            parts[bit] = first
    return lengths.pop(), parts
