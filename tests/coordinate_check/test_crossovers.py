"""Crossovers: the exponent that leads is left free, and what divides is in one too."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from pathlib import Path

import pytest

import abcparam
from abcparam.algebra.lines import slope_of
from abcparam.coordinate_check.check import coordinate_check
from abcparam.coordinate_check.fits import WidthPoint, leading_of
from abcparam.coordinate_check.judging import CROSSOVER, DISAGREES, SHARE, UNRESOLVED, judge
from abcparam.coordinate_check.laws import CHANGE, UPDATE, PredictedLaw, PredictedLaws, laws_of
from abcparam.coordinate_check.options import CheckOptions
from abcparam.coordinate_check.plan import varied_dims
from abcparam.language.reader import read
from abcparam.verdict.check import load
from tests.optimizers.test_clipping import spec as clipped

SPEC = Path(__file__).with_name("crossover.param")
WIDTHS = (64, 128, 256, 512)


def seeded(law: object, noise: float = 0.01) -> list[WidthPoint]:
    """Sizes of four widths and five seeds; a seed makes a tenth at every width alike."""
    assert callable(law)
    draw = random.Random(5)
    own = [draw.gauss(0, 0.1) for _ in range(5)]
    return [(float(n), law(n) * math.exp(s + draw.gauss(0, noise))) for n in WIDTHS for s in own]


def test_the_leading_exponent_of_a_sum_is_found():
    """Of size² = 1 + 100/n the slope is -0.17."""
    points = seeded(lambda n: math.sqrt(1 + 100 / n), 0.002)
    found = leading_of(points, [-0.5], SHARE)
    assert found is not None
    assert found.value - found.error < 0 < found.value + found.error
    assert found.value - found.error > slope_of(points).value + 0.1


@pytest.mark.parametrize("exponent", [-1.0, -0.5, -0.25, 0.25])
def test_the_leading_exponent_is_that_of_the_sizes_and_not_of_the_law(exponent: float):
    """One power, under a law of 0 whose smaller exponents it is, or is not, among."""
    found = leading_of(seeded(lambda n: n**exponent), [-0.5, -1.0], SHARE)
    assert found is not None
    assert abs(found.value - exponent) <= found.error + 0.02
    assert abs(found.value) > 0.1


def test_any_sizes_have_a_leading_exponent_or_none():
    """20 sets of sizes at three widths, where many systems of powers are singular."""
    draw = random.Random(3)
    for _ in range(20):
        scale, slope = 10 ** draw.uniform(-12, 3), draw.uniform(-3, 3)
        points = [(float(n), scale * n**slope * draw.uniform(0.5, 2)) for n in WIDTHS[:3]]
        found = leading_of(points, [draw.uniform(-4, 4) for _ in range(3)], SHARE)
        assert found is None or math.isfinite(found.value + found.error)


def outcome(law: PredictedLaw, sizes: list[float]) -> str:
    measured = {
        (n, 0): {("x", CHANGE): [size], ("x", "at_init"): [1.0]}
        for n, size in zip(WIDTHS, sizes, strict=True)
    }
    return judge(PredictedLaws({("x", CHANGE): law}, 1, ()), measured).rows[0].outcome


def test_what_is_divided_by_a_sum_is_explained_by_its_terms():
    """1/size² = 1 + 400/n: size grows while the smaller term of the divisor leads."""
    sizes = [1 / math.sqrt(1 + 400 / n) for n in WIDTHS]
    assert outcome(PredictedLaw(Fraction(0)), sizes) == DISAGREES
    assert outcome(PredictedLaw(Fraction(0), (), (Fraction(-1, 2),)), sizes) == CROSSOVER
    steep = [float(n) for n in WIDTHS]
    assert outcome(PredictedLaw(Fraction(0), (), (Fraction(-1, 2),)), steep) == DISAGREES


def test_where_the_smaller_term_of_a_divisor_leads_alone_nothing_is_resolved():
    """1/size² = 1 + 10^4/n, as behind a norm of few numbers under a small rate: slope 0.41 to 0.49;
    and a size that stays at its bound, where n^(-1/4) is derived.
    """
    law = PredictedLaw(Fraction(0), (), (Fraction(-1, 2),))
    assert outcome(law, [1 / math.sqrt(1 + 1e4 / n) for n in WIDTHS]) == UNRESOLVED
    bounded = PredictedLaw(Fraction(-1, 4), (), (Fraction(-1, 4),))
    assert outcome(bounded, [1 / math.sqrt(1 + n**0.5 / 1e3) for n in WIDTHS]) == UNRESOLVED
    assert outcome(bounded, [n**0.25 for n in WIDTHS]) == DISAGREES


FROM_ZERO = """model FromZero
dim width -> inf, base = 64
dim words = 7
hyper lr = 0.03
tensor table : input [words, width] { a = 0, b = 0, c = 1/4, init = zeros }
tensor mix : hidden [width, width] { a = 0, b = 1/2, c = 1 }
tensor readout : output [words, width] { a = 1, b = 0, c = 0 }
forward(word : index(words) []) {
    h = embed(table, word)
    n = rmsnorm(h)
    k = mix @ n
    return readout @ k
}
optimizer adam { lr = lr }
loss cross_entropy
"""


def spectra(text: str) -> dict[tuple[str, str], PredictedLaw]:
    report = abcparam.check(text)
    return laws_of(report, 4, varied_dims(report.program)).rows


def test_what_reaches_a_bound_is_divided_by_the_sum_of_both():
    """A norm's input from zero meets its epsilon: n is h / sqrt(h² + eps), 1 at all small widths. A
    tensor on its sphere moves by r / sqrt(1 + r²) of it, r the rate. A norm that is not yet clipped
    is clipped at the widths at which the limit is less.
    """
    laws = spectra(FROM_ZERO)
    assert laws["n", CHANGE] == PredictedLaw(Fraction(-1, 4), (), (Fraction(-1, 4),))
    assert laws["h", CHANGE] == PredictedLaw(Fraction(-1, 4))
    sphere = FROM_ZERO.replace("c = 1/4, init = zeros", "c = -1/2").replace("adam ", "adamh ")
    assert spectra(sphere)["table", UPDATE] == PredictedLaw(Fraction(0), (), (Fraction(-1, 2),))
    loose = FROM_ZERO.replace("adam { lr = lr", "sgd { lr = lr, clip_norm = width / base(width)")
    assert spectra(loose)["table", UPDATE].divisor == (Fraction(-3, 2),)


def test_what_moves_in_the_first_steps_of_radam_is_not_held_to_zero():
    """Its law is that of the sixth step; the table moves in the second, once the gain has."""
    gain = "tensor gain : input [width] { a = 0, b = 0, c = 0, init = zeros }\ntensor mix"
    text = FROM_ZERO.replace(", init = zeros", "").replace("tensor mix", gain)
    text = text.replace("rmsnorm(h)", "rmsnorm(h, gain = gain)").replace("c = 1 }", "c = 0 }")
    for optimizer, held in (("adam", True), ("radam", False)):
        report = abcparam.check(text.replace("adam", optimizer))
        assert report.verdict == "unstable"
        laws = laws_of(report, 4, varied_dims(report.program)).rows
        assert (("table", UPDATE) in laws) == held


def test_a_gradient_through_a_norm_whose_input_is_in_a_crossover():
    """The stream of this spec starts at twice 9 n^(-1/4) and one; its gradient is divided by it."""
    options = CheckOptions(widths=(128, 256, 512, 1024), seeds=3, steps=1)
    found = coordinate_check(load(read(SPEC)), options)
    rows = {(row.name, row.quantity): row for row in found.verdict.rows}
    assert rows["h", "at_init"].outcome == CROSSOVER
    assert rows["h", "gradient"].law.divisor == (Fraction(-1, 4), Fraction(-3, 4))
    assert [row for row in found.verdict.of(DISAGREES) if row.quantity == "gradient"] == []


def test_clipping_divides_by_a_sum():
    """Gradients' joint norm is n^(1/2) of the readout's, 1 of the hidden and n^(-1/2) of the input
    weights': updates reach their exponents from below (measured: 0.19 for 0 at widths 64-512).
    """
    text = clipped("clip_norm = 0.05", c="?").replace(
        "output { a = 0, b = 1/2,", "output { a = 0, b = 1,"
    )
    report = abcparam.check(abcparam.solve(text))
    laws = laws_of(report, 4, varied_dims(report.program)).rows
    for key in (("output", CHANGE), ("first", UPDATE), ("second", UPDATE), ("readout", UPDATE)):
        assert laws[key].exponent == 0
        assert laws[key].divisor == (Fraction(-1, 2), Fraction(-1))
