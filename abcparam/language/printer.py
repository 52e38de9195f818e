"""Expressions as text, the way a person writes them."""

from __future__ import annotations

from fractions import Fraction

from abcparam.language import syntax

TIGHTNESS = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 4, "^": 5}


def written(value: syntax.Expression) -> str:
    """`heads * head`, `(width / head)^-1`: canonical spacing, parentheses where they are needed."""
    return _text(value, 0)


def _text(value: syntax.Expression, outer: int) -> str:
    match value:
        case syntax.Number(value=number):
            return decimal(number)
        case syntax.Name(id=name):
            return name
        case syntax.Unknown():
            return "?"
        case syntax.Attribute(value=inner, name=name):
            return f"{_text(inner, 6)}.{name}"
        case syntax.Index(value=inner, index=index):
            return f"{_text(inner, 6)}[{_text(index, 0)}]"
        case syntax.Negative(operand=operand):
            return _wrapped(f"-{_text(operand, 3)}", 3, outer)
        case syntax.Binary():
            return _binary(value, outer)
        case syntax.Call(function=function, arguments=arguments, alias=alias):
            call = f"{function.id}({', '.join(_argument(a) for a in arguments)})"
            return call if alias is None else f"{call} as {alias.id}"
        case syntax.Tuple(items=items):
            return f"({', '.join(_text(item, 0) for item in items)})"


def _argument(argument: syntax.Argument) -> str:
    text = _text(argument.value, 0)
    return f"{argument.name} = {text}" if argument.name else text


def _binary(value: syntax.Binary, outer: int) -> str:
    tightness = TIGHTNESS[value.op]
    left = _text(value.left, tightness + (value.op in {"^", "@"}))
    if value.op == "^":
        return _wrapped(f"{left}^{_exponent(value.right)}", tightness, outer)
    right = _text(value.right, tightness + (value.op != "@"))
    return _wrapped(f"{left} {value.op} {right}", tightness, outer)


def _exponent(value: syntax.Expression) -> str:
    plain = value.operand if isinstance(value, syntax.Negative) else value
    simple = isinstance(plain, syntax.Name) or (
        isinstance(plain, syntax.Number) and plain.value.denominator == 1 and plain.value >= 0
    )
    return _text(value, 0) if simple else f"({_text(value, 0)})"


def _wrapped(text: str, tightness: int, outer: int) -> str:
    return f"({text})" if tightness < outer else text


def decimal(number: Fraction) -> str:
    """A number as it is usually written: `256`, `0.02`, `1/3`."""
    if number.denominator == 1:
        return str(number.numerator)
    rest = number.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    text = repr(float(number))
    return text if rest == 1 and Fraction(text) == number else str(number)
