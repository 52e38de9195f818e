"""Scale factors and lengths: products of powers, kept apart so that they cancel.

The std of a hidden tensor is `fan_in^-1/2` at base times `(width / base)^-1/2`: as a formula,
`width^-1/2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil

from abcparam.algebra import polynomials
from abcparam.algebra.polynomials import Opaque, Polynomial
from abcparam.algebra.record import Record


class DimAtom(Record):
    """A dim or a hyper, a field or property of `Config`."""

    name: str


class Base(Record):
    """A growing dim's value at base."""

    name: str


class Ratio(Record):
    """A growing dim over its value at base; made when a formula is written."""

    name: str


class Argument(Record):
    """A size or number that a block was called with."""

    name: str


class Index(Record):
    """The number of a repeat's copy."""

    name: str


class ByCopy(Record):
    """Two to a power that holds from some copy of a repeat on, by the number of one."""

    copy: Formula
    runs: tuple[tuple[int, int], ...]


class RootAtom(Record):
    """A number under a power that has no exact value."""

    value: Fraction


class Product(Record):
    """Factors that read better together: `(4 * width) ** -0.5`."""

    value: Formula


class Sum(Record):
    terms: tuple[Formula, ...]


class RoundUp(Record):
    value: Formula
    multiple: Formula


class Floor(Record):
    """A quotient rounded down."""

    top: Formula
    bottom: Formula


FormulaAtom = (
    DimAtom | Base | Ratio | Argument | Index | ByCopy | RootAtom | Product | Sum | RoundUp | Floor
)


class Formula(Record):
    """`coefficient` times powers of atoms, in the order in which they were met."""

    coefficient: Fraction = Fraction(1)
    powers: tuple[tuple[FormulaAtom, Fraction], ...] = ()

    def __mul__(self, other: Formula) -> Formula:
        total = dict(self.powers)
        for atom, power in other.powers:
            total[atom] = total.get(atom, Fraction(0)) + power
        return _made(self.coefficient * other.coefficient, total)

    def __truediv__(self, other: Formula) -> Formula:
        return self * other.power(Fraction(-1))

    def __neg__(self) -> Formula:
        return Formula(-self.coefficient, self.powers)

    def power(self, exponent: Fraction) -> Formula:
        powers = {atom: power * exponent for atom, power in self.powers}
        root = polynomials.number(self.coefficient).power(exponent).constant
        if root is not None:
            return _made(root, powers)
        under = RootAtom(self.coefficient)
        return _made(Fraction(1), {under: powers.pop(under, Fraction(0)) + exponent, **powers})

    @property
    def constant(self) -> Fraction | None:
        """Its value if it depends on nothing."""
        return self.coefficient if not self.powers else None

    def _key(self) -> tuple[object, ...]:
        """Equal formulas are equal, whatever the order of their factors."""
        return self.coefficient, frozenset(self.powers)

    @property
    def is_dynamic(self) -> bool:
        """Whether it depends on the number of a copy, so that no constructor can know it."""
        return any(isinstance(a, Index) for a in self.atoms())

    def atoms(self) -> Iterator[FormulaAtom]:
        """All atoms, those inside sums too."""
        for atom, _ in self.powers:
            yield atom
            for inner in _inside(atom):
                yield from inner.atoms()


def _inside(atom: FormulaAtom) -> tuple[Formula, ...]:
    match atom:
        case Sum(terms=terms):
            return terms
        case RoundUp(value=value, multiple=multiple):
            return (value, multiple)
        case Product(value=value):
            return (value,)
        case ByCopy(copy=copy):
            return (copy,)
        case Floor(top=top, bottom=bottom):
            return (top, bottom)
        case _:
            return ()


def _made(coefficient: Fraction, powers: Mapping[FormulaAtom, Fraction]) -> Formula:
    """Whole powers of roots become part of the coefficient."""
    kept: list[tuple[FormulaAtom, Fraction]] = []
    for atom, power in powers.items():
        if isinstance(atom, RootAtom) and power.denominator == 1:
            coefficient *= atom.value ** int(power)
        elif power:
            kept.append((atom, power))
    return Formula(coefficient, tuple(kept))


