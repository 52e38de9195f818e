"""Sizes with symbols in them: differences of max-plus polynomials.

A size is `max(top) - max(bottom)`, each a set of affine forms in the symbols. Sums, maxima, minima
and differences of such are again such. Forms that another one dominates wherever the premises hold
are dropped as they come up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from abcparam.algebra.exponents import Affine
from abcparam.algebra.sizes import Size
from abcparam.symbolic.constraints import (
    ALWAYS,
    NEVER,
    Form,
    FormOrder,
    Forms,
    SymbolCondition,
    add,
    opposite,
    plain,
    subtract,
)
from abcparam.symbolic.solver import Premises, UnprovedError
from abcparam.symbolic.text import LAW, PLAIN, Quotient, exponents_text, law_text

HALF = Fraction(1, 2)
LARGEST = 100  # coefficient of a form while directions of changes are followed
Question = TypeVar("Question")
Answer = TypeVar("Answer")


class CaseSplitError(Exception):
    """A size is divided by whose form depends on the symbols.

    `cases` are the forms that may be the largest.
    """

    def __init__(self, cases: Forms) -> None:
        super().__init__()
        self.cases = cases


class UnsettledError(UnprovedError):
    """The laws did not settle: no law is claimed."""


class SymbolicSpace:
    """The growth dims of a program and the symbols of its exponents.

    `dims` maps each growth dim to its limit (0 the first) and its rate. Of forms of equal total
    rate one stands for all. `follows`: whether directions of changes are followed from round to
    round; otherwise all of a change points along what reads it, which is the most that there is.
    """

    def __init__(
        self,
        dims: Mapping[str, tuple[int, Fraction]],
        symbols: Sequence[str],
        follows: bool = True,
    ) -> None:
        self.follows = follows
        self.names = tuple(dims)
        self.premises = Premises(symbols, FormOrder(tuple(dims.values()), len(symbols)))
        self.symbols = self.premises.symbols
        self.width = 1 + len(self.symbols)
        self.splits = True  # whether dividing by a size of several forms asks for cases
        self._pruned: dict[Forms, Forms] = {}
        self._summed: dict[tuple[Forms, Forms], Forms] = {}
        self._compared: dict[tuple[Forms, Forms], bool] = {}
        self._assumed = self.premises.assumed
        self.origin: Form = (0,) * (self.width * max(1, len(self.names)))
        self.level: Forms = (self.origin,)  # what most sizes have at their bottom
        self.one = SymbolicSize(self, self.level)
        self.zero = SymbolicSize(self, ())
        self.unbounded = SymbolicSize(self, (), unbounded=True)

    def size(self, exponents: Mapping[str, Fraction]) -> SymbolicSize:
        """The size with these exponents."""
        return self.exponent({name: Affine(value) for name, value in exponents.items()})

    def exponent(self, exponents: Mapping[str, Affine]) -> SymbolicSize:
        """The size with these exponents, which may hold symbols."""
        form = list(self.origin)
        for name, affine in exponents.items():
            start = self.names.index(name) * self.width
            form[start] = plain(affine.constant)
            for symbol, factor in affine.symbols:
                form[start + 1 + self.symbols.index(symbol)] = plain(factor)
        return SymbolicSize(self, self.prune((tuple(form),)))

    def prune(self, forms: Forms) -> Forms:
        """The forms that may be the largest somewhere.

        The others are dominated by one that is kept.
        """
        if forms == self.level:
            return forms
        return self._once(self._pruned, forms, lambda: self._prune(forms))

    def sums(self, left: Forms, right: Forms) -> Forms:
        """The sums of two forms, pruned."""
        if left == self.level:
            return self.prune(right)
        return self._once(self._summed, (left, right), lambda: self._prune(_sums(left, right)))

    def at_most(self, left: Forms, right: Forms) -> bool:
        """Whether the largest on the left never exceeds the largest on the right."""
        order = self.premises.order
        return self._once(
            self._compared,
            (left, right),
            lambda: self.premises.proves(order.at_most(left, right)),
        )

    def _once(
        self, known: dict[Question, Answer], key: Question, make: Callable[[], Answer]
    ) -> Answer:
        """Layers are alike: most questions come again before more is assumed."""
        if self._assumed != self.premises.assumed:
            self._assumed = self.premises.assumed
            self._pruned.clear()
            self._summed.clear()
            self._compared.clear()
        found = known.get(key)
        if found is None:
            known[key] = found = make()
        return found

    def _prune(self, forms: Forms) -> Forms:
        reduced = list(dict.fromkeys(self.premises.reduce(form) for form in forms))
        if self.follows and self.splits and any(map(_soars, reduced)):
            raise UnsettledError
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


def _soars(form: Form) -> bool:
    return any(not -LARGEST <= c <= LARGEST for c in form)


def _halved(form: Form) -> Form:
    return tuple([c and plain(c * HALF) for c in form])


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
            if bottom != space.level:
                top = tuple(subtract(form, bottom[0]) for form in top)
            bottom = None
        self.vectors = top
        self.bottom: Forms = bottom or space.level

    @property
    def is_zero(self) -> bool:
        return not self.vectors and not self._unbounded

    @property
    def is_bound(self) -> bool:
        return not self._unbounded

    def __add__(self, other: SymbolicSize) -> SymbolicSize:
        if not self.vectors or not other.vectors:
            return self.space.zero if self.is_zero or other.is_zero else self.space.unbounded
        sums = self.space.sums
        top, bottom = sums(self.vectors, other.vectors), sums(self.bottom, other.bottom)
        return SymbolicSize(self.space, top, bottom)

    def _made(self, top: Forms, bottom: Forms) -> SymbolicSize:
        prune = self.space.prune
        return SymbolicSize(self.space, prune(top), prune(bottom))

    def __neg__(self) -> SymbolicSize:
        if len(self.vectors) > 1 and self.space.splits:
            raise CaseSplitError(self.vectors)
        return self._negated()

    def _negated(self) -> SymbolicSize:
        if not self.vectors:
            return self.space.unbounded if self.is_zero else self.space.zero
        return self._made(self.bottom, self.vectors)

    def __sub__(self, other: SymbolicSize) -> SymbolicSize:
        return self + -other

    def less(self, other: SymbolicSize) -> SymbolicSize:
        """The difference, whatever form of the other is the largest."""
        return self + other._negated()

    def at_most_one(self) -> SymbolCondition:
        """`self <= 0` as a condition on the symbols."""
        if not self.vectors:
            return ALWAYS if self.is_zero else NEVER
        return self.space.premises.order.at_most(self.vectors, self.bottom)

    def at_least_one(self) -> SymbolCondition:
        """`self >= 0`."""
        if not self.vectors:
            return NEVER if self.is_zero else ALWAYS
        return self.space.premises.order.at_most(self.bottom, self.vectors)

    def half(self) -> SymbolicSize:
        top, bottom = tuple(map(_halved, self.vectors)), tuple(map(_halved, self.bottom))
        return SymbolicSize(self.space, top, bottom, self._unbounded)

    def __or__(self, other: SymbolicSize) -> SymbolicSize:
        if self.is_zero or other._unbounded:
            return other
        if other.is_zero or self._unbounded or self == other:
            return self
        if self.bottom == other.bottom:
            return self._made((*self.vectors, *other.vectors), self.bottom)
        if other <= self:
            return self
        if self <= other:
            return other
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
        difference = self.less(other)
        if len(difference.bottom) == 1:
            implies = self.space.premises.implies
            return all(implies(opposite(form)) for form in difference.vectors)
        return self.space.at_most(difference.vectors, difference.bottom)

    def __ge__(self, other: SymbolicSize) -> bool:
        return other <= self

    def __lt__(self, other: SymbolicSize) -> bool:
        return not other <= self

    def __gt__(self, other: SymbolicSize) -> bool:
        """Whether it may be larger somewhere."""
        return not self <= other

    @property
    def quotient(self) -> Quotient:
        """The size as it is written."""
        space, order = self.space, self.space.premises.order
        top, bottom, symbols = self.vectors, self.bottom, space.symbols
        return Quotient(top, bottom, self.is_zero, space.names, symbols, order, space.origin)

    def exponents(self) -> dict[str, str | None]:
        """The exponent of each growth dim, readable by sympy."""
        return exponents_text(self.quotient)

    def to_dict(self) -> dict[str, str | None]:
        return exponents_text(self.quotient)

    def law(self) -> str:
        """`width**Max(1 - a, 0)`, readable by sympy; `0` for exact zero, `oo` for no bound."""
        return law_text(self.quotient, LAW)

    def __str__(self) -> str:
        return law_text(self.quotient, PLAIN)

    __repr__ = __str__


def symbolic(size: Size) -> SymbolicSize:
    """A size that is known to be in symbols."""
    assert isinstance(size, SymbolicSize)
    return size


def _sums(left: Forms, right: Forms) -> Forms:
    if len(left) == len(right) == 1:
        return (add(left[0], right[0]),)
    return tuple(dict.fromkeys(add(x, y) for x in left for y in right))
