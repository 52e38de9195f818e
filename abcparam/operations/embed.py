"""`embed(table, indices)`: rows of a table, looked up by integer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.calculus.linear import ValueNode
from abcparam.calculus.node import Node
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call
from abcparam.python_code.nodes import call

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Making, Use
    from abcparam.program.tensors import Tensor
    from abcparam.python_code import value as code
    from abcparam.python_code.nodes import Code


class Embed(Operation):
    """`table[i o], n[*] -> y[* o]`."""

    name = "embed"
    example = "embed(table, tokens)"
    law = "`s0 = σ`, `d = u`: nothing is summed"
    source = "arXiv 2203.03466, appendix B (input weights)"
    values = ("table", "indices")
    weights = frozenset({"table"})
    layer = ("table",)
    tables = frozenset({"table"})
    indices = frozenset({"indices"})

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return ((*call.shape(1), *call.shape(0)[1:]),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (ValueNode(build.context, operands.parameter(0), lookup=True, span=call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0),)

    def has_layer(self, call: Apply, weight: Tensor) -> bool:
        return weight.table and len(weight.axes) == 2

    def made(self, making: Making) -> Code:
        return call("nn.Embedding", *making.axes())

    def torch(self, use: Use) -> code.ScaledCode:
        table = use.value(0)
        layer, indices = use.layer(), use.code(1)
        found = call(layer, indices) if layer else call("F.embedding", indices, use.parameter(0))
        return use.result(found, table.scale, table.label)


OPERATIONS = (Embed(),)
