"""`layernorm` and `rmsnorm` over the last axis, with an optional gain and bias."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.calculus.bilinear import Product
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import Norm
from abcparam.calculus.structure import Sum
from abcparam.code.nodes import Attribute, Binary, Code, Slice, call, lift, subscript
from abcparam.operations.base import Build, Call, Operands, Operation, broadcast
from abcparam.polynomials import number
from abcparam.program import Amount, Shape
from abcparam.syntax import Number

if TYPE_CHECKING:
    from abcparam.code.use import Use
    from abcparam.code.value import Value


EPS = Amount(Number(Fraction("1e-5")), number(Fraction("1e-5")))


class Normalization(Operation):
    """`x[* i], gain[i], bias[i] -> y[* i]`."""

    source = "arXiv 2203.03466, appendix B.1 (gains and biases are input tensors)"
    values = ("x", "gain", "bias")
    optional = frozenset({"gain", "bias"})
    settings = {"eps": EPS}

    def __init__(self, name: str, centres: bool) -> None:
        self.name = name
        self.centres = centres

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        for shape in call.shapes[1:]:
            if shape is not None:
                broadcast(call, x, shape)
        return (x,)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, nought = call.shape(0), build.context.nought
        y: Node = Norm(build.context, operands.node(0), self.name, self.centres, call.span)
        gain, bias = operands.optional(1), operands.optional(2)
        if gain is not None:
            lacking = (nought, build.lacking(call.shape(1), x))
            y = Product(build.context, y, gain, nought, lacking, call.span)
        if bias is not None:
            y = Sum(build.context, (y, bias), (nought, build.lacking(call.shape(2), x)), call.span)
        return (y,)

    def torch(self, use: Use) -> Value:
        x = use.named(0)
        gain, bias = _vector(use, 1), _vector(use, 2)
        inside = self.centres and (gain is not None or not use.has(1))  # F.rms_norm takes no bias
        function = "F.layer_norm" if self.centres else "F.rms_norm"
        shape = subscript(Attribute(x, "shape"), Slice(start=lift(-1)))
        arguments = [
            x,
            shape,
            *([gain] if gain else []),
            *([bias] if gain and bias and inside else []),
        ]
        keywords = {"bias": bias} if bias and inside and not gain else {}
        y: Code = call(function, *arguments, **keywords, eps=self._eps(use))
        if use.has(1) and gain is None:
            y = Binary("*", y, use.true(use.aligned(1)))
        if use.has(2) and (bias is None or not inside):
            y = Binary("+", y, use.true(use.aligned(2)))
        return use.result(y)

    def _eps(self, use: Use) -> Code | None:
        """None where it is PyTorch's default."""
        is_default = self.centres and use.formula("eps").constant == Fraction("1e-5")
        return None if is_default else use.number("eps")


def _vector(use: Use, index: int) -> Code | None:
    """A gain or bias that PyTorch's function takes as it is: one axis, no batch."""
    plain = use.has(index) and not use.batched(index) and use.shape(index) == use.shape(0)[-1:]
    return use.code(index) if plain else None


OPERATIONS = (Normalization("layernorm", centres=True), Normalization("rmsnorm", centres=False))
