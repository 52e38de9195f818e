"""The plane of a family as SVG: every verdict in its window, the two specs by name."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.comparison.plane import Plane, PlanePart, PlanePoint
from abcparam.comparison.plane_figure import COLOURS, occurring
from abcparam.presentation.charts import ChartScale, chart, text
from abcparam.presentation.markup import element, shown

SIDE = 360.0
LEFT, TOP, BOTTOM = 44.0, 10.0, 44.0
WIDTH = LEFT + SIDE + 12
HEIGHT = TOP + SIDE + BOTTOM
TICKS = 5


class PlaneDrawing:
    """The scales of both coordinates, and what is drawn in them."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        low, high = map(float, plane.window)
        self.across = ChartScale(low, high, LEFT, LEFT + SIDE)
        self.up = ChartScale(low, high, TOP + SIDE, TOP)

    def svg(self) -> str:
        """Cells beneath segments beneath points; above them axes and names."""
        title = f"{self.plane.family.program.name}: from {' to '.join(self.plane.names)}"
        parts = [*self._parts(), *self._axes(), *self._specs(), self._window()]
        return chart(parts, WIDTH, HEIGHT, title, "chart plane")

    def legend(self) -> str:
        """The verdicts that occur, each beside its colour."""
        verdicts = element("ul", "".join(map(_entry, occurring(self.plane))), class_="legend")
        return verdicts + (element("p", self.plane.unfinished) if self.plane.unfinished else "")

    def _at(self, point: PlanePoint) -> tuple[float, float]:
        return self.across.at(float(point[0])), self.up.at(float(point[1]))

    def _path(self, part: PlanePart) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self._at, part.points))

    def _parts(self) -> Iterator[str]:
        for cell in self.plane.cells:
            style = f"fill: {COLOURS[cell.verdict]}"
            yield element("polygon", _titled(cell), points=self._path(cell), style=style)
        for segment in self.plane.segments:
            style = f"stroke: {COLOURS[segment.verdict]}; stroke-width: 4"
            yield element("polyline", _titled(segment), points=self._path(segment), style=style)
        for part in self.plane.points:
            x, y = self._at(part.points[0])
            style = f"fill: {COLOURS[part.verdict]}"
            yield element("circle", _titled(part), cx=f"{x:.1f}", cy=f"{y:.1f}", r=6, style=style)

    def _axes(self) -> Iterator[str]:
        family = self.plane.family
        bottom = TOP + SIDE
        for value in self.across.ticks(TICKS):
            yield text(f"{value:g}", self.across.at(value), bottom + 15, "middle")
            yield text(f"{value:g}", LEFT - 6, self.up.at(value) + 4, "end")
        yield text(f"{family.init}: initial scales", LEFT + SIDE / 2, bottom + 34, "middle")
        middle = TOP + SIDE / 2
        turned = f"translate(12 {middle:.0f}) rotate(-90)"
        words = shown(f"{family.lr}: learning rates")
        yield element("text", words, transform=turned, class_="middle")

    def _specs(self) -> Iterator[str]:
        for name, corner in zip(self.plane.names, self.plane.corners, strict=True):
            x, y = self._at(corner.points[0])
            cross = f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"
            yield element("path", "", d=cross, class_="spec-mark")
            yield text(name, x + 9, y - 7, "spec-name")

    def _window(self) -> str:
        """Above all the window, with its ends, for who points into it."""
        low, high = map(str, self.plane.window)
        place = {"x": LEFT, "y": TOP, "width": SIDE, "height": SIDE}
        return element("rect", "", class_="window", data_low=low, data_high=high, **place)


def _titled(part: PlanePart) -> str:
    return element("title", shown(part.verdict))


def _entry(verdict: str) -> str:
    swatch = element("span", "", class_="swatch", style=f"background: {COLOURS[verdict]}")
    return element("li", f"{swatch}{shown(verdict)}")