ONE = Formula()


def number(value: Fraction | int) -> Formula:
    return Formula(Fraction(value))


def of(atom: FormulaAtom) -> Formula:
    return Formula(Fraction(1), ((atom, Fraction(1)),))


def add(left: Formula, right: Formula) -> Formula:
    """The sum; numbers and like terms are added up, anything else becomes an atom."""
    terms: list[Formula] = []
    for term in (*_terms(left), *_terms(right)):
        for index, known in enumerate(terms):
            if dict(known.powers) == dict(term.powers):
                terms[index] = Formula(known.coefficient + term.coefficient, known.powers)
                break
        else:
            terms.append(term)
    kept = tuple(term for term in terms if term.coefficient)
    if len(kept) < 2:
        return kept[0] if kept else number(0)
    return of(Sum(kept))


def _terms(value: Formula) -> tuple[Formula, ...]:
    match value.powers:
        case ((Sum(terms=terms), power),) if power == 1 and value.coefficient == 1:
            return terms
        case ((Sum(terms=terms), power),) if power == 1 and value.coefficient == -1:
            return tuple(-term for term in terms)
        case _:
            return (value,) if value.coefficient else ()


def by_copy(copy: Formula, runs: Sequence[tuple[int, int]]) -> Formula:
    """Two to the power that holds from some copy on, each power but for those that change nothing.

    `runs` are numbers of copies, of which the first is 0, and powers.
    """
    kept: list[tuple[int, int]] = []
    for first, power in runs:
        if not kept or kept[-1][1] != power:
            kept.append((first, power))
    if len(kept) == 1:
        return number(Fraction(2) ** kept[0][1])
    return of(ByCopy(copy, tuple(kept)))


def joined_by_copy(value: Formula) -> Formula:
    """All powers that the number of a copy decides as one."""
    mine = [(a, power) for a, power in value.powers if isinstance(a, ByCopy)]
    others = Formula(
        value.coefficient, tuple(x for x in value.powers if not isinstance(x[0], ByCopy))
    )
    for copy in dict.fromkeys(a.copy for a, _ in mine):
        tables = [(dict(a.runs), power) for a, power in mine if a.copy == copy]
        total, runs = dict.fromkeys(range(len(tables)), 0), list[tuple[int, int]]()
        for first in sorted({first for table, _ in tables for first in table}):
            for index, (table, power) in enumerate(tables):
                if first in table:
                    total[index] = int(table[first] * power)
            runs.append((first, sum(total.values())))
        others = others * by_copy(copy, runs)
    return others


def together(value: Formula) -> Formula:
    """A product as one factor; a single factor as it is."""
    return value if len(value.powers) < 2 and value.coefficient == 1 else of(Product(value))


def round_up(value: Formula, multiple: Formula) -> Formula:
    if value.constant is not None and multiple.constant:
        return number(ceil(value.constant / multiple.constant) * multiple.constant)
    return of(RoundUp(value, multiple))


def floor(top: Formula, bottom: Formula) -> Formula:
    if top.constant is not None and bottom.constant:
        return number(top.constant // bottom.constant)
    return of(Floor(top, bottom))


# Polynomials


@lru_cache(maxsize=1024)  # what tensors of one role have is the same
def from_polynomial(value: Polynomial, base: frozenset[str] = frozenset()) -> Formula:
    """A polynomial in dims and hypers; those in `base` at base."""
    result = number(0)
    for monomial, coefficient in value.terms:
        term = number(coefficient)
        for atom, power in monomial:
            term = term * _atom(atom, base).power(power)
        result = add(result, term)
    return result


def _atom(atom: str | Opaque, base: frozenset[str]) -> Formula:
    if isinstance(atom, str):
        return of(Base(atom) if atom in base else DimAtom(atom))
    left, right = (from_polynomial(x, base) for x in atom.arguments)
    if atom.operation == "round_up":
        return round_up(left, right)
    if atom.operation == "//":
        return floor(left, right)
    if atom.operation == "^" and right.constant is not None:
        return left.power(right.constant)
    return left / right
