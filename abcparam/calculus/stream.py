"""Infinite repeats of a residual stream, `x = x + f(x)`, kept as one copy.

What the branches give at init adds up over L copies at random (`L^(1/2)`), and coherently (`L`) as
far as its mean over the weights that a copy draws is not zero. What their own tensors' updates give
adds up coherently, and what came in through the stream as the branches' values do. On entering a
block the stream's whole change is random with respect to the block's weights; so is the gradient on
entering it backwards, and so are values from outside that every copy reads. The rules of TP-VI
(arXiv 2310.02244: branches times `L^(-1/2)`, their means subtracted) and CompleteP (arXiv
2505.01618: `L^-1`) follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from abcparam.algebra.sizes import Size
from abcparam.calculus.draws import GIVEN
from abcparam.calculus.node import ChangeBounds, Context, Node
from abcparam.calculus.structure import SameNode, SumNode
from abcparam.diagnostics.source import Span


class EnterNode(Node):
    """The stream at the entrance of any copy.

    `side` is what the branches' gradients add to it in one copy, `side_means` the means of that.
    """

    __slots__ = ("branches", "last", "rho", "side", "side_means", "stream", "users")

    def __init__(self, context: Context, outer: Node, rho: Size) -> None:
        super().__init__(context, (outer,), outer.span)
        self.draws = GIVEN
        self.weighs = False
        self.rho = rho
        self.branches: tuple[Node, ...] = ()
        self.stream: set[int] = {id(self)}
        self.users: tuple[Node, ...] = ()
        self.last: Node = self  # the stream at the exit of a copy
        self.side = (context.zero,) * 3
        self.side_means = (context.zero,) * 2

    def state(self) -> tuple[Any, ...]:
        return (*super().state(), self.side, self.side_means)

    def restore(self, state: tuple[Any, ...]) -> None:
        super().restore(state)
        *_, self.side, self.side_means = state

    def close(self, result: Node, inside: Sequence[Node]) -> tuple[Node, ...] | None:
        """Finds the branches that are added between the entrance and `result`.

        None if it is no such chain, or one that changes the stream's sign in each copy.
        """
        branches: list[Node] = []
        chain: list[Node] = []
        node, sign = result, 1
        while node is not self:
            step = self._step(node)
            if step is None:
                return None
            chain.append(node)
            if subtracts(node, step[0]):
                sign = -sign
            node, branch = step
            branches.append(branch)
        if sign < 0:
            return None
        self.stream |= {id(link) for link in chain}
        self.branches = tuple(branches[::-1])
        self.last = result
        self.users = tuple(n for n in inside if n not in chain and self._uses(n))
        return self.branches

    def _uses(self, node: Node) -> bool:
        return any(id(x) in self.stream for x in node.inputs)

    def _step(self, node: Node) -> tuple[Node, Node] | None:
        """The stream and the branch that a sum adds, None if the node is no such sum."""
        if not isinstance(node, SumNode) or len(node.inputs) != 2:
            return None
        left, right = (self._comes_from_here(x) for x in node.inputs)
        if left is right:  # none is the stream, or it is added to itself
            return None
        x, y = node.inputs
        return (x, y) if left else (y, x)

    def _comes_from_here(self, node: Node) -> bool:
        """Whether the node is the entrance, or a sum that leads to it."""
        waiting, seen = [node], set[int]()
        while waiting:
            found = waiting.pop()
            if found is self:
                return True
            if isinstance(found, SumNode) and id(found) not in seen:
                seen.add(id(found))
                waiting += found.inputs
        return False

    # Forward: sizes at init and changes add up over the copies

    def exactly(self) -> Fraction | None:
        return None

    def initial(self) -> Size:
        size = self.inputs[0].s0
        for branch in self.branches:
            size = size | (self.rho.half() + branch.s0)
            if branch.m0.vectors:
                size = size | (self.rho + branch.m0)
        return size

    def differing(self) -> Size:
        """Without the means that are the same at all coordinates."""
        start = self.inputs[0]
        alike = [b.draws.alike and bool(b.m0.vectors) for b in self.branches]
        if start.spread is start.s0 and not any(alike):
            return self.s0
        size = start.spread
        for branch, same in zip(self.branches, alike, strict=True):
            size = size | (self.rho.half() + branch.spread)
            if branch.m0.vectors and not same:
                size = size | (self.rho + branch.m0)
        return size

    def change(self) -> tuple[Size, Size]:
        random = self.inputs[0].d
        for branch in self.branches:
            random = random | (self.rho + branch.dc) | (self.rho.half() + branch.dr)
            if branch.dm.vectors:
                random = random | (self.rho + branch.dm)
        return self.context.zero, random

    def change_mean(self) -> Size:
        return self.dr

    # Backward: the gradient of the stream at any copy, from what leaves and what the branches add

    def collect(self) -> None:
        """Gathers what the branches' gradients add to the stream in one copy."""
        g0, gc, gr = (self.context.zero,) * 3
        for user in self.users:
            for x, initial, coherent, random in user.back():
                if id(x) in self.stream:
                    g0, gc, gr = g0 | initial, gc | coherent, gr | random
        self.side = (g0, gc, gr)
        self.side_means = self._collect_means()

    def _collect_means(self) -> tuple[Size, Size]:
        gm, gn = (self.context.zero,) * 2
        for user in self.users:
            if user.gm.vectors or user.gn.vectors:
                for x, initial, random in user.back_mean():
                    if id(x) in self.stream:
                        gm, gn = gm | initial, gn | random
        return gm, gn

    def stream_gradient(self, g0: Size, gd: Size) -> tuple[Size, Size]:
        """The stream's gradient at init and its change at any copy, from those at the exit."""
        return _over_copies(self.rho, (g0, gd), self.side, self.side_means)

    def back(self) -> Iterable[tuple[Node, Size, Size, Size]]:
        yield self.inputs[0], self.g0, self.gd, self.context.zero

    def back_mean(self) -> Iterable[tuple[Node, Size, Size]]:
        return ()

    # Bounds

    def bound_back(self, bounds: ChangeBounds) -> Iterable[tuple[Node, ChangeBounds]]:
        random = bounds.random & bounds.mean
        yield self.inputs[0], ChangeBounds(random, random, self.context.unbounded)
        for branch in self.branches:
            yield branch, self.bounds_of_branch(random)

    def bounds_of_branch(self, bound: Size) -> ChangeBounds:
        """The bounds on a branch's change that one on the stream's sets."""
        coherent = bound - self.rho
        return ChangeBounds(coherent, bound - self.rho.half(), coherent)

    # For people

    def initial_sources(self) -> list[tuple[Size, Node, str]]:
        start, zero = self.inputs[0], self.context.zero
        parts = [(branch, zero, branch.s0, branch.m0) for branch in self.branches]
        return [(start.s0, start, "entering the repeat"), *self._added(parts)]

    def sources(self) -> list[tuple[Size, Node, str]]:
        start = self.inputs[0]
        parts = [(branch, branch.dc, branch.dr, branch.dm) for branch in self.branches]
        return [(start.d, start, "entering the repeat"), *self._added(parts)]

    def _added(
        self, parts: Sequence[tuple[Node, Size, Size, Size]]
    ) -> Iterable[tuple[Size, Node, str]]:
        """What the branches add, from the coherent part, the random one and its mean of each."""
        copies = f"added up over {self.rho} copies"
        for branch, coherent, _, _ in parts:
            if coherent.vectors:
                yield self.rho + coherent, branch, copies
        for branch, _, random, _ in parts:
            yield self.rho.half() + random, branch, f"{copies}, at random"
        for branch, _, _, mean in parts:
            if mean.vectors:
                yield self.rho + mean, branch, f"{copies}, as its mean is not zero"


