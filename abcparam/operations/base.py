"""What an operation is: its signature, its shapes, its law, its line of PyTorch, its source.

The law is a piece of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Context, Node
from abcparam.calculus.parameter import Parameter
from abcparam.program.amounts import Shape
from abcparam.program.signature import Call, Signature
from abcparam.python_code.nodes import call as invoked

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Making, Use
    from abcparam.program.expressions import Apply
    from abcparam.program.tensors import Tensor
    from abcparam.python_code.nodes import Code
    from abcparam.python_code.value import ScaledCode


class Operands(NamedTuple):
    """The operands of a call as nodes of the graph.

    They are parameters where they must be tensors, None where omitted.
    """

    items: tuple[Node | Parameter | None, ...]

    def node(self, index: int) -> Node:
        item = self.items[index]
        assert isinstance(item, Node)
        return item

    def parameter(self, index: int) -> Parameter:
        item = self.items[index]
        assert isinstance(item, Parameter)
        return item

    def optional(self, index: int) -> Node | None:
        return None if self.items[index] is None else self.node(index)

    def nodes(self) -> list[Node]:
        return [item for item in self.items if isinstance(item, Node)]


class Build(NamedTuple):
    """What an operation needs to build its piece of the graph."""

    context: Context
    rho: Callable[[Polynomial], Size]  # the size of a length: 0 where it is finite
    volume: Callable[[Shape], Size]  # that of all axes of a shape
    stretched: Callable[[Shape], Size]  # that of axes all along which a value is the same
    tied: Callable[[Parameter, Node], bool]  # whether an activation points along a tensor

    def length(self, shape: Sequence[Polynomial]) -> Size:
        return self.volume(tuple(shape))

    def lacking(self, shape: Shape, result: Shape) -> Size:
        """The size of the axes of `result` that a factor of this shape is broadcast over."""
        have = (*[None] * (len(result) - len(shape)), *shape)
        missing = [r for r, x in zip(result, have, strict=True) if x != r]
        return self.stretched(tuple(missing))


class Operation(Signature):
    """An operation of the language: its signature, its law, its line of PyTorch, its source.

    One file each (or a family in one file); found by looking in the folder. The first paragraph of
    the docstring says the shapes, in the reference too.
    """

    source: ClassVar[str] = ""  # where its law is from
    law: str  # `graph` as docs/language.md writes it
    written: ClassVar[tuple[str, ...]] = ()  # how a spec has it, where not as a call by its name
    example: str = ""  # one use of it; where none is given, a call with its operands
    # The operands that PyTorch's layer for it has as its weight and, if it is given one, its bias.
    layer: tuple[str, ...] = ()
    layer_helper: ClassVar[str] = ""  # what `helper` is where a layer does it

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        """The operation as nodes of the calculus."""
        raise NotImplementedError

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        """The degrees of the results, and what is asked of the operands: here, to stay."""
        of.still(*range(len(call.operands)))
        return tuple(of.held() for _ in call.shapes)

    def usual(self, call: Apply) -> Polynomial:
        """The factor that PyTorch's own function has where none is given."""
        return ONE

    def torch(self, use: Use) -> ScaledCode:
        """The operation in PyTorch; of several results, a tuple."""
        raise NotImplementedError

    def has_layer(self, call: Apply, weight: Tensor) -> bool:
        """Whether PyTorch has a layer for a use of it, with this weight."""
        return False

    def made(self, making: Making) -> Code:
        """PyTorch's layer for it, as a constructor makes it."""
        raise NotImplementedError

    def called(self, layer: Code, x: Code, rank: int) -> Code:
        """What the layer gives for `x` of so many axes, the batch apart."""
        return invoked(layer, x)

    def helper(self, call: Apply) -> str:
        """A function that the emitted module needs for it, as source; its name starts with `_`."""
        return ""

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        """Lengths that must be whole, beside the axes of the results."""
        return ()

    def fewest(self, call: Apply) -> Iterable[tuple[Polynomial, Polynomial]]:
        """Lengths that may not be less than others."""
        return ()


def operation_of(call: Apply) -> Operation:
    """The operation behind the signature that a program holds."""
    found = call.operation
    assert isinstance(found, Operation)
    return found
