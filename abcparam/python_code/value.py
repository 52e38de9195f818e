"""A value on its way into code, with the factor that it has still to be multiplied by."""

from __future__ import annotations

from abcparam.algebra.record import Record, replace
from abcparam.python_code.formula import ONE, Formula
from abcparam.python_code.nodes import Binary, Code, Negative, Number, call


class LinearCall(Record):
    """A tensor applied to `x`, by its layer or `F.linear`; `inward`: the input is smaller.

    `biased`: the layer has a bias, the one that is added next.
    """

    layer: Code | None
    weight: Code
    x: Code
    inward: bool
    biased: bool = False

    def apply(self, factor: Code | None = None, bias: Code | None = None) -> Code:
        x = self.x if factor is None else times(factor, self.x)
        if self.layer is None or (bias is not None and not self.biased):
            arguments = (x, self.weight) if bias is None else (x, self.weight, bias)
            return call("F.linear", *arguments)
        return call(self.layer, x)


class ScaledCode(Record):
    """`scale * code`, with a `label` that names the scale.

    `linear`: the code applies a tensor, so a factor or a bias can go in. `tail`: the two parts of a
    sum that ends so.

    `batched`: whether it has the inputs' batch axes. `vector`: a tensor of the model with one axis.
    """

    code: Code
    scale: Formula = ONE
    label: str = "value"
    linear: LinearCall | None = None
    tail: tuple[ScaledCode, ScaledCode] | None = None
    batched: bool = True
    vector: bool = False

    def times(self, factor: Formula) -> ScaledCode:
        return replace(self, scale=factor * self.scale)

    def but(self, code: Code) -> ScaledCode:
        """Other code that is linear in this one."""
        return replace(self, code=code, linear=None, tail=None, vector=False)


def times(factor: Code, code: Code) -> Code:
    """The product; a factor of -1 is a sign."""
    if isinstance(factor, Number) and factor.value == -1:
        return Negative(code)
    return Binary("*", factor, code)
