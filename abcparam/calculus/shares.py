"""Parts of the gradient of a tensor that the copies of an infinite repeat share.

Of one kind in all copies is what has a mean over the weights that a copy draws, and what the copy's
own maps learn. Other parts of L copies add up at random, and an update that they make is met by a
copy as far as it is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Context, Node
from abcparam.diagnostics.source import START, Span

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


def parts_of_map(
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


def parts_of_value(node: Node, copies: Size) -> Shares:
    """Those of a tensor that is a value, which all copies meet in full.

    What the copy's own maps make of one kind is so along no row of theirs here too.
    """
    common, zero = copies + (node.gm | node.gn), node.context.zero
    return Shares(node.g, common, zero, (copies.half() + node.g) | (copies + node.gc), zero)


class SharedNode(Node):
    """What a tensor gives: copies of an infinite repeat may have it in common.

    `is_parted`: whether they do, and its update is taken apart; `shares` are then the parts of its
    gradient, the largest so far, and `parts_grew` says whether one is larger than before.
    """

    __slots__ = ("is_parted", "parts_grew", "shares")

    def __init__(self, context: Context, inputs: Sequence[Node], span: Span = START) -> None:
        super().__init__(context, inputs, span)
        self.is_parted = self.parts_grew = False
        self.shares: Shares | None = None

    def gradient_parts(self, copies: Size) -> Shares:
        """Sizes of the parts of its tensor's gradient."""
        raise NotImplementedError

    def gradient_of_copies(self) -> Size:
        if not self.is_parted:
            return super().gradient_of_copies()
        copies = self.repeated or self.context.one
        return self.gradient_parts(copies).added(copies)

    def part(self) -> None:
        """Takes the parts of its tensor's gradient, the largest so far."""
        whole, before = self.gradient_of_copies(), self.shares
        self.parts_grew = False
        if not whole.is_zero:
            found = self.gradient_parts(self.repeated or self.context.one).of(whole)
            self.shares = found if before is None else before.joined(found)
            self.parts_grew = self.shares.exceeds(before)

    def begin(self) -> None:
        super().begin()
        self.shares = None

    def state(self) -> tuple[Any, ...]:
        return (*super().state(), self.shares)

    def restore(self, state: tuple[Any, ...]) -> None:
        super().restore(state)
        self.shares = state[-1]
