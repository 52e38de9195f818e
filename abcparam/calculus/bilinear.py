"""Products of two activations: elementwise, inner products, attention's weighted sums; quotients.

The sum over a contracted axis obeys the central limit at init where the factors came from different
maps or rows of one map, and one of them is centred. It is aligned otherwise and for every change
(which is why attention logits want 1/d and not 1/sqrt(d): arXiv 2203.03466, Definition 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.draws import of_product
from abcparam.calculus.linear import ValueNode, sum_gain
from abcparam.calculus.node import Context, Limit, Node, operand
from abcparam.calculus.structure import ScaleNode, centred_along, factors_of, few_along, stretched
from abcparam.diagnostics.source import START, Span


class ProductNode(Node):
    """`z = sum over r of x * y`.

    `contracted` is the size of r, `broadcast` those of the axes each factor lacks. `map_of`: which
    factor a map is applied to, where the other one is as its weights.
    """

    __slots__ = ("broadcast", "contracted", "map_of")

    def __init__(
        self,
        context: Context,
        x: Node,
        y: Node,
        contracted: Size,
        broadcast: tuple[Size, Size],
        span: Span = START,
    ) -> None:
        super().__init__(context, (x, y), span)
        self.contracted = contracted
        self.broadcast = broadcast
        self.centred = self.independent and any(centred_along((x, y), broadcast))
        self.comes_from_contraction = any(few_along((x, y), broadcast))
        self.of_few = x.of_few or y.of_few
        self.weighs = (self.weighs and self._enlarges()) or self._draws_entries()
        self.given = self.given and contracted == context.one
        self.draws = of_product(*stretched((x, y), broadcast))
        self.map_of = self._mapped()
        if self.map_of is not None:
            self._take_map(self.map_of)
        self._settle()

    def _mapped(self) -> int | None:
        """Which factor a map is applied to, where the other one is as its weights."""
        of = [i for i in (0, 1) if self._is_map(i) and not self.inputs[i].weighs]
        return of[0] if of and self.contracted > self.context.one else None

    def _take_map(self, index: int) -> None:
        """What it last came from, and whether it is of few numbers, as of a map's result."""
        x, weights = self.inputs[index], self.inputs[1 - index]
        self.maps, self.parts = weights.maps, weights.parts
        self.comes_from_contraction = self.contracted > self.broadcast[index]
        self.of_few = x.of_few or self.comes_from_contraction

    def exactly(self) -> Fraction | None:
        """Zero of a factor that is; no other number, as it may be a sum."""
        return Fraction(0) if any(x.exact == 0 for x in self.inputs) else None

    def release(self) -> Size | None:
        """Of factors that are not of few numbers, the size that they start at."""
        if self.map_of is not None:
            x = self.inputs[self.map_of]
            return None if x.released is None else x.released + self.s0.less(x.s0)
        sizes = [factor.released if factor.of_few else None for factor in self.inputs]
        if self.contracted != self.context.one or not any(sizes):
            return None
        both = zip(sizes, self.inputs, strict=True)
        left, right = (factor.s0 if size is None else size for size, factor in both)
        return left + right

    def _enlarges(self) -> bool:
        """Whether one factor has all axes of the result, of which none is summed."""
        one = self.context.one
        return self.contracted == one and any(lacking == one for lacking in self.broadcast)

    def _draws_entries(self) -> bool:
        """Whether a factor has all entries at random, of which the other one is made nowhere."""
        one = self.context.one
        x, y = self.inputs
        if self.contracted > one or not self.given or x.maps & y.maps:
            return False
        pairs = zip(self.inputs, self.broadcast, strict=True)
        return any(z.weighs and z.centred and lacking == one for z, lacking in pairs)

    def _is_map(self, index: int) -> bool:
        """Whether the other factor is as the weights of a map that is applied to this one."""
        other = self.inputs[1 - index]
        return other.weighs and other.centred and self.independent

    @property
    def independent(self) -> bool:
        """Whether the factors last came from different maps, or from different rows of one."""
        x, y = self.inputs
        return x.apart_from(y)

    def initial(self) -> Size:
        x, y = self.inputs
        return x.s0 + y.s0 + self._summed

    @property
    def _summed(self) -> Size:
        """What the sum makes of terms at init: at random where they have mean zero."""
        x, y = self.inputs
        random = self.independent and (x.centred or y.centred)
        return self.contracted.half() if random else self.contracted

    def mean(self) -> Size:
        """The product of the means where no draw is in both factors."""
        x, y = self.inputs
        if self.independent or not x.draws.of & y.draws.of:
            return x.m0 + y.m0 + self._summed
        return self.s0

    def differing(self) -> Size:
        x, y = self.inputs
        if x.spread is x.s0 or y.spread is y.s0 or self.contracted > self.context.one:
            return self.s0
        return (x.spread + y.s0) | (x.s0 + y.spread)

    def _aligned(self) -> Size:
        return self.contracted.half() if self.context.alignment == "none" else self.contracted

    def gains(self) -> Sequence[Size]:
        summed = self._aligned()
        return [
            self._gain(index, self.contracted, self.broadcast[index], summed) - self._lost(index)
            for index in (0, 1)
        ]

    def _gain(self, index: int, over: Size, beside: Size, summed: Size) -> Size:
        """The other factor, times a sum of changes; `beside` are the axes that it is not over."""
        other, change = self.inputs[1 - index], self._met(1 - index)
        if not self._is_map(index):
            return (other.s0 | change) + summed
        start = other.s0 + sum_gain(over, beside, self.context.alignment)
        return start | (change + summed)

    def _met(self, index: int) -> Size:
        """The change of a factor, as a sum over it meets it."""
        change = self.inputs[index].d
        return change - self._lost(index) if change.vectors else change

    def _lost(self, index: int) -> Size:
        """By how much an update of a factor is met less than one whose entries are all aligned.

        One of a spectral norm, where one of its two axes is summed, is met as that of a map.
        """
        x, one = self.inputs[index], self.context.one
        while isinstance(x, ScaleNode):
            x = x.inputs[0]
        if not (self.contracted > one and isinstance(x, ValueNode) and x.parameter.spectral):
            return one
        rows, columns = x.parameter.rows, x.parameter.columns
        over, beside = self.contracted, self.broadcast[1 - index]
        both = (over, beside) in ((rows, columns), (columns, rows))
        return (rows & columns).half() if both else one

    def mean_gains(self) -> Sequence[Size]:
        x, y = self.inputs
        summed = self._aligned()
        return y.mean_size + summed, x.mean_size + summed

    def aligned(self) -> Size:
        """A factor that is the same all along an axis points where the other one does."""
        if self.contracted > self.context.one:
            return self.d
        size = self.context.zero
        for index, lacking in enumerate(self.broadcast):
            x, other = self.inputs[index], self.inputs[1 - index]
            if x.d.vectors:
                spread = x.d + ((other.s - lacking.half()) | other.along_to(self))
                size = size | (spread if lacking > self.context.one else x.along_to(self) + other.s)
        return size

    def back_initial(self) -> Sequence[Size]:
        x, y = self.inputs
        return (y.s0 + self.broadcast[0].half(), x.s0 + self.broadcast[1].half())

    def back_gains(self) -> Sequence[Size]:
        lacking = self.broadcast
        return [self._gain(i, lacking[i], self.contracted, lacking[i]) for i in (0, 1)]

    def back_means(self) -> tuple[Sequence[Size], Sequence[Size]]:
        x, y = self.inputs
        left, right = self.broadcast
        initial = (y.m0 + left.half(), x.m0 + right.half())
        return initial, (y.mean_size + left, x.mean_size + right)

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x, y = self.inputs
        left = self.broadcast[0] - self._lost(1)
        right = self.broadcast[1] - self._lost(0)
        return ((0, y.dc + left, y.dr + left), (1, x.dc + right, x.dr + right))

    def limits(self) -> Iterable[tuple[int, Limit]]:
        x, y = self.inputs
        return ((0, operand(x, self._beside(y))), (1, operand(y, self._beside(x))))

    def _beside(self, other: Node) -> Size:
        """The constant factors that stand beside an operand, less what the other needs of them."""
        one, beside = self.context.one, factors_of(other)
        if self.contracted > one or (self.after is one and beside is one):
            return one
        factor = self.after + beside
        needs = other.d > (other.s0 | self.context.one)
        return factor + other.d if needs else factor

    def cause(self, index: int) -> str:
        other = self.inputs[1 - index]
        how = "over" if self._is_map(index) else "aligned over"
        over = "" if self.contracted == self.context.one else f", {how} {self.contracted}"
        return f"times {other.name or other.title} ({other.s}){over}"


