"""When a measured slope agrees with a derived exponent. `docs/coordinates.md` says it in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from statistics import median
from typing import Any

from abcparam.algebra.lines import Slope, slope_of
from abcparam.algebra.record import Record, replace
from abcparam.coordinate_check.fits import WidthPoint, leading_of, mixture_of, scatter
from abcparam.coordinate_check.laws import (
    AT_INIT,
    CHANGE,
    GRADIENT,
    RELATIVE,
    UPDATE,
    PredictedLaw,
    PredictedLaws,
    RowKey,
)

TOLERANCE = 0.1  # how far a slope may be off, if its interval is narrower
WIDEST = 0.25  # an interval wider than this resolves nothing: laws are a quarter apart
ROUNDING = 1e4 * 2.0**-52  # less than this of what changes, or of other values, is rounding
CORRECTION = Fraction(1, 2)  # how far below a law its corrections of finite width lie
SHARE = 0.25  # of the square that the leading power must have at the largest width
LACK = 0.1  # what a sum of powers may leave of log size, if seeds scatter less

TRAINED = (CHANGE, UPDATE, RELATIVE)  # what a check of learning rates is about

AGREES, CROSSOVER, DISAGREES, UNRESOLVED = "agrees", "crossover", "disagrees", "unresolved"
UNDECIDED = "undecided"  # what a check comes to where too little is resolved
ROUNDED, SCATTERED = "below rounding, or of fewer than three widths", "seeds scatter too much"
SMALLER_LEAD = "smaller terms lead"

MeasuredSizes = Mapping[tuple[int, int], Mapping[RowKey, Sequence[float]]]  # (width, seed) -> sizes


class CheckedRow(Record):
    """One quantity: the derived exponent, the slope, and what comes of them."""

    name: str
    quantity: str
    law: PredictedLaw
    slope: Slope | None  # None: there is none to measure
    outcome: str
    note: str = ""
    points: tuple[WidthPoint, ...] = ()
    leading: Slope | None = None  # of a crossover: the exponent of its leading power, left free

    @property
    def measured(self) -> Slope | None:
        """What is set beside the derived exponent."""
        return self.leading or self.slope

    @property
    def agree(self) -> bool:
        return self.outcome in (AGREES, CROSSOVER)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "quantity": self.quantity,
            "derived": str(self.law),
            "measured": self.measured.value if self.measured else None,
            "error": self.measured.error if self.measured else None,
            "agree": self.agree,
            **({"slope": self.slope.value} if self.slope and self.leading else {}),
            **({"note": self.note} if self.note else {}),
        }


class CheckedRows(Record):
    """All rows of a check."""

    rows: tuple[CheckedRow, ...]

    def of(self, *outcomes: str) -> tuple[CheckedRow, ...]:
        return tuple(row for row in self.rows if row.outcome in outcomes)

    @property
    def outcome(self) -> str:
        """A row that disagrees decides; else most have to be resolved, and most of training."""
        if self.of(DISAGREES):
            return DISAGREES
        trained = [row for row in self.rows if row.quantity in TRAINED]
        resolved = _mostly_resolved(self.rows) and (not trained or _mostly_resolved(trained))
        return AGREES if resolved else UNDECIDED

    @property
    def agree(self) -> bool:
        return self.outcome == AGREES


def _mostly_resolved(rows: Sequence[CheckedRow]) -> bool:
    return sum(row.outcome != UNRESOLVED for row in rows) > len(rows) / 2


def judge(laws: PredictedLaws, measured: MeasuredSizes) -> CheckedRows:
    """Every law that was measured."""
    rows = []
    for (name, quantity), law in laws.rows.items():
        if all((name, quantity) in sizes for sizes in measured.values()):
            found = {at: sizes[name, quantity][-1] for at, sizes in measured.items()}
            floors = _floors(name, quantity, measured, law.exponent is None)
            rows.append(_row(name, quantity, law, found, floors))
    return CheckedRows(tuple(rows))


def _floors(
    name: str, quantity: str, measured: MeasuredSizes, stays: bool
) -> dict[tuple[int, int], float]:
    """What rounding makes of nothing: of a change of it, and of what cancels.

    What `stays` changes by exactly nothing, unless it is rounding itself.
    """
    floors = {at: _cancelled(quantity, sizes) for at, sizes in measured.items()}
    if quantity not in TRAINED:
        return floors
    if stays:
        starts = {at: sizes.get((name, AT_INIT), [math.inf])[0] for at, sizes in measured.items()}
        return {at: floor if 0 < starts[at] <= floor else 0.0 for at, floor in floors.items()}
    return {at: max(floors[at], _floor(name, quantity, sizes)) for at, sizes in measured.items()}


def _cancelled(quantity: str, sizes: Mapping[RowKey, Sequence[float]]) -> float:
    """What is left where terms cancel that are as large as most values are, or most gradients."""
    if quantity in (UPDATE, RELATIVE):
        return 0.0
    of = GRADIENT if quantity == GRADIENT else AT_INIT
    others = [found[0] for (_, what), found in sizes.items() if what == of and found[0]]
    return ROUNDING * median(others) if others else 0.0


def _floor(name: str, quantity: str, sizes: Mapping[RowKey, Sequence[float]]) -> float:
    """What rounding makes of a change of nothing, of one size.

    It is infinite for a tensor whose gradient is itself rounding, as that of a bias of keys: Adam
    divides it by its own size.
    """
    if quantity in (UPDATE, RELATIVE) and (name, GRADIENT) in sizes:
        tensors = (path for path, what in sizes if what in (UPDATE, RELATIVE))
        largest = max(sizes.get((path, GRADIENT), [0.0])[-1] for path in tensors)
        if sizes[name, GRADIENT][-1] < ROUNDING * largest:
            return math.inf
    return ROUNDING * (1.0 if quantity == RELATIVE else sizes[name, AT_INIT][0])


def _row(
    name: str,
    quantity: str,
    law: PredictedLaw,
    found: Mapping[tuple[int, int], float],
    floors: Mapping[tuple[int, int], float],
) -> CheckedRow:
    def row(outcome: str, note: str = "", slope: Slope | None = None) -> CheckedRow:
        return CheckedRow(name, quantity, law, slope, outcome, note, points)

    points = tuple((float(width), size) for (width, _), size in found.items())
    if not all(math.isfinite(size) for _, size in points):
        return row(DISAGREES, "not finite")
    if law.exponent is None:
        moved = any(size > floors[at] for at, size in found.items())
        return row(DISAGREES, "not zero") if moved else row(AGREES)
    if not any(size for _, size in points):
        return row(DISAGREES, "exactly zero")
    points = tuple(
        (float(width), size) for (width, seed), size in found.items() if size > floors[width, seed]
    )
    if len({width for width, _ in points}) < 3:
        return row(UNRESOLVED, ROUNDED)
    slope = slope_of(points)
    outcome, note, leading = outcome_of(law, slope, points)
    return replace(row(outcome, note, slope), leading=leading)


Outcome = tuple[str, str, Slope | None]  # with a note, and the exponent of the leading power


def outcome_of(law: PredictedLaw, slope: Slope, points: Sequence[WidthPoint]) -> Outcome:
    """What comes of a slope beside an exponent."""
    assert law.exponent is not None
    off = abs(slope.value - float(law.exponent))
    if slope.error > WIDEST:
        if off <= slope.error + TOLERANCE:
            return UNRESOLVED, SCATTERED, None
    elif off <= max(TOLERANCE, slope.error):
        return AGREES, "", None
    found = _crossover(law.exponent, law.smaller, slope, points)
    if found[0] == DISAGREES and law.divisor:
        below = [gap - law.exponent for gap in law.divisor]
        turned = [(n, 1 / y) for n, y in points]
        outcome, note, leading = _crossover(-law.exponent, below, slope, turned)
        if outcome != DISAGREES:
            back = leading and replace(leading, value=-leading.value)
            return outcome, f"of a divisor, {note}", back
    return found


def _crossover(
    exponent: Fraction, known: Sequence[Fraction], slope: Slope, points: Sequence[WidthPoint]
) -> Outcome:
    """Whether the exponent leads a sum of powers that explains the sizes."""
    smaller = sorted({*known, exponent - CORRECTION}, reverse=True)
    fit = mixture_of(points, [float(e) for e in (exponent, *smaller)])
    noise = max(LACK, 2 * scatter(points))
    if fit.residual > noise:
        return DISAGREES, "", None
    share = f"{fit.share:.0%} of it leads at the largest width"
    lower = [float(e) for e in known]
    if fit.share >= SHARE:
        below = ", ".join(map(str, smaller))
        note = f"slope {slope.value:.3f}, from {below}: {share}"
        return CROSSOVER, note, leading_of(points, lower, SHARE)
    if known and mixture_of(points, [float(exponent), *lower]).residual <= noise:
        return UNRESOLVED, f"{SMALLER_LEAD}: {share}", None
    return DISAGREES, "", None


__all__ = ["AGREES", "CROSSOVER", "DISAGREES", "UNRESOLVED", "CheckedRow", "CheckedRows", "judge"]
