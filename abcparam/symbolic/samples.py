"""Points at which premises hold, and what holds at them: a whole number has a field for each.

Numbers of many points are added, subtracted and compared at once: what a form is at all points is
one whole number, each in a field of its own, and so is where something holds, a bit in each field
(L. Lamport, "Multiple byte processing with full-word instructions", CACM 18, 1975).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import lcm
from operator import mul

from abcparam.algebra.sizes import Number
from abcparam.symbolic.constraints import (
    All,
    Form,
    FormOrder,
    LinearConstraint,
    SymbolCondition,
    SymbolPoint,
)

MOST = 40  # points that are remembered
LARGEST = 2**24  # of a coordinate and of a coefficient
LONGEST = 2**12  # sum of products of such numbers
BITS = 64  # of a field, and those of a rate: a difference of such sums fits

Where = int  # the last bit of a point's field where something holds
Values = tuple[int, ...]  # of a form at all points: its rates within each limit


class Samples:
    """The points found last. Of numbers too large for a field nothing is known to hold."""

    def __init__(self, order: FormOrder) -> None:
        self.order = order
        rates = [rate for of_limit in order.weighed([1]) for rate in of_limit]
        self._bits = BITS + max(rates).bit_length()
        self._hold(())

    def add(self, point: SymbolPoint) -> None:
        """Remembers a point, and forgets the older half where they are many."""
        if len(self.points) == MOST:
            self._hold(self.points[MOST // 2 :])
        if _fits(point):
            self._append(point)
            self._look()

    def keep(self, condition: SymbolCondition) -> None:
        """Forgets the points at which a condition does not hold."""
        where = self.where(condition)
        if where != self.everywhere:
            self._hold(list(self._at(where)))

    def _hold(self, points: Sequence[SymbolPoint]) -> None:
        self.points: list[SymbolPoint] = []
        self.everywhere: Where = 0
        self._below = 0  # added to numbers, it makes their last bits say whether they are > 0
        self._columns = [0] * self.order.width
        for point in points:
            self._append(point)
        self._look()

    def _append(self, point: SymbolPoint) -> None:
        field = self._bits * len(self.points)
        self.points.append(point)
        last = 1 << (field + self._bits - 1)
        self.everywhere += last
        self._below += last - (1 << field)
        self._columns = [c + (x << field) for c, x in zip(self._columns, point, strict=True)]

    def _look(self) -> None:
        self._weighed = self.order.weighed(self._columns)
        self._values: dict[Form, Values] = {}

    def _at(self, where: Where) -> Iterator[SymbolPoint]:
        for index, point in enumerate(self.points):
            if where >> (self._bits * (index + 1) - 1) & 1:
                yield point

    # Conditions, with whole coefficients

    def first(self, condition: SymbolCondition) -> SymbolPoint | None:
        """A point at which a condition holds, None if none is known."""
        where = self.where(condition)
        return next(self._at(where)) if where else None

    def where(self, condition: SymbolCondition) -> Where:
        """The points at which a condition holds."""
        if isinstance(condition, LinearConstraint):
            return self._linear(condition)
        if isinstance(condition, All):
            found = self.everywhere
            for part in condition.parts:
                found &= self.where(part)
                if not found:
                    break
            return found
        found = 0
        for part in condition.parts:
            found |= self.where(part)
            if found == self.everywhere:
                break
        return found

    def _linear(self, x: LinearConstraint) -> Where:
        row, relation = x
        if not self.points or not _fits(row):
            return 0
        value = int(sum(map(mul, row, self._columns)))
        if relation == ">":
            return value + self._below & self.everywhere
        within = ~(self._below - value) & self.everywhere
        return within if relation == ">=" else within & ~(value + self._below)

    # Forms

    def alone(self, forms: Sequence[Form]) -> set[int]:
        """Indices of the forms that are larger than all others at a point."""
        values = self._of(forms)
        return {
            index
            for index, value in enumerate(values)
            if self._above(value, values[:index]) & self._above(value, values[index + 1 :])
        }

    def below(self, forms: Sequence[Form]) -> SymbolPoint | None:
        """A point at which all forms are negative, None if none is known."""
        zero = (0,) * len(self._weighed)
        values = self._of(forms)
        where = self._above(zero, values) if values else 0
        return next(self._at(where)) if where else None

    def exceeds(self, forms: Sequence[Form], others: Sequence[Form]) -> bool:
        """Whether a form is larger than all others at a point."""
        values = self._of([*forms, *others])
        above = values[len(forms) :]
        return any(self._above(value, above) for value in values[: len(forms)])

    def _of(self, forms: Sequence[Form]) -> list[Values]:
        """Multiples of forms at all points, the same of all."""
        found = [self._values.get(form) or self._at_all(form) for form in forms]
        if None in found:
            scale = lcm(*(c.denominator for form in forms for c in form))
            whole = [tuple([int(c * scale) for c in form]) for form in forms]
            found = list(map(self._at_all, whole))
        known = [values for values in found if values is not None]
        return known if len(known) == len(forms) else []

    def _at_all(self, form: Form) -> Values | None:
        """A form at all points, None where its numbers are not whole or too large."""
        found = tuple([sum(map(mul, form, columns)) for columns in self._weighed])
        if not self.points or found[0].__class__ is not int or not _fits(form):
            return None
        self._values[form] = found
        return found

    def _above(self, value: Values, others: Sequence[Values]) -> Where:
        """Where a form is larger than all others."""
        where = self.everywhere
        for other in others:
            where &= self._larger(value, other)
            if not where:
                break
        return where

    def _larger(self, value: Values, other: Values) -> Where:
        difference = value[0] - other[0]
        where = difference + self._below
        if len(value) > 1:
            level = ~(where | (self._below - difference))
            where |= level & self._larger(value[1:], other[1:])
        return where & self.everywhere


def _fits(numbers: Sequence[Number]) -> bool:
    return len(numbers) < LONGEST and max(numbers) < LARGEST and min(numbers) > -LARGEST
