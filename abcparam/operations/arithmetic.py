"""`x + y`, `x - y`, `x * y`, and a factor times a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.calculus.bilinear import Product
from abcparam.calculus.node import Node
from abcparam.calculus.structure import Scale, Sum
from abcparam.operations.base import REQUIRED, Build, Call, Operands, Operation, broadcast
from abcparam.program import Shape

if TYPE_CHECKING:
    from abcparam.code.use import Use
    from abcparam.code.value import Value


class Add(Operation):
    """`x[* i], y[* i] -> z[* i]`, either stretched where it lacks an axis."""

    name = "+"
    source = "arXiv 2006.14548 (Tensor Programs II), linear combinations"
    values = ("x", "y")
    hidden = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (broadcast(call, call.shape(0), call.shape(1)),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        (result,) = self.shapes(call)
        lacking = [build.lacking(call.shape(i), result) for i in (0, 1)]
        return (Sum(build.context, operands.nodes(), lacking, call.span),)

    def torch(self, use: Use) -> Value:
        return use.sum(self.name)


class Subtract(Add):
    """`x[* i], y[* i] -> z[* i]`: the law of a sum."""

    name = "-"


class Multiply(Operation):
    """`x[* i], y[* i] -> z[* i]`, elementwise."""

    name = "*"
    source = "arXiv 2203.03466, appendix J"
    values = ("x", "y")
    hidden = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (broadcast(call, call.shape(0), call.shape(1)),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        (result,) = self.shapes(call)
        left, right = (build.lacking(call.shape(i), result) for i in (0, 1))
        x, y = operands.nodes()
        return (Product(build.context, x, y, build.context.nought, (left, right), call.span),)

    def torch(self, use: Use) -> Value:
        return use.product()


class Factor(Operation):
    """`by * x[*] -> y[*]`, by a monomial of dims and hypers."""

    name = "scale"
    source = "arXiv 2203.03466, section 3"
    settings = {"by": REQUIRED}
    hidden = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (call.shape(0),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        factor = build.rho(call.amount("by"))
        return (Scale(build.context, operands.node(0), factor, call.span),)

    def torch(self, use: Use) -> Value:
        return use.value(0).times(use.formula("by"))


OPERATIONS = (Add(), Subtract(), Multiply(), Factor())
