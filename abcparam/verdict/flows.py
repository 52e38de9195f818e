"""Gradients at init as numbers, as `moments` has values, and what tensors get of them.

Labels are taken as drawn at random, so that gradients of different examples, and what different
labels give, are independent. What a first step has made of a tensor that starts at zero lies along
the gradients that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import singledispatch
from math import asin, exp, log, sqrt

from abcparam.algebra.record import NamedTuple
from abcparam.calculus.bilinear import AttendedNode, MixedNode, ProductNode, QuotientNode
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.pointwise import LogSoftmaxNode, PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import (
    ConcatNode,
    DroppedNode,
    MeanNode,
    RescaleNode,
    ScaleNode,
    SumNode,
)
from abcparam.verdict.causal import InOrder
from abcparam.verdict.moments import (
    ALONG,
    EXACT,
    AtBase,
    Attended,
    Moments,
    attended,
    averages,
    bent,
    largest,
    normal,
    stretched,
)

EPSILON = 1e-5  # what norms add to a mean square

Contributions = Iterator[tuple[Node, "Backflow"]]


class Backflow(NamedTuple):
    """Of a gradient: the mean square of its entries, and what two places share of it.

    `pairs` is the mean over two places of the square of what these share. `radial` is the part of
    the mean square that lies along the value, feature by feature, the same way at all places.
    `first` is by how much that of the first place is above the mean, `lead` by how much it shares
    more with another place than two places do. `examples`: for how many of them `radial` is the
    same. `common` is what places of two different examples share. `radials`: of what two places
    share, and two of different examples, what goes with a `radial` of 1.
    """

    square: float = 0.0
    shared: float = 0.0
    pairs: float = 0.0
    radial: float = 0.0
    first: float = 1.0
    examples: float = 1.0
    common: float = 0.0
    lead: float = 1.0
    radials: tuple[float, float] = (0.0, 0.0)

    def __add__(self, other: object) -> Backflow:
        assert isinstance(other, Backflow)
        square, shared = self.square + other.square, self.shared + other.shared
        led = self.shared * self.lead + other.shared * other.lead
        radial = self.radial + other.radial
        mine, others = (g.radial / (radial or 1.0) for g in (self, other))
        (a, b), (c, d) = self.radials, other.radials
        return Backflow(
            square,
            shared,
            self.pairs + other.pairs + 2 * self.shared * other.shared,
            radial,
            (self.square * self.first + other.square * other.first) / (square or 1.0),
            max(self.examples, other.examples),
            self.common + other.common,
            led / shared if shared > 0 else 1.0,
            (mine * a + others * c, mine * b + others * d),
        )

    def times(
        self, square: float, shared: float | None = None, common: float | None = None
    ) -> Backflow:
        """The gradient times what is of these moments."""
        alike = square if shared is None else shared
        radial = self.radial * square if shared is None else 0.0
        return self._replace(
            square=self.square * square,
            shared=self.shared * alike,
            pairs=self.pairs * alike**2,
            radial=radial,
            common=self.common * (alike if common is None else common),
        )

    def at_others(self, places: float) -> float:
        """The mean square at the places behind the first."""
        return self.square * (places - self.first) / (places - 1) if places > 1 else self.square

    def among(self, places: float) -> float:
        """What two places share of which neither is the first."""
        if places <= 2:
            return self.shared
        return self.shared * (places - 2 * self.lead) / (places - 2)

    def meets(self, x: Moments) -> float:
        """The mean square of its product with a value, over the product of both mean squares."""
        others = (x.places - self.first) / (x.places - 1) if x.places > 1 else 1.0
        return (self.first * x.first + (x.places - 1) * others * x.others) / x.places

    def peak(self, places: float) -> float:
        """The mean square of a place's mean square, over the square of the mean."""
        others = (places - self.first) / (places - 1) if places > 1 else 1.0
        return (self.first**2 + (places - 1) * others**2) / places

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
    if y.places == 1 < x.places:
        g = g._replace(shared=0.0, pairs=0.0)
    square, alike, radial = g.square * lost * kept, g.shared * shared, g.radial * shared
    common = g.common * shared
    return Backflow(square, alike, g.pairs * shared**2, radial, first, 1.0, common, g.lead)


def _gathered(g: Backflow, x: Moments, y: Moments, by: Moments | None = None) -> Backflow:
    """The gradient, times another factor, of what is the same along axes of the result."""
    square, shared = (by.square, stretched(by, y.places)) if by else (1.0, 1.0)
    common = by.common if by else 1.0
    lost, times = y.features / x.features, y.places / x.places
    if times <= 1:
        along = g.radial * square * lost * (1.0 if by else x.square / (y.square or 1.0))
        return g.times(square * lost, shared * lost, common * lost)._replace(radial=along)
    along = times**2 * g.radial * square * g.examples if by else 0.0
    whole = lost * (g.summed(times, square, shared) + along)
    return Backflow(whole, common=lost * times**2 * g.common * common)


