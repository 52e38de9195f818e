"""What looks at points before it proves anything: it says what proofs alone would say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from operator import mul

from abcparam.algebra.sizes import Number
from abcparam.analysis.judge import Evaluator, judgement_of
from abcparam.diagnostics.source import Source
from abcparam.pipeline import to_source
from abcparam.program.binding import bind
from abcparam.symbolic.constraints import (
    All,
    Form,
    FormOrder,
    Forms,
    LinearConstraint,
    Some,
    SymbolCondition,
    add,
    negation,
    subtract,
)
from abcparam.symbolic.judgement import judge_symbolic
from abcparam.symbolic.quotients import cancelled
from abcparam.symbolic.regions import region_of
from abcparam.symbolic.solver import Premises
from abcparam.symbolic.symbols import all_symbolic
from abcparam.verdict.check import load
from tests.support.paths import EXAMPLES

NAMES = ("s", "t", "u")


def rows(draw: random.Random, count: int) -> list[Form]:
    return [tuple(draw.randint(-2, 2) for _ in range(1 + len(NAMES))) for _ in range(count)]


def among(constraints: Sequence[SymbolCondition]) -> Premises:
    premises = Premises(NAMES)
    for x in constraints:
        premises.assume(x)
    return premises


def test_the_largest_forms_are_those_that_no_others_dominate():
    draw = random.Random(0)
    for _ in range(60):
        bounds = [LinearConstraint(row, ">=") for row in rows(draw, draw.randrange(4))]
        if among(bounds).example(All(())) is None:
            continue
        forms = sorted(set(rows(draw, 7)))
        kept = among(bounds).largest(forms)
        assert kept
        for form in forms:
            others = [other for other in kept if other != form]
            above = [LinearConstraint(subtract(form, other), ">") for other in others]
            larger = among(bounds).example(All(tuple(above)))
            assert (larger is not None) == (form in kept)


def sums(left: Sequence[Form], right: Sequence[Form]) -> Forms:
    return tuple(dict.fromkeys(add(x, y) for x in left for y in right))


def value(forms: Sequence[Form], point: Sequence[int]) -> Number:
    return max(sum(map(mul, form, (1, *point))) for form in forms)


def test_what_top_and_bottom_of_a_quotient_have_in_common_is_cancelled():
    draw = random.Random(3)
    points = [[draw.randint(-9, 9) for _ in NAMES] for _ in range(50)]
    shorter = 0
    for _ in range(300):
        ways = [*rows(draw, 2), *rows(draw, 1)]
        segments = [((0,) * 4, way) for way in ways if any(way)]
        top, bottom = (tuple(rows(draw, draw.choice((1, 1, 2)))) for _ in range(2))
        for segment in segments:
            times = draw.randint(1, 3), draw.randint(0, 3)
            stretched = [((0,) * 4, tuple(k * c for c in segment[1])) for k in times]
            top, bottom = sums(top, stretched[0]), sums(bottom, stretched[1])
        top, bottom = (tuple(Premises(NAMES).largest(sorted(set(x)))) for x in (top, bottom))
        above, below = cancelled(top, bottom)
        shorter += len(above) + len(below) < len(top) + len(bottom)
        for point in points:
            assert value(top, point) - value(bottom, point) == (
                value(above, point) - value(below, point)
            )
    assert shorter > 100
    assert cancelled(((0, 0), (0, 3)), ((0, 2), (0, 0))) == (((0, 0), (0, 1)), ((0, 0),))


def test_a_region_keeps_no_choice_that_the_others_imply():
    draw = random.Random(4)
    several = 0
    for _ in range(40):
        stated = [
            Some(tuple(LinearConstraint(row, draw.choice((">=", ">"))) for row in rows(draw, 2)))
            for _ in range(6)
        ]
        region = region_of(All(tuple(stated)), NAMES)
        if region.empty:
            assert Premises(NAMES).example(All(tuple(stated))) is None
            continue
        for condition in (*stated, negation(All(tuple(stated)))):
            assert among([region.condition]).proves(condition) == (condition in stated)
        clauses = [Some(tuple(map(All, clause))) for clause in region.clauses]
        several += sum(len(clause) > 1 for clause in region.clauses) > 1
        for clause in clauses:
            others = [other for other in clauses if other is not clause]
            assert not among(others).proves(clause)
    assert several > 5


def test_of_layers_that_are_alike_the_first_and_the_last_say_what_the_others_do():
    found = judge_symbolic(all_symbolic(load(to_source((EXAMPLES / "lora.param").read_text()))))
    for case in found.cases:
        choices = [clause for clause in case.regions["stable"].clauses if len(clause) > 1]
        assert len(choices) == 3  # of each of 12 layers there was one
        slacks = [law.slack for law in case.judgement.tensors if law.slack is not None]
        rows_ = [row for slack in slacks for row in (*slack.quotient.top, *slack.quotient.bottom)]
        assert max(abs(c) for row in rows_ for c in row) < 20  # each layer multiplied them by 3


def test_a_region_keeps_what_its_other_constraints_do_not_imply():
    draw = random.Random(1)
    for _ in range(60):
        relation = (">=", ">", ">=", "=")
        stated = [LinearConstraint(row, draw.choice(relation)) for row in rows(draw, 6)]
        region = region_of(All(tuple(stated)), NAMES)
        if region.empty:
            assert among(stated).example(All(())) is None
            continue
        kept = [x for clause in region.clauses for alternative in clause for x in alternative]
        assert all(among(kept).proves(x) for x in stated)
        assert all(among(stated).proves(x) for x in kept)
        for x in kept:
            assert not among([other for other in kept if other != x]).proves(x)


def test_one_graph_is_judged_at_many_values():
    program = all_symbolic(load(to_source(EXAMPLES / "mlp.param")))
    numbers, draw = Evaluator(program), random.Random(2)
    seen = set()
    for _ in range(12):
        values = {s: Fraction(draw.randint(-1, 2), 2) for s in program.symbols}
        seen.add(numbers.verdict(values))
        assert numbers.verdict(values) == judgement_of(bind(program, values)).verdict
    assert len(seen) > 1


def test_numbers_cancel_at_the_exponents_at_which_they_do():
    """Of one graph, whose kinds of values are found once."""
    program = load(
        Source(
            """model Gated
