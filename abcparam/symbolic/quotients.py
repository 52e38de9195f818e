"""Differences of largest forms in fewer of them: what both sides are sums with is cancelled."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.sizes import Number
from abcparam.symbolic.constraints import Form, Forms, subtract


def cancelled(top: Forms, bottom: Forms) -> tuple[Forms, Forms]:
    """`max(top) - max(bottom)`, equal everywhere, without the largest of two forms that both hold.

    `max(0, 3 x) - max(0, 2 x)` is `max(0, x)`: the largest of forms is the support function of
    their convex hull, and sums of such are those of Minkowski sums of the hulls. A segment that is
    a summand of both is taken from both; it is seen where each form has another one beside it in
    the direction of the segment. The forms are distinct, none is between others.
    """
    if top == bottom:
        level: Forms = ((0,) * len(top[0]),)
        return level, level
    while not len(top) % 2 and not len(bottom) % 2:
        first, *others = min(top, bottom, key=len)
        found = (_divided(top, bottom, subtract(other, first)) for other in others)
        quotient = next(filter(None, found), None)
        if quotient is None:
            break
        top, bottom = quotient
    return _shifted(top, bottom)


def _shifted(top: Forms, bottom: Forms) -> tuple[Forms, Forms]:
    """A quotient without what is a part of every form."""
    common = tuple(map(_common, zip(*top, *bottom, strict=True)))
    if not any(common):
        return top, bottom
    left, right = (tuple([subtract(form, common) for form in forms]) for forms in (top, bottom))
    return left, right


def _common(numbers: Sequence[Number]) -> Number:
    """What all numbers have in common: the least where all are above 0, or the greatest below."""
    least, greatest = min(numbers), max(numbers)
    return least if least > 0 else min(greatest, 0)


def _divided(top: Forms, bottom: Forms, way: Form) -> tuple[Forms, Forms] | None:
    """A quotient without what both are sums with of two forms that lie in a direction."""
    at = next(index for index, c in enumerate(way) if c)
    above, below = (_lines(forms, way, at) for forms in (top, bottom))
    if above is None or below is None:
        return None
    most = min((subtract(y, x) for x, y in (*above, *below)), key=lambda way: way[at] * way[at])
    left, right = (
        tuple(dict.fromkeys(f for x, y in pairs for f in (x, subtract(y, most))))
        for pairs in (above, below)
    )
    return left, right


def _lines(forms: Forms, way: Form, at: int) -> list[tuple[Form, Form]] | None:
    """The forms in twos that lie in a direction, if all of them do."""
    lines: dict[Form, list[Form]] = {}
    unit = way[at]
    for form in forms:
        line = tuple([c * unit - form[at] * w for c, w in zip(form, way, strict=True)])
        lines.setdefault(line, []).append(form)
    if any(len(line) != 2 for line in lines.values()):
        return None
    return [(x, y) if (y[at] > x[at]) is (unit > 0) else (y, x) for x, y in lines.values()]
