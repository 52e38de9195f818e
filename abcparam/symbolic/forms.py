"""Sizes with symbols in them: differences of max-plus polynomials.

A size is `max(top) - max(bottom)`, each a set of affine forms in the symbols. Sums, maxima, minima
and differences of such are again such. Forms that another one dominates wherever the premises hold
are dropped as they come up.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.program import Affine
from abcparam.sizes import power
from abcparam.symbolic.premises import Form, Premises, add, subtract

Forms = tuple[Form, ...]


class Split(Exception):
    """A size is divided by whose form depends on the symbols: `cases` are the forms that may be the
    largest.
    """

    def __init__(self, cases: Forms) -> None:
        super().__init__()
        self.cases = cases


class SymbolicSpace:
    """The growth dims of a program, all in one limit, and the symbols of its exponents.

    Stands in for `Space`: an exponent here is the total rate, so that n^(1/2) and m^(1/2) at equal
    rates are one.
    """

    def __init__(self, rates: Mapping[str, Fraction], premises: Premises) -> None:
        self.names = tuple(rates)
        self.rates = dict(rates)
        self.premises = premises
        self.width = 1 + len(premises.symbols)
        self.splits = True  # whether dividing by a size of several forms asks for cases
        self.nought = SymbolicSize(self, (self.constant(Fraction(0)),))
        self.zero = SymbolicSize(self, ())
        self.unbounded = SymbolicSize(self, (), unbounded=True)

    def constant(self, value: Fraction) -> Form:
        return (_plain(value), *[0] * (self.width - 1))

    def size(self, exponents: Mapping[str, Fraction]) -> SymbolicSize:
        """The size with these exponents."""
        total = sum((self.rates[name] * value for name, value in exponents.items()), Fraction(0))
        return SymbolicSize(self, (self.constant(total),))

    def exponent(self, exponents: Mapping[str, Affine]) -> SymbolicSize:
        """The size with these exponents, which may hold symbols."""
        total = [Fraction(0)] * self.width
        for name, affine in exponents.items():
            total[0] += self.rates[name] * affine.constant
            for symbol, factor in affine.symbols:
                total[1 + self.premises.symbols.index(symbol)] += self.rates[name] * factor
        return SymbolicSize(self, self.prune((tuple(map(_plain, total)),)))

    def prune(self, forms: Forms) -> Forms:
        """The forms that may be the largest somewhere; the others are dominated by one that is
        kept.
        """
        reduced = list(dict.fromkeys(self.premises.reduce(form) for form in forms))
        if len(reduced) == 1:
            return tuple(reduced)
        kept: list[Form] = []
        for form in sorted(reduced, key=_simplicity):
            if not any(self._dominates(other, form) for other in kept):
                kept = [other for other in kept if not self._dominates(form, other)]
                kept.append(form)
        return tuple(sorted(self._on_the_hull(kept)))

    def _on_the_hull(self, forms: list[Form]) -> list[Form]:
        """Without the forms that several others dominate together."""
        kept = list(forms)
        for form in forms:
            others = [other for other in kept if other != form]
            if len(others) > 1 and self.premises.dominated(form, tuple(others)):
                kept = others
        return kept

    def _dominates(self, larger: Form, smaller: Form) -> bool:
        return self.premises.implies(subtract(larger, smaller))


def _plain(value: Fraction | int) -> Fraction | int:
    return int(value) if value == int(value) else value


def _simplicity(form: Form) -> tuple[object, ...]:
    return (sum(1 for c in form[1:] if c), form)


class SymbolicSize:
    """`max(top) - max(bottom)`; an empty top is exact zero (or no bound)."""

    __slots__ = ("_unbounded", "bottom", "space", "vectors")

    def __init__(
        self, space: SymbolicSpace, top: Forms, bottom: Forms | None = None, unbounded: bool = False
    ) -> None:
        self.space = space
        self._unbounded = unbounded
        if bottom is not None and len(bottom) == 1 and top:
            top = tuple(subtract(form, bottom[0]) for form in top)
            bottom = None
        self.vectors = top
        self.bottom: Forms = bottom or (space.constant(Fraction(0)),)

    @property
    def is_zero(self) -> bool:
        return not self.vectors and not self._unbounded

    @property
    def is_bound(self) -> bool:
        return not self._unbounded

    def __add__(self, other: SymbolicSize) -> SymbolicSize:
        if not self.vectors or not other.vectors:
            return self.space.zero if self.is_zero or other.is_zero else self.space.unbounded
        return self._made(_sums(self.vectors, other.vectors), _sums(self.bottom, other.bottom))

    def _made(self, top: Forms, bottom: Forms) -> SymbolicSize:
        prune = self.space.prune
        return SymbolicSize(self.space, prune(top), prune(bottom))

    def __neg__(self) -> SymbolicSize:
        if len(self.vectors) > 1 and self.space.splits:
            raise Split(self.vectors)
        return self._negated()

    def _negated(self) -> SymbolicSize:
        if not self.vectors:
            return self.space.unbounded if self.is_zero else self.space.zero
        return self._made(self.bottom, self.vectors)

    def __sub__(self, other: SymbolicSize) -> SymbolicSize:
        return self + -other

    def half(self) -> SymbolicSize:
        half = Fraction(1, 2)
        top = tuple(tuple(_plain(c * half) for c in form) for form in self.vectors)
        bottom = tuple(tuple(_plain(c * half) for c in form) for form in self.bottom)
        return SymbolicSize(self.space, top, bottom, self._unbounded)

    def __or__(self, other: SymbolicSize) -> SymbolicSize:
        if self.is_zero or other._unbounded:
            return other
        if other.is_zero or self._unbounded or self == other:
            return self
        if self.bottom == other.bottom:
            return self._made((*self.vectors, *other.vectors), self.bottom)
        top = (*_sums(self.vectors, other.bottom), *_sums(other.vectors, self.bottom))
        return self._made(top, _sums(self.bottom, other.bottom))

    def __and__(self, other: SymbolicSize) -> SymbolicSize:
        if self._unbounded or other.is_zero:
            return other
        if other._unbounded or self.is_zero:
            return self
        return (self._negated() | other._negated())._negated()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SymbolicSize)
            and self.vectors == other.vectors
            and self.bottom == other.bottom
            and self._unbounded == other._unbounded
        )

    def __hash__(self) -> int:
        return hash((self.vectors, self.bottom))

    def __le__(self, other: SymbolicSize) -> bool:
        """Whether it is never larger, wherever the premises hold."""
        if self.is_zero or other._unbounded:
            return True
        if other.is_zero or self._unbounded:
            return False
        difference = self + other._negated()
        if len(difference.bottom) == 1:
            return all(
                self.space.premises.implies(tuple(-c for c in f)) for f in difference.vectors
            )
        premises = self.space.premises
        return premises.proves(premises.at_most(difference.vectors, difference.bottom))

    def __ge__(self, other: SymbolicSize) -> bool:
        return other <= self

    def __lt__(self, other: SymbolicSize) -> bool:
        return not other <= self

    def __gt__(self, other: SymbolicSize) -> bool:
        """Whether it may be larger somewhere."""
        return not self <= other

    def __str__(self) -> str:
        if not self.vectors:
            return "0" if self.is_zero else "unbounded"
        text = exponent_text(self)
        return "1" if text == "0" else power("n", Fraction(1)) if text == "1" else f"n^({text})"

    __repr__ = __str__


def _sums(left: Forms, right: Forms) -> Forms:
    if len(left) == len(right) == 1:
        return (add(left[0], right[0]),)
    return tuple(dict.fromkeys(add(x, y) for x in left for y in right))


def exponent_text(size: SymbolicSize) -> str:
    """`Max(1 - a, 0) - Max(b, 1/2)`, readable by sympy."""
    symbols = size.space.premises.symbols
    top, bottom = _maximum(size.vectors, symbols), _maximum(size.bottom, symbols)
    return (
        top
        if bottom == "0"
        else f"{top} - ({bottom})"
        if "Max" not in bottom
        else f"{top} - {bottom}"
    )


def _maximum(forms: Forms, symbols: tuple[str, ...]) -> str:
    texts = sorted(form_text(form, symbols) for form in forms)
    return texts[0] if len(texts) == 1 else f"Max({', '.join(texts)})"


def form_text(form: Form, symbols: tuple[str, ...]) -> str:
    """`1/2 - a + 2*c`: symbols in their order, the constant first."""
    parts = [str(Fraction(form[0]))] if form[0] else []
    for coefficient, symbol in zip(form[1:], symbols, strict=True):
        if coefficient:
            value = abs(Fraction(coefficient))
            term = symbol if value == 1 else f"{value}*{symbol}"
            parts.append(f"-{term}" if coefficient < 0 else term)
    return " + ".join(parts).replace("+ -", "- ") or "0"
