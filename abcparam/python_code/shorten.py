"""Statements that do not fit on a line: their longest inner part gets a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from abcparam.algebra.record import replace
from abcparam.python_code import layout, nodes
from abcparam.python_code.nodes import (
    Attribute,
    Binary,
    Call,
    Code,
    Negative,
    Statement,
    Subscript,
    Tuple,
)

MakeLocal = Callable[[Code], Code]
ROUNDS = 64
T = TypeVar("T")


def shorten(statement: Statement, indent: int, local: MakeLocal) -> Statement:
    """The statement, with inner parts named by `local` until its lines fit."""
    for _ in range(ROUNDS):
        if layout.fits(statement, indent) and not _breaks_badly(statement, indent):
            break
        if not isinstance(statement, (nodes.Assign, nodes.Return, nodes.Do)):
            break
        value = _Shorter(indent, local).code(statement.value)
        if value is None:
            break
        statement = replace(statement, value=value)
    return statement


def _breaks_badly(statement: Statement, indent: int) -> bool:
    """Whether it would be broken inside the last of several calls, or twice."""
    match statement:
        case nodes.Assign(value=value) | nodes.Return(value=value):
            broken = layout.lines([statement], indent)
            twice = any(line.startswith(" " * (indent + 2 * layout.STEP)) for line in broken)
            return twice or (len(broken) > 1 and _breaks_inside(value))
        case _:
            return False


def _breaks_inside(code: Code) -> bool:
    """Whether ruff would break inside a call at its end, not at its operators or arguments."""
    if isinstance(code, Binary):
        ends = (code.left, code.right)
        alone = layout.precedence(code.left) != layout.precedence(code)
        return alone and any(layout.is_bracketed(end, code) for end in ends)
    return _receiver(code) is not None


def _receiver(code: Code) -> Code | None:
    """What a method is called on, unless it is a name."""
    match code:
        case Call(function=Attribute(value=value)) if not nodes.is_name(value):
            return value
        case _:
            return None


class _Shorter:
    def __init__(self, indent: int, local: MakeLocal) -> None:
        self.indent = indent
        self.local = local

    def code(self, code: Code) -> Code | None:
        """The code with one part named, None where there is none to name."""
        match code:
            case Binary(left=left, right=right):
                first = len(layout.python(left)) > len(layout.python(right))
                if nodes.is_name(right) or (first and not nodes.is_name(left)):
                    return self._wrapped(lambda inner: replace(code, left=inner), left)
                return self._wrapped(lambda inner: replace(code, right=inner), right)
            case Negative(operand=operand):
                return self._wrapped(Negative, operand)
            case Subscript():
                return self._subscript(code)
            case Call():
                return self._call(code)
            case Tuple(items=items):
                return self._item(items)
            case _:
                return None

    def _named(self, code: Code) -> Code | None:
        return None if nodes.is_name(code) or isinstance(code, nodes.Number) else self.local(code)

    def _wrapped(self, make: Callable[[Code], Code], inner: Code) -> Code | None:
        named = self._named(inner)
        return None if named is None else make(named)

    def _subscript(self, code: Subscript) -> Code | None:
        if not nodes.is_name(code.value):
            return replace(code, value=self.local(code.value))
        for index, item in enumerate(code.items):
            if isinstance(item, nodes.Slice) and isinstance(item.stop, Subscript):
                named = nodes.Slice(stop=self.local(item.stop))
                return replace(code, items=_with(code.items, index, named))
        return None

    def _call(self, code: Call) -> Code | None:
        receiver = _receiver(code)
        if receiver is not None:
            assert isinstance(code.function, Attribute)
            return replace(code, function=replace(code.function, value=self.local(receiver)))
        for index, argument in enumerate(code.arguments):
            if not self._is_short(argument):
                return replace(code, arguments=_with(code.arguments, index, self.local(argument)))
        for index, (name, argument) in enumerate(code.keywords):
            if not self._is_short(argument):
                named = (name, self.local(argument))
                return replace(code, keywords=_with(code.keywords, index, named))
        return None

    def _is_short(self, code: Code) -> bool:
        return self.indent + layout.STEP + len(layout.python(code)) < layout.WIDTH

    def _item(self, items: Sequence[Code]) -> Code | None:
        longest = max(range(len(items)), key=lambda i: len(layout.python(items[i])))
        named = self._named(items[longest])
        return None if named is None else Tuple(_with(items, longest, named))


def _with(items: Sequence[T], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])
