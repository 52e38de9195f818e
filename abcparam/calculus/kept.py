"""Means over a last axis that are numbers, whatever their values are of: of softmaxes, layer norms.

Training changes nothing of them, so that no gradient passes either.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial, number
from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size


class KeptMean(NamedTuple):
    """The mean over a last axis: a number that depends on lengths, None where it is not known.

    `size` is its size, that of the largest term where it is a sum of unknown ones.
    """

    value: Polynomial | None
    size: Size

    @property
    def constant(self) -> Fraction | None:
        """The number, where it depends on no length."""
        return None if self.value is None else self.value.constant

    def times(self, factor: Fraction | None, size: Size) -> KeptMean:
        """That of the values times a number of a size; zero stays zero times any other."""
        if self.constant == 0:
            return self
        value = None if self.value is None or factor is None else self.value * number(factor)
        return _of(value, self.size + size)


def mean_of_ones(length: Polynomial | None, one: Size) -> KeptMean:
    """Of values that sum to 1 over a finite axis of a length."""
    return KeptMean(None if length is None else ONE / length, one)


def of_number(value: Fraction | None, one: Size) -> KeptMean:
    """Of a number of Θ(1) at all coordinates, or of zero."""
    return _of(None if value is None else number(value), one)


def of_kept_terms(terms: Sequence[KeptMean | None], subtracts: bool) -> KeptMean | None:
    """Of a sum, or a difference, of values; None unless all of them keep theirs."""
    total: Polynomial | None = number(0)
    size: Size | None = None
    for index, term in enumerate(terms):
        if term is None:
            return None
        if total is None or term.value is None:
            total = None
        else:
            total = total - term.value if subtracts and index else total + term.value
        size = term.size if size is None else size | term.size
    return None if size is None else _of(total, size)


def _of(value: Polynomial | None, size: Size) -> KeptMean:
    """Of a size, but where it is zero."""
    zero = value is not None and value.constant == 0
    return KeptMean(value, size.space.zero if zero else size)
