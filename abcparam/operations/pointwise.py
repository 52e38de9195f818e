"""Nonlinearities. Each declares what its law needs to know: bounded, phi(0), phi'(0), parity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import number
from abcparam.calculus import pointwise as law
from abcparam.calculus.node import Node
from abcparam.language.syntax import Number
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import ANY_SIGN, NOT_NEGATIVE, POSITIVE, Call
from abcparam.python_code.nodes import Constant, call

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


SLOPE = Fraction(1, 100)  # PyTorch's, of `leaky_relu`


class Pointwise(Operation):
    """`x[*] -> y[*]`."""

    source = "arXiv 2011.14522, Definition 3.2; arXiv 2308.01814, section 2"

    def __init__(
        self,
        traits: law.FunctionTraits,
        yields: bool = False,
        gives: int = ANY_SIGN,
        of_positive: bool = False,
    ) -> None:
        self.name = traits.name
        self.yields = yields
        self.gives = gives
        self.of_positive = of_positive
        self.traits = traits
        self.law = "; ".join(_passes(traits))

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (call.shape(0),)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return self.gives

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (law.PointwiseNode(build.context, operands.node(0), self.traits, call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        if not self.traits.homogeneous:
            return super().degrees(call, of)
        return (of.of(0) * Fraction(self.traits.degree),)

    def torch(self, use: Use) -> ScaledCode:
        if self.name == "gelu_tanh":
            return use.result(call("F.gelu", use.code(0), approximate=Constant("tanh")))
        home = "torch" if self.name in {"tanh", "sigmoid", "square", "exp", "log"} else "F"
        return use.result(call(f"{home}.{self.name}", use.code(0)))


class LeakyRelu(Pointwise):
    """`x[*] -> y[*]`: x, and `slope * x` where it is negative."""

    name = "leaky_relu"
    settings = {"slope": Amount(Number(SLOPE), number(SLOPE))}

    def __init__(self) -> None:
        super().__init__(_leaky(SLOPE))

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        slope = call.amount("slope").constant
        traits = self.traits._replace(value=None, exact=_at(0, Fraction(0)))
        shape = traits if slope is None else _leaky(slope)
        return (law.PointwiseNode(build.context, operands.node(0), shape, call.span),)

    def torch(self, use: Use) -> ScaledCode:
        return use.result(call("F.leaky_relu", use.code(0), use.number("slope")))


def _leaky(slope: Fraction) -> law.FunctionTraits:
    return law.FunctionTraits(
        "leaky_relu",
        flat_at_zero=slope == 0,
        homogeneous=True,
        value=lambda x: max(x, 0.0) + float(slope) * min(x, 0.0),
        exact=lambda x: max(x, Fraction(0)) + slope * min(x, Fraction(0)),
        saturated=lambda x: slope == 0 and x <= 0,
    )


def _passes(traits: law.FunctionTraits) -> Iterator[str]:
    """What the law makes of sizes, in words."""
    passes = ("0; `d - s`", "`s0` and `d` pass", "`2 s0`; `d + s`")
    yield passes[traits.degree]
    if traits.bounded:
        yield "clamped at 0"
    if not traits.zero_at_zero and traits.degree:
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


def _log(x: float) -> float:
    return math.log(max(abs(x), 1e-2))  # what is normal may be negative


def _at(where: int, there: Fraction) -> Callable[[Fraction], Fraction | None]:
    """One value that is rational."""
    return {Fraction(where): there}.get


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _elu(x: float) -> float:
    return max(x, math.expm1(min(x, 0.0)))


def _selu(x: float) -> float:
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return scale * (max(x, 0.0) + alpha * math.expm1(min(x, 0.0)))


def _clamped(name: str, low: int, high: int, flat: bool = False) -> law.FunctionTraits:
    """A number where it lies between two, the nearer of them where it does not."""
    return law.FunctionTraits(
        name,
        bounded=True,
        flat_at_zero=flat,
        odd=low == -high,
        value=lambda x: min(max(x, float(low)), float(high)),
        exact=lambda x: min(max(x, Fraction(low)), Fraction(high)),
        saturated=lambda x: not low < x < high,
    )


def _hardsigmoid(x: float) -> float:
    return min(max(x / 6 + 0.5, 0.0), 1.0)


def _rational_hardsigmoid(x: Fraction) -> Fraction:
    return min(max(x / 6 + Fraction(1, 2), Fraction(0)), Fraction(1))


SIGMOID = law.FunctionTraits(
    "sigmoid",
    bounded=True,
    zero_at_zero=False,
    value=_sigmoid,
    exact=_at(0, Fraction(1, 2)),
)
LOG = Pointwise(
    law.FunctionTraits("log", zero_at_zero=False, degree=0, value=_log, exact=_at(1, Fraction(0))),
    yields=True,
    of_positive=True,
)

OPERATIONS = (
    Pointwise(
        law.FunctionTraits(
            "relu",
            flat_at_zero=True,
            homogeneous=True,
            value=lambda x: max(x, 0.0),
            exact=lambda x: max(x, Fraction(0)),
            saturated=lambda x: x <= 0,
        ),
        gives=NOT_NEGATIVE,
    ),
    Pointwise(law.FunctionTraits("gelu", value=_gelu)),
    Pointwise(law.FunctionTraits("gelu_tanh", value=_gelu_tanh)),
    Pointwise(law.FunctionTraits("silu", value=lambda x: x * _sigmoid(x))),
    Pointwise(law.FunctionTraits("tanh", bounded=True, odd=True, value=math.tanh)),
    Pointwise(SIGMOID, gives=POSITIVE),
    Pointwise(law.FunctionTraits("softplus", zero_at_zero=False, value=_softplus), gives=POSITIVE),
    Pointwise(
        law.FunctionTraits("exp", zero_at_zero=False, value=_exp, exact=_at(0, Fraction(1))),
        yields=True,
        gives=POSITIVE,
    ),
    LOG,
    Pointwise(
        law.FunctionTraits(
            "square",
            flat_at_zero=True,
            degree=2,
            homogeneous=True,
            value=lambda x: x * x,
            exact=lambda x: x * x,
        ),
        gives=NOT_NEGATIVE,
    ),
    LeakyRelu(),
    Pointwise(law.FunctionTraits("elu", value=_elu)),
    Pointwise(law.FunctionTraits("selu", value=_selu)),
    Pointwise(law.FunctionTraits("mish", value=lambda x: x * math.tanh(_softplus(x)))),
    Pointwise(
        law.FunctionTraits(
            "hardswish",
            value=lambda x: x * _hardsigmoid(x),
            exact=lambda x: x * _rational_hardsigmoid(x),
            saturated=lambda x: x <= -3,
        )
    ),
    Pointwise(
        law.FunctionTraits(
            "tanhshrink", flat_at_zero=True, odd=True, value=lambda x: x - math.tanh(x)
        )
    ),
    Pointwise(_clamped("relu6", 0, 6, flat=True), gives=NOT_NEGATIVE),
    Pointwise(_clamped("hardtanh", -1, 1)),
    Pointwise(
        law.FunctionTraits(
            "softsign",
            bounded=True,
            odd=True,
            value=lambda x: x / (1 + abs(x)),
            exact=lambda x: x / (1 + abs(x)),
        )
    ),
    Pointwise(
        law.FunctionTraits(
            "hardsigmoid",
            bounded=True,
            zero_at_zero=False,
            value=_hardsigmoid,
            exact=_rational_hardsigmoid,
            saturated=lambda x: not -3 < x < 3,
        ),
        gives=NOT_NEGATIVE,
    ),
    Pointwise(law.FunctionTraits("logsigmoid", zero_at_zero=False, value=lambda x: -_softplus(-x))),
)
