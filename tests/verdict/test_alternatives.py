"""`check --all-fixes`: what is proposed and what else does it, and changes of settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import abcparam
from abcparam.analysis.judge import judgement_of
from abcparam.diagnostics.source import Source
from abcparam.verdict.changes import applied
from abcparam.verdict.check import load
from tests.support.paths import EXAMPLES
from tests.support.running import Run
from tests.verdict.test_causes import NORM

WRONG = EXAMPLES / "wrong"


@pytest.mark.parametrize("path", sorted(WRONG.glob("*.param")), ids=lambda path: path.stem)
def test_every_alternative_does_it(path: Path):
    report = abcparam.check(path)
    proposed, *others = report.fixes
    assert proposed.changes == report.fix and proposed.why == "proposed"
    assert len(others) <= 2
    assert len({frozenset(map(str, fix.changes)) for fix in report.fixes}) == len(report.fixes)
    for fix in report.fixes:
        assert judgement_of(applied(report.program, fix.changes)).verdict == "maximal-update"


def test_the_published_spelling_is_one():
    _, other = abcparam.check(WRONG / "standard_parametrization.param").fixes
    told = str(other)
    assert "`readout` a = 0 -> 1, `readout` b = 1/2 -> 0" in told
    assert "in the gauge of `mup`" in told


STREAM = """model Stream
dim width -> inf, base = 128
dim depth -> inf, base = 2
hyper lr = 1e-3
parametrization mup
tensor first : input [width, 8]
tensor readout : output [4, width]
block Branch(x) {
    tensor up, down : hidden [width, width]
    return down @ relu(up @ rmsnorm(x))
}
forward(x : [8]) {
    x = first @ x
    repeat depth as layers { x = x + depth^(-1/2) * Branch(x) }
    return readout @ rmsnorm(x)
}
optimizer adam { lr = lr, eps = 1e-12 }
loss mse
"""


def test_branches_may_be_complete():
    proposed, *others = (str(fix) for fix in abcparam.check(STREAM).fixes)
    assert "c[depth] = 0 -> 1/2" in proposed
    assert (
        "`depth^-1` for the factor `depth^(-1/2)` (branches as they are for `complete`)" in others
    )


def test_nothing_to_fix_and_nothing_found():
    assert abcparam.check(EXAMPLES / "gpt.param").fixes == ()


def test_text_and_json(run: Run):
    path = WRONG / "standard_parametrization.param"
    told = run("check", "--all-fixes", path).out
    assert "fixes, each judged on the whole model:\n  1. " in told and "\n  2. " in told
    plain = json.loads(run("check", "--format", "json", path).out)
    found = json.loads(run("check", "--format", "json", "--all-fixes", path).out)
    assert "fixes" not in plain
    fixes = found.pop("fixes")
    assert found == plain
    assert fixes[0]["why"] == "proposed"
    assert {"owner", "key", "tensors", "before", "after", "text"} == fixes[0]["changes"][0].keys()
    assert "nothing to fix" in run("check", "--all-fixes", EXAMPLES / "mlp.param").out


# Settings


@pytest.mark.parametrize(
    ("down", "fixed"),
    [
        ("output [few, width]\n", "output [few, width] { init = zeros }\n"),
        (
            "output [few, width] { mult = 2 }\n",
            "output [few, width] { init = zeros, mult = 2 }\n",
        ),
        (
            "output [few, width] { init = normal(0.02) }\n",
            "output [few, width] { init = zeros }\n",
        ),
    ],
)
def test_a_contraction_behind_a_norm_starts_at_zero(down: str, fixed: str):
    """Under SGD, whose first update sees the gradient that the norm divides by width^(-1/2)."""
    text = NORM.replace("adam { lr = lr, eps = 1e-12 }", "sgd { lr = lr }")
    text = text.replace("output [few, width]\n", down)
    found = abcparam.fix(text)
    (change,) = found.changes
    assert (change.key, change.paths) == ("init", ("down",))  # type: ignore[attr-defined]
    assert found.text == text.replace(down, fixed)
    assert found.report.verdict == "maximal-update"
    (first, *_) = abcparam.check(text).diagnostics
    assert "no usual exponents do" in first.help


BOUNDED = """model Latent
dim width -> inf, base = 64
parametrization mup
tensor table : input [11, width]
tensor down : output [4, width]
tensor up : input [width, 4]
tensor mix : hidden [width, width]
tensor readout : output [11, width]
tensor side : scalar [11, 4]
forward(tokens : index(11) []) {
    x = embed(table, tokens)
    latent = rmsnorm(down @ tanh(x), eps = 1e-12)
    return readout @ tanh(mix @ (x + up @ latent)) + side @ latent
}
optimizer sgd { lr = 0.1 }
loss cross_entropy
"""


def test_rates_do_not_fall_for_a_start_that_is_over_at_once():
    """Half a power slower, `table` and `down` would bear what the norm divides by at first."""
    proposed, slower = (str(fix) for fix in abcparam.check(BOUNDED).fixes)
    assert "`down` init = zeros" in proposed
    assert "`table` c = -1 -> -1/2, `down` c = -1 -> -1/2" in slower


DECAYS = """model MLP
dim width -> inf, base = 64
hyper wd = 0.1
parametrization mup {
    hidden { weight_decay = HIDDEN }
}
tensor first : input [width, 8] { weight_decay = FIRST }
tensor second : hidden [width, width]
tensor readout : output [4, width] { weight_decay = 0 }
forward(x : [8]) {
    return readout @ relu(second @ relu(first @ x))
}
optimizer adamw { lr = 1e-3, eps = 1e-12 }
loss mse
"""


@pytest.mark.parametrize(
    ("hidden", "first", "changed"),
    [
        ("wd * width / base(width)", "wd", {}),
        ("wd * (width / base(width))^2", "wd", {"second": "wd * (width / base(width))"}),
        ("wd * width^(3/2)", "wd", {"second": "wd * width * base(width)^(1/2)"}),
        (
            "wd / width",
            "wd * width^2",
            {"first": "wd * base(width)^2", "second": "wd * width / base(width)^2"},
        ),
        ("wd * base(width) / width", "wd", {"second": "wd * width / base(width)"}),
        ("wd * width^2 / base(width)^2", "wd", {"second": "wd * width / base(width)"}),
        ("wd", "wd", {}),  # constant: warned of, and what many want
        ("wd * (width / base(width))^(1/2)", "wd", {}),  # argued for: arXiv 2510.15262
    ],
)
def test_a_wrong_power_of_weight_decay_is_moved(hidden: str, first: str, changed: dict[str, str]):
    text = DECAYS.replace("HIDDEN", hidden).replace("FIRST", first)
    found = abcparam.fix(text)
    told = {change.owner: change.after for change in found.changes}  # type: ignore[attr-defined]
    assert told == changed
    program, moved = (load(Source(spec)) for spec in (text, found.text))
    at_base = program.base_values()
    for path in program.tensors:
        decays = (of.tensors[path].weight_decay for of in (program, moved))
        before, after = (d and d.value.evaluate(at_base) for d in decays)
        assert before == after, path
    for owner, after in changed.items():
        assert f"weight_decay = {after} }}" in found.text, owner
    warned = {d.code for d in found.report.diagnostics} & {"P0603", "P0604"}
    assert not (changed and warned)


def test_decay_is_moved_with_the_rate_that_it_goes_with():
    """Decay that grows as it should once the learning rate falls is left alone."""
    text = DECAYS.replace("HIDDEN", "wd * width / base(width), c = 0").replace("FIRST", "wd")
    assert [str(change) for change in abcparam.check(text).fix] == ["`second` c = 0 -> 1"]


FACTORS = """model MLP
dim width -> inf, base = 64
hyper out_mult = 1
parametrization mup
tensor first : input [width, 8]
tensor second : hidden [width, width]
tensor readout : output [4, width] { a = 0, b = 0, c = 0 }
forward(x : [8]) {
    h = relu(INSIDE * (second @ relu(first @ x)))
    return OUTSIDE * (readout @ h)
}
optimizer adam { lr = 1e-3, eps = 1e-12 }
loss mse
"""
USUAL = "out_mult / width * base(width)"


@pytest.mark.parametrize(
    ("inside", "outside", "fixes"),
    [
        ("1", USUAL, []),
        ("2", "1 / width", []),
        (
            "base(width) / width",
            USUAL,
            ["`1` for the factor `base(width) / width`", "`second` a = 0 -> -1"],
        ),
        (
            "1 / sqrt(width)",
            USUAL,
            ["`base(width)^(1/2)` for the factor `sqrt(width)`", "`second` a = 0 -> -1/2"],
        ),
        (
            "1",
            "(base(width) / width)^2",
            [
                "`(base(width) / width)` for the factor `(base(width) / width)^2`",
                "`readout` a = 0 -> -1",
            ],
        ),
    ],
)
def test_a_factor_that_nobody_has_goes_before_an_exponent_that_nobody_has(
    inside: str, outside: str, fixes: list[str]
):
    text = FACTORS.replace("INSIDE", inside).replace("OUTSIDE", outside)
    report = abcparam.check(text)
    assert [", ".join(map(str, fix.changes)) for fix in report.fixes] == fixes
    assert abcparam.check(abcparam.fix(text).text).verdict == "maximal-update"
    if fixes:
        assert abcparam.prove(text).fix == report.fix


def test_a_factor_where_an_exponent_is_as_usual_is_an_alternative():
    """A table times the root of the width: a multiplier, or what the factor is at base."""
    text = FACTORS.replace("INSIDE", "1").replace("OUTSIDE", USUAL)
    text = text.replace("relu(first @ x)", "layernorm(sqrt(width) * (first @ x) + bias)")
    text = text.replace(
        "tensor second", "tensor bias : input [width] { init = ones }\ntensor second"
    )
    fixes = [", ".join(map(str, fix.changes)) for fix in abcparam.check(text).fixes]
    assert fixes[0] == "`first` a = 0 -> 1/2"
    assert "`base(width)^(1/2)` for the factor `sqrt(width)`" in fixes
