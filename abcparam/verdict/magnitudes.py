"""Gradients at base as numbers, by the same laws: every length counts with its value there.

A size is then a power of two and not of a growth dim, and the maximum stands for a sum, so that a
number is right up to a small factor. It is that of one example at the start of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import log2, prod

from abcparam.algebra.polynomials import ONE, Opaque, Polynomial, growth
from abcparam.algebra.sizes import NumericSpace, Size, numeric
from abcparam.analysis.build import Builder
from abcparam.analysis.rounds import start
from abcparam.calculus.node import Node
from abcparam.calculus.parameter import Parameter
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Return
from abcparam.program.model import Module, Program
from abcparam.program.tensors import Tensor

TWO = "two"  # the only dim
FINE = 64  # powers of two are whole multiples of 1/64


def gradients_at_base(program: Program) -> dict[str, float]:
    """Of each tensor the RMS of its gradient's entries for one example.

    It is that of the first of several copies, and 1 at most: a backward pass that explodes is no
    guide. What starts at zero counts as after a step of Adam's size, the learning rate. Empty where
    some number is out of range.
    """
    try:
        return _gradients(program)
    except (ArithmeticError, TypeError, ValueError):
        return {}


def _gradients(program: Program) -> dict[str, float]:
    graph = _AtBase(program).run()
    start(graph)
    error = _error(program)
    found: dict[str, float] = {}
    for parameter in graph.parameters:
        if parameter.gamma.vectors:
            size = error * 2.0 ** float(numeric(parameter.gamma).exponents()[TWO])
            found.setdefault(parameter.tensor.path, min(size, 1.0))
    return found


def _error(program: Program) -> float:
    """The RMS of the loss gradient.

    With cross-entropy one class of all is off by about 1. As the mean over positions averages what
    a weight gets from each, it is times the root of their number.
    """
    given = next(s for s in program.root.body if isinstance(s, Return))
    values, sizes = program.base_values(), []
    for loss in program.losses:
        *positions, classes = given.values[loss.output].shapes[0] or (ONE,)
        length = evaluate(classes, values) if loss.kind == "cross_entropy" else 1.0
        count = prod(evaluate(axis, values) for axis in positions)
        sizes.append((length * count) ** -0.5)
    return float(max(sizes))


class _AtBase(Builder):
    """Builds the graph with numbers for sizes."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, NumericSpace({TWO: (0, Fraction(1))}))
        self.values = program.base_values()

    def _rho(self, length: Polynomial) -> Size:
        """A length that grows counts with its value; a sequence, or a window, as one."""
        return self._value(length) if self.grows(length) else self.context.one

    def _value(self, length: Polynomial) -> Size:
        return self._power(abs(evaluate(length, self.values)))

    def _power(self, value: float) -> Size:
        if not value:
            return self.context.zero
        return self.space.size({TWO: Fraction(round(log2(value) * FINE), FINE)})

    def grows(self, length: Polynomial) -> bool:
        return bool(any(growth(length, self.program.growth_of, self.program.growth_order)))

    def parameter(self, path: str, copy: tuple[int, ...]) -> Parameter:
        made = super().parameter(path, copy)
        made.sigma = -made.a - made.b
        return made

    def stream(
        self, module: Module, body: Module, names: dict[str, Node], copy: tuple[int, ...], _: Size
    ) -> None:
        """Branches of a residual stream add up to about one of them, by their factors."""
        super().stream(module, body, names, copy, self.context.one)

    def _tensor_sizes(self, tensor: Tensor) -> dict[str, Size]:
        def value(amount: Amount | None) -> Size:
            return self._value(amount.value) if amount else self.context.one

        one = self.context.one
        return {
            "a": one - value(tensor.mult),
            "b": one - self._power(_deviation(tensor, self.values)),
            "c": one,
            "d": one,
            "decay": one,
            "rho_in": self._value(tensor.fan_in),
            "rho_out": self._value(tensor.fan_out),
            "rho_copies": one,
        }


def evaluate(value: Polynomial, values: Mapping[str, Fraction]) -> float:
    """The value as a float; powers need not be rational."""
    return float(
        sum(
            float(coefficient) * prod(_atom(a, values) ** float(power) for a, power in monomial)
            for monomial, coefficient in value.terms
        )
    )


def _atom(atom: str | Opaque, values: Mapping[str, Fraction]) -> float:
    if isinstance(atom, str):
        return float(values[atom])
    if atom.operation == "^":
        base, exponent = (evaluate(argument, values) for argument in atom.arguments)
        return float(base**exponent)
    return float(atom.evaluate(values))


def _deviation(tensor: Tensor, values: Mapping[str, Fraction]) -> float:
    """The RMS of an entry at init."""
    given = evaluate(tensor.init.argument.value, values) if tensor.init.argument else 1.0
    match tensor.init.kind:
        case "uniform":
            return abs(given) / 3**0.5
        case "orthogonal":
            longer = max(evaluate(x, values) for x in (tensor.fan_in, tensor.fan_out))
            return float(abs(given) / longer**0.5)
        case "zeros":
            return evaluate(tensor.lr.value, values)
        case _:
            return abs(given)
