"""A sweep as text and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.presentation.table import columns
from abcparam.tuning.choices import TRAINING
from abcparam.tuning.space import AxisValue
from abcparam.tuning.sweep import Best, Cell, SweepResult

if TYPE_CHECKING:
    from abcparam.tuning.train.cost import Cost
    from abcparam.tuning.transfer import TransferPlan


def render_sweep(swept: SweepResult) -> str:
    """Losses by the first hyper where only one is searched, then the best of every cell."""
    head = f"{swept.program.name} ({swept.program.source.file}), {len(swept.results)} trials"
    table = _curves(swept) if _one(swept) else []
    best = columns(best_rows(swept))
    notes = [f"* {note}" for note in swept.notes]
    lines = [head, "", *table, *([""] if table else []), *best, "", *notes, *moves(swept), ""]
    return "\n".join(lines)


def _one(swept: SweepResult) -> bool:
    """Whether one hyper alone is searched, at few points."""
    points = {point for cell in swept.cells.values() for point in cell}
    return len(swept.tuned) == 1 and len(points) <= 30 and len(swept.cells) <= 12


def _curves(swept: SweepResult) -> list[str]:
    """A row for each value, a column for each cell, the least of each marked."""
    cells = swept.cells
    found = dict.fromkeys(point for points in cells.values() for point in points)
    points = sorted(found, key=lambda p: 0 if isinstance(p[0][1], str) else p[0][1])
    least = {cell: min(points.values()) for cell, points in cells.items()}
    stopped = swept.stopped
    rows = [(points[0][0][0], *(cell_name(cell) or "loss" for cell in cells))]
    for hypers in points:
        losses = (
            _marked(found.get(hypers), least[cell], hypers in stopped.get(cell, ()))
            for cell, found in cells.items()
        )
        rows.append((value_text(hypers[0][1]), *losses))
    return columns(rows)


def _marked(loss: float | None, least: float, pruned: bool) -> str:
    if loss is None:
        return "-"
    if not math.isfinite(loss):
        return "stopped" if pruned else "diverged"
    return f"{loss:.4f} *" if loss == least else f"{loss:.4f}"


def cell_name(cell: Cell) -> str:
    """What tells a cell from the others."""
    sizes = [f"{name} {value}" for name, value in cell.sizes]
    return " ".join([*([cell.form] if cell.form else []), *sizes])


def line_name(cell: Cell) -> str:
    """What tells a cell from the others of its parametrization."""
    return cell_name(cell).removeprefix(cell.form).strip() or "loss"


def loss_name(swept: SweepResult) -> str:
    """The loss that the best is chosen by."""
    return "loss" if swept.by == TRAINING else "held-out loss"


def value_text(value: AxisValue | float) -> str:
    return value if isinstance(value, str) else f"{float(value):.4g}"


def best_rows(swept: SweepResult) -> list[tuple[str, ...]]:
    """A header, and a row for the best of each cell."""
    return [_header(swept), *(_row(best, bool(_held_out(swept))) for best in swept.best)]


def _header(swept: SweepResult) -> tuple[str, ...]:
    names = dict.fromkeys(name for best in swept.best for name, _ in best.point)
    return ("best of", "steps", "batch", *names, "loss", *_held_out(swept), "")


def _held_out(swept: SweepResult) -> tuple[str, ...]:
    return ("held out",) if any(best.losses.held_out is not None for best in swept.best) else ()


def _row(best: Best, held_out: bool) -> tuple[str, ...]:
    cell = best.cell
    note = f"{', '.join(best.ends)} at the end of its range" if best.ends else ""
    values = (value_text(value) for _, value in best.point)
    losses = [best.losses.training, *([best.losses.held_out] if held_out else [])]
    found = ("-" if loss is None else f"{loss:.4f}" for loss in losses)
    name = cell_name(cell) or "all"
    return (name, str(cell.steps), str(cell.batch), *values, *found, note)


def moves(swept: SweepResult) -> Iterator[str]:
    """By how much the best value of each hyper moves over the first growing dim of a sweep.

    Where it lies at an end of what was searched, that end hides the optimum.
    """
    grown = [a.name for a in swept.axes if a.name in swept.program.dims]
    for form in dict.fromkeys(best.cell.form for best in swept.best):
        mine = [best for best in swept.best if best.cell.form == form]
        for name in grown:
            if not swept.program.dims[name].infinite or len(mine) < 2:
                continue
            low, high = (f(mine, key=lambda b: dict(b.cell.sizes)[name]) for f in (min, max))
            for hyper in swept.searched:
                value, other = low.hypers[hyper], high.hypers[hyper]
                sizes = f"{dict(low.cell.sizes)[name]} to {dict(high.cell.sizes)[name]}"
                whose = f"{form}: " if form else ""
                hides = swept.hides(low, hyper) or swept.hides(high, hyper)
                found = _moved(hyper, value, other, hides)
                yield f"{whose}from {name} {sizes} the best {hyper} {found}"


def _moved(hyper: str, value: Fraction, other: Fraction, hides: bool) -> str:
    ratio = f"a factor of {float(other / value):.3g}" if value else str(other)
    if not hides:
        return "stays" if other == value else f"moves by {ratio}"
    if other == value:
        return f"lies at an end of what was searched, which hides whether it stays: widen {hyper}"
    return f"moves by {ratio}, or more: an end of what was searched hides the rest, widen {hyper}"


def render_csv(swept: SweepResult) -> str:
    """One line for each trial; a loss is empty where it diverged or was stopped early."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [n for n, _ in swept.results[0].trial.values]
    how = ["steps", "batch", "schedule", "seed", "loss", "held_out", "diverged"]
    writer.writerow(["parametrization", *names, *how])
    for result in swept.results:
        trial = result.trial
        loss = repr(result.loss) if math.isfinite(result.loss) else ""
        numbers = [int(v) if n in swept.program.dims else float(v) for n, v in trial.values]
        kept = "" if result.held_out is None else repr(result.held_out)
        settings = [trial.steps, trial.batch, trial.schedule, trial.seed]
        last = [loss, kept, str(result.diverged).lower()]
        writer.writerow([trial.form, *numbers, *settings, *last])
    return out.getvalue()


def cost_lines(plan: TransferPlan) -> Iterator[str]:
    """What tuning and the target will cost, and what does not transfer."""
    costs = plan.costs
    yield f"proxy: {_cost(costs.trial)} a trial, {costs.trials} trials"
    yield f"target: {_cost(costs.target)}"
    yield f"tuning takes {100 * costs.share:.2g} % of all operations"
    if not (costs.trial.exact and costs.target.exact):
        yield "by a rule of thumb: 6 operations for each parameter and position"
    for warning in plan.warnings:
        yield f"warning: {warning}"


def _cost(cost: Cost) -> str:
    memory = _scaled(cost.memory, ("B", "kB", "MB", "GB", "TB"))
    flops = _scaled(cost.flops, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"))
    return f"{_scaled(cost.parameters, ('', 'k', 'M', 'G'))} parameters, {flops}, {memory}".strip()


def _scaled(value: float, units: tuple[str, ...]) -> str:
    power = min(len(units) - 1, max(0, int(math.log10(max(1, value)) // 3)))
    return f"{value / 1000**power:.3g} {units[power]}".strip()
