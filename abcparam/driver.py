"""The pipeline, from a source to a report or to Python: each phase takes one frozen value and
returns another.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.bind import bind, require_no_unknowns, require_numbers
from abcparam.calculus.graph import build_graph
from abcparam.calculus.rounds import train
from abcparam.fix import Change, propose, values_of
from abcparam.judge import judge
from abcparam.parse import parse, read
from abcparam.program import GAUGES, GOALS, Program
from abcparam.reasons import reasons
from abcparam.record import replace
from abcparam.report import Report
from abcparam.resolve import resolve
from abcparam.source import Source

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.derived import Derived
    from abcparam.difference import Differences
    from abcparam.family import Family


FRAMES = 20_000  # enough for 64 levels of brackets in each of 32 levels of blocks


@contextmanager
def at_work() -> Iterator[None]:
    """With room for deep specs, and without the garbage collector: whatever a phase makes is kept,
    and passes over it all cost time.
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
    graph = build_graph(program)
    return Report(graph, judge(graph, train(graph)), ())


@at_work()
def explained(found: Report) -> Report:
    """The report with its reasons, and the smallest fix, which takes a search."""
    fix = () if found.verdict == "maximal-update" else propose(found.graph, found.judgement)
    said = reasons(found.graph, found.judgement, fix)
    return replace(found, diagnostics=said, fix=fix)


def report(program: Program) -> Report:
    """Laws, verdict and reasons; in the symbols of its exponents, if they hold any."""
    require_no_unknowns(program)
    if not program.symbols:
        return explained(judged(program))
    from abcparam.symbolic.report import symbolic_report

    return symbolic_report(program)


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
    from abcparam.regauge import in_gauge
    from abcparam.views.training import require_single_groups

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
    from abcparam.edit import Unwritable, edited

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
    from abcparam.deriving import derive as laws_in_symbols

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
    from abcparam.solving import complete, gauge_order

    order = gauge_order(gauge.split())
    if order is None or goal not in GOALS:
        raise ValueError(f"no goal {goal!r} in gauge {gauge!r}")
    return complete(to_source(source), goal, order, exact_values(values)).text


@at_work()
def compared(a: Program, b: Program) -> Differences:
    """Whether two programs are the same parametrization."""
    from abcparam.compare import compare

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
    from abcparam.family import family

    along = (x if isinstance(x, str) else Fraction(str(x)) for x in (init, lr))
    return family(load(to_source(a)), load(to_source(b)), *along)


@at_work()
def emit_program(found: Report) -> str:
    """The Python module of a checked program; each tensor's line says its law."""
    from abcparam.emit import emit

    laws = {t.path: f"W·x ~ {t.at_init}, ΔW·x ~ {t.update}" for t in found.judgement.tensors}
    return emit(found.program, laws)


def to_source(source: str | Path | Source) -> Source:
    if isinstance(source, Source):
        return source
    return Source(source) if isinstance(source, str) else read(source)


def exact_values(values: Mapping[str, object]) -> dict[str, Fraction]:
    return {name: Fraction(str(value)) for name, value in values.items()}
