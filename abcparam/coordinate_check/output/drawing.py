"""A coordinate check drawn: slopes beside exponents, and sizes against widths row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from abcparam.algebra.record import NamedTuple
from abcparam.coordinate_check.alignment import AS_ASSUMED, LESS, MORE, OF, AlignmentRow
from abcparam.coordinate_check.check import CoordCheckResult
from abcparam.coordinate_check.judging import (
    AGREES,
    CROSSOVER,
    DISAGREES,
    UNRESOLVED,
    CheckedRow,
)
from abcparam.coordinate_check.output.plots import QUANTITIES, is_drawn, mean_size, missing_words
from abcparam.presentation.charts import CHARACTER, ChartScale, chart, line, text
from abcparam.presentation.markup import element, shown

STEP = 20.0  # from row to row
HEAD = 34.0
FIELD = 320.0  # of the slopes
PANEL = (210.0, 150.0)
ALIGNMENT_KINDS = {AS_ASSUMED: AGREES, LESS: CROSSOVER, MORE: DISAGREES, UNRESOLVED: UNRESOLVED}


class NumberedRow(NamedTuple):
    """A row of the table, by its id and that of its panel."""

    row: CheckedRow
    id: str

    @property
    def panel(self) -> str:
        return f"{self.id}-sizes"


def numbered(checks: Sequence[CoordCheckResult]) -> list[list[NumberedRow]]:
    """The rows of each check, with their ids."""
    return [
        [NumberedRow(row, f"c{c}r{number}") for number, row in enumerate(checked.verdict.rows)]
        for c, checked in enumerate(checks)
    ]


# Slopes beside exponents


def overview(checked: CoordCheckResult, rows: Sequence[NumberedRow]) -> str:
    """Each row that is drawn: the derived exponent, and the measured slope with its interval."""
    drawn = [found for found in rows if is_drawn(found.row)]
    if not drawn:
        return element("p", shown(_nothing(checked)))
    exponents = [float(found.row.law.exponent or 0) for found in drawn]
    slopes = [found.row.measured.value for found in drawn if found.row.measured]
    inside = [*exponents, *(s for s in slopes if abs(s) < 2 + max(map(abs, exponents)))]
    left = max(len(found.row.name) for found in drawn) * CHARACTER + 12
    scale = ChartScale.over([min(inside) - 0.25, max(inside) + 0.25], left, left + FIELD)
    parts, y = [], HEAD
    for quantity, title in QUANTITIES.items():
        group = [found for found in drawn if found.row.quantity == quantity]
        if group:
            parts.append(text(title, left, y + 5, "head"))
            y += STEP
        for found in group:
            parts += _slope(found, scale, y)
            y += STEP
    words = max(len(found.row.outcome) for found in drawn) * CHARACTER + 16
    return chart([*_grid(scale, y), *parts], left + FIELD + words, y + 6, "Slopes and exponents")


def _nothing(checked: CoordCheckResult) -> str:
    if not checked.verdict.rows:
        return f"Nothing to draw: {missing_words(checked)}."
    return "Nothing to draw: no row was measured at sizes other than zero."


def _grid(scale: ChartScale, bottom: float) -> Iterator[str]:
    for value in scale.ticks(8):
        x = scale.at(value)
        kind = "zero" if abs(value) < 1e-9 else "grid"
        yield line([(x, HEAD - 12), (x, bottom)], kind)
        yield text(f"{value + 0.0:g}", x, HEAD - 18, "tick")


def _slope(found: NumberedRow, scale: ChartScale, y: float) -> Iterator[str]:
    """One row: a diamond at the exponent, a bar over the interval of the slope, a word."""
    row, slope = found.row, found.row.measured
    parts = [text(row.name, scale.start - 8, y + 4, "name")]
    if slope is not None:
        low, high = (_clipped(scale, slope.value + sign * slope.error) for sign in (-1, 1))
        parts.append(line([(low, y), (high, y)], "interval"))
        x = _clipped(scale, slope.value)
        parts.append(f'<circle class="slope" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    x = scale.at(float(row.law.exponent or 0))
    parts.append(_diamond(x, y))
    parts.append(text(row.outcome, scale.end + 10, y + 4, "outcome"))
    told = element("title", shown(caption(row)))
    yield element(
        "a",
        element("g", told + "".join(parts), class_=f"row {row.outcome}"),
        href=f"#{found.id}",
    )


def _clipped(scale: ChartScale, value: float) -> float:
    if not math.isfinite(value):
        return scale.end if value > 0 else scale.start
    return scale.at(min(max(value, scale.low), scale.high))


def caption(row: CheckedRow) -> str:
    """What was derived and what measured, and what comes of it."""
    slope = row.measured
    measured = f", measured {slope.value:.2f} ± {slope.error:.2f}" if slope else ""
    return f"{row.name}: derived {row.law}{measured}: {row.outcome}"


def missing(
    checked: CoordCheckResult, rows: Sequence[NumberedRow], others: Sequence[NumberedRow]
) -> str:
    """Which rows of another check this one has no law of."""
    own = {(found.row.name, found.row.quantity) for found in rows if is_drawn(found.row)}
    drawn = (found.row for found in others if is_drawn(found.row))
    names = [f"{r.name} ({r.quantity})" for r in drawn if (r.name, r.quantity) not in own]
    return f"{missing_words(checked)}: {', '.join(names)}" if names else ""


# Alignment


def alignment(rows: Sequence[AlignmentRow]) -> str:
    """A line for each tensor and what is aligned: the assumed exponent, and those measured.

    The bar is the interval of the last step, small dots are the steps before it.
    """
    groups: dict[tuple[str, str], list[AlignmentRow]] = {}
    for row in rows:
        groups.setdefault((row.name, row.quantity), []).append(row)
    titles = {key: f"{OF[key[1]]} of {key[0]}" for key in groups}
    left = max(map(len, titles.values())) * CHARACTER + 12
    ends = [float(end) for row in rows for end in (row.law.none, row.law.full)]
    scale = ChartScale.over([min(ends) - 0.25, max(ends) + 0.25], left, left + FIELD)
    parts, y = [], HEAD
    for key, steps in groups.items():
        parts.append(_aligned(titles[key], steps, scale, y))
        y += STEP
    words = max(len(row.outcome) for row in rows) * CHARACTER + 16
    return chart([*_grid(scale, y), *parts], left + FIELD + words, y + 6, "Alignment")


def _aligned(title: str, steps: Sequence[AlignmentRow], scale: ChartScale, y: float) -> str:
    last = steps[-1]
    parts = [text(title, scale.start - 8, y + 4, "name")]
    for row in steps:
        if row.measured is None:
            continue
        x, size = _clipped(scale, row.measured.value), 3.5 if row is last else 1.5
        if row is last:
            low, high = (
                _clipped(scale, row.measured.value + sign * row.measured.error) for sign in (-1, 1)
            )
            parts.append(line([(low, y), (high, y)], "interval"))
        parts.append(f'<circle class="slope" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>')
    parts.append(_diamond(scale.at(float(last.law.assumed)), y))
    parts.append(text(last.outcome, scale.end + 10, y + 4, "outcome"))
    return element("g", "".join(parts), class_=f"row {ALIGNMENT_KINDS[last.outcome]}")


def _diamond(x: float, y: float) -> str:
    return f'<path class="derived" d="M{x:.1f} {y - 6}l6 6l-6 6l-6 -6z"/>'


# Sizes against widths


def panels(
    checks: Sequence[CoordCheckResult], rows: Sequence[Sequence[NumberedRow]], quantity: str
) -> str:
    """A panel for each name, of several checks side by side; a word where one has no law."""
    found = [
        {n.row.name: n for n in of_one if n.row.quantity == quantity and is_drawn(n.row)}
        for of_one in rows
    ]
    names = list(dict.fromkeys(name for of_one in found for name in of_one))
    spans = [math.log(_ratio(n.row)) for of_one in found for n in of_one.values()]
    span = max(spans, default=0.0)
    made = []
    for name in names:
        group = []
        for checked, of_one in zip(checks, found, strict=True):
            file = checked.report.program.source.file if len(checks) > 1 else ""
            one = of_one.get(name)
            group.append(
                _panel(one, file, span) if one else _empty(name, file, missing_words(checked))
            )
        several = len(group) > 1
        made.append(element("div", "".join(group), class_="group") if several else group[0])
    kind = "panels several" if len(checks) > 1 else "panels"
    return element("div", "\n".join(made), class_=kind)


def _ratio(row: CheckedRow) -> float:
    sizes = [size for _, size in row.points]
    return max(sizes) / min(sizes)


def _empty(name: str, file: str, words: str) -> str:
    head = element("figcaption", f"<strong>{shown(name)}</strong> {shown(file)}")
    return element("figure", f"{head}<p>{shown(words)}</p>", class_="panel")


def _panel(found: NumberedRow, file: str, span: float) -> str:
    """The sizes of one row, its derived slope and its measured interval.

    The slope is dashed, through the mean at the largest width; the interval is a wedge about the
    mean of all.
    """
    row = found.row
    widths = sorted({width for width, _ in row.points})
    x = ChartScale.over(widths, 44, PANEL[0] - 8, is_log=True)
    middle = math.sqrt(math.prod(_ends(row)))
    half = math.exp(max(span, 0.35) / 2)
    y = ChartScale.over([middle / half, middle * half], PANEL[1] - 22, 8, is_log=True)
    parts = [*_frame(x, y, widths), *_wedge(row, x, y, widths), _derived(row, x, y, widths)]
    for width, size in row.points:
        parts.append(
            f'<circle class="slope" cx="{x.at(width):.1f}" cy="{y.at(size):.1f}" r="2.5"/>'
        )
    drawn = chart([element("g", "".join(parts), class_=f"row {row.outcome}")], *PANEL, caption(row))
    where = f" {shown(file)}" if file else ""
    words = caption(row).removeprefix(f"{row.name}: ")
    name = f'<a href="#{found.id}">{shown(row.name)}</a>'
    head = element("figcaption", f"<strong>{name}</strong>{where}<br>{shown(words)}")
    return element("figure", head + drawn, class_="panel", id=found.panel)


def _ends(row: CheckedRow) -> tuple[float, float]:
    sizes = [size for _, size in row.points]
    return min(sizes), max(sizes)


def _frame(x: ChartScale, y: ChartScale, widths: Sequence[float]) -> Iterator[str]:
    for value in y.ticks(4):
        yield line([(x.start, y.at(value)), (x.end, y.at(value))], "grid")
        yield text(f"{value:.3g}", x.start - 4, y.at(value) + 4, "name")
    for width in (widths[0], widths[-1]):
        yield text(f"{width:.0f}", x.at(width), y.start + 15, "tick")


def _derived(row: CheckedRow, x: ChartScale, y: ChartScale, widths: Sequence[float]) -> str:
    last = widths[-1]
    top, exponent = mean_size(row, last), float(row.law.exponent or 0)
    places = ((w, top * (w / last) ** exponent) for w in (widths[0], last))
    return line([(x.at(w), _clipped(y, size)) for w, size in places], "expected")


def _wedge(row: CheckedRow, x: ChartScale, y: ChartScale, widths: Sequence[float]) -> Iterator[str]:
    slope = row.slope
    if slope is None or not math.isfinite(slope.error):
        return
    logs = [math.log(width) for width, _ in row.points]
    centre = math.exp(math.fsum(logs) / len(logs))
    middle = math.exp(math.fsum(math.log(size) for _, size in row.points) / len(logs))
    corners = [
        (w, middle * (w / centre) ** (slope.value + sign * slope.error))
        for sign, ends in ((-1, widths), (1, widths[::-1]))
        for w in ends
    ]
    path = " ".join(f"{x.at(w):.1f},{_clipped(y, size):.1f}" for w, size in corners)
    yield element("polygon", "", points=path, class_="wedge")
