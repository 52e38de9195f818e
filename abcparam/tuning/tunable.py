"""What is tuned: a spec, whose emitted model is trained, or something else that makes models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import DiagnosticRule
from abcparam.diagnostics.rules.tuning import NotMaximal
from abcparam.diagnostics.source import Source
from abcparam.pipeline import emit_program
from abcparam.program.binding import bind, require_no_unknowns, require_numbers
from abcparam.program.fingerprint import mark_of
from abcparam.program.model import Program
from abcparam.tuning.trials import programs_of
from abcparam.verdict.check import judged, load
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from abcparam.tuning.train.builders import ModelBuilder

ExactValues = Mapping[str, Fraction]


class Recipe(Protocol):
    """How the models of trials are made, for whoever trains them."""

    @property
    def program(self) -> Program: ...

    @property
    def identity(self) -> str:
        """What tells the losses of its trials from those of any other."""
        ...

    def builder(self, compiled: bool) -> ModelBuilder: ...


class Judged(Record):
    """A recipe, and the verdict of what it trains."""

    recipe: Recipe
    verdict: str


class Tunable(Protocol):
    """What can be swept and transferred."""

    @property
    def source(self) -> Source: ...

    @property
    def kind(self) -> str:
        """What it is called: a spec, a model."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of a sweep has to know about how."""
        ...

    @property
    def not_maximal(self) -> type[DiagnosticRule]:
        """What is said where it is not maximal-update, and shall be transferred."""
        ...

    def program(self, values: ExactValues) -> Program:
        """With these values. Raises `SpecError` for a name that it does not have."""
        ...

    def bases(self) -> dict[str, Fraction]:
        """What grows, at base."""
        ...

    def mark(self, program: Program) -> str:
        """What tells results of it from those of another."""
        ...

    def recipes(self, values: ExactValues, forms: Iterable[str]) -> dict[str, Judged]:
        """For each parametrization."""
        ...

    def report(self, program: Program) -> Report: ...

    def written(self, values: ExactValues, hypers: ExactValues) -> str:
        """What is written for the target, with the hypers that were found; empty: nothing."""
        ...


def bases_of(program: Program) -> dict[str, Fraction]:
    """The dims to infinity that have a base, at it."""
    return {dim.name: Fraction(dim.base) for dim in program.growing if dim.base is not None}


class EmittedRecipe(Record):
    """That of a spec: the code that it emits."""

    program: Program
    identity: str

    def builder(self, compiled: bool) -> ModelBuilder:
        from abcparam.tuning.train.builders import EmittedBuilder

        return EmittedBuilder(self.program, self.identity, stays=compiled)


class TunableSpec(Record):
    """A spec."""

    source: Source
    kind: str = "spec"
    notes: tuple[str, ...] = ()
    not_maximal: type[DiagnosticRule] = NotMaximal

    def program(self, values: ExactValues) -> Program:
        """Raises `SpecError` also where exponents are no numbers."""
        program = load(self.source, values)
        require_no_unknowns(program)
        require_numbers(program)
        return program

    def bases(self) -> dict[str, Fraction]:
        return bases_of(load(self.source))

    def mark(self, program: Program) -> str:
        return mark_of(program)

    def recipes(self, values: ExactValues, forms: Iterable[str]) -> dict[str, Judged]:
        found = programs_of(self.source, values, forms)
        return {
            form: Judged(EmittedRecipe(report.program, emit_program(report)), report.verdict or "")
            for form, report in found.items()
        }

    def report(self, program: Program) -> Report:
        return judged(program)

    def written(self, values: ExactValues, hypers: ExactValues) -> str:
        return emit_program(judged(bind(load(self.source, values), hypers)))
