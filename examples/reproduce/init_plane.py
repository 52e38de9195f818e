"""The plane of initial scale and learning rate of a transformer, at two widths.

    python -m examples.reproduce.init_plane

Under µP the good region stays where it is as the width grows, µP beside standard; loss at the end
of training, the best marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import abcparam
from abcparam.presentation.figures import new_figure, write_picture
from abcparam.storage.atomic import write_atomically
from abcparam.tuning.output.text import cell_name, render_csv
from abcparam.tuning.sweep import Cell, SweepResult
from examples.reproduce.optima import FORMS, powers
from examples.reproduce.scripts import asked, options

SPEC = Path(__file__).parent / "transformer.param"


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked(options("the plane of initial scale and rate", "init_plane"), arguments)
    small = given.smallest
    octaves = range(0, 4, 2) if small else range(-3, 4)
    swept = abcparam.sweep(
        SPEC,
        [
            "width=32,64" if small else "width=32,128",
            f"lr={powers(octaves, 2**-7)}",
            f"std={powers(octaves)}",
        ],
        data=given.data,
        forms=FORMS,
        steps=4 if small else 60,
        batch=2 if small else 8,
        folder=given.resume,
    )
    write_atomically(str(given.out / "trials.csv"), render_csv(swept))
    write_picture(drawn(swept), str(given.out / "plane.svg"))
    print(table(swept), f"written: {given.out}", sep="\n")


def table(swept: SweepResult) -> str:
    lines = [f"{'':<13}  lr         std    loss"]
    for best in swept.best:
        lr, std = (float(best.hypers[name]) for name in ("lr", "std"))
        lines.append(f"{cell_name(best.cell):<13}  {lr:<9.4g}  {std:<5.3g}  {best.loss:.4f}")
    return "\n".join(lines)


def drawn(swept: SweepResult) -> Any:
    """A map for each parametrization and width, all by the same colours."""
    figure = new_figure(7, 6)
    places = figure.subplots(2, len(swept.cells) // 2, sharex=True, sharey=True).flatten()
    losses = [loss for points in swept.cells.values() for loss in points.values()]
    scale = {"vmin": min(losses), "vmax": sorted(losses)[len(losses) // 2]}
    for place, cell in zip(places, swept.cells, strict=True):
        shown = _map(place, swept, cell, scale)
        place.set(title=cell_name(cell), xlabel="log2 std", ylabel="log2 lr")
    figure.colorbar(shown, ax=list(places), label="loss", extend="max")
    return figure


def _map(place: Any, swept: SweepResult, cell: Cell, scale: dict[str, float]) -> Any:
    """Learning rates upwards, scales to the right."""
    points = {
        (math.log2(float(dict(p)["lr"])), math.log2(float(dict(p)["std"]))): loss
        for p, loss in swept.cells[cell].items()
    }
    rows, columns = (sorted({point[axis] for point in points}) for axis in (0, 1))
    grid = [[points[row, column] for column in columns] for row in rows]
    low = min(points, key=points.__getitem__)
    place.plot(low[1], low[0], "*", color="white", markersize=12)
    return place.pcolormesh(columns, rows, grid, shading="nearest", cmap="viridis_r", **scale)


if __name__ == "__main__":
    main()
