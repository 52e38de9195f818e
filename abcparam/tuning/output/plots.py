"""Figures of a sweep: loss against each hyper, a line for each size, minima marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from abcparam.presentation.figures import new_figure, write_picture
from abcparam.tuning.extrapolation import SizeLaws
from abcparam.tuning.output.text import line_name, loss_name
from abcparam.tuning.space import Axis
from abcparam.tuning.sweep import Cell, SweepResult
from abcparam.tuning.transfer import TransferResult

TIMES_MEDIAN = 2  # of the largest median of a curve


def plot(swept: SweepResult, folder: Path) -> list[Path]:
    """Writes `HYPER.png` and `.svg`. Raises `SpecError` without matplotlib."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        Path(path)
        for name, figure in figures(swept)
        for path in write_picture(figure, str(folder / name))
    ]


def plot_transfer(found: TransferResult, folder: Path) -> list[Path]:
    """The figures of the search; and `laws`, of what it says about the target."""
    if found.swept is None:
        return []
    written = plot(found.swept, folder)
    if found.laws is not None:
        written += map(Path, write_picture(_laws(found.laws), str(folder / "laws")))
    return written


def _laws(laws: SizeLaws) -> Any:
    """The best of each hyper, and its loss, over the size, with the intervals up to the target."""
    drawn = {**laws.hypers, "loss": laws.loss}
    figure = new_figure(4.5 * len(drawn), 4)
    sizes = laws.loss.sizes
    low, high = min(*sizes, laws.target), max(*sizes, laws.target)
    line = [low * (high / low) ** (step / 40) for step in range(41)]
    for place, (name, law) in zip(
        figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True
    ):
        found = [law.at(size) for size in line]
        place.fill_between(line, [e.low for e in found], [e.high for e in found], alpha=0.2)
        place.plot(line, [estimate.value for estimate in found])
        place.plot(sizes, law.values, "o", color="black")
        place.axvline(laws.target, linestyle=":", color="grey")
        place.set(xscale="log", yscale="log", xlabel=laws.dim, ylabel=name)
    return figure


def figures(swept: SweepResult) -> Iterator[tuple[str, Any]]:
    """A figure for each hyper, parametrizations side by side."""
    for axis in swept.tuned:
        figure = new_figure(5.5 * len(swept.forms) + 1, 4.5)
        places = figure.subplots(1, len(swept.forms), sharey=True, squeeze=False)[0]
        for place, form in zip(places, swept.forms, strict=True):
            _draw(place, swept, form, axis)
            place.set_title(f"{swept.program.name}: {form or swept.program.source.file}")
        yield axis.name, figure


def _draw(place: Any, swept: SweepResult, form: str, axis: Axis) -> None:
    cells = [cell for cell in swept.cells if cell.form == form]
    curves = {cell: curve_of(swept, cell, axis.name) for cell in cells}
    top = highest([curve for curve in curves.values() if curve])
    for number, cell in enumerate(cells):
        curve = [(value, min(loss, top)) for value, loss in curves[cell]]
        if curve:
            colour = f"C{number % 10}"
            label = line_name(cell)
            place.plot(*zip(*curve, strict=True), color=colour, marker=".", label=label)
            least = min(curve, key=lambda point: point[1])
            place.plot(*least, color=colour, marker="*", markersize=12)
            for value in (value for value, loss in curves[cell] if loss > top):
                place.plot(value, top, color=colour, marker="^", markersize=8)
    if is_log(axis):
        place.set_xscale("log")
    loss = loss_name(swept)
    clipped = any(found > top for curve in curves.values() for _, found in curve)
    place.set(xlabel=axis.name, ylabel=f"{loss} (▲: above {top:.3g})" if clipped else loss)
    if cells:
        place.legend(fontsize="small")


def is_log(axis: Axis) -> bool:
    """Whether a hyper is drawn in powers of ten."""
    values = [value for value in axis.grid if not isinstance(value, str)]
    return axis.log or bool(values and min(values) > 0 and max(values) >= 10 * min(values))


def highest(curves: Sequence[Sequence[tuple[float | str, float]]]) -> float:
    """Up to where losses are drawn: a run that nearly diverged leaves the others visible."""
    medians = [sorted(loss for _, loss in curve)[len(curve) // 2] for curve in curves]
    return TIMES_MEDIAN * max(medians) if medians and max(medians) > 0 else math.inf


def curve_of(swept: SweepResult, cell: Cell, name: str) -> list[tuple[float | str, float]]:
    """The least loss at each value of a hyper, whatever the others are; schedules as they come."""
    found = swept.least(cell, name).items()
    least = {value: loss for value, loss in found if math.isfinite(loss)}
    numbers = sorted((v, loss) for v, loss in least.items() if not isinstance(v, str))
    return [*numbers, *((v, loss) for v, loss in least.items() if isinstance(v, str))]
