"""Values of hypers: powers that are no fractions, and what has no sense as a setting."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from abcparam.algebra.polynomials import atom, number
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.pipeline import emit_program
from abcparam.tuning.space import axes_of
from abcparam.verdict.check import judged, load

SPEC = """model MLP
dim width -> inf, base = 16
dim pixels = 64
dim classes = 10
hyper lr = 2^(-13/2) in log [2^(-17/2), 2^(-9/2)]
hyper std = 1/8
hyper beta = 0.9
parametrization mup
tensor first   : input  [width, pixels] { init = normal(std) }
tensor second  : hidden [width, width]  { mult = 2^(-1/2) }
tensor readout : output [classes, width]
forward(x : [pixels]) {
    return readout @ dropout(relu(second @ relu(first @ x)), 0.1)
}
optimizer adamw { lr = lr, betas = (beta, 0.99), eps = 1e-8 }
loss cross_entropy
"""


def test_a_power_of_a_sum_is_evaluated_as_one():
    """Neither `2^(-1/2)` nor `(n + 2)^2` is a quotient."""
    total = atom("n") + number(Fraction(2))
    values = {"n": Fraction(7)}
    assert number(Fraction(4)).power(Fraction(-1, 2)).evaluate({}) == Fraction(1, 2)
    assert total.power(Fraction(1, 2)).evaluate(values) == 3
    assert total.power(Fraction(-3, 2)).evaluate(values) == Fraction(1, 27)
    root = number(Fraction(2)).power(Fraction(1, 2))
    with pytest.raises(ValueError, match="not rational"):
        root.evaluate({})
    assert float(root.nearest({})) == root.approximately({}) == math.sqrt(2)
    with pytest.raises(ValueError, match="no number"):
        number(Fraction(-2)).power(Fraction(1, 2)).nearest({})


def test_hypers_are_half_octaves():
    program = load(Source(SPEC))
    assert float(program.hypers["lr"].value) == pytest.approx(2**-6.5, rel=1e-15)
    (axis,) = axes_of(program, ["lr"])
    assert [float(axis.low), float(axis.high)] == pytest.approx([2**-8.5, 2**-4.5], rel=1e-15)
    code = emit_program(judged(program))
    assert "lr: float = 0.011048543456039806  # search log [2^(-17 / 2), 2^(-9 / 2)]" in code


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr = 2^(-13/2)", "lr = -2^(-13/2)", "`lr` of `adamw` is -0.0110485, not positive"),
        ("lr = 2^(-13/2)", "lr = 0", "`lr` of `adamw` is 0, not positive"),
        ("std = 1/8", "std = -1/8", "`init` of `first` is -0.125, not 0 or more"),
        ("beta = 0.9", "beta = 1", "`betas` of `adamw` is 1, not from 0 to below 1"),
        ("eps = 1e-8", "eps = -1", "`eps` of `adamw` is -1, not 0 or more"),
        (", 0.1)", ", 1.5)", "`p` of `dropout` is 1.5, not from 0 to 1"),
        ("2^(-17/2)", "2^(-7/2)", "the range of `lr` must be two numbers, the lower first"),
    ],
)
def test_values_that_no_optimizer_takes_are_refused(old: str, new: str, message: str):
    assert old in SPEC
    with pytest.raises(SpecError) as caught:
        load(Source(SPEC.replace(old, new)))
    (diagnostic,) = caught.value.diagnostics
    assert message in diagnostic.message


def test_so_are_values_that_are_set():
    for values in ({"lr": Fraction(-1)}, {"beta": Fraction(3, 2)}):
        with pytest.raises(SpecError, match="P0408"):
            load(Source(SPEC), values)
    assert load(Source(SPEC), {"std": Fraction(0)}).hypers["std"].value == 0
