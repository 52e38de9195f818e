"""`x + y`, `x - y`, `x * y`, a factor times a value, and a number added to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.sizes import Size
from abcparam.calculus.bilinear import FactorNode
from abcparam.calculus.node import ConstantNode, Node, ZerosNode
from abcparam.calculus.structure import ScaleNode, SumNode
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import (
    ANY_SIGN,
    POSITIVE,
    REQUIRED,
    Call,
    broadcast,
    is_vector,
)
from abcparam.python_code.nodes import Binary

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


class Elementwise(Operation):
    """`x[* i], y[* i] -> z[* i]`, broadcast: either is stretched where it lacks an axis."""

    values = ("x", "y")
    hidden = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (broadcast(call, call.shape(0), call.shape(1)),)

    def lacking(self, build: Build, call: Call) -> tuple[Size, Size]:
        """The size of the axes that x and y lack."""
        (result,) = self.shapes(call)
        return build.lacking(call.shape(0), result), build.lacking(call.shape(1), result)


class Add(Elementwise):
    name = "+"
    example = "x + Attention(x)"
    written = ("x + y",)
    law = "the larger"
    source = "arXiv 2006.14548 (Tensor Programs II), linear combinations"
    starts = {"x": "zeros", "y": "zeros"}

    def start(self, operand: str, shape: Shape) -> str | None:
        """A vector is a bias. More long axes than one are a table, of positions say."""
        return super().start(operand, shape) if is_vector(shape) else None

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        lacking = self.lacking(build, call)
        return (SumNode(build.context, operands.nodes(), lacking, call.span, self.name == "-"),)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        """One of what is not negative is enough, as of squares and a positive number."""
        return max(signs) if min(signs) else ANY_SIGN

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.same(),)

    def torch(self, use: Use) -> ScaledCode:
        return use.sum(self.name)


class Subtract(Add):
    name = "-"
    example = "x - mean(x, axis = -1)"
    written = ("x - y",)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return ANY_SIGN

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        """What is subtracted from itself leaves exactly nothing."""
        x, y = operands.nodes()
        if x is y:
            return (ZerosNode(build.context, call.span),)
        return super().graph(build, call, operands)


class Multiply(Elementwise):
    name = "*"
    example = "silu(gate @ x) * (up @ x)"
    written = ("x * y",)
    law = "`s0` adds; `d = max(d(x) + s(y), s(x) + d(y))`"
    source = "arXiv 2203.03466, appendix J"

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return min(signs)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, y = operands.nodes()
        return (FactorNode(build.context, x, y, self.lacking(build, call), call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1),)

    def torch(self, use: Use) -> ScaledCode:
        return use.product()


class WithNumber(Operation):
    """`x[*] -> y[*]`, `k` of dims, hypers and numbers, the same at every coordinate."""

    settings = {"by": REQUIRED}
    hidden = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (call.shape(0),)


class Factor(WithNumber):
    name = "scale"
    example = "base(width) / width * (table.T @ x)"
    written = ("k * x", "x / k", "-x")
    law = "`k`'s exponent is added everywhere"
    source = "arXiv 2203.03466, section 3"
    multiple = True
    factors = ("by",)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return signs[0] if _is_positive(settings["by"]) else ANY_SIGN

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        by = call.amount("by")
        x, number = operands.node(0), by.constant
        return (ScaleNode(build.context, x, build.rho(by), call.span, number),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        by = call.settings["by"]
        zero = isinstance(by, Amount) and not by.value.terms
        return (of.free() if zero else of.of(0) + of.left_out("by"),)

    def torch(self, use: Use) -> ScaledCode:
        return use.value(0).times(use.formula("by"))


class Offset(WithNumber):
    name = "offset"
    example = "(1 + gate) * x"
    written = ("x + k", "x - k", "k - x")
    law = "that of a sum: `k` at init, no change"
    source = Add.source
    starts = {"x": "zeros"}  # `1 + gain`: the number is where it starts

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return POSITIVE if signs[0] and _is_positive(settings["by"]) else ANY_SIGN

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        context, by, span = build.context, call.amount("by"), call.span
        constant: Node = ZerosNode(context, span)
        if by.terms:
            number = ConstantNode(context, by.constant)
            constant = ScaleNode(context, number, build.rho(by), span, Fraction(1))
        return (SumNode(context, (operands.node(0), constant), [context.one] * 2, span),)

    def torch(self, use: Use) -> ScaledCode:
        x, by = use.value(0), use.formula("by")
        if x.scale.constant == -1:
            return use.result(Binary("-", use.factor(by, "offset"), x.code))
        sign, by = ("-", -by) if (by.constant or 0) < 0 else ("+", by)
        return use.result(Binary(sign, use.true(x), use.factor(by, "offset")))


def _is_positive(by: Setting) -> bool:
    """Whether a factor or summand is a number above zero, or a sum of powers of dims that is."""
    return isinstance(by, Amount) and bool(by.value.terms) and all(c > 0 for _, c in by.value.terms)


OPERATIONS = (Add(), Subtract(), Multiply(), Factor(), Offset())
