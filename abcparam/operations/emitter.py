"""What an operation asks of the emitter: operands as code, settings, the function around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from abcparam.algebra.polynomials import Polynomial
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.tensors import Tensor
from abcparam.python_code.formula import ONE, Formula
from abcparam.python_code.nodes import Code
from abcparam.python_code.value import ScaledCode


class Use(Protocol):
    """One use of an operation in a `forward`. Operands are given by their place."""

    # Operands

    def has(self, index: int) -> bool:
        """Whether an operand is there, and was not left out."""

    def value(self, index: int) -> ScaledCode:
        """An operand with a factor that it has still to be multiplied by."""

    def code(self, index: int) -> Code:
        """An operand as it is."""

    def divided(self, index: int) -> tuple[Code, Formula]:
        """An operand for what sees its direction alone, and the factor that it is divided by."""

    def aligned(self, index: int, rank: int | None = None) -> ScaledCode:
        """An operand whose axes meet those of the result, or as many as `rank`."""

    def batched(self, index: int) -> bool:
        """Whether an operand surely has the batch axes of the inputs."""

    def batch(self) -> tuple[Code, ...]:
        """All operands, with the batch axes of the first that has them."""

    def shape(self, index: int) -> Shape: ...

    def rank(self, index: int = 0) -> int: ...

    def tensor(self, index: int) -> Tensor:
        """An operand that is a tensor, as it was declared."""

    def parameter(self, index: int) -> Code:
        """The bare parameter of an operand that is a tensor, without its multiplier."""

    def layer(self) -> Code | None:
        """PyTorch's layer that does the operation, where there is one."""

    def module(self, index: int) -> tuple[Code, list[Code], list[Code]]:
        """An operand that is a call of a block: its module, what it is given, what it needs."""

    # Settings

    def setting(self, name: str) -> Setting: ...

    def amount(self, name: str) -> Amount: ...

    def flag(self, name: str) -> bool: ...

    def whole(self, name: str) -> int:
        """A setting that is a plain whole number."""

    def formula(self, name: str) -> Formula: ...

    def number(self, name: str) -> Code:
        """A setting that is a real number."""

    def length(self, name: str) -> Code:
        """A setting that is a length: a literal or an attribute computed at construction."""

    def unless(self, name: str, usual: int) -> Code | None:
        """A setting that is a length, None where it is as usual."""

    def axis(self, name: str = "axis", index: int = 0) -> int:
        """An axis as PyTorch counts it: from the end, for the batch lies in front."""

    # The function around it

    def local(self, code: Code, hint: str = "y") -> Code:
        """A name for the code."""

    def true(self, value: ScaledCode) -> Code:
        """A value multiplied by its factor."""

    def factor(self, value: Formula, hint: str) -> Code:
        """A factor, computed at construction where it can be."""

    def extent(self, amount: Amount) -> Code:
        """A length, at run time where it is an input's, which may be shorter than declared."""

    def zeros(self, lengths: Sequence[Code]) -> Code:
        """Zeros of the type and on the device of what is at hand."""

    def buffer(self, name: str, length: Polynomial, start: int) -> Code:
        """A buffer of one axis, kept by the module around: what training gathers beside tensors."""

    # Results

    def result(self, code: Code, scale: Formula = ONE, label: str | None = None) -> ScaledCode:
        """What the operation makes; `label` names the factor that is left over."""

    def map(self, table: bool) -> ScaledCode:
        """A tensor times a value; `table`: it is stored as (in, out)."""

    def sum(self, op: str) -> ScaledCode:
        """`x + y`, `x - y`: a common factor stays outside, a bias goes into the map before it."""

    def product(self) -> ScaledCode:
        """`x * y`: factors are gathered."""


class Making(Protocol):
    """A layer of PyTorch where it is made, in a constructor. Operands are given by their place."""

    @property
    def has_bias(self) -> bool: ...

    def axes(self, *times: Formula) -> list[Code]:
        """The lengths of the axes of its weight, the first ones so many times as long."""

    def rank(self, index: int = 0) -> int:
        """The number of axes of an operand."""

    def formula(self, name: str) -> Formula:
        """A setting."""

    def number(self, name: str) -> Code:
        """A setting that is a real number."""

    def length(self, name: str) -> Code:
        """A setting that is a length."""

    def unless(self, name: str, usual: int) -> Code | None:
        """A setting that is a length, None where it is as usual."""