dim width -> inf, base = 64
dim pixels = 8
dim classes = 4
exponent t
parametrization mup
hyper lr = 0.1
tensor first : input [width, pixels]
tensor gain : input [width] { a = t, init = ones }
tensor readout : output [classes, width]
forward(x : [pixels]) {
    h = first @ x
    m = mean(1 - gain, axis = -1)
    return readout @ (h * m)
}
optimizer adam { lr = lr }
loss cross_entropy
"""
        )
    )
    numbers = Evaluator(program)
    for t in (Fraction(0), Fraction(1, 2), Fraction(0), Fraction(1)):
        found = numbers.judgement_if_stable({"t": t})
        assert found is not None
        assert str(found.laws.graph.activations["m"].s0) == ("1" if t else "0")


def test_forms_at_a_point_are_ordered_as_their_rates_in_each_limit():
    """Of two limits the first decides; rates are fractions, values whole numbers."""
    draw = random.Random(3)
    half, seventh = Fraction(1, 2), Fraction(3, 7)
    for dims in (((0, half),), ((0, half), (0, seventh)), ((0, half), (1, seventh), (0, half))):
        order = FormOrder(dims, 1)
        for _ in range(30):
            point = (draw.randint(1, 3), draw.randint(-3, 3))
            forms = [tuple(draw.randint(-2, 2) for _ in range(2 * len(dims))) for _ in range(2)]
            one, other = ([sum(map(mul, row, point)) for row in order.rows(form)] for form in forms)
            first, second, zero = order.values([*forms, (0,) * (2 * len(dims))], point)
            assert (first < second, first == second) == (one < other, one == other)
            assert (first < zero) == (one < [0] * len(one))
