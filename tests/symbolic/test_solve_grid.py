"""`solve` beside brute force: every point of a grid, judged by the evaluator of numbers.

Where it finds no solution, no point of the grid is one; where it finds some, they are exactly those
points. The same for kernel regimes and for stability, with the largest learning rates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

import pytest

from abcparam.algebra.record import Record
from abcparam.analysis.judge import Judgement
from abcparam.pipeline import to_source
from abcparam.program.model import Program
from abcparam.program.vocabulary import GOALS, VERDICTS
from abcparam.symbolic.constraints import holds
from abcparam.symbolic.judgement import judge_symbolic
from abcparam.symbolic.solve.solution import Solution, UnsolvableError, solve
from abcparam.symbolic.symbols import named_unknowns
from abcparam.verdict.check import load
from abcparam.verdict.work import at_work
from tests.support.random_unknowns import judged_at, points, random_cases

Values = dict[str, Fraction]
Judged = list[tuple[Values, Judgement]]


class Opened(Record):
    """A spec with unknowns, and every point of the grid with what the evaluator says there."""

    text: str
    program: Program
    named: Program  # with a symbol for each unknown
    points: Judged


def opened(text: str) -> Opened:
    program = load(to_source(text))
    named, places = named_unknowns(program)
    at = [(values, judged_at(named, values)) for values in points(tuple(places))]
    return Opened(text, program, named, at)


def reaches(judgement: Judgement, goal: str) -> bool:
    if goal == "stable":
        return not judgement.verdict.startswith("unstable")
    return judgement.verdict == goal


def is_largest(judgement: Judgement, paths: tuple[str, ...]) -> bool:
    """Whether a learning rate cannot grow: one of its tensors has no slack, or none moves."""
    left = [t.slack for t in judgement.tensors if t.path in paths]
    bound = [slack for slack in left if slack is not None and slack.is_bound]
    return not bound or any(not slack > slack.space.one for slack in bound)


def is_solution(solution: Solution, judgement: Judgement, goal: str) -> bool:
    if goal == GOALS[0] or not reaches(judgement, goal):
        return reaches(judgement, goal)
    rates = {s: p.paths for s, p in solution.places.items() if p.letter == "c"}
    return all(is_largest(judgement, rates[s]) != (s in solution.endless) for s in rates)


def wrong_points(case: Opened, goal: str) -> tuple[bool, list[Values]]:
    """Whether `solve` finds a solution, and where the grid disagrees."""
    try:
        found = solve(case.program, goal)
    except UnsolvableError:
        return False, [values for values, judgement in case.points if reaches(judgement, goal)]
    region, symbols = found.region.condition, found.region.symbols
    return True, [
        values
        for values, judgement in case.points
        if holds(region, values, symbols) != is_solution(found, judgement, goal)
    ]


def written(values: Mapping[str, Fraction]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def some_slow(count: int) -> list[object]:
    """Seeds, of which all but the first are for the slow tests."""
    return [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, count))]


@pytest.mark.parametrize("seed", some_slow(6))
def test_solutions_are_those_of_brute_force(seed: int):
    """60 MLPs and 6 transformers, each for three goals."""
    seen: Counter[tuple[str, bool]] = Counter()
    with at_work():
        for case in map(opened, random_cases(seed, 10, 1)):
            for goal in GOALS:
                solved, wrong = wrong_points(case, goal)
                seen[goal, solved] += 1
                assert not wrong, f"{goal} at {written(wrong[0])}\n{case.text}"
    assert all(seen[GOALS[0], solved] for solved in (True, False)), seen


@pytest.mark.parametrize("seed", some_slow(6))
def test_regions_of_verdicts_are_those_of_brute_force(seed: int):
    """48 MLPs and 6 transformers; every point has one verdict, the evaluator's."""
    with at_work():
        for case in map(opened, random_cases(100 + seed, 8, 1)):
            found = judge_symbolic(case.named)
            conditions = {verdict: found.condition(verdict) for verdict in VERDICTS}
            for values, judgement in case.points:
                there = [v for v in VERDICTS if holds(conditions[v], values, case.named.symbols)]
                assert there == [judgement.verdict], f"{written(values)}\n{case.text}"


LINEAR = """model Linear
dim width -> inf, base = 64
dim vocab = 7
dim classes = 5
tensor W0 : input [vocab, width] { a = 0, b = 0, c = ? }
tensor W1 : hidden [width, width] { a = 0, b = 1/2, c = ?, init = zeros }
tensor W2 : output [classes, width] { a = 1/2, b = 0, c = ? }
forward(token : index(vocab) [1]) {
    return W2 @ W1 @ embed(W0, token)
}
optimizer sgd { lr = 0.1 }
loss cross_entropy
"""


def test_a_cycle_that_grows_by_symbols_from_step_to_step():
    """No bound on any one activation says so: two tensors in series make each other's gradient."""
    with at_work():
        case = opened(LINEAR)
        found = judge_symbolic(case.named)
    (only,) = found.cases
    reasons = [r.reason for r in only.verdicts.derivation.stable]
    assert any("must not grow from step to step" in reason for reason in reasons)
    conditions = {verdict: found.condition(verdict) for verdict in VERDICTS}
    for values, judgement in case.points:
        there = [v for v in VERDICTS if holds(conditions[v], values, case.named.symbols)]
        assert there == [judgement.verdict], written(values)
