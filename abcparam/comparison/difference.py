"""How two programs differ: the answer of `abcparam diff`, as a dict for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abcparam.algebra.exponents import Shifts
from abcparam.algebra.record import Record
from abcparam.algebra.sizes import NumericSize

EXACTLY, ASYMPTOTICALLY, NO = "exactly", "asymptotically", "no"

ComparedValue = str | float | bool | None | NumericSize | Mapping[str, str]  # exponents by dim


class Difference(Record):
    """One quantity of a tensor or an activation, as A and as B have it."""

    name: str
    quantity: str
    a: ComparedValue
    b: ComparedValue

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "quantity": self.quantity,
            "a": _plain(self.a),
            "b": _plain(self.b),
        }


def _plain(value: ComparedValue) -> Any:
    return value.to_dict() if isinstance(value, NumericSize) else value


class ProgramVerdict(Record):
    """What a program is judged to be."""

    verdict: str
    complete: bool | None

    def __str__(self) -> str:
        return f"{self.verdict}, complete" if self.complete else self.verdict


class GaugeShift(Record):
    """What takes a tensor of A to that of B: `(a + θ, b - θ, …)`, and a constant multiplier.

    `text` is all of it in words, empty where nothing changes. `fold` is what a factor of the
    forward, or another tensor, makes up for: `(b + θ, c + gθ, d - θ)`, without the multiplier.
    """

    shifts: Shifts
    multiplier: float
    text: str
    fold: Shifts = {}


class Differences(Record):
    """Whether two parametrizations are the same: `exactly`, `asymptotically` or `no`.

    `gauge` is known where they are the same exactly. `laws` is where they are not even the same
    asymptotically, `reasons` what no gauge can make the same. A verdict is None where symbols are
    left.
    """

    same: str
    files: tuple[str, str]
    verdicts: tuple[ProgramVerdict | None, ProgramVerdict | None]
    gauge: Mapping[str, GaugeShift]
    laws: tuple[Difference, ...] = ()
    reasons: tuple[Difference, ...] = ()

    @property
    def differences(self) -> tuple[Difference, ...]:
        return self.laws + self.reasons

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `abcparam diff --format json`; exponents are exact strings."""
        folds = {
            path: {dim: str(theta) for dim, theta in gauge.fold.items()}
            for path, gauge in self.gauge.items()
            if gauge.fold
        }
        return {
            "schema": 1,
            "a": self.files[0],
            "b": self.files[1],
            "same": self.same,
            "verdicts": [v and v.verdict for v in self.verdicts],
            "gauge": {
                path: {dim: str(theta) for dim, theta in gauge.shifts.items()}
                for path, gauge in self.gauge.items()
            },
            "multipliers": {
                path: gauge.multiplier
                for path, gauge in self.gauge.items()
                if gauge.multiplier != 1
            },
            **({"folds": folds} if folds else {}),
            "differences": [d.to_dict() for d in self.differences],
        }
