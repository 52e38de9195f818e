"""A directed graph laid out in layers: from above to below, few crossings, edges nearly straight.

Layers are longest paths, long edges are bent at a point in each layer between, orders are those of
the medians of neighbours, and places are the nearest to those of the neighbours that leave room.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from abcparam.algebra.record import NamedTuple

SWEEPS = 12
BEND = 14.0  # the room of an edge that passes a layer

LayerEdge = tuple[int, int]
Point = tuple[float, float]


class LayeredLayout(NamedTuple):
    """Where the middles of boxes are, through which points edges go, and the size of it all."""

    boxes: Mapping[int, Point]
    edges: Mapping[LayerEdge, tuple[Point, ...]]
    width: float
    height: float


def layered(
    sizes: Sequence[Point], edges: Iterable[LayerEdge], gap: float = 20, between: float = 34
) -> LayeredLayout:
    """The layout of boxes of these sizes, numbered from 0; edges go from lower to higher numbers.

    `gap` is the room between neighbours, `between` that between layers.
    """
    arrows = sorted({(a, b) for a, b in edges if a < b})
    layer = _layers(len(sizes), arrows)
    layout = _Placing(sizes, arrows, layer, gap)
    layout.order()
    layout.place()
    return layout.done(between)


def _layers(count: int, edges: Sequence[LayerEdge]) -> list[int]:
    """Of each box: as far down as its longest path from above; a source just above its reader."""
    layer = [0] * count
    above: dict[int, list[int]] = defaultdict(list)
    below: dict[int, list[int]] = defaultdict(list)
    for a, b in edges:
        above[b].append(a)
        below[a].append(b)
    for box in range(count):
        layer[box] = max((layer[a] + 1 for a in above[box]), default=0)
    for box in range(count):
        if not above[box] and below[box]:
            layer[box] = min(layer[b] for b in below[box]) - 1
    return layer


class _Placing:
    """Boxes and bends by layer; bends are numbered after the boxes."""

    def __init__(
        self, sizes: Sequence[Point], edges: Sequence[LayerEdge], layer: Sequence[int], gap: float
    ) -> None:
        self.count = len(sizes)
        self.sizes = sizes
        self.widths = [width for width, _ in sizes]
        self.gap = gap
        self.rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
        for box, number in enumerate(layer):
            self.rows[number].append(box)
        self.above: dict[int, list[int]] = defaultdict(list)
        self.below: dict[int, list[int]] = defaultdict(list)
        self.paths = {edge: self._bent(edge, layer) for edge in edges}
        self.x = [0.0] * len(self.widths)

    def _bent(self, edge: LayerEdge, layer: Sequence[int]) -> list[int]:
        """The points of an edge, one in each layer that it passes."""
        start, end = edge
        path = [start]
        for number in range(layer[start] + 1, layer[end]):
            path.append(len(self.widths))
            self.rows[number].append(len(self.widths))
            self.widths.append(BEND)
        path.append(end)
        for a, b in pairwise(path):
            self.below[a].append(b)
            self.above[b].append(a)
        return path

    def order(self) -> None:
        """Orders each layer by the medians of its neighbours, the best order of several sweeps."""
        best, crossings = [list(row) for row in self.rows], self._crossings()
        for sweep in range(SWEEPS):
            neighbours, rows = self.above, self.rows[1:]
            if sweep % 2:
                neighbours, rows = self.below, self.rows[-2::-1]
            place = {box: float(i) for row in self.rows for i, box in enumerate(row)}
            for row in rows:
                wanted = {
                    box: _median([place[n] for n in neighbours[box]], place[box]) for box in row
                }
                row.sort(key=lambda box: wanted[box])
                place |= {box: float(i) for i, box in enumerate(row)}
            found = self._crossings()
            if found < crossings:
                best, crossings = [list(row) for row in self.rows], found
        self.rows = best

    def _crossings(self) -> int:
        total = 0
        for row, below in pairwise(self.rows):
            place = {box: i for i, box in enumerate(below)}
            passed: list[int] = []
            for box in row:
                ends = sorted(place[end] for end in self.below[box])
                total += sum(len(passed) - bisect_right(passed, end) for end in ends)
                for end in ends:
                    insort(passed, end)
        return total

    def place(self) -> None:
        """Places each from left to right, near its neighbours, in the order of its layer."""
        for row in self.rows:
            at = 0.0
            for box in row:
                self.x[box] = at + self.widths[box] / 2
                at += self.widths[box] + self.gap
        for sweep in range(2 * SWEEPS):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                self._settle(row, None if sweep < SWEEPS else sweep % 2 == 0)

    def _settle(self, row: Sequence[int], down: bool | None) -> None:
        offsets, wanted, weights, at = [], [], [], 0.0
        for number, box in enumerate(row):
            if number:
                at += (self.widths[row[number - 1]] + self.widths[box]) / 2 + self.gap
            near = self.above[box] if down else self.below[box] if down is False else []
            near = near or [*self.above[box], *self.below[box]]
            middle = sum(self.x[n] for n in near) / len(near) if near else self.x[box]
            offsets.append(at)
            wanted.append(middle - at)
            weights.append(4.0 if box >= self.count else 1.0)
        for box, offset, value in zip(row, offsets, rising(wanted, weights), strict=True):
            self.x[box] = value + offset

    def done(self, between: float) -> LayeredLayout:
        """The places of all, from 0 on."""
        left = min((self.x[b] - self.widths[b] / 2 for row in self.rows for b in row), default=0)
        right = max((self.x[b] + self.widths[b] / 2 for row in self.rows for b in row), default=0)
        tops: dict[int, Point] = {}
        y = 0.0
        for row in self.rows:
            height = max((self.sizes[box][1] for box in row if box < self.count), default=0)
            tops |= dict.fromkeys(row, (y, height))
            y += height + between
        middles = {b: (self.x[b] - left, top + height / 2) for b, (top, height) in tops.items()}
        edges = {
            edge: tuple(self._points(path, middles, tops)) for edge, path in self.paths.items()
        }
        boxes = {box: middles[box] for box in range(self.count)}
        return LayeredLayout(boxes, edges, right - left, max(0.0, y - between))

    def _points(
        self, path: Sequence[int], middles: Mapping[int, Point], tops: Mapping[int, Point]
    ) -> Iterable[Point]:
        """From below the first box to above the last; straight through the layers between."""
        first, last = path[0], path[-1]
        yield middles[first][0], middles[first][1] + self.sizes[first][1] / 2
        for bend in path[1:-1]:
            top, height = tops[bend]
            yield middles[bend][0], top
            yield middles[bend][0], top + height
        yield middles[last][0], middles[last][1] - self.sizes[last][1] / 2


def _median(values: Sequence[float], default: float) -> float:
    if not values:
        return default
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values that do not fall, by least squares: those that would are pooled."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values, weights, strict=True):
        pool = value, weight, 1
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, count = pools.pop()
            total = heavy + pool[1]
            pool = (mean * heavy + pool[0] * pool[1]) / total, total, count + pool[2]
        pools.append(pool)
    return [mean for mean, _, count in pools for _ in range(count)]
