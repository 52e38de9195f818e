"""Gradients at base as numbers: every length counts with its value there, in the same graph.

A number is right up to a factor of three. It is that of a few examples at the start of training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache, lru_cache
from math import exp, log2, prod, sqrt

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import replace
from abcparam.algebra.sizes import UNIT, NumericSpace, Size
from abcparam.analysis.build import Builder
from abcparam.analysis.graph import Graph
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.node import InputNode, Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.structure import LargestNode, ScaleNode, SumNode
from abcparam.optimizers.base import rule_of
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Apply, Invoke
from abcparam.program.model import Module, Program
from abcparam.program.tensors import Tensor
from abcparam.verdict.flows import Backflow, alignment, backward, gradient, joined
from abcparam.verdict.moments import AtBase, Moments, TensorMoments, forward

TWO = "two"  # the only dim
FINE = 4096  # powers of two are whole multiples of 1/4096
STEPS = 3  # that tensors in series that start at zero may need
OUT_OF_RANGE = (ArithmeticError, AssertionError, TypeError, ValueError)  # where some number is


def gradients_at_base(program: Program, batch: int = 1) -> dict[str, float]:
    """Of each tensor the RMS of its gradient's entries for so many examples.

    It is that of the first of several copies. Where a tensor starts at zero, what lies behind it
    has a gradient once that has been updated. Empty where some number is out of range.
    """
    return dict(_gradients(ProgramAtBase(program), batch))


class ProgramAtBase:
    """A program as gradients at base know it; two that differ in exponents and places are equal."""

    def __init__(self, program: Program) -> None:
        self.program = program
        tensors = {path: replace(t, exponents={}) for path, t in program.tensors.items()}
        self.parts = (
            *(tensors, program.root, program.inputs, program.dims, program.hypers),
            *(program.optimizers, program.losses, program.gauge, program.gradients),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProgramAtBase) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(self.program.tensors))


@lru_cache(maxsize=4)
def _gradients(at_base: ProgramAtBase, batch: int) -> dict[str, float]:
    """Kept for a few programs: most keys in an editor leave them as they were."""
    try:
        return GradientsAtBase(at_base.program, batch).found()
    except OUT_OF_RANGE:
        return {}


class GradientsAtBase:
    """The first gradients of a program's tensors that are not zero."""

    def __init__(self, program: Program, batch: int) -> None:
        self.program = program
        self.batch = batch
        self.builder = _AtBase(program)
        self.graph: Graph = self.builder.run()
        self.weights = {p: self._weights(p) for p in self.graph.parameters}
        self.last: dict[Node, Backflow] = {}  # gradients, by the last pass
        self.values: dict[Node, Moments] = {}  # likewise
        self.seen = Counter(p.tensor.path for p in self.graph.parameters)  # copies in the graph

    def found(self) -> dict[str, float]:
        first, named = self.first(), dict[str, float]()
        for parameter in self.graph.parameters:
            named.setdefault(parameter.tensor.path, first.get(parameter, 0.0))
        return named

    def first(self) -> dict[Parameter, float]:
        """A pass that finds no other ones leaves all weights as they are: the next is the same."""
        first: dict[Parameter, float] = {}
        for step in range(1, STEPS + 1):
            passed = self._pass().items()
            others = {p: given for p, given in passed if given[0] and p not in first}
            for parameter, (square, aligned) in others.items():
                first[parameter] = sqrt(square)
                self._step(parameter, first[parameter], aligned, step)
            if not others or len(first) == len(self.graph.parameters):
                break
        return first

    def settle(self) -> None:
        """Values and gradients with the weights that are known."""
        self._pass()

    def _weights(self, parameter: Parameter) -> TensorMoments:
        tensor, of = parameter.tensor, self.builder.of
        mult = self._multiplier(parameter)
        axes = [of(axis) for axis in tensor.shape]
        deviation = mult * _deviation(tensor, of)
        return TensorMoments(deviation**2, prod(axes), axes[0] if axes else 1.0)

    def _step(self, parameter: Parameter, gradient: float, aligned: float, step: int) -> None:
        """What starts at zero is no longer after a step.

        An optimizer that divides a gradient by its own size averages over those before, too, which
        were zero.
        """
        weights = self.weights[parameter]
        if weights.square or parameter.tensor.frozen:
            return
        tensor, of = parameter.tensor, self.builder.of
        fans = of(tensor.fan_in), of(tensor.fan_out)
        lr = of(tensor.lr.value)
        rule = rule_of(self.program, parameter)
        first = rule.first(lr, gradient, fans) / (sqrt(step) if rule.gauge == 1 else 1.0)
        mult = self._multiplier(parameter)
        self.weights[parameter] = weights._replace(square=(mult * first) ** 2, aligned=aligned)

    def _pass(self) -> dict[Parameter, tuple[float, float]]:
        """The mean square of each tensor's gradient, and how much of it a place's part is."""
        at = self._at_base()
        for node in self.graph.nodes:
            at.values[node] = forward(node, at, self.builder.volumes.get(node))
        flows: dict[Node, Backflow] = {}
        for loss in self.program.losses:
            output = self.graph.outputs[loss.output]
            joined([(output, self._error(loss.kind, at.values[output]))], flows)
        found = dict.fromkeys(self.graph.parameters, (0.0, 0.0))
        for node in reversed(self.graph.nodes):
            flow = flows.get(node)
            if flow is None or not flow.square:
                continue
            if node.parameter is not None:
                times = self._multiplier(node.parameter) ** 2 * self._share(node.parameter)
                square, aligned = found[node.parameter]
                square += times * gradient(node, at, flow)
                aligned = max(aligned, alignment(node, at, flow))
                found[node.parameter] = square, aligned
            joined(backward(node, at, flow), flows)
        self.last, self.values = flows, at.values
        return found

    def _at_base(self) -> AtBase:
        number = self.builder.number
        chosen = _chosen(self.graph, number)
        lasts = self._lasts()
        return AtBase(ends(self.graph), chosen, {}, self.weights, lasts, self.batch, number)

    def _share(self, parameter: Parameter) -> float:
        """The part of the examples that a copy sees, where one stands for several."""
        tensor = parameter.tensor
        copies = prod(self.builder.of(count.value) for count in tensor.copies)
        return self.seen[tensor.path] / copies

    def _lasts(self) -> dict[str, float]:
        found = {}
        for given in self.program.inputs:
            axes = [self.builder.of(axis.value) for axis in given.axes]
            found[given.name] = axes[-1] if axes else 1.0
        return found

    def _multiplier(self, parameter: Parameter) -> float:
        mult = parameter.tensor.mult
        return self.builder.of(mult.value) if mult else 1.0

    def _error(self, kind: str, output: Moments) -> Backflow:
        """The loss gradient, of a mean over all places of all examples.

        With cross-entropy one class of all is off by about 1, and others where logits are large:
        the same ones at places, and in examples, that share their logits.
        """
        if kind == "cross_entropy":
            classes = max(output.features, 2.0)
            each = 1 / classes / (self.batch * output.places) ** 2
            own, shared, common = (
                _both_chosen(part, classes) - 1 / classes
                for part in (output.square, output.shared, output.common)
            )
            own += 1 - 1 / classes
            return Backflow(own * each, shared * each, common=common * each)
        if kind == "value":
            return Backflow(1.0)
        if kind != "mse":
            return Backflow(1 / (self.batch * output.volume) ** 2)
        return Backflow(4 * (1 + output.square) / (self.batch * output.volume) ** 2)