class FactorNode(ProductNode):
    """`x * y`, coordinate by coordinate."""

    __slots__ = ()

    def __init__(
        self, context: Context, x: Node, y: Node, broadcast: tuple[Size, Size], span: Span = START
    ) -> None:
        super().__init__(context, x, y, context.one, broadcast, span)

    def exactly(self) -> Fraction | None:
        x, y = (x.exact for x in self.inputs)
        return super().exactly() if x is None or y is None else x * y

    @property
    def title(self) -> str:
        return "product"


class AttendedNode(ProductNode):
    """Attention's sum of values, weighted by the softmax of its logits.

    `query` and `key` are what the logits are made of, `causal`: whether a query sees no later keys.
    """

    __slots__ = ("causal", "key", "query")

    def __init__(
        self,
        weights: Node,
        qkv: Sequence[Node],
        broadcast: tuple[Size, Size],
        causal: bool,
        span: Span = START,
    ) -> None:
        self.query, self.key, values = qkv
        self.causal = causal
        super().__init__(weights.context, weights, values, weights.context.one, broadcast, span)


class Share(NamedTuple):
    """How large the weights of experts are: scores, divided by those of all that are taken."""

    normalized: bool
    sigmoid: bool

    def square(self, top: float, experts: float) -> float:
        """The sum of the squared weights of a token, where its logits are small."""
        if self.normalized:
            return 1 / top
        return top / 4 if self.sigmoid else top / experts**2

    def slope(self, top: float, experts: float) -> float:
        """The mean square of the gradient of a logit, over that of an expert's weight."""
        if self.normalized:
            return (1 - 1 / top) / (top * experts) / (4 if self.sigmoid else 1)
        if self.sigmoid:
            return top / (16 * experts)
        return top * (1 - 1 / experts) / experts**3


