"""What holds at many points at once, beside each point alone."""

import random
from fractions import Fraction

import pytest

from abcparam.symbolic.constraints import (
    All,
    FormOrder,
    LinearConstraint,
    Some,
    SymbolCondition,
    holds_at,
    point_of,
    whole,
)
from abcparam.symbolic.samples import LARGEST, MOST, Samples

SYMBOLS = 3
ORDERS = [
    FormOrder((), SYMBOLS),
    FormOrder([(0, Fraction(1)), (1, Fraction(1))], SYMBOLS),
    FormOrder([(0, Fraction(3, 2)), (0, Fraction(1)), (1, Fraction(2))], SYMBOLS),
]


def drawn_points(draw: random.Random, count: int) -> list[tuple[int, ...]]:
    return [
        point_of([Fraction(draw.randint(-4, 4), draw.choice((1, 2, 3))) for _ in range(SYMBOLS)])
        for _ in range(count)
    ]


def drawn_condition(draw: random.Random, depth: int = 2) -> SymbolCondition:
    if depth and draw.random() < 0.7:
        parts = tuple(drawn_condition(draw, depth - 1) for _ in range(draw.randint(0, 3)))
        return draw.choice((All, Some))(parts)
    row = tuple(Fraction(draw.randint(-3, 3), draw.choice((1, 2))) for _ in range(1 + SYMBOLS))
    return LinearConstraint(row, draw.choice((">", ">=", "=")))


def samples_of(order: FormOrder, points: list[tuple[int, ...]]) -> Samples:
    samples = Samples(order)
    for point in points:
        samples.add(point)
    return samples


@pytest.mark.parametrize("seed", range(200))
def test_a_condition_holds_where_it_holds_point_by_point(seed: int):
    draw = random.Random(seed)
    points, condition = drawn_points(draw, draw.randint(0, 12)), whole(drawn_condition(draw))
    samples = samples_of(ORDERS[0], points)
    right = [point for point in points if holds_at(condition, point)]
    first = samples.first(condition)
    assert bool(samples.where(condition)) == bool(right)
    assert first == (right[0] if right else None)
    samples.keep(condition)
    assert samples.points == right


@pytest.mark.parametrize("order", ORDERS, ids=["one dim", "two limits", "rates"])
@pytest.mark.parametrize("seed", range(60))
def test_forms_compare_as_they_do_point_by_point(order: FormOrder, seed: int):
    draw = random.Random(seed)
    length = order.width * len(order.dims)
    parts = draw.choice(((1,), (1, 2, 3)))  # whole numbers, or fractions too
    forms = list(
        dict.fromkeys(
            tuple(Fraction(draw.randint(-2, 2), draw.choice(parts)) for _ in range(length))
            if len(parts) > 1
            else tuple(draw.randint(-2, 2) for _ in range(length))
            for _ in range(6)
        )
    )
    points = drawn_points(draw, 8)
    samples = samples_of(order, points)
    values = [order.values(forms, point) for point in points]
    alone = {of.index(max(of)) for of in values if list(of).count(max(of)) == 1}
    assert samples.alone(forms) == alone
    some, others = forms[:2], forms[2:]
    exceeds = any(max(of[:2]) > max(of[2:]) for of in values)
    assert samples.exceeds(some, others) == exceeds
    zero = tuple([0] * length)
    below = [
        point for point in points if max(order.values(some, point)) < order.values([zero], point)[0]
    ]
    assert samples.below(some) == (below[0] if below else None)


def test_of_numbers_too_large_nothing_is_known():
    samples = samples_of(ORDERS[0], [(1, LARGEST, 0, 0)])
    assert samples.points == []
    samples.add((1, LARGEST - 1, 0, 0))
    large = LinearConstraint((0, LARGEST, 0, 0), ">=")
    assert samples.first(large) is None
    assert samples.first(LinearConstraint((0, LARGEST - 1, 0, 0), ">=")) == samples.points[0]
    assert samples.alone([(0, LARGEST, 0, 0), (0, 1, 0, 0)]) == set()


def test_the_oldest_points_are_forgotten():
    points = [(1, index, 0, 0) for index in range(MOST + 1)]
    assert samples_of(ORDERS[0], points).points == points[MOST // 2 :]
