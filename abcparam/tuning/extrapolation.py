"""Power laws over sizes, fitted to what a sweep found, and how surely they hold of a larger one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abcparam.algebra.lines import Slope, quantile, ratio_quantile, slope_of
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


class Scatter(Record):
    """How what is found at one size varies over seeds: the variance of its logarithm."""

    variance: float
    freedom: int  # degrees of freedom of that


class PowerLaw(Record):
    """A value as a power of a size, by least squares on logarithms.

    `resolution` is how far apart neighbouring values of a search are, as a logarithm: what is read
    off a grid is no surer than that, however well a line fits. Between values it is a chance error
    of each size. Where values are `rounded` to the grid, as a neighbour diverged, the errors of
    several sizes go together, and count as the worst that they can be.

    Few sizes alone hardly tell how surely a line goes through them: of three the 97.5 % point of
    Student's t is 12.7. `scatter`, where there are seeds, tells it too, and is pooled with what the
    line leaves, unless that is more than seeds explain (an F test at 5 %): then no power holds so
    exactly, and what the line leaves counts alone. A parabola through three points a step h apart
    is off by up to h^2/8 times the third derivative of a loss over its second, as the points shift;
    that is a quarter of a step for curvatures that change sevenfold in one.
    """

    sizes: tuple[float, ...]
    values: tuple[float, ...]
    resolution: float = 0.0
    rounded: bool = False
    scatter: Scatter | None = None

    @property
    def slope(self) -> Estimate:
        """The exponent: as sure as the line fits, and no surer than a grid is fine."""
        found = self._line
        by_seeds = self._by_seeds(found)
        if self.rounded:
            far = math.fsum(abs(math.log(size) - self._mean) for size in self.sizes)
            wide = max(found.error, self.resolution / 2 * far / self._spread)
        elif by_seeds is None:
            wide = max(found.error, self._even(self.resolution))
        else:
            wide = math.hypot(by_seeds, self._even(self.resolution / 4))
        return Estimate(found.value, found.value - wide, found.value + wide)

    @property
    def _line(self) -> Slope:
        return slope_of(list(zip(self.sizes, self.values, strict=True)))

    def _even(self, width: float) -> float:
        """Half of the interval of the slope where each value is off evenly in so wide a range."""
        return NORMAL * width / math.sqrt(12 * self._spread)

    def _by_seeds(self, found: Slope) -> float | None:
        """Half of the interval of the slope, by the line and by seeds; None: by the line alone."""
        freedom, scatter = len(self.sizes) - 2, self.scatter
        if freedom < 1 or scatter is None or scatter.freedom < 2:
            return None
        if found.left > freedom * scatter.variance * ratio_quantile(freedom, scatter.freedom):
            return None
        pooled = found.left + scatter.freedom * scatter.variance
        freedom += scatter.freedom
        return quantile(freedom) * math.sqrt(pooled / freedom / self._spread)

    def at(self, size: float) -> Estimate:
        """What a search at that size would find, as these were found.

        Few sizes do not show whether a power goes on or comes to rest. Where seeds make the
        interval a narrow one it holds the value at the largest of them too.
        """
        slope = self.slope
        own = self._spread * (1 + 1 / len(self.sizes)) + (math.log(size) - self._mean) ** 2
        middle, wide = self._fitted(slope, size), (slope.high - slope.value) * math.sqrt(own)
        ends = [middle - wide, middle + wide]
        if not self.rounded and self._by_seeds(self._line) is not None and size > max(self.sizes):
            ends.append(self._fitted(slope, max(self.sizes)))
        return Estimate(*map(_exp, (middle, min(ends), max(ends))))

    def _fitted(self, slope: Estimate, size: float) -> float:
        """The logarithm of the value on the line."""
        middle = _mean([math.log(value) for value in self.values])
        return middle + slope.value * (math.log(size) - self._mean)

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
    """A best value, the logarithm of a step of its search, and whether it is one of that search.

    `by_seed` is by how much each seed alone moves its logarithm, to first order.
    """

    value: float
    step: float
    rounded: bool = True
    by_seed: tuple[float, ...] = ()


def law_of(sizes: Sequence[float], found: Sequence[Optimum]) -> PowerLaw:
    """The law of the best values at some sizes, as sure as the least sure of them."""
    values = tuple(each.value for each in found)
    step, rounded = max(each.step for each in found), any(each.rounded for each in found)
    scatter = scatter_of([each.by_seed for each in found])
    return PowerLaw(tuple(sizes), values, step, rounded, scatter)


def scatter_of(found: Sequence[Sequence[float]]) -> Scatter | None:
    """Of means over seeds, from the seeds of each size; None where no size has several.

    The variance is that of the size with the fewest seeds.
    """
    several = [each for each in found if len(each) > 1]
    freedom = sum(len(each) - 1 for each in several)
    if not freedom:
        return None
    squares = math.fsum((x - _mean(each)) ** 2 for each in several for x in each)
    return Scatter(squares / freedom / max(1, min(map(len, found))), freedom)


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
    loss = PowerLaw(sizes, tuple(each.loss for each in best), scatter=_loss_scatter(swept, best))
    return SizeLaws(dim, target[dim], hypers, hidden, loss)


def _is_grid(swept: SweepResult) -> bool:
    """Whether every combination of values was trained."""
    points = [dict(point) for points in swept.cells.values() for point in points]
    count = math.prod(len({p[axis.name] for p in points}) for axis in swept.tuned)
    return all(len(points) == count for points in swept.cells.values())


def _loss_scatter(swept: SweepResult, best: Sequence[Best]) -> Scatter | None:
    """Of the logarithm of a loss, to first order."""
    seeds = (swept.scores[each.cell][each.point].values() for each in best)
    return scatter_of(
        [[score / each.loss for score in found] for each, found in zip(best, seeds, strict=True)]
    )


def _plain(best: Best, name: str) -> Optimum:
    return Optimum(float(best.hypers[name]), 0.0)


def optimum(swept: SweepResult, best: Best, name: str) -> Optimum:
    """Where the loss of a cell is least, between values.

    It is the least of the parabola through the best value and its neighbours; at an end of the
    range, or where a neighbour diverged, the best value itself.
    """
    points, losses = swept.least_points(best.cell, name), swept.cells[best.cell]
    curve = sorted(
        (value, losses[point]) for value, point in points.items() if not isinstance(value, str)
    )
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
        x = logs[low : high + 1]
        scores = [swept.scores[best.cell][points[value]] for value in values[low : high + 1]]
        seeds = sorted(set.intersection(*(set(each) for each in scores)))
        moved = _moved(x, near, [[each[seed] for each in scores] for seed in seeds])
        return Optimum(math.exp(_vertex(x, near)), step, rounded=False, by_seed=moved)
    return Optimum(middle, step)


def _moved(
    x: Sequence[float], y: Sequence[float], seeds: Sequence[Sequence[float]]
) -> tuple[float, ...]:
    """By how much the losses of each seed move the vertex of their means, to first order."""
    left, right = (x[1] - x[0], y[1] - y[0]), (x[1] - x[2], y[1] - y[2])
    above = left[0] ** 2 * right[1] - right[0] ** 2 * left[1]
    below = left[0] * right[1] - right[0] * left[1]
    if not below:
        return ()
    by_left = (right[0] ** 2 * below - above * right[0]) / (2 * below**2)
    by_right = (above * left[0] - left[0] ** 2 * below) / (2 * below**2)
    slopes = (-by_left, by_left + by_right, -by_right)
    return tuple(
        math.fsum(s * (own - mean) for s, own, mean in zip(slopes, each, y, strict=True))
        for each in seeds
    )


def _vertex(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the parabola through three points, the middle one the lowest."""
    left, right = (x[1] - x[0], y[1] - y[0]), (x[1] - x[2], y[1] - y[2])
    below = left[0] * right[1] - right[0] * left[1]
    if not below:
        return x[1]
    return x[1] - (left[0] ** 2 * right[1] - right[0] ** 2 * left[1]) / (2 * below)
