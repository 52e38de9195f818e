"""What moves values about: sums, factors, means, reshapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from abcparam.algebra.sizes import Size
from abcparam.calculus.draws import CONSTANT, Draws, of_sum
from abcparam.calculus.kept import of_kept_terms
from abcparam.calculus.node import Context, Node
from abcparam.diagnostics.source import START, Span


class SumNode(Node):
    """`x + y`, or `x - y`. `broadcast` is the size of the axes that each input lacks.

    `shares` is the part of the value that each input is, the largest so far, where changes of the
    gradient are followed input by input.
    """

    __slots__ = ("broadcast", "shares", "subtracts")

    def __init__(
        self,
        context: Context,
        inputs: Sequence[Node],
        broadcast: Sequence[Size],
        span: Span = START,
        subtracts: bool = False,
    ) -> None:
        super().__init__(context, inputs, span)
        self.broadcast = tuple(broadcast)
        self.subtracts = subtracts
        self.centred = all(centred_along(inputs, broadcast))
        self.comes_from_contraction = any(few_along(inputs, broadcast))
        few = all(x.of_few or x.exact == 0 for x in inputs)
        self.of_few = few or self.comes_from_contraction
        self.weighs = self.weighs and not any(size > context.one for size in broadcast)
        self.shares: dict[Node, Size] | None = None
        self.kept_mean = of_kept_terms([x.kept_mean for x in inputs], subtracts)
        self.draws = of_sum(stretched(inputs, broadcast))
        self._settle()

    def exactly(self) -> Fraction | None:
        total = Fraction(0)
        for index, x in enumerate(self.inputs):
            if x.exact is None:
                return None
            total += -x.exact if index and self.subtracts else x.exact
        return total

    def weigh(self) -> bool:
        """Takes the shares of its inputs; says whether one of them is less than all of it."""
        one, whole, found = self.context.one, self.s, False
        for x, share in (self.shares or {}).items():
            part = x.s
            largest = one if part >= whole else share | part.less(whole)
            assert self.shares is not None
            self.shares[x] = largest
            found = found or largest < one
        return found

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        """A gradient's change along the sum points along each of its terms as far as it is one."""
        shares = self.shares or {}
        for x, along in self.passed_back():
            yield x, along + shares[x] if x in shares else along

    def state(self) -> tuple[Any, ...]:
        return (*super().state(), None if self.shares is None else dict(self.shares))

    def restore(self, state: tuple[Any, ...]) -> None:
        super().restore(state)
        self.shares = state[-1]

    def release(self) -> Size | None:
        size = self.context.zero
        for term in self.inputs:
            if not term.s0.is_zero:
                if term.released is None:
                    return None
                size = size | term.released
        return size

    def differing(self) -> Size:
        return largest_spread(self)

    def aligned(self) -> Size:
        """A change that is the same all along an axis points nowhere in particular."""
        size = self.context.zero
        for lacking, x in zip(self.broadcast, self.inputs, strict=True):
            along = x.along_to(self)
            if along.vectors:
                size = size | (along - lacking.half())
        return size

    def back_initial(self) -> Sequence[Size]:
        return [size.half() for size in self.broadcast]

    def back_gains(self) -> Sequence[Size]:
        return self.broadcast

    def cause(self, index: int) -> str:
        return "added"


class ConcatNode(SumNode):
    """Values side by side along an axis: as large as the largest."""

    __slots__ = ()

    def __init__(
        self,
        context: Context,
        inputs: Sequence[Node],
        broadcast: Sequence[Size],
        span: Span = START,
    ) -> None:
        super().__init__(context, inputs, broadcast, span)
        self.weighs = False  # parts may be copies of one another
        self.kept_mean = None
        if self.exact is None:
            self.draws = self.draws._replace(alike=False)

    def exactly(self) -> Fraction | None:
        return same_number(self.inputs)


