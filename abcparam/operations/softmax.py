"""`softmax(x)` over the last axis, which must be finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.calculus import pointwise as law
from abcparam.calculus.node import Node
from abcparam.code.nodes import call
from abcparam.operations.base import Build, Call, Operands, Operation, finite, show
from abcparam.program import Shape
from abcparam.rules import shapes as rules

if TYPE_CHECKING:
    from abcparam.code.use import Use
    from abcparam.code.value import Value


class Softmax(Operation):
    """`x[* i] -> y[* i]`."""

    name = "softmax"
    source = "arXiv 2203.03466, appendix J"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if not x:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
        finite(call, x[-1])
        return (x,)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (law.Softmax(build.context, operands.node(0), call.span),)

    def torch(self, use: Use) -> Value:
        return use.result(call("F.softmax", use.code(0), dim=-1))


OPERATIONS = (Softmax(),)
