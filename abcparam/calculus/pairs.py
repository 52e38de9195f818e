"""Maps of all products of a coordinate of one value and one of another: `W[k i j] x[i] y[j]`.

The products are as many as n^2, but a change of x or y changes them by an outer product, of rank
one. A random tensor does no more to such than its largest value on unit vectors, which is of the
root of its longest axis (Tomioka and Suzuki, arXiv 1407.1870); so initial weights meet a change
along one axis at a time, and along the others at random. An update is made of such products, and
meets them in full.
"""

from __future__ import annotations

from collections.abc import Iterable

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.bilinear import FactorNode
from abcparam.calculus.linear import LinearNode, sum_gain, update_gain
from abcparam.calculus.node import Context, Node
from abcparam.calculus.parameter import Parameter
from abcparam.diagnostics.source import START, Span


def pairs_gain(x: Size, y: Size, out: Size, alignment: str) -> Size:
    """Of random entries over products of x and y that point along the rows as far as they can."""
    return (sum_gain(x, out, alignment) + y.half()) | (x.half() + sum_gain(y, out, alignment))


class BackGains(NamedTuple):
    """Of a map of pairs, towards one of the two: through initial weights, and through updates."""

    start: Size
    update: Size


class PairsNode(FactorNode):
    """All products of a coordinate of x and one of y, for a map over both, which sets `reader`."""

    __slots__ = ("reader",)

    reader: PairsMapNode

    def aligned(self) -> Size:
        return self.d

    def back(self) -> Iterable[tuple[Node, Size, Size, Size]]:
        """What a change of the gradient gives goes through the map's tensor, not through pairs."""
        reader, zero = self.reader, self.context.zero
        for index, (initial, gain) in enumerate(
            zip(self.back_initial(), reader.gains_of_factors(), strict=True)
        ):
            x, other = self.inputs[index], self.inputs[1 - index]
            random = gain.start + other.s
            gc = (random + reader.gc) | (gain.start + other.dc + reader.g)
            gr = (random + reader.gr) | (gain.start + other.dr + reader.g)
            yield x, initial + self.g0, gc, gr
            yield x, zero, gain.update + other.s + reader.g, zero


class PairsMapNode(LinearNode):
    """A map over all products of two values."""

    __slots__ = ("factors",)

    def __init__(
        self,
        context: Context,
        parameter: Parameter,
        pairs: PairsNode,
        shared: Size,
        factors: tuple[Size, Size],
        out: Size,
        span: Span = START,
    ) -> None:
        x, y = self.factors = factors
        super().__init__(context, parameter, pairs, shared, span=span, rhos=(x + y, out))
        pairs.reader = self

    def _change_gain(self) -> Size:
        x, y = self.factors
        return self.parameter.sigma + pairs_gain(x, y, self.rho_out, self.context.alignment)

    def along_rows(self) -> Size:
        """No more than a change of one of the two is: products of both have rank one."""
        return pairs_gain(*self.factors, self.rho_out, "tensor-programs")

    def gains_of_factors(self) -> Iterable[BackGains]:
        """For x, then for y: by how much its gradient exceeds that of the map times the other."""
        x, y = self.factors
        for own, other in ((x, y), (y, x)):
            start = pairs_gain(other, self.rho_out, own, self.context.alignment)
            over = other + self.rho_out
            update = update_gain(self.parameter, over, own, self.context.alignment)
            yield BackGains(self.parameter.sigma + start, update)
