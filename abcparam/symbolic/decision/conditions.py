"""Conditions on symbols as questions to the search: can they hold together, and which cannot?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from math import gcd

from abcparam.symbolic.constraints import (
    ALWAYS,
    AffineRow,
    All,
    LinearConstraint,
    SymbolCondition,
    SymbolPoint,
    decided,
    holds_at,
    opposite,
    primitive,
    values_at,
)
from abcparam.symbolic.decision.search import AtMost, ClauseSearch, Literals
from abcparam.symbolic.decision.simplex import UNIT, LinearSum

Clauses = list[Literals]
MOST_FORMS = 4096  # that are kept in their normal form
MOST_SETS = 50  # that are tried where several are equally small


class Conditions:
    """Conditions on so many symbols. Where the budget is spent, a question raises `SpentError`."""

    def __init__(self, symbols: int) -> None:
        self.symbols = symbols
        self.search = ClauseSearch(symbols)

    def premise(self, condition: SymbolCondition) -> None:
        """Adds a condition to all questions that follow."""
        for clause in self._clauses(condition):
            self.search.add(clause)

    def example(self, condition: SymbolCondition = ALWAYS) -> SymbolPoint | None:
        """A point at which a condition holds too, None if there is none."""
        with self.search.scope():
            self.premise(condition)
            return self.search.point() if self.search.solve() else None

    def example_or_core(
        self, conditions: Sequence[SymbolCondition]
    ) -> tuple[SymbolPoint | None, list[int]]:
        """A point at which the conditions hold too, or indices of some that cannot hold."""
        with self.search.scope():
            named = self._named(conditions)
            if self.search.solve(list(named)):
                return self.search.point(), []
            return None, sorted({named[literal] for literal in self.search.core})

    def _named(self, conditions: Sequence[SymbolCondition]) -> dict[int, int]:
        """A literal for each condition that does not always hold, and its index."""
        named: dict[int, int] = {}
        for index, condition in enumerate(conditions):
            clauses = self._clauses(condition)
            if clauses:
                alone = len(clauses) == 1 and len(clauses[0]) == 1
                named.setdefault(clauses[0][0] if alone else self._standing_for(clauses), index)
        return named

    # Clauses

    def _clauses(self, condition: SymbolCondition) -> Clauses:
        """A condition as clauses. Parts of choices become literals that imply them."""
        if isinstance(condition, LinearConstraint):
            return self._linear(condition)
        if isinstance(condition, All):
            return [clause for part in condition.parts for clause in self._clauses(part)]
        choice: Literals = []
        for part in condition.parts:
            clauses = self._clauses(part)
            if not clauses:
                return []
            choice += clauses[0] if len(clauses) == 1 else [self._standing_for(clauses)]
        return [choice]

    def _standing_for(self, clauses: Clauses) -> int:
        literal = self.search.literal()
        self.search.implies(literal, clauses)
        return literal

    def _linear(self, constraint: LinearConstraint) -> Clauses:
        row, relation = constraint
        if not any(row[1:]):
            return [] if decided(constraint) == ALWAYS else [[]]
        sum_, factor, value = _normal_form(row)
        term = self.search.term(sum_)
        if relation == "=":
            least, more = (self.search.atom(term, (value, tiny)) for tiny in (0, UNIT))
            return [[least], [more ^ 1]]
        strict = relation == ">"
        if factor > 0:
            return [[self.search.atom(term, (value, UNIT * strict))]]
        return [[self.search.atom(term, (value, UNIT * (not strict))) ^ 1]]

    # Which cannot hold

    def core(self, conditions: Sequence[SymbolCondition]) -> list[int] | None:
        """Indices of conditions that cannot hold together, none of which can be left out.

        None where all of them can.
        """
        search = self.search
        with search.scope():
            named = self._named(conditions)
            if search.solve(list(named)):
                return None
            needed = [literal for literal in named if literal in search.core]
            for literal in list(needed):
                others = [other for other in needed if other != literal]
                if literal in needed and not search.solve(others):
                    needed = [other for other in others if other in search.core]
            return sorted(named[literal] for literal in needed)

    def fewest(self, pins: Sequence[SymbolCondition]) -> Iterator[tuple[int, ...]]:
        """The smallest sets of pins, by index, without which the others can hold."""
        for size in range(len(pins) + 1):
            with self.search.scope():
                literals = [self._standing_for(self._clauses(pin)) for pin in pins]
                found = list(self._sets(pins, literals, size))
            if found:
                yield from found
                return

    def _sets(
        self, pins: Sequence[SymbolCondition], literals: Literals, size: int
    ) -> Iterator[tuple[int, ...]]:
        most = AtMost(literals, size)
        for _ in range(MOST_SETS):
            if not self.search.solve(most=most):
                return
            point = self.search.point()
            changed = [index for index, pin in enumerate(pins) if not holds_at(pin, point)]
            yield tuple(changed)
            self.search.add([literals[index] for index in changed])


@lru_cache(MOST_FORMS)
def _normal_form(row: AffineRow) -> tuple[LinearSum, int, Fraction | int]:
    """The sum that a row is a multiple of but for its constant, the multiple's sign, its root."""
    numbers = primitive(row)
    used = [(index, int(c)) for index, c in enumerate(numbers[1:]) if c]
    scale = gcd(*[c for _, c in used])
    if used[0][1] < 0:
        scale = -scale
    sum_ = tuple([(index, c // scale) for index, c in used])
    root = -int(numbers[0]) * UNIT
    return sum_, scale, Fraction(root, scale) if root % scale else root // scale


def least(
    symbols: int, conditions: Sequence[SymbolCondition], rows: Sequence[AffineRow]
) -> list[Fraction] | None:
    """Values under which the conditions hold and the sum of the rows' absolute values is least.

    Where there is no least one, they come close; None where the conditions cannot hold.
    """
    further = [0] * len(rows)
    found = Conditions(symbols + len(rows))
    for condition in conditions:
        found.premise(_widened(condition, len(rows)))
    for index, row in enumerate(rows):
        bound = [*further]
        bound[index] = 1
        for side in (row, opposite(row)):
            found.premise(LinearConstraint((*side, *bound), ">="))
    search = found.search
    total = search.term(tuple((symbols + index, 1) for index in range(len(rows))))
    best = None
    with search.scope():
        while search.solve(least=total):
            best = values_at(search.point())[:symbols]
            search.add([search.atom(total, search.simplex.limit(total)) ^ 1])
    return best


def _widened(condition: SymbolCondition, by: int) -> SymbolCondition:
    """The condition on more symbols, of which it says nothing."""
    if isinstance(condition, LinearConstraint):
        return LinearConstraint((*condition.row, *[0] * by), condition.relation)
    return type(condition)(tuple(_widened(part, by) for part in condition.parts))
