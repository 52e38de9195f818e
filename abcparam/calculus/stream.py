"""Infinite repeats of a residual stream, `x = x + f(x)`, kept as one copy.

Over L copies what the branches give at init adds at random (`L^(1/2)`), what their own tensors'
updates give adds coherently (`L`), and what came in through the stream at random again. On entering
a block the stream's whole change is random with respect to the block's weights; so is the gradient
on entering it backwards. The rules of TP-VI (arXiv 2310.02244: branches times `L^(-1/2)`) and
CompleteP (arXiv 2505.01618: `L^-1`) follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Context, Node
from abcparam.calculus.structure import SumNode


class EnterNode(Node):
    """The stream at the entrance of any copy.

    `side` is what the branches' gradients add to it in one copy.
    """

    __slots__ = ("branches", "last", "rho", "side", "stream", "users")

    def __init__(self, context: Context, outer: Node, rho: Size) -> None:
        super().__init__(context, (outer,), outer.span)
        self.rho = rho
        self.branches: tuple[Node, ...] = ()
        self.stream: set[int] = {id(self)}
        self.users: tuple[Node, ...] = ()
        self.last: Node = self  # the stream at the exit of a copy
        self.forget()

    def forget(self) -> None:
        """Starts afresh: no gradient has come from the branches yet."""
        self.side = (self.context.zero,) * 3

    def close(self, result: Node, inside: Sequence[Node]) -> tuple[Node, ...] | None:
        """Finds the branches that are added between the entrance and `result`.

        None if it is no such chain.
        """
        branches: list[Node] = []
        chain: list[Node] = []
        node = result
        while node is not self:
            step = self._step(node)
            if step is None:
                return None
            chain.append(node)
            node, branch = step
            branches.append(branch)
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
        x, y = node.inputs
        if left and (not right or not self._is_link(y)):
            return x, y
        return (y, x) if right else None

    def _is_link(self, node: Node) -> bool:
        return node is self or isinstance(node, SumNode)

    def _comes_from_here(self, node: Node) -> bool:
        """Whether the node is the entrance, or a sum that leads to it."""
        while isinstance(node, SumNode) and len(node.inputs) == 2:
            node = next((x for x in node.inputs if self._is_link(x)), node.inputs[0])
        return node is self

    # Forward: sizes at init and changes add up over the copies

    def initial(self) -> Size:
        size = self.inputs[0].s0
        for branch in self.branches:
            size = size | (self.rho.half() + branch.s0)
        return size

    def change(self) -> tuple[Size, Size]:
        random = self.inputs[0].d
        for branch in self.branches:
            random = random | (self.rho + branch.dc) | (self.rho.half() + branch.dr)
        return self.context.zero, random

    # Backward: the gradient of the stream at any copy, from what leaves and what the branches add

    def collect(self) -> None:
        """Gathers what the branches' gradients add to the stream in one copy."""
        g0, gc, gr = (self.context.zero,) * 3
        for user in self.users:
            for x, initial, coherent, random in user.back():
                if id(x) in self.stream:
                    g0, gc, gr = g0 | initial, gc | coherent, gr | random
        self.side = (g0, gc, gr)

    def stream_gradient(self, g0: Size, gd: Size) -> tuple[Size, Size]:
        """The stream's gradient at init and its change at any copy, from those at the exit."""
        side0, coherent, random = self.side
        change = gd | (self.rho + coherent) | (self.rho.half() + random)
        return g0 | (self.rho.half() + side0), change

    def back(self) -> Iterable[tuple[Node, Size, Size, Size]]:
        yield self.inputs[0], self.g0, self.gd, self.context.zero

    # Bounds

    def bound_back(self, coherent: Size, random: Size) -> Iterable[tuple[Node, Size, Size]]:
        yield self.inputs[0], random, random
        for branch in self.branches:
            yield branch, random - self.rho, random - self.rho.half()

    def sources(self) -> list[tuple[Size, Node, str]]:
        copies = f"added up over {self.rho} copies"
        found = [(self.inputs[0].d, self.inputs[0], "entering the repeat")]
        found += [(self.rho + branch.dc, branch, copies) for branch in self.branches]
        return found + [(self.rho.half() + b.dr, b, f"{copies}, at random") for b in self.branches]


class LeaveNode(Node):
    """The stream after all copies. Outside, coherent and random changes are one."""

    __slots__ = ("enter",)

    def __init__(self, context: Context, enter: EnterNode, branches: Sequence[Node]) -> None:
        super().__init__(context, (enter, *branches), enter.span)
        self.enter = enter

    def initial(self) -> Size:
        return self.enter.initial()

    def gains(self) -> Sequence[Size]:
        return [self.context.one, *[self.enter.rho] * len(self.enter.branches)]

    def change(self) -> tuple[Size, Size]:
        coherent, random = self.enter.change()
        return coherent | random, self.context.zero

    def back(self) -> Iterable[tuple[Node, Size, Size, Size]]:
        g0, change = self.enter.stream_gradient(self.g0, self.gd)
        zero = self.context.zero
        yield self.enter.last, g0, zero, change

    def bound_back(self, coherent: Size, random: Size) -> Iterable[tuple[Node, Size, Size]]:
        rho = self.enter.rho
        yield self.enter, coherent, coherent
        for branch in self.enter.branches:
            yield branch, coherent - rho, coherent - rho.half()

    def sources(self) -> list[tuple[Size, Node, str]]:
        return self.enter.sources()
