"""What proxies of several sizes say of the target, and how surely."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import abcparam
from abcparam.algebra.lines import ratio_quantile
from abcparam.algebra.record import replace
from abcparam.tuning.extrapolation import (
    Optimum,
    PowerLaw,
    Scatter,
    SizeLaws,
    _vertex,
    law_of,
    laws_of,
    optimum,
    scatter_of,
)
from abcparam.tuning.output.page import page
from abcparam.tuning.output.text import render_sweep
from tests.support.running import Run
from tests.tuning.test_sweep import mlp

SIZES = (32.0, 64.0, 128.0, 256.0)


def test_a_power_is_found_exactly():
    law = PowerLaw(SIZES, tuple(3 * size**-0.5 for size in SIZES))
    assert law.slope.value == pytest.approx(-0.5)
    assert law.slope.high - law.slope.low < 1e-6
    assert law.at(1024).value == pytest.approx(3 / 32)
    assert _vertex([0.0, 1.0, 3.0], [(x - 1.3) ** 2 for x in (0, 1, 3)]) == pytest.approx(1.3)


def test_intervals_that_tell_nothing_say_so():
    """From end to end more than a hundredfold, of a hyper or of the loss."""
    loss = PowerLaw(SIZES, tuple(size**-0.1 for size in SIZES))
    for rates, vague in (((1.0, 1.1, 1.0, 1.1), False), ((1.0, 8.0, 1.0, 8.0), True)):
        laws = SizeLaws("width", 4096.0, {"lr": PowerLaw(SIZES, rates)}, {}, loss)
        interval = laws.hypers["lr"].at(4096.0)
        assert (interval.high > 100 * interval.low) == vague
        assert ("too wide to be of use: more sizes than 4" in "\n".join(laws.lines())) == vague


@pytest.mark.parametrize("count", [3, 4, 8])
def test_intervals_hold_what_they_say(count: int):
    """Of 95 % of searches with noise they hold the truth, as far as 400 of them tell."""
    draw = random.Random(count)
    sizes = [16.0 * 2**n for n in range(count)]
    slopes, values = 0, 0
    for _ in range(400):
        found = [size**-0.3 * 2 ** draw.gauss(0, 0.1) for size in [*sizes, 4096.0]]
        law = PowerLaw(tuple(sizes), tuple(found[:-1]))
        slopes += law.slope.low < -0.3 < law.slope.high
        values += law.at(4096).low < found[-1] < law.at(4096).high
    assert 368 <= slopes <= 392 and 368 <= values <= 392


@pytest.mark.parametrize("slope", [0.0, -0.3, -1.0])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_intervals_hold_what_was_read_off_a_grid(slope: float, noise: float):
    """Of octaves that begin anywhere, where no value is between them: of at least 95 %."""
    draw = random.Random(0)
    sizes = [16.0 * 2**n for n in range(4)]
    slopes, values = 0, 0
    for _ in range(200):
        begin = draw.random()

        def read(size: float, begin: float = begin) -> float:
            wanted = math.log2(size) * slope + draw.gauss(0, noise)
            return 2 ** (round(wanted - begin) + begin)

        found = [read(size) for size in (*sizes, 1024.0)]
        law = PowerLaw(tuple(sizes), tuple(found[:-1]), resolution=math.log(2), rounded=True)
        slopes += law.slope.low < slope < law.slope.high
        values += law.at(1024).low < found[-1] < law.at(1024).high
    assert slopes >= 188 and values >= 188


class Simulated:
    """What `optimum` asks of a sweep of one cell: losses by value and seed."""

    def __init__(self, curve: dict[float, list[float]]) -> None:
        points = {(("lr", value),): dict(enumerate(found)) for value, found in curve.items()}
        self.scores = {"cell": points}
        self.cells = {"cell": {p: statistics.fmean(found.values()) for p, found in points.items()}}

    def least_points(self, cell: str, name: str) -> dict[float, Any]:
        return {dict(point)[name]: point for point in self.cells[cell]}

    def optimum(self) -> Optimum:
        points: dict[Any, float] = self.cells["cell"]
        hypers = dict(min(points, key=points.__getitem__))
        swept: Any = self
        best: Any = SimpleNamespace(cell="cell", hypers=hypers)
        return optimum(swept, best, "lr")


def searched(draw: random.Random, least: float, begin: float, seeds: int) -> Optimum:
    """Octaves of a loss that is steeper above its least value; each seed moves that, and each
    loss is noisy.
    """
    moved = [draw.gauss(least, 0.1) for _ in range(seeds)]

    def loss(x: float, own: float) -> float:
        u = (x - own) / 2
        return 2 + 0.8 * (math.exp(u) - u - 1) + draw.gauss(0, 0.01)

    octaves = [begin + math.log(2) * n for n in range(-8, 7)]
    return Simulated({math.exp(x): [loss(x, own) for own in moved] for x in octaves}).optimum()


@pytest.mark.parametrize("seeds", [2, 3])
def test_three_sizes_with_seeds_tell_what_can_be_used(seeds: int):
    """The intervals hold at least what they say and are less than half as wide, on a logarithm.

    So is that of a search at 16 times the largest size, where the best values go as a power and
    where they come to rest.
    """
    draw, sizes, slope, count = random.Random(0), (64.0, 128.0, 256.0), -0.3, 400
    laws = {"power": lambda size: slope * math.log(size / 64), "rest": lambda size: 45 / size}
    for kind, law_at in laws.items():
        slopes, values, shares = 0, 0, []
        for _ in range(count):
            begin = draw.random() * math.log(2)
            *found, target = (searched(draw, law_at(n), begin, seeds) for n in (*sizes, 4096.0))
            law = law_of(sizes, found)
            alone = replace(law, scatter=None).at(4096)
            at = law.at(4096)
            slopes += law.slope.low < slope < law.slope.high
            values += at.low < target.value < at.high
            shares.append(math.log(at.high / at.low) / math.log(alone.high / alone.low))
        assert values >= (0.95 if kind == "power" else 0.88) * count
        assert slopes >= 0.95 * count or kind == "rest"
        assert statistics.median(shares) < 0.5


def test_seeds_that_do_not_explain_what_a_line_leaves_tell_nothing():
    """Three sizes on a line are as sure as seeds make them; off it, as the line alone does."""
    scatter = Scatter(0.01**2, 6)
    for middle, told in ((1.0, True), (1.5, False)):
        law = PowerLaw((64, 128, 256), (1.0, middle, 1.0), scatter=scatter)
        alone = replace(law, scatter=None)
        assert (law.slope != alone.slope) == told
        assert math.isfinite(law.slope.low)
    assert scatter_of([(1.0, 3.0), (2.0,)]) == Scatter(2.0, 1)
    assert scatter_of([(1.0, 3.0), (2.0, 4.0)]) == Scatter(1.0, 2)
    assert scatter_of([(1.0,), ()]) is None
    assert ratio_quantile(1, 6) == pytest.approx(5.99, abs=0.01)
    assert ratio_quantile(2, 6) == pytest.approx(5.14, rel=0.02)
    assert ratio_quantile(4, 12) == pytest.approx(3.26, rel=0.02)


def test_an_end_of_the_range_hides_the_law(run: Run, tmp_path: Path):
    """Nothing is said of a hyper that may be better beyond what was searched."""
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    over = ["width=16,32,64", "lr=1e-5,2e-5,4e-5"]
    swept = abcparam.sweep(spec, over, steps=4)
    assert all(best.ends == ("lr",) for best in swept.best)
    said = "from width 16 to 64 the best lr lies at an end of what was searched, which hides"
    assert said in render_sweep(swept) and said in page(swept)
    laws = laws_of(swept, "random", {"width": 256.0})
    assert laws is not None and not laws.hypers and laws.hidden == {"lr": [16.0, 32.0, 64.0]}
    assert "width 16, 32, 64, which hides how it goes: widen lr" in "\n".join(laws.lines())
    two = abcparam.sweep(spec, ["width=16,32", "lr=1e-2,1e-1"], steps=4)
    assert "stays" not in render_sweep(two).replace("hides whether it stays", "")
    one = abcparam.sweep(spec, ["width=16,32", "lr=1e-2"], steps=4)
    assert "the best lr" not in render_sweep(one)

    arguments = ("--over", "lr=1e-5,2e-5,4e-5", "--trials", "8", "--steps", "2", "--fresh")
    found = tmp_path / "hparams.json"
    ran = run("transfer", spec, *arguments, "--set", "width=64", "--hparams", found)
    assert "lr = 4e-05 (at an end of its range: a better one may lie beyond)\n" in ran.out
    assert json.loads(found.read_text(encoding="utf-8"))["at_end"] == ["lr"]


def test_a_grid_is_no_surer_than_its_step():
    values = (0.01,) * len(SIZES)
    assert PowerLaw(SIZES, values).at(1024).low == pytest.approx(0.01)
    found = PowerLaw(SIZES, values, resolution=0.7).at(1024)
    assert found.low < 0.008 < 0.0125 < found.high


@pytest.mark.slow
def test_transfer_says_how_sure_it_is(run: Run, tmp_path: Path):
    """In text, JSON and figures; of one width there is nothing to say."""
    spec, hparams = tmp_path / "mlp.param", tmp_path / "hparams.json"
    spec.write_text(mlp(), encoding="utf-8")
    arguments = ("--set", "width=256", "--steps", "20", "--fresh", "-o", tmp_path / "big.py")
    over = ("--over", "width=16,32,64", "lr=log:1e-3:1", "--trials", "12")
    ran = run("transfer", spec, *arguments, *over, "--hparams", hparams, "--plot", tmp_path / "f")
    assert ran.status == 0, ran.err
    found = json.loads(hparams.read_text(encoding="utf-8"))["laws"]
    assert found["dim"] == "width" and found["sizes"] == [16, 32, 64] and found["target"] == 256
    lr, loss = found["hypers"]["lr"]["at_target"], found["loss"]["at_target"]
    assert lr["low"] < lr["value"] < lr["high"] and loss["low"] < loss["value"] < loss["high"]
    assert set(found["hypers"]) == {"lr"}
    assert "the best lr goes as width^" in ran.out and "is expected at width 256" in ran.out
    assert {path.name for path in (tmp_path / "f").glob("*.svg")} == {"lr.svg", "laws.svg"}
    one = abcparam.transfer(mlp(), {"width": 256}, over=["lr=1e-2,1e-1"], trials=2, steps=2)
    assert one.laws is None


def test_the_cost_is_that_of_all_sizes():
    narrow = abcparam.plan_transfer(mlp(), {"width": 256}, over=["lr=1e-2"], trials=1)
    several = abcparam.plan_transfer(mlp(), {"width": 256}, over=["lr", "width=16,64"], trials=1)
    assert several.costs.trial == narrow.costs.trial
    assert several.costs.tuning > 3 * narrow.costs.tuning
