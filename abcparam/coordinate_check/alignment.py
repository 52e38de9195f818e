"""How far updates and inputs are aligned, measured beside what the laws assume.

Of a map over `n` inputs the size of `W x` is `n^p` times those of W's entries and of x: p is 1
where they are aligned in full, 1/2 where they are not at all (arXiv 2407.05872, section 3). `n` is
a power of what is varied, and so are all three.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from abcparam.algebra.lines import Slope, slope_of
from abcparam.algebra.record import Record, replace
from abcparam.coordinate_check.fits import WidthPoint
from abcparam.coordinate_check.judging import (
    AGREES,
    CROSSOVER,
    SMALLER_LEAD,
    UNRESOLVED,
    MeasuredSizes,
    outcome_of,
)
from abcparam.coordinate_check.laws import (
    INPUT_ALIGNMENT,
    UPDATE_ALIGNMENT,
    AssumedAlignment,
    PredictedLaw,
    PredictedLaws,
)

AS_ASSUMED, LESS, MORE = "as assumed", "less than assumed", "more than assumed"
OF = {UPDATE_ALIGNMENT: "ΔW·x", INPUT_ALIGNMENT: "W·Δx"}


class AlignmentRow(Record):
    """Of one tensor after a step. `points`: widths, and how often what no alignment gives."""

    name: str
    quantity: str
    step: int
    law: AssumedAlignment
    measured: Slope | None  # the exponent; None where nothing is resolved
    outcome: str
    points: tuple[WidthPoint, ...]
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Over no alignment, at the largest width; full alignment is the root of the fan-in."""
        largest = max((width for width, _ in self.points), default=0.0)
        logs = [math.log(ratio) for width, ratio in self.points if width == largest]
        return math.exp(math.fsum(logs) / len(logs)) if logs else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "quantity": self.quantity,
            "step": self.step,
            "none": str(self.law.none),
            "full": str(self.law.full),
            "assumed": str(self.law.assumed),
            "measured": self.measured.value if self.measured else None,
            "error": self.measured.error if self.measured else None,
            "ratio": self.ratio,
            "outcome": self.outcome,
            **({"note": self.note} if self.note else {}),
        }


def alignment_rows(laws: PredictedLaws, measured: MeasuredSizes) -> tuple[AlignmentRow, ...]:
    """A row for each tensor, quantity and step that was measured at every width."""
    return tuple(_rows(laws, measured))


def _rows(laws: PredictedLaws, measured: MeasuredSizes) -> Iterator[AlignmentRow]:
    for (name, quantity), law in laws.alignments.items():
        steps = [len(sizes.get((name, quantity), ())) for sizes in measured.values()]
        for step in range(min(steps, default=0)):
            found = {at: sizes[name, quantity][step] for at, sizes in measured.items()}
            yield _row(AlignmentRow(name, quantity, step + 1, law, None, UNRESOLVED, ()), found)


def _row(row: AlignmentRow, found: Mapping[tuple[int, int], float]) -> AlignmentRow:
    points = tuple((float(width), ratio) for (width, _), ratio in found.items() if ratio > 0)
    row = replace(row, points=points)
    if len({width for width, _ in points}) < 3 or not all(math.isfinite(r) for _, r in points):
        return row
    return _judged(row, slope_of(points))


def _judged(row: AlignmentRow, slope: Slope) -> AlignmentRow:
    """A ratio that is a sum of powers is judged by the leading one, where that leads."""
    none, law = row.law.none, row.law
    below = (Fraction(0),) if law.assumed > none else ()
    found, note, leading = outcome_of(PredictedLaw(law.assumed - none, below), slope, row.points)
    shown = leading or slope
    exponent = replace(shown, value=float(none) + shown.value)
    outcome = LESS if exponent.value < law.assumed else MORE
    if found in (AGREES, CROSSOVER):
        outcome = AS_ASSUMED
    elif found == UNRESOLVED and not note.startswith(SMALLER_LEAD):
        outcome = UNRESOLVED
    return replace(row, measured=exponent, outcome=outcome, note=note)


def parted(rows: tuple[AlignmentRow, ...]) -> tuple[str, ...]:
    """Where the assumption and the last step that was measured part, in words."""
    last = max((row.step for row in rows), default=0)
    found = []
    for outcome, meaning in (
        (LESS, "changes grow less than the laws say"),
        (MORE, "changes grow more than the laws say"),
    ):
        names = [
            f"{OF[row.quantity]} of {row.name} ({row.law.assumed}, here {row.measured.value:.2f})"
            for row in rows
            if row.outcome == outcome and row.step == last and row.measured
        ]
        if names:
            found.append(f"aligned {outcome} after step {last}, {meaning}: {', '.join(names)}")
    return tuple(found)
