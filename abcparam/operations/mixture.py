"""`mixture(logits, Expert(x), top)`: one instance of a block per logit.

Each token takes the best of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial
from abcparam.calculus.bilinear import MixedNode
from abcparam.calculus.node import Node
from abcparam.calculus.pointwise import SoftmaxNode
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call, finite, show
from abcparam.python_code.nodes import call

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode

MIXTURE = '''\
def _mixture(
    logits: Tensor, experts: nn.ModuleList, top: int, x: Tensor, *more: Any
) -> Tensor:
    """The best experts of each token, weighted by the softmax of their logits."""
    tokens, axes = logits.shape[:-1], x.shape[logits.dim() - 1 :]
    weights, chosen = logits.reshape(-1, logits.shape[-1]).topk(top)
    weights, x = weights.softmax(-1), x.reshape(-1, *axes)
    rows, values = [], []
    for number, expert in enumerate(experts):
        row, place = (chosen == number).nonzero(as_tuple=True)
        y = expert(x[row], *more)
        rows.append(row)
        values.append(weights[row, place].view(-1, *[1] * (y.dim() - 1)) * y)
    y = torch.cat(values)
    y = y.new_zeros(x.shape[0], *y.shape[1:]).index_add(0, torch.cat(rows), y)
    return y.reshape(*tokens, *y.shape[1:])'''


class Mixture(Operation):
    """`logits[* e], x[* j] -> y[* o]`: e instances of the block.

    Each token takes the best of them.

    A block sees one token, not `*`: `expert(x[j])` is `[o]`.
    """

    name = "mixture"
    example = "mixture(router @ x, Expert(x), top = 2)"
    law = "softmax of the logits, times the experts' outputs"
    source = "arXiv 1701.06538; finitely many experts: a softmax and a product that is summed"
    values = ("logits", "expert")
    copied = frozenset({"expert"})
    settings = {"top": 2}

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        logits, top = call.shape(0), call.amount("top").constant
        if not logits:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(logits))
        finite(call, logits[-1], remedy=rules.GrowingAxis.experts)
        most = logits[-1].constant
        if top is not None and (top < 1 or top.denominator != 1 or (most and top > most)):
            wanted = "a whole number from 1 to the number of experts"
            raise call.refuse(rules.NotWhole, name="top", wanted=wanted)
        return (call.shape(1),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        logits, expert = operands.node(0), operands.node(1)
        weights = SoftmaxNode(build.context, logits, call.span)
        lacking = build.length(call.shape(1)[len(call.shape(0)) - 1 :])
        top = build.rho(call.amount("top"))
        return (MixedNode(weights, expert, lacking, top, call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        of.still(0)
        return (of.of(1),)

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        top = call.settings["top"]
        return [top.value] if isinstance(top, Amount) else ()

    def helper(self, call: Apply) -> str:
        return MIXTURE

    def torch(self, use: Use) -> ScaledCode:
        experts, (x,), more = use.module(1)
        return use.result(call("_mixture", use.code(0), experts, use.length("top"), x, *more))


OPERATIONS = (Mixture(),)