class MixedNode(ProductNode):
    """The sum of what experts give, weighted by scores of the `top` of them that a router takes."""

    __slots__ = ("share", "top")

    def __init__(
        self,
        weights: Node,
        expert: Node,
        lacking: Size,
        top: Size,
        share: Share,
        span: Span = START,
    ) -> None:
        self.top = top
        self.share = share
        context = weights.context
        super().__init__(context, weights, expert, context.one, (lacking, context.one), span)


class QuotientNode(Node):
    """`z = x / y` where y is positive and nowhere far below its size; it may lack axes of x.

    What starts at zero is taken to be held up by an epsilon, as in a norm.
    """

    __slots__ = ("broadcast",)

    def __init__(
        self, context: Context, x: Node, y: Node, broadcast: Size, span: Span = START
    ) -> None:
        super().__init__(context, (x, y), span)
        self.broadcast = broadcast  # the size of the axes that y lacks
        self.centred = x.centred

    def exactly(self) -> Fraction | None:
        return Fraction(0) if self.inputs[0].exact == 0 else None

    def _under(self, size: Size) -> Size:
        return self.context.one if self.inputs[1].s0.is_zero else size

    @property
    def _y(self) -> Size:
        return self._under(self.inputs[1].s)

    def initial(self) -> Size:
        x, y = self.inputs
        return x.s0 - self._under(y.s0)

    def gains(self) -> Sequence[Size]:
        return (-self._y, self.inputs[0].s - self._y - self._y)

    def back_initial(self) -> Sequence[Size]:
        x, y = self.inputs
        under = self._under(y.s0)
        return (-under, x.s0 - under - under + self.broadcast.half())

    def back_gains(self) -> Sequence[Size]:
        to_x, to_y = self.gains()
        return (to_x, to_y + self.broadcast)

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x, y = self.inputs
        square = self._y + self._y
        changes = ((d, e + x.s - self._y) for d, e in ((x.dc, y.dc), (x.dr, y.dr)))
        coherent, random = (d | e for d, e in changes)
        return (
            (0, y.dc - square, y.dr - square),
            (1, coherent - square + self.broadcast, random - square + self.broadcast),
        )

    def limits(self) -> Iterable[tuple[int, Limit]]:
        x, y = self.inputs
        return ((0, operand(x, self.after - factors_of(y))), (1, Limit("norm", self._under(y.s0))))

    def cause(self, index: int) -> str:
        return "divided by" if index else "over"
