"""Of the solutions of linear equations the one that is least, exactly.

`Σ w |x|` is least at a vertex, which the simplex method finds, by Bland's rule. Where there are
several, those unknowns that may be other than 0 in any of them are few, and the solutions with few
of them are tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import comb

from abcparam.algebra.elimination import LinearTerms
from abcparam.algebra.record import Record

MOST_TRIED = 4_000  # sets of unknowns
ZERO = Fraction(0)


class Unknown(Record):
    """How dear an unknown is: by its size; among equals by its kind, lower first, then its place.

    `weight` is also what it counts for, where the fewest are wanted.
    """

    weight: int
    kind: int
    place: int


class SolvedRow(Record):
    """`Σ k x = value`, solved for an unknown that no other row has."""

    unknown: str
    terms: LinearTerms
    value: Fraction


def least(rows: Sequence[SolvedRow], unknowns: Mapping[str, Unknown]) -> dict[str, Fraction]:
    """The least solution: of `Σ w |x|`, then of the weight that is not 0, then by kind and place.

    What is 0 is left out.
    """
    found: dict[str, Fraction] = {}
    for part in _parts(rows):
        if any(row.value for row in part):
            found |= _least(part, unknowns)
    return found


def _parts(rows: Sequence[SolvedRow]) -> list[list[SolvedRow]]:
    """Rows that share no unknown apart."""
    parts: list[tuple[set[str], list[SolvedRow]]] = []
    for row in rows:
        names, together, others = set(row.terms), [row], []
        for part in parts:
            if names.isdisjoint(part[0]):
                others.append(part)
            else:
                names |= part[0]
                together = [*part[1], *together]
        parts = [*others, (names, together)]
    return [part for _, part in parts]


def _least(rows: Sequence[SolvedRow], unknowns: Mapping[str, Unknown]) -> dict[str, Fraction]:
    order = sorted({x for row in rows for x in row.terms}, key=lambda x: unknowns[x].place)
    tableau = _Tableau(rows, order, unknowns)
    tableau.minimize()
    best = tableau.solution()
    free = tableau.free()
    tried = 0
    for size in range(min(len(free), len(rows)) + 1):
        tried += comb(len(free), size)
        if tried > MOST_TRIED:
            break
        for names in combinations(free, size):
            found = _solution(rows, names)
            fits = found is not None and all(found[x] * free[x] > 0 for x in names)
            if found is not None and fits and _cost(found, unknowns) < _cost(best, unknowns):
                best = found
    return best


LeastKey = tuple[int, tuple[tuple[int, int], ...], tuple[int, ...]]


def _cost(found: Mapping[str, Fraction], unknowns: Mapping[str, Unknown]) -> LeastKey:
    """The weight of what is not 0, that of each kind from the dearest, and its places."""
    of_kind: dict[int, int] = {}
    for x in found:
        kind, weight = unknowns[x].kind, unknowns[x].weight
        of_kind[kind] = of_kind.get(kind, 0) + weight
    kinds = tuple(sorted(of_kind.items(), reverse=True))
    places = tuple(sorted(unknowns[x].place for x in found))
    return sum(of_kind.values()), kinds, places


def _solution(rows: Sequence[SolvedRow], names: Sequence[str]) -> dict[str, Fraction] | None:
    """The values of these unknowns, where the others are 0; None unless there is one solution."""
    left = [([row.terms.get(x, ZERO) for x in names], row.value) for row in rows]
    solved: list[tuple[list[Fraction], Fraction]] = []
    for place in range(len(names)):
        pivot = next((row for row in left if row[0][place]), None)
        if pivot is None:
            return None
        left.remove(pivot)
        by = 1 / pivot[0][place]
        pivot = [k * by for k in pivot[0]], pivot[1] * by
        left, solved = ([_less(row, pivot, place) for row in each] for each in (left, solved))
        solved.append(pivot)
    if any(value for _, value in left):
        return None
    return {x: value for x, (_, value) in zip(names, solved, strict=True)}


def _less(
    row: tuple[list[Fraction], Fraction], pivot: tuple[list[Fraction], Fraction], place: int
) -> tuple[list[Fraction], Fraction]:
    by = row[0][place]
    if not by:
        return row
    return [k - by * p for k, p in zip(row[0], pivot[0], strict=True)], row[1] - by * pivot[1]


class _Tableau:
    """The simplex method for `x = x⁺ - x⁻`: in each row an unknown of one sign is not 0."""

    def __init__(
        self, rows: Sequence[SolvedRow], order: Sequence[str], unknowns: Mapping[str, Unknown]
    ) -> None:
        self.order = order
        self.weights = {x: Fraction(unknowns[x].weight) for x in order}
        self.basic: list[tuple[str, int]] = []
        self.rows: list[dict[str, Fraction]] = []
        self.values: list[Fraction] = []
        for row in rows:
            sign = -1 if row.value < 0 else 1
            self.basic.append((row.unknown, sign))
            self.rows.append({x: k * sign for x, k in row.terms.items()})
            self.values.append(row.value * sign)

    def minimize(self) -> None:
        while (entering := self._entering()) is not None:
            self._pivot(*entering)

    def solution(self) -> dict[str, Fraction]:
        pairs = zip(self.basic, self.values, strict=True)
        return {x: sign * value for (x, sign), value in pairs if value}

    def free(self) -> dict[str, int]:
        """What may be other than 0 in a least solution, and its sign there."""
        prices = self._prices()
        signs = ((x, sign) for x in self.order for sign in (1, -1))
        return {x: sign for x, sign in signs if self.weights[x] == sign * prices[x]}

    def _prices(self) -> dict[str, Fraction]:
        prices = dict.fromkeys(self.order, ZERO)
        for (basic, _), row in zip(self.basic, self.rows, strict=True):
            for x, k in row.items():
                prices[x] += self.weights[basic] * k
        return prices

    def _entering(self) -> tuple[str, int] | None:
        """The first whose growth would lower the sum."""
        prices = self._prices()
        signs = ((x, sign) for x in self.order for sign in (1, -1))
        return next(((x, s) for x, s in signs if self.weights[x] < s * prices[x]), None)

    def _pivot(self, name: str, sign: int) -> None:
        places = {x: place for place, x in enumerate(self.order)}
        ratios = [
            (value / (sign * row[name]), places[basic], index)
            for index, (row, value, (basic, _)) in enumerate(
                zip(self.rows, self.values, self.basic, strict=True)
            )
            if sign * row.get(name, ZERO) > 0
        ]
        _, _, leaving = min(ratios)
        by = sign * self.rows[leaving][name]
        pivot = {x: k / by for x, k in self.rows[leaving].items()}
        value = self.values[leaving] / by
        for index, row in enumerate(self.rows):
            factor = sign * row.get(name, ZERO)
            if index != leaving and factor:
                self.rows[index] = _minus(row, factor, pivot)
                self.values[index] -= factor * value
        self.rows[leaving], self.values[leaving] = pivot, value
        self.basic[leaving] = name, sign


def _minus(
    row: Mapping[str, Fraction], by: Fraction, pivot: Mapping[str, Fraction]
) -> dict[str, Fraction]:
    names = dict.fromkeys([*row, *pivot])
    found = {x: row.get(x, ZERO) - by * pivot.get(x, ZERO) for x in names}
    return {x: k for x, k in found.items() if k}