@backward.register(LinearNode)
def _(node: LinearNode, at: AtBase, g: Backflow) -> Contributions:
    x, y = at.values[node.inputs[0]], at.values[node]
    weights, fan_in = at.weights[node.parameter], at.number(node.rho_in)
    back = _spread(g, x, y).times(weights.square * fan_in)
    if not weights.aligned:
        yield node.inputs[0], back._replace(radial=0.0)
    elif node in at.ends:
        yield node.inputs[0], _of_signs(back.square, x, y.features, at.batch)
    else:
        pulled = back.square * y.features * ALONG * weights.aligned
        own = Backflow(pulled, pulled * x.alike, common=pulled * x.known)
        yield node.inputs[0], back + own


def _of_signs(square: float, x: Moments, labels: float, batch: int) -> Backflow:
    """What comes back from a readout that one step by signs has moved.

    The row of the label lies along the values at its places, those of labels that did not come up
    along the mean of all values.
    """
    number = x.places * batch
    unseen, seen = exp((1 - number) / labels), sqrt(1 / (1 + (number - 1) / labels))
    others = (x.places - 1) * x.alike + (number - x.places) * x.known
    length = sqrt(max(1 + others, EXACT) / number)  # of the mean of all, beside a value's
    alike = x.drawn_again(x.shared, x.kept)  # two places, in two drawings of dropout
    others = (x.places - 1) * alike + (number - x.places) * x.known
    toward = max(x.again + others, 0.0) / number / length  # of a value and the mean of all
    along = unseen * toward + seen * x.again
    rows = square * unseen * (unseen + 2 * seen * _of_both(length))
    lost = [
        2 * (unseen * toward + seen * a) / along - b for a, b in ((alike, x.alike), (x.known,) * 2)
    ]
    return Backflow(
        square + rows,
        rows + unseen * square * _of_both(x.alike),
        radial=ALONG * square * along**2,
        examples=batch,
        common=rows + unseen * square * _of_both(x.known),
        radials=(lost[0], lost[1]),
    )


def _of_both(correlation: float) -> float:
    """The correlation of the signs of two normal numbers."""
    return ALONG * asin(min(max(correlation, -1.0), 1.0))


@backward.register(SumNode)
def _(node: SumNode, at: AtBase, g: Backflow) -> Contributions:
    for x in node.inputs:
        yield x, _gathered(g, at.values[x], at.values[node])


@backward.register(ConcatNode)
def _(node: ConcatNode, at: AtBase, g: Backflow) -> Contributions:
    whole = at.values[node].places
    for index, x in enumerate(node.inputs):
        if at.values[x].places == whole:
            yield x, Backflow(g.square, g.shared, g.pairs, common=g.common)
        elif index:
            yield x, Backflow(g.at_others(whole), g.among(whole), g.pairs, common=g.common)
        else:
            yield x, Backflow(g.square * g.first, g.shared, g.pairs, common=g.common)


@backward.register(ScaleNode)
def _(node: ScaleNode, at: AtBase, g: Backflow) -> Contributions:
    yield node.inputs[0], g.times(at.number(node.factor) ** 2)


@backward.register(DroppedNode)
def _(node: DroppedNode, at: AtBase, g: Backflow) -> Contributions:
    kept = at.number(node.kept)
    yield node.inputs[0], g._replace(square=g.square / kept, radial=g.radial / kept)


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
        Backflow(
            square,
            square if x.places > y.places else g.shared / count**2,
            common=g.common / count**2,
        ),
    )


@backward.register(PointwiseNode)
def _(node: PointwiseNode, at: AtBase, g: Backflow) -> Contributions:
    x = at.values[node.inputs[0]]
    if node.inputs[0] in at.chosen:
        x = _raised(x, at.chosen[node.inputs[0]])
    along = averages(node.shape, 1, *normal(x))[2] ** 2 * max(g.shared, 0.0)
    whole, (shared, common) = bent(node.shape, 1, x, (x.shared, x.common))
    times = g.times(whole, shared, common)
    yield node.inputs[0], times._replace(radial=along, radials=(0.0, 0.0))


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
        g = _across(g).times(1 / (x.square + EPSILON))
        yield node.inputs[0], g if x.first == g.first == 1 else _uneven(g, x)


