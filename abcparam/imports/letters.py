"""The letters of an `einsum`."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import NamedTuple


class Letters(NamedTuple):
    """Which letters the axes of operands and result have, and their lengths."""

    operands: tuple[str, ...]
    result: str
    lengths: dict[str, Polynomial]

    def of(self, letters: Sequence[str]) -> tuple[Polynomial, ...]:
        """The lengths of axes."""
        return tuple(self.lengths[letter] for letter in letters)
