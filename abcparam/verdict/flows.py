"""Gradients at init as numbers, as `moments` has values, and what tensors get of them.

Labels are taken as drawn at random, so that gradients of different examples, and what different
labels give, are independent. What a first step has made of a tensor that starts at zero lies along
the gradients that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import singledispatch
from math import log, sqrt

from abcparam.algebra.record import NamedTuple
from abcparam.calculus.bilinear import AttendedNode, MixedNode, ProductNode, QuotientNode
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.pointwise import LogSoftmaxNode, PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import ConcatNode, MeanNode, RescaleNode, ScaleNode, SumNode
from abcparam.verdict.moments import (
    ALONG,
    AtBase,
    Moments,
    attended,
    averages,
    bent,
    largest,
    normal,
    stretched,
)

EPSILON = 1e-5  # what norms add to a mean square
EXACT = 1e-9  # what is smaller beside what it is the difference of is zero
STEP_OF_ONE = 4.0  # mean square of what rows moved by signs give back, where one place moved them
STEP_OF_SEVERAL = 2.0, 1.0  # where several did, and what two of them share

Contributions = Iterator[tuple[Node, "Backflow"]]


class Backflow(NamedTuple):
    """Of a gradient: the mean square of its entries, and what two places share of it.

    `pairs` is the mean over two places of the square of what these share. `radial` is the part of
    the mean square that lies along the value, feature by feature, the same way at all places.
    `first` is by how much that of the first place is above the mean. `examples`: for how many of
    them `radial` is the same.
    """

    square: float = 0.0
    shared: float = 0.0
    pairs: float = 0.0
    radial: float = 0.0
    first: float = 1.0
    examples: float = 1.0

    def __add__(self, other: object) -> Backflow:
        assert isinstance(other, Backflow)
        square = self.square + other.square
        return Backflow(
            square,
            self.shared + other.shared,
            self.pairs + other.pairs + 2 * self.shared * other.shared,
            self.radial + other.radial,
            (self.square * self.first + other.square * other.first) / (square or 1.0),
            max(self.examples, other.examples),
        )

    def times(self, square: float, shared: float | None = None) -> Backflow:
        """The gradient times what is of these moments."""
        alike = square if shared is None else shared
        radial = self.radial * square if shared is None else 0.0
        return self._replace(
            square=self.square * square,
            shared=self.shared * alike,
            pairs=self.pairs * alike**2,
            radial=radial,
        )

    def summed(self, places: float, square: float = 1.0, shared: float = 1.0) -> float:
        """The mean square of its sum over places, times a value of these moments."""
        own, others = self.square * square, (places - 1) * self.shared * shared
        return places * (own + others) if own + others > EXACT * own else 0.0

    @property
    def crossed(self) -> float:
        """The mean square of what two places share."""
        return max(self.pairs, self.shared**2)


@singledispatch
def backward(node: Node, at: AtBase, g: Backflow) -> Contributions:
    """What a gradient contributes to those of the node's inputs."""
    y = at.values[node]
    for x in node.inputs:
        yield x, _spread(g, at.values[x], y)


def _spread(g: Backflow, x: Moments, y: Moments) -> Backflow:
    """Each entry's gradient goes to one entry of the input, wherever that lies."""
    lost, kept = y.features / x.features, y.places / x.places
    shared = lost * kept**2
    first = 1 / kept if y.places == 1 else g.first
    return Backflow(
        g.square * lost * kept, g.shared * shared, g.pairs * shared**2, g.radial * shared, first
    )


def _gathered(g: Backflow, x: Moments, y: Moments, by: Moments | None = None) -> Backflow:
    """The gradient, times another factor, of what is the same along axes of the result."""
    square, shared = (by.square, stretched(by, y.places)) if by else (1.0, 1.0)
    lost, times = y.features / x.features, y.places / x.places
    if times <= 1:
        along = g.radial * square * lost * (1.0 if by else x.square / (y.square or 1.0))
        return g.times(square * lost, shared * lost)._replace(radial=along)
    along = times**2 * g.radial * square * g.examples if by else 0.0
    return Backflow(lost * (g.summed(times, square, shared) + along))


