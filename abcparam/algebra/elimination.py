"""Linear equations solved for their unknowns, exactly, with what each result was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from abcparam.algebra.record import Record

LinearTerms = Mapping[str, Fraction]  # `Σ k x`, by the names of the x


class LinearEquation(Record):
    """`Σ k x = 0`, and the multiples of the equations that it is the sum of, by their numbers."""

    terms: LinearTerms
    parts: Mapping[int, Fraction]


class Elimination:
    """Equations `Σ k x = 0`, each solved for the unknown of the lowest rank in it.

    `rank` is None for what is given and never solved for. An equation in which nothing else is left
    is a condition.
    """

    def __init__(self, rank: Callable[[str], int | None]) -> None:
        self.rank = rank
        self.solved: dict[str, LinearEquation] = {}
        self.conditions: list[LinearEquation] = []
        self.count = 0

    def add(self, terms: LinearTerms) -> None:
        """Another equation."""
        found = self._reduced(LinearEquation(terms, {self.count: Fraction(1)}))
        self.count += 1
        if not found.terms:
            return
        unknown = min(found.terms, key=lambda name: (self._rank(name), name))
        if self.rank(unknown) is None:
            self.conditions.append(found)
        else:
            by = 1 / found.terms[unknown]
            self.solved[unknown] = _sum(LinearEquation({}, {}), by, found)

    def of_rank(self, rank: int) -> dict[str, LinearTerms]:
        """The equations of the unknowns of a rank, by these, each with no other's unknown in it."""
        found: dict[str, LinearTerms] = {}
        for name, equation in self.solved.items():
            if self.rank(name) == rank:
                rest = {x: k for x, k in equation.terms.items() if x != name}
                reduced = self._reduced(LinearEquation(rest, {}))
                found[name] = {name: Fraction(1), **reduced.terms}
        return found

    def _rank(self, name: str) -> float:
        rank = self.rank(name)
        return float("inf") if rank is None else rank

    def _reduced(self, equation: LinearEquation) -> LinearEquation:
        """Without unknowns that others are solved for."""
        while name := next((x for x in equation.terms if x in self.solved), None):
            equation = _sum(equation, -equation.terms[name], self.solved[name])
        return equation


def _sum(equation: LinearEquation, by: Fraction, other: LinearEquation) -> LinearEquation:
    terms, parts = dict(equation.terms), dict(equation.parts)
    for name, factor in other.terms.items():
        terms[name] = terms.get(name, Fraction(0)) + by * factor
    for number, factor in other.parts.items():
        parts[number] = parts.get(number, Fraction(0)) + by * factor
    return LinearEquation(
        {x: k for x, k in terms.items() if k}, {n: k for n, k in parts.items() if k}
    )
