"""The plane of a family: every verdict in a window of its two coordinates, exactly.

The lines on which verdicts may change come from the regions. They cut the window into cells; each
cell, each piece of a line between cells and each crossing is judged with numbers.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

from abcparam.algebra.budgets import SpentError, spend
from abcparam.algebra.record import Record
from abcparam.analysis.judge import verdict_of
from abcparam.comparison.family import Family
from abcparam.program.binding import bind
from abcparam.program.vocabulary import VERDICTS, WINDOW
from abcparam.symbolic.constraints import LinearConstraint, holds
from abcparam.symbolic.judgement import DeniedError
from abcparam.symbolic.regions import Region, lowest_terms
from abcparam.symbolic.solver import gave_up

PlanePoint = tuple[Fraction, Fraction]
PlaneLine = tuple[Fraction, Fraction, Fraction]  # k + x s + y t = 0

USUAL = (Fraction(WINDOW[0]), Fraction(WINDOW[1]))


class PlanePart(Record):
    """A polygon without its edges, a segment without its ends, or a point; its verdict."""

    verdict: str
    points: tuple[PlanePoint, ...]

    def to_dict(self) -> dict[str, Any]:
        points = [[str(x), str(y)] for x, y in self.points]
        return {"verdict": self.verdict, "points": points}


class Plane(Record):
    """The parts of a window that cover it: cells, the segments and points that bound them."""

    family: Family
    names: tuple[str, str]  # the two specs
    window: tuple[Fraction, Fraction]  # of both coordinates
    regions: dict[str, Region]  # of each verdict that occurs anywhere
    cells: tuple[PlanePart, ...]
    segments: tuple[PlanePart, ...]
    points: tuple[PlanePart, ...]
    corners: tuple[PlanePart, PlanePart]  # the two specs
    unfinished: str = ""  # why there may be other regions and parts

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `abcparam map --format json`; coordinates are exact strings."""
        return {
            "schema": 1,
            "a": self.names[0],
            "b": self.names[1],
            "coordinates": {"init": self.family.init, "lr": self.family.lr},
            "corners": [corner.to_dict() for corner in self.corners],
            "window": [str(x) for x in self.window],
            "regions": {verdict: r.to_dict() for verdict, r in self.regions.items()},
            "cells": [part.to_dict() for part in self.cells],
            "segments": [part.to_dict() for part in self.segments],
            "points": [part.to_dict() for part in self.points],
            "spec": self.family.text,
            **({"unfinished": self.unfinished} if self.unfinished else {}),
        }


def plane(
    family: Family, names: tuple[str, str], window: tuple[Fraction, Fraction] = USUAL
) -> Plane:
    """All verdicts of a family whose coordinates are two symbols.

    Where the budget is spent before all are known, there are those that are; the two specs are
    judged in any case. Raises `SpecError` where numbers deny a region.
    """
    regions, ended = _regions(family)
    judge = _Judge(family, regions, ended)
    try:
        parts = _edges_and_cells(family, regions, window, judge)
        ends = [((x, x),) for x in (Fraction(0), Fraction(1))]
        a, b = (PlanePart(judge.verdict(end[0]), end) for end in ends)
    except DeniedError as error:
        raise gave_up(family.program.source, error) from None
    return Plane(family, names, window, regions, *parts, (a, b), judge.ended)


PlaneParts = tuple[tuple[PlanePart, ...], tuple[PlanePart, ...], tuple[PlanePart, ...]]


def _edges_and_cells(
    family: Family,
    regions: dict[str, Region],
    window: tuple[Fraction, Fraction],
    judge: _Judge,
) -> PlaneParts:
    lines = _lines(family, regions.values())
    found = _parts(lines, window, judge)
    if judge.ended:
        return found
    seen = [line for line in lines if _is_seen(line, *found)]
    if len(seen) < len(lines):
        found = _parts(seen, window, judge)
    cells, *bounds = found
    segments, points = (tuple(p for p in parts if _is_edge(p, cells)) for parts in bounds)
    return cells, segments, tuple(p for p in points if not _is_on(p, segments))


def names_of(a: str, b: str) -> tuple[str, str]:
    """What two specs are called: by their files, if those have different names."""
    first, second = (os.path.splitext(os.path.basename(file))[0] for file in (a, b))
    return (first, second) if first != second else ("A", "B")


def _regions(family: Family) -> tuple[dict[str, Region], str]:
    """The regions; none, and why, where the budget is spent."""
    report = family.report
    if report.cut_short:
        return {}, report.cut_short
    found = report.regions
    if found is None:  # no exponent depends on a symbol
        return {str(report.verdict): Region((), ())}, ""
    return {verdict: found[verdict] for verdict in VERDICTS if not found[verdict].empty}, ""


class _Judge:
    """What points are judged to be, by numbers; the regions, if any, have to say the same."""

    def __init__(self, family: Family, regions: dict[str, Region], ended: str) -> None:
        self.family, self.regions, self.ended = family, regions, ended
        self.known: dict[PlanePoint, str] = {}

    def parts(self, polygons: Iterable[Sequence[PlanePoint]]) -> Iterator[PlanePart]:
        """Those that the budget is enough for."""
        for points in polygons:
            try:
                if not self.ended:
                    spend()
                    yield PlanePart(self.verdict(_middle(points)), tuple(points))
            except SpentError as error:
                self.ended = str(error)

    def verdict(self, point: PlanePoint) -> str:
        if point not in self.known:
            program, regions = self.family.program, self.regions
            coordinates = {str(self.family.init): point[0], str(self.family.lr): point[1]}
            at = defaultdict(Fraction, coordinates)
            verdict = verdict_of(bind(program, {symbol: at[symbol] for symbol in program.symbols}))
            region = regions.get(verdict)
            if regions and (region is None or not holds(region.condition, at, region.symbols)):
                raise DeniedError
            self.known[point] = verdict
        return self.known[point]


