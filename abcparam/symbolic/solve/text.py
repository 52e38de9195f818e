"""What `abcparam solve` says beside the completed spec."""

from __future__ import annotations

from abcparam.presentation.words import listed
from abcparam.program.vocabulary import GOALS
from abcparam.symbolic.regions import clause_texts
from abcparam.symbolic.solve.complete import Completed
from abcparam.symbolic.solve.corners import Corner
from abcparam.symbolic.solve.solution import GaugeDirection

ALL = "every solution:"
AT_BOUNDS = "every solution in which each update is as large as its bound:"
CORNERS = "corners, whose learning rates no other stable ones exceed, all else as above:"
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
    lines += _corner_lines(found.corners)
    if found.gauges:
        lines.append("free directions, which change nothing (gauges):")
        lines += [f"    {_gauge(gauge)}" for gauge in found.gauges]
    if solution.endless:
        lines.append(f"no largest learning rate: {', '.join(solution.endless)} can be smaller yet")
    if solution.free:
        lines.append(f"nothing depends on {', '.join(solution.free)}: 0")
    return "\n".join(lines)


def _corner_lines(found: tuple[Corner, ...] | None) -> list[str]:
    """A line for each choice of learning rates that no others exceed, and what it does."""
    if found is None:
        return [f"{CORNERS} too many to list, or not proved in time"]
    return [CORNERS, *(f"    {_corner(corner)}" for corner in found)] if found else []


def _corner(corner: Corner) -> str:
    """`c_W1 = -1, c_W2 = 1: trivial; as large as their bounds: W1; smaller: W2 by width^(1/2)`."""
    rates = ", ".join(f"{symbol} = {value}" for symbol, value in corner.rates.items())
    parts = [f"{rates}: {corner.verdict}"]
    if corner.maximal:
        parts.append(f"as large as their bounds: {listed(corner.maximal)}")
    if corner.short:
        parts.append(f"smaller: {listed([f'{path} by {by}' for path, by in corner.short])}")
    return "; ".join(parts)


def _gauge(gauge: GaugeDirection) -> str:
    """`W1: a_W1 + t, b_W1 - t, c_W1 - 2*t`."""
    moves = []
    for symbol, shift in gauge.shifts:
        size = "t" if abs(shift) == 1 else f"{abs(shift)}*t"
        moves.append(f"{symbol} {'+' if shift > 0 else '-'} {size}")
    return f"{', '.join(gauge.tensors)}: {', '.join(moves)}"
