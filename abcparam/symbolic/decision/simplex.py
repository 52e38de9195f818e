"""Linear arithmetic over the rationals: bounds on terms, and whether values satisfy all of them.

The simplex method of Dutertre and de Moura ("A fast linear-arithmetic solver for DPLL(T)", CAV
2006), revised: of the tableau only the rows of the variables are kept. A term is a variable or a
sum of some, and as many as there are variables are free: every term is equal to a combination of
those, whose row is made when it is needed. Free terms keep within their bounds, the others are
brought into theirs one by one. Bounds are asserted one after the other and taken back in reverse;
values need not be, as what satisfies more bounds satisfies fewer.

A strict bound is an infinitesimal away from its number, so values are pairs (a number, and how
often the infinitesimal), compared as tuples. They are counted in parts of a unit, which are made
smaller whenever one is not whole: there are nothing but whole numbers in it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import gcd, lcm

from abcparam.algebra.budgets import spend
from abcparam.algebra.sizes import Number

Value = tuple[int, int]  # a number, and how often the infinitesimal is added to it
BoundValue = tuple[Number, Number]  # the same, in parts of which `UNIT` are 1
LinearSum = tuple[tuple[int, int], ...]  # variables and their coefficients, which are coprime
Bound = tuple[bool, int, BoundValue]  # whether it is a lower one, the term, and how much
Row = dict[int, int]  # free terms and their coefficients

UNIT = 2**6 * 3**3 * 5 * 7
FINEST = 2**60  # parts of that one, before a search begins with coarser ones


class Simplex:
    """Terms, the bounds on them that are asserted, and values for them."""

    def __init__(self, variables: int) -> None:
        self.variables = variables
        self.parts = 1  # of each of a limit's
        self.lower: list[Value | None] = [None] * variables
        self.upper: list[Value | None] = [None] * variables
        self._why_lower: list[int] = [0] * variables  # the literal that asserted a bound
        self._why_upper: list[int] = [0] * variables
        self._sums: list[LinearSum] = [((index, 1),) for index in range(variables)]
        self._rows: list[Row] = [{index: 1} for index in range(variables)]
        self._multiples = [1] * variables  # a row is equal to such a multiple of its variable
        self._numbers = [0] * variables  # their values
        self._tinies = [0] * variables
        self._free: dict[int, Value] = dict.fromkeys(range(variables), (0, 0))
        self._bounded: list[int] = []  # terms that have a bound, in their order
        self._suspects: list[int] = []  # terms that got a bound since values were within all
        self._moved = False  # whether values have moved since
        self._asserted: list[tuple[bool, int, Value | None, int]] = []  # what was before

    # Terms

    def __len__(self) -> int:
        return len(self._sums)

    def new(self, sum_: LinearSum) -> int:
        """A term for a sum."""
        self._sums.append(sum_)
        self.lower.append(None)
        self.upper.append(None)
        self._why_lower.append(0)
        self._why_upper.append(0)
        return len(self._sums) - 1

    def forget(self, count: int) -> None:
        """Drops all terms but the first; none of the others may have a bound."""
        for term in [term for term in self._free if term >= count]:
            variable = next(v for v in range(self.variables) if term in self._rows[v])
            self._pivot(variable, self._rows[variable], self._multiples[variable], term)
            lower, upper, value = self.lower[variable], self.upper[variable], self._free[variable]
            if lower is not None and value < lower:
                self._move(variable, lower)
            elif upper is not None and value > upper:
                self._move(variable, upper)
        for of_terms in (self.lower, self.upper, self._why_lower, self._why_upper, self._sums):
            del of_terms[count:]
        self._suspects = [term for term in self._suspects if term < count]
        if self.parts > FINEST:
            self._rescale(1, self._common())

    def value(self, term: int) -> Value:
        """The value of a term."""
        return _total(self._sums[term], self._numbers), _total(self._sums[term], self._tinies)

    def limit(self, term: int) -> BoundValue:
        """The value of a term, as a bound has it."""
        number, tiny = self.value(term)
        return Fraction(number, self.parts), Fraction(tiny, self.parts)

    def within(self, bound: Bound, value: Value) -> bool:
        """Whether a value of its term is within a bound."""
        is_lower, _, (number, tiny) = bound
        limit = (number * self.parts, tiny * self.parts)
        return value >= limit if is_lower else value <= limit

    def _row(self, term: int) -> tuple[Row, int]:
        """What a multiple of a term is equal to, and which."""
        sum_ = self._sums[term]
        if len(sum_) == 1:
            return self._rows[sum_[0][0]], self._multiples[sum_[0][0]]
        multiple = lcm(*(self._multiples[variable] for variable, _ in sum_))
        row: Row = {}
        for variable, coefficient in sum_:
            factor = coefficient * multiple // self._multiples[variable]
            for free, c in self._rows[variable].items():
                row[free] = row.get(free, 0) + factor * c
        return row, multiple

    # Bounds

    @property
    def asserted(self) -> int:
        """How many bounds are asserted, for `retract`."""
        return len(self._asserted)

    def retract(self, count: int) -> None:
        """Takes back all bounds but the first ones."""
        while len(self._asserted) > count:
            is_lower, term, value, why = self._asserted.pop()
            if is_lower:
                self.lower[term], self._why_lower[term] = value, why
            else:
                self.upper[term], self._why_upper[term] = value, why
            if self.lower[term] is None and self.upper[term] is None:
                del self._bounded[bisect_left(self._bounded, term)]

    def bound(self, bound: Bound, why: int) -> tuple[bool, int | None]:
        """Asserts a bound; whether it is news, and the literal that it contradicts at once."""
        is_lower, term, limit = bound
        value = self._whole(limit)
        lower, upper = self.lower[term], self.upper[term]
        before, against = (lower, upper) if is_lower else (upper, lower)
        if before is not None and (value <= before if is_lower else value >= before):
            return False, None
        if against is not None and (value > against if is_lower else value < against):
            return False, (self._why_upper if is_lower else self._why_lower)[term]
        if lower is None and upper is None:
            insort(self._bounded, term)
        whys = self._why_lower if is_lower else self._why_upper
        self._asserted.append((is_lower, term, before, whys[term]))
        (self.lower if is_lower else self.upper)[term] = value
        whys[term] = why
        now = self._free.get(term)
        if now is None:
            self._suspects.append(term)
        elif now < value if is_lower else now > value:
            self._move(term, value)
        return True, None

    def _whole(self, limit: BoundValue) -> Value:
        number, tiny = limit[0] * self.parts, limit[1] * self.parts
        if isinstance(number, int) and isinstance(tiny, int):
            return number, tiny
        finer = lcm(number.denominator, tiny.denominator)
        self._rescale(finer, 1)
        return int(number * finer), int(tiny * finer)

    # Values

    def check(self) -> list[int] | None:
        """Finds values within all bounds; else literals whose bounds cannot hold together.

        None of these can be left out. Bland's rule chooses, under which there is no cycle.
        """
        while (term := self._broken()) is not None:
            spend()
            value, lower = self.value(term), self.lower[term]
            rising = lower is not None and value < lower
            target = lower if rising else self.upper[term]
            assert target is not None
            row, multiple = self._row(term)
            entering = self._entering(row, rising)
            if entering is None:
                self._moved = True
                return self._explained(term, row, rising)
            number, tiny = (target[0] - value[0]) * multiple, (target[1] - value[1]) * multiple
            self._shift(entering, number, tiny, row[entering])
            self._pivot(term, row, multiple, entering)
        return None

    def _broken(self) -> int | None:
        """The first term that is out of its bounds."""
        if not self._moved and not self._suspects:
            return None
        lowers, uppers, sums = self.lower, self.upper, self._sums
        numbers, tinies = self._numbers, None if self.exact() else self._tinies
        for term in self._bounded if self._moved else sorted(self._suspects):
            number = 0
            for variable, coefficient in sums[term]:
                number += coefficient * numbers[variable]
            lower, upper = lowers[term], uppers[term]
            if (lower is not None and number <= lower[0]) or (
                upper is not None and number >= upper[0]
            ):
                value = number, _total(sums[term], tinies) if tinies else 0
                if (lower is not None and value < lower) or (upper is not None and value > upper):
                    return term
        self._moved = False
        self._suspects.clear()
        return None

    def _entering(self, row: Row, rising: bool) -> int | None:
        """The first free term whose move makes what is equal to the row rise or fall."""
        found = None
        for term, coefficient in row.items():
            if coefficient and (found is None or term < found):
                limit = (self.upper if (coefficient > 0) is rising else self.lower)[term]
                if limit is None or self._free[term] != limit:
                    found = term
        return found

    def _explained(self, term: int, row: Row, rising: bool) -> list[int]:
        """Why a term can move no further towards its bound."""
        found = [(self._why_lower if rising else self._why_upper)[term]]
        for free, coefficient in row.items():
            if coefficient:
                above = (coefficient > 0) is rising
                found.append((self._why_upper if above else self._why_lower)[free])
        return found

    def _shift(self, term: int, number: int, tiny: int, divisor: int) -> None:
        """Moves a free term by a quotient."""
        if number % divisor or tiny % divisor:
            finer = abs(divisor) // gcd(number, tiny, divisor)
            self._rescale(finer, 1)
            number, tiny = number * finer, tiny * finer
        value = self._free[term]
        self._move(term, (value[0] + number // divisor, value[1] + tiny // divisor))

    def _move(self, term: int, value: Value) -> None:
        """Gives a free term a value, and the variables what follows."""
        before = self._free[term]
        number, tiny = value[0] - before[0], value[1] - before[1]
        holders = [
            (variable, row[term], multiple)
            for variable, (row, multiple) in enumerate(
                zip(self._rows, self._multiples, strict=True)
            )
            if term in row
        ]
        finer = 1
        for _, coefficient, multiple in holders:
            if multiple != 1:
                common = gcd(coefficient * number, coefficient * tiny, multiple)
                finer = lcm(finer, multiple // common)
        if finer != 1:
            self._rescale(finer, 1)
            number, tiny = number * finer, tiny * finer
            before = self._free[term]
        for variable, coefficient, multiple in holders:
            self._numbers[variable] += coefficient * number // multiple
            if tiny:
                self._tinies[variable] += coefficient * tiny // multiple
        self._free[term] = (before[0] + number, before[1] + tiny)
        self._moved = True

    def _pivot(self, term: int, row: Row, multiple: int, entering: int) -> None:
        """Frees a term, of which a multiple is equal to the row, in the place of one in it."""
        value = self.value(term)
        coefficient = row[entering]
        sign = 1 if coefficient > 0 else -1
        solved = {free: -sign * c for free, c in row.items() if c and free != entering}
        solved[term] = sign * multiple
        rows, multiples = self._rows, self._multiples
        for variable in range(self.variables):
            if entering in rows[variable]:
                rows[variable], multiples[variable] = _substituted(
                    rows[variable], multiples[variable], entering, solved, abs(coefficient)
                )
        del self._free[entering]
        self._free[term] = value
        self._moved = True

    def _rescale(self, by: int, over: int) -> None:
        """Counts in parts that are `by` times smaller and `over` times larger."""
        self.parts = self.parts * by // over

        def scaled(value: Value) -> Value:
            return value[0] * by // over, value[1] * by // over

        self._numbers = [number * by // over for number in self._numbers]
        self._tinies = [tiny * by // over for tiny in self._tinies]
        self._free = {term: scaled(value) for term, value in self._free.items()}
        self.lower = [value and scaled(value) for value in self.lower]
        self.upper = [value and scaled(value) for value in self.upper]
        self._asserted = [
            (is_lower, term, value and scaled(value), why)
            for is_lower, term, value, why in self._asserted
        ]

    def _common(self) -> int:
        """By how much larger the parts may be."""
        known = (*self._free.values(), *self.lower, *self.upper)
        before = (value for _, _, value, _ in self._asserted)
        pairs = (x for value in (*known, *before) if value for x in value)
        return gcd(self.parts, *self._numbers, *self._tinies, *pairs)

    # The least value

    def minimize(self, term: int) -> bool:
        """Moves to where a term is least within the bounds; False where it has no least value.

        Values have to be within the bounds. Bland's rule chooses.
        """
        while True:
            spend()
            row, _ = self._row(term)
            entering = self._entering(row, False)
            if entering is None:
                return True
            if not self._descended(entering, row[entering] < 0):
                return False

    def _descended(self, entering: int, rising: bool) -> bool:
        """Moves a free term as far as the bounds allow; False where nothing stops it."""
        steps: list[tuple[Fraction, Fraction, int]] = []
        for term in self._bounded:
            row, multiple = ({term: 1}, 1) if term in self._free else self._row(term)
            coefficient = row.get(entering, 0)
            limit = (self.upper if (coefficient > 0) is rising else self.lower)[term]
            if coefficient and limit is not None:
                by = Fraction(coefficient if rising else -coefficient, multiple)
                value = self.value(term)
                steps.append(((limit[0] - value[0]) / by, (limit[1] - value[1]) / by, term))
        if not steps:
            return False
        number, tiny, leaving = min(steps)
        divisor = lcm(number.denominator, tiny.denominator)
        sign = divisor if rising else -divisor
        self._shift(entering, int(sign * number), int(sign * tiny), divisor)
        if leaving != entering:
            self._pivot(leaving, *self._row(leaving), entering)
        return True

    # The model

    def exact(self) -> bool:
        """Whether no value is infinitesimally away from a number."""
        return not any(self._tinies)

    def point(self, further: Sequence[Bound] = ()) -> tuple[int, ...]:
        """Values of the variables as numbers, within all bounds that are asserted.

        First the denominator that they have in common, then numerators. `further` bounds hold at
        the values, and are to hold at the numbers too.
        """
        unit, values = UNIT * self.parts, self._numbers
        if not self.exact():
            room, need = 1, 1  # what is infinitesimal is a quotient of these
            for low, high in (*self._sides(), *map(self._sides_of, further)):
                if low[1] > high[1]:
                    between, apart = high[0] - low[0], low[1] - high[1]
                    if between * need < room * apart:
                        tiny = Fraction(between) / apart
                        room, need = tiny.numerator, tiny.denominator
            pairs = zip(values, self._tinies, strict=True)
            unit, values = unit * need, [need * number + room * tiny for number, tiny in pairs]
        common = gcd(unit, *values)
        return (unit // common, *[value // common for value in values])

    def _sides(self) -> Iterator[tuple[BoundValue, BoundValue]]:
        """What is the smaller, and what the larger, of each bound and its term's value."""
        for term in self._bounded:
            value, lower, upper = self.value(term), self.lower[term], self.upper[term]
            if lower is not None:
                yield lower, value
            if upper is not None:
                yield value, upper

    def _sides_of(self, bound: Bound) -> tuple[BoundValue, BoundValue]:
        is_lower, term, (number, tiny) = bound
        limit = (number * self.parts, tiny * self.parts)
        return (limit, self.value(term)) if is_lower else (self.value(term), limit)


def _total(sum_: LinearSum, values: Sequence[int]) -> int:
    total = 0
    for variable, coefficient in sum_:
        total += coefficient * values[variable]
    return total


def _substituted(
    row: Row, multiple: int, term: int, solved: Row, coefficient: int
) -> tuple[Row, int]:
    """A row with what a multiple of a term is equal to in its place, in lowest terms."""
    factor = row[term]
    common = gcd(coefficient, factor)
    scale, factor = coefficient // common, factor // common
    if scale == 1:
        found = dict(row)
    else:
        found = {other: scale * c for other, c in row.items()}
        multiple *= scale
    del found[term]
    for other, c in solved.items():
        total = found.get(other, 0) + factor * c
        if total:
            found[other] = total
        else:
            del found[other]
    if multiple != 1:
        common = gcd(multiple, *found.values())
        if common != 1:
            multiple //= common
            found = {other: c // common for other, c in found.items()}
    return found, multiple
