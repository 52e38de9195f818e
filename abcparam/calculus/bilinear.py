"""Products of two activations: elementwise, inner products, attention's weighted sums.

The sum over a contracted axis obeys the central limit at init where the factors came from different
maps or rows of one map. It is aligned otherwise and for every change (which is why attention logits
want 1/d and not 1/sqrt(d): arXiv 2203.03466, Definition 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Context, Limit, Node, operand
from abcparam.diagnostics.source import START, Span


class ProductNode(Node):
    """`z = sum over r of x * y`.

    `contracted` is the size of r, `broadcast` those of the axes each factor lacks.
    """

    __slots__ = ("broadcast", "contracted")

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
        self.centred = self.independent and (x.centred or y.centred)

    @property
    def independent(self) -> bool:
        """Whether the factors last came from different maps, or from different rows of one."""
        x, y = self.inputs
        return x.apart_from(y)

    def initial(self) -> Size:
        x, y = self.inputs
        return x.s0 + y.s0 + (self.contracted.half() if self.independent else self.contracted)

    def _aligned(self) -> Size:
        return self.contracted.half() if self.context.alignment == "none" else self.contracted

    def gains(self) -> Sequence[Size]:
        x, y = self.inputs
        summed = self._aligned()
        return (y.s + summed, x.s + summed)

    def aligned(self) -> Size:
        """A factor that is the same all along an axis points where the other one does."""
        if self.contracted > self.context.one:
            return self.d
        size = self.context.zero
        for index, lacking in enumerate(self.broadcast):
            x, other = self.inputs[index], self.inputs[1 - index]
            if x.d.vectors:
                spread = x.d + ((other.s - lacking.half()) | other.along)
                size = size | (spread if lacking > self.context.one else x.along + other.s)
        return size

    def back_initial(self) -> Sequence[Size]:
        x, y = self.inputs
        return (y.s0 + self.broadcast[0].half(), x.s0 + self.broadcast[1].half())

    def back_gains(self) -> Sequence[Size]:
        x, y = self.inputs
        return (y.s + self.broadcast[0], x.s + self.broadcast[1])

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        x, y = self.inputs
        left, right = self.broadcast
        return ((0, y.dc + left, y.dr + left), (1, x.dc + right, x.dr + right))

    def limits(self) -> Iterable[tuple[int, Limit]]:
        return ((0, operand(self.inputs[0])), (1, operand(self.inputs[1])))

    def cause(self, index: int) -> str:
        other = self.inputs[1 - index]
        over = "" if self.contracted == self.context.one else f", aligned over {self.contracted}"
        return f"times {other.name or other.title} ({other.s}){over}"
