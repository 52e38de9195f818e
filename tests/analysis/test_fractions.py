"""Exponents are exact whatever their denominators: of widths, of factors, of halves of halves."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import abcparam
from abcparam.algebra.exponents import Affine
from abcparam.coordinate_check.laws import laws_of as coordinate_laws
from abcparam.coordinate_check.plan import NoWidthsError, varied_dims, widths_of
from abcparam.pipeline import check
from abcparam.symbolic.sizes import SymbolicSize, SymbolicSpace
from tests.support.judging import judged, numbers, printed
from tests.support.random_mlps import random_mlps, regauge, spec
from tests.support.running import Run
from tests.support.theorems import MLP, at_init, is_stable, slack, update, verdict

# Specs whose exponents were rounded, or refused, in a unit that was too coarse

EIGHTH = """model M
dim width -> inf, base = 256
dim inner = width^(1/8)
dim pixels = 8
dim classes = 3
tensor first : input [inner, pixels] { a = 0, b = 0, c = 0 }
tensor middle : hidden [inner, inner] { a = 0, b = 0, c = 1 }
tensor last : output [classes, inner] { a = 1, b = 0, c = 0 }
forward(x : [pixels]) { return last @ relu(middle @ relu(first @ x)) }
optimizer adam { lr = 1e-3, eps = 1e-12 }
loss cross_entropy
"""
THIRD = """model M
dim width -> inf, base = 64
dim inner = width^(1/3)
dim pixels = 8
dim classes = 3
parametrization mup
tensor first : input [inner, pixels]
tensor middle : hidden [inner, inner]
tensor last : output [classes, inner]
forward(x : [pixels]) { return last @ relu(middle @ relu(first @ x)) }
optimizer adam { lr = 1e-3, eps = 0 }
loss cross_entropy
"""
RATIO = """model M
dim width -> inf, base = 64
dim pixels = 8
dim classes = 3
parametrization mup
tensor first : input [width, pixels]
tensor last : output [classes, width]
forward(x : [pixels]) { return (width / base(width))^(1/5) * (last @ relu(first @ x)) }
optimizer adam { lr = 1e-3 * (width / base(width))^(1/7), eps = 0 }
loss cross_entropy
"""
TWO_DIMS = """model M
dim width -> inf, base = 64
dim depth -> inf, base = 64, rate = 3/7
dim inner = width^(1/2) * depth^(1/3)
dim pixels = 8
dim classes = 3
tensor first : input [inner, pixels] { a = 0, b = 0, c = 0 }
tensor middle : hidden [inner, inner] { a = 0, b = 1/5, c = 1 }
tensor last : output [classes, inner] { a = 1, b = 0, c = 0 }
forward(x : [pixels]) { return last @ relu(middle @ relu(first @ x)) }
optimizer adam { lr = 1e-3, eps = 0 }
loss cross_entropy
"""
SPECS = {"eighth": EIGHTH, "third": THIRD, "ratio": RATIO, "two dims": TWO_DIMS}


def test_half_of_an_eighth():
    report = judged(EIGHTH)
    assert report["verdict"] == "unstable-at-init"
    assert printed(numbers(report, "at_init")) == ["0", "1/16", "0"]
    assert printed(numbers(report, "update")) == ["0", "0", "1/16"]


def test_a_width_that_is_a_cube_root():
    report = judged(THIRD)
    assert (report["verdict"], report["complete"]) == ("maximal-update", True)
    assert printed(numbers(report, "at_init")) == ["0", "0", "-1/6"]
    assert printed(numbers(report, "update")) == ["0", "0", "0"]
    assert [t["b"].get("width", "0") for t in report["tensors"]] == ["0", "1/6", "0"]


def test_fifths_and_sevenths_in_factors():
    """The factor of the learning rate in both updates, then that of the output."""
    report = judged(RATIO)
    assert report["verdict"] == "unstable"
    assert printed(numbers(report, "at_init")) == ["0", "-1/2"]
    assert printed(numbers(report, "update")) == ["1/7", "2/7"]
    assert report["output"]["at_init"]["width"] == "-3/10"
    assert report["output"]["change"]["width"] == "17/35"


def test_a_width_of_several_dims():
    """3/10 of its exponents at init, by the central limit; none for the update."""
    report = judged(TWO_DIMS)
    middle = report["tensors"][1]
    assert middle["at_init"] == {"width": "3/20", "depth": "1/10"}
    assert middle["update"] == {"width": "0", "depth": "0"}
    assert middle["c"] == {"width": "1/2", "depth": "1/3"}


# Random powers, held to the theorems

POWERS = [Fraction(p, q) for q in (2, 3, 5, 7, 8, 11, 16) for p in (1, q - 1, q + 1)]
GAUGES = [Fraction(k, q) for q in (1, 3, 7, 9) for k in (-1, 0, 2)]
CASES = 600


def narrowed(text: str, power: Fraction) -> str:
    """The spec with a width that is a power of the dim that grows."""
    dims = (
        f"dim n -> inf, base = {2**power.denominator}\ndim width = n^({power})\n"
        if power.denominator > 1
        else f"dim n -> inf, base = 2\ndim width = n^{power}\n"
    )
    line = "dim width -> inf, base = 128\n"
    assert line in text
    return text.replace(line, dims)


def fractional_mlps(seed: int, count: int) -> list[tuple[MLP, Fraction]]:
    """MLPs in gauges of odd denominators, and the power that their width is."""
    draw = random.Random(seed)
    return [
        (regauge(mlp, [draw.choice(GAUGES) for _ in mlp.layers]), draw.choice(POWERS))
        for mlp in random_mlps(seed, count)
    ]


def test_laws_scale_with_the_power_that_a_width_is():
    """600 MLPs; the theorems are in powers of their width."""
    verdicts = set()
    for mlp, power in fractional_mlps(31, CASES):
        text = narrowed(spec(mlp), power)
        report = judged(text)
        assert report["verdict"] == verdict(mlp), text
        verdicts.add(report["verdict"])
        if is_stable(mlp):
            for key, expected in (("at_init", at_init), ("update", update), ("slack", slack)):
                found = [tensor[key]["n"] for tensor in report["tensors"]]
                sizes = [None if e is None else e * power for e in expected(mlp)]  # type: ignore[attr-defined]
                assert found == printed(sizes), text
    assert len(verdicts) == 6


@pytest.mark.parametrize("seed", range(2))
def test_reports_and_code_of_random_powers(seed: int):
    """6 MLPs each: a report with its reasons and fixes, code, and laws with smaller terms."""
    for mlp, power in fractional_mlps(100 + seed, 6):
        text = narrowed(spec(mlp), power)
        report = check(text)
        assert report.verdict == verdict(mlp), text
        assert abcparam.compile(text)
        coordinate_laws(report, 2, varied_dims(report.program))


# Every command


FACTOR = "(width / base(width))^({})"
OPTIMIZERS = (
    "adam { lr = 1e-3 * (width / base(width))^(3/11), eps = 0 }",
    "adamw { lr = 1e-3, weight_decay = 0.1 * (width / base(width))^(5/9) }",
    "sgd { lr = 0.1, clip_norm = 1 }",
    "shampoo { lr = 1e-3 }",
    "soap { lr = 1e-3 }",
    "muon { lr = 1e-3 }",
    "lamb { lr = 1e-3 }",
    "adafactor { lr = 1e-3 }",
)
WIDTHS = {
    1: ("width^(1/2)", "width^(5/6)", "width^(7/12)", "3 * width^(3/2)"),
    2: ("width^(1/2) * depth^(1/3)", "width + depth^(1/2)", "width^(1/3) + depth^(1/4)"),
}
RATES = ("", ", rate = 1/2", ", rate = 3/7")
EXPONENTS = ("0", "1/2", "1", "1/3", "1/7", "3/8", "-1/5")


class Drawn:
    """A random spec of a model, which may be drawn again with other exponents."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        dims = draw.choice((1, 2))
        self.head = ["model M", "dim width -> inf, base = 4096"]
        if dims == 2:
            self.head.append(f"dim depth -> inf, base = 4096{draw.choice(RATES)}")
        self.head += [f"dim inner = {draw.choice(WIDTHS[dims])}", "dim pixels = 8"]
        self.head.append("dim classes = 3")
        factor = FACTOR.format(draw.choice(("1/5", "2/7", "3/16", "1/11")))
        body = draw.choice(("last @ relu(h)", f"{factor} * (last @ relu(h))"))
        self.forward = [
            "forward(x : [pixels]) {",
            "    y = first @ x",
            f"    h = middle @ relu(y) + {factor} * y",
            f"    return {body}",
            "}",
            f"optimizer {draw.choice(OPTIMIZERS)}",
            "loss cross_entropy",
        ]

    def text(self, *others: str) -> str:
        """With numbers for exponents, and each of the others in the place of one."""
        words = [self.draw.choice(EXPONENTS) for _ in range(9)]
        for index, other in zip(self.draw.sample(range(9), len(others)), others, strict=True):
            words[index] = other
        shapes = ("first : input [inner, pixels]", "middle : hidden [inner, inner]")
        tensors = [
            f"tensor {shape} {{ a = {a}, b = {b}, c = {c} }}"
            for shape, a, b, c in zip(
                (*shapes, "last : output [classes, inner]"),
                *(words[i::3] for i in range(3)),
                strict=True,
            )
        ]
        symbols = ["exponent t"] if any("t" in other for other in others) else []
        return "\n".join([*self.head, *symbols, *tensors, *self.forward]) + "\n"


