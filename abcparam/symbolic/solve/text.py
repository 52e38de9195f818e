"""What `abcparam solve` says beside the completed spec."""

from __future__ import annotations

from abcparam.program.vocabulary import GOALS
from abcparam.symbolic.regions import clause_texts
from abcparam.symbolic.solve.complete import Completed
from abcparam.symbolic.solve.solution import GaugeDirection

ALL = "every solution:"
AT_BOUNDS = "every solution in which each update is as large as its bound:"
BOLD, END = "\x1b[1m", "\x1b[0m"


def render_solution(found: Completed, colour: bool = False) -> str:
    """The values, the whole family of solutions, and its free directions."""
    solution = found.solution
    head = f"{solution.program.name}: {found.verdict}"
    lines = [f"{BOLD}{head}{END}" if colour else head]
    if not solution.places:
        return "\n".join([f"{lines[0]}, and no ? to fill"])
    for symbol, place in solution.places.items():
        lines.append(f"    {place.owner} {place.key} = {solution.values[symbol]}")
    if solution.unfinished:
        lines.append(f"other solutions were {solution.unfinished}")
    else:
        lines.append(ALL if found.goal == GOALS[0] else AT_BOUNDS)
        lines += [f"    {text}" for text in clause_texts(found.region)] or ["    anything"]
    if found.gauges:
        lines.append("free directions, which change nothing (gauges):")
        lines += [f"    {_gauge(gauge)}" for gauge in found.gauges]
    if solution.endless:
        lines.append(f"no largest learning rate: {', '.join(solution.endless)} can be smaller yet")
    if solution.free:
        lines.append(f"nothing depends on {', '.join(solution.free)}: 0")
    return "\n".join(lines)


def _gauge(gauge: GaugeDirection) -> str:
    """`W1: a_W1 + t, b_W1 - t, c_W1 - 2*t`."""
    moves = []
    for symbol, shift in gauge.shifts:
        size = "t" if abs(shift) == 1 else f"{abs(shift)}*t"
        moves.append(f"{symbol} {'+' if shift > 0 else '-'} {size}")
    return f"{', '.join(gauge.tensors)}: {', '.join(moves)}"
