"""Fits of sizes against widths: a power, and a sum of given powers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from abcparam.algebra.lines import Slope, slope_of
from abcparam.algebra.record import Record

WidthPoint = tuple[float, float]  # width, size

GRID, BELOW, ABOVE = 0.02, 8, 45  # exponents that may lead, about the slope
LOWER = 3  # powers below them that are mixed in
MODEL = 0.004  # what a sum of powers leaves of log size where seeds leave nothing


class PowerSumFit(Record):
    """`size² = Σ A_i n^(2 e_i)` with A_i >= 0.

    `share`: the leading power's part of the square at the largest width. `residual`: root mean
    square of what is left of log size.
    """

    share: float
    residual: float


def mixture_of(points: Sequence[WidthPoint], exponents: Sequence[float]) -> PowerSumFit:
    """The best fit in relative errors of the squares; the first exponent leads."""
    middle = math.exp(math.fsum(math.log(n) for n, _ in points) / len(points))
    rows = [[(n / middle) ** (2 * e) / y**2 for e in exponents] for n, y in points]
    best = min(_solutions(rows, len(exponents)), key=lambda a: _left(rows, a))
    largest = max(n for n, _ in points) / middle
    parts = [a * largest ** (2 * e) for a, e in zip(best, exponents, strict=True)]
    fitted = [sum(a * x for a, x in zip(best, row, strict=True)) for row in rows]
    residual = math.sqrt(sum((math.log(f) / 2) ** 2 for f in fitted) / len(rows))
    return PowerSumFit(parts[0] / sum(parts), residual)


def _left(rows: Sequence[Sequence[float]], amounts: Sequence[float]) -> float:
    return sum((sum(a * x for a, x in zip(amounts, row, strict=True)) - 1) ** 2 for row in rows)


def _solutions(rows: Sequence[Sequence[float]], count: int) -> Iterator[list[float]]:
    """The least-squares solution of each set of powers, where it is not negative."""
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            found = _solved([[row[i] for i in chosen] for row in rows])
            if found is not None and min(found) >= 0 and any(found):
                full = [0.0] * count
                for index, amount in zip(chosen, found, strict=True):
                    full[index] = amount
                yield full


def _solved(rows: Sequence[Sequence[float]]) -> list[float] | None:
    """Normal equations for ones on the right, by Gauss; None where they are singular."""
    size = len(rows[0])
    matrix = [[math.fsum(r[i] * r[j] for r in rows) for j in range(size)] for i in range(size)]
    right = [math.fsum(row[i] for row in rows) for i in range(size)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(matrix[k][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        right[i], right[pivot] = right[pivot], right[i]
        if abs(matrix[i][i]) < 1e-12 * max(1e-300, max(map(abs, matrix[i]))):
            return None
        for k in range(size):
            if k != i:
                factor = matrix[k][i] / matrix[i][i]
                matrix[k] = [x - factor * y for x, y in zip(matrix[k], matrix[i], strict=True)]
                right[k] -= factor * right[i]
    if not all(matrix[i][i] for i in range(size)):
        return None  # nearly singular: what was left of it is rounding
    return [value / matrix[i][i] for i, value in enumerate(right)]


def scatter(points: Sequence[WidthPoint]) -> float:
    """Root mean square of log size about the mean of its width: what seeds alone make."""
    by_width = _by_width(points)
    freedom = len(points) - len(by_width)
    if not freedom:
        return 0.0
    means = {n: math.fsum(ys) / len(ys) for n, ys in by_width.items()}
    return math.sqrt(sum((y - means[n]) ** 2 for n, ys in by_width.items() for y in ys) / freedom)


def _by_width(points: Sequence[WidthPoint]) -> dict[float, list[float]]:
    """Log sizes, in the order of the seeds."""
    found: dict[float, list[float]] = {}
    for n, y in points:
        found.setdefault(n, []).append(math.log(y))
    return found


def leading_of(
    points: Sequence[WidthPoint], smaller: Sequence[float], share: float
) -> Slope | None:
    """The exponent of the leading power where others are mixed in, itself left free.

    Of the exponents e about the slope it takes those with which `A n^(2 e)`, at least a `share` of
    the square at the largest width, and powers from below e (the largest of `smaller`, and e - 1/2)
    fit the means over seeds best; the value is the middle of the 95 % interval of the profile of
    squares, which counts the scatter of the seeds once what a seed makes at every width alike is
    taken off. None where no e leads.
    """
    by_width = _by_width(points)
    means = [(n, math.exp(math.fsum(ys) / len(ys))) for n, ys in by_width.items()]
    middle = round(slope_of(means).value / GRID)
    left = {
        k * GRID: _profile(means, k * GRID, smaller, share)
        for k in range(middle - BELOW, middle + ABOVE)
    }
    least = min(left.values())
    if math.isinf(least):
        return None
    spread = max(_own_scatter(list(by_width.values())), MODEL)
    fitting = [e for e, square in left.items() if square <= least + (2 * spread) ** 2]
    low, high = min(fitting), max(fitting)
    return Slope((low + high) / 2, max(high - low, GRID) / 2)


def _profile(
    means: Sequence[WidthPoint], exponent: float, smaller: Sequence[float], share: float
) -> float:
    """The sum of squares that is left; infinite where the power does not lead."""
    lower = sorted((e for e in smaller if e < exponent - GRID), reverse=True)[:LOWER]
    fit = mixture_of(means, [exponent, *lower, exponent - 0.5])
    return math.inf if fit.share < share else len(means) * fit.residual**2


def _own_scatter(table: Sequence[Sequence[float]]) -> float:
    """The deviation of a mean over seeds, without what a seed makes at every width alike."""
    seeds = min(map(len, table))
    freedom = (len(table) - 1) * (seeds - 1)
    if not freedom:
        return 0.0
    means = [math.fsum(row[:seeds]) / seeds for row in table]
    whole = math.fsum(means) / len(means)
    common = [math.fsum(column) / len(table) - whole for column in zip(*table, strict=False)]
    left = (
        (y - mean - own) ** 2
        for row, mean in zip(table, means, strict=True)
        for y, own in zip(row, common, strict=False)
    )
    return math.sqrt(math.fsum(left) / freedom / seeds)
