"""Figures of a coordinate check: one for each quantity, log–log, a line for each name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from abcparam.coordinate_check.alignment import OF, AlignmentRow
from abcparam.coordinate_check.check import CoordCheckResult
from abcparam.coordinate_check.judging import UNRESOLVED, CheckedRow
from abcparam.coordinate_check.laws import UPDATE_ALIGNMENT
from abcparam.presentation.figures import new_figure, write_picture

QUANTITIES = {
    "at_init": "size at initialization",
    "change": "change since initialization",
    "update": "ΔW·x",
    "relative": "ΔW·x over W·x at init",
    "gradient": "gradient at initialization",
}

MOST_NAMES = 4  # in a picture


def plot(checks: Iterable[CoordCheckResult], folder: Path) -> list[Path]:
    """Writes `QUANTITY.png` and `.svg`, several checks side by side.

    Raises `SpecError` without matplotlib.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        Path(path)
        for quantity, figure in figures(list(checks))
        for path in write_picture(figure, str(folder / quantity))
    ]


def figures(found: list[CoordCheckResult]) -> Iterator[tuple[str, Any]]:
    """A figure for each quantity, by its name. Raises `SpecError` without matplotlib."""
    for quantity, title in QUANTITIES.items():
        rows = [_rows(checked, quantity) for checked in found]
        if any(rows):
            figure = new_figure(6.5 * len(found) + 2, 4.5)
            axes = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
            names = list(dict.fromkeys(row.name for drawn in rows for row in drawn))
            for axis, checked, drawn in zip(axes, found, rows, strict=True):
                _draw(axis, drawn, checked.varied)
                _say_missing(axis, checked, [n for n in names if n not in [r.name for r in drawn]])
                axis.set_title(f"{checked.report.program.source.file}: {title}")
            yield quantity, figure
    if any(checked.alignment for checked in found):
        figure = new_figure(6.5 * len(found) + 2, 4.5)
        panels = figure.subplots(1, len(found), squeeze=False)[0]
        for axis, checked in zip(panels, found, strict=True):
            _draw_alignment(axis, checked.alignment)
            axis.set_title(f"{checked.report.program.source.file}: alignment")
        yield "alignment", figure


def _draw_alignment(axis: Any, rows: Sequence[AlignmentRow]) -> None:
    """Exponents against steps: filled of updates, open of inputs, dashed what is assumed."""
    colours = {name: f"C{number % 10}" for number, name in enumerate({r.name: 0 for r in rows})}
    for name, quantity in dict.fromkeys((row.name, row.quantity) for row in rows):
        own = [r for r in rows if (r.name, r.quantity) == (name, quantity) and r.measured]
        steps = [row.step for row in own]
        fill = colours[name] if quantity == UPDATE_ALIGNMENT else "none"
        style = {"color": colours[name], "marker": "o", "markerfacecolor": fill}
        values = [row.measured.value for row in own if row.measured]
        axis.plot(steps, values, **style, label=f"{OF[quantity]} of {name}")
        axis.plot(steps, [float(r.law.assumed) for r in own], color=colours[name], linestyle="--")
    axis.set(xlabel="step (dashed: assumed)", ylabel="exponent of the sum over the inputs")
    axis.set_xticks(sorted({row.step for row in rows}))
    if rows:
        axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _rows(checked: CoordCheckResult, quantity: str) -> list[CheckedRow]:
    """The rows of a quantity that are drawn."""
    return [row for row in checked.verdict.rows if row.quantity == quantity and is_drawn(row)]


def is_drawn(row: CheckedRow) -> bool:
    """Whether it was measured, is not exactly zero, and is of no earlier copy of a repeat."""
    return (
        bool(row.points)
        and all(size > 0 for _, size in row.points)
        and row.law.exponent is not None
        and not any(part.isdigit() for part in row.name.split("."))
    )


def _draw(axis: Any, rows: list[CheckedRow], varied: str) -> None:
    for number, row in enumerate(rows):
        widths = sorted({width for width, _ in row.points})
        sizes = [mean_size(row, width) for width in widths]
        colour, marker = f"C{number % 10}", "osv^D"[number // 10 % 5]
        style = {"color": colour, "marker": marker, "markersize": 4}
        if row.outcome == UNRESOLVED:
            faint = {"alpha": 0.5, "linestyle": ":", "markerfacecolor": "none"}
            axis.plot(widths, sizes, **style, **faint, label=f"{row.name} ({UNRESOLVED})")
            continue
        axis.plot(widths, sizes, **style, label=row.name)
        assert row.law.exponent is not None
        exponent = float(row.law.exponent)
        derived = [sizes[-1] * (width / widths[-1]) ** exponent for width in widths]
        axis.plot(widths, derived, color=colour, linestyle="--", linewidth=0.8)
    label = f"{varied} (dashed: derived slope)"
    axis.set(xscale="log", yscale="log", xlabel=label, ylabel="RMS")
    at = sorted({width for row in rows for width, _ in row.points})
    axis.set_xticks(at, [f"{width:.0f}" for width in at])
    axis.set_xticks([], minor=True)
    if rows:
        axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _say_missing(axis: Any, checked: CoordCheckResult, names: list[str]) -> None:
    """What another check has a line for, and this one has no law of."""
    if names:
        several = f"{', '.join(names[:MOST_NAMES])}{' …' if len(names) > MOST_NAMES else ''}"
        axis.set_xlabel(f"{axis.get_xlabel()}\n{missing_words(checked)}: {several}")
    if not axis.lines:
        axis.text(0.5, 0.5, missing_words(checked), transform=axis.transAxes, ha="center")


def missing_words(checked: CoordCheckResult) -> str:
    """Why there is nothing to draw of what another check has."""
    return f"no law, as it is {checked.report.verdict}"


def mean_size(row: CheckedRow, width: float) -> float:
    """The geometric mean over seeds."""
    logs = [math.log(size) for at, size in row.points if at == width]
    return math.exp(math.fsum(logs) / len(logs))
