"""The plane of initial scale and learning rate of a transformer, or of a perceptron that is wider.

    python -m examples.reproduce.init_plane
    python -m examples.reproduce.init_plane --model perceptron

Under µP the good region stays where it is as the width grows, µP beside standard; loss at the end
of training, the best marked.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import abcparam
from abcparam.presentation.figures import new_figure, write_picture
from abcparam.storage.atomic import write_atomically
from abcparam.tuning.output.text import cell_name, render_csv
from abcparam.tuning.sweep import Cell, SweepResult
from examples.reproduce.learning_rates import DIGITS
from examples.reproduce.optima import FORMS, joined, powers
from examples.reproduce.scripts import asked, trains

SPECS = Path(__file__).parent


class Plane(NamedTuple):
    """What is trained; octaves of the rate and of the initial scale."""

    widths: tuple[int, ...]
    rates: range
    scales: range
    steps: int
    batch: int
    data: str | None = None
    together: int = 64  # up to `narrow`; wider ones are trained one by one
    narrow: int = 1024


PLANES = {
    "transformer": Plane((32, 128), range(-10, -3), range(-3, 4), steps=60, batch=8),
    "perceptron": Plane((256, 1024), range(-11, -4), range(-1, 6), steps=40, batch=64, data=DIGITS),
}
SMALLEST: dict[str, Any] = {
    "steps": 4,
    "batch": 2,
    "rates": range(-7, -3, 2),
    "scales": range(0, 4, 2),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = trains("the plane of initial scale and rate", "init_plane")
    parser.add_argument("--model", choices=PLANES, default="transformer")
    parser.add_argument("--widths", help="others: 256,1024,4096")
    given = asked(parser, arguments)
    plane = PLANES[given.model]
    if given.widths:
        plane = plane._replace(widths=tuple(map(int, given.widths.split(","))))
    if given.smallest:
        first = plane.widths[0]
        plane = plane._replace(widths=(first, 2 * first), data=None, **SMALLEST)
    swept = joined([trained(plane, width, given) for width in plane.widths])
    write_atomically(str(given.out / "trials.csv"), render_csv(swept))
    write_picture(drawn(swept), str(given.out / "plane.svg"))
    print(table(swept), f"written: {given.out}", sep="\n")


def trained(plane: Plane, width: int, given: argparse.Namespace) -> SweepResult:
    return abcparam.sweep(
        SPECS / f"{given.model}.param",
        [
            f"width={width}",
            f"lr={powers(plane.rates)}",
            f"std={powers(plane.scales)}",
        ],
        data=given.data or plane.data,
        forms=FORMS,
        steps=plane.steps,
        batch=plane.batch,
        together=plane.together if width <= plane.narrow else 1,
        folder=given.resume,
        device=given.device,
    )


def table(swept: SweepResult) -> str:
    lines = [f"{'':<13}  lr         std    loss"]
    for best in swept.best:
        lr, std = (float(best.hypers[name]) for name in ("lr", "std"))
        lines.append(f"{cell_name(best.cell):<13}  {lr:<9.4g}  {std:<5.3g}  {best.loss:.4f}")
    lines += ["", "best log2 lr at each log2 std, and by how many octaves it moves"]
    for form in swept.forms:
        cells = [cell for cell in swept.cells if cell.form == form]
        lines += [f"{cell_name(cell):<13}  {_row(ridge(swept, cell).values())}" for cell in cells]
        first, last = (ridge(swept, cell) for cell in (cells[0], cells[-1]))
        moved = [last[std] - first[std] for std in first]
        lines.append(f"{'':<13}  {_row(moved)}  mean {sum(moved) / len(moved):+.1f}")
    return "\n".join(lines)


def _row(values: Iterable[int]) -> str:
    return " ".join(f"{value:>3}" for value in values)


def ridge(swept: SweepResult, cell: Cell) -> dict[int, int]:
    """The best rate at each initial scale, both as octaves: a best point slides along it."""
    points = _losses(swept, cell)
    scales = sorted({std for _, std in points})
    return {
        round(std): round(min((loss, lr) for (lr, at), loss in points.items() if at == std)[1])
        for std in scales
    }


def drawn(swept: SweepResult) -> Any:
    """A map for each parametrization and width, all by the same colours."""
    across = len(swept.cells) // len(FORMS)
    figure = new_figure(3.5 * across, 6)
    places = figure.subplots(len(FORMS), across, sharex=True, sharey=True).flatten()
    losses = [loss for points in swept.cells.values() for loss in points.values()]
    scale = {"vmin": min(losses), "vmax": sorted(losses)[len(losses) // 2]}
    for place, cell in zip(places, swept.cells, strict=True):
        shown = _map(place, swept, cell, scale)
        place.set(title=cell_name(cell), xlabel="log2 std", ylabel="log2 lr")
    figure.colorbar(shown, ax=list(places), label="loss", extend="max")
    return figure


def _losses(swept: SweepResult, cell: Cell) -> dict[tuple[float, float], float]:
    """By the logarithms of rate and scale."""
    return {
        (math.log2(float(dict(p)["lr"])), math.log2(float(dict(p)["std"]))): loss
        for p, loss in swept.cells[cell].items()
    }


def _map(place: Any, swept: SweepResult, cell: Cell, scale: dict[str, float]) -> Any:
    """Learning rates upwards, scales to the right."""
    points = _losses(swept, cell)
    rows, columns = (sorted({point[axis] for point in points}) for axis in (0, 1))
    grid = [[points[row, column] for column in columns] for row in rows]
    low = min(points, key=points.__getitem__)
    place.plot(low[1], low[0], "*", color="white", markersize=12)
    return place.pcolormesh(columns, rows, grid, shading="nearest", cmap="viridis_r", **scale)


if __name__ == "__main__":
    main()
