"""What a program's exponents and factors would be in the maximal update parametrization.

Initial scales follow from what a tensor sums over, constant factors around it counted; learning
rates from the optimizer's law. Where the code would need another factor (attention over heads that
grow, a tied readout), it is one more thing that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.polynomials import leading_growth
from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.analysis.graph import Graph
from abcparam.analysis.rounds import start
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.stream import EnterNode
from abcparam.calculus.structure import SumNode
from abcparam.operations.arithmetic import Add
from abcparam.optimizers.base import rule_of
from abcparam.program.expressions import Apply, Invoke
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor, key_of
from abcparam.verdict.forward_factors import CallRecorder, ForwardFactors, largest, powers_of

PowersByDim = Mapping[str, Fraction]
KeyShifts = dict[str, dict[str, Fraction]]  # by tensor's path and key, by how much exponents change


class Wish(NamedTuple):
    """What may change beside learning rates: factors of the code, and initial scales.

    Branches are to be as those of a `complete` model where that is asked for. A `plain` code has no
    factors but those that are usual.
    """

    factors: bool = True
    scales: bool = True
    complete: bool = False
    plain: bool = False


class WantedChanges(NamedTuple):
    """What is to change: exponents by path and key, and factors of calls."""

    scales: KeyShifts
    rates: KeyShifts
    factors: tuple[tuple[Apply | Invoke, PowersByDim], ...]


def wanted(program: Program, wish: Wish) -> WantedChanges:
    """What the exponents and factors of a program are to be."""
    recorder = CallRecorder(program)
    return _Wanting(recorder.run(), recorder.calls, wish).run()


class _Wanting(ForwardFactors):
    def __init__(self, graph: Graph, calls: Mapping[int, Apply], wish: Wish) -> None:
        super().__init__(graph, calls)
        self.wish = wish

    def run(self) -> WantedChanges:
        scales = self.wish.scales
        found = dict(self._factors()) if self.wish.factors else {}
        shifts: tuple[KeyShifts, KeyShifts] = ({}, {})
        for path, nodes in self.uses.items():
            tensor = self.graph.program.tensors[path]
            parameter = nodes[0].parameter
            sigma = self._sigma(nodes) if scales else None
            if sigma is not None and not tensor.init.is_zero:
                self._shift(shifts[0], tensor, "b", parameter.sigma - sigma)
            if not tensor.frozen:
                rate = self._rate(parameter, nodes)
                left = parameter.c + rate
                if scales and left < self.one and not self.graph.program.has_gauge(tensor):
                    self._shift(shifts[0], tensor, "a", left)  # relative steps must not grow
                    rate = rate - left
                self._shift(shifts[1], tensor, "c", rate)
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
            return -self.behind(values[0])
        sizes = [self.of_map(node) for node in nodes if isinstance(node, LinearNode)]
        return largest(sizes)

    # Rates

    def _rate(self, parameter: Parameter, nodes: list[LinearNode | ValueNode]) -> Size:
        """By how much `c` is to change, of the uses that of the most."""
        gradient = -parameter.rho_out - parameter.a
        if parameter.tensor.table:
            gradient = -(parameter.rho_in | parameter.rho_out) - parameter.a
        entry = rule_of(self.graph.program, parameter).entry(parameter, gradient)
        update = entry - parameter.a
        sizes = [update + self._update_gain(node) for node in nodes]
        return largest(sizes)

    def _update_gain(self, node: LinearNode | ValueNode) -> Size:
        p = node.parameter
        if isinstance(node, ValueNode):
            gain = -(p.rows | p.columns).half() if p.spectral else self.one
            return gain + self.behind(node)
        if p.spectral:
            return node.rho_in.half() - node.rho_out.half() + self.around(node)
        return node.rho_in + self.around(node)

    # Factors

    def _factors(self) -> Iterator[tuple[int, tuple[Apply | Invoke, Size]]]:
        unusual = tuple(self.unusual()) if self.wish.plain else ()
        for node, size in (*unusual, *self.tied(), *self.logits()):
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
                found = self.before_product(x)
                now = {n: p for n, p in powers_of(found).items() if n in powers_of(stream.rho)}
                usual = [-stream.rho.half(), -stream.rho]
                mean = stream.rho + x.m0 - found.space.size(now)
                if mean.vectors and mean + usual[0] > self.one:  # it would add up over the copies
                    usual = usual[1:]
                if self.wish.complete:
                    usual = usual[-1:]
                if now not in [powers_of(size) for size in usual]:
                    size = usual[-1 if "complete" in self.graph.program.expected else 0]
                    yield id(x), (written, size - found.space.size(now))


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
