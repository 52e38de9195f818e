"""The pipeline, from a source to a report or to Python: each phase takes one frozen value and
returns another.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Source
from abcparam.language.reader import read
from abcparam.program.binding import require_numbers
from abcparam.program.model import Program
from abcparam.program.vocabulary import GAUGES, GOALS
from abcparam.verdict.check import at_work, judged, load, report
from abcparam.verdict.fix import Change, values_of
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.comparison.difference import Differences
    from abcparam.comparison.family import Family
    from abcparam.symbolic.derive.derived import Derived


def check(source: str | Path | Source, **values: object) -> Report:
    """Checks a spec. A `str` is its text, a `Path` a file. Raises `SpecError` if the spec is
    invalid.
    """
    return report(load(to_source(source), exact_values(values)))


def compile(source: str | Path | Source, gauge: str = "as-written", **overrides: object) -> str:
    """The Python module that a spec emits. Overrides give dims, hypers and symbols other values.

    In another gauge (`plain`, `single-group`, `unit`) its training is the same, in other weights.
    Raises `SpecError` where that cannot be.
    """
    program = load(to_source(source), exact_values(overrides))
    return emit_program(judged(gauged(program, gauge)))


@at_work()
def gauged(program: Program, gauge: str) -> Program:
    """The program in a gauge."""
    if gauge == GAUGES[0]:
        return program
    from abcparam.comparison.regauge import in_gauge
    from abcparam.emission.views.training import require_single_groups

    if gauge not in GAUGES:
        raise ValueError(f"no gauge {gauge!r}: {', '.join(GAUGES)}")
    require_numbers(program)
    found = in_gauge(program, gauge)
    if gauge == "single-group":
        require_single_groups(found)
    return found


@at_work()
def fixed(program: Program) -> tuple[str, tuple[Change, ...]] | str:
    """The text of a spec with the smallest change that makes it maximal-update, checked again; or
    why there is none.
    """
    from abcparam.editing.exponents import Unwritable, edited

    found = report(program)
    if found.verdict == "maximal-update":
        return "maximal-update already, nothing to fix"
    if not found.fix:
        return "no change of exponents was found that makes it maximal-update"
    try:
        text = edited(program, values_of(found.fix))
    except Unwritable as error:
        return f"the change cannot be written: {error}"
    again = judged(load(replace(program.source, text=text)))
    if again.verdict != "maximal-update":
        raise RuntimeError("the fixed spec was not judged maximal-update")
    return text, found.fix


@at_work()
def derive(source: str | Path | Source, all: bool = False, **values: object) -> Derived:
    """The laws of a spec, symbolic where its exponents hold symbols or `?`; with `all`, every
    exponent that is written is a symbol. Raises `SpecError` if the spec is invalid.
    """
    from abcparam.symbolic.derive.derive import derive as laws_in_symbols

    return laws_in_symbols(load(to_source(source), exact_values(values)), all)


@at_work()
def solve(
    source: str | Path | Source,
    goal: str = "maximal-update",
    gauge: str = "mup",
    **values: object,
) -> str:
    """The spec with every `?` filled so that it is `goal` (maximal-update, kernel or stable).

    `gauge` chooses among equal solutions: `mup`, or values to give where that is possible, such as
    `"c=0"` or `"b=1/2 a=0"`. Raises `SpecError` if the spec is invalid, or has no solution.
    """
    from abcparam.symbolic.solve.complete import complete, gauge_order

    order = gauge_order(gauge.split())
    if order is None or goal not in GOALS:
        raise ValueError(f"no goal {goal!r} in gauge {gauge!r}")
    return complete(to_source(source), goal, order, exact_values(values)).text


@at_work()
def compared(a: Program, b: Program) -> Differences:
    """Whether two programs are the same parametrization."""
    from abcparam.comparison.compare import compare

    return compare(a, b)


def diff(a: str | Path | Source, b: str | Path | Source) -> Differences:
    """Whether two specs are the same parametrization: exactly, asymptotically, or not. Raises
    `SpecError` if one is invalid, or has symbols on which the answer depends.
    """
    return compared(load(to_source(a)), load(to_source(b)))


@at_work()
def interpolate(
    a: str | Path | Source,
    b: str | Path | Source,
    init: str | float | Fraction = "s",
    lr: str | float | Fraction = "t",
) -> Family:
    """The family of parametrizations between two specs of the same model: initial scales are A's
    where `init` is 0 and B's where it is 1, learning rates where `lr` is. Each is the name of a
    symbol, or a value. B is taken in A's gauge; whatever is no exponent is A's.

    Raises `SpecError` if a spec is invalid or the two are not the same model.
    """
    from abcparam.comparison.family import family

    along = (x if isinstance(x, str) else Fraction(str(x)) for x in (init, lr))
    return family(load(to_source(a)), load(to_source(b)), *along)


@at_work()
def emit_program(found: Report) -> str:
    """The Python module of a checked program; each tensor's line says its law."""
    from abcparam.emission.emit import emit

    laws = {t.path: f"W·x ~ {t.at_init}, ΔW·x ~ {t.update}" for t in found.judgement.tensors}
    return emit(found.program, laws)


def to_source(source: str | Path | Source) -> Source:
    if isinstance(source, Source):
        return source
    return Source(source) if isinstance(source, str) else read(source)


def exact_values(values: Mapping[str, object]) -> dict[str, Fraction]:
    return {name: Fraction(str(value)) for name, value in values.items()}
