"""Layer, RMS, group and batch normalization: they divide by the size of their input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Context, Limit, Node
from abcparam.diagnostics.source import START, Span


class NormNode(Node):
    """`x / RMS(x)`. An input that starts at zero meets the epsilon: the identity below Θ(1)."""

    __slots__ = ("operation",)

    def __init__(
        self, context: Context, x: Node, name: str, centres: bool, span: Span = START
    ) -> None:
        super().__init__(context, (x,), span)
        self.operation = name
        self.centred = centres or x.centred

    def initial(self) -> Size:
        return self.context.zero if self.inputs[0].s0.is_zero else self.context.one

    def _divided(self) -> Size:
        """What the forward pass subtracts from a change."""
        x = self.inputs[0]
        return self.context.one if x.s0.is_zero else x.s

    def gains(self) -> Sequence[Size]:
        return (-self._divided(),)

    def clamp(self, change: Size) -> Size:
        return change & self.context.one if self.inputs[0].s0.is_zero else change

    def _back(self, size: Size) -> Size:
        return -(size | self.context.one) if self.inputs[0].s0.is_zero else -size

    def aligned(self) -> Size:
        return self.passed_along()

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        return self.passed_back()

    def back_initial(self) -> Sequence[Size]:
        return (self._back(self.inputs[0].s0),)

    def back_gains(self) -> Sequence[Size]:
        return (self._back(self.inputs[0].s),)

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x = self.inputs[0]
        if x.s.is_zero:
            return ()
        back = self._back(x.s)
        return ((0, x.dc - x.s + back, x.dr - x.s + back),)

    def limits(self) -> Iterable[tuple[int, Limit]]:
        x = self.inputs[0]
        return ((0, Limit("norm", self.context.one if x.s0.is_zero else x.s0)),)

    @property
    def title(self) -> str:
        return self.operation
