"""Dims and hypers: what a spec names and gives a value."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import Record, field
from abcparam.diagnostics.source import START, Span
from abcparam.language import syntax


class Dim(Record):
    """A dim. Underived ones are fields of `Config`; `value` is written in underived dims."""

    name: str
    value: Polynomial
    written: (
        syntax.Expression | None
    )  # the definition of a derived dim or the number of a finite one
    infinite: bool = False
    derived: bool = False
    group: int = 0  # which limit it belongs to, 0 the first
    rate: Fraction = Fraction(1)
    base: int | None = None
    default: int | None = None  # what Config defaults to; None: no default
    span: Span = field(default=START, compare=False)

    @property
    def growing(self) -> bool:
        """Whether it is declared to go to infinity, rather than made of dims that do."""
        return self.infinite and not self.derived

    @property
    def finite(self) -> bool:
        """Whether it is declared and stays finite."""
        return not self.infinite and not self.derived


def order_of(dims: Mapping[str, Dim], powers: Mapping[str, Fraction]) -> tuple[Fraction, ...]:
    """Total rate of powers of growth dims, limit by limit, the first most significant."""
    last = max((dim.group for dim in dims.values()), default=0)
    totals = [Fraction(0)] * (last + 1)
    for name, power in powers.items():
        totals[dims[name].group] += dims[name].rate * power
    return tuple(totals)


class Hyper(Record):
    """A width-independent constant with an optional search range."""

    name: str
    value: Fraction
    range: syntax.Interval | syntax.Choice | None = None
    span: Span = field(default=START, compare=False)
