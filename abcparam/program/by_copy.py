"""What differs between the copies of a repeat, in a gauge that tells them apart."""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.program.amounts import Amount

CopyPowers = tuple[tuple[int, int], ...]  # a copy, and the power of two that holds from it on


class CarriedPowers(Record):
    """Powers of two by which what a repeat carries is divided: before it, then from copies on."""

    before: int
    copies: CopyPowers

    @property
    def is_one(self) -> bool:
        return not self.before and not any(power for _, power in self.copies)


class CopyTraining(Record):
    """Of a tensor's copies from the `first` on: the power of two of their gradients' factor.

    And what trains them, which makes up for it.
    """

    first: int
    power: int
    lr: Amount
    weight_decay: Amount | None
    epsilon: Amount | None
