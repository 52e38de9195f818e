"""Expressions and statements of a module's body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from abcparam.algebra.record import Record, field, replace
from abcparam.diagnostics.source import START, Span
from abcparam.program.amounts import Setting, Shape
from abcparam.program.tensors import Tensor

if TYPE_CHECKING:
    from abcparam.program.signature import Signature


class Local(Record):
    """A local name, an input or a parameter of the block."""

    name: str
    shapes: tuple[Shape, ...]
    integer: bool = False  # indices or a mask
    span: Span = field(default=START, compare=False)


class TensorRef(Record):
    """A tensor of the model. `name` is how the module at hand reaches it (`first.query`)."""

    tensor: str  # its path
    name: str
    shapes: tuple[Shape, ...]
    transposed: bool = False
    outer: bool = False  # a tensor declared outside the module at hand: `name` starts at the root
    span: Span = field(default=START, compare=False)


class Apply(Record):
    """An operation on values. Settings are what is no value: amounts, flags, tuples of amounts."""

    operation: Signature
    operands: tuple[Expression | None, ...]
    settings: Mapping[str, Setting]
    shapes: tuple[Shape, ...]
    span: Span = field(default=START, compare=False)


class Invoke(Record):
    """A call of a submodule.

    `instance` is its attribute in the module at hand (`outer`: its path from the root).
    """

    instance: str
    operands: tuple[Expression, ...]
    shapes: tuple[Shape, ...]
    outer: bool = False
    span: Span = field(default=START, compare=False)


Expression = Local | TensorRef | Apply | Invoke
AnyExpression = TypeVar("AnyExpression", bound=Expression)
ExpressionChange = Callable[[Expression], Expression]


class Assign(Record):
    """`a, b = value`."""

    targets: tuple[str, ...]
    value: Expression


class Repeat(Record):
    """The place of a repeat.

    `carried` names go through the copies of the child module `instance`, one by one.
    """

    instance: str
    carried: tuple[str, ...]


class Return(Record):
    """`return a, b`."""

    values: tuple[Expression, ...]


Statement = Assign | Repeat | Return


def map_shape(tensors: Mapping[str, Tensor], operation: str, operand: Expression) -> Shape:
    """The shape of an operand; a map reads the axes of a table the other way round."""
    (shape,) = operand.shapes
    if operation == "@" and isinstance(operand, TensorRef) and tensors[operand.tensor].table:
        return shape[::-1]
    return shape


def values_of(statement: Statement) -> tuple[Expression, ...]:
    """The values that a statement computes."""
    match statement:
        case Assign(value=value):
            return (value,)
        case Return(values=values):
            return values
        case Repeat():
            return ()


def with_operands(value: AnyExpression, change: ExpressionChange) -> AnyExpression:
    """A value that is computed from changed operands."""
    match value:
        case Apply(operands=operands):
            return replace(value, operands=tuple(o if o is None else change(o) for o in operands))
        case Invoke(operands=called):
            return replace(value, operands=tuple(map(change, called)))
    return value


def with_values(statement: Statement, change: ExpressionChange) -> Statement:
    """A statement whose values are changed; the place of a repeat has none."""
    match statement:
        case Assign(value=value):
            return replace(statement, value=change(value))
        case Return(values=values):
            return replace(statement, values=tuple(map(change, values)))
        case Repeat():
            return statement


def parts_of(value: Expression) -> Iterator[Expression]:
    """A value, then all that it is computed from."""
    yield value
    if isinstance(value, (Apply, Invoke)):
        for operand in value.operands:
            if operand is not None:
                yield from parts_of(operand)
