"""Layer, RMS, group and batch normalization: they divide by the size of their input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from abcparam.algebra.sizes import Size
from abcparam.calculus.kept import of_number
from abcparam.calculus.node import Context, Limit, Node
from abcparam.diagnostics.source import START, Span


class NormNode(Node):
    """`x / RMS(x)`. An input that starts at zero meets the epsilon: the identity below Θ(1).

    So does one of which nothing is left where its mean is subtracted, which it is if it `centres`.
    `allowed` is how far its input may change, in place of what that starts at if it starts smaller.
    `over_places`: whether each feature is over its own RMS, less its own mean, at all places;
    `in_groups`: whether features are taken together with places.
    """

    __slots__ = ("allowed", "centres", "in_groups", "operation", "over_places")

    def __init__(
        self,
        context: Context,
        x: Node,
        name: str,
        centres: bool,
        span: Span = START,
        over_places: bool = False,
        in_groups: bool = False,
    ) -> None:
        super().__init__(context, (x,), span)
        self.operation = name
        self.centres = centres
        self.over_places = over_places
        self.in_groups = in_groups
        self.allowed = context.zero
        self.centred = self.centres_features or x.centred
        if self.centres_features and not in_groups:
            self.kept_mean = of_number(Fraction(0), context.one)
        self._settle()

    def exactly(self) -> Fraction | None:
        """Zero of zero, and of any number from which it subtracts the mean."""
        x = self.inputs[0].exact
        return Fraction(0) if x == 0 or (self.centres and x is not None) else None

    def begin(self) -> None:
        super().begin()
        x = self.inputs[0]
        few = self.context.one if x.comes_from_contraction else x.released
        self.allowed = self.context.zero if few is None else few

    def initial(self) -> Size:
        return self.context.zero if self._starts.is_zero else self.context.one

    def differing(self) -> Size:
        x = self.inputs[0]
        whole = self._starts is x.spread or self._starts.is_zero
        return self.s0 if whole else x.spread - self._starts

    def mean(self) -> Size:
        """A mean that is the same at all coordinates is subtracted by a norm that centres."""
        x = self.inputs[0]
        if x.m0.is_zero or (self.centres_features and x.draws.alike):
            return self.context.zero
        return x.m0 - self._starts

    @property
    def centres_features(self) -> bool:
        """Whether it subtracts the mean over features."""
        return self.centres and not self.over_places

    @property
    def _starts(self) -> Size:
        """What it divides by at init."""
        x = self.inputs[0]
        return x.spread if self.centres else x.s0

    @property
    def _size(self) -> Size:
        """What it divides by."""
        x = self.inputs[0]
        return x.s if self._starts is x.s0 else self._starts | x.d

    def _divided(self) -> Size:
        """What the forward pass subtracts from a change."""
        return self.context.one if self._starts.is_zero else self._size

    def gains(self) -> Sequence[Size]:
        return (-self._divided(),)

    def clamp(self, change: Size) -> Size:
        return change & self.context.one if self._starts.is_zero else change

    def _back(self, size: Size) -> Size:
        return -(size | self.context.one) if self._starts.is_zero else -size

    def aligned(self) -> Size:
        return self.passed_along()

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        return self.passed_back()

    def back_initial(self) -> Sequence[Size]:
        """Of few numbers that have learnt, less: the first gradient met the first values alone."""
        return (self._back(self._size & (self._starts | self.allowed)),)

    def back_gains(self) -> Sequence[Size]:
        return (self._back(self._size),)

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x = self.inputs[0]
        size = self._size
        if size.is_zero:
            return ()
        back = self._back(size)
        return ((0, x.dc - size + back, x.dr - size + back),)

    def limits(self) -> Iterable[tuple[int, Limit]]:
        """What is of few numbers may start below Θ(1): its first change is then all of it."""
        starts = self.context.one if self._starts.is_zero else self._starts
        return ((0, Limit("norm", starts | self.allowed)),)

    @property
    def title(self) -> str:
        return self.operation