@pytest.mark.parametrize("seed", range(12))
def test_every_command_takes_fractions(seed: int, run: Run, tmp_path: Path):
    """12 models: the status says that there is a finding, at the worst."""
    drawn = Drawn(random.Random(seed))
    texts = {"a": drawn.text(), "b": drawn.text(), "symbolic": drawn.text("t", "1/3 - t")}
    texts["open"] = drawn.text("?", "?")
    files = {name: tmp_path / f"{name}.param" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text, encoding="utf-8")
    a, b = files["a"], files["b"]
    settled: list[tuple[Any, ...]] = [
        *(("check", a), ("derive", a), ("compile", a, "-o", "-"), ("diff", a, b)),
        *(("derive", files["symbolic"]), ("map", a, a, "--format", "json")),
    ]
    others: list[tuple[Any, ...]] = [
        *(("solve", files["open"]), ("map", a, b, "--format", "json")),
    ]
    for command in (*settled, *others):
        ran = run(*command)
        allowed = {0, 1} if command in settled else {0, 1, 2}  # 2: none, or not by exponents alone
        assert ran.status in allowed, (command, ran.err)


@pytest.mark.parametrize("name", SPECS)
def test_widths_of_a_check_leave_whole_lengths(name: str):
    report = check(SPECS[name])
    coordinate_laws(report, 2, varied_dims(report.program))
    try:
        plan = widths_of(varied_dims(report.program), 10.0, 4, 64)
    except NoWidthsError as error:
        assert name == "two dims" and "every length whole" in str(error)
        return
    inner = report.program.dims.get("inner", report.program.dims["width"])
    for dims in plan.dims.values():
        values = {dim: Fraction(size) for dim, size in dims.items()}
        assert inner.value.evaluate(values).denominator == 1
    assert len(plan.dims) >= 3
    if name == "eighth":
        assert list(plan.dims) == [2**8, 2**16, 2**24]