class CopiesNode(SumNode):
    """Every coordinate several times; `alike`: copies of a single one."""

    __slots__ = ("alike",)

    def __init__(
        self, context: Context, x: Node, copies: Size, alike: bool, span: Span = START
    ) -> None:
        super().__init__(context, (x,), (copies,), span)
        self.alike = alike
        self.kept_mean = None

    def exactly(self) -> Fraction | None:
        return same_number(self.inputs)

    def differing(self) -> Size:
        return self.context.zero if self.alike else super().differing()


class SameNode(Node):
    """What leaves sizes as they are: reshapes, slices, rotary positions, pooling."""

    __slots__ = ()

    def release(self) -> Size | None:
        return self.inputs[0].released if len(self.inputs) == 1 else None

    def differing(self) -> Size:
        return largest_spread(self)

    def aligned(self) -> Size:
        return self.passed_along()

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        return self.passed_back()


class SelectNode(SameNode):
    """Some of the coordinates."""

    __slots__ = ()

    def exactly(self) -> Fraction | None:
        return same_number(self.inputs)


class DroppedNode(SameNode):
    """Each coordinate kept at random, and divided by how likely that is.

    `kept` is the probability, as a size.
    """

    __slots__ = ("kept",)

    def __init__(self, context: Context, x: Node, kept: Size, span: Span = START) -> None:
        super().__init__(context, (x,), span)
        self.kept = kept


class LargestNode(Node):
    """The largest of finitely many coordinates: which of them it is may change.

    These are of one value, `window` of them, as a size, or a coordinate of each of several values.
    """

    __slots__ = ("window",)

    def __init__(
        self,
        context: Context,
        inputs: Sequence[Node],
        span: Span = START,
        window: Size | None = None,
    ) -> None:
        super().__init__(context, inputs, span)
        self.window = context.one if window is None else window
        self.centred = False
        self.draws = self.draws.bent()
        self._settle()

    def exactly(self) -> Fraction | None:
        return same_number(self.inputs)

    def mean(self) -> Size:
        return self.s0

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        size = coherent = random = self.context.zero
        for x in self.inputs:
            size, coherent, random = size | x.s, coherent | x.dc, random | x.dr
        if size.is_zero:
            return ()
        return ((i, coherent - size, random - size) for i in range(len(self.inputs)))


class ScaleNode(Node):
    """A constant factor: it adds its exponent everywhere. `number`: which one, where it is one."""

    __slots__ = ("factor", "number")

    def __init__(
        self,
        context: Context,
        x: Node,
        factor: Size,
        span: Span = START,
        number: Fraction | None = None,
    ) -> None:
        super().__init__(context, (x,), span)
        self.factor = factor
        self.number = number
        self.kept_mean = x.kept_mean and x.kept_mean.times(number, factor)
        self._settle()

    def exactly(self) -> Fraction | None:
        x = self.inputs[0].exact
        if x == 0 or self.number == 0:
            return Fraction(0)
        return None if x is None or self.number is None else x * self.number

    def release(self) -> Size | None:
        inner = self.inputs[0].released
        return None if inner is None else inner + self.factor

    def initial(self) -> Size:
        return self.factor + self.inputs[0].s0

    def mean(self) -> Size:
        return self.factor + self.inputs[0].m0

    def differing(self) -> Size:
        (x,) = self.inputs
        return self.s0 if x.spread is x.s0 else self.factor + x.spread

    def gains(self) -> Sequence[Size]:
        return (self.factor,)

    def aligned(self) -> Size:
        return self.passed_along()

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        return self.passed_back()

    def back_initial(self) -> Sequence[Size]:
        return (self.factor,)

    def cause(self, index: int) -> str:
        return f"times the constant {self.factor}"


def factors_of(node: Node) -> Size:
    """The constant factors that a value has."""
    if not isinstance(node, ScaleNode):
        return node.context.one
    return node.factor + factors_of(node.inputs[0])


