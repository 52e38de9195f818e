"""`similarity(x, y)`: the inner products of each row of one value with each of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.node import Node
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call, show
from abcparam.python_code.nodes import Binary, method

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


class Similarity(Operation):
    """`x[* i d], y[* j d] -> z[* i j]`, each row with each.

    Where both have one axis, rows are samples, and z, of no axes, is of each pair in the batch.
    """

    name = "similarity"
    example = "similarity(exp(temperature) * rmsnorm(image @ x), rmsnorm(words @ y))"
    law = "`s0 = s0(x) + s0(y) + ρd/2`, or `ρd` where both come from one map; change `ρd + …`"
    source = "arXiv 2203.03466, Definition 4.1 (1/d)"
    values = ("x", "y")
    yields = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x, y = call.shape(0), call.shape(1)
        if not x or not y:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x or y))
        if x[-1:] != y[-1:] or len(x) != len(y) or x[:-2] != y[:-2]:
            raise call.refuse(rules.ShapesDiffer, left=show(x), right=show(y))
        return ((*x[:-1], *y[-2:-1]),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, y = operands.nodes()
        lacking = tuple(build.length(call.shape(i)[-2:-1]) for i in (1, 0))
        over = build.length(call.shape(0)[-1:])
        return (ProductNode(build.context, x, y, over, (lacking[0], lacking[1]), call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1),)

    def torch(self, use: Use) -> ScaledCode:
        x, y = use.value(0), use.value(1)
        code = Binary("@", x.code, method(y.code, "transpose", -1, -2))
        return use.result(code, x.scale * y.scale, x.label or y.label)


OPERATIONS = (Similarity(),)
