"""Affine forms in the symbols, and conditions on them.

A condition is a linear constraint, all of several, or any of several. A row is `(constant,
coefficient, …)`. A form is an exponent: one row for each growth dim, one after the other. Forms are
compared as exponents are: by their total rate within each limit, the first limit most significant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from operator import mul
from typing import Any

from abcparam.algebra.record import NamedTuple, Record
from abcparam.algebra.sizes import Number

AffineRow = tuple[Number, ...]
Form = tuple[Number, ...]


class LinearConstraint(NamedTuple):
    """`row >= 0`, `row > 0` or `row = 0`."""

    row: AffineRow
    relation: str


class All(Record):
    """Every one of them."""

    parts: tuple[SymbolCondition, ...]

    def __init__(self, parts: tuple[SymbolCondition, ...]) -> None:
        self.__dict__["parts"] = parts  # many are made: this is faster


class Some(Record):
    """At least one of them."""

    parts: tuple[SymbolCondition, ...]

    def __init__(self, parts: tuple[SymbolCondition, ...]) -> None:
        self.__dict__["parts"] = parts


SymbolCondition = LinearConstraint | All | Some

ALWAYS = All(())
NEVER = Some(())


def negation(condition: SymbolCondition) -> SymbolCondition:
    if isinstance(condition, LinearConstraint):
        row, relation = condition
        if relation == "=":
            return Some((LinearConstraint(row, ">"), LinearConstraint(opposite(row), ">")))
        return LinearConstraint(opposite(row), ">" if relation == ">=" else ">=")
    parts = tuple([negation(part) for part in condition.parts])
    return Some(parts) if isinstance(condition, All) else All(parts)


def whole(condition: SymbolCondition) -> SymbolCondition:
    """The same condition with coprime whole coefficients, which are held against many points."""
    if isinstance(condition, LinearConstraint):
        row, relation = condition
        coprime = primitive(row)
        return condition if coprime is row else LinearConstraint(coprime, relation)
    return type(condition)(tuple([whole(part) for part in condition.parts]))


def primitive(row: Form) -> Form:
    """A positive multiple of a row, the same of all its multiples: coprime whole numbers."""
    numbers: tuple[Any, ...] = row
    try:
        common = gcd(*numbers)
    except TypeError:  # of fractions
        scale = lcm(*[c.denominator for c in row])
        return primitive(tuple([int(c * scale) for c in row]))
    return tuple([c // common for c in numbers]) if common > 1 else row


# A point is `(denominator, numerator, …)`: whole numbers, the denominator positive.
SymbolPoint = tuple[int, ...]
FormValue = Any  # a number, or one for each limit, the first most significant


def point_of(values: Sequence[Fraction]) -> SymbolPoint:
    """The point at which the symbols have these values."""
    denominator = lcm(*(value.denominator for value in values))
    return (denominator, *(int(value * denominator) for value in values))


def values_at(point: SymbolPoint) -> list[Fraction]:
    """The values that the symbols have at a point."""
    return [Fraction(value, point[0]) for value in point[1:]]


def holds_at(condition: SymbolCondition, point: SymbolPoint) -> bool:
    """Whether a condition holds at a point."""
    if isinstance(condition, LinearConstraint):
        row, relation = condition
        value: Number = sum(map(mul, row, point))
        return value >= 0 if relation == ">=" else value > 0 if relation == ">" else value == 0
    every = isinstance(condition, All)
    for part in condition.parts:
        if holds_at(part, point) is not every:
            return not every
    return every


def holds(
    condition: SymbolCondition, values: Mapping[str, Fraction], symbols: Sequence[str]
) -> bool:
    """Whether a condition holds for these values of the symbols."""
    return holds_at(condition, point_of([values[symbol] for symbol in symbols]))


def add(left: Form, right: Form) -> Form:
    return tuple([x + y for x, y in zip(left, right, strict=True)])


def subtract(left: Form, right: Form) -> Form:
    return tuple([x - y for x, y in zip(left, right, strict=True)])


def opposite(form: Form) -> Form:
    return tuple([-x for x in form])


def plain(value: Number) -> Number:
    """An `int` where it is whole: faster, and equal."""
    return int(value) if value == int(value) else value


class FormOrder:
    """How forms compare: `dims` gives each growth dim's limit (0 the first) and its rate."""

    def __init__(self, dims: Sequence[tuple[int, Fraction]], symbols: int) -> None:
        self.width = 1 + symbols
        self.dims = tuple(dims) or ((0, Fraction(1)),)
        self.limits = sorted({limit for limit, _ in self.dims})
        self._single = len(self.dims) == 1 and self.dims[0][1] == 1
        scale = lcm(*(rate.denominator for _, rate in self.dims))
        self._weights = [  # of each limit, the dims' rates in whole numbers
            [int(rate * scale) if of == limit else 0 for of, rate in self.dims]
            for limit in self.limits
        ]

    def parts(self, form: Form) -> list[AffineRow]:
        """The row of each growth dim."""
        width = self.width
        return [form[i * width : (i + 1) * width] for i in range(len(self.dims))]

    def rows(self, form: Form) -> list[AffineRow]:
        """The total rate within each limit."""
        if self._single:
            return [form]
        totals: dict[int, list[Number]] = {limit: [0] * self.width for limit in self.limits}
        for (limit, rate), part in zip(self.dims, self.parts(form), strict=True):
            totals[limit] = [t + rate * x for t, x in zip(totals[limit], part, strict=True)]
        return [tuple(map(plain, totals[limit])) for limit in self.limits]

    def values(self, forms: Iterable[Form], point: SymbolPoint) -> Sequence[FormValue]:
        """Multiples of forms at a point, the same of all: their rates within each limit."""
        if self._single:
            return [sum(map(mul, form, point)) for form in forms]
        forms = list(forms)
        found = [[sum(map(mul, form, w)) for form in forms] for w in self.weighed(point)]
        return found[0] if len(found) == 1 else list(zip(*found, strict=True))

    def weighed(self, point: Sequence[int]) -> list[Sequence[int]]:
        """What the numbers of a form are multiplied with at a point, for each limit."""
        if self._single:
            return [point]
        return [[rate * x for rate in rates for x in point] for rates in self._weights]

    def nonnegative(self, form: Form) -> SymbolCondition:
        """`form >= 0`."""
        return _lexicographic(self.rows(form), ">=")

    def positive(self, form: Form) -> SymbolCondition:
        """`form > 0`."""
        return _lexicographic(self.rows(form), ">")

    def at_most(self, top: Iterable[Form], bottom: Iterable[Form]) -> SymbolCondition:
        """`max(top) <= max(bottom)`."""
        bottom = tuple(bottom)
        return _all([_some([self.nonnegative(subtract(g, f)) for g in bottom]) for f in top])


def _all(parts: Sequence[SymbolCondition]) -> SymbolCondition:
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _some(parts: Sequence[SymbolCondition]) -> SymbolCondition:
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def _lexicographic(rows: Sequence[AffineRow], relation: str) -> SymbolCondition:
    first, *rest = rows
    if not rest:
        return decided(LinearConstraint(first, relation))
    above, level = decided(LinearConstraint(first, ">")), decided(LinearConstraint(first, "="))
    tail = _lexicographic(rest, relation)
    if tail in (ALWAYS, NEVER) or level == NEVER or above == ALWAYS:
        return decided(LinearConstraint(first, ">=" if tail == ALWAYS else ">"))
    return tail if level == ALWAYS else Some((above, All((level, tail))))


def decided(linear: LinearConstraint) -> SymbolCondition:
    """A constraint without symbols is one that always holds or never."""
    if any(linear.row[1:]):
        return linear
    return ALWAYS if holds_at(linear, (1, *[0] * (len(linear.row) - 1))) else NEVER


Forms = tuple[Form, ...]
