"""`layernorm` and `rmsnorm` over the last axis, or each head of it, with optional gain and bias."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial, number
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.structure import SumNode
from abcparam.diagnostics.rules import shapes as rules
from abcparam.language.syntax import Number
from abcparam.operations.attention import per_head
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call, broadcast, show
from abcparam.python_code.formula import ONE as WHOLE
from abcparam.python_code.formula import Formula
from abcparam.python_code.nodes import Attribute, Binary, Code, Slice, call, lift, method, subscript

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Making, Use
    from abcparam.program.tensors import Tensor
    from abcparam.python_code.value import ScaledCode


EPS = Amount(Number(Fraction("1e-5")), number(Fraction("1e-5")))


class Normalization(Operation):
    """`x[* i], gain[i], bias[i] -> y[* i]` over the last axis.

    With `heads` it is over each head, `x[* (h d)]`; gain and bias, which may be left out, are
    then `[d]`, shared by all heads, or `[h, d]`.
    """

    law = "`s0 = 0`; `d - s`; gradient less `s`"
    source = "arXiv 2203.03466, appendix B.1 (gains and biases are input tensors)"
    values = ("x", "gain", "bias")
    optional = frozenset({"gain", "bias"})
    starts = {"gain": "ones", "bias": "zeros"}
    settings = {"eps": EPS, "heads": 1}

    def __init__(self, name: str, centres: bool) -> None:
        self.name = name
        self.example = f"{name}(x, gain = gain)"
        self.centres = centres
        self.layer = ("gain", "bias") if centres else ("gain",)  # nn.RMSNorm has no bias

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = _inside(call)
        for shape in call.shapes[1:]:
            if shape is not None:
                broadcast(call, x, shape)
        return (call.shape(0),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, one = _inside(call), build.context.one
        y: Node = NormNode(build.context, operands.node(0), self.name, self.centres, call.span)
        gain, bias = operands.optional(1), operands.optional(2)
        if gain is not None:
            lacking = (one, build.lacking(call.shape(1), x))
            y = ProductNode(build.context, y, gain, one, lacking, call.span)
        if bias is not None:
            y = SumNode(build.context, (y, bias), (one, build.lacking(call.shape(2), x)), call.span)
        return (y,)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (scaled(of, free=divides_out(call)),)

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        (x, *_), heads = call.operands, call.settings["heads"]
        if x is not None and isinstance(heads, Amount):
            yield x.shapes[0][-1] / heads.value

    def has_layer(self, call: Apply, weight: Tensor) -> bool:
        """Where the gain is all of what is normalized."""
        x, heads = call.operands[0], call.settings["heads"]
        assert x is not None and isinstance(heads, Amount)
        return weight.shape == (x.shapes[0][-1] / heads.value,)

    def made(self, making: Making) -> Code:
        (length,), eps = making.axes(), self._eps(making)
        if not self.centres:
            return call("nn.RMSNorm", length, eps=eps)
        return call("nn.LayerNorm", length, eps=eps, bias=None if making.has_bias else False)

    def torch(self, use: Use) -> ScaledCode:
        split, layer = use.amount("heads").value != ONE, use.layer()
        x, over = use.divided(0)
        if split:
            x = method(x, "unflatten", -1, (use.length("heads"), -1))
        if layer is None:
            y = self._normalized(use, use.local(x), over)
        else:
            y = self.called(layer, x, _rank(use))
            if use.has(2) and not self.centres:
                y = Binary("+", y, use.true(use.aligned(2, _rank(use))))
        return use.result(method(y, "flatten", -2) if split else y)

    def _normalized(self, use: Use, x: Code, over: Formula) -> Code:
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
        eps = self._eps(use)
        if over != WHOLE and use.formula("eps").constant != 0:
            eps = use.factor(use.formula("eps") / over.power(Fraction(2)), "eps")
        y: Code = call(function, *arguments, **keywords, eps=eps)
        if use.has(1) and gain is None:
            y = Binary("*", y, use.true(use.aligned(1, _rank(use))))
        if use.has(2) and (bias is None or not inside):
            y = Binary("+", y, use.true(use.aligned(2, _rank(use))))
        return y

    def _eps(self, place: Use | Making) -> Code | None:
        """None where it is PyTorch's default."""
        is_default = self.centres and place.formula("eps").constant == Fraction("1e-5")
        return None if is_default else place.number("eps")


def divides_out(call: Apply) -> bool:
    """Whether a factor of the operand leaves no trace: nothing is added to its size."""
    eps = call.settings["eps"]
    return isinstance(eps, Amount) and not eps.value.terms


def scaled(of: Degrees, free: bool) -> Affine:
    """The degree of a norm: that of its gain, and of its bias; `free` is what is divided."""
    if not free:
        of.still(0)
    degree = of.of(1) if of.has(1) else of.held()
    if of.has(2):
        of.tie(degree, of.of(2))
    return degree


def _inside(call: Call) -> Shape:
    """The shape that is normalized over its last axis: that of x, its heads apart."""
    x, heads = call.shape(0), call.amount("heads")
    if heads == ONE:
        return x
    if not x:
        raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
    return (*x[:-1], heads, per_head(call, "the operand", x[-1], heads))


def _rank(use: Use) -> int:
    return use.rank() + (use.amount("heads").value != ONE)


def _vector(use: Use, index: int) -> Code | None:
    """A gain or bias that PyTorch's function takes as it is: all of the last axis, no batch."""
    if not use.has(index) or use.batched(index):
        return None
    length = use.shape(0)[-1] / use.amount("heads").value
    return use.code(index) if use.shape(index) == (length,) else None


OPERATIONS = (Normalization("layernorm", centres=True), Normalization("rmsnorm", centres=False))
