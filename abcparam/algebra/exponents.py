"""Exponents that may hold symbols, and shifts of them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.record import Record


class Affine(Record):
    """An exponent: a rational, plus multiples of symbols."""

    constant: Fraction
    symbols: tuple[tuple[str, Fraction], ...] = ()

    def evaluate(self, values: Mapping[str, Fraction]) -> Fraction:
        return self.constant + sum((k * values[s] for s, k in self.symbols), Fraction(0))

    def __add__(self, other: Affine) -> Affine:
        total = dict(self.symbols)
        for symbol, factor in other.symbols:
            total[symbol] = total.get(symbol, Fraction(0)) + factor
        constant = self.constant + other.constant
        return Affine(constant, tuple((s, k) for s, k in total.items() if k))

    def __mul__(self, by: Fraction) -> Affine:
        return Affine(self.constant * by, tuple((s, k * by) for s, k in self.symbols if k * by))

    def __str__(self) -> str:
        parts = [str(self.constant)] if self.constant or not self.symbols else []
        parts += [s if k == 1 else f"-{s}" if k == -1 else f"{k} * {s}" for s, k in self.symbols]
        return " + ".join(parts).replace("+ -", "- ")


Shifts = Mapping[str, Affine]  # θ by growth dim


def vanishes(power: Affine) -> bool:
    """Whether it is 0 whatever the symbols are."""
    return not power.constant and not power.symbols
