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

from abcparam.bind import bind, require_numbers
from abcparam.calculus.graph import build_graph
from abcparam.calculus.rounds import train
from abcparam.fix import propose
from abcparam.judge import judge
from abcparam.parse import parse, read
from abcparam.program import Program
from abcparam.reasons import reasons
from abcparam.record import replace
from abcparam.report import Report
from abcparam.resolve import resolve
from abcparam.source import Source

if TYPE_CHECKING:
    from pathlib import Path


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
    fix = () if found.verdict == "maximal-update" else propose(found.program, found.graph)
    said = reasons(found.graph, found.judgement, fix)
    return replace(found, diagnostics=said, fix=fix)


def report(program: Program) -> Report:
    """Laws, verdict and reasons."""
    return explained(judged(program))


def check(source: str | Path | Source, **values: object) -> Report:
    """Checks a spec. A `str` is its text, a `Path` a file. Raises `SpecError` if the spec is
    invalid.
    """
    return report(load(to_source(source), _exact(values)))


def compile(source: str | Path | Source, **overrides: object) -> str:
    """The Python module that a spec emits. Overrides give dims, hypers and symbols other values."""
    program = load(to_source(source), _exact(overrides))
    return emit_program(judged(program))


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


def _exact(values: Mapping[str, object]) -> dict[str, Fraction]:
    return {name: Fraction(str(value)) for name, value in values.items()}
