"""Our own decisions beside those of z3: random conditions, cores, fewest changes, least moves."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import pytest

from abcparam.algebra.budgets import budget, opened
from abcparam.symbolic.constraints import (
    AffineRow,
    All,
    LinearConstraint,
    Some,
    SymbolCondition,
    holds_at,
    negation,
    point_of,
)
from abcparam.symbolic.decision.conditions import Conditions, least
from abcparam.symbolic.solver import ContradictionError, Premises, UnprovedError
from tests.support.paths import ROOT
from tests.support.z3_oracle import possible, smaller_sum, variables

SEEDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 40))]
OF_A_SEED = 75


def random_row(draw: random.Random, symbols: int, sparse: bool) -> tuple[Fraction | int, ...]:
    """Whole coefficients mostly, and any fractions at times."""
    awkward = draw.random() < 0.2
    row: list[Fraction | int] = [0] * (1 + symbols)
    for index in draw.sample(range(symbols), min(symbols, draw.randint(1, 3 if sparse else 6))):
        row[1 + index] = draw.choice((-2, -1, -1, 1, 1, 2))
        if awkward:
            row[1 + index] = Fraction(draw.randint(-7, 7), draw.choice((1, 2, 3, 11, 13)))
    row[0] = Fraction(draw.randint(-6, 6), draw.choice((1, 1, 2, 4, 17) if awkward else (1, 2)))
    return tuple(row)


def random_condition(
    draw: random.Random, symbols: int, depth: int, relations: str = "> >= ="
) -> SymbolCondition:
    if depth == 0 or draw.random() < 0.3:
        return LinearConstraint(random_row(draw, symbols, True), draw.choice(relations.split()))
    parts = [
        random_condition(draw, symbols, depth - 1, relations)
        for _ in range(draw.randint(0, 4) or 2)
    ]
    return (All if draw.random() < 0.5 else Some)(tuple(parts))


def equations_among(draw: random.Random, symbols: int) -> list[SymbolCondition]:
    """Many conditions on the same few forms, as laws make them."""
    forms = [random_row(draw, symbols, False) for _ in range(draw.randint(2, 6))]
    moved = [(row[0] + draw.choice((-1, 0, 1)), *row[1:]) for row in forms]
    atoms = [
        LinearConstraint(row if draw.random() < 0.5 else tuple(-c for c in row), relation)
        for row in (*forms, *moved)
        for relation in (">=", ">", "=")
    ]
    return [Some(tuple(draw.sample(atoms, draw.randint(1, 4)))) for _ in range(draw.randint(3, 20))]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_conditions_as_z3_decides_them(seed: int):
    """Three thousand premises in all, each with three questions one after the other."""
    draw = random.Random(seed)
    answers = []
    for _ in range(OF_A_SEED):
        symbols = draw.randint(1, 8)
        names = variables([f"x{index}" for index in range(symbols)])
        if draw.random() < 0.5:
            premises = [random_condition(draw, symbols, 3) for _ in range(draw.randint(1, 6))]
        else:
            premises = equations_among(draw, symbols)
        ours = Conditions(symbols)
        for premise in premises:
            ours.premise(premise)
        asked = random_condition(draw, symbols, 2)
        for question in (asked, negation(asked), asked):
            found = ours.example(question)
            expected = possible([*premises, question], names)
            assert (found is not None) == expected
            answers.append(expected)
            if found is not None:
                assert all(holds_at(condition, found) for condition in (*premises, question))
    assert {True, False} == set(answers)


@pytest.mark.parametrize("seed", range(10))
def test_a_core_cannot_hold_and_nothing_in_it_can_be_left_out(seed: int):
    draw = random.Random(seed)
    found = 0
    while found < 10:
        symbols = draw.randint(1, 5)
        names = variables([f"x{index}" for index in range(symbols)])
        conditions = [random_condition(draw, symbols, 2) for _ in range(draw.randint(3, 12))]
        core = Conditions(symbols).core(conditions)
        assert (core is None) == possible(conditions, names)
        if core is not None:
            found += 1
            assert not possible([conditions[index] for index in core], names)
            for left_out in core:
                assert possible([conditions[i] for i in core if i != left_out], names)


@pytest.mark.parametrize("seed", range(10))
def test_the_fewest_changes_are_all_found(seed: int):
    """Of every set of pins that are given up, by size, z3 says whether the others can hold."""
    draw = random.Random(seed)
    for _ in range(4):
        symbols = draw.randint(2, 4)
        names = variables([f"x{index}" for index in range(symbols)])
        ours = Conditions(symbols)
        premises = [random_condition(draw, symbols, 2) for _ in range(draw.randint(1, 4))]
        for premise in premises:
            ours.premise(premise)
        pins = [
            LinearConstraint(random_row(draw, symbols, True), "=")
            for _ in range(draw.randint(2, 5))
        ]
        expected: set[tuple[int, ...]] = set()
        for size in range(len(pins) + 1):
            for given_up in combinations(range(len(pins)), size):
                kept = [pin for index, pin in enumerate(pins) if index not in given_up]
                if possible([*premises, *kept], names):
                    expected.add(given_up)
            if expected:
                break
        found = list(ours.fewest(pins))
        assert set(found) == expected and len(found) == len(expected)


@pytest.mark.parametrize("seed", range(10))
def test_no_sum_of_moves_is_smaller(seed: int):
    draw = random.Random(seed)
    for _ in range(10):
        symbols = draw.randint(1, 4)
        names = variables([f"x{index}" for index in range(symbols)])
        conditions = [random_condition(draw, symbols, 3, ">= =") for _ in range(draw.randint(1, 3))]
        rows = [random_row(draw, symbols, True) for _ in range(draw.randint(1, 4))]
        values = least(symbols, conditions, rows)
        assert (values is not None) == possible(conditions, names)
        if values is not None:
            assert all(holds_at(condition, point_of(values)) for condition in conditions)
            total = sum((size_of(row, values) for row in rows), Fraction(0))
            assert not smaller_sum(conditions, rows, total, names)


def size_of(row: AffineRow, values: Sequence[Fraction]) -> Fraction:
    terms = (Fraction(c) * x for c, x in zip(row[1:], values, strict=True))
    return abs(sum(terms, Fraction(row[0])))


def test_premises_that_contradict_each_other_say_which():
    premises = Premises(["a", "b"])
    premises.assume(LinearConstraint((0, 1, 0), ">="), 0)
    premises.assume(LinearConstraint((-1, 0, 1), ">"), 1)
    premises.check()
    premises.assume(LinearConstraint((1, -1, -1), ">"), 2)
    with pytest.raises(ContradictionError) as found:
        premises.check()
    assert found.value.labels == (0, 1, 2)


@budget(0)
@opened()
def test_what_takes_too_long_is_unproved():
    premises = Premises(["a"])
    with pytest.raises(UnprovedError):
        premises.proves(LinearConstraint((0, 1), ">="))
    with pytest.raises(UnprovedError):
        premises.check()
    with pytest.raises(UnprovedError):
        premises.core([(0, LinearConstraint((0, 1), ">="))])
    with pytest.raises(UnprovedError):
        list(premises.fewest([LinearConstraint((0, 1), "=")]))
    with pytest.raises(UnprovedError):
        premises.nearest([(0, 1)], [0])


EXAMPLES = """
import random
from abcparam.algebra.budgets import budget, opened
from abcparam.symbolic.decision.conditions import Conditions
from tests.symbolic.test_decision import equations_among, random_condition
draw = random.Random(0)
for _ in range(60):
    ours = Conditions(6)
    for premise in equations_among(draw, 6):
        ours.premise(premise)
    print(ours.example(random_condition(draw, 6, 3)))
"""


def test_examples_are_the_same_in_every_run():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", EXAMPLES],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
