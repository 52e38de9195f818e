"""What is assumed of the symbols, and what follows from it: the one door to z3, which is exact over
the rationals.

A form is an affine function of the symbols, `(constant, coefficient, …)`. Every claim is universal
("this form is never negative where the premises hold"), so the premises themselves are checked
first: contradictory ones prove anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

Form = tuple[Fraction | int, ...]
TIMEOUT_MS = 20_000


class Unproved(Exception):
    """The solver gave up: neither a proof nor a counterexample."""


class Contradiction(Exception):
    """The premises cannot hold together; `labels` name a smallest set that cannot."""

    def __init__(self, labels: tuple[int, ...]) -> None:
        super().__init__("no exponents satisfy these conditions")
        self.labels = labels


@lru_cache(maxsize=1)
def z3() -> Any:
    """The solver's module, loaded when the first question is asked."""
    import z3 as module

    return module


def add(left: Form, right: Form) -> Form:
    return tuple([x + y for x, y in zip(left, right, strict=True)])


def subtract(left: Form, right: Form) -> Form:
    return tuple([x - y for x, y in zip(left, right, strict=True)])


def is_constant(form: Form) -> bool:
    return not any(form[1:])


class Premises:
    """Conditions on the symbols. A condition is a disjunction of conjunctions of `form >= 0`."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self.conditions: list[tuple[int, Any]] = []  # label, z3 formula
        self.pivots: dict[int, Form] = {}  # symbol index -> the form that equals it
        self._known: dict[Form, bool] = {}
        self._hulls: dict[tuple[Form, ...], bool] = {}
        self._solver: Any = None
        self._variables: list[Any] | None = None

    # Building

    def variables(self) -> list[Any]:
        if self._variables is None:
            self._variables = [z3().Real(name) for name in self.symbols]
        return self._variables

    def term(self, form: Form) -> Any:
        """The form as a z3 term."""
        parts = [z3().RealVal(str(Fraction(form[0])))]
        for coefficient, variable in zip(form[1:], self.variables(), strict=True):
            if coefficient:
                parts.append(z3().RealVal(str(Fraction(coefficient))) * variable)
        return z3().Sum(parts)

    def at_most(self, top: Iterable[Form], bottom: Iterable[Form]) -> Any:
        """max(top) <= max(bottom)."""
        bottom = list(bottom)
        each = [z3().Or([self.term(g) >= self.term(f) for g in bottom]) for f in top]
        return z3().And(each)

    def assume(self, formula: Any, label: int = -1) -> None:
        """Adds a premise; raises `Contradiction` if the premises cannot hold any more."""
        self.conditions.append((label, formula))
        self._known = {form: True for form, known in self._known.items() if known}
        self._hulls = {question: True for question, known in self._hulls.items() if known}
        if self._solver is not None:
            self._solver.add(formula)

    def assume_nought(self, form: Form, label: int = -1) -> None:
        """Adds `form = 0`, and eliminates a symbol by it."""
        self.assume(self.term(form) == 0, label)
        reduced = self.reduce(form)
        indices = [i for i, c in enumerate(reduced) if i and c]
        if indices:
            self._eliminate(
                reduced, min(indices, key=lambda i: (abs(reduced[i]) != 1, self._rank(i), -i))
            )

    def _rank(self, index: int) -> int:
        """Which symbols go first: b, then c, then a."""
        return "bca".find(self.symbols[index - 1][:1]) % 4

    def _eliminate(self, form: Form, index: int) -> None:
        factor = Fraction(-1, 1) / Fraction(form[index])
        solved = tuple(c * factor if i != index else 0 for i, c in enumerate(form))
        self.pivots[index] = solved
        for other, value in self.pivots.items():
            if value[index]:
                self.pivots[other] = self._substitute(value, index, solved)
        self._known, self._hulls = {}, {}

    def _substitute(self, form: Form, index: int, value: Form) -> Form:
        by = form[index]
        return tuple(
            (c if i != index else 0) + by * v
            for i, (c, v) in enumerate(zip(form, value, strict=True))
        )

    def reduce(self, form: Form) -> Form:
        """The form without the symbols that equalities eliminate."""
        for index, value in self.pivots.items():
            if form[index]:
                form = self._substitute(form, index, value)
        return form

    # Questions

    def implies(self, form: Form) -> bool:
        """Whether `form >= 0` wherever the premises hold."""
        if is_constant(form):
            return form[0] >= 0
        if form not in self._known:
            self._known[form] = self._ask(self.term(form) < 0) is None
        return self._known[form]

    def dominated(self, form: Form, others: tuple[Form, ...]) -> bool:
        """Whether `form` is at most the largest of the others wherever the premises hold."""
        question = (form, *others)
        if question not in self._hulls:
            self._hulls[question] = (
                self._ask(z3().And([self.term(o) < self.term(form) for o in others])) is None
            )
        return self._hulls[question]

    def proves(self, formula: Any) -> bool:
        """Whether a formula holds wherever the premises do."""
        return self._ask(z3().Not(formula)) is None

    def example(self, formula: Any) -> dict[str, Fraction] | None:
        """Values under which the premises and the formula hold, None if there are none."""
        model = self._ask(formula)
        if model is None:
            return None
        found = {}
        for name, variable in zip(self.symbols, self.variables(), strict=True):
            value = model.eval(variable, model_completion=True)
            found[name] = Fraction(value.numerator_as_long(), value.denominator_as_long())
        return found

    def _ask(self, formula: Any) -> Any:
        """A model of the premises and the formula, or None."""
        solver = self._started()
        solver.push()
        solver.add(formula)
        answer = solver.check()
        model = solver.model() if answer == z3().sat else None
        solver.pop()
        if answer == z3().unknown:
            raise Unproved
        return model

    def _started(self) -> Any:
        if self._solver is None:
            self._solver = z3().Solver()
            self._solver.set("timeout", TIMEOUT_MS)
            self._solver.add([formula for _, formula in self.conditions])
        return self._solver

    def check(self) -> None:
        """Raises `Contradiction` with a smallest set of labels if the premises cannot hold
        together.
        """
        if self._started().check() == z3().sat:
            return
        solver = z3().Solver()
        solver.set("timeout", TIMEOUT_MS)
        solver.set("core.minimize", True)
        names = {}
        for index, (label, formula) in enumerate(self.conditions):
            name = z3().Bool(f"condition{index}")
            names[str(name)] = label
            solver.assert_and_track(formula, name)
        if solver.check() != z3().unsat:
            raise Unproved
        raise Contradiction(tuple(dict.fromkeys(names[str(name)] for name in solver.unsat_core())))
