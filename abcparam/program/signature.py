"""What a program knows of an operation and of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from abcparam.algebra.polynomials import Polynomial
from abcparam.diagnostics.diagnostic import Diagnostic, Rule
from abcparam.diagnostics.rules import shapes as rules
from abcparam.diagnostics.source import Span
from abcparam.program.amounts import Amount, Setting, Shape


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
