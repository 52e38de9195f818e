"""Parts of the gradient of a tensor that the copies of an infinite repeat share.

Of one kind in all copies is what has a mean over the weights that a copy draws, and what the copy's
own maps learn. Other parts of L copies add up at random, and an update that they make is met by a
copy as far as it is its own.
"""

from __future__ import annotations

from collections.abc import Callable

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Node

StartAndChange = tuple[Size, Size]  # at init, and of the change


class Shares(NamedTuple):
    """Sizes of parts of a gradient, or the parts that they are of all of it.

    With g the gradient of a map's result and x its input in one copy: `own` is that of the copy at
    hand, `common` of what is of one kind in both, as x is met, and `common_back`, as g is. `strewn`
    is of what is so in x and random in g, `strewn_back` of what is in g and random in x.
    """

    own: Size
    common: Size
    common_back: Size
    strewn: Size
    strewn_back: Size

    def joined(self, other: Shares) -> Shares:
        """The larger of each."""
        return Shares(*(mine | theirs for mine, theirs in zip(self, other, strict=True)))

    def of(self, whole: Size) -> Shares:
        """The parts of the whole that they are."""
        return Shares(*(part.less(whole) for part in self))

    def added(self, copies: Size) -> Size:
        """What all copies add up to."""
        own, *others = self
        size = copies.half() + own
        for part in others:
            size = size | part
        return size

    def exceeds(self, other: Shares | None) -> bool:
        """Whether one of them is larger than before."""
        return other is None or any(x > y for x, y in zip(self, other, strict=True))


def gradient_parts(
    node: Node, copies: Size, product: Callable[[StartAndChange, StartAndChange], Size]
) -> Shares:
    """Those of a map's tensor; `product` makes its gradient of g and x.

    What the copy's own maps make of one kind is so along no row of theirs: it counts as random
    behind them.
    """
    x, zero = node.inputs[0], node.context.zero
    gradient, value = (node.g0, node.gd), (x.s0, x.d)
    kind, mean = (node.gm, node.gc | node.gn), (x.m0, x.dc | x.dm)
    return Shares(
        product(gradient, value),
        copies + product((node.gm, node.gn), mean),
        copies + product(kind, (x.m0, x.dm)),
        (copies.half() + product(gradient, mean)) | (copies + product((zero, node.gc), mean)),
        (copies.half() + product(kind, value)) | (copies + product(kind, (zero, x.dc))),
    )
