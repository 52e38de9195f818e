"""Lines through points on logarithmic axes, and how surely they are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

from abcparam.algebra.record import Record


class Slope(Record):
    """A least-squares slope of logarithms; `error` is half of its 95 % interval.

    `left` is the sum of squares that the line leaves.
    """

    value: float
    error: float
    left: float = 0.0


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """Over all points alike; the interval is Student's, with the pooled residual."""
    xs, ys = ([math.log(value) for value in column] for column in zip(*points, strict=True))
    x0, y0 = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - x0) ** 2 for x in xs)
    value = math.fsum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / spread
    left = math.fsum((y - y0 - value * (x - x0)) ** 2 for x, y in zip(xs, ys, strict=True))
    freedom = len(xs) - 2
    error = quantile(freedom) * math.sqrt(left / freedom / spread) if freedom > 0 else math.inf
    return Slope(value, error, left)


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


def ratio_quantile(above: int, below: int) -> float:
    """The 95 % point of F, with at least 2 degrees of freedom `below`.

    It is Student's where there is one `above`, else good to a few percent (Abramowitz, 26.6.16).
    """
    if above == 1:
        return quantile(below) ** 2
    z, a, b = 1.644854, 2 / (9 * above), 2 / (9 * below)
    root = math.sqrt((1 - a) ** 2 * b + (1 - b) ** 2 * a - a * b * z**2)
    return float((((1 - a) * (1 - b) + z * root) / ((1 - b) ** 2 - b * z**2)) ** 3)
