"""The plane of a family as a picture."""

from __future__ import annotations

from typing import Any

from abcparam.comparison.plane import Plane, PlanePart
from abcparam.presentation.figures import new_figure, patch
from abcparam.program.vocabulary import VERDICTS

COLOURS = {  # worst first: greys and reds where nothing can be trained, blue, then greens
    "unstable-at-init": "#8c3b33",
    "unstable": "#e3a49b",
    "trivial": "#d9d9d9",
    "kernel": "#9fc3e8",
    "feature-learning": "#bfe0a8",
    "maximal-update": "#2e8b3d",
}
INK = "#222222"


def picture(plane: Plane) -> Any:
    """A matplotlib `Figure`. Raises `SpecError` where that is not installed."""
    figure = new_figure(6.4, 5.2)
    axes = figure.add_subplot()
    for cell in plane.cells:
        axes.fill(*_xy(cell), color=COLOURS[cell.verdict], linewidth=0.4, zorder=1)
    for segment in plane.segments:
        axes.plot(*_xy(segment), color=COLOURS[segment.verdict], linewidth=3, zorder=2)
    for point in plane.points:
        axes.plot(*_xy(point), "o", color=COLOURS[point.verdict], markersize=9, zorder=3)
    _corners(axes, plane)
    _labels(axes, plane)
    figure.legend(handles=_legend(plane), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _xy(part: PlanePart) -> tuple[list[float], list[float]]:
    return [float(x) for x, _ in part.points], [float(y) for _, y in part.points]


def _corners(axes: Any, plane: Plane) -> None:
    """The two specs, by name."""
    for name, corner in zip(plane.names, plane.corners, strict=True):
        (x, y) = (float(value) for value in corner.points[0])
        axes.plot(x, y, "x", color=INK, markersize=8, zorder=4)
        axes.annotate(name, (x, y), (8, 6), textcoords="offset points", color=INK, zorder=4)


def _labels(axes: Any, plane: Plane) -> None:
    a, b = plane.names
    axes.set_xlabel(f"{plane.family.init}: initial scales, {a} at 0, {b} at 1")
    axes.set_ylabel(f"{plane.family.lr}: learning rates, {a} at 0, {b} at 1")
    axes.set_title(f"{plane.family.program.name}: from {a} to {b}")
    low, high = map(float, plane.window)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")


def _legend(plane: Plane) -> list[Any]:
    return [patch(COLOURS[verdict], verdict) for verdict in occurring(plane)]


def occurring(plane: Plane) -> list[str]:
    """The verdicts of its parts, worst first."""
    found = {part.verdict for part in (*plane.cells, *plane.segments, *plane.points)}
    return [verdict for verdict in VERDICTS if verdict in found]
