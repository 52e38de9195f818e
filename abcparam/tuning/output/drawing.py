"""A sweep drawn: loss against a hyper, a line for each size, the least of each marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abcparam.algebra.record import NamedTuple
from abcparam.presentation.charts import CHARACTER, ChartScale, chart, line, text
from abcparam.presentation.layered import rising
from abcparam.presentation.markup import element, shown
from abcparam.tuning.output.plots import curve_of, highest, is_log
from abcparam.tuning.output.text import line_name, loss_name, value_text
from abcparam.tuning.space import Axis
from abcparam.tuning.sweep import Cell, SweepResult

FIELD = (360.0, 240.0)
LEFT, TOP, BELOW = 56.0, 26.0, 46.0
APART = 14.0  # labels at the ends of lines
COLOURS, DASHES = 6, 3  # that tell lines apart

CurvePoint = tuple[float | str, float]


class SweepCurve(NamedTuple):
    """The losses of a cell against one hyper, by the id of its row in the table of the best."""

    cell: Cell
    points: Sequence[CurvePoint]
    number: int
    row: str


def row_ids(swept: SweepResult) -> dict[Cell, str]:
    """The ids of the rows of the best."""
    return {best.cell: f"best{number}" for number, best in enumerate(swept.best)}


def figure_id(number: int, form: int) -> str:
    return f"hyper{number}-{form}"


def drawings(swept: SweepResult) -> Iterator[str]:
    """A figure for each hyper and parametrization; of one hyper all have the same scales."""
    rows = row_ids(swept)
    for number, axis in enumerate(swept.tuned):
        curves = {
            form: [
                SweepCurve(cell, curve_of(swept, cell, axis.name), index, rows.get(cell, ""))
                for index, cell in enumerate(c for c in swept.cells if c.form == form)
            ]
            for form in swept.forms
        }
        for index, form in enumerate(swept.forms):
            title = f"{axis.name}, {form}" if form else axis.name
            every = [curve for of_form in curves.values() for curve in of_form]
            inner = _drawing(swept, axis, curves[form], every)
            head = element("figcaption", f"<strong>{shown(title)}</strong>")
            yield element(
                "figure", head + inner, class_="scroll", tabindex=0, id=figure_id(number, index)
            )


def _drawing(
    swept: SweepResult, axis: Axis, curves: Sequence[SweepCurve], every: Sequence[SweepCurve]
) -> str:
    found = [curve for curve in every if curve.points]
    if not any(curve.points for curve in curves):
        return "<p>Nothing to draw: every trial diverged.</p>"
    top = highest([curve.points for curve in found])
    values = list(dict.fromkeys(value for curve in found for value, _ in curve.points))
    names = [value for value in values if isinstance(value, str)]
    x = _across(axis, values, names)
    losses = [min(loss, top) for curve in found for _, loss in curve.points]
    y = ChartScale.over(losses, TOP + FIELD[1], TOP)
    places = {value: x.at(_number(value, names)) for value in values}
    parts = [*_axes(swept, axis, x, y, places), *_lines(curves, y, places, top)]
    longest = max(len(line_name(curve.cell)) for curve in curves)
    width = LEFT + FIELD[0] + 14 + longest * CHARACTER
    return chart(parts, width, TOP + FIELD[1] + BELOW, f"loss against {axis.name}")


def _across(axis: Axis, values: Sequence[float | str], names: Sequence[str]) -> ChartScale:
    """The scale of the hyper; names stand side by side."""
    numbers = [_number(value, names) for value in values]
    logarithmic = not names and min(numbers) > 0 and is_log(axis)
    return ChartScale.over(numbers, LEFT, LEFT + FIELD[0], logarithmic)


def _number(value: float | str, names: Sequence[str]) -> float:
    return float(names.index(value)) if isinstance(value, str) else value


def _axes(
    swept: SweepResult,
    axis: Axis,
    x: ChartScale,
    y: ChartScale,
    places: dict[float | str, float],
) -> Iterator[str]:
    bottom = y.start
    for value in y.ticks():
        yield line([(x.start, y.at(value)), (x.end, y.at(value))], "grid")
        yield text(f"{value:.4g}", x.start - 6, y.at(value) + 4, "name")
    names = {value: at for value, at in places.items() if isinstance(value, str)}
    ticks = names or {f"{value:g}": x.at(value) for value in x.ticks()}
    for words, at in ticks.items():
        yield line([(at, bottom), (at, bottom + 5)], "zero")
        yield text(words, at, bottom + 18, "tick")
    yield text(axis.name, (x.start + x.end) / 2, bottom + 36, "tick")
    yield text(loss_name(swept), 4, 14, "head")


def _lines(
    curves: Sequence[SweepCurve], y: ChartScale, places: dict[float | str, float], top: float
) -> Iterator[str]:
    """The lines with their names at their ends, as near as there is room."""
    drawn = [curve for curve in curves if curve.points]
    ends = {curve.number: y.at(min(curve.points[-1][1], top)) for curve in drawn}
    ordered = sorted(drawn, key=lambda curve: ends[curve.number])
    wanted = [ends[curve.number] - APART * n for n, curve in enumerate(ordered)]
    labels = rising(wanted, [1.0] * len(wanted))
    for n, (curve, at) in enumerate(zip(ordered, labels, strict=True)):
        points = [(places[value], y.at(min(loss, top))) for value, loss in curve.points]
        kind = f"s{curve.number % COLOURS} d{curve.number // COLOURS % DASHES}"
        parts = [line(points, "")]
        for (px, py), (value, loss) in zip(points, curve.points, strict=True):
            told = element("title", shown(f"{value_text(value)}: {loss:.4f}"))
            up = f'<path d="M{px - 5:.1f} {py + 4:.1f}h10l-5 -9z">{told}</path>'
            dot = f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3">{told}</circle>'
            parts.append(up if loss > top else dot)
        value, loss = min(curve.points, key=lambda point: point[1])
        ring = f'<circle class="least" cx="{places[value]:.1f}" cy="{y.at(loss):.1f}" r="7"/>'
        name = text(line_name(curve.cell), LEFT + FIELD[0] + 8, at + APART * n + 4)
        inner = element("g", "".join([*parts, ring, name]), class_=f"series {kind}")
        yield element("a", inner, href=f"#{curve.row}") if curve.row else inner


def is_clipped(swept: SweepResult) -> bool:
    """Whether a loss is above what is drawn."""
    for axis in swept.tuned:
        curves = [curve_of(swept, cell, axis.name) for cell in swept.cells]
        top = highest([curve for curve in curves if curve])
        if any(loss > top for curve in curves for _, loss in curve):
            return True
    return False
