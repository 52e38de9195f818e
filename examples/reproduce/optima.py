"""Where the best value of a hyper lies at each width: how far it drifts, and whether wider is
better.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from abcparam.storage.atomic import write_atomically
from abcparam.tuning.output.plots import plot
from abcparam.tuning.output.text import render_csv, value_text
from abcparam.tuning.space import AxisValue
from abcparam.tuning.sweep import SweepResult

FORMS = ("mup", "sp")
MARGIN = 1.02  # a loss that is so many times another is worse; less is noise
Curve = Mapping[AxisValue, float]  # the least loss at each value of a hyper; inf: diverged


def curves(swept: SweepResult, form: str, hyper: str, along: str = "width") -> dict[int, Curve]:
    """For each width, or what else grows, the least loss at each value of a hyper, whatever the
    others are.
    """
    found: dict[int, dict[AxisValue, float]] = {}
    for cell, points in swept.cells.items():
        if cell.form == form:
            settings = {"steps": cell.steps, "batch": cell.batch}
            size = settings.get(along) or int(dict(cell.sizes)[along])
            curve = found.setdefault(size, {})
            for hypers, loss in points.items():
                value = dict(hypers)[hyper]
                curve[value] = min(loss, curve.get(value, math.inf))
    return dict(sorted(found.items()))


def best(curve: Curve) -> AxisValue:
    return min(curve, key=curve.__getitem__)


def drift(found: Mapping[int, Curve]) -> float:
    """Octaves from the best value at the smallest width to that at the largest: a multiple of the
    grid's step. Of schedules 0 if it is the same one.
    """
    small, *_, large = map(best, found.values())
    if isinstance(small, str) or isinstance(large, str):
        return 0.0 if small == large else math.nan
    return math.log2(large / small)


def violations(found: Mapping[int, Curve]) -> tuple[int, int]:
    """How often a model is worse than the next smaller one with the same hyper, of how many pairs;
    pairs whose smaller model diverged say nothing.
    """
    pairs = [
        (small[value], large[value])
        for small, large in itertools.pairwise(found.values())
        for value in small
        if math.isfinite(small[value])
    ]
    return sum(large > MARGIN * small for small, large in pairs), len(pairs)


def table(swept: SweepResult, hypers: Iterable[str], along: str) -> str:
    """The best values, their drift, and violations, for each parametrization."""
    lines = []
    forms = dict.fromkeys(cell.form for cell in swept.cells)
    for form, hyper in itertools.product(forms, hypers):
        found = curves(swept, form, hyper, along)
        lines += [f"{form}: {hyper}", f"{along:<7}  best          loss"]
        for width, curve in found.items():
            lines.append(f"{width:<7}  {value_text(best(curve)):<12}  {min(curve.values()):.4f}")
        worse, pairs = violations(found)
        moved = drift(found)
        by = "the best is another one" if math.isnan(moved) else f"drift {moved:+.1f} octaves"
        more = "wider" if along == "width" else "more"
        lines.append(f"{by}; {more} is worse in {worse} of {pairs}")
        lines.append("")
    return "\n".join(lines)


def powers(octaves: Iterable[int], unit: float = 1.0) -> str:
    """Values for `over`, an octave apart where the numbers are."""
    return ",".join(str(unit * 2.0**octave) for octave in octaves)


def write(
    swept: SweepResult,
    hypers: Iterable[str],
    folder: Path,
    name: str = "trials",
    along: str = "width",
) -> None:
    """Prints the table; writes it, every trial as CSV and a figure for each hyper."""
    plot(swept, folder)
    text = table(swept, hypers, along)
    write_atomically(str(folder / f"{name}.csv"), render_csv(swept))
    write_atomically(str(folder / f"{name}.txt"), text)
    print(text, *(f"* {note}" for note in swept.notes), f"written: {folder}", sep="\n")
