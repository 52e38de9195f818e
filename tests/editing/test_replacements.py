"""Texts and their differences: a difference makes the one of the other."""

from __future__ import annotations

import random

from abcparam.diagnostics.diagnostic import Replacement
from abcparam.diagnostics.source import Span
from abcparam.editing.replacements import replaced, replacements


def test_a_difference_is_as_small_as_the_words_that_differ():
    before = "dim width = 3\ndim depth = 2\n"
    after = "dim width = 3\ndim depth = 12\n"
    assert replacements(before, after) == (Replacement(Span(2, 13, 2, 13), "1"),)
    assert replacements(before, before) == ()


def test_a_difference_makes_the_one_of_the_other():
    draw = random.Random(0)
    lines = ("a", "b", "", "xx yy", "xy")
    for _ in range(3000):
        one, two = ("\n".join(draw.choices(lines, k=draw.randrange(1, 6))) for _ in range(2))
        assert replaced(one, replacements(one, two)) == two
