"""Sizes that keep the exponents below the leading one: what a quantity at finite width is a sum of.

The rounds and nodes of the calculus run over them as they are. A difference divides by the leading
term, and keeps how far the others of the divisor lie below it: while they lead, what is divided by
their sum is smaller. So it is at a bound: what saturates is divided by the sum of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.sizes import NumericSize, NumericSpace, SizeKey

KEPT = 5


class Spectrum(NumericSize):
    """A size with the next smaller ones, `terms`, the largest first; it compares as the first.

    `gaps` are those of what the first was divided by.
    """

    __slots__ = ("gaps", "terms")

    def __init__(self, terms: tuple[NumericSize, ...], gaps: Iterable[NumericSize] = ()) -> None:
        super().__init__(terms[0].space, terms[0].vectors, terms[0].key)
        self.terms = terms
        self.gaps = tuple({gap.key: gap for gap in gaps}.values())

    def __add__(self, other: NumericSize) -> NumericSize:
        products = (left + right for left in self.terms for right in _terms(other))
        return _of(products, (*self.gaps, *_gaps(other)))

    def __sub__(self, other: NumericSize) -> NumericSize:
        return self + -other

    def __neg__(self) -> NumericSize:
        leading, *others = self.terms
        return Spectrum((-leading,), (other - leading for other in others))

    def half(self) -> NumericSize:
        return Spectrum(tuple(t.half() for t in self.terms), (g.half() for g in self.gaps))

    def __or__(self, other: NumericSize) -> NumericSize:
        larger = (size for size in (self, other) if size.key == max(self.key, other.key))
        gaps = (gap for size in larger for gap in _gaps(size))
        return _of((*self.terms, *_terms(other)), gaps)

    def __and__(self, other: NumericSize) -> NumericSize:
        smaller, larger = (self, other) if self.key <= other.key else (other, self)
        if smaller.key == larger.key or not (smaller.vectors and larger.vectors):
            return smaller
        return Spectrum(_terms(smaller), (*_gaps(self), *_gaps(other), smaller - larger))


def _terms(size: NumericSize) -> tuple[NumericSize, ...]:
    return size.terms if isinstance(size, Spectrum) else (size,)


def _gaps(size: NumericSize) -> tuple[NumericSize, ...]:
    return size.gaps if isinstance(size, Spectrum) else ()


def _of(sizes: Iterable[NumericSize], gaps: Iterable[NumericSize] = ()) -> Spectrum:
    """The largest distinct ones; exact zeros only where there is nothing else."""
    by_key: dict[SizeKey, NumericSize] = {}
    for size in sizes:
        by_key[size.key] = by_key[size.key] | size if size.key in by_key else size
    ranked = sorted(by_key.values(), key=lambda size: size.key, reverse=True)
    return Spectrum(tuple(s for s in ranked[:KEPT] if s.vectors) or (ranked[0],), gaps)


class SpectralSpace(NumericSpace):
    """The same growth dims, for sizes with their smaller terms."""

    def __init__(self, dims: Mapping[str, tuple[int, Fraction]]) -> None:
        super().__init__(dims)
        self.one: NumericSize = Spectrum((self.one,))
        self.zero: NumericSize = Spectrum((self.zero,))
        self.unbounded: NumericSize = Spectrum((self.unbounded,))

    def size(self, exponents: Mapping[str, Fraction]) -> NumericSize:
        return Spectrum((super().size(exponents),))

    def exponent(self, exponents: Mapping[str, Affine]) -> NumericSize:
        return Spectrum((super().size({name: a.constant for name, a in exponents.items()}),))