def _over_copies(
    rho: Size, start: tuple[Size, Size], sizes: tuple[Size, ...], means: tuple[Size, Size]
) -> tuple[Size, Size]:
    """A gradient at init and its change, with what copies add: `g0, gc, gr` of each, `gm, gn`."""
    initial, coherent, random = sizes
    g0 = start[0] | (rho.half() + initial)
    change = start[1] | (rho + coherent) | (rho.half() + random)
    gm, gn = means
    return g0 | (rho + gm) if gm.vectors else g0, change | (rho + gn) if gn.vectors else change


def subtracts(total: Node, term: Node) -> bool:
    """Whether a node is a difference, and takes this from the other term."""
    return isinstance(total, SumNode) and total.subtracts and term is total.inputs[1]


class GivenNode(SameNode):
    """A value from outside, the same in every copy: as the stream, it knows none of their weights.

    What its change adds in a copy is random but for what passes no map of the copy's own.
    """

    __slots__ = ("rho",)

    def __init__(self, context: Context, outer: Node, rho: Size, span: Span) -> None:
        super().__init__(context, (outer,), span)
        self.rho = rho

    def exactly(self) -> Fraction | None:
        return self.inputs[0].exact

    def change(self) -> tuple[Size, Size]:
        return self.context.zero, self.inputs[0].d

    def change_mean(self) -> Size:
        return self.dr

    def back(self) -> Iterable[tuple[Node, Size, Size, Size]]:
        zero = self.context.zero
        sizes, means = (self.g0, self.gc, self.gr), (self.gm, self.gn)
        g0, change = _over_copies(self.rho, (zero, zero), sizes, means)
        yield self.inputs[0], g0, change, zero

    def back_mean(self) -> Iterable[tuple[Node, Size, Size]]:
        return ()

    def bound_back(self, bounds: ChangeBounds) -> Iterable[tuple[Node, ChangeBounds]]:
        random = bounds.random & bounds.mean
        yield self.inputs[0], ChangeBounds(random, random, self.context.unbounded)

    def cause(self, index: int) -> str:
        return "the same in every copy"


