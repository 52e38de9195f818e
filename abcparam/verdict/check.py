"""From a source to a report: load, judge, explain."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.analysis.judge import judgement_of
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse
from abcparam.program.binding import bind, require_no_unknowns, require_numbers
from abcparam.program.model import Program
from abcparam.resolve.resolver import resolve
from abcparam.verdict.findings import reasons
from abcparam.verdict.fix import propose
from abcparam.verdict.report import Report

FRAMES = 20_000  # enough for 64 levels of brackets in each of 32 levels of blocks


@contextmanager
def at_work() -> Iterator[None]:
    """With room for deep specs, and without the garbage collector.

    Whatever a phase makes is kept, and passes over it all cost time.
    """
    collecting, frames = gc.isenabled(), sys.getrecursionlimit()
    gc.disable()
    sys.setrecursionlimit(max(FRAMES, frames))
    try:
        yield
    finally:
        sys.setrecursionlimit(frames)
        if collecting:
            gc.enable()


@at_work()
def load(source: Source, values: Mapping[str, Fraction] | None = None) -> Program:
    """The resolved program of a source, with `values` for its dims, hypers and symbols."""
    return bind(resolve(parse(source), source), values or {})


@at_work()
def judged(program: Program) -> Report:
    """Laws and verdict of a program whose exponents are numbers; nothing is said about them yet."""
    require_numbers(program)
    return Report(judgement_of(program), ())


@at_work()
def explained(found: Report) -> Report:
    """The report with its reasons, and the smallest fix, which takes a search."""
    fix = () if found.verdict == "maximal-update" else propose(found.judgement)
    said = reasons(found.judgement, fix)
    return replace(found, diagnostics=said, fix=fix)


def report(program: Program) -> Report:
    """Laws, verdict and reasons; in the symbols of its exponents, if they hold any."""
    require_no_unknowns(program)
    if not program.symbols:
        return explained(judged(program))
    from abcparam.verdict.symbolic_report import symbolic_report

    return symbolic_report(program)
