"""Quotients: sizes, changes and gradients of `x / y`."""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.sizes import NumericSpace, Size
from abcparam.calculus.bilinear import QuotientNode
from abcparam.calculus.node import Context, InputNode, Node

SPACE = NumericSpace({"n": (0, Fraction(1))})
CONTEXT = Context(SPACE.one, SPACE.zero, SPACE.unbounded, "tensor-programs", True)


def power(exponent: Fraction | int) -> Size:
    return SPACE.size({"n": Fraction(exponent)})


def value(size: Size, change: Size) -> Node:
    """A value of this size, and of a coherent change."""
    node = InputNode(CONTEXT, "x")
    node.s0, node.dc = size, change
    return node


def over(x: Node, y: Node, lacking: Size = SPACE.one) -> QuotientNode:
    node = QuotientNode(CONTEXT, x, y, lacking)
    node.s0 = node.initial()
    node.move()
    return node


def test_sizes_are_quotients():
    assert over(value(power(1), SPACE.zero), value(power(2), SPACE.zero)).s0 == power(-1)


def test_both_changes_count():
    """`dx / y` and `x dy / y²`."""
    assert over(value(power(1), power(1)), value(power(2), SPACE.zero)).d == power(-1)
    assert over(value(power(1), SPACE.zero), value(power(2), power(1))).d == power(-2)


def test_what_grows_is_divided_by_as_it_is():
    assert over(value(power(0), SPACE.zero), value(power(0), power(1))).d == power(-1)


def test_gradients_are_those_of_both():
    """`1 / y` and `x / y²`, summed at random over what y lacks."""
    node = over(value(power(1), SPACE.zero), value(power(2), SPACE.zero), power(1))
    assert list(node.back_initial()) == [power(-2), power(Fraction(-5, 2))]


def test_zero_is_held_up_by_an_epsilon():
    assert over(value(power(0), SPACE.zero), value(SPACE.zero, SPACE.zero)).s0 == power(0)