class LeaveNode(Node):
    """The stream after all copies. Outside, coherent and random changes are one."""

    __slots__ = ("enter",)

    def __init__(self, context: Context, enter: EnterNode, branches: Sequence[Node]) -> None:
        super().__init__(context, (enter, *branches), enter.span)
        self.draws = GIVEN
        self.enter = enter

    def exactly(self) -> Fraction | None:
        return None

    def initial(self) -> Size:
        return self.enter.initial()

    def differing(self) -> Size:
        return self.s0 if self.enter.spread is self.enter.s0 else self.enter.differing()

    def gains(self) -> Sequence[Size]:
        return [self.context.one, *[self.enter.rho] * len(self.enter.branches)]

    def change(self) -> tuple[Size, Size]:
        coherent, random = self.enter.change()
        return coherent | random, self.context.zero

    def back(self) -> Iterable[tuple[Node, Size, Size, Size]]:
        g0, change = self.enter.stream_gradient(self.g0, self.gd)
        yield self.enter.last, g0, self.context.zero, change

    def back_mean(self) -> Iterable[tuple[Node, Size, Size]]:
        """What enters the copies backwards knows none of their weights."""
        yield self.enter.last, *self.enter.stream_gradient(self.g0, self.gd)

    def bound_back(self, bounds: ChangeBounds) -> Iterable[tuple[Node, ChangeBounds]]:
        coherent = bounds.coherent
        yield self.enter, ChangeBounds(coherent, coherent, self.context.unbounded)
        for branch in self.enter.branches:
            yield branch, self.enter.bounds_of_branch(coherent)

    def initial_sources(self) -> list[tuple[Size, Node, str]]:
        return self.enter.initial_sources()

    def sources(self) -> list[tuple[Size, Node, str]]:
        return self.enter.sources()
