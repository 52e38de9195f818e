"""What is assumed of the symbols, and what follows from it.

It is the one door to z3, which is exact over the rationals. Every claim is universal ("this form is
never negative where the premises hold"), so the premises themselves are checked first:
contradictory ones prove anything. Every example is held against the conditions by our own
evaluation before it is returned, and is kept: most claims that do not hold fail at an example that
is known already, and the solver need not be asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from abcparam.algebra.sizes import Number
from abcparam.symbolic.constraints import (
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
    plain,
    point_of,
    subtract,
)

TIMEOUT_MS = 20_000
MOST_SETS = 50  # that are tried where several are equally small


class UnprovedError(Exception):
    """The solver gave up: neither a proof nor a counterexample."""


class ContradictionError(Exception):
    """The premises cannot hold together; `labels` name a smallest set that cannot."""

    def __init__(self, labels: tuple[int, ...]) -> None:
        super().__init__("no exponents satisfy these conditions")
        self.labels = labels


@lru_cache(maxsize=1)
def z3() -> Any:
    """The solver's module, loaded when the first question is asked."""
    import z3 as module

    return module


class Premises:
    """Conditions on the symbols, each with a label. `order` says how forms compare."""

    def __init__(self, symbols: Sequence[str], order: FormOrder | None = None) -> None:
        self.symbols = tuple(symbols)
        self.order = order or FormOrder((), len(self.symbols))
        self.conditions: list[tuple[int, SymbolCondition]] = []
        self.pivots: dict[int, AffineRow] = {}  # symbol index -> the row that equals it
        self._eliminations = 0
        self._known: dict[Form, bool] = {}
        self._hulls: dict[tuple[Form, ...], bool] = {}
        self._reaching: list[frozenset[Form]] = []  # of each, one is at least 0
        self._points: list[SymbolPoint] = []  # where the premises hold
        self._atoms: dict[LinearConstraint, Any] = {}
        self._parts: dict[tuple[int, Number], Any] = {}
        self._solver: Any = None
        self._variables: list[Any] | None = None

    @property
    def assumed(self) -> tuple[int, int]:
        """Grows whenever more may follow from the premises."""
        return len(self.conditions), self._eliminations

    # Building

    def variables(self) -> list[Any]:
        if self._variables is None:
            self._variables = [z3().Real(name) for name in self.symbols]
        return self._variables

    def formula(self, condition: SymbolCondition) -> Any:
        """A condition as the solver reads it."""
        match condition:
            case LinearConstraint():
                if condition not in self._atoms:
                    self._atoms[condition] = self._atom(*condition)
                return self._atoms[condition]
            case All(parts):
                return z3().And([self.formula(part) for part in parts])
            case Some(parts):
                return z3().Or([self.formula(part) for part in parts])

    def _atom(self, row: AffineRow, relation: str) -> Any:
        term = self._term(row)
        return term >= 0 if relation == ">=" else term > 0 if relation == ">" else term == 0

    def _term(self, row: AffineRow) -> Any:
        parts = [self._part(index, coefficient) for index, coefficient in enumerate(row)]
        return z3().Sum([part for part in parts if part is not None])

    def _part(self, index: int, coefficient: Number) -> Any:
        """A symbol's part of a term, made once; None where there is none."""
        if index and not coefficient:
            return None
        if (index, coefficient) not in self._parts:
            value = z3().RealVal(str(Fraction(coefficient)))
            self._parts[index, coefficient] = (
                value * self.variables()[index - 1] if index else value
            )
        return self._parts[index, coefficient]

    def assume(self, condition: SymbolCondition, label: int = -1) -> None:
        """Adds a premise. `check` says whether they can all hold."""
        self.conditions.append((label, condition))
        self._known = {form: True for form, known in self._known.items() if known}
        self._hulls = {question: True for question, known in self._hulls.items() if known}
        self._points = [point for point in self._points if holds_at(condition, point)]
        if self._solver is not None:
            self._solver.add(self.formula(condition))

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
        self._known, self._hulls, self._reaching = {}, {}, []
        self._eliminations += 1

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
        known = self._known.get(form)
        if known is None:
            self._known[form] = known = self.proves(self.order.nonnegative(form))
        return known

    def dominated(self, form: Form, others: tuple[Form, ...]) -> bool:
        """Whether `form` is at most the largest of the others wherever the premises hold."""
        question = (form, *others)
        known = self._hulls.get(question)
        if known is None:
            above = frozenset(subtract(other, form) for other in others)
            self._hulls[question] = known = self._one_is_nonnegative(above)
        return known

    def _one_is_nonnegative(self, forms: frozenset[Form]) -> bool:
        """Whether one of the forms is at least 0 wherever the premises hold.

        Layers ask it of the same forms, or of more than are known to.
        """
        if any(fewer <= forms for fewer in self._reaching):
            return True
        ordered = sorted(forms)
        level = (0,) * len(ordered[0])
        reached = self.proves(self.order.at_most((level,), ordered))
        if reached:
            self._reaching.append(forms)
        return reached

    def proves(self, condition: SymbolCondition) -> bool:
        """Whether a condition holds wherever the premises do."""
        if isinstance(condition, (All, Some)) and not condition.parts:
            return isinstance(condition, All)
        wrong = negation(condition)
        return not self._known_at(wrong) and self._ask(wrong) is None

    def _known_at(self, condition: SymbolCondition) -> bool:
        """Whether a condition holds at a point that is known; the last to answer is asked first."""
        for index, point in enumerate(self._points):
            if holds_at(condition, point):
                self._points.insert(0, self._points.pop(index))
                return True
        return False

    def example(self, condition: SymbolCondition) -> dict[str, Fraction] | None:
        """Values under which the premises and the condition hold, None if there are none."""
        values = self._ask(condition)
        return None if values is None else dict(zip(self.symbols, values, strict=True))

    def _checked(self, model: Any, condition: SymbolCondition) -> list[Fraction]:
        """The values of a model, held against all that it is a model of."""
        found = []
        for variable in self.variables():
            value = model.eval(variable, model_completion=True)
            found.append(Fraction(value.numerator_as_long(), value.denominator_as_long()))
        point = point_of(found)
        for stated in (*(c for _, c in self.conditions), condition):
            if not holds_at(stated, point):
                raise UnprovedError
        self._points.append(point)
        return found

    def _ask(self, condition: SymbolCondition) -> list[Fraction] | None:
        """Values under which the premises and the condition hold, or None."""
        solver = self._started()
        solver.push()
        solver.add(self.formula(condition))
        try:
            return self._checked(solver.model(), condition) if self._is_sat(solver) else None
        finally:
            solver.pop()

    def _started(self) -> Any:
        if self._solver is None:
            self._solver = z3().Solver()
            self._solver.set("timeout", TIMEOUT_MS)
            self._solver.add([self.formula(condition) for _, condition in self.conditions])
        return self._solver

    def fewest(self, pins: Sequence[SymbolCondition]) -> Iterator[tuple[int, ...]]:
        """The smallest sets of pins, by index, without which the others can hold."""
        solver = self._started()
        given_up = [z3().Not(self.formula(pin)) for pin in pins]
        solver.push()
        size = self._least(solver, given_up)
        if size is not None:
            solver.add(z3().AtMost(*given_up, size))
            for _ in range(MOST_SETS):
                if not self._is_sat(solver):
                    break
                model = solver.model()
                found = [i for i, x in enumerate(given_up) if z3().is_true(model.eval(x, True))]
                yield tuple(found)
                solver.add(z3().Not(z3().And([given_up[i] for i in found])))
        solver.pop()

    def _least(self, solver: Any, given_up: Sequence[Any]) -> int | None:
        for size in range(len(given_up) + 1):
            solver.push()
            solver.add(z3().AtMost(*given_up, size))
            possible = self._is_sat(solver)
            solver.pop()
            if possible:
                return size
        return None

    def nearest(self, moves: Sequence[AffineRow], changed: Collection[int]) -> dict[str, Fraction]:
        """Values under which the premises hold and only the moves at these indices are not zero.

        Their sum is the least there is, where there is a least one.
        """
        optimizer = z3().Optimize()
        optimizer.set("timeout", TIMEOUT_MS)
        kept = [LinearConstraint(row, "=") for i, row in enumerate(moves) if i not in changed]
        stated = [*(condition for _, condition in self.conditions), *kept]
        optimizer.add([self.formula(condition) for condition in stated])
        terms = [self._term(moves[i]) for i in changed]
        optimizer.minimize(z3().Sum([z3().If(term >= 0, term, -term) for term in terms]))
        if not self._is_sat(optimizer):
            raise UnprovedError
        values = self._checked(optimizer.model(), All(tuple(kept)))
        return dict(zip(self.symbols, values, strict=True))

    def _is_sat(self, solver: Any) -> bool:
        answer = solver.check()
        if answer == z3().unknown:
            raise UnprovedError
        return bool(answer == z3().sat)

    def check(self) -> None:
        """Raises `ContradictionError`, with a smallest set of labels, unless all premises hold."""
        if self._started().check() != z3().sat:
            raise ContradictionError(self.core(self.conditions))

    def core(self, conditions: Iterable[tuple[int, SymbolCondition]]) -> tuple[int, ...]:
        """Labels of conditions that cannot hold together, none of which can be left out."""
        solver = z3().Solver()
        solver.set("timeout", TIMEOUT_MS)
        solver.set("core.minimize", True)
        names = {}
        for index, (label, condition) in enumerate(conditions):
            name = z3().Bool(f"condition{index}")
            names[str(name)] = label
            solver.assert_and_track(self.formula(condition), name)
        if solver.check() != z3().unsat:
            raise UnprovedError
        return tuple(dict.fromkeys(names[str(name)] for name in solver.unsat_core()))


def _substitute(row: AffineRow, index: int, value: AffineRow) -> AffineRow:
    by = row[index]
    return tuple(
        plain((c if i != index else 0) + by * v)
        for i, (c, v) in enumerate(zip(row, value, strict=True))
    )
