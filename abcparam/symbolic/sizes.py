"""Sizes with symbols in them: differences of max-plus polynomials.

A size is `max(top) - max(bottom)`, each a set of affine forms in the symbols. Sums, maxima, minima
and differences of such are again such. Forms that another one dominates wherever the premises hold
are dropped as they come up.

Their numbers are counted in parts of 1, of which most are whole; `Quotient` has them as they are.
Layers are alike: a size is made once, and what comes of two of them is kept until more is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.sizes import Number, Size
from abcparam.symbolic.constraints import (
    ALWAYS,
    NEVER,
    Form,
    FormOrder,
    Forms,
    SymbolCondition,
    add,
    plain,
    subtract,
)
from abcparam.symbolic.quotients import cancelled
from abcparam.symbolic.solver import Premises, UnprovedError
from abcparam.symbolic.text import LAW, PLAIN, Quotient, exponents_text, law_text

PARTS = 2**5 * 3  # of 1: whole numbers are faster than fractions
LARGEST = 100 * PARTS  # coefficient of a form while directions of changes are followed


class CaseSplitError(Exception):
    """A size is divided by whose form depends on the symbols.

    `cases` are the forms that may be the largest.
    """

    def __init__(self, cases: Forms) -> None:
        super().__init__()
        self.cases = cases


class UnsettledError(UnprovedError):
    """The laws did not settle: no law is claimed."""


SizePair = tuple[int, int]  # by their ids


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
        answers = self.premises.answers
        self._pruned: dict[Forms, Forms] = answers(lambda forms: len(forms) == 1)
        self.products: dict[SizePair, SymbolicSize] = answers(_is_simple)
        self.larger: dict[SizePair, SymbolicSize] = answers(_is_simple)
        self.compared: dict[SizePair, bool] = answers(bool)
        self.inverses: dict[int, SymbolicSize] = answers(_is_simple)
        self.halves: dict[int, SymbolicSize] = {}
        self._made: dict[tuple[Forms, Forms], SymbolicSize] = {}
        self.origin: Form = (0,) * (self.width * max(1, len(self.names)))
        self.level: Forms = (self.origin,)  # what most sizes have at their bottom
        self.one = self.made(self.level)
        self.zero = self.made(())
        self.unbounded = SymbolicSize(self, (), self.level, unbounded=True)

    def size(self, exponents: Mapping[str, Fraction]) -> SymbolicSize:
        """The size with these exponents."""
        return self.exponent({name: Affine(value) for name, value in exponents.items()})

    def exponent(self, exponents: Mapping[str, Affine]) -> SymbolicSize:
        """The size with these exponents, which may hold symbols."""
        form = list(self.origin)
        for name, affine in exponents.items():
            start = self.names.index(name) * self.width
            form[start] = plain(affine.constant * PARTS)
            for symbol, factor in affine.symbols:
                form[start + 1 + self.symbols.index(symbol)] = plain(factor * PARTS)
        return self.made(self.prune((tuple(form),)))

    def made(self, top: Forms, bottom: Forms | None = None) -> SymbolicSize:
        """The size of these forms; made once."""
        bottom = bottom or self.level
        if top:
            top, bottom = self.cancelled(top, bottom)
        if len(bottom) == 1 and bottom != self.level and top:
            top, bottom = tuple([subtract(form, bottom[0]) for form in top]), self.level
        found = self._made.get((top, bottom))
        if found is None:
            found = self._made[top, bottom] = SymbolicSize(self, top, bottom)
        return found

    def cancelled(self, top: Forms, bottom: Forms) -> tuple[Forms, Forms]:
        """A quotient without what its top and bottom have in common, as far as that is seen.

        While directions of changes are followed they are left as they are: where they do not come
        to an end, that is seen by forms that soar.
        """
        alone = len(top) == 1 or len(bottom) == 1
        return (top, bottom) if alone or (self.follows and self.splits) else cancelled(top, bottom)

    def pruned(self, top: Forms, bottom: Forms) -> SymbolicSize:
        """The size of those of these forms that may be the largest."""
        return self.made(self.prune(top), self.prune(bottom))

    def prune(self, forms: Forms) -> Forms:
        """The forms that may be the largest somewhere.

        The others are dominated by one that is kept.
        """
        if forms == self.level:
            return forms
        found = self._pruned.get(forms)
        if found is None:
            self._pruned[forms] = found = self._prune(forms)
        return found

    def _prune(self, forms: Forms) -> Forms:
        reduced = list(dict.fromkeys(map(self.premises.reduce, forms)))
        if self.follows and self.splits and any(map(_soars, reduced)):
            raise UnsettledError
        if len(reduced) == 1:
            return tuple(reduced)
        return tuple(sorted(self.premises.largest(sorted(reduced, key=_simplicity))))


def _is_simple(size: SymbolicSize) -> bool:
    """Whether a size is one form, or none: nothing more is dropped from it."""
    return len(size.vectors) <= 1 and len(size.bottom) == 1


def _soars(form: Form) -> bool:
    return max(form) > LARGEST or min(form) < -LARGEST


def _halved(x: Number) -> Number:
    return Fraction(x, 2) if x % 2 else x // 2


def _simplicity(form: Form) -> tuple[object, ...]:
    return (len(form) - 1 - form[1:].count(0), form)


class SymbolicSize:
    """`max(top) - max(bottom)`; an empty top is exact zero (or no bound)."""

    __slots__ = ("_unbounded", "bottom", "space", "vectors")

    def __init__(
        self, space: SymbolicSpace, top: Forms, bottom: Forms, unbounded: bool = False
    ) -> None:
        self.space = space
        self._unbounded = unbounded
        self.vectors = top
        self.bottom = bottom

    @property
    def is_zero(self) -> bool:
        return not self.vectors and not self._unbounded

    @property
    def is_bound(self) -> bool:
        return not self._unbounded

    def __add__(self, other: SymbolicSize) -> SymbolicSize:
        known, pair = self.space.products, (id(self), id(other))
        found = known.get(pair)
        if found is None:
            known[pair] = found = self._times(other)
        return found

    def _times(self, other: SymbolicSize) -> SymbolicSize:
        if not self.vectors or not other.vectors:
            return self.space.zero if self.is_zero or other.is_zero else self.space.unbounded
        mine, beneath = self.space.cancelled(self.vectors, other.bottom)
        theirs, below = self.space.cancelled(other.vectors, self.bottom)
        return self.space.pruned(_sums(mine, theirs), _sums(below, beneath))

    def __neg__(self) -> SymbolicSize:
        if len(self.vectors) > 1 and self.space.splits:
            raise CaseSplitError(_in_ones(self.vectors))
        return self._negated()

    def _negated(self) -> SymbolicSize:
        known = self.space.inverses
        found = known.get(id(self))
        if found is None:
            known[id(self)] = found = self._inverse()
        return found

    def _inverse(self) -> SymbolicSize:
        if not self.vectors:
            return self.space.unbounded if self.is_zero else self.space.zero
        return self.space.pruned(self.bottom, self.vectors)

    def __sub__(self, other: SymbolicSize) -> SymbolicSize:
        return self + -other

    def less(self, other: SymbolicSize) -> SymbolicSize:
        """The difference, whatever form of the other is the largest."""
        return self + other._negated()

    def at_most_one(self) -> SymbolCondition:
        """`self <= 0` as a condition on the symbols."""
        if not self.vectors:
            return ALWAYS if self.is_zero else NEVER
        order = self.space.premises.order
        return order.at_most(self.vectors, self.bottom)

    def at_least_one(self) -> SymbolCondition:
        """`self >= 0`."""
        if not self.vectors:
            return NEVER if self.is_zero else ALWAYS
        order = self.space.premises.order
        return order.at_most(self.bottom, self.vectors)

    def half(self) -> SymbolicSize:
        if not self.vectors:
            return self
        known = self.space.halves
        found = known.get(id(self))
        if found is None:
            top, bottom = (
                tuple([tuple(map(_halved, form)) for form in forms])
                for forms in (self.vectors, self.bottom)
            )
            known[id(self)] = found = self.space.made(top, bottom)
        return found

    def __or__(self, other: SymbolicSize) -> SymbolicSize:
        if self is other:
            return self
        known, pair = self.space.larger, (id(self), id(other))
        found = known.get(pair)
        if found is None:
            known[pair] = found = self._plus(other)
        return found

    def _plus(self, other: SymbolicSize) -> SymbolicSize:
        if self.is_zero or other._unbounded:
            return other
        if other.is_zero or self._unbounded:
            return self
        if self.bottom == other.bottom:
            return self.space.pruned((*self.vectors, *other.vectors), self.bottom)
        if other <= self:
            return self
        if self <= other:
            return other
        theirs, mine = self.space.cancelled(self.bottom, other.bottom)
        top = (*_sums(self.vectors, mine), *_sums(other.vectors, theirs))
        return self.space.pruned(top, _sums(self.bottom, mine))

    def __and__(self, other: SymbolicSize) -> SymbolicSize:
        if self._unbounded or other.is_zero:
            return other
        if other._unbounded or self.is_zero:
            return self
        return (self._negated() | other._negated())._negated()

    def __le__(self, other: SymbolicSize) -> bool:
        """Whether it is never larger, wherever the premises hold."""
        if self is other:
            return True
        known, pair = self.space.compared, (id(self), id(other))
        found = known.get(pair)
        if found is None:
            known[pair] = found = self._at_most(other)
        return found

    def _at_most(self, other: SymbolicSize) -> bool:
        if self.is_zero or other._unbounded:
            return True
        if other.is_zero or self._unbounded:
            return False
        premises, prune = self.space.premises, self.space.prune
        others, ours = self.space.cancelled(self.bottom, other.bottom)
        mine, theirs = _sums(self.vectors, ours), _sums(other.vectors, others)
        if premises.samples.exceeds(mine, theirs):
            return False
        above = prune(theirs)
        below = (form for form in map(premises.reduce, mine) if form not in above)
        return all(premises.dominated(form, above) for form in below)

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
        top, bottom, symbols = _in_ones(self.vectors), _in_ones(self.bottom), space.symbols
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


def _in_ones(forms: Forms) -> Forms:
    return tuple([tuple([_in_one(c) if c else 0 for c in form]) for form in forms])


def _in_one(parts: Number) -> Number:
    return Fraction(parts, PARTS) if parts % PARTS else int(parts // PARTS)


def _sums(left: Forms, right: Forms) -> Forms:
    if len(left) == len(right) == 1:
        return (add(left[0], right[0]),)
    return tuple(dict.fromkeys([add(x, y) for x in left for y in right]))
