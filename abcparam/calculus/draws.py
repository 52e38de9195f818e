"""How values at init depend on the weights that every copy of an infinite repeat draws anew.

What has mean zero over these draws adds up over the copies at random; what has not, or does not
depend on them, is of one kind in all copies and adds up coherently.
"""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.record import NamedTuple


class Draws(NamedTuple):
    """How a value depends on the tensors that are drawn for the copy at hand, a bit for each.

    `of`: those that it depends on. To change the signs of some of them is as likely as not; such a
    change with an even number in every set of `even` only changes the value's sign, and does where
    it has an odd number in `odd`. `alike`: whether all its coordinates have one law.
    """

    of: int = 0
    odd: int = 0
    even: tuple[int, ...] = ()  # none has the highest bit of one before it
    alike: bool = False

    @property
    def cancels(self) -> bool:
        """Whether its mean is zero, as some change of signs changes the value's."""
        return bool(self.odd)

    @property
    def is_zero(self) -> bool:
        return self.odd == -1

    def bent(self) -> Draws:
        """That of a function of it which is not odd."""
        if self.is_zero:
            return CONSTANT
        return Draws(self.of, 0, _joined(self.even, (self.odd,)), self.alike)


GIVEN = Draws()  # a value that no draw of the copy at hand changes
CONSTANT = Draws(alike=True)  # the same number at all coordinates
ZERO = Draws(odd=-1, alike=True)


def drawn(bit: int) -> Draws:
    """That of a tensor itself: `bit` 0 where no copy draws one of its own."""
    return Draws(bit, bit, (), True) if bit else GIVEN


def mapped(bit: int, x: Draws) -> Draws:
    """That of a drawn map's result, which is as if drawn for this x even where x has met it."""
    even = tuple(one for one in x.even if not one & bit)
    return Draws(x.of | bit, _reduced(x.odd & ~bit | bit, even), even, alike=True)


def of_sum(terms: Sequence[Draws]) -> Draws:
    """That of a sum: what changes the signs of all of its terms changes its own."""
    if len(terms) == 1:
        return terms[0]
    parts = [term for term in terms if term.odd != -1]
    if len(parts) < 2:
        return parts[0] if parts else ZERO
    first, *others = parts
    of, even, alike = first.of, first.even, first.alike
    for term in others:
        of |= term.of
        even = _joined(even, (*term.even, first.odd ^ term.odd))
        alike &= term.alike
    return Draws(of, _reduced(first.odd, even), even, alike)


def of_product(x: Draws, y: Draws) -> Draws:
    """That of a product: what changes the sign of one of its factors changes its own."""
    if x.is_zero or y.is_zero:
        return ZERO
    even = _joined(x.even, y.even)
    return Draws(x.of | y.of, _reduced(x.odd ^ y.odd, even), even, x.alike and y.alike)


def _joined(sets: tuple[int, ...], more: Sequence[int]) -> tuple[int, ...]:
    """A basis of what both span, over the field of two elements."""
    for one in more:
        left = _reduced(one, sets)
        if left:
            sets = (*sets, left)
    return sets


def _reduced(one: int, sets: Sequence[int]) -> int:
    """What is left of a set after those that are spanned: 0 if it is one of them."""
    for other in sets:
        one = min(one, one ^ other)
    return one
