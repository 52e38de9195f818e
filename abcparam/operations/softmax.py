"""`softmax(x)` over the last axis, which must be finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.calculus import pointwise as law
from abcparam.calculus.node import Node
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Shape
from abcparam.program.signature import Call, finite, show
from abcparam.python_code.nodes import call

if TYPE_CHECKING:
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


class Softmax(Operation):
    """`x[* i] -> y[* i]` over the last axis, which is finite."""

    name = "softmax"
    law = "`s0 = 0`, `min(d, 0)`"
    source = "arXiv 2203.03466, appendix J"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if not x:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
        finite(call, x[-1])
        return (x,)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (law.SoftmaxNode(build.context, operands.node(0), call.span),)

    def torch(self, use: Use) -> ScaledCode:
        return use.result(call("F.softmax", use.code(0), dim=-1))


OPERATIONS = (Softmax(),)
