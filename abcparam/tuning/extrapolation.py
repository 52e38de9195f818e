"""Power laws over sizes, fitted to what a sweep found, and how surely they hold of a larger one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abcparam.algebra.lines import slope_of
from abcparam.algebra.record import Record
from abcparam.tuning.choices import RANDOM
from abcparam.tuning.options import AS_WRITTEN
from abcparam.tuning.sweep import Best, SweepResult

FEWEST = 3  # sizes that a law is fitted to
LEVEL = 0.95  # of intervals
NORMAL = 1.96
VAGUE = 100.0  # from end to end of an interval: it tells nothing that can be used


class Estimate(Record):
    """A value, and the ends of an interval that has it at `LEVEL`."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


class PowerLaw(Record):
    """A value as a power of a size, by least squares on logarithms.

    `resolution` is how far apart neighbouring values of a search are, as a logarithm: what is read
    off a grid is no surer than that, however well a line fits. Between values it is a chance error
    of each size. Where values are `rounded` to the grid, as a neighbour diverged, the errors of
    several sizes go together, and count as the worst that they can be.
    """

    sizes: tuple[float, ...]
    values: tuple[float, ...]
    resolution: float = 0.0
    rounded: bool = False

    @property
    def slope(self) -> Estimate:
        """The exponent: as sure as the line fits, and no surer than a grid is fine."""
        found = slope_of(list(zip(self.sizes, self.values, strict=True)))
        if self.rounded:
            far = math.fsum(abs(math.log(size) - self._mean) for size in self.sizes)
            grid = self.resolution / 2 * far / self._spread
        else:
            grid = NORMAL * self.resolution / math.sqrt(12 * self._spread)
        wide = max(found.error, grid)
        return Estimate(found.value, found.value - wide, found.value + wide)

    def at(self, size: float) -> Estimate:
        """What a search at that size would find, as these were found."""
        slope, distance = self.slope, math.log(size) - self._mean
        middle = _mean([math.log(value) for value in self.values]) + slope.value * distance
        own = self._spread * (1 + 1 / len(self.sizes)) + distance**2
        wide = (slope.high - slope.value) * math.sqrt(own)
        return Estimate(*(_exp(middle + part) for part in (0.0, -wide, wide)))

    def to_dict(self, size: float) -> dict[str, Any]:
        return {
            "values": list(self.values),
            "exponent": self.slope.to_dict(),
            "at_target": self.at(size).to_dict(),
        }

    @property
    def _mean(self) -> float:
        return _mean([math.log(size) for size in self.sizes])

    @property
    def _spread(self) -> float:
        return math.fsum((math.log(size) - self._mean) ** 2 for size in self.sizes)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _exp(value: float) -> float:
    """Within what a float holds: nothing is known of what lies beyond."""
    return math.exp(min(max(value, -700.0), 700.0))


class Optimum(Record):
    """A best value, the logarithm of a step of its search, and whether it is one of that search."""

    value: float
    step: float
    rounded: bool = True


def law_of(sizes: Sequence[float], found: Sequence[Optimum]) -> PowerLaw:
    """The law of the best values at some sizes, as sure as the least sure of them."""
    values = tuple(each.value for each in found)
    step, rounded = max(each.step for each in found), any(each.rounded for each in found)
    return PowerLaw(tuple(sizes), values, step, rounded)


class SizeLaws(Record):
    """The best hypers of each size and their losses, as laws in it, up to the target's.

    `hidden` are hypers whose best value lies at an end of what was searched, at these sizes, so
    that there is no law of it.
    """

    dim: str
    target: float
    hypers: Mapping[str, PowerLaw]
    hidden: Mapping[str, Sequence[float]]
    loss: PowerLaw

    def to_dict(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "sizes": list(self.loss.sizes),
            "target": self.target,
            "level": LEVEL,
            "hypers": {name: law.to_dict(self.target) for name, law in self.hypers.items()},
            "hidden": {name: list(sizes) for name, sizes in self.hidden.items()},
            "loss": self.loss.to_dict(self.target),
        }

    def lines(self) -> Iterator[str]:
        """As text."""
        where = f"at {self.dim} {self.target:g}"
        for name, law in self.hypers.items():
            yield (
                f"the best {name} goes as {self.dim}^{law.slope.value:.2g} "
                f"({_interval(law.slope)}): {where} {law.at(self.target).value:.3g} "
                f"({_interval(law.at(self.target))})"
            )
        for name, sizes in self.hidden.items():
            yield (
                f"the best {name} lies at an end of what was searched at {self.dim} "
                f"{', '.join(f'{size:g}' for size in sizes)}, which hides how it goes: widen {name}"
            )
        ends = [law.at(self.target) for law in self.hypers.values()]
        found = self.loss.at(self.target)
        yield f"a loss of {found.value:.4g} ({_interval(found)}) is expected {where}"
        yield (
            f"intervals are at {100 * LEVEL:.0f} %, by powers of {len(self.loss.sizes)} sizes "
            "and trained as these were"
        )
        if any(end.high > VAGUE * end.low for end in (*ends, found)):
            yield (
                f"they are too wide to be of use: more sizes than {len(self.loss.sizes)}, "
                "further apart, and more seeds narrow them"
            )