def _lines(family: Family, regions: Iterable[Region]) -> list[PlaneLine]:
    """The lines on which conditions of the regions change."""
    found: dict[PlaneLine, None] = {}
    for region in regions:
        for clause in region.clauses:
            for alternative in clause:
                for x in alternative:
                    row = lowest_terms(LinearConstraint(x.row, "=")).row
                    by_symbol = dict(zip(region.symbols, row[1:], strict=True))
                    s, t = (Fraction(by_symbol.get(str(c), 0)) for c in (family.init, family.lr))
                    found[Fraction(row[0]), s, t] = None
    return list(found)


# Geometry, exact


def _parts(
    lines: Sequence[PlaneLine], window: tuple[Fraction, Fraction], judge: _Judge
) -> PlaneParts:
    """The cells, segments and crossings that lines make in the window."""
    low, high = window
    square = ((low, low), (high, low), (high, high), (low, high))
    cells: list[tuple[PlanePoint, ...]] = [square]
    for line in lines:
        cells = [piece for cell in cells for piece in _cut(cell, line)]
    segments = [s for line in lines for s in _segments(line, lines, square)]
    points = dict.fromkeys(
        p for one, other in combinations(lines, 2) if (p := _crossing(one, other, square))
    )
    kinds = (cells, segments, [(point,) for point in points])
    found = [tuple(judge.parts(polygons)) for polygons in kinds]
    return found[0], found[1], found[2]


def _side(line: PlaneLine, point: PlanePoint) -> Fraction:
    return line[0] + line[1] * point[0] + line[2] * point[1]


def _middle(points: Sequence[PlanePoint]) -> PlanePoint:
    """A point inside of the convex hull."""
    n = len(points)
    x, y = (sum(values, Fraction(0)) for values in zip(*points, strict=True))
    return x / n, y / n


def _cut(cell: Sequence[PlanePoint], line: PlaneLine) -> Iterator[tuple[PlanePoint, ...]]:
    """A convex polygon in up to two pieces."""
    sides = [_side(line, point) for point in cell]
    if min(sides) >= 0 or max(sides) <= 0:
        yield tuple(cell)
        return
    for sign in (1, -1):
        yield tuple(_half(cell, [sign * side for side in sides]))


def _half(cell: Sequence[PlanePoint], sides: Sequence[Fraction]) -> Iterator[PlanePoint]:
    for i, (point, side) in enumerate(zip(cell, sides, strict=True)):
        if side >= 0:
            yield point
        after, beyond = cell[(i + 1) % len(cell)], sides[(i + 1) % len(cell)]
        if side * beyond < 0:
            yield _between(point, after, side / (side - beyond))


def _between(start: PlanePoint, stop: PlanePoint, part: Fraction) -> PlanePoint:
    return start[0] + part * (stop[0] - start[0]), start[1] + part * (stop[1] - start[1])


def _segments(
    line: PlaneLine, lines: Iterable[PlaneLine], square: Sequence[PlanePoint]
) -> Iterator[tuple[PlanePoint, PlanePoint]]:
    """The pieces of a line in the square, between the others that cross it."""
    edges = [
        _through(start, stop) for start, stop in zip(square, (*square[1:], square[0]), strict=True)
    ]
    crossings = (_crossing(line, other, square) for other in (*lines, *edges))
    yield from pairwise(sorted({point for point in crossings if point}))


def _through(start: PlanePoint, stop: PlanePoint) -> PlaneLine:
    x, y = start[1] - stop[1], stop[0] - start[0]
    return -x * start[0] - y * start[1], x, y


def _crossing(one: PlaneLine, other: PlaneLine, square: Sequence[PlanePoint]) -> PlanePoint | None:
    """Where two lines cross in the square; None where they do not, or are the same."""
    determinant = one[1] * other[2] - one[2] * other[1]
    if not determinant:
        return None
    x = (one[2] * other[0] - one[0] * other[2]) / determinant
    y = (one[0] * other[1] - one[1] * other[0]) / determinant
    (low, _), (high, _) = square[0], square[2]
    return (x, y) if low <= x <= high and low <= y <= high else None


def _is_seen(
    line: PlaneLine,
    cells: Sequence[PlanePart],
    segments: Sequence[PlanePart],
    points: Sequence[PlanePart],
) -> bool:
    """Whether a verdict is another one on the line, or on one side of it."""
    on_it = (p for p in (*segments, *points) if not any(_side(line, x) for x in p.points))
    return any(_is_edge(part, cells) for part in on_it)


def _is_edge(part: PlanePart, cells: Iterable[PlanePart]) -> bool:
    """Whether a cell that it bounds has another verdict."""
    middle = _middle(part.points)
    return any(c.verdict != part.verdict for c in cells if _touches(c.points, middle))


def _is_on(point: PlanePart, segments: Iterable[PlanePart]) -> bool:
    """Whether it is the end of a segment with the same verdict."""
    return any(point.points[0] in s.points for s in segments if s.verdict == point.verdict)


def _touches(cell: Sequence[PlanePoint], point: PlanePoint) -> bool:
    """Whether a point lies in a convex polygon or on its edge."""
    return all(_side(_through(start, stop), point) >= 0 for start, stop in _edges(cell))


def _edges(polygon: Sequence[PlanePoint]) -> Iterable[tuple[PlanePoint, PlanePoint]]:
    return pairwise((*polygon, polygon[0]))
