"""`W @ x` and `W.T @ x`: a tensor contracts the last axis of a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call, show
from abcparam.python_code.nodes import call

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Making, Use
    from abcparam.program.tensors import Tensor
    from abcparam.python_code.nodes import Code
    from abcparam.python_code.value import ScaledCode


class MatMul(Operation):
    """`w[o i], x[* i] -> y[* o]`; `.T` contracts the out axis.

    The axes of w come as the map reads them, (out, in).
    """

    name = "@"
    example = "readout @ relu(first @ x)"
    written = ("W @ x", "W.T @ x")
    law = (
        "`s0 = σ + ρi/2 + s0(x)`; `d ≥ σ + max(ρi/2, ρi - ρo/2) + d(x)` and `u + ρi + s(x)`; tied "
        "(`x` contains W): the change's gain at init too"
    )
    source = "arXiv 2011.14522, section 5"
    values = ("W", "x")
    weights = frozenset({"W"})
    layer = ("W",)
    settings = {"transposed": False}
    hidden = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        (outer, inner), x = call.shape(0), call.shape(1)
        if not x or x[-1] != inner:
            found = x[-1] if x else "nothing"
            raise call.refuse(
                rules.ContractedAxisDiffers, weight="W", wanted=inner, found=found, shape=show(x)
            )
        return ((*x[:-1], outer),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        weight, x = operands.parameter(0), operands.node(1)
        transposed = call.flag("transposed")
        tied = transposed and build.tied(weight, x)
        shared = build.length(call.shape(1)[:-1])
        return (LinearNode(build.context, weight, x, shared, transposed, tied, call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1),)

    def has_layer(self, call: Apply, weight: Tensor) -> bool:
        return not weight.table

    def made(self, making: Making) -> Code:
        outer, inner = making.axes()
        return call("nn.Linear", inner, outer, bias=None if making.has_bias else False)

    def torch(self, use: Use) -> ScaledCode:
        return use.map(table=use.tensor(0).table != use.flag("transposed"))


OPERATIONS = (MatMul(),)
