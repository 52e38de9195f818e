"""`softmax(x)`, `log_softmax(x)`, `logsumexp(x)` over the last axis, which must be finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from abcparam.calculus import pointwise as law
from abcparam.calculus.node import Node
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Setting, Shape
from abcparam.program.signature import ANY_SIGN, POSITIVE, Call, finite, show
from abcparam.python_code.nodes import call

if TYPE_CHECKING:
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


class Softmax(Operation):
    """`x[* i] -> y[* i]` over the last axis, which is finite."""

    name = "softmax"
    law = "`s0 = 0`, `min(d, 0)`"
    source = "arXiv 2203.03466, appendix J"
    gives = POSITIVE

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if not x:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
        finite(call, x[-1])
        return (x,)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return self.gives

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        length = call.shape(0)[-1]
        return (law.SoftmaxNode(build.context, operands.node(0), call.span, length),)

    def torch(self, use: Use) -> ScaledCode:
        return use.result(call(f"F.{self.name}", use.code(0), dim=-1))


class LogSoftmax(Softmax):
    """`x[* i] -> y[* i]`, the logarithm of a softmax over the last axis, which is finite."""

    name = "log_softmax"
    example = "mean(log_softmax(readout @ x), axis = -1)"
    law = "`max(s0, 0)`; `d`"
    gives = ANY_SIGN
    yields = True

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (law.LogSoftmaxNode(build.context, operands.node(0), self.name, call.span),)


class LogSumExp(LogSoftmax):
    """`x[* i] -> y[*]`, the logarithm of the sum of `exp(x)` over the last axis, a finite one."""

    name = "logsumexp"
    example = "readout @ x - unsqueeze(logsumexp(readout @ x), axis = -1)"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return tuple(x[:-1] for x in super().shapes(call))

    def torch(self, use: Use) -> ScaledCode:
        return use.result(call("torch.logsumexp", use.code(0), dim=-1))


OPERATIONS = (Softmax(), LogSoftmax(), LogSumExp())
