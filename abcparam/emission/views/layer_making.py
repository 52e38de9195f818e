"""The emitter's side of `operations.emitter.Making`: what a layer of PyTorch is made from."""

from __future__ import annotations

from itertools import zip_longest

from abcparam.algebra.record import Record
from abcparam.emission.lowering.layers import Layer
from abcparam.emission.lowering.numbers import CodePlace
from abcparam.emission.lowering.scope import ModuleScope
from abcparam.program.amounts import Amount
from abcparam.program.tensors import Tensor
from abcparam.python_code.formula import ONE, Formula
from abcparam.python_code.nodes import Code


class LayerMaking(Record):
    """One layer in the constructor of a class; satisfies `Making`."""

    scope: ModuleScope
    place: CodePlace
    weight: Tensor
    layer: Layer

    @property
    def has_bias(self) -> bool:
        return self.layer.bias is not None

    def axes(self, *times: Formula) -> list[Code]:
        """The lengths of the axes of its weight, the first ones so many times as long."""
        lengths = [self.scope.amount(axis) for axis in self.weight.axes]
        factors = zip_longest(lengths, times, fillvalue=ONE)
        return [self.place.whole(length * factor) for length, factor in factors]

    def rank(self, index: int = 0) -> int:
        operand = self.layer.call.operands[index]
        assert operand is not None
        return len(operand.shapes[0])

    def formula(self, name: str) -> Formula:
        setting = self.layer.call.settings[name]
        assert isinstance(setting, Amount)
        return self.scope.amount(setting)

    def number(self, name: str) -> Code:
        """A setting that is a real number."""
        return self.place.real(self.formula(name))

    def length(self, name: str) -> Code:
        """A setting that is a length."""
        return self.place.whole(self.formula(name))

    def unless(self, name: str, usual: int) -> Code | None:
        """A setting that is a length, None where it is as usual."""
        return None if self.formula(name).constant == usual else self.length(name)
