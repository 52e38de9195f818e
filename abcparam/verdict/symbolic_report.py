"""The report of `abcparam check` for a spec whose exponents hold symbols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import findings
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import holds
from abcparam.symbolic.judgement import (
    Symbolic,
    UnfinishedError,
    judge_symbolic,
    laws_alone,
)
from abcparam.symbolic.regions import Region
from abcparam.symbolic.solver import UnprovedError, gave_up
from abcparam.symbolic.symbols import first_symbol
from abcparam.verdict.findings import reasons
from abcparam.verdict.report import Report

ABOUT = (*VERDICTS, "complete")


def symbolic_report(program: Program) -> Report:
    """The verdict if it is the same for all values of the symbols, else None and the regions.

    Where the budget is spent before that is known, it is what is known by then.
    """
    try:
        return _report(judge_symbolic(program))
    except UnprovedError as error:
        if not str(error):
            raise gave_up(program.source, error) from None
        return _unfinished(program, error)


def _unfinished(program: Program, ended: UnprovedError) -> Report:
    """The laws that were derived, and what numbers say where all symbols are 0."""
    example = dict.fromkeys(program.symbols, Fraction(0))
    there = _at(program, example)
    judgement = there.judgement
    if isinstance(ended, UnfinishedError):
        judgement = next(_judgements(ended))
    where = _where(example)
    fields = {"symbols": ", ".join(example), "example": where, "why": str(ended)}
    first = findings.NotDecided.at(first_symbol(program), **fields, there=there.verdict)
    return Report(
        replace(judgement, verdict="", complete=None),
        (first, *there.diagnostics),
        cut_short=str(ended),
    )


def _judgements(ended: UnfinishedError) -> Iterator[Judgement]:
    yield from (case.judgement for case in ended.cases)
    yield from (laws_alone(derivation)[0] for derivation in ended.derived)


def _where(example: Mapping[str, Fraction]) -> str:
    return ", ".join(f"{symbol} = {value}" for symbol, value in example.items())


def _report(found: Symbolic) -> Report:
    program = found.program
    example = _example(found)
    there = _at(program, example)
    regions = {word: found.region(word) for word in ABOUT}
    if not found.cases:  # laws hold only where it is stable: those of the example say what is wrong
        judgement = replace(there.judgement, verdict=found.verdict or "", complete=found.complete)
        return replace(there, judgement=judgement, regions=regions)
    case = found.cases[0]
    judgement = replace(case.judgement, verdict=found.verdict or "", complete=found.complete)
    report = Report(judgement, (), regions)
    return replace(report, said=_said(report, there, example, regions))


def _example(found: Symbolic) -> dict[str, Fraction]:
    """Values of the symbols at which to show what is wrong: in the worst verdict that there is."""
    for verdict in VERDICTS:
        values = found.example(verdict)
        if values is not None and verdict != VERDICTS[-1]:
            return _plain(found, verdict, values)
    return dict.fromkeys(found.program.symbols, Fraction(0))


def _plain(found: Symbolic, verdict: str, values: dict[str, Fraction]) -> dict[str, Fraction]:
    """Zeros, where the verdict is the same there."""
    zeros = dict.fromkeys(values, Fraction(0))
    there = holds(found.condition(verdict), zeros, found.program.symbols)
    return zeros if there else values


def _at(program: Program, values: dict[str, Fraction]) -> Report:
    """The report at these values of the symbols."""
    judgement = judgement_of(bind(program, values))
    return Report(judgement, reasons(judgement, None))


def _said(
    report: Report, there: Report, example: dict[str, Fraction], regions: dict[str, Region]
) -> tuple[Diagnostic, ...]:
    """What is wrong at the example, and that the verdict depends on the symbols."""
    program = report.program
    warnings = tuple(d for d in there.diagnostics if d.severity == "warning")
    if report.verdict == VERDICTS[-1]:
        return warnings
    if report.verdict is not None:
        return there.diagnostics
    possible = [word for word in VERDICTS if not regions[word].empty]
    fields = {"symbols": ", ".join(example), "verdicts": ", ".join(possible)}
    fields["example"] = _where(example)
    depends = findings.Depends.at(first_symbol(program), **fields, there=there.verdict)
    return (depends, *there.diagnostics)
