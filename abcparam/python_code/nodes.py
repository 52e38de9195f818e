"""Expressions and statements of the emitted Python.

They hold checked identifiers and numbers, never text of a spec.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from fractions import Fraction

from abcparam.algebra.record import Record

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
POWER, UNARY, TIMES, PLUS, COMPARE, LOWEST = 7, 6, 5, 4, 2, 0
PRECEDENCE = {
    "**": POWER,
    "*": TIMES,
    "/": TIMES,
    "//": TIMES,
    "%": TIMES,
    "@": TIMES,
    "+": PLUS,
    "-": PLUS,
    "&": 3,
}


def identifier(name: str) -> str:
    """The name, if it is one: nothing else becomes Python."""
    if not IDENTIFIER.match(name) or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is no identifier")
    return name


class Name(Record):
    id: str


class Attribute(Record):
    value: Code
    name: str


class Number(Record):
    """A whole number, or with `real` a float: a literal, or a quotient where it is exact."""

    value: Fraction
    real: bool = False


class Constant(Record):
    """`True`, `False`, `None`, `...`, or a string."""

    value: bool | str | None


class Call(Record):
    function: Code
    arguments: tuple[Code, ...] = ()
    keywords: tuple[tuple[str, Code], ...] = ()


class Slice(Record):
    start: Code | None = None
    stop: Code | None = None


class Subscript(Record):
    value: Code
    items: tuple[Code, ...]


class Binary(Record):
    """An operator of `PRECEDENCE` or a comparison."""

    op: str
    left: Code
    right: Code


class Negative(Record):
    operand: Code


class Tuple(Record):
    items: tuple[Code, ...]


class List(Record):
    items: tuple[Code, ...]


class Chosen(Record):
    """`[g for g in groups if g[key] == value]`."""

    groups: Code
    key: str
    value: str


class Ellipsis_(Record):
    """`...` in a subscript."""


class Starred(Record):
    """`*value`, an argument."""

    value: Code


class Formatted(Record):
    """An f-string: strings stand as they are, code in braces."""

    parts: tuple[str | Code, ...]


class Shown(Record):
    """`{value!r}` in an f-string."""

    value: Code


class Any_(Record):
    """`x or y`."""

    items: tuple[Code, ...]


class Not(Record):
    operand: Code


class Generator(Record):
    """`value for number in range(count)`, the only argument of a call."""

    value: Code
    count: Code
    number: str = "_"


Code = (
    Name
    | Attribute
    | Number
    | Constant
    | Call
    | Slice
    | Subscript
    | Binary
    | Negative
    | Tuple
    | List
    | Chosen
    | Ellipsis_
    | Starred
    | Formatted
    | Shown
    | Any_
    | Not
    | Generator
)


class Assign(Record):
    """`a, b = value`."""

    targets: tuple[Code, ...]
    value: Code


class Do(Record):
    """An expression for its effect."""

    value: Code


class Return(Record):
    value: Code


class Raise(Record):
    """`raise ValueError(message)`."""

    message: Formatted


class If(Record):
    condition: Code
    body: tuple[Statement, ...]


class For(Record):
    targets: tuple[Name, ...]
    iterable: Code
    body: tuple[Statement, ...]


class Comment(Record):
    """A line of comment; `layout` makes its text harmless."""

    text: str


Statement = Assign | Do | Return | Raise | If | For | Comment

SELF = Name("self")
ELLIPSIS = Ellipsis_()


def lift(value: object) -> Code:
    """Plain Python values as code; code as it is."""
    if value is None or isinstance(value, bool):
        return Constant(value)
    if isinstance(value, int):
        return Number(Fraction(value))
    if isinstance(value, tuple):
        return Tuple(tuple(lift(item) for item in value))
    assert isinstance(value, Code)
    return value


def path(dotted: str) -> Code:
    """`torch.nn.Linear`: a dotted name."""
    first, *rest = dotted.split(".")
    code: Code = Name(first)
    for name in rest:
        code = Attribute(code, name)
    return code


def call(function: str | Code, *arguments: object, **keywords: object) -> Call:
    """A call; `None` keywords are left out."""
    target = path(function) if isinstance(function, str) else function
    named = tuple((name, lift(value)) for name, value in keywords.items() if value is not None)
    return Call(target, tuple(lift(argument) for argument in arguments), named)


def method(value: Code, name: str, *arguments: object, **keywords: object) -> Call:
    """`value.name(...)`."""
    return call(Attribute(value, name), *arguments, **keywords)


def subscript(value: Code, *items: object) -> Subscript:
    return Subscript(value, tuple(lift(item) for item in items))


def own(name: str) -> Code:
    """`self.name`."""
    return Attribute(SELF, name)


def is_name(code: Code) -> bool:
    """A plain name or a dotted one: cheap and safe to write twice."""
    return isinstance(code, Name) or (isinstance(code, Attribute) and is_name(code.value))


def minus(code: Code) -> Code:
    """The negative; the sign of a product stands before its first factor."""
    if isinstance(code, Binary) and code.op in ("*", "/"):
        return Binary(code.op, minus(code.left), code.right)
    return Negative(code)


def total(terms: Sequence[Code]) -> Code:
    """The sum of terms; a negated one is subtracted."""
    result = terms[0]
    for term in terms[1:]:
        minus = isinstance(term, Negative)
        result = Binary(
            "-" if minus else "+", result, term.operand if isinstance(term, Negative) else term
        )
    return result
