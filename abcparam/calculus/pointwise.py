"""Nonlinearities: sizes pass, bounded ones saturate; they mean something only at inputs of Θ(1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.draws import Draws
from abcparam.calculus.kept import mean_of_ones
from abcparam.calculus.node import Context, Limit, Node, operand
from abcparam.diagnostics.source import START, Span


class FunctionTraits(NamedTuple):
    """What a law needs to know of a function.

    Is it bounded? Is phi(0) = 0? Is phi'(0) = 0? Is it odd? Is phi(k x) = k^degree phi(x), for
    every k > 0? Degree 0 is log's: a factor of what is positive is a summand of it. `value` is phi
    itself, where its values are known; `exact` the rational numbers among them, and `saturated`
    says of which of these phi' is zero, and all around but for an end. `steps`: whether it is flat
    but for steps of Θ(1).
    """

    name: str
    bounded: bool = False
    zero_at_zero: bool = True
    flat_at_zero: bool = False
    odd: bool = False
    degree: int = 1
    homogeneous: bool = False
    value: Callable[[float], float] | None = None
    exact: Callable[[Fraction], Fraction | None] = lambda _: None
    saturated: Callable[[Fraction], bool] = lambda _: False
    steps: bool = False

    @property
    def is_square(self) -> bool:
        """Whether phi(x) is x * x, but for a constant."""
        return self.degree == 2 and self.homogeneous

    def exactly(self, x: Fraction) -> Fraction | None:
        """phi(x), None where that is no rational number or not known."""
        return x if x == 0 and self.zero_at_zero else self.exact(x)


class PointwiseNode(Node):
    """`phi(x)`."""

    __slots__ = ("shape",)

    def __init__(
        self, context: Context, x: Node, shape: FunctionTraits, span: Span = START
    ) -> None:
        super().__init__(context, (x,), span)
        self.shape = shape
        self.centred = x.centred and shape.odd
        self.draws = x.draws if shape.odd else self._bent(x.draws)
        self._settle()

    def _bent(self, draws: Draws) -> Draws:
        if draws.is_zero and self.shape.zero_at_zero:
            return draws
        return draws._replace(odd=0) if self.shape.degree == 2 else draws.bent()

    def exactly(self) -> Fraction | None:
        x = self.inputs[0].exact
        return None if x is None else self.shape.exactly(x)

    def release(self) -> Size | None:
        inner = self.inputs[0].released
        return None if inner is None else self.size_at(inner)

    def initial(self) -> Size:
        return self.size_at(self.inputs[0].s0)

    def size_at(self, size: Size) -> Size:
        """Its size where its input is of this one."""
        if self.shape.degree != 1:
            size = size + size if self.shape.degree else self.context.one
        if not self.shape.zero_at_zero:
            size = size | self.context.one
        return self.clamp(size)

    def mean(self) -> Size:
        return self.s0

    def differing(self) -> Size:
        """Of what is nearly the same at all coordinates it makes what is no less so."""
        x = self.inputs[0]
        if x.spread is x.s0 and self.shape.zero_at_zero:
            return self.s0
        return self.clamp(x.spread + self._slope(x.s0))

    def _slope(self, size: Size) -> Size:
        """The size of its derivative at a value of this one."""
        match self.shape.degree:
            case 0:
                return -size
            case 2:
                return size
        return self.context.one

    def clamp(self, change: Size) -> Size:
        return change & self.context.one if self.shape.bounded else change

    def gains(self) -> Sequence[Size]:
        """Steps are crossed where a value is within its change of one, and then changed by Θ(1)."""
        x, one = self.inputs[0], self.context.one
        if self.shape.steps:
            return (-(x.d & one).half() if x.d.vectors else one,)
        return (self._slope(x.s),)

    def bound_gains(self) -> Sequence[Size]:
        return (self._slope(self.inputs[0].s),)

    def change_mean(self) -> Size:
        """Of an input that starts at zero the function is taken of the change itself."""
        starts = self.inputs[0].s0.is_zero and not self.draws.cancels
        return self.dr if starts else super().change_mean()

    def aligned(self) -> Size:
        """All steps are crossed in the direction of the change: of so many, that is their mean."""
        (x,) = self.inputs
        return self.clamp(x.along_to(self)) if self.shape.steps else self.passed_along()

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        return self.passed_back()

    @property
    def _saturates(self) -> bool:
        """Whether it starts at a number where the function is flat, as relu is at -1."""
        start = self.inputs[0].exact
        return start is not None and self.shape.saturated(start)

    def back_initial(self) -> Sequence[Size]:
        x = self.inputs[0]
        gone = self._saturates or (self.shape.flat_at_zero and x.s0.is_zero)
        return (self.context.zero if gone else self._slope(x.s0),)

    def back_gains(self) -> Sequence[Size]:
        x = self.inputs[0]
        gone = self.shape.flat_at_zero and x.s.is_zero
        gone = gone or (self._saturates and x.d.is_zero)
        return (self.context.zero if gone else self._slope(x.s),)

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x = self.inputs[0]
        if self.shape.degree == 2:
            return ((0, x.dc, x.dr),)
        if x.s.is_zero:
            return ()
        turns = self._slope(x.s) - x.s
        return ((0, x.dc + turns, x.dr + turns),)

    def limits(self) -> Iterable[tuple[int, Limit]]:
        """A square is a product, whose operands may be of any size; a factor of it is of both."""
        if self.shape.is_square:
            one = self.context.one
            factor = one if self.after is one else self.after.half()
            return ((0, operand(self.inputs[0], factor)),)
        kind = "pointwise" if self.shape.degree else "logarithm"
        return ((0, Limit(kind, self.context.one)),)

    @property
    def title(self) -> str:
        return self.shape.name


class SoftmaxNode(Node):
    """`softmax(x)` over a finite axis, of that length: its logits must be O(1).

    Of one logit it is the number 1, whatever that is.
    """

    __slots__ = ("of_one",)

    def __init__(
        self, context: Context, x: Node, span: Span = START, length: Polynomial | None = None
    ) -> None:
        super().__init__(context, (x,), span)
        self.kept_mean = mean_of_ones(length, context.one)
        self.of_one = length == ONE
        self.centred = False
        self.draws = x.draws.bent()
        self._settle()

    def exactly(self) -> Fraction | None:
        return Fraction(1) if self.of_one else None

    def gains(self) -> Sequence[Size]:
        return (self.context.zero if self.of_one else self.context.one,)

    def back_initial(self) -> Sequence[Size]:
        return self.gains()

    def initial(self) -> Size:
        return self.context.one

    def mean(self) -> Size:
        return self.s0

    def clamp(self, change: Size) -> Size:
        return change & self.context.one

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x = self.inputs[0]
        return () if self.of_one else ((0, self.clamp(x.dc), self.clamp(x.dr)),)

    def limits(self) -> Iterable[tuple[int, Limit]]:
        return () if self.of_one else ((0, Limit("softmax", self.context.one)),)


class LogSoftmaxNode(SoftmaxNode):
    """`log(softmax(x))`, and `log(sum(exp(x)))` of which one is left: changes pass.

    What comes back is a gradient, less its sum in parts that a softmax gives.
    """

    __slots__ = ("operation",)

    def __init__(self, context: Context, x: Node, name: str, span: Span = START) -> None:
        super().__init__(context, x, span)
        self.operation = name
        self.kept_mean = None

    def initial(self) -> Size:
        return self.inputs[0].s0 | self.context.one

    def clamp(self, change: Size) -> Size:
        return change

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x, one = self.inputs[0], self.context.one
        return ((0, x.dc & one, x.dr & one),)

    @property
    def title(self) -> str:
        return self.operation
