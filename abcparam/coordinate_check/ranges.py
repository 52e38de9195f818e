"""Whether sizes at init lie where low precision holds them, in a gauge that is for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abcparam.algebra.record import Record
from abcparam.coordinate_check.judging import MeasuredSizes
from abcparam.coordinate_check.laws import AT_INIT, GRADIENT, PredictedLaws, RowKey
from abcparam.program.model import Program

WEIGHT, WEIGHT_GRADIENT = "weight", "weight_gradient"  # of each copy of a tensor
LOW, HIGH = 0.25, 4.0
ROUNDED = 1e-12  # what is smaller is zero but for rounding, as gradients that a softmax ignores
OF_VALUES, OF_TENSORS = (AT_INIT, GRADIENT), (AT_INIT, WEIGHT, WEIGHT_GRADIENT)


class RangeRow(Record):
    """The smallest and the largest root mean square of one quantity, over widths and seeds."""

    name: str
    quantity: str
    low: float
    high: float

    @property
    def is_inside(self) -> bool:
        return self.low >= LOW and self.high <= HIGH

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "quantity": self.quantity,
            "low": self.low,
            "high": self.high,
            "inside": self.is_inside,
        }


def range_rows(measured: MeasuredSizes, laws: PredictedLaws, program: Program) -> list[RangeRow]:
    """Of values, `W·x` and gradients, of weights and theirs; what is zero has no size.

    Outputs are as the spec has them, since the loss is outside, and so is whatever the laws say
    grows or vanishes at init.
    """
    outputs, found = set(program.outputs), []
    for (name, quantity), sizes in _sizes(measured).items():
        wanted = OF_TENSORS if name in program.tensors else OF_VALUES
        law = laws.rows.get((name, quantity))
        constant = law is None or law.exponent == 0
        if sizes and quantity in wanted and constant and name not in outputs:
            found.append(RangeRow(name, quantity, min(sizes), max(sizes)))
    return found


def _sizes(measured: MeasuredSizes) -> Mapping[RowKey, Sequence[float]]:
    found: dict[RowKey, list[float]] = {}
    for sizes in measured.values():
        for key, values in sizes.items():
            found.setdefault(key, []).extend(x for x in values if not x <= ROUNDED)
    return found


def outside(rows: Sequence[RangeRow]) -> Iterator[RangeRow]:
    return (row for row in rows if not row.is_inside)


def range_words(rows: Sequence[RangeRow]) -> str:
    """What they come to, in a line."""
    bad = [f"{row.name} ({row.quantity}, {row.low:.2g} to {row.high:.2g})" for row in outside(rows)]
    where = f"[{LOW:g}, {HIGH:g}]"
    if not bad:
        return f"all {len(rows)} sizes at init lie within {where}"
    return f"{len(bad)} of {len(rows)} sizes at init lie outside {where}: {', '.join(bad)}"