def _across(g: Backflow) -> Backflow:
    """A gradient less its part along the value."""
    shared, common = (g.radial * part for part in g.radials)
    square = g.square - g.radial
    left = min(g.shared - shared, square)
    return g._replace(square=square, shared=left, common=g.common - common, radial=0.0)


def _uneven(g: Backflow, x: Moments) -> Backflow:
    """A gradient over the size of a value, place by place."""
    others = (x.places - g.first) / (x.places - 1) if x.places > 1 else 1.0
    first, rest = g.first / x.first, others / x.others
    mean = (first + (x.places - 1) * rest) / x.places
    if x.places <= 2:
        return g.times(mean, rest)._replace(first=first / mean)
    across = g.lead / sqrt(x.first * x.others)
    shared = (2 * across + (x.places - 2 * g.lead) / x.others) / x.places
    return g.times(mean, shared)._replace(first=first / mean, lead=across / shared)


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
    group, causal = y.features / v.features, node.causal and q.places == k.places > 2
    given = _gathered_causally(g, k.places, weights) if causal else _gathered_by_all(g, v, weights)
    yield node.inputs[1], given.times(group * q.places / k.places)
    scale, bias = _logits(node.inputs[0].inputs[0], at)
    head = at.number(node.broadcast[0])
    if causal:  # the first place has one key, and nothing to choose
        g = g._replace(square=g.at_others(q.places), first=1.0, lead=1.0)
    slope = g._replace(radial=0.0).times(head * v.own * scale**2)
    yield node.query, slope.times(k.own * (weights.varied + 1 / q.features))
    square = slope.square * q.square * weights.varied + slope.shared * q.shared * weights.given
    square *= q.features / k.features * q.places / k.places
    yield node.key, Backflow(square, -square / (k.places - 1) if k.places > 1 else 0.0)
    if bias is not None:
        yield bias, Backflow(g.square * head * v.own * weights.varied / k.places)


def _gathered_by_all(g: Backflow, v: Moments, weights: Attended) -> Backflow:
    """What all queries give to values."""
    own = g.square - g.shared
    square = own * weights.squares + g.shared * weights.given
    shared, pairs = own / v.places + g.shared, own**2 * weights.pairs + g.shared**2
    return Backflow(square, shared, pairs, common=g.common)


def _gathered_causally(g: Backflow, places: float, weights: Attended) -> Backflow:
    """What the queries from each place on give to its value."""
    before = InOrder.of(places, g.square, g.shared, g.first, g.lead)
    after = before.gathered(weights.sharp)
    first, lead = after.above
    pairs = (before.others - before.among) ** 2 * weights.pairs + after.shared**2
    return Backflow(after.square, after.shared, pairs, 0.0, first, 1.0, g.common, lead)


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
    one, whole = g.square * x.square, gradient(node, at, g)
    others, elsewhere = y.places - 1, (at.batch - 1) * y.places * max(g.common, 0.0)
    part = g.square**2 * g.peak(y.places) + others * g.crossed + elsewhere * max(g.common, 0.0)
    here, known = g.square + others * max(g.shared, 0.0), max(x.common, 0.0)
    part = part * x.own + here**2 * max(x.shared - known, 0.0) + (here + elsewhere) ** 2 * known
    return part / (g.square * whole) if one * whole > 0 else 0.0


def gradient(node: Node, at: AtBase, g: Backflow) -> float:
    """The mean square of a tensor's gradient by all examples, from this use."""
    y, pairs = at.values[node], at.batch * (at.batch - 1)  # of examples
    if isinstance(node, LinearNode):
        x = at.values[node.inputs[0]]
        one = g.summed(y.places, x.square * g.meets(x), x.shared)
        ahead = _at_first(g, y.places)
        two = y.places**2 * g.common * (x.common + ahead * (x.start - x.common))
        return max(at.batch * one + pairs * two, 0.0)
    assert isinstance(node, ValueNode)
    if not node.lookup:
        alone = 1 + _at_first(g, y.places) * (y.places - 1)
        return max(at.batch * g.square + pairs * g.common * alone, 0.0)
    rows = at.weights[node.parameter].rows
    one = g.summed(y.places, 1 / rows, 1 / rows**2)
    return max(at.batch * one + pairs * y.places**2 * g.common / rows**2, 0.0)


def _at_first(g: Backflow, places: float) -> float:
    """How much of what two examples share is at the first place of both."""
    return max((g.first - 1) / (places - 1), 0.0) ** 2 if places > 1 else 0.0


def joined(found: Iterable[tuple[Node, Backflow]], flows: dict[Node, Backflow]) -> None:
    """Adds gradients up."""
    for node, flow in found:
        flows[node] = flows.get(node, Backflow()) + flow
