"""Charts drawn by hand as SVG: scales, ticks and lines, in the colours of a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from abcparam.algebra.record import NamedTuple
from abcparam.presentation.markup import element, shown

CHARACTER = 6.7  # the width of a letter, at 11 px


class ChartScale(NamedTuple):
    """From values to places: a power of ten or an equal step is as far everywhere."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def over(
        cls, values: Iterable[float], start: float, end: float, is_log: bool = False
    ) -> ChartScale:
        """A scale with a little room about the values."""
        found = list(values)
        low, high = min(found), max(found)
        if is_log:
            room = max((high / low) ** 0.06, 1.02)
            return cls(low / room, high * room, start, end, True)
        room = 0.06 * (high - low) or 0.5
        return cls(low - room, high + room, start, end)

    def at(self, value: float) -> float:
        ends = (self.low, self.high, value)
        low, high, value = map(math.log, ends) if self.is_log else ends
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self, most: int = 6) -> list[float]:
        """A few round values inside."""
        if self.is_log:
            return self._powers(most)
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step *= next(n for n in (1, 2, 5, 10, 20) if (self.high - self.low) / (n * step) <= most)
        first = math.ceil(self.low / step)
        return [n * step for n in range(first, math.floor(self.high / step) + 1)]

    def _powers(self, most: int) -> list[float]:
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        powers = [10.0**n for n in range(first, last + 1)]
        if len(powers) > most:
            return powers[:: math.ceil(len(powers) / most)]
        if len(powers) >= 2:
            return powers
        digits = (n * 10.0**e for e in range(first - 1, last + 1) for n in (1, 2, 3, 5, 7))
        found = [value for value in digits if self.low <= value <= self.high][:most]
        return found if len(found) > 1 else self._replace(is_log=False).ticks(most)


def line(points: Sequence[tuple[float, float]], kind: str) -> str:
    """A line through places."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", "", points=path, class_=kind)


def text(words: str, x: float, y: float, kind: str = "") -> str:
    return element("text", shown(words), x=f"{x:.1f}", y=f"{y:.1f}", class_=kind)


def chart(
    parts: Iterable[str], width: float, height: float, title: str, kind: str = "chart"
) -> str:
    """The SVG of parts, as large as it is; it says what it shows."""
    return element(
        "svg",
        "\n".join([f"<title>{shown(title)}</title>", *parts]),
        class_=kind,
        role="group",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        xmlns="http://www.w3.org/2000/svg",
    )
