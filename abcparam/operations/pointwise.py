"""Nonlinearities. Each declares what its law needs to know: bounded, phi(0), phi'(0), parity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.calculus import pointwise as law
from abcparam.calculus.node import Node
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call
from abcparam.python_code.nodes import Constant, call

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


class Pointwise(Operation):
    """`x[*] -> y[*]`."""

    source = "arXiv 2011.14522, Definition 3.2; arXiv 2308.01814, section 2"

    def __init__(self, traits: law.FunctionTraits, yields: bool = False) -> None:
        self.name = traits.name
        self.yields = yields
        self.traits = traits
        self.law = "; ".join(_passes(traits))

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (call.shape(0),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (law.PointwiseNode(build.context, operands.node(0), self.traits, call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        if not self.traits.homogeneous:
            return super().degrees(call, of)
        return (of.of(0) * Fraction(self.traits.degree),)

    def torch(self, use: Use) -> ScaledCode:
        if self.name == "gelu_tanh":
            return use.result(call("F.gelu", use.code(0), approximate=Constant("tanh")))
        home = "torch" if self.name in {"tanh", "sigmoid", "square", "exp"} else "F"
        return use.result(call(f"{home}.{self.name}", use.code(0)))


def _passes(traits: law.FunctionTraits) -> Iterator[str]:
    """What the law makes of sizes, in words."""
    yield "`2 s0`; `d + s`" if traits.degree == 2 else "`s0` and `d` pass"
    if traits.bounded:
        yield "clamped at 0"
    if not traits.zero_at_zero:
        yield "Θ(1) of an exact zero"
    if traits.flat_at_zero:
        yield "no gradient passes at an exact zero"


def _sigmoid(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2


def _gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def _gelu_tanh(x: float) -> float:
    return x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))


def _exp(x: float) -> float:
    return math.exp(min(x, 300.0))  # what is far out has no weight


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


SIGMOID = law.FunctionTraits("sigmoid", bounded=True, zero_at_zero=False, value=_sigmoid)

OPERATIONS = (
    Pointwise(
        law.FunctionTraits("relu", flat_at_zero=True, homogeneous=True, value=lambda x: max(x, 0.0))
    ),
    Pointwise(law.FunctionTraits("gelu", value=_gelu)),
    Pointwise(law.FunctionTraits("gelu_tanh", value=_gelu_tanh)),
    Pointwise(law.FunctionTraits("silu", value=lambda x: x * _sigmoid(x))),
    Pointwise(law.FunctionTraits("tanh", bounded=True, odd=True, value=math.tanh)),
    Pointwise(SIGMOID),
    Pointwise(law.FunctionTraits("softplus", zero_at_zero=False, value=_softplus)),
    Pointwise(law.FunctionTraits("exp", zero_at_zero=False, value=_exp), yields=True),
    Pointwise(
        law.FunctionTraits(
            "square", flat_at_zero=True, degree=2, homogeneous=True, value=lambda x: x * x
        )
    ),
)
