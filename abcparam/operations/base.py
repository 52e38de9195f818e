"""What an operation is: its signature, its shapes, its law as a piece of graph, its line of
PyTorch, its source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Context, Node
from abcparam.calculus.parameter import Parameter
from abcparam.program.amounts import Shape
from abcparam.program.signature import Call

if TYPE_CHECKING:
    from abcparam.emission.lowering.use import Use
    from abcparam.program.expressions import Apply
    from abcparam.python_code.value import Value


class Operands(NamedTuple):
    """The operands of a call as nodes, as parameters where they must be tensors, as None where
    omitted.
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
    tied: Callable[[Parameter, Node], bool]  # whether an activation points along a tensor

    def length(self, shape: Sequence[Polynomial]) -> Size:
        return self.volume(tuple(shape))

    def lacking(self, shape: Shape, result: Shape) -> Size:
        """The size of the axes of `result` that a factor of this shape is broadcast over."""
        have = (*[None] * (len(result) - len(shape)), *shape)
        missing = [r for r, x in zip(result, have, strict=True) if x != r]
        return self.length(missing)


class Operation:
    """An operation of the language. One file each (or a family in one file); found by looking in
    the folder.
    """

    name: str
    source: ClassVar[str] = ""  # where its law is from
    values: tuple[str, ...] = ("x",)  # operands, in order
    optional: ClassVar[frozenset[str]] = frozenset()  # operands that may be left out
    weights: ClassVar[frozenset[str]] = frozenset()  # operands that must be tensors of the model
    indices: ClassVar[frozenset[str]] = frozenset()  # operands that are integers
    copied: ClassVar[frozenset[str]] = frozenset()  # calls of blocks: an instance per logit
    many: ClassVar[bool] = False  # any number of operands
    settings: ClassVar[Mapping[str, object]] = {}  # name -> default; REQUIRED where there is none
    state: ClassVar[bool] = False  # keeps buffers, so copies and instances have their own
    hidden: ClassVar[bool] = False  # written with an operator, not by name

    @property
    def order(self) -> tuple[str, ...]:
        """The order of positional arguments."""
        return (*self.values, *self.settings)

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        """The shapes of the results; raises `Refused`."""
        raise NotImplementedError

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        """The operation as nodes of the calculus."""
        raise NotImplementedError

    def torch(self, use: Use) -> Value:
        """The operation in PyTorch; of several results, a tuple."""
        raise NotImplementedError

    def helper(self, call: Apply) -> str:
        """A function that the emitted module needs for it, as source; its name starts with `_`."""
        return ""

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        """Lengths that must be whole, beside the axes of the results."""
        return ()
