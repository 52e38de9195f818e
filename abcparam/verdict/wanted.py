"""What a program's exponents and factors would be in the maximal update parametrization.

Initial scales follow from what a tensor sums over, constant factors around it counted; learning
rates from the optimizer's law. Where the code would need another factor (attention over heads that
grow, a tied readout), it is one more thing that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from abcparam.algebra.polynomials import leading_growth
from abcparam.algebra.sizes import Size, numeric
from abcparam.analysis.build import Builder, space_of
from abcparam.analysis.graph import Graph
from abcparam.analysis.rounds import start
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.pointwise import PointwiseNode, SoftmaxNode
from abcparam.calculus.stream import EnterNode
from abcparam.calculus.structure import SameNode, ScaleNode, SumNode
from abcparam.operations.arithmetic import Add
from abcparam.optimizers.base import rule_of
from abcparam.program.expressions import Apply, Invoke
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor, key_of

PowersByDim = Mapping[str, Fraction]
KeyShifts = dict[str, dict[str, Fraction]]  # by tensor's path and key, by how much exponents change


class WantedChanges(NamedTuple):
    """What is to change: exponents by path and key, and factors of calls."""

    scales: KeyShifts
    rates: KeyShifts
    factors: tuple[tuple[Apply | Invoke, PowersByDim], ...]


class _CallRecorder(Builder):
    """Builds a graph and remembers the call that each node is of."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, space_of(program))
        self.calls: dict[int, Apply] = {}

    def apply(self, call: Apply, *rest: object) -> tuple[Node, ...]:
        first = len(self.nodes)
        results = super().apply(call, *rest)  # type: ignore[arg-type]
        for node in self.nodes[first:]:
            self.calls.setdefault(id(node), call)
        return results


def wanted(program: Program, factors: bool = True, scales: bool = True) -> WantedChanges:
    """What the exponents and factors of a program are to be; both only where asked for."""
    recorder = _CallRecorder(program)
    return _Wanting(recorder.run(), recorder.calls).run(factors, scales)


def powers_of(size: Size) -> dict[str, Fraction]:
    """The powers of the growth dims in a size, those that are not 0; none of exact zero."""
    if not size.vectors:
        return {}
    return {name: p for name, p in numeric(size).exponents().items() if p}