def _both_chosen(shared: float, classes: float) -> float:
    """How often two drawings by softmaxes are of the same class, whose logits share so much."""
    weight = exp(min(shared, 50.0))
    return weight / (weight + classes - 1)


def ends(graph: Graph) -> set[Node]:
    """The outputs, and what is added up to them."""
    found = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node in found and isinstance(node, (SumNode, ScaleNode)):
            found.update(node.inputs)
    return found


def _chosen(graph: Graph, number: Callable[[Size], float]) -> dict[Node, float]:
    """What is read by its largest entries alone, out of so many; functions keep which these are."""
    found: dict[Node, float] = {}
    for node in reversed(graph.nodes):
        if isinstance(node, LargestNode):
            found[node.inputs[0]] = number(node.window)
        elif node in found and isinstance(node, (PointwiseNode, SumNode, ProductNode)):
            found.setdefault(node.inputs[0], found[node])
    return found


class _AtBase(Builder):
    """Builds the graph with numbers for sizes, of every copy of every repeat."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, NumericSpace({TWO: (0, Fraction(1))}))
        self.context = self.context._replace(follows=False)
        self.build = self.build._replace(context=self.context)
        self.values = program.base_values()
        self.of, self.power = cache(self._of), cache(self._power)
        self.count_of = cache(self._count_of)
        self.volumes: dict[Node, float] = {}
        self.tokens = 1.0  # that a block sees side by side
        self.carried: dict[str, dict[str, list[Node]]] = {}  # by repeats that are in no other

    def add(self, node: Node) -> Node:
        for given in self.program.inputs:
            if isinstance(node, InputNode) and node.name == given.name:
                self.volumes[node] = prod(self.of(x.value) for x in given.axes)
        return super().add(node)

    def module(
        self, module: Module, given: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        found = super().module(module, given, copy)
        if module.is_repeat and len(copy) == 1:
            names = self.carried.setdefault(module.path, {})
            for name, node in zip(module.carried, found, strict=True):
                names.setdefault(name, [given[name]]).append(node)
        return found

    def number(self, size: Size) -> float:
        """What a size stands for."""
        return self.power(size.vectors[0][0]) if size.vectors else 0.0

    def _power(self, units: int | Fraction) -> float:
        found = float(2.0 ** float(Fraction(units, UNIT)))
        whole = float(round(found))
        return whole if abs(found - whole) < found / FINE else found

    def _of(self, length: Polynomial) -> float:
        """What a length or factor is at base."""
        return evaluate(length, self.values)

    def _rho(self, length: Polynomial) -> Size:
        value = abs(self.of(length))
        if not value:
            return self.context.zero
        return self.space.size({TWO: Fraction(round(log2(value) * FINE), FINE)})

    def grows(self, length: Polynomial) -> bool:
        return False

    def apply(
        self, call: Apply, module: Module, names: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        made = super().apply(call, module, names, copy)
        for node, shape in zip(made, call.shapes, strict=True):
            self.volumes[node] = self.tokens * self.count_of(shape)
        return made

    def invoke(
        self, call: Invoke, module: Module, names: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        """A block that sees one token of several is followed for all of them."""
        before, target = self.tokens, self.program.called(call, module)
        for (_, shape), operand in zip(target.inputs, call.operands, strict=True):
            if target.count is not None:
                given = self.count_of(operand.shapes[0])
                self.tokens = max(self.tokens, before * given / self.count_of(shape))
        made = super().invoke(call, module, names, copy)
        self.tokens = before
        return made

    def _count_of(self, shape: Shape) -> float:
        return prod(map(self.of, shape))

    def _tensor_sizes(self, tensor: Tensor) -> dict[str, Size]:
        sizes = dict.fromkeys(("a", "b", "c", "d", "decay", "rho_copies"), self.context.one)
        sizes |= self.sides(tensor)
        return sizes


def evaluate(value: Polynomial, values: Mapping[str, Fraction]) -> float:
    """The value as a float; powers need not be rational."""
    known = {name: values.get(name, Fraction(1)) for name in value.names}  # 1: a copy's number
    return value.approximately(known)


def _deviation(tensor: Tensor, of: Callable[[Polynomial], float]) -> float:
    """The RMS of an entry at init."""
    given = of(tensor.init.argument.value) if tensor.init.argument else 1.0
    match tensor.init.kind:
        case "uniform":
            return abs(given) / 3**0.5
        case "orthogonal":
            longer = max(of(tensor.fan_in), of(tensor.fan_out))
            return float(abs(given) / longer**0.5)
        case "zeros":
            return 0.0
        case _:
            return abs(given)
