"""Means over a last axis that are numbers, whatever their values are of: of softmaxes, layer norms.

Training changes nothing of them, so that no gradient passes either.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial, number
from abcparam.algebra.record import NamedTuple


class KeptMean(NamedTuple):
    """The mean over a last axis, a number that depends on lengths; None where it is not known."""

    value: Polynomial | None

    @property
    def constant(self) -> Fraction | None:
        """The number, where it depends on no length."""
        return None if self.value is None else self.value.constant

    def times(self, factor: Fraction | None) -> KeptMean:
        """That of the values times a number; zero stays zero times any other."""
        if self.constant == 0:
            return self
        if self.value is None or factor is None:
            return KeptMean(None)
        return KeptMean(self.value * number(factor))


def mean_of_ones(length: Polynomial | None) -> KeptMean:
    """Of values that sum to 1 over an axis of a length."""
    return KeptMean(None if length is None else ONE / length)


def of_number(value: Fraction | None) -> KeptMean:
    """Of a number at all coordinates."""
    return KeptMean(None if value is None else number(value))


def of_kept_terms(terms: Sequence[KeptMean | None], subtracts: bool) -> KeptMean | None:
    """Of a sum, or a difference, of values; None unless all of them keep theirs."""
    total: Polynomial | None = number(0)
    for index, term in enumerate(terms):
        if term is None:
            return None
        if total is None or term.value is None:
            total = None
        else:
            total = total - term.value if subtracts and index else total + term.value
    return KeptMean(total)
