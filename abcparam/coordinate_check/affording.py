"""Widths that a budget pays for, by the time that runs take at the smallest of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from abcparam.coordinate_check.plan import (
    NoWidthsError,
    VariedDims,
    WidthPlan,
    given_widths,
    seconds_by_rule,
    widths_of,
)

LEAST = 16  # width, where three that start at 64 cost too much
TELLING, SHORTEST = 0.002, 0.02  # a step of this part of the budget, and so long, tells the speed
SLOWER = 1.25  # what larger widths lose to memory

Timed = Callable[[Mapping[str, int]], float]  # the seconds of a step with these growth dims


def afforded(varied: VariedDims, budget: float, runs: int, tokens: int, timed: Timed) -> WidthPlan:
    """The largest widths of which `runs` steps and seeds end within `budget` seconds.

    Where three that start at 64 do not, they are three that start lower.
    """
    usual = widths_of(varied, 0, runs, tokens)
    ladder = [*_lower(varied, usual), *usual.dims]
    slowness = _slowness(given_widths(varied, ladder), budget, tokens, timed)

    def three_from(start: int) -> WidthPlan:
        return given_widths(varied, ladder[start : start + 3])

    start = first = len(ladder) - len(usual.dims)
    while start and _cost(three_from(start), runs, tokens) * slowness > budget:
        start -= 1
    if start < first:
        return three_from(start)
    return widths_of(varied, budget / slowness, runs, tokens)


def _slowness(plan: WidthPlan, budget: float, tokens: int, timed: Timed) -> float:
    """The time of a run over that by the rule of thumb, at the first width that tells it."""
    found = 1.0
    for dims in plan.dims.values():
        seconds = timed(dims)
        found = SLOWER * seconds / seconds_by_rule(plan.program, dims, tokens)
        if seconds > max(SHORTEST, TELLING * budget):
            break
    return found


def _cost(plan: WidthPlan, runs: int, tokens: int) -> float:
    return sum(runs * seconds_by_rule(plan.program, dims, tokens) for dims in plan.dims.values())


def _lower(varied: VariedDims, usual: WidthPlan) -> Iterator[int]:
    """Halves of the smallest width that the program allows, in ascending order."""
    width, found = min(usual.dims), []
    while (width := width // 2) >= LEAST:
        try:
            given_widths(varied, [width])
        except NoWidthsError:
            break
        found.append(width)
    return reversed(found)