@backward.register(LinearNode)
def _(node: LinearNode, at: AtBase, g: Backflow) -> Contributions:
    x, y = at.values[node.inputs[0]], at.values[node]
    weights, fan_in = at.weights[node.parameter], at.number(node.rho_in)
    back = _spread(g, x, y).times(weights.square * fan_in)
    if not weights.aligned:
        yield node.inputs[0], back._replace(radial=0.0)
    elif node in at.ends:
        yield node.inputs[0], _of_signs(back.square, y.places, at.batch)
    else:
        pulled = back.square * y.features * ALONG * weights.aligned
        yield node.inputs[0], back + Backflow(pulled, pulled * x.alike)


def _of_signs(square: float, places: float, batch: int) -> Backflow:
    """What comes back from a readout that one step by signs has moved.

    The row of the label lies along the value at its place, all others along the mean of the values.
    """
    if places * batch <= 1:
        return Backflow(STEP_OF_ONE * square, radial=STEP_OF_ONE * ALONG * square)
    whole, shared = STEP_OF_SEVERAL
    along = (whole - shared) * ALONG * square
    return Backflow(whole * square, shared * square, radial=along, examples=batch)


@backward.register(SumNode)
def _(node: SumNode, at: AtBase, g: Backflow) -> Contributions:
    for x in node.inputs:
        yield x, _gathered(g, at.values[x], at.values[node])


@backward.register(ConcatNode)
def _(node: ConcatNode, at: AtBase, g: Backflow) -> Contributions:
    for index, x in enumerate(node.inputs):
        places, whole = at.values[x].places, at.values[node].places
        uneven = g.first if not index else (whole - g.first) / (whole - 1) if whole > 1 else 1.0
        yield x, Backflow(g.square * (uneven if places < whole else 1.0), g.shared, g.pairs)


@backward.register(ScaleNode)
def _(node: ScaleNode, at: AtBase, g: Backflow) -> Contributions:
    yield node.inputs[0], g.times(at.number(node.factor) ** 2)


@backward.register(RescaleNode)
def _(node: RescaleNode, at: AtBase, g: Backflow) -> Contributions:
    yield node.inputs[0], g.times(at.number(node.backward) ** 2)


@backward.register(MeanNode)
def _(node: MeanNode, at: AtBase, g: Backflow) -> Contributions:
    count = at.number(node.rho)
    x, y = at.values[node.inputs[0]], at.values[node]
    square = g.square / count**2
    yield (
        node.inputs[0],
        Backflow(square, square if x.places > y.places else g.shared / count**2),
    )


@backward.register(PointwiseNode)
def _(node: PointwiseNode, at: AtBase, g: Backflow) -> Contributions:
    x = at.values[node.inputs[0]]
    if node.inputs[0] in at.chosen:
        x = _raised(x, at.chosen[node.inputs[0]])
    whole, shared = bent(node.shape, 1, x)
    along = averages(node.shape, 1, *normal(x))[2] ** 2 * max(g.shared, 0.0)
    yield node.inputs[0], g.times(whole, shared)._replace(radial=along)


def _raised(x: Moments, window: float) -> Moments:
    """What the largest of several entries were."""
    variance, shared = max(x.square - x.mean**2, 0.0), x.shared - x.mean**2
    mean, less = x.mean + sqrt(variance) * largest(window), 1 + log(max(window, 1.0))
    square = mean**2 + variance / less
    return x._replace(square=square, shared=mean**2 + shared / less, mean=mean)


@backward.register(NormNode)
def _(node: NormNode, at: AtBase, g: Backflow) -> Contributions:
    x = at.values[node.inputs[0]]
    if node.over_places and x.places > 1:
        left = max(1 - 2 / (at.batch * x.places), 0.0)  # without its mean, and its part along x
        square = left * max(g.square - g.shared - g.radial, 0.0) / (x.own + EPSILON)
        yield node.inputs[0], Backflow(square, -square / (x.places - 1))
    else:
        g = g._replace(square=g.square - g.radial, radial=0.0).times(1 / (x.square + EPSILON))
        yield node.inputs[0], g if x.first == g.first == 1 else _uneven(g, x)


def _uneven(g: Backflow, x: Moments) -> Backflow:
    """A gradient over the size of a value, place by place."""
    others = (x.places - g.first) / (x.places - 1) if x.places > 1 else 1.0
    first, rest = g.first / x.first, others / x.others
    mean = (first + (x.places - 1) * rest) / x.places
    return g.times(mean, rest)._replace(first=first / mean)


@backward.register(SoftmaxNode)
def _(node: SoftmaxNode, at: AtBase, g: Backflow) -> Contributions:
    y = at.values[node]
    yield node.inputs[0], g.times(y.square)


