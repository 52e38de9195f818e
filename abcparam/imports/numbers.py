"""Numbers that were seen at several settings, as formulas in the sizes.

Floats are powers, `0.02 * depth^(-1/2)`; whole numbers are lengths, polynomials. A formula holds at
every setting, so two sizes that are equal at one of them are told apart by the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, pairwise
from math import comb, isclose, isfinite, log, log2, pow, prod, sqrt

from abcparam.algebra.polynomials import Monomial, Polynomial, atom, number, product
from abcparam.algebra.record import Record

Sizes = Mapping[str, int]  # what a factory is called with: size by name

EXPONENTS = 12  # those of a power are multiples of 1/12
SMALL = 12  # the largest denominator of a coefficient in a sum
STEEP = 64  # the largest slope of a line that is taken from two points
MOST_TERMS = 4
MOST_SUMS = 100_000  # that are tried
SETTLED = 0.8  # how steep what goes to a limit is at the end, beside its beginning, at most
NEAR = 1e-7  # a float32 beside the number that was written


class Power(Record):
    """`coefficient * prod(size ** power)`; no power is zero."""

    coefficient: float
    powers: Mapping[str, Fraction]

    def at(self, sizes: Sizes) -> float:
        """Its value at a setting."""
        factors = (pow(sizes[name], power) for name, power in self.powers.items())
        return self.coefficient * prod(factors)

    @property
    def polynomial(self) -> Polynomial:
        """It as a formula, its coefficient as it is written."""
        factors = (atom(name).power(p) for name, p in self.powers.items())
        return number(Fraction(repr(self.coefficient))) * product(factors)

    def inverse(self) -> Power:
        """One over it, which must not be zero."""
        return Power(1 / self.coefficient, {name: -p for name, p in self.powers.items()})

    def times(self, other: Power) -> Power:
        """The product of the two."""
        powers = dict(self.powers)
        for name, p in other.powers.items():
            powers[name] = powers.get(name, Fraction(0)) + p
        kept = {name: p for name, p in powers.items() if p}
        return Power(self.coefficient * other.coefficient, kept)

    def __str__(self) -> str:
        factors = [f"{self.coefficient:.6g}", *map(_factor, self.powers.items())]
        return " * ".join(factors[1:] if len(factors) > 1 and self.coefficient == 1 else factors)


def _factor(factor: tuple[str, Fraction]) -> str:
    name, power = factor
    if power == 1:
        return name
    whole = power.denominator == 1 and power > 0
    return f"{name}^{power}" if whole else f"{name}^({power})"


# Powers


def power_of(
    values: Sequence[float], settings: Sequence[Sizes], tolerance: float = 1e-6
) -> Power | None:
    """The power that has these values at these settings; None where they are none."""
    if not any(values):
        return Power(0.0, {})
    signs = {(v > 0) - (v < 0) for v in values}
    if len(signs) > 1 or 0 in signs or not all(map(isfinite, values)):
        return None
    slopes = slopes_of([log(abs(v)) for v in values], settings)
    powers = {n: Fraction(round(slope * EXPONENTS), EXPONENTS) for n, slope in slopes.items()}
    return exact_power(values, settings, powers, tolerance)


def exact_power(
    values: Sequence[float],
    settings: Sequence[Sizes],
    powers: Mapping[str, Fraction],
    tolerance: float = 1e-6,
) -> Power | None:
    """The power with these exponents, if it has these values to a relative tolerance."""
    kept = Power(1.0, {name: p for name, p in powers.items() if p})
    quotients = [v / kept.at(sizes) for v, sizes in zip(values, settings, strict=True)]
    if not all(isclose(q, quotients[0], rel_tol=tolerance) for q in quotients):
        return None
    return Power(tidied(quotients[0]), kept.powers)


def slopes_of(values: Sequence[float], settings: Sequence[Sizes]) -> dict[str, float]:
    """By how much values grow with the logarithm of each size that varies, by least squares."""
    names = varying(settings)
    rows = [[1.0, *(log(sizes[name]) for name in names)] for sizes in settings]
    columns = list(zip(*rows, strict=True))
    normal = [[*(_dot(left, right) for right in columns), _dot(left, values)] for left in columns]
    return dict(zip(names, _solved(normal)[1:], strict=True))


def settles(values: Sequence[float], settings: Sequence[Sizes], chance: float) -> bool:
    """Whether positive values go to a limit as each size grows: ever slower, beyond chance.

    A power is as steep everywhere on a logarithmic scale; what is a constant and one over the size,
    say, is not. `chance` is by how much a logarithm may differ.
    """
    points = [log(value) for value in values]
    for name in varying(settings):
        chain = max(chains_of(settings, name, range(len(settings))), key=len)
        at = [(log(settings[i][name]), points[i]) for i in chain]
        slopes = [(y - x) / (b - a) for (a, x), (b, y) in pairwise(at)]
        first, last = abs(slopes[0]), abs(slopes[-1])
        if first > chance and not last + chance < first * SETTLED:
            return False
    return True


def as_fractions(sizes: Sizes) -> dict[str, Fraction]:
    """Sizes as what polynomials are evaluated at."""
    return {name: Fraction(size) for name, size in sizes.items()}


def chains_of(settings: Sequence[Sizes], name: str, among: Iterable[int]) -> Iterator[list[int]]:
    """Indices of settings that differ in a size alone, by that size; of two settings at least."""
    chains: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for index in among:
        rest = tuple((n, x) for n, x in settings[index].items() if n != name)
        chains.setdefault(rest, []).append(index)
    for chain in chains.values():
        if len(chain) > 1:
            yield sorted(chain, key=lambda i: settings[i][name])


def varying(settings: Sequence[Sizes]) -> list[str]:
    """The sizes that are not the same at all settings."""
    first = settings[0]
    return [n for n in first if any(s[n] != first[n] for s in settings) and _positive(n, settings)]


def _positive(name: str, settings: Sequence[Sizes]) -> bool:
    return all(sizes[name] > 0 for sizes in settings)


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(left, right, strict=True))


def _solved(rows: list[list[float]]) -> list[float]:
    """Unknowns of a symmetric system, each row with its right side; those left free are zero."""
    count = len(rows)
    largest = [rows[i][i] for i in range(count)]
    pivots = []
    for column in range(count):
        pivot = rows[column]
        if abs(pivot[column]) <= 1e-10 * largest[column]:
            continue
        pivots.append(column)
        for row in rows:
            if row is not pivot:
                factor = row[column] / pivot[column]
                row[:] = [x - factor * y for x, y in zip(row, pivot, strict=True)]
    return [rows[c][-1] / rows[c][c] if c in pivots else 0.0 for c in range(count)]


def tidied(value: float) -> float:
    """The number that was meant: 0.02 for 0.01999999955, sqrt(1/3) for its float32."""
    for near in (*_short(value), *_quotients(value)):
        if isclose(near, value, rel_tol=NEAR):
            return near
    return value


def _short(value: float) -> Iterator[float]:
    return (float(f"{value:.{digits}g}") for digits in range(1, 5))


def _quotients(value: float) -> Iterator[float]:
    """Quotients of small numbers, and roots of these."""
    sign = -1 if value < 0 else 1
    for denominators in (48, 1000):
        yield float(Fraction(value).limit_denominator(denominators))
        if 1e-3 < abs(value) < 1e3:
            yield sign * sqrt(Fraction(value * value).limit_denominator(denominators))


# Polynomials


def polynomial_of(values: Sequence[int], settings: Sequence[Sizes]) -> Polynomial | None:
    """The simplest length that is each of these at its setting.

    It is a number, else a monomial, else a sum of few; None where there is none.
    """
    return _polynomial(tuple(values), tuple(tuple(sizes.items()) for sizes in settings))


@lru_cache(maxsize=4096)
def _polynomial(
    values: tuple[int, ...], settings: tuple[tuple[tuple[str, int], ...], ...]
) -> Polynomial | None:
    if len(set(values)) == 1:
        return number(values[0])
    seen = [dict(sizes) for sizes in settings]
    names = [name for name in varying(seen) if _matters(name, values, seen)]
    table = {tuple(s[n] for n in names): v for v, s in zip(values, seen, strict=True)}
    if any(table[tuple(s[n] for n in names)] != v for v, s in zip(values, seen, strict=True)):
        return None
    points = [dict(zip(names, point, strict=True)) for point in table]
    return _monomial(list(table.values()), points) or _sum(list(table.values()), points)


def _matters(name: str, values: Sequence[int], settings: Sequence[Sizes]) -> bool:
    """Whether values change with a size alone, as far as the settings show."""
    rest = [tuple(x for n, x in sizes.items() if n != name) for sizes in settings]
    pairs = combinations(range(len(values)), 2)
    alone = [(i, j) for i, j in pairs if rest[i] == rest[j] and settings[i] != settings[j]]
    return not alone or any(values[i] != values[j] for i, j in alone)


def _monomial(values: Sequence[int], points: Sequence[Sizes]) -> Polynomial | None:
    """A product of whole powers with a rational coefficient."""
    if any(value <= 0 for value in values):
        return None
    slopes = slopes_of([log(value) for value in values], points)
    made = _product({name: round(slope) for name, slope in slopes.items()})
    found = [Fraction(v) / _at(made, p) for v, p in zip(values, points, strict=True)]
    return Polynomial({made: found[0]}) if len(set(found)) == 1 else None


def _product(powers: Mapping[str, int]) -> Monomial:
    return tuple((name, Fraction(p)) for name, p in sorted(powers.items()) if p)


def _at(monomial: Monomial, point: Sizes) -> Fraction:
    return prod((Fraction(point[str(n)]) ** int(p) for n, p in monomial), start=Fraction(1))


def _sum(values: Sequence[int], points: Sequence[Sizes]) -> Polynomial | None:
    """A sum of as few monomials as there can be, and of these the simplest."""
    monomials = _candidates(sorted(points[0]))
    columns = {m: [_at(m, point) for point in points] for m in monomials}
    target = [Fraction(value) for value in values]
    for count in range(2, min(MOST_TERMS, len(values)) + 1):
        if comb(len(monomials), count) > MOST_SUMS:
            return None
        sums = (_combined(chosen, columns, target) for chosen in _spanning(columns, values, count))
        if found := [s for s in sums if s is not None and _plausible(s, len(values))]:
            return min(found, key=_complexity)
    return None


def _candidates(names: Sequence[str]) -> list[Monomial]:
    """What a sum may be made of: numbers, sizes, products and quotients of two or three."""
    pairs = list(combinations(names, 2))
    found: list[Mapping[str, int]] = [{}, *({n: 1} for n in names), *({n: 2} for n in names)]
    for left, right in pairs:
        found += [{left: 1, right: 1}, {left: 1, right: -1}, {left: -1, right: 1}]
    for triple in combinations(names, 3):
        found.append(dict.fromkeys(triple, 1))
        found += [{n: -1 if n == under else 1 for n in triple} for under in triple]
    return [_product(powers) for powers in found]


def _spanning(
    columns: Mapping[Monomial, Sequence[Fraction]], values: Sequence[int], count: int
) -> Iterator[tuple[Monomial, ...]]:
    """Those of `count` monomials whose span has the values in it, to a float's precision.

    Together they depend on all sizes, as the values do.
    """
    names = {m: frozenset(n for n, _ in m) for m in columns}
    everything = frozenset().union(*names.values())
    floats = {m: [float(x) for x in column] for m, column in columns.items()}
    bases: dict[tuple[Monomial, ...], list[list[float]]] = {(): []}
    target = [float(v) for v in values]
    limit = 1e-16 * _dot(target, target)
    for chosen in combinations(floats, count):
        if frozenset().union(*(names[m] for m in chosen)) != everything:
            continue
        head = chosen[:-1]
        if head not in bases:
            basis: list[list[float]] = []
            for monomial in head:
                _extend(basis, floats[monomial])
            _extend(basis, target, normed=False)
            bases = {head: basis}
        *basis, left = bases[head]
        unit = _rest(floats[chosen[-1]], basis)
        size = _dot(unit, unit)
        if size and _dot(left, left) - _dot(left, unit) ** 2 / size <= limit * 1e4:
            yield chosen


def _extend(basis: list[list[float]], column: Sequence[float], normed: bool = True) -> None:
    """Adds what of a column is not in the span yet."""
    left = _rest(column, basis)
    size = sqrt(_dot(left, left)) if normed else 1.0
    basis.append([x / size for x in left] if size > 1e-12 else [0.0] * len(left))


def _rest(column: Sequence[float], basis: Sequence[Sequence[float]]) -> list[float]:
    left = list(column)
    for unit in basis:
        along = _dot(left, unit)
        left = [x - along * y for x, y in zip(left, unit, strict=True)]
    return left


def _combined(
    chosen: Sequence[Monomial],
    columns: Mapping[Monomial, Sequence[Fraction]],
    target: Sequence[Fraction],
) -> Polynomial | None:
    """The exact sum of some monomials that is the target, each of them needed."""
    rows = [list(row) for row in zip(*(columns[m] for m in chosen), target, strict=True)]
    for column in range(len(chosen)):
        at = next((i for i in range(column, len(rows)) if rows[i][column]), None)
        if at is None:
            return None
        rows[column], rows[at] = rows[at], rows[column]
        pivot = rows[column] = [x / rows[column][column] for x in rows[column]]
        for i, row in enumerate(rows):
            if i != column and row[column]:
                rows[i] = [x - row[column] * y for x, y in zip(row, pivot, strict=True)]
    if any(row[-1] for row in rows[len(chosen) :]):
        return None
    found = Polynomial({m: rows[i][-1] for i, m in enumerate(chosen)})
    return found if len(found.terms) == len(chosen) else None


def _plausible(found: Polynomial, count: int) -> bool:
    """Small coefficients; where no setting is left to hold them to, whole and of first degree.

    Three monomials and more need two settings beside their own number: there are many such sums.
    """
    spare = count - len(found.terms)
    if len(found.terms) > 2 and spare < 2:
        return False
    for monomial, coefficient in found.terms:
        if coefficient.denominator > (SMALL if spare else 1):
            return False
        if not spare and (
            sum(abs(p) for _, p in monomial) > 1 or (monomial and coefficient > STEEP)
        ):
            return False
    return True


def _complexity(found: Polynomial) -> tuple[float, ...]:
    """What is simpler comes first: whole coefficients, then low degrees and small numbers."""
    powers = [p for monomial, _ in found.terms for _, p in monomial]
    coefficients = [c for _, c in found.terms]
    digits = sum(log2(abs(c.numerator) * c.denominator) for c in coefficients)
    return (
        sum(c.denominator > 1 for c in coefficients),
        float(sum(map(abs, powers))) + digits,
        sum(p < 0 for p in powers),
    )
