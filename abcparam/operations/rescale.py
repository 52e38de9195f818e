"""`rescale(x, forward, backward)`: values times one factor, their gradients times another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.calculus.node import Node
from abcparam.calculus.structure import RescaleNode
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call
from abcparam.python_code.nodes import call as invoked

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode

RESCALE = '''\
class _Rescale(torch.autograd.Function):
    """Values times one factor, their gradients times another."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, forward: float, backward: float) -> Tensor:
        return x.view_as(x) if forward == 1 else forward * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.factor = inputs[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.factor * gradient, None, None'''


class Rescale(Operation):
    """`x[*] -> y[*]`, factors of dims, hypers and numbers. Where both are one, that is `k * x`.

    `backward = 0` stops the gradient.
    """

    name = "rescale"
    example = "rescale(readout @ x, forward = base(width) / width)"
    law = "`s0` and `d` times `forward`, gradients times `backward` instead"
    source = "arXiv 2303.11257, section 3 (unit scaling)"
    settings = {"forward": 1, "backward": 1}
    factors = ("forward",)
    yields = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (call.shape(0),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        forward, backward = (build.rho(call.amount(name)) for name in self.settings)
        return (RescaleNode(build.context, operands.node(0), forward, backward, call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.left_out("forward"),)

    def helper(self, call: Apply) -> str:
        return RESCALE

    def torch(self, use: Use) -> ScaledCode:
        factors = (use.factor(use.formula(name), f"{name}_scale") for name in self.settings)
        return use.result(invoked("_Rescale.apply", use.code(0), *factors), label="rescaled")


OPERATIONS = (Rescale(),)
