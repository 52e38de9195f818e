"""What an operation is: its signature, its shapes, its law as a piece of graph, its line of
PyTorch, its source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from abcparam.calculus.node import Context, Node
from abcparam.calculus.parameter import Parameter
from abcparam.diagnostics import Diagnostic, Rule
from abcparam.polynomials import Polynomial
from abcparam.program import Amount, Setting, Shape
from abcparam.rules import shapes as rules
from abcparam.sizes import Size
from abcparam.source import Span

if TYPE_CHECKING:
    from abcparam.code.use import Use
    from abcparam.code.value import Value
    from abcparam.program import Apply


class Refused(Exception):
    """Raised by an operation that cannot take its operands."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Call(NamedTuple):
    """One use of an operation: the shapes of its operands (None where omitted) and its settings."""

    operation: str
    shapes: tuple[Shape | None, ...]
    settings: Mapping[str, Setting]
    span: Span
    grows: Callable[[Polynomial], bool] = lambda _: False  # whether a length goes to infinity

    def shape(self, index: int) -> Shape:
        """The shape of an operand that cannot be omitted."""
        shape = self.shapes[index]
        assert shape is not None
        return shape

    def amount(self, name: str) -> Polynomial:
        """The value of a setting that is a number or a length."""
        setting = self.settings[name]
        assert isinstance(setting, Amount)
        return setting.value

    def flag(self, name: str) -> bool:
        return self.settings[name] is True

    def refuse(self, rule: type[Rule], **fields: object) -> Refused:
        return Refused(rule.at(self.span, operation=self.operation, **fields))


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


REQUIRED = object()


def broadcast(call: Call, left: Shape, right: Shape) -> Shape:
    """The common shape of two operands, aligned at their last axes; an axis of 1 or a missing one
    is stretched.
    """
    short, long = sorted((left, right), key=len)
    padded = (*long[: len(long) - len(short)], *short)
    return tuple(_common(call, x, y, left, right) for x, y in zip(padded, long, strict=True))


def _common(call: Call, x: Polynomial, y: Polynomial, left: Shape, right: Shape) -> Polynomial:
    if x == y or y.constant == 1:
        return x
    if x.constant == 1:
        return y
    raise call.refuse(rules.ShapesDiffer, left=show(left), right=show(right))


def finite(call: Call, *lengths: Polynomial) -> None:
    """Refuses lengths that grow."""
    for length in lengths:
        if call.grows(length):
            raise call.refuse(rules.GrowingAxis, axis=length)


def show(shape: Shape) -> str:
    """`[context, width]`."""
    return f"[{', '.join(map(str, shape))}]"


def axis_of(call: Call, shape: Shape, axis: int) -> int:
    """A declared axis counted from the front."""
    if not -len(shape) <= axis < len(shape):
        raise call.refuse(rules.NoSuchAxis, axis=axis, shape=show(shape))
    return axis % len(shape)
