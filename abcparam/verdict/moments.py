"""Values at init as numbers: mean squares, and what different places share.

A value has entries at places (positions of a sequence, pixels, of one example) and features (what
maps contract). Kept are the mean of an entry's square and that of the product of a feature at two
different places. Weights are taken as random with respect to what they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from functools import cache, singledispatch
from math import exp, log, log1p, pi, sqrt

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.bilinear import AttendedNode, MixedNode, ProductNode, QuotientNode
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import InputNode, Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.pointwise import FunctionTraits, LogSoftmaxNode, PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import (
    ConcatNode,
    DroppedNode,
    LargestNode,
    MeanNode,
    ScaleNode,
    SelectNode,
    SumNode,
)
from abcparam.verdict.causal import InOrder

EXACT = 1e-9  # what is smaller beside what it is the difference of is zero
GRID = [(i + 0.5) / 4 for i in range(-20, 20)]
ALONG = 2 / pi  # the squared correlation of a normal number and its sign


class Moments(NamedTuple):
    """Of a value: the mean square of its entries, what two places share of it, its axes.

    `first` is by how much the mean square at the first place is above the mean, `lead` by how much
    the first place shares more with another one than two places do, `mean` the mean of all entries,
    `common` what places of two examples share, `start` what their first places do, `again` the
    correlation with the same value where dropout is drawn anew.
    """

    square: float
    shared: float
    places: float
    features: float
    first: float = 1.0
    mean: float = 0.0
    common: float = 0.0
    lead: float = 1.0
    again: float = 1.0
    start: float = 0.0

    @property
    def others(self) -> float:
        """The same of the other places."""
        return (self.places - self.first) / (self.places - 1) if self.places > 1 else 1.0

    @property
    def among(self) -> float:
        """What two places share of which neither is the first."""
        if self.places <= 2:
            return self.shared
        return self.shared * (self.places - 2 * self.lead) / (self.places - 2)

    @property
    def own(self) -> float:
        """What differs from place to place."""
        return max(self.square - self.shared, 0.0)

    @property
    def alike(self) -> float:
        """The part that two places share."""
        return self.shared / self.square if self.square else 0.0

    @property
    def known(self) -> float:
        """The part that two examples share."""
        return self.common / self.square if self.square else 0.0

    @property
    def kept(self) -> float:
        """The correlation with another drawing of what examples do not share."""
        left = 1 - self.known
        return min(max((self.again - self.known) / left, 0.0), 1.0) if left > 0 else 1.0

    def scaled(self, factor: float) -> Moments:
        """Times a number of this square, whatever its sign."""
        return self._replace(
            square=self.square * factor,
            shared=self.shared * factor,
            mean=self.mean * sqrt(factor),
            common=self.common * factor,
            start=self.start * factor,
        )

    def drawn_again(self, part: float, kept: float) -> float:
        """The same part at another drawing, where what examples do not share is kept so far."""
        known = min(self.common, part) if part > 0 else part
        return (known + (part - known) * kept) / (self.square or 1.0)

    @property
    def volume(self) -> float:
        return self.places * self.features

    @property
    def over_places(self) -> float:
        """What all of its places share, each with itself too."""
        return self.shared + (self.square - self.shared) / self.places


class TensorMoments(NamedTuple):
    """A tensor: the mean square of an entry of W, how many there are, in how many rows.

    `aligned`: by how much a place's outer product of gradient and input is W, for what a step made.
    """

    square: float
    entries: float
    rows: float
    aligned: float = 0.0


class AtBase(NamedTuple):
    """What laws may ask of a graph at base."""

    ends: Set[Node]  # whose gradient is the loss's
    chosen: Mapping[Node, float]  # of how many entries of a value the largest alone are read
    values: dict[Node, Moments]
    weights: dict[Parameter, TensorMoments]
    lasts: Mapping[str, float]  # the last axis of each input
    batch: int
    number: Callable[[Size], float]  # that a size stands for


# Forward


@singledispatch
def forward(node: Node, at: AtBase, volume: float | None) -> Moments:
    """What a node gives, from what it is given; `volume` is the number of entries, if known."""
    if not node.inputs:
        return Moments(0.0, 0.0, 1.0, volume or 1.0)
    x = max((at.values[x] for x in node.inputs), key=lambda x: x.volume)
    return x._replace(**_axes(x, volume))


def _axes(x: Moments, volume: float | None) -> dict[str, float]:
    if volume is None or volume == x.volume:
        return {}
    features = min(x.features, volume)
    return {"features": features, "places": volume / features}


@forward.register(InputNode)
def _(node: InputNode, at: AtBase, volume: float | None) -> Moments:
    features = at.lasts.get(node.name, 1.0)
    return Moments(1.0, 0.0, (volume or features) / features, features)


@forward.register(LinearNode)
def _(node: LinearNode, at: AtBase, volume: float | None) -> Moments:
    x = at.values[node.inputs[0]]
    weights, fan_in = at.weights[node.parameter], at.number(node.rho_in)
    weight = weights.square * (1 + fan_in * ALONG * weights.aligned)
    features = weights.entries / fan_in
    places = volume / features if volume else x.places
    found = x.scaled(weight * fan_in)
    return found._replace(places=places, features=features, mean=0.0)


@forward.register(ValueNode)
def _(node: ValueNode, at: AtBase, volume: float | None) -> Moments:
    square, count, rows, _ = at.weights[node.parameter]
    if node.lookup:
        features = count / rows
        once = square / rows  # by chance two tokens are the same
        places = (volume or features) / features
        return Moments(square, once, places, features, common=once, start=once)
    features = min(at.number(node.parameter.rho_in | node.parameter.rho_out), count)
    mean = sqrt(square) if node.parameter.tensor.init.kind in {"ones", "constant"} else 0.0
    found = Moments(square, mean**2, count / features, features, 1.0, mean)
    return found._replace(common=found.over_places, start=square)


@forward.register(SumNode)
def _(node: SumNode, at: AtBase, volume: float | None) -> Moments:
    xs = [at.values[x] for x in node.inputs]
    places, features = max(x.places for x in xs), max(x.features for x in xs)
    if volume and volume > places * features:
        places = volume / features
    mean = sum(x.mean for x in xs)
    both = mean**2 - sum(x.mean**2 for x in xs)
    square = sum(x.square for x in xs) + both
    shared = sum(stretched(x, places) for x in xs) + both
    first = 1 + sum(x.square * (x.first - 1) for x in xs if x.places == places) / (square or 1.0)
    lead = 1 + sum(x.shared * (x.lead - 1) for x in xs if x.places == places) / (shared or 1.0)
    common = sum(x.common for x in xs) + both
    again = 1 - sum(x.square * (1 - x.again) for x in xs) / (square or 1.0)
    start = sum(x.start for x in xs) + both
    return Moments(square, shared, places, features, first, mean, common, lead, again, start)


def stretched(x: Moments, places: float) -> float:
    """What two places share of a value that is the same in several."""
    return x.over_places if x.places < places else x.shared


@forward.register(ConcatNode)
def _(node: ConcatNode, at: AtBase, volume: float | None) -> Moments:
    xs = [at.values[x] for x in node.inputs]
    total = sum(x.volume for x in xs)
    places, features = max(x.places for x in xs), max(x.features for x in xs)
    if all(x.features == features for x in xs):
        places = total / features
    else:
        features = total / places
    square = sum(x.square * x.volume for x in xs) / total
    shared = sum(x.shared * (x.places / places) ** 2 * x.features / features for x in xs)
    first = xs[0].square / square if square and xs[0].places == 1 < places else 1.0
    common = sum(x.common * (x.places / places) ** 2 * x.features / features for x in xs)
    start = xs[0].start
    return Moments(square, shared, places, features, first, common=common, start=start)


@forward.register(ScaleNode)
def _(node: ScaleNode, at: AtBase, volume: float | None) -> Moments:
    x, factor = at.values[node.inputs[0]], at.number(node.factor) ** 2
    return x.scaled(factor)


@forward.register(DroppedNode)
def _(node: DroppedNode, at: AtBase, volume: float | None) -> Moments:
    """Different places are kept apart from each other."""
    x = at.values[node.inputs[0]]
    kept = at.number(node.kept)
    return x._replace(square=x.square / kept, again=x.again * kept)


@forward.register(SelectNode)
def _(node: SelectNode, at: AtBase, volume: float | None) -> Moments:
    x = at.values[node.inputs[0]]
    if volume is None or volume >= x.volume:
        return x
    places = x.places * volume / x.volume
    if places >= 1 and (volume / x.features).is_integer() and x.places > 1:
        return x._replace(places=volume / x.features)
    return x._replace(features=volume / x.places)


@forward.register(MeanNode)
def _(node: MeanNode, at: AtBase, volume: float | None) -> Moments:
    x, count = at.values[node.inputs[0]], at.number(node.rho)
    if count <= x.places:
        square, places = x.shared + x.own / count, x.places / count
        return Moments(square, x.shared, places, x.features, 1.0, x.mean, x.common)
    square, shared, common = (m / count for m in (x.square, x.shared, x.common))
    return Moments(square, shared, x.places, x.features / count, common=common)


@forward.register(LargestNode)
def _(node: LargestNode, at: AtBase, volume: float | None) -> Moments:
    x, count = at.values[node.inputs[0]], max(at.number(node.window), 1.0)
    mean = sqrt(max(x.shared, 0.0)) + sqrt(x.own) * largest(count)
    places = (volume or x.volume) / x.features
    square = mean**2 + x.own / (1 + log(count))
    return Moments(square, mean**2, places, x.features, 1.0, mean, min(x.common, mean**2))


def largest(count: float) -> float:
    """The mean of the largest of so many normal numbers, to a tenth."""
    return 0.68 * sqrt(2 * log(count))


@forward.register(PointwiseNode)
def _(node: PointwiseNode, at: AtBase, volume: float | None) -> Moments:
    x = at.values[node.inputs[0]]
    square, parts = bent(node.shape, 0, x, (x.shared, x.common, x.again * x.square, x.start))
    shared, common, again, start = parts
    again = again / square if square and x.again < 1 else 1.0
    mean = averages(node.shape, 0, *normal(x))[1]
    found = {"square": square, "shared": shared, "mean": mean, "common": common}
    return x._replace(again=again, start=start, **found)


def bent(
    shape: FunctionTraits, order: int, x: Moments, parts: Iterable[float]
) -> tuple[float, list[float]]:
    """Of a function of what is normal, or of its derivative, the mean square, and so of parts.

    A part is the mean product of two numbers of this kind.
    """
    whole, mean, slope = averages(shape, order, *normal(x))
    varied = x.square - x.mean**2

    def between(part: float) -> float:
        alike = max((part - x.mean**2) / varied, -1.0) if varied > 0 else 1.0
        return mean**2 + slope**2 * alike + (whole - mean**2 - slope**2) * alike * abs(alike)

    return whole, [between(part) for part in parts]


def normal(x: Moments) -> tuple[float, float]:
    """Its standard deviation, and its mean over that, in steps of a hundredth."""
    deviation = sqrt(max(x.square - x.mean**2, 1e-40))
    return round(log(deviation), 2), round(x.mean / deviation, 2)


@cache
def averages(
    shape: FunctionTraits, order: int, logarithm: float, mean: float
) -> tuple[float, float, float]:
    """Of a function of a normal number, or of its derivative: mean square, mean, mean slope."""
    phi, scale = shape.value or (lambda x: x), exp(logarithm)
    weights = [exp(-z * z / 2) / (4 * sqrt(2 * pi)) for z in GRID]
    step = 1e-3 * scale
    points = [scale * (z + mean) for z in GRID]
    if order:
        found = [(phi(x + step) - phi(x - step)) / (2 * step) for x in points]
    else:
        found = [phi(x) for x in points]
    square, average, slope = (
        sum(w * f**p * z**k for w, f, z in zip(weights, found, GRID, strict=True))
        for p, k in ((2, 0), (1, 0), (1, 1))
    )
    return square, average, slope


@forward.register(NormNode)
def _(node: NormNode, at: AtBase, volume: float | None) -> Moments:
    x = at.values[node.inputs[0]]
    if not x.square:
        return x
    if node.over_places:
        return Moments(1.0, 0.0, x.places, x.features, again=x.again)
    mean = 0.0 if node.centres else x.mean / sqrt(x.square)
    found = x.scaled(1 / x.square)._replace(first=1.0, mean=mean, lead=1.0)
    if x.first == 1 or x.places <= 2:
        return found
    across = x.alike * x.lead / sqrt(max(x.first * x.others, EXACT))
    others = x.among / max(x.others * x.square, EXACT)
    shared = (2 * across + (x.places - 2) * others) / x.places
    lead = across / shared if shared > 0 else 1.0
    return found._replace(shared=shared, lead=lead, start=found.start / (x.first or 1.0))


@forward.register(SoftmaxNode)
def _(node: SoftmaxNode, at: AtBase, volume: float | None) -> Moments:
    x = at.values[node.inputs[0]]
    square = min(exp(x.square) / x.features, 1.0) / x.features
    return Moments(square, square * x.alike, x.places, x.features, common=square * x.known)


@forward.register(LogSoftmaxNode)
def _(node: LogSoftmaxNode, at: AtBase, volume: float | None) -> Moments:
    x = at.values[node.inputs[0]]
    number = log(x.features) + x.square / 2
    if node.operation == "logsumexp":
        square, mean = x.square / x.features + number**2, number
        return Moments(square, x.shared / x.features + number**2, x.places, 1.0, 1.0, mean)
    square, shared = x.square + number**2, x.shared + number**2
    return Moments(square, shared, x.places, x.features, 1.0, x.mean - number)


@forward.register(ProductNode)
def _(node: ProductNode, at: AtBase, volume: float | None) -> Moments:
    x, y = (at.values[x] for x in node.inputs)
    count = at.number(node.contracted)
    if count > 1:
        return Moments(x.square * y.square * count, x.square * y.shared * count, y.places, 1.0)
    places, features = max(x.places, y.places), max(x.features, y.features)
    shared = stretched(x, places) * stretched(y, places)
    square, first, mean = x.square * y.square, x.first * y.first, x.mean * y.mean
    found = Moments(square, shared, places, features, first, mean, x.common * y.common)
    return found._replace(again=x.again * y.again, start=x.start * y.start)


@forward.register(QuotientNode)
def _(node: QuotientNode, at: AtBase, volume: float | None) -> Moments:
    x, y = (at.values[x] for x in node.inputs)
    under = y.square or 1.0
    return x.scaled(1 / under)


class Attended(NamedTuple):
    """How attention weighs keys, averaged over queries.

    The sum of its squared weights; that of the products of two queries' weights; the mean square of
    what all queries give a key; the first without what all keys share; the mean square of what two
    keys are given together, over the first of them; by how much the first is above that of equal
    weights.
    """

    squares: float
    products: float
    given: float
    varied: float
    pairs: float
    sharp: float


def attended(node: AttendedNode, at: AtBase) -> Attended:
    """Of queries that see all keys or those before them."""
    logits = at.values[node.inputs[0].inputs[0]]
    keys = at.values[node.key].places
    sharp = exp(min(logits.own, 50.0))
    if node.causal:
        few = sharp / keys
        squares = few * log1p(1 / few)
        varied, pairs = squares - 1 / (1 + 1 / few), 2 * log(keys) / keys**2
        products = min(2 / keys, 1.0)
        return Attended(squares, products, 2.0, max(varied, 0.1 / keys), pairs, sharp)
    squares = 1 / (1 + (keys - 1) / sharp)
    return Attended(squares, 1 / keys, 1.0, squares * (1 - squares), 1 / keys**2, sharp)


@forward.register(AttendedNode)
def _(node: AttendedNode, at: AtBase, volume: float | None) -> Moments:
    v, query = at.values[node.inputs[1]], at.values[node.query]
    weights = attended(node, at)
    features = volume / query.places if volume else query.features
    if node.causal and v.places == query.places > 2:
        places = InOrder.of(v.places, v.square, v.shared, v.first, v.lead).averaged(weights.sharp)
        first, lead = places.above
        square, shared = places.square, places.shared
        found = Moments(square, shared, v.places, features, first, 0.0, v.common, lead)
        return found._replace(again=found.drawn_again(square, v.kept), start=v.start)
    square, shared = (v.shared + v.own * w for w in (weights.squares, weights.products))
    found = Moments(square, shared, query.places, features, common=v.common)
    return found._replace(again=found.drawn_again(square, v.kept), start=v.common)


@forward.register(MixedNode)
def _(node: MixedNode, at: AtBase, volume: float | None) -> Moments:
    y, logits = at.values[node.inputs[1]], at.values[node.inputs[0].inputs[0]]
    square = node.share.square(at.number(node.top), logits.features)
    return y.scaled(square)