def take_factors_after(nodes: Sequence[Node], outputs: Sequence[Node]) -> None:
    """Tells each node by which constant factors all that reads it multiplies it."""
    found: dict[Node, Size | None] = dict.fromkeys(outputs)
    for node in reversed(nodes):
        after = found.get(node)
        node.after = node.context.one if after is None else after
        factor = after if isinstance(node, (SameNode, SumNode, MeanNode)) else None  # linear
        if isinstance(node, ScaleNode):
            factor = node.factor + node.after
        for x in node.inputs:
            known = found.get(x, factor)
            found[x] = None if known is None or factor is None else known | factor


class RescaleNode(ScaleNode):
    """A constant factor of values, and another of gradients.

    What lies before it gets a gradient that is no derivative, but points along one: changes are
    aligned as they would be.
    """

    __slots__ = ("backward",)

    def __init__(
        self, context: Context, x: Node, forward: Size, backward: Size, span: Span = START
    ) -> None:
        super().__init__(context, x, forward, span)
        self.backward = backward

    def back_initial(self) -> Sequence[Size]:
        return (self.backward,)


class MeanNode(Node):
    """The mean over an axis of size `rho`.

    The central limit holds at init where x is centred, and never for changes. Over the last axis
    of what keeps its mean there it is a number: what a softmax sums to, and zero of a layer norm.
    """

    __slots__ = ("kept", "rho")

    def __init__(
        self, context: Context, x: Node, rho: Size, span: Span = START, last: bool = False
    ) -> None:
        super().__init__(context, (x,), span)
        self.rho = rho
        self.kept_mean = x.kept_mean  # of a number itself, or of the axis that is left
        self.kept = x.kept_mean if last else None
        if self.kept is not None:
            self.centred, self.draws = False, CONSTANT
            self._settle()

    def exactly(self) -> Fraction | None:
        known = None if self.kept is None else self.kept.constant
        return same_number(self.inputs) if known is None else known

    def initial(self) -> Size:
        x = self.inputs[0]
        if self.kept is not None:
            return self.kept.size
        return x.s0 - self.rho.half() if x.centred else x.s0

    def mean(self) -> Size:
        x = self.inputs[0]
        return x.m0 - self.rho.half() if x.centred and x.m0.vectors else x.m0

    def differing(self) -> Size:
        return super().differing() if self.kept is None else self.context.zero

    def gains(self) -> Sequence[Size]:
        return (self.context.one if self.kept is None else self.context.zero,)

    def back_initial(self) -> Sequence[Size]:
        return (-self.rho if self.kept is None else self.context.zero,)


def same_number(nodes: Sequence[Node]) -> Fraction | None:
    """The number that all of them are, where they are one and the same."""
    first, *others = (x.exact for x in nodes)
    return first if all(other == first for other in others) else None


def centred_along(inputs: Sequence[Node], broadcast: Sequence[Size]) -> Iterator[bool]:
    """Per input, whether its coordinates have mean zero along the axes that it lacks too.

    What is the same all along an axis is its own mean there.
    """
    for x, lacking in zip(inputs, broadcast, strict=True):
        yield x.centred and (x.draws.is_zero or not lacking > x.context.one)


def few_along(inputs: Sequence[Node], broadcast: Sequence[Size]) -> Iterator[bool]:
    """Per input, whether it is what a map that contracts gives, and what it is in is as few."""
    for x, lacking in zip(inputs, broadcast, strict=True):
        yield x.comes_from_contraction and not lacking > x.context.one


def stretched(inputs: Sequence[Node], broadcast: Sequence[Size]) -> list[Draws]:
    """The draws of inputs that are the same all along the axes that they lack."""
    one = inputs[0].context.one
    return [
        x.draws._replace(alike=True) if not x.draws.alike and lacking > one else x.draws
        for x, lacking in zip(inputs, broadcast, strict=True)
    ]


def largest_spread(node: Node) -> Size:
    """What differs between coordinates of a value that has all its inputs' coordinates."""
    if all(x.spread is x.s0 for x in node.inputs):
        return node.s0
    size = node.context.zero
    for x in node.inputs:
        size = size | x.spread
    return size
