"""Numbers, lengths and factors: expressions in dims, hypers and sizes, as polynomials."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.polynomials import (
    MOST_PRODUCTS,
    Monomial,
    Opaque,
    Polynomial,
    TooManyTermsError,
    atom,
    number,
    round_up,
)
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import exponents as rules
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.dims import Dim, Hyper
from abcparam.program.lengths import at_base

Statics = Mapping[str, Polynomial | bool]


class NotStaticError(Exception):
    """The expression is no amount."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Amounts:
    """Evaluates amounts in a place: globals, and the sizes that a block was called with."""

    def __init__(
        self, dims: Mapping[str, Dim], hypers: Mapping[str, Hyper], statics: Statics
    ) -> None:
        self.dims = dims
        self.hypers = hypers
        self.statics = statics

    @property
    def wanted(self) -> str:
        """What an amount is in this place."""
        made_of = [w for w, of in (("dims", self.dims), ("hypers", self.hypers)) if of]
        return "a number" + (f" made of {' and '.join(made_of)}" if made_of else "")

    def lookup(self, name: str) -> Polynomial | bool | None:
        """The value of a name, None if it is no amount."""
        if name in self.statics:
            return self.statics[name]
        if name in self.dims:
            return self.dims[name].value
        if name in self.hypers:
            return atom(name)
        return {"true": True, "false": False}.get(name)

    def is_static(self, value: syntax.Expression) -> bool:
        """Whether the expression is made of numbers, dims, hypers and sizes only."""
        match value:
            case syntax.Number():
                return True
            case syntax.Name(id=name):
                return self.lookup(name) is not None
            case syntax.Negative(operand=operand):
                return self.is_static(operand)
            case syntax.Binary(op=op, left=left, right=right):
                return op != "@" and self.is_static(left) and self.is_static(right)
            case syntax.Call(function=function, arguments=arguments):
                return function.id in {"round_up", "base", "sqrt"} and all(
                    self.is_static(a.value) for a in arguments
                )
            case _:
                return False

    def amount(self, value: syntax.Expression, what: str = "this") -> Amount:
        return Amount(value, self.polynomial(value, what))

    def polynomial(self, value: syntax.Expression, what: str = "this") -> Polynomial:
        """The value of an amount; raises `NotStaticError`."""
        match value:
            case syntax.Number(value=constant):
                return number(constant)
            case syntax.Name(id=name):
                found = self.lookup(name)
                if isinstance(found, Polynomial):
                    return found
            case syntax.Negative(operand=operand):
                return -self.polynomial(operand, what)
            case syntax.Binary(op=op, left=left, right=right) if op != "@":
                return self._binary(op, left, right, what)
            case syntax.Call():
                return self._call(value, what)
            case _:
                pass
        raise NotStaticError(rules.NotANumber.at(value.span, what=what, wanted=self.wanted))

    def written(self, value: Polynomial) -> syntax.Expression:
        """An expression for a length: the name of a dim where one has this value."""
        dims = [dim.name for dim in self.dims.values() if dim.value == value]
        if dims:
            return syntax.Name(dims[0])
        return expression_of(value)

    def _binary(
        self, op: str, left: syntax.Expression, right: syntax.Expression, what: str
    ) -> Polynomial:
        x, y = self.polynomial(left, what), self.polynomial(right, what)
        try:
            return self._computed(op, x, y, right)
        except TooManyTermsError:
            most = f"{MOST_PRODUCTS:,}"
            raise NotStaticError(rules.FormulaTooLarge.at(left.span, most=most)) from None

    def _computed(
        self, op: str, x: Polynomial, y: Polynomial, right: syntax.Expression
    ) -> Polynomial:
        if op == "+":
            return x + y
        if op == "-":
            return x - y
        if op == "*":
            return x * y
        if op == "/":
            if y.constant == 0:
                raise NotStaticError(
                    rules.NotANumber.at(right.span, what="a divisor", wanted="other than 0")
                )
            return x / y
        exponent = y.constant
        if exponent is None or abs(exponent) > 64 or (x.constant == 0 and exponent < 0):
            wanted = "a number between -64 and 64"
            raise NotStaticError(rules.NotANumber.at(right.span, what="an exponent", wanted=wanted))
        return x.power(exponent)

    def _call(self, call: syntax.Call, what: str) -> Polynomial:
        values = [self.polynomial(a.value, what) for a in call.arguments]
        name, count = call.function.id, len(values)
        if name == "round_up" and count == 2:
            return round_up(values[0], values[1])
        if name == "sqrt" and count == 1:
            return values[0].power(Fraction(1, 2))
        if name == "base" and count == 1:
            return at_base(values[0], self.dims)
        raise NotStaticError(rules.NotANumber.at(call.span, what=what, wanted=self.wanted))


def expression_of(value: Polynomial) -> syntax.Expression:
    """An expression for a polynomial."""
    terms = [_term(monomial, coefficient) for monomial, coefficient in value.terms]
    return _joined("+", terms) if terms else syntax.Number(Fraction(0))


def _term(monomial: Monomial, coefficient: Fraction) -> syntax.Expression:
    factors: list[syntax.Expression] = [syntax.Number(coefficient)] if coefficient != 1 else []
    for name, power in monomial:
        factor = syntax.Name(name) if isinstance(name, str) else _opaque(name)
        factors.append(factor if power == 1 else syntax.Binary("^", factor, syntax.Number(power)))
    return _joined("*", factors or [syntax.Number(Fraction(1))])


def _opaque(value: Opaque) -> syntax.Expression:
    left, right = (
        _joined("+", [_term(*term) for term in argument.terms]) for argument in value.arguments
    )
    if value.operation == "round_up":
        arguments = (syntax.Argument(left), syntax.Argument(right))
        return syntax.Call(syntax.Name("round_up"), arguments)
    return syntax.Binary(value.operation, left, right)


def _joined(op: str, parts: list[syntax.Expression]) -> syntax.Expression:
    result = parts[0]
    for part in parts[1:]:
        result = syntax.Binary(op, result, part)
    return result