def _interval(found: Estimate) -> str:
    return f"{found.low:.3g} to {found.high:.3g}"


def laws_of(swept: SweepResult, sampler: str, target: Mapping[str, float]) -> SizeLaws | None:
    """The laws in the one growing dim that a sweep was over; None: there is none, or few sizes."""
    program = swept.program
    grown = [axis.name for axis in swept.axes if axis.name in program.dims]
    best = [each for each in swept.best if each.cell.form == AS_WRITTEN and each.loss > 0]
    alike = {(each.cell.steps, each.cell.batch) for each in best}
    if len(grown) != 1 or not program.dims[grown[0]].infinite or len(alike) != 1:
        return None
    (dim,) = grown
    sizes = tuple(float(dict(each.cell.sizes)[dim]) for each in best)
    if len(set(sizes)) < FEWEST or target.get(dim) is None:
        return None
    # Values at random differ in all hypers at once: which are neighbours says nothing of one.
    read = len(swept.tuned) == 1 or (sampler == RANDOM and _is_grid(swept))
    hypers, hidden = {}, {}
    for name, value in best[0].hypers.items():
        at_ends = [size for size, b in zip(sizes, best, strict=True) if swept.hides(b, name)]
        if at_ends and name in swept.searched:
            hidden[name] = sorted(at_ends)
        elif value > 0 and name in swept.searched:
            found = [optimum(swept, each, name) if read else _plain(each, name) for each in best]
            if all(each.value > 0 for each in found):
                hypers[name] = law_of(sizes, found)
    loss = PowerLaw(sizes, tuple(each.loss for each in best))
    return SizeLaws(dim, target[dim], hypers, hidden, loss)


def _is_grid(swept: SweepResult) -> bool:
    """Whether every combination of values was trained."""
    points = [dict(point) for points in swept.cells.values() for point in points]
    count = math.prod(len({p[axis.name] for p in points}) for axis in swept.tuned)
    return all(len(points) == count for points in swept.cells.values())


def _plain(best: Best, name: str) -> Optimum:
    return Optimum(float(best.hypers[name]), 0.0)


def optimum(swept: SweepResult, best: Best, name: str) -> Optimum:
    """Where the loss of a cell is least, between values.

    It is the least of the parabola through the best value and its neighbours; at an end of the
    range, or where a neighbour diverged, the best value itself.
    """
    found = swept.least(best.cell, name).items()
    curve = sorted((value, loss) for value, loss in found if not isinstance(value, str))
    middle = float(best.hypers[name])
    values = [value for value, _ in curve]
    place = values.index(middle)
    if len(values) < 2 or min(values) <= 0:
        return Optimum(middle, 0.0)
    logs = [math.log(value) for value in values]
    low, high = max(0, place - 1), min(len(values) - 1, place + 1)
    step = (logs[high] - logs[low]) / (high - low)
    near = [curve[n][1] for n in range(low, high + 1)]
    if len(near) == 3 and all(map(math.isfinite, near)):
        return Optimum(math.exp(_vertex(logs[low : high + 1], near)), step, rounded=False)
    return Optimum(middle, step)


def _vertex(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the parabola through three points, the middle one the lowest."""
    left, right = (x[1] - x[0], y[1] - y[0]), (x[1] - x[2], y[1] - y[2])
    below = left[0] * right[1] - right[0] * left[1]
    if not below:
        return x[1]
    return x[1] - (left[0] ** 2 * right[1] - right[0] ** 2 * left[1]) / (2 * below)
