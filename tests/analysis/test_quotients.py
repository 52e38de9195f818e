"""Values divided by values, as models that are read have them."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest

from abcparam.algebra.sizes import NumericSize, NumericSpace
from abcparam.calculus.bilinear import QuotientNode
from abcparam.calculus.node import Context, InputNode, Node, ZerosNode

SPACE = NumericSpace({"width": (0, Fraction(1))})
CONTEXT = Context(SPACE.one, SPACE.zero, SPACE.unbounded, "tensor-programs", follows=True)
POWERS = (Fraction(-1, 2), Fraction(0), Fraction(1))


def size(power: Fraction) -> NumericSize:
    return SPACE.size({"width": power})


def value(initial: Fraction, change: Fraction) -> Node:
    node = InputNode(CONTEXT, "x")
    node.begin()
    node.s0, node.dc = size(initial), size(change)
    return node


@pytest.mark.parametrize("powers", list(product(POWERS, repeat=4)))
def test_a_quotient_has_the_sizes_of_its_derivatives(powers: tuple[Fraction, ...]):
    """d(x / y) = dx / y - x dy / y^2, back g / y and g x / y^2, summed where y is stretched."""
    x0, dx, y0, dy = powers
    x, y = value(x0, dx), value(y0, dy)
    one = Fraction(1)
    z = QuotientNode(CONTEXT, x, y, size(one))
    z.begin()
    z.move()
    s, t = max(x0, dx), max(y0, dy)
    assert z.s0 == size(x0 - y0)
    assert z.dc == size(max(dx - t, dy + s - 2 * t))
    z.g0, z.gc = size(-one), size(-2 * one)
    first, second = ({"x": list(z.back())[i::2]} for i in (0, 1))
    to_x, to_y = first["x"], second["x"]
    assert max(g0 for _, g0, _, _ in to_x) == size(-1 - y0)
    assert max(g0 for _, g0, _, _ in to_y) == size(-1 + x0 - 2 * y0 + one / 2)
    assert max(gc for _, _, gc, _ in to_x) == size(max(-2 - t, -1 + dy - 2 * t))
    later = max(-2 + s - 2 * t, -1 + max(dx, dy + s - t) - 2 * t)
    assert max(gc for _, _, gc, _ in to_y) == size(later + one)
    limits = [limit.bound for _, limit in z.limits()]
    assert limits == [size(max(x0, Fraction(0))), size(y0)]


def test_what_starts_at_zero_is_held_up_below():
    x, zero = value(Fraction(1, 2), Fraction(0)), ZerosNode(CONTEXT, ())
    zero.begin()
    z = QuotientNode(CONTEXT, x, zero, SPACE.one)
    z.begin()
    assert z.s0 == x.s0
    above = QuotientNode(CONTEXT, zero, x, SPACE.one)
    above.begin()
    assert above.s0.is_zero and above.exact == 0