@backward.register(LogSoftmaxNode)
def _(node: LogSoftmaxNode, at: AtBase, g: Backflow) -> Contributions:
    x = at.values[node.inputs[0]]
    each = 1 / x.features**2 if node.operation == "logsumexp" else 1.0
    yield node.inputs[0], g.times(each)


@backward.register(ProductNode)
def _(node: ProductNode, at: AtBase, g: Backflow) -> Contributions:
    x, y = (at.values[x] for x in node.inputs)
    if at.number(node.contracted) > 1:
        yield node.inputs[0], g.times(y.square)
        yield node.inputs[1], g.times(x.square)
        return
    z = at.values[node]
    if node in at.chosen:
        x = _raised(x, at.chosen[node])
    yield node.inputs[0], _gathered(g, x, z, y)
    yield node.inputs[1], _gathered(g, y, z, x)


@backward.register(QuotientNode)
def _(node: QuotientNode, at: AtBase, g: Backflow) -> Contributions:
    x, y = (at.values[x] for x in node.inputs)
    under = y.square or 1.0
    yield node.inputs[0], g.times(1 / under)
    yield node.inputs[1], _gathered(g.times(1 / under**2), y, at.values[node], x)


@backward.register(AttendedNode)
def _(node: AttendedNode, at: AtBase, g: Backflow) -> Contributions:
    q, k, v = (at.values[x] for x in (node.query, node.key, node.inputs[1]))
    y, weights = at.values[node], attended(node, at)
    own, group = g.square - g.shared, y.features / v.features
    square = own * weights.squares + g.shared * weights.given
    given = Backflow(square, own / v.places + g.shared, own**2 * weights.pairs + g.shared**2)
    yield node.inputs[1], given.times(group * q.places / k.places)
    scale, bias = _logits(node.inputs[0].inputs[0], at)
    head = at.number(node.broadcast[0])
    slope = g._replace(radial=0.0).times(head * v.own * scale**2)
    yield node.query, slope.times(k.own * (weights.varied + 1 / q.features))
    square = slope.square * q.square * weights.varied + slope.shared * q.shared * weights.given
    square *= q.features / k.features * q.places / k.places
    yield node.key, Backflow(square, -square / (k.places - 1) if k.places > 1 else 0.0)
    if bias is not None:
        yield bias, Backflow(g.square * head * v.own * weights.varied / k.places)


def _logits(node: Node, at: AtBase) -> tuple[float, Node | None]:
    """The factor of the logits of attention, and what is added to them."""
    bias = None
    if isinstance(node, SumNode):
        node, bias = node.inputs
    assert isinstance(node, ScaleNode)
    return at.number(node.factor), bias


@backward.register(MixedNode)
def _(node: MixedNode, at: AtBase, g: Backflow) -> Contributions:
    logits, y = node.inputs[0].inputs[0], at.values[node.inputs[1]]
    top, experts = at.number(node.top), at.values[logits].features
    share = node.share
    yield node.inputs[1], g._replace(radial=0.0).times(share.square(top, experts))
    yield logits, Backflow(g.square * y.features * y.square * share.slope(top, experts))


def alignment(node: Node, at: AtBase, g: Backflow) -> float:
    """The squared correlation of one place's part of the gradient of a map with all of it."""
    if not isinstance(node, LinearNode):
        return 0.0
    x, y = at.values[node.inputs[0]], at.values[node]
    one, whole = g.square * x.square, g.summed(y.places, x.square, x.shared)
    others = y.places - 1
    part = (g.square**2 + others * g.crossed) * x.own
    part += (g.square + others * max(g.shared, 0.0)) ** 2 * max(x.shared, 0.0)
    return part / (g.square * whole) if one * whole > 0 else 0.0


def gradient(node: Node, at: AtBase, g: Backflow) -> float:
    """The mean square of a tensor's gradient by one example, from this use."""
    y = at.values[node]
    if isinstance(node, LinearNode):
        x = at.values[node.inputs[0]]
        return g.summed(y.places, x.square, x.shared)
    assert isinstance(node, ValueNode)
    if not node.lookup:
        return g.square
    rows = at.weights[node.parameter].rows
    return g.summed(y.places, 1 / rows, 1 / rows**2)


def joined(found: Iterable[tuple[Node, Backflow]], flows: dict[Node, Backflow]) -> None:
    """Adds gradients up."""
    for node, flow in found:
        flows[node] = flows.get(node, Backflow()) + flow
