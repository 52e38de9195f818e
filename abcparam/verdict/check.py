"""From a source to a report: load, judge; what there is to say comes when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.analysis.judge import judgement_of
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse
from abcparam.program.binding import bind, require_no_unknowns, require_numbers
from abcparam.program.model import Program
from abcparam.program.value_ranges import require_in_range
from abcparam.resolve.resolver import resolve
from abcparam.verdict.report import Report
from abcparam.verdict.work import at_work


@at_work()
def load(source: Source, values: Mapping[str, Fraction] | None = None) -> Program:
    """The resolved program of a source, with `values` for its dims, hypers and symbols."""
    program = bind(resolve(parse(source), source), values or {})
    require_in_range(program, {})
    return program


@at_work()
def judged(program: Program) -> Report:
    """Laws and verdict of a program whose exponents are numbers."""
    require_numbers(program)
    return Report(judgement_of(program))


@at_work()
def proved(found: Report) -> Report:
    """The report with the smallest fix proved, which takes a search; at once where none is."""
    if found.said is not None or found.verdict == "maximal-update":
        return found
    from abcparam.verdict.proof import prove

    return replace(found, proof=prove(found.judgement))


@at_work()
def report(program: Program) -> Report:
    """Laws, verdict and reasons; in the symbols of its exponents, if they hold any."""
    require_no_unknowns(program)
    if not program.symbols:
        return judged(program)
    from abcparam.verdict.symbolic_report import symbolic_report

    return symbolic_report(program)
