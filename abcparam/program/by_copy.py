"""What differs between the copies of a repeat, in a gauge that tells them apart."""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.program.amounts import Amount

CopyPowers = tuple[tuple[int, int], ...]  # a copy, and the power of two that holds from it on


class CopyTraining(Record):
    """Of a tensor's copies from the `first` on: the power of two of their gradients' factor.

    And what trains them, which makes up for it.
    """

    first: int
    power: int
    lr: Amount
    weight_decay: Amount | None
    epsilon: Amount | None