class _Wanting:
    def __init__(self, graph: Graph, calls: Mapping[int, Apply]) -> None:
        self.graph = graph
        self.calls = calls
        self.one = graph.context.one
        self.users: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for x in node.inputs:
                self.users.setdefault(id(x), []).append(node)
        self.uses: dict[str, list[LinearNode | ValueNode]] = {}
        for node in graph.nodes:
            if isinstance(node, (LinearNode, ValueNode)):
                self.uses.setdefault(node.parameter.tensor.path, []).append(node)
        self.lacking: dict[int, Size] = {}  # by node, the factor that is wanted behind it

    def run(self, factors: bool, scales: bool) -> WantedChanges:
        found = dict(self._factors()) if factors else {}
        shifts: tuple[KeyShifts, KeyShifts] = ({}, {})
        for path, nodes in self.uses.items():
            tensor = self.graph.program.tensors[path]
            parameter = nodes[0].parameter
            sigma = self._sigma(nodes) if scales else None
            if sigma is not None and not tensor.init.is_zero:
                self._shift(shifts[0], tensor, "b", parameter.sigma - sigma)
            if not tensor.frozen:
                self._shift(shifts[1], tensor, "c", self._rate(parameter, nodes))
        return WantedChanges(
            *shifts, tuple((call, powers_of(size)) for call, size in found.values())
        )

    def _shift(self, shifts: KeyShifts, tensor: Tensor, letter: str, by: Size) -> None:
        keys = keys_of(self.graph.program, tensor, letter, powers_of(by))
        if keys:
            shifts.setdefault(tensor.path, {}).update(keys)

    # Scales

    def _sigma(self, nodes: list[LinearNode | ValueNode]) -> Size | None:
        """The size of an entry at init: as a value where it is one, else the largest of maps."""
        values = [node for node in nodes if isinstance(node, ValueNode)]
        if values:
            return -self._behind(values[0])
        sizes = [self._of_map(node) for node in nodes if isinstance(node, LinearNode)]
        return max(sizes, key=lambda size: numeric(size).key)

    def _of_map(self, node: LinearNode) -> Size:
        """A map has entries of n^(-1/2), one that reads out of n^-1."""
        reads_out = node.rho_in > self.one and node.rho_out <= self.one
        size = node.rho_in if reads_out else node.rho_in.half()
        return -size - self._around(node)

    # Rates

    def _rate(self, parameter: Parameter, nodes: list[LinearNode | ValueNode]) -> Size:
        """By how much `c` is to change, of the uses that of the most."""
        gradient = -parameter.rho_out - parameter.a
        if parameter.tensor.table:
            gradient = -(parameter.rho_in | parameter.rho_out) - parameter.a
        entry = rule_of(self.graph.program, parameter).entry(parameter, gradient)
        update = entry - parameter.a
        sizes = [update + self._update_gain(node) for node in nodes]
        return max(sizes, key=lambda size: numeric(size).key)

    def _update_gain(self, node: LinearNode | ValueNode) -> Size:
        p = node.parameter
        if isinstance(node, ValueNode):
            gain = -(p.rho_in | p.rho_out).half() if p.spectral else self.one
            return gain + self._behind(node)
        if p.spectral:
            return node.rho_in.half() - node.rho_out.half() + self._around(node)
        return node.rho_in + self._around(node)

    # Factors

    def _around(self, node: LinearNode) -> Size:
        """The constant factors behind a map and before it, of the dims that it sums over."""
        return self._behind(node) + self._own(self._before(node.inputs[0]), node)

    def _behind(self, node: LinearNode | ValueNode) -> Size:
        total = self.lacking.get(id(node), self.one)
        users = self.users.get(id(node), [])
        while len(users) == 1 and isinstance(users[0], (ScaleNode, SameNode, SumNode)):
            user = users[0]
            if isinstance(user, ScaleNode):
                total = total + user.factor
            users = self.users.get(id(user), [])
        return self._own(total, node)

    def _before(self, node: Node) -> Size:
        """Where it comes from a map or tensor, that one's scale makes up for them."""
        total = self.one
        while isinstance(node, (ScaleNode, SameNode)):
            if isinstance(node, ScaleNode):
                total = total + node.factor
            node = node.inputs[0]
        return self.one if isinstance(node, (LinearNode, ValueNode, SumNode)) else total

    def _own(self, size: Size, node: LinearNode | ValueNode) -> Size:
        """The part of a size in the dims of a tensor's own axes."""
        p = node.parameter
        own = powers_of(p.rho_in | p.rho_out) if (p.rho_in | p.rho_out).vectors else {}
        return size.space.size({n: e for n, e in powers_of(size).items() if n in own})

    def _factors(self) -> Iterator[tuple[int, tuple[Apply | Invoke, Size]]]:
        for node, size in (*self._tied(), *self._logits()):
            self.lacking[id(node)] = size
            yield id(node), (self.calls[id(node)], size)
        if self.graph.streams:
            start(self.graph)
        for stream in self.graph.streams:
            for node in self.graph.nodes:
                if isinstance(node, SumNode) and id(node) in stream.stream:
                    yield from self._branch(stream, node)

    def _branch(
        self, stream: EnterNode, node: SumNode
    ) -> Iterator[tuple[int, tuple[Apply | Invoke, Size]]]:
        """A branch of an infinite residual stream wants one over the root of the depth.

        Or one over the depth, where it is to be complete (arXiv 2310.02244, arXiv 2505.01618).
        """
        call = self.calls[id(node)]
        if not isinstance(call.operation, Add):
            return  # the sum inside another operation: a norm's bias
        for x, written in zip(node.inputs, call.operands, strict=True):
            if x in stream.branches and isinstance(written, (Apply, Invoke)):
                found = self._before_product(x)
                now = {n: p for n, p in powers_of(found).items() if n in powers_of(stream.rho)}
                usual = [-stream.rho.half(), -stream.rho]
                mean = stream.rho + x.m0 - found.space.size(now)
                if mean.vectors and mean + usual[0] > self.one:  # it would add up over the copies
                    usual = usual[1:]
                if now not in [powers_of(size) for size in usual]:
                    size = usual[-1 if "complete" in self.graph.program.expected else 0]
                    yield id(x), (written, size - found.space.size(now))

    def _tied(self) -> Iterator[tuple[LinearNode, Size]]:
        """Tables that are read out as well: their readout wants one over the width."""
        for nodes in self.uses.values():
            if any(isinstance(node, ValueNode) for node in nodes):
                for node in nodes:
                    if isinstance(node, LinearNode) and node.rho_in > self.one:
                        size = -node.rho_in - self._around(node)
                        if powers_of(size):
                            yield node, size

    def _logits(self) -> Iterator[tuple[ProductNode, Size]]:
        """Attention's logits over heads that grow want one over the size of a head."""
        for node in self.graph.nodes:
            if isinstance(node, SoftmaxNode):
                for product, scale in self._products(node.inputs[0], self.one):
                    x, y = product.inputs
                    total = scale + self._before_product(x) + self._before_product(y)
                    lacking = -product.contracted - total
                    if powers_of(lacking):
                        yield product, lacking

    def _products(self, node: Node, scale: Size) -> Iterator[tuple[ProductNode, Size]]:
        """The inner products that a value is a sum of, and the factors behind them."""
        match node:
            case ScaleNode(factor=factor):
                yield from self._products(node.inputs[0], scale + factor)
            case ProductNode() if node.contracted > self.one:
                yield node, scale
            case SumNode() | SameNode() | PointwiseNode():
                for x in node.inputs:
                    yield from self._products(x, scale)

    def _before_product(self, node: Node) -> Size:
        """The constant factors of a query or key, back to the map that made it."""
        match node:
            case ScaleNode(factor=factor):
                return factor + self._before_product(node.inputs[0])
            case SameNode() | SumNode():
                sizes = (self._before_product(x) for x in node.inputs)
                return max(sizes, key=lambda size: numeric(size).key, default=self.one)
        return self.one


def keys_of(
    program: Program, tensor: Tensor, letter: str, powers: PowersByDim
) -> dict[str, Fraction]:
    """A power of the growth dims as exponents of a tensor: its own width's, then other dims'."""
    own: dict[str, Fraction] = {}
    if tensor.own is not None:
        own = leading_growth(tensor.own, program.growth_of, program.growth_order)
    of_own = next((powers.get(name, Fraction(0)) / power for name, power in own.items()), None)
    found = {letter: of_own} if of_own else {}
    for name in dict.fromkeys((*powers, *own)):
        left = powers.get(name, Fraction(0)) - (of_own or 0) * own.get(name, Fraction(0))
        if left:
            found[key_of(letter, name)] = left
    return found
