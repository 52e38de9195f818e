"""Factors as functions of the growth dims: products of powers, compared exactly.

`lr * (width / base(width))^-1` and an exponent `c = 1` are the same function of the width,
`lr * width^-1` is another one. Hypers and finite dims stand at the values that the spec states.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import gcd, log

from abcparam.algebra.exponents import Affine, vanishes
from abcparam.algebra.polynomials import Opaque, Polynomial, leading_growth, number, substituted
from abcparam.algebra.polynomials import atom as polynomial_of
from abcparam.algebra.record import Record
from abcparam.program.lengths import at_base
from abcparam.program.model import Program

FactorBase = (
    int | str | Polynomial
)  # a number above 1, a growth dim, a sum or what has no polynomial
FactorPowers = Mapping[FactorBase, Affine]
ZERO, ONE, MINUS_ONE = (Affine(Fraction(k)) for k in (0, 1, -1))


class ScaleFactor(Record):
    """`sign` (0: exactly zero) times atoms to powers, which may hold symbols."""

    powers: FactorPowers = {}
    sign: int = 1

    def __mul__(self, other: ScaleFactor) -> ScaleFactor:
        total = dict(self.powers)
        for atom, power in other.powers.items():
            total[atom] = total.get(atom, ZERO) + power
        kept = {atom: power for atom, power in total.items() if not vanishes(power)}
        return ScaleFactor(kept, self.sign * other.sign)

    def __truediv__(self, other: ScaleFactor) -> ScaleFactor:
        return self * other.power(MINUS_ONE)

    def power(self, exponent: Affine) -> ScaleFactor:
        """Of two powers on top of each other one is free of symbols."""
        return ScaleFactor(
            {a: _times(power, exponent) for a, power in self.powers.items()}, self.sign
        )

    def equals(self, other: ScaleFactor) -> bool:
        """Whether both are the same number at every width, for all values of symbols."""
        if self.sign != other.sign or self.sign == 0:
            return self.sign == other.sign
        rest = (self / other).powers
        numbers = {a: power for a, power in rest.items() if isinstance(a, int)}
        return len(numbers) == len(rest) and not _coprime(numbers)

    def growth(self, program: Program) -> dict[str, Affine]:
        """Its exponent in every growth dim."""
        total = {name: ZERO for name, dim in program.dims.items() if grows(program, name)}
        for a, power in self.powers.items():
            if not isinstance(a, int):
                top = leading_growth(
                    polynomial_of(a) if isinstance(a, str) else a,
                    program.growth_of,
                    program.growth_order,
                )
                for name, exponent in top.items():
                    total[name] = total[name] + power * exponent
        return total

    def log(self, values: Mapping[str, Fraction]) -> float | None:
        """The logarithm of its size at these widths, where symbols must not matter.

        None where it is not simple.
        """
        total = 0.0
        for a, power in self.powers.items():
            try:
                size = Fraction(a) if isinstance(a, int) else _at(a, values)
            except (ValueError, ZeroDivisionError):
                return None
            if size <= 0:
                return None
            total += float(power.constant) * (log(size.numerator) - log(size.denominator))
        return total

    def __str__(self) -> str:
        parts = [f"({a})^({power})" for a, power in self.powers.items()]
        return ("-" if self.sign < 0 else "") + (" * ".join(parts) or "1") if self.sign else "0"


def grows(program: Program, name: str) -> bool:
    return program.dims[name].growing


def _at(a: str | Polynomial, values: Mapping[str, Fraction]) -> Fraction:
    return values[a] if isinstance(a, str) else a.evaluate(values)


def _times(power: Affine, exponent: Affine) -> Affine:
    if exponent.symbols:
        assert not power.symbols
        return exponent * power.constant
    return power * exponent.constant


def _coprime(numbers: Mapping[int, Affine]) -> dict[int, Affine]:
    """The same product over numbers without common factors; empty only for 1."""
    todo, done = list(numbers.items()), dict[int, Affine]()
    while todo:
        n, power = todo.pop()
        m = next((m for m in done if gcd(n, m) > 1), None)
        if n == 1 or vanishes(power):
            continue
        if m is None:
            done[n] = power
        else:
            common, other = gcd(n, m), done.pop(m)
            todo += [(common, power + other), (n // common, power), (m // common, other)]
    return done


# Polynomials


class Factors:
    """The amounts of one program as factors."""

    def __init__(self, program: Program) -> None:
        self.program = program
        fixed = {dim.name: Fraction(dim.default or 1) for dim in program.finite}
        fixed |= {hyper.name: hyper.value for hyper in program.hypers.values()}
        self.values = {name: number(value) for name, value in fixed.items()}
        self._known: dict[Polynomial, ScaleFactor] = {}
        self._ratios: dict[Polynomial, ScaleFactor] = {}

    def known(self, value: Polynomial) -> Polynomial:
        """The value with hypers and finite dims in place."""
        return substituted(value, self.values)

    def of(self, value: Polynomial) -> ScaleFactor:
        if value not in self._known:
            self._known[value] = factor_of(self.known(value))
        return self._known[value]

    def ratio(self, length: Polynomial) -> ScaleFactor:
        """A length over its value at base."""
        if length not in self._ratios:
            base = at_base(length, self.program.dims)
            self._ratios[length] = self.of(length) / self.of(base)
        return self._ratios[length]


def factor_of(value: Polynomial) -> ScaleFactor:
    """A polynomial as a factor; a sum is its first coefficient times an atom."""
    if not value.terms:
        return ScaleFactor(sign=0)
    monomial, coefficient = value.terms[0]
    result = _number(coefficient)
    if len(value.terms) > 1:
        return result * ScaleFactor({value * number(1 / coefficient): ONE})
    for a, power in monomial:
        result = result * (ScaleFactor({a: ONE}) if isinstance(a, str) else _of_opaque(a)).power(
            Affine(power)
        )
    return result


def _number(value: Fraction) -> ScaleFactor:
    top, bottom = abs(value.numerator), value.denominator
    both = ((top, ONE), (bottom, MINUS_ONE))
    powers: dict[FactorBase, Affine] = {n: power for n, power in both if n != 1}
    return ScaleFactor(powers, 1 if value > 0 else -1)


def _of_opaque(a: Opaque) -> ScaleFactor:
    left, right = (factor_of(x) for x in a.arguments)
    exponent = a.arguments[1].constant
    if a.operation == "/" and right.sign:
        return left / right
    if a.operation == "^" and left.sign == 1 and exponent is not None:
        return left.power(Affine(exponent))
    return ScaleFactor({polynomial_of(a): ONE})
