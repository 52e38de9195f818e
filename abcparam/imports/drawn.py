"""What the entries of a tensor are: a constant, or drawn from a distribution, as it was written."""

from __future__ import annotations

from math import erf, exp, inf, isclose, isinf, pi, sqrt

from abcparam.algebra.record import Record

NEAR = 1e-6


class Drawn(Record):
    """The distribution of each entry.

    `spread` is the standard deviation of `normal`, half the width of `uniform`, and the root mean
    square of `orthogonal` matrices and `signs`. Entries lie between `low` and `high`. A family that
    is `unknown` says in `by` what wrote it.
    """

    family: str
    mean: float = 0.0
    spread: float = 0.0
    low: float = -inf
    high: float = inf
    by: str = ""

    @property
    def known(self) -> bool:
        return self.family not in ("unknown", "empty")

    @property
    def is_constant(self) -> bool:
        return self.family == "constant"

    @property
    def is_centred(self) -> bool:
        return abs(self.mean) <= NEAR * self.spread

    def affine(self, factor: float, shift: float = 0.0) -> Drawn:
        """Of `factor * x + shift`."""
        if not self.known or (shift and self.family in ("orthogonal", "signs")):
            return self if not self.known else unknown("addition to it")
        ends = sorted(_moved(end, factor, shift) for end in (self.low, self.high))
        mean = self.mean * factor + shift
        return Drawn(self.family, mean, abs(factor) * self.spread, ends[0], ends[1])

    def clamped(self, low: float, high: float) -> Drawn:
        """Of what is brought between two bounds."""
        if self.is_constant:
            return constant(min(max(self.mean, low), high))
        slack = NEAR * self.spread
        inside = low <= self.low + slack and self.high - slack <= high
        return self if inside or not self.known else unknown("clamp")

    def like(self, other: Drawn) -> bool:
        """Whether they are the same, but for rounding."""
        pairs = ((self.mean, other.mean), (self.spread, other.spread))
        return self.family == other.family and all(isclose(x, y, rel_tol=NEAR) for x, y in pairs)


def _moved(end: float, factor: float, shift: float) -> float:
    return shift if factor == 0 else end * factor + shift


def constant(value: float) -> Drawn:
    return Drawn("constant", value, 0.0, value, value)


def normal(mean: float, std: float) -> Drawn:
    return Drawn("normal", mean, std) if std else constant(mean)


def uniform(low: float, high: float) -> Drawn:
    if low == high:
        return constant(low)
    return Drawn("uniform", (low + high) / 2, (high - low) / 2, low, high)


def unknown(by: str) -> Drawn:
    return Drawn("unknown", by=by)


EMPTY = Drawn("empty", by="nothing")


def truncated(mean: float, std: float, low: float, high: float) -> Drawn:
    """A normal distribution without what lies beyond two bounds."""
    a, b = (low - mean) / std, (high - mean) / std
    inside = _cumulative(b) - _cumulative(a)
    offset = (_density(a) - _density(b)) / inside
    variance = 1 + (_weighted(a) - _weighted(b)) / inside - offset**2
    return Drawn("normal", mean + std * offset, std * sqrt(variance), low, high)


def inverse_erf(drawn: Drawn) -> Drawn:
    """Of the inverse error function of uniform numbers: normal ones over sqrt(2), truncated."""
    if drawn.family != "uniform":
        return unknown("erfinv")
    if drawn.low <= -1 + NEAR and drawn.high >= 1 - NEAR:
        return normal(0.0, sqrt(0.5))
    low, high = (_quantile(end) for end in (drawn.low, drawn.high))
    return truncated(0.0, sqrt(0.5), low, high)


def _quantile(value: float) -> float:
    """The inverse error function, by bisection."""
    low, high = -6.0, 6.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if erf(middle) < value else (low, middle)
    return low


def _cumulative(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def _density(x: float) -> float:
    return exp(-x * x / 2) / sqrt(2 * pi)


def _weighted(x: float) -> float:
    return 0.0 if isinf(x) else x * _density(x)
