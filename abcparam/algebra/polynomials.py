"""Lengths of axes and constant factors, as Laurent polynomials in dims and hypers.

Coefficients are rational. Whatever is not a polynomial (`round_up(x, 256)`, a quotient by a sum) is
an opaque atom. Two lengths are equal when their polynomials are: `heads * head` is `width` where
`heads = width / head`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import ceil

Monomial = tuple[tuple["str | Opaque", Fraction], ...]


class Opaque:
    """An operation on polynomials that has no polynomial.

    That is `round_up`, a quotient by a sum, a power of a sum.
    """

    __slots__ = ("arguments", "operation")

    def __init__(self, operation: str, *arguments: Polynomial) -> None:
        self.operation = operation
        self.arguments = arguments

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Opaque)
            and self.operation == other.operation
            and self.arguments == other.arguments
        )

    def __hash__(self) -> int:
        return hash((self.operation, self.arguments))

    def __str__(self) -> str:
        if self.operation == "round_up":
            return f"round_up({', '.join(map(str, self.arguments))})"
        left, right = (_operand(x) for x in self.arguments)
        return f"{left} {self.operation} {right}"

    def evaluate(self, values: Mapping[str, Fraction]) -> Fraction:
        left, right = (argument.evaluate(values) for argument in self.arguments)
        if self.operation == "round_up":
            return ceil(left / right) * right
        if self.operation == "//":
            return Fraction(left // right)
        return _exact_power(left, right) if self.operation == "^" else left / right

    def approximately(self, values: Mapping[str, Fraction]) -> float:
        """Its value where powers need not be rational."""
        if self.operation != "^":
            return float(self.evaluate(values))
        base, exponent = (argument.approximately(values) for argument in self.arguments)
        return float(base**exponent)


MOST_PRODUCTS = 10_000  # of terms, in one multiplication


class TooManyTermsError(Exception):
    """A product of sums has too many terms when it is multiplied out."""


class Polynomial:
    """A sum of monomials, kept in canonical order. Immutable."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, Fraction]) -> None:
        kept = [(m, c) for m, c in terms.items() if c]
        self.terms = (
            tuple(sorted(kept, key=lambda t: _order(t[0]))) if len(kept) > 1 else tuple(kept)
        )
        self._hash = hash(self.terms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polynomial):
            return False
        return self is other or (self._hash == other._hash and self.terms == other.terms)

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Polynomial) -> Polynomial:
        total = dict(self.terms)
        for monomial, coefficient in other.terms:
            total[monomial] = total.get(monomial, Fraction(0)) + coefficient
        return Polynomial(total)

    def __neg__(self) -> Polynomial:
        return Polynomial({m: -c for m, c in self.terms})

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        total: dict[Monomial, Fraction] = {}
        counts = len(self.terms), len(other.terms)
        if min(counts) > 1 and counts[0] * counts[1] > MOST_PRODUCTS:
            raise TooManyTermsError
        for left, x in self.terms:
            for right, y in other.terms:
                key = _multiply(left, right)
                total[key] = total.get(key, Fraction(0)) + x * y
        return Polynomial(total)

    def __truediv__(self, other: Polynomial) -> Polynomial:
        return _quotient(self, other)

    def __floordiv__(self, other: Polynomial) -> Polynomial:
        value = self.constant, other.constant
        if value[0] is not None and value[1] is not None:
            return number(value[0] // value[1])
        if not self.terms:
            return self
        inner = self._floored
        if inner is not None and (other.constant or 0) > 0:
            return inner.arguments[0] // (inner.arguments[1] * other)
        whole = Polynomial(
            {m: c for m, c in self.terms if other.constant and _is_whole(m, c / other.constant)}
        )
        if whole.terms:
            return whole / other + (self - whole) // other
        return atom(Opaque("//", self, other))

    @property
    def _floored(self) -> Opaque | None:
        """The quotient that it is, if it is one by a number, rounded down."""
        match self.terms:
            case ((((Opaque(operation="//") as found, Fraction(numerator=1, denominator=1)),), 1),):
                return found if (found.arguments[1].constant or 0) > 0 else None
            case _:
                return None

    def power(self, exponent: Fraction) -> Polynomial:
        """The polynomial to a rational power.

        It is exact for a monomial; a whole power of a sum is multiplied out.
        """
        if len(self.terms) == 1:
            monomial, coefficient = self.terms[0]
            root = _rational_power(coefficient, exponent)
            if root is not None:
                return Polynomial(
                    {tuple((a, p * exponent) for a, p in monomial if p * exponent): root}
                )
        if exponent.denominator == 1 and 0 <= exponent <= 8:
            result = ONE
            for _ in range(int(exponent)):
                result = result * self
            return result
        return atom(Opaque("^", self, number(exponent)))

    @property
    def constant(self) -> Fraction | None:
        """Its value if it depends on nothing."""
        if not self.terms:
            return Fraction(0)
        (monomial, coefficient), *rest = self.terms
        return coefficient if not rest and not monomial else None

    @property
    def is_monomial(self) -> bool:
        return len(self.terms) == 1 and not any(isinstance(a, Opaque) for a, _ in self.terms[0][0])

    @property
    def names(self) -> frozenset[str]:
        """The dims and hypers that it depends on."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for a, _power in monomial:
                found |= (
                    {a}
                    if isinstance(a, str)
                    else frozenset().union(*(x.names for x in a.arguments))
                )
        return frozenset(found)

    def evaluate(self, values: Mapping[str, Fraction]) -> Fraction:
        """Its exact value; a fractional power without an exact root is a ValueError."""
        total = Fraction(0)
        for monomial, coefficient in self.terms:
            for a, exponent in monomial:
                value = values[a] if isinstance(a, str) else a.evaluate(values)
                coefficient *= _exact_power(value, exponent)
            total += coefficient
        return total

    def approximately(self, values: Mapping[str, Fraction]) -> float:
        """Its value as a float; powers need not be rational."""
        total = 0.0
        for monomial, coefficient in self.terms:
            product = float(coefficient)
            for a, exponent in monomial:
                value = float(values[a]) if isinstance(a, str) else a.approximately(values)
                product *= value ** float(exponent)
            total += product
        return total

    def nearest(self, values: Mapping[str, Fraction]) -> Fraction:
        """Its exact value, that of the nearest float where a power in it is not rational.

        Raises `ValueError` where it is no number.
        """
        try:
            return self.evaluate(values)
        except ValueError:
            pass
        try:
            return Fraction(repr(self.approximately(values)))
        except (TypeError, OverflowError):  # a root of a negative number is complex
            raise ValueError(f"{self} is no number") from None

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        text = " + ".join(_term(m, c) for m, c in self.terms)
        return text.replace("+ -", "- ")

    __repr__ = __str__


@lru_cache(maxsize=4096)
def _quotient(left: Polynomial, right: Polynomial) -> Polynomial:
    """Made once: each copy of a repeat divides the same lengths."""
    if len(right.terms) == 1:
        return left * right.power(Fraction(-1))
    if left == right:
        return ONE
    return atom(Opaque("/", left, right))


def _order(monomial: Monomial) -> tuple[object, ...]:
    return (-sum((p for _, p in monomial), Fraction(0)), tuple((str(a), p) for a, p in monomial))


def _multiply(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for a, p in right:
        powers[a] = powers.get(a, Fraction(0)) + p
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda f: str(f[0])))


def _rational_power(value: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent == 1 or value == 1:
        return value
    if abs(exponent) > 64 or (value == 0 and exponent < 0):
        return None
    if exponent.denominator == 1:
        return value ** int(exponent)
    if value < 0:
        return None
    raised: Fraction = value**exponent.numerator
    top, bottom = (_root(x, exponent.denominator) for x in (raised.numerator, raised.denominator))
    return Fraction(top, bottom) if top is not None and bottom is not None else None


def _exact_power(value: Fraction, exponent: Fraction) -> Fraction:
    found = _rational_power(value, exponent)
    if found is None:
        raise ValueError(f"{value} ^ {exponent} is not rational")
    return found


def _root(value: int, degree: int) -> int | None:
    if value.bit_length() > 900:
        return None
    guess = round(value ** (1 / degree))
    return next((g for g in (guess - 1, guess, guess + 1) if g >= 0 and g**degree == value), None)


def _term(monomial: Monomial, coefficient: Fraction) -> str:
    if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
        return str(monomial[0][0])
    over = [_factor(a, p) for a, p in monomial if p > 0]
    under = [_factor(a, -p) for a, p in monomial if p < 0]
    top = abs(coefficient.numerator)
    if top != 1 or not over:
        over.insert(0, str(top))
    if coefficient.denominator != 1:
        under.insert(0, str(coefficient.denominator))
    text = " * ".join(over) + "".join(f" / {factor}" for factor in under)
    return f"-{text}" if coefficient < 0 else text


def _operand(value: Polynomial) -> str:
    """In parentheses unless it is one name or number."""
    plain = value.constant is not None or str(value).isidentifier()
    return str(value) if plain else f"({value})"


def _factor(a: str | Opaque, power: Fraction) -> str:
    if power == 1:
        return f"({a})" if isinstance(a, Opaque) and a.operation != "round_up" else str(a)
    return f"{a}^{power}" if power.denominator == 1 else f"{a}^({power})"


def number(value: Fraction | int) -> Polynomial:
    return Polynomial({(): Fraction(value)})


def atom(name: str | Opaque) -> Polynomial:
    return Polynomial({((name, Fraction(1)),): Fraction(1)})


def round_up(value: Polynomial, multiple: Polynomial) -> Polynomial:
    if value.constant is not None and multiple.constant:
        return number(ceil(value.constant / multiple.constant) * multiple.constant)
    return atom(Opaque("round_up", value, multiple))


def substituted(value: Polynomial, values: Mapping[str, Polynomial]) -> Polynomial:
    """The polynomial with some of its names replaced, inside what is no polynomial too."""
    if not value.names & values.keys():
        return value
    total = number(0)
    for monomial, coefficient in value.terms:
        term = number(coefficient)
        for a, power in monomial:
            term = term * _substituted_atom(a, values).power(power)
        total = total + term
    return total


def _substituted_atom(a: str | Opaque, values: Mapping[str, Polynomial]) -> Polynomial:
    if isinstance(a, str):
        return values[a] if a in values else atom(a)
    left, right = (substituted(x, values) for x in a.arguments)
    match a.operation:
        case "round_up":
            return round_up(left, right)
        case "//":
            return left // right
        case "/":
            return left / right
        case _:
            return left.power(right.constant or Fraction(0))


def product(values: Iterable[Polynomial]) -> Polynomial:
    result = ONE
    for value in values:
        result = result * value
    return result


GrowthPowers = Mapping[str, Fraction]
GrowthOrder = Callable[[GrowthPowers], tuple[Fraction, ...]]


def total_power(powers: GrowthPowers) -> tuple[Fraction, ...]:
    """How fast a product of powers grows where all dims go to infinity together at one rate."""
    return (sum(powers.values(), Fraction(0)),)


def growth(
    polynomial: Polynomial, of: Callable[[str], GrowthPowers], order: GrowthOrder = total_power
) -> list[dict[str, Fraction]]:
    """The growth of each monomial, as powers of the growth dims; `of` gives a name's own.

    `order` says which of two powers is the larger one, for what takes the largest of a sum.
    """
    return [_monomial_growth(m, of, order) for m, _ in polynomial.terms]


def leading_growth(
    polynomial: Polynomial, of: Callable[[str], GrowthPowers], order: GrowthOrder = total_power
) -> dict[str, Fraction]:
    """The growth of a sum: that of its largest monomial."""
    return max(growth(polynomial, of, order), key=order, default={})


def _monomial_growth(
    monomial: Monomial, of: Callable[[str], GrowthPowers], order: GrowthOrder
) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for a, power in monomial:
        powers = of(a) if isinstance(a, str) else _opaque_growth(a, of, order)
        for name, exponent in powers.items():
            total[name] = total.get(name, Fraction(0)) + power * exponent
    return {name: exponent for name, exponent in total.items() if exponent}


def _opaque_growth(
    a: Opaque, of: Callable[[str], GrowthPowers], order: GrowthOrder
) -> GrowthPowers:
    left, right = a.arguments
    top = leading_growth(left, of, order)
    if a.operation == "round_up":
        return top
    if a.operation == "^":
        return {name: exponent * (right.constant or 0) for name, exponent in top.items()}
    bottom = leading_growth(right, of, order)
    names = sorted({*top, *bottom})
    return {n: top.get(n, Fraction(0)) - bottom.get(n, Fraction(0)) for n in names}


ONE = number(1)


def _is_whole(monomial: Monomial, coefficient: Fraction) -> bool:
    """Whether a term of lengths is surely a whole number, and no constant."""
    names = all(
        (isinstance(a, str) or a.operation == "//") and power.denominator == 1 and power > 0
        for a, power in monomial
    )
    return bool(monomial) and names and coefficient.denominator == 1
