"""Fits of sizes against widths: a power, and a sum of given powers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from abcparam.record import Record

Point = tuple[float, float]  # width, size


class Slope(Record):
    """A least-squares slope of log size on log width; `error` is half of its 95 % interval."""

    value: float
    error: float


def slope_of(points: Sequence[Point]) -> Slope:
    """Over all points alike; the interval is Student's, with the pooled residual."""
    xs, ys = ([math.log(value) for value in column] for column in zip(*points, strict=True))
    x0, y0 = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - x0) ** 2 for x in xs)
    value = math.fsum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / spread
    left = math.fsum((y - y0 - value * (x - x0)) ** 2 for x, y in zip(xs, ys, strict=True))
    freedom = len(xs) - 2
    error = quantile(freedom) * math.sqrt(left / freedom / spread) if freedom > 0 else math.inf
    return Slope(value, error)


def quantile(freedom: int) -> float:
    """The 97.5 % point of Student's t: exact for 1 and 2, else to 1e-3 (Abramowitz, 26.7.5)."""
    if freedom <= 2:
        return 12.706 if freedom == 1 else 4.303
    z, v = 1.959964, freedom
    terms = (
        z,
        (z**3 + z) / 4 / v,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96 / v**2,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / v**3,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160 / v**4,
    )
    return sum(terms)


class Mixture(Record):
    """`size² = Σ A_i n^(2 e_i)` with A_i >= 0. `share`: the leading power's part of the square at
    the largest width. `residual`: root mean square of what is left of log size.
    """

    share: float
    residual: float


def mixture_of(points: Sequence[Point], exponents: Sequence[float]) -> Mixture:
    """The best fit in relative errors of the squares; the first exponent leads."""
    middle = math.exp(math.fsum(math.log(n) for n, _ in points) / len(points))
    rows = [[(n / middle) ** (2 * e) / y**2 for e in exponents] for n, y in points]
    best = min(_solutions(rows, len(exponents)), key=lambda a: _left(rows, a))
    largest = max(n for n, _ in points) / middle
    parts = [a * largest ** (2 * e) for a, e in zip(best, exponents, strict=True)]
    fitted = [sum(a * x for a, x in zip(best, row, strict=True)) for row in rows]
    residual = math.sqrt(sum((math.log(f) / 2) ** 2 for f in fitted) / len(rows))
    return Mixture(parts[0] / sum(parts), residual)


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
    return [value / matrix[i][i] for i, value in enumerate(right)]


def scatter(points: Sequence[Point]) -> float:
    """Root mean square of log size about the mean of its width: what seeds alone make."""
    by_width: dict[float, list[float]] = {}
    for n, y in points:
        by_width.setdefault(n, []).append(math.log(y))
    freedom = len(points) - len(by_width)
    if not freedom:
        return 0.0
    means = {n: math.fsum(ys) / len(ys) for n, ys in by_width.items()}
    return math.sqrt(sum((y - means[n]) ** 2 for n, ys in by_width.items() for y in ys) / freedom)
