"""Where the best value of a hyper lies at each width: how far it drifts, and whether wider is
better.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

from abcparam.files import write_atomically
from abcparam.tuning.plots import plot
from abcparam.tuning.sweep import Swept
from abcparam.tuning.text import render_csv

FORMS = ("mup", "sp")
MARGIN = 1.02  # a loss that is so many times another is worse; less is noise
Curve = Mapping[Fraction, float]  # the least loss at each value of a hyper; inf: diverged


def options(about: str, folder: str) -> argparse.ArgumentParser:
    """What every figure of a sweep is asked."""
    parser = argparse.ArgumentParser(description=about)
    add = parser.add_argument
    add("--smallest", action="store_true", help="a size that takes seconds and shows nothing")
    add("--data", help="a text file, `digits` or `module:function`, as for `abcparam sweep`")
    add("--out", type=Path, default=Path("build/reproduce") / folder, help="for SVG and CSV")
    add("--resume", type=Path, metavar="FOLDER", help="finished trials (default: OUT/runs)")
    return parser


def curves(swept: Swept, form: str, hyper: str) -> dict[int, Curve]:
    """For each width the least loss at each value of a hyper, whatever the others are."""
    found: dict[int, dict[Fraction, float]] = {}
    for cell, points in swept.cells.items():
        if cell.form == form:
            curve = found.setdefault(int(dict(cell.sizes)["width"]), {})
            for hypers, loss in points.items():
                value = dict(hypers)[hyper]
                curve[value] = min(loss, curve.get(value, math.inf))
    return {width: dict(sorted(curve.items())) for width, curve in sorted(found.items())}


def best(curve: Curve) -> Fraction:
    return min(curve, key=curve.__getitem__)


def drift(found: Mapping[int, Curve]) -> float:
    """Octaves from the best value at the smallest width to that at the largest: a multiple of the
    grid's step.
    """
    small, *_, large = found.values()
    return math.log2(best(large) / best(small))


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


def table(swept: Swept, hypers: Iterable[str]) -> str:
    """The best values, their drift, and violations, for each parametrization."""
    lines = []
    for form, hyper in itertools.product(FORMS, hypers):
        found = curves(swept, form, hyper)
        lines += [f"{form}: {hyper}", "width  best       loss"]
        for width, curve in found.items():
            lines.append(f"{width:<5}  {float(best(curve)):<9.4g}  {min(curve.values()):.4f}")
        worse, pairs = violations(found)
        lines.append(f"drift {drift(found):+.1f} octaves; wider is worse in {worse} of {pairs}")
        lines.append("")
    return "\n".join(lines)


def write(swept: Swept, hypers: Iterable[str], folder: Path) -> None:
    """Prints the table; writes it, every trial as CSV and a figure for each hyper."""
    plot(swept, folder)
    text = table(swept, hypers)
    write_atomically(str(folder / "trials.csv"), render_csv(swept))
    write_atomically(str(folder / "table.txt"), text)
    print(text, *(f"* {said}" for said in swept.said), f"written: {folder}", sep="\n")
