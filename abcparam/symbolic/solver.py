"""What is assumed of the symbols, and what follows from it.

Questions are decided by `decision`, exactly. Every claim is universal ("this form is never negative
where the premises hold"), so the premises themselves are checked first: contradictory ones prove
anything. Every example is held against the conditions before it is returned, and is kept: most
claims that do not hold fail at an example that is known already, and nothing need be searched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from abcparam.algebra.budgets import SpentError, spend
from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.solving import GaveUp
from abcparam.diagnostics.source import START, Source
from abcparam.symbolic.constraints import (
    ALWAYS,
    AffineRow,
    All,
    Form,
    FormOrder,
    LinearConstraint,
    Some,
    SymbolCondition,
    SymbolPoint,
    holds_at,
    negation,
    opposite,
    plain,
    point_of,
    primitive,
    subtract,
    values_at,
    whole,
)
from abcparam.symbolic.decision.conditions import Conditions, least
from abcparam.symbolic.samples import Samples


class UnprovedError(Exception):
    """The solver gave up: neither a proof nor a counterexample. The text says why, if any."""


def gave_up(source: Source, error: UnprovedError | SpentError) -> SpecError:
    """That nothing was proved of a source, and why."""
    found, why = GaveUp.at(START), str(error)
    return SpecError(source, [replace(found, notes=(why,)) if why else found])


class ContradictionError(Exception):
    """The premises cannot hold together; `labels` name a smallest set that cannot."""

    def __init__(self, labels: tuple[int, ...]) -> None:
        super().__init__("no exponents satisfy these conditions")
        self.labels = labels


@contextmanager
def _in_time() -> Iterator[None]:
    """What takes too long is neither proved nor denied."""
    try:
        spend()
        yield
    except SpentError as spent:
        raise UnprovedError(str(spent)) from None


class Premises:
    """Conditions on the symbols, each with a label. `order` says how forms compare."""

    def __init__(self, symbols: Sequence[str], order: FormOrder | None = None) -> None:
        self.symbols = tuple(symbols)
        self.order = order or FormOrder((), len(self.symbols))
        self.conditions: list[tuple[int, SymbolCondition]] = []
        self.pivots: dict[int, AffineRow] = {}  # symbol index -> the row that equals it
        self._known: dict[Form, bool] = {}
        self._reaching: dict[Form, list[frozenset[Form]]] = {}  # of each, one is at least 0
        self._answers: list[tuple[dict[Any, Any], Callable[[Any], bool]]] = []
        self.samples = Samples(self.order)  # where the premises hold
        self._decided: Conditions | None = None
        self._stated: list[SymbolCondition] = []  # those of the premises that the others leave open
        self._latest: tuple[LinearConstraint, ...] = ()  # of them, those that were assumed last
        self._closed = False

    def close(self) -> None:
        """Nothing is searched from now on: what is not known to follow does not."""
        self._closed = True

    def answers(self, lasting: Callable[[Any], bool]) -> dict[Any, Any]:
        """A place for answers, those that last when more is assumed, and others until then."""
        self._answers.append(({}, lasting))
        return self._answers[-1][0]

    # Building

    def assume(self, condition: SymbolCondition, label: int = -1) -> None:
        """Adds a premise. `check` says whether they can all hold."""
        condition = whole(condition)
        self.conditions.append((label, condition))
        self._known = {form: True for form, known in self._known.items() if known}
        for answers, lasting in self._answers:
            lost = [question for question, answer in answers.items() if not lasting(answer)]
            for question in lost:
                del answers[question]
        self.samples.keep(condition)
        self._state(condition)

    def _state(self, condition: SymbolCondition) -> None:
        """Adds a condition to what is decided by, without what it makes needless.

        Layers are alike: what each asks is mostly between what the first and the last ask.
        """
        parts = condition.parts if isinstance(condition, All) else (condition,)
        latest = tuple(part for part in parts if isinstance(part, LinearConstraint))
        self._stated += parts
        if self._decided is not None:
            self._decided.premise(condition)
            if len(self._latest) == len(latest) > 0:
                with _in_time():
                    needless = self._needless(self._latest)
                if needless:
                    self._stated = [part for part in self._stated if part not in needless]
                    self._decided = None
        self._latest = latest

    def _needless(self, some: Sequence[LinearConstraint]) -> set[LinearConstraint]:
        """Those of some conditions that follow from the other ones."""
        found: set[LinearConstraint] = set()
        others = Conditions(len(self.symbols))
        for part in self._stated:
            if part not in some:
                others.premise(part)
        for index, part in enumerate(some):
            left = [x for x in some[index + 1 :] if x not in found]
            kept = [x for x in some[:index] if x not in found]
            if others.example(All((*kept, *left, negation(part)))) is None:
                found.add(part)
        return found

    def restate(self, condition: SymbolCondition) -> None:
        """Takes a condition in the place of all premises, which says the same."""
        self.conditions = [(-1, whole(condition))]
        self._stated, self._latest = [self.conditions[0][1]], ()
        self._decided = None

    def assume_equation(self, form: Form, label: int = -1) -> None:
        """Adds `form = 0`, and eliminates a symbol by it."""
        for row in self.order.rows(form):
            self.assume(LinearConstraint(row, "="), label)
            self.eliminate(row)

    def _rank(self, index: int) -> int:
        """Which symbols go first: b, then c, then a."""
        return "bca".find(self.symbols[index - 1][:1]) % 4

    def eliminate(self, row: AffineRow) -> None:
        """Replaces a symbol by what `row = 0` says that it is."""
        reduced = self.reduce_row(row)
        indices = [i for i, c in enumerate(reduced) if i and c]
        if indices:
            ranks = {i: (abs(reduced[i]) != 1, self._rank(i), -i) for i in indices}
            self._eliminate(reduced, min(indices, key=ranks.__getitem__))

    def _eliminate(self, row: AffineRow, index: int) -> None:
        factor = Fraction(-1, 1) / Fraction(row[index])
        solved = tuple(plain(c * factor) if i != index else 0 for i, c in enumerate(row))
        self.pivots[index] = solved
        for other, value in self.pivots.items():
            if value[index]:
                self.pivots[other] = _substitute(value, index, solved)
        self._known, self._reaching = {}, {}
        for answers, _ in self._answers:
            answers.clear()

    def reduce_row(self, row: AffineRow) -> AffineRow:
        """The row without the symbols that equalities eliminate."""
        for index, value in self.pivots.items():
            if row[index]:
                row = _substitute(row, index, value)
        return row

    def reduce(self, form: Form) -> Form:
        """The form without the symbols that equalities eliminate."""
        if not self.pivots:
            return form
        if len(form) == self.order.width:
            return self.reduce_row(form)
        return tuple(x for part in self.order.parts(form) for x in self.reduce_row(part))

    # Questions

    def implies(self, form: Form) -> bool:
        """Whether `form >= 0` wherever the premises hold."""
        form = primitive(form)
        known = self._known.get(form, False if self._closed else None)
        if known is None:
            self._known[form] = known = self._below_all([form]) is None
        return known

    def dominated(self, form: Form, others: Sequence[Form]) -> bool:
        """Whether `form` is at most the largest of the others wherever the premises hold."""
        above = [subtract(other, form) for other in others]
        if len(above) == 1 or self._closed:
            return any(map(self.implies, above))
        return self._below_all(above) is None

    def largest(self, forms: Sequence[Form]) -> list[Form]:
        """The forms without those that another one, or several of them together, dominate.

        Most are either the largest alone at a point, or dominated by such ones.
        """
        if self._closed:
            return list(forms)
        if not self.samples.points:
            self.example(ALWAYS)
        alone = self.samples.alone(forms)
        unsure: list[int] = [] if alone else list(range(len(forms)))
        for index in range(len(forms)) if alone else ():
            while index not in alone:
                above = [subtract(forms[other], forms[index]) for other in alone]
                point = self._below_all(above)
                if point is None:
                    break
                largest = self._alone_at(forms, point)
                if largest is None:
                    unsure.append(index)
                    break
                alone.add(largest)
        kept = {*alone, *unsure}
        for index in reversed(unsure):  # of two that are equal the first is kept
            others = [forms[other] for other in sorted(kept) if other != index]
            if others and index not in alone and self.dominated(forms[index], others):
                kept.remove(index)
        return [forms[index] for index in sorted(kept)]

    def _alone_at(self, forms: Sequence[Form], point: SymbolPoint) -> int | None:
        """The index of the form that is larger than all others at a point."""
        values = self.order.values(forms, point)
        most = max(values)
        return values.index(most) if values.count(most) == 1 else None

    def _below_all(self, forms: Sequence[Form]) -> SymbolPoint | None:
        """A point at which all of the forms are negative, None where there is none.

        Layers ask it of the same forms, or of more than are known to be negative nowhere.
        """
        nonnegative = self._known.get
        asked: set[Form] = set()
        for form in forms:
            coprime = primitive(form)
            if nonnegative(coprime) or opposite(coprime) in asked:
                return None
            asked.add(coprime)
        known = (fewer for form in asked for fewer in self._reaching.get(form, ()))
        if any(map(asked.issuperset, known)):
            return None
        point = self.samples.below(forms)
        if point is not None:
            return point
        ordered = sorted(asked)
        wrong = [negation(self.order.nonnegative(form)) for form in ordered]
        with _in_time():
            found, needed = self._conditions().example_or_core(wrong)
        if found is not None:
            return self._checked(found, All(tuple(wrong)))
        if needed:
            core = [ordered[index] for index in needed]
            if len(core) == 1:
                self._known[core[0]] = True
            else:
                self._reaching.setdefault(core[0], []).append(frozenset(core))
        return None

    def proves(self, condition: SymbolCondition) -> bool:
        """Whether a condition holds wherever the premises do."""
        if isinstance(condition, (All, Some)) and not condition.parts:
            return isinstance(condition, All)
        return self.impossible(whole(negation(condition)))

    def impossible(self, condition: SymbolCondition) -> bool:
        """Whether a condition with whole coefficients holds nowhere where the premises do."""
        with _in_time():
            known = self.samples.where(condition)
        return not known and self.point(condition) is None

    def example(self, condition: SymbolCondition) -> dict[str, Fraction] | None:
        """Values under which the premises and the condition hold, None if there are none."""
        point = self.point(condition)
        return None if point is None else dict(zip(self.symbols, values_at(point), strict=True))

    def point(self, condition: SymbolCondition) -> SymbolPoint | None:
        """A point at which the premises and the condition hold, None if there is none."""
        with _in_time():
            found = self._conditions().example(condition)
        return None if found is None else self._checked(found, condition)

    def _checked(self, point: SymbolPoint, condition: SymbolCondition) -> SymbolPoint:
        """The point, held against all that it is an example of."""
        for stated in (*(c for _, c in self.conditions), condition):
            if not holds_at(stated, point):
                raise UnprovedError
        self.samples.add(point)
        return point

    def _conditions(self) -> Conditions:
        if self._decided is None:
            self._decided = Conditions(len(self.symbols))
            for condition in self._stated:
                self._decided.premise(condition)
        return self._decided

    def fewest(self, pins: Sequence[SymbolCondition]) -> Iterator[tuple[int, ...]]:
        """The smallest sets of pins, by index, without which the others can hold."""
        with _in_time():
            yield from self._conditions().fewest(pins)

    def nearest(self, moves: Sequence[AffineRow], changed: Collection[int]) -> dict[str, Fraction]:
        """Values under which the premises hold and only the moves at these indices are not zero.

        Their sum is the least there is, where there is a least one.
        """
        kept = [LinearConstraint(row, "=") for i, row in enumerate(moves) if i not in changed]
        stated = [*(condition for _, condition in self.conditions), *kept]
        with _in_time():
            values = least(len(self.symbols), stated, [moves[i] for i in changed])
        if values is None:
            raise UnprovedError
        self._checked(point_of(values), All(tuple(kept)))
        return dict(zip(self.symbols, values, strict=True))

    def check(self) -> None:
        """Raises `ContradictionError`, with a smallest set of labels, unless all premises hold."""
        with _in_time():
            possible = self._conditions().example() is not None
        if not possible:
            raise ContradictionError(self.core(self.conditions))

    def core(self, conditions: Sequence[tuple[int, SymbolCondition]]) -> tuple[int, ...]:
        """Labels of conditions that cannot hold together, none of which can be left out."""
        with _in_time():
            found = Conditions(len(self.symbols)).core([c for _, c in conditions])
        if found is None:
            raise UnprovedError
        return tuple(dict.fromkeys(conditions[index][0] for index in found))


def _substitute(row: AffineRow, index: int, value: AffineRow) -> AffineRow:
    by = row[index]
    return tuple(
        plain((c if i != index else 0) + by * v)
        for i, (c, v) in enumerate(zip(row, value, strict=True))
    )