# Symbols


def test_symbolic_sizes_are_exact():
    """400 random sizes of two symbols, each beside its value at a point, by fractions."""
    draw, powers = random.Random(4), [*GAUGES, Fraction(1, 64), Fraction(5, 101)]
    for _ in range(400):
        space = SymbolicSpace({"width": (0, Fraction(1))}, ("s", "t"))
        space.splits = False
        point = {s: Fraction(draw.randint(-20, 20), draw.randint(1, 20)) for s in "st"}
        size, value = symbolic_leaf(space, draw, powers, point)
        for _ in range(5):
            other, number = symbolic_leaf(space, draw, powers, point)
            match draw.randrange(5):
                case 0:
                    size, value = size + other, value + number
                case 1:
                    size, value = size - other, value - number
                case 2:
                    size, value = size.half(), value / 2
                case 3:
                    size, value = size & other, min(value, number)
                case _:
                    size, value = size | other, max(value, number)
        assert value_at(size, point) == value


def symbolic_leaf(
    space: SymbolicSpace,
    draw: random.Random,
    powers: list[Fraction],
    point: dict[str, Fraction],
) -> tuple[SymbolicSize, Fraction]:
    constant, s, t = (draw.choice(powers) for _ in range(3))
    exponent = Affine(constant, (("s", s), ("t", t)))
    return space.exponent({"width": exponent}), exponent.evaluate(point)


def value_at(size: SymbolicSize, point: dict[str, Fraction]) -> Fraction:
    def largest(forms: Any) -> Fraction:
        return max(f[0] + f[1] * point["s"] + f[2] * point["t"] for f in forms)

    return largest(size.quotient.top) - largest(size.quotient.bottom)
