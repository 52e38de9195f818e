"""`coord-check`: what is measured of the emitted code, how it is judged, and what is noticed."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import abcparam
from abcparam.algebra.lines import quantile, slope_of
from abcparam.algebra.record import replace
from abcparam.coordinate_check.affording import afforded
from abcparam.coordinate_check.check import CoordCheckResult, coordinate_check
from abcparam.coordinate_check.fits import mixture_of
from abcparam.coordinate_check.judging import CROSSOVER, DISAGREES, UNRESOLVED, judge
from abcparam.coordinate_check.laws import CHANGE, PredictedLaw, PredictedLaws, laws_of
from abcparam.coordinate_check.measure.batch import batch_of, loss_of
from abcparam.coordinate_check.measure.measuring import Probe, RunSetting
from abcparam.coordinate_check.options import CheckOptions
from abcparam.coordinate_check.plan import (
    NoWidthsError,
    given_widths,
    seconds_by_rule,
    shrunk,
    varied_dims,
    widths_of,
)
from abcparam.diagnostics.source import Source
from abcparam.emission.execute import executed
from abcparam.language.reader import read
from abcparam.pipeline import compile, emit_program
from abcparam.program.model import Program
from abcparam.verdict.check import judged, load
from abcparam.verdict.report import Report
from tests.operations.test_operation_laws import CONTRASTIVE
from tests.support.emitted import load as imported
from tests.support.markup import stands_alone
from tests.support.paths import EMIT_SPECS, EXAMPLES, SPECS
from tests.support.running import GPT, INVALID, MLP, UNSTABLE, Run, changed

RESOLVED = ["bert", "gpt", "gpt_depth", "lora", "lstm", "mlp", "rnn"]
QUICK = CheckOptions(widths=(64, 128, 256, 512), seeds=3, steps=3)
GPTS = CheckOptions(widths=(32, 64, 128, 256), seeds=2, steps=3)
QUICKLY = ("--widths", "64,128,256,512")


def small(name: str) -> Program:
    return shrunk(load(read(SPECS / f"{name}.param")), ())[0]


def checked(text: str, options: CheckOptions = QUICK, code: str | None = None) -> CoordCheckResult:
    return coordinate_check(load(Source(text)), options, code=code)


def dims_of(program: Program, width: int = 64) -> dict[str, int]:
    return dict(given_widths(varied_dims(program), [width]).dims[width])


# What is measured


@pytest.mark.parametrize("name", ["bert", "gpt", "gpt_depth", "lora", "lstm", "mlp"])
def test_observing_changes_no_bit(name: str, tmp_path: Path):
    """Outputs, gradients and parameters after each step, of the module as a user imports it."""
    program = small(name)
    report = judged(program)
    probe = Probe(report)
    dims = dims_of(program)
    plain = imported(emit_program(report), tmp_path)
    runs = [
        _trained(program, vars(plain), dims, None),
        _trained(program, probe.module, dims, probe),
    ]
    assert len(runs[0]) > 3
    for left, right in zip(*runs, strict=True):
        assert torch.equal(left, right)
    assert probe.seen


def _trained(
    program: Program, module: dict[str, Any], dims: dict[str, int], probe: Probe | None
) -> list[Tensor]:
    """Every output, gradient and parameter of three steps."""
    torch.manual_seed(5)
    model = module[program.name](module["Config"](**dims)).double().eval()
    if probe is not None:
        probe.watching = True
        probe.paths = {id(m): ("", ()) for m in model.modules()}
        probe.places = {("", name): [name] for _, name in probe.places}
    optimizer = module["make_optimizer"](model)
    batch = batch_of(program, model.config, 1, 2, "cpu")
    found: list[Tensor] = []
    for _ in range(3):
        outputs = model(*batch.inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        optimizer.zero_grad()
        loss_of(program, outputs, batch).backward()
        optimizer.step()
        found += [output.detach() for output in outputs]
        for parameter in model.parameters():
            found.append(parameter.detach().clone())
            found += [parameter.grad.clone()] if parameter.grad is not None else []
    return found


def test_uses_are_the_tensor_and_its_change_applied_to_the_input_with_the_multiplier():
    program = small("mlp")
    probe = Probe(judged(program))
    found = probe.run({"width": 64}, 0, RunSetting(steps=1, batch=4))
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        model = probe.module["MLP"](probe.module["Config"](width=64))
    finally:
        torch.set_default_dtype(torch.float32)
    batch = batch_of(program, model.config, 0, 4, "cpu")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = probe.module["make_optimizer"](model)

    def h2() -> Tensor:
        h1 = (64 / 128) ** 0.5 * model.W1(batch.inputs[0])
        return model.W2(torch.relu(h1))

    scale = (64 / 128) ** -0.5
    x = torch.relu(h2())
    assert found["W3", "at_init"][0] == pytest.approx(_rms(scale * x @ before["W3.weight"].T))
    loss_of(program, (model(*batch.inputs),), batch).backward()
    optimizer.step()
    change = model.W3.weight - before["W3.weight"]
    after = torch.relu(h2())
    assert found["W3", "update"][0] == pytest.approx(_rms(scale * after @ change.T))
    b1 = (model.W1.bias - before["W1.bias"]) * (64 / 128) ** 0.5
    assert found["b1", "update"][0] == pytest.approx(_rms(b1))
    assert found["h2", "change"][0] == pytest.approx(_rms(h2() - found_h2(model, before, batch)))


def test_a_tensor_as_a_value_is_measured_by_its_change_alone():
    """Not by itself: a frozen gain does not change, and what another learns falls as its rate."""
    tensors = (
        "tensor gain : input [width] { a = 0, b = 0, c = 1/2, init = normal(1) }\n"
        "tensor kept : input [width] { init = normal(1), frozen }\n"
    )
    text = (SPECS / "mlp.param").read_text(encoding="utf-8")
    text = text.replace("forward(", f"{tensors}forward(", 1)
    text = re.sub(r"relu\(h2\)", "(gain * (kept * relu(h2)))", text)
    text = re.sub(r"optimizer .*", "optimizer adam { lr = lr, eps = 0 }", text)
    found = {(r.name, r.quantity): r for r in checked(text).verdict.rows}
    assert str(found["gain", "update"].law) == "-1/2"
    assert found["gain", "update"].agree
    assert str(found["kept", "update"].law) == "-inf"
    assert found["kept", "update"].agree


def found_h2(model: Any, before: dict[str, Tensor], batch: Any) -> Tensor:
    h1 = (64 / 128) ** 0.5 * (batch.inputs[0] @ before["W1.weight"].T + before["W1.bias"])
    return torch.relu(h1) @ before["W2.weight"].T


def _rms(value: Tensor) -> float:
    return math.sqrt(float(value.detach().square().mean()))


@pytest.mark.slow
def test_a_compiled_model_trains_alike():
    probe = Probe(judged(small("mlp")))
    eager, compiled = (
        probe.run({"width": 32}, 0, RunSetting(steps=2, batch=4, compiled=flag))
        for flag in (False, True)
    )
    assert eager.keys() == compiled.keys()
    for key, sizes in eager.items():
        assert compiled[key] == pytest.approx(sizes, rel=1e-6), key


def test_runs_are_independent_and_reproducible():
    probe = Probe(judged(small("mlp")))
    first = probe.run({"width": 64}, 3, RunSetting(steps=2))
    other = probe.run({"width": 64}, 4, RunSetting(steps=2))
    assert first != other
    assert probe.run({"width": 64}, 3, RunSetting(steps=2)) == first


def test_runs_side_by_side_are_those_of_one_after_another(tmp_path: Path):
    """Bit for bit: each has its own random numbers and, here, one thread."""
    options = CheckOptions(widths=(32, 64, 96), seeds=2, steps=2, folder=tmp_path / "one")
    threads = torch.get_num_threads()
    try:
        found = {}
        for name, count in (("one", 1), ("two", 2)):
            torch.set_num_threads(count)
            coordinate_check(small("gpt"), replace(options, folder=tmp_path / name))
            assert torch.get_num_threads() == count
            runs = (tmp_path / name).rglob("*.json")
            found[name] = {run.name: run.read_text() for run in runs}
    finally:
        torch.set_num_threads(threads)
    assert torch.get_default_dtype() is torch.float32
    assert len(found["one"]) == 6
    assert found["one"] == found["two"]


@pytest.mark.parametrize("name", RESOLVED)
def test_laws_are_those_of_check_and_all_are_measured(name: str):
    report = judged(small(name))
    laws = laws_of(report, 12, varied_dims(report.program))
    said = report.to_dict()
    for row in said["tensors"]:
        for quantity in ("at_init", "update"):
            assert str(laws.rows[row["name"], quantity]) == row[quantity]["width"]
    for row in said["activations"]:
        for quantity in ("at_init", "change"):
            assert str(laws.rows[row["name"], quantity]) == row[quantity]["width"]
    sizes = Probe(report).run(dims_of(report.program), 0, RunSetting(steps=1, batch=2))
    main = {(name, quantity) for name, quantity in laws.rows if not _is_copy(name)}
    assert main <= sizes.keys()


def _is_copy(name: str) -> bool:
    return any(part.isdigit() for part in name.split("."))


# Fits and judgement


def test_a_slope_has_students_interval():
    points = [(2.0**k, 4.0**k * math.exp(0.01 * (-1) ** k)) for k in range(6)]
    found = slope_of(points)
    assert found.value == pytest.approx(2, abs=0.01)
    assert 0 < found.error < 0.02
    assert [quantile(v) for v in (1, 3, 4, 10, 100)] == pytest.approx(
        [12.706, 3.182, 2.776, 2.228, 1.984], rel=2e-3
    )


def test_a_sum_of_powers_is_recognised():
    points = [(float(n), math.sqrt(1 + 900 / n)) for n in (64, 128, 256, 512)]
    assert slope_of(points).value < -0.2
    fit = mixture_of(points, [0, -0.5])
    assert fit.residual < 1e-9
    assert fit.share == pytest.approx(1 / (1 + 900 / 512))


def outcome(law: PredictedLaw, sizes: list[float]) -> str:
    laws = PredictedLaws({("x", CHANGE): law}, 1, ())
    measured = {
        (64 * 2**k, 0): {("x", CHANGE): [size], ("x", "at_init"): [1.0]}
        for k, size in enumerate(sizes)
    }
    return judge(laws, measured).rows[0].outcome


def test_what_starts_right_says_nothing_of_training():
    """Three values of the right size at init, of which one changes: by how much is not resolved."""
    flat = PredictedLaw(Fraction(0))
    starts = {(name, "at_init"): flat for name in "xyz"}
    laws = PredictedLaws({**starts, ("x", CHANGE): flat}, 1, ())
    for changes, outcome in (([1.0] * 4, "agrees"), ([1e-14] * 4, "undecided")):
        measured = {
            (64 * 2**k, 0): {**{key: [1.0] for key in starts}, ("x", CHANGE): [change]}
            for k, change in enumerate(changes)
        }
        assert judge(laws, measured).outcome == outcome


def test_outcomes():
    flat, zero = PredictedLaw(Fraction(0), (Fraction(-1, 2),)), PredictedLaw(None)
    assert outcome(zero, [0.0] * 4) == "agrees"
    assert outcome(zero, [0.0, 0.0, 1e-30, 0.0]) == DISAGREES
    assert outcome(flat, [0.0] * 4) == DISAGREES
    assert outcome(flat, [1.0, 1.01, 0.99, 1.0]) == "agrees"
    assert outcome(flat, [2.0, 2.8, 4.0, 5.6]) == DISAGREES
    assert outcome(flat, [math.sqrt(1 + 4 / 2**k) for k in range(4)]) == CROSSOVER
    assert outcome(flat, [1.0, math.nan, 1.0, 1.0]) == DISAGREES
    assert outcome(flat, [1e-14] * 4) == UNRESOLVED
    assert outcome(flat, [1.0, 3.0, 0.4, 2.0]) == UNRESOLVED
    assert outcome(flat, [2.0**-k for k in range(4)]) == DISAGREES


# Agreement


def summary(found: CoordCheckResult) -> list[str]:
    return [f"{r.name} {r.quantity} {r.law} {r.slope}" for r in found.verdict.of(DISAGREES)]


@pytest.mark.parametrize("optimizer", ["sgd { lr = lr }", "adam { lr = lr, eps = 0 }"])
@pytest.mark.parametrize("name", ["gpt", "mlp"])
def test_the_examples_agree(name: str, optimizer: str):
    text = (SPECS / f"{name}.param").read_text(encoding="utf-8")
    lines = [
        f"optimizer {optimizer}" if line.startswith("optimizer") else line
        for line in text.splitlines()
        if not line.startswith("expect")
    ]
    found = checked("\n".join(lines) + "\n", GPTS if name == "gpt" else QUICK)
    assert found.agree, summary(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", RESOLVED)
def test_every_spec_agrees(name: str):
    found = coordinate_check(load(read(SPECS / f"{name}.param")), CheckOptions(budget=30))
    assert found.agree, summary(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dit", "gru", "squeeze_excitation"])
def test_gated_architectures_agree(name: str):
    """Numbers that are added to values, gates that are products."""
    program = load(read(EMIT_SPECS / f"{name}.param"))
    found = coordinate_check(program, CheckOptions(widths=(64, 128, 256, 512), seeds=4))
    assert found.report.verdict == "maximal-update"
    assert found.agree, summary(found)


GROWING_HEADS = """model Tiny
dim width -> inf, base = 64
dim heads = 4
dim head = width / heads
dim vocab = 16
dim context = 8
hyper lr = RATE
parametrization mup
tensor table : input [vocab, width]
tensor readout : output [vocab, width]
tensor query, key, value : hidden [heads * head, width]
tensor project : hidden [width, heads * head]
forward(tokens : index(vocab) [context]) {
    x = embed(table, tokens)
    h = layernorm(x)
    y = attention(query @ h, key @ h, value @ h, heads = heads, scale = head^-1, causal = true)
    return readout @ layernorm(x + project @ y)
}
optimizer sgd { lr = lr }
loss cross_entropy
"""


@pytest.mark.slow
def test_queries_under_sgd_follow_their_law_at_rates_that_teach_the_values():
    """What a small rate leaves to the sum at random over the head is a smaller term."""
    options = CheckOptions(widths=(64, 128, 256, 512, 1024), seeds=2, steps=4)
    for rate, least, most in (("0.1", -0.75, -0.4), ("3", -0.25, 0.05)):
        found = checked(GROWING_HEADS.replace("RATE", rate), options)
        rows = {row.name: row for row in found.verdict.rows if row.quantity == "update"}
        for name in ("query", "key"):
            assert str(rows[name].law) == "0"
            slope = rows[name].slope
            assert slope is not None and least < slope.value < most, (rate, rows[name])


def test_an_unstable_spec_is_held_against_what_it_has_laws_for():
    found = checked(UNSTABLE)
    assert found.laws.steps == 1
    assert found.agree, summary(found)
    assert any("unstable" in said for said in found.notes)
    assert ("h1", "change") in found.laws.rows
    assert ("output", "change") not in found.laws.rows  # what h1 does to it saturates


# What is noticed

INIT, RATE = "nn.init.normal_(self.{}.weight, std=", '"lr": config.lr,'
SABOTAGES = [
    (INIT.format("W2"), INIT.format("W2") + "11 * config.width**-0.5 * "),
    (INIT.format("W3"), INIT.format("W3") + "config.width**0.5 / 11 * "),
    (RATE, '"lr": config.lr * config.width_ratio**0.5,'),
    (RATE, '"lr": config.lr * config.width_ratio**-0.5,'),
    ("return self.W3_scale * ", "return self.config.width_ratio**0.5 * self.W3_scale * "),
    ("h2 = self.W2(", "h2 = self.config.width_ratio**-0.5 * self.W2("),
]


@pytest.mark.parametrize(("old", "new"), SABOTAGES)
def test_sabotaged_code_is_caught(old: str, new: str):
    text = MLP.read_text(encoding="utf-8")
    code = compile(text, pixels=64)
    assert old in code
    found = checked(text, code=code.replace(old, new))
    assert not found.agree


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c = 1 }", "c = 1/2 }"),
        ("b = 1/2, c = 1 }", "b = 1, c = 1 }"),
        ("output { a = 1,", "output { a = 1/2,"),
        ("input  { a = 0, b = 0,   c = 0 }", "input  { a = 0, b = 0,   c = 1/2 }"),
    ],
)
def test_a_wrong_law_is_caught(old: str, new: str):
    """The text is changed and the law is not: what is trained is another spec."""
    right = load(read(GPT))
    code = emit_program(judged(shrunk(load(Source(changed(GPT, (old, new)))), ())[0]))
    assert not coordinate_check(right, GPTS, code=code).agree


# Widths


def test_widths_follow_from_the_spec_and_the_budget():
    program = small("gpt")
    few, many = (list(widths_of(varied_dims(program), budget, 15, 64).dims) for budget in (1, 200))
    assert few == [64, 128, 256]
    assert many[-1] > few[-1]
    assert len(many) <= 5
    with pytest.raises(NoWidthsError, match="multiples of 16"):
        given_widths(varied_dims(program), [64, 100, 128])


def test_widths_are_what_the_measured_time_pays_for():
    """Runs that take a hundred times as long as the rule of thumb says, and a hundredth of it."""
    program, runs, tokens = small("gpt"), 15, 64

    def chosen(slowness: float, budget: float) -> list[int]:
        def timed(dims: Mapping[str, int]) -> float:
            return slowness * seconds_by_rule(program, dims, tokens)

        return list(afforded(varied_dims(program), budget, runs, tokens, timed).dims)

    assert chosen(1, 60) == list(widths_of(varied_dims(program), 60 / 1.25, runs, tokens).dims)
    assert chosen(100, 60) == [16, 32, 64]
    assert chosen(0.01, 60)[-1] > chosen(1, 60)[-1]
    assert [len(chosen(0.01, 60)), len(chosen(1, 1))] == [5, 3]


def test_a_check_that_goes_on_keeps_its_widths(tmp_path: Path):
    options = CheckOptions(budget=0.2, seeds=1, steps=1, folder=tmp_path)
    first, again = (coordinate_check(load(read(MLP)), options) for _ in range(2))
    assert first.widths == again.widths
    assert first.to_dict() == again.to_dict()


def test_what_only_rounding_moves_is_not_resolved():
    """A bias of keys shifts all logits of a query alike, so its gradient is zero but for rounding,
    which Adam divides by its size.
    """
    program = load(read(EXAMPLES / "gpt2.param"))
    found = coordinate_check(program, CheckOptions(widths=(16, 32, 64), seeds=1, steps=2))
    rows = {(row.name, row.quantity): row for row in found.verdict.rows}
    assert rows["layers.attention.key_bias", "update"].outcome == UNRESOLVED
    assert rows["layers.attention.key_bias", "update"].slope is None
    assert rows["layers.attention.query_bias", "update"].slope is not None


def test_images_are_made_small_together():
    for name, side in (("resnet18", 8), ("vit", 16)):
        program = load(read(EXAMPLES / f"{name}.param"))
        made = shrunk(program, ())[1]
        assert (made["rows"], made["columns"]) == (side, side)


def test_batch_norms_are_those_of_training():
    """By the statistics of the batch: each channel has RMS 1 whatever comes in."""
    program = shrunk(load(read(EXAMPLES / "wide_resnet.param")), ())[0]
    probe = Probe(judged(program))
    probe.make({"width": 16}, "cpu")
    norm: Any = next(m for m in probe.model.modules() if hasattr(m, "running_var"))
    x = 7 * torch.randn(32, norm.running_var.shape[0], 4, 4)
    assert float(norm(x).detach().square().mean()) == pytest.approx(1, abs=0.01)
    assert not probe.model.training


def test_nothing_is_dropped_out_beside_a_batch_norm():
    """Which is in training for its statistics, and dropout with it in the same module."""
    text = """model Dropping
dim width -> inf, base = 64
parametrization mup
tensor W : input  [width, 8]
tensor V : output [4, width]
forward(x : [8]) {
    h = batchnorm(W @ x)
    kept = dropout(relu(h), p = 0.5)
    return V @ kept
}
optimizer sgd { lr = 0.1 }
loss mse
"""
    probe = Probe(judged(load(Source(text))))
    probe.make({"width": 64}, "cpu")
    assert probe.model.training
    probe.observe((torch.randn(16, 8),))
    assert torch.equal(probe.seen["kept"], torch.relu(probe.seen["h"]))


def test_finite_dims_that_are_set_stay():
    program, made = shrunk(load(read(GPT)), ("depth",))
    assert "depth" not in made
    assert program.dims["depth"].default == 12
    assert made["vocab"] == 32


# The command


def test_json_is_the_contract(run: Run):
    ran = run("coord-check", MLP, *QUICKLY, "--format", "json")
    found = json.loads(ran.out)
    assert ran.status == 0
    assert (found["schema"], found["agree"], found["widths"]) == (1, True, [64, 128, 256, 512])
    for row in found["rows"]:
        assert row.keys() >= {"name", "quantity", "derived", "measured", "error", "agree"}
        assert row["quantity"] in {"at_init", "change", "update"}
        assert (row["measured"] is None) == (row["derived"] == "-inf")
        assert row["agree"] is True
    rows = {(row["name"], row["quantity"]): row["derived"] for row in found["rows"]}
    assert rows["W3", "at_init"] == "-1/2"
    assert rows["b1", "at_init"] == "-inf"
    assert rows["h1", "change"] == "0"


def test_text_and_csv(run: Run):
    arguments = ("coord-check", MLP, *QUICKLY)
    text = run(*arguments)
    assert text.status == 0
    assert "measured and derived agree" in text.out
    assert "weight decay" in text.out
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv").out)))
    assert {row["outcome"] for row in rows} <= {"agrees", "crossover"}


def test_disagreement_is_status_1(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import abcparam.coordinate_check.check as module

    def sabotaged(report: Report) -> str:
        return emit_program(report).replace("return self.W3_scale * ", "return ")

    monkeypatch.setattr(module, "emit_program", sabotaged)
    ran = run("coord-check", MLP, *QUICKLY)
    assert ran.status == 1
    assert "do not agree" in ran.out


def test_too_little_that_is_resolved_is_undecided(run: Run):
    """One seed of three small widths near each other: no slope is sharp, and none is wrong."""
    few = ("--widths", "16,17,18", "--seeds", "1", "--fresh")
    ran = run("coord-check", MLP, *few)
    assert ran.status == 3
    assert "measured and derived are undecided: " in ran.out
    assert "undecided, as seeds scatter too much in " in ran.out
    assert "more --seeds" in ran.out
    found = json.loads(run("coord-check", MLP, *few, "--format", "json").out)
    assert (found["agree"], found["outcome"]) == (False, "undecided")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--widths", "64"),
        ("--widths", "a,b,c"),
        ("--budget", "soon"),
        ("--seeds", "0"),
        ("--set", "pixels"),
        ("--device", "nowhere"),
        ("--widths", "32,64,128", "--resume", "/dev/null/no"),
    ],
)
def test_usage_errors_are_status_2(run: Run, arguments: tuple[str, ...]):
    ran = run("coord-check", MLP, *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("abcparam coord-check: ")


def test_widths_that_do_not_fit_are_status_2(run: Run):
    ran = run("coord-check", GPT, "--widths", "64,100,128")
    assert ran.status == 2
    assert "multiples of 16" in ran.err


def test_invalid_specs_are_status_2(run: Run):
    assert run("coord-check", "-", stdin=INVALID).status == 2
    ran = run("coord-check", SPECS / "mlp_unknown.param")
    assert ran.status == 2
    assert "solve" in ran.err


def test_figures_are_written(run: Run, tmp_path: Path):
    pytest.importorskip("matplotlib")
    text = (SPECS / "rnn.param").read_text(encoding="utf-8")
    arguments = ("--widths", "16,32,64", "--seeds", "1", "--steps", "2", "--against", "sp")
    ran = run("coord-check", "-", *arguments, "--plot", tmp_path, stdin=text)
    assert ran.status in {0, 1, 3}
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {f"{q}.{f}" for q in ("at_init", "change", "update") for f in ("png", "svg")}
    assert run("coord-check", MLP, "--widths", "16,32,64", "--against", "sp").status == 2
    ran = run("coord-check", MLP, "--against", "sp", "--plot", tmp_path)
    assert ran.status == 2 and "needs a spec with a `parametrization`" in ran.err and not ran.out


def test_figures_say_what_is_varied_what_is_unresolved_and_what_has_no_law(tmp_path: Path):
    pytest.importorskip("matplotlib")
    text = (SPECS / "rnn.param").read_text(encoding="utf-8").replace("width", "n_embd")
    options = {"widths": (16, 32, 64), "seeds": 1, "steps": 2}
    abcparam.coord_check(text, against="sp", plot=tmp_path, **options)
    change = (tmp_path / "change.svg").read_text(encoding="utf-8")
    assert change.count("<!-- n_embd (dashed: derived slope) -->") >= 1
    assert "<!-- no law, as it is unstable: h, t.h -->" in change
    assert any("(unresolved)" in path.read_text() for path in tmp_path.glob("*.svg"))
    for width in options["widths"]:
        assert change.count(f"<!-- {width} -->") == 2  # the same under each panel


def test_a_page_stands_alone(run: Run, tmp_path: Path):
    """Everything on one page: it refers to nothing outside itself, holds the spec and the emitted
    module as text, and runs nothing.
    """
    page = tmp_path / "page.html"
    text = MLP.read_text(encoding="utf-8") + "# <script>alert(1)</script> & so on\n"
    arguments = ("--widths", "64,128,256", "--seeds", "1", "--html", page)
    ran = run("coord-check", "-", *arguments, stdin=text)
    assert ran.err.rstrip().endswith(f"page -> {page}")
    found = page.read_text(encoding="utf-8")
    parts = stands_alone(found)
    assert "".join(parts.words).count(text) == 1
    assert "class MLP(nn.Module):" in parts.text
    assert "change: of its difference to that after the steps" in parts.text
    assert "MLP: maximal-update" in parts.text and "for each seed, against width" in parts.text
    rows = [name for name in parts.ids if re.fullmatch(r"c0r\d+", name)]
    panels = [name for name in parts.ids if name.endswith("-sizes")]
    said = r"^\S+ +(?:at_init|change|update|gradient) "
    assert len(rows) == len(re.findall(said, ran.out, re.MULTILINE)) == 17
    assert len(panels) > 8 and found.count("<svg") == len(panels) + 1
    for panel in panels:  # the figure leads to the row, and the row to its panel
        assert panel in parts.links and parts.links.count(panel.removesuffix("-sizes")) == 2
    assert parts.ids.index(panels[0]) < parts.ids.index(rows[0])
    assert {"derived", "interval", "expected", "wedge"} <= set(parts.classes)


def test_a_page_says_what_another_parametrization_has_no_law_of(tmp_path: Path):
    text = (SPECS / "rnn.param").read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    options = {"widths": (16, 32, 64), "seeds": 1, "steps": 2}
    abcparam.coord_check(text, against="sp", html=page, **options)
    parts = stands_alone(page.read_text(encoding="utf-8"))
    assert "no law, as it is unstable: " in parts.text
    assert parts.text.count("no law, as it is unstable") > 3  # once, and in each empty panel
    assert "sp: unstable" in parts.text


def test_a_killed_check_goes_on_with_the_same_result(tmp_path: Path):
    command = [sys.executable, "-m", "abcparam", "coord-check", str(MLP), "--format", "json"]
    command += ["--widths", "64,128,256,512", "--seeds", "2", "--resume", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*-*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-*.json")}
    assert 3 <= len(before) < 8
    again = subprocess.run(command, capture_output=True, env=environment, text=True).stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = coordinate_check(load(read(MLP)), CheckOptions(widths=(64, 128, 256, 512), seeds=2))
    finally:
        torch.set_num_threads(threads)
    assert json.loads(again) == whole.to_dict()


EXPERTS = """model Experts
dim width -> inf, base = 64
dim experts = 4
parametrization mup
tensor enter   : input  [width, 8]
tensor router  : output [experts, width]
tensor readout : output [4, width]
block Expert(x) {
    tensor E : hidden [width, width]
    return E @ relu(x)
}
forward(x : [8]) {
    h = enter @ x
    return readout @ (h + mixture(router @ h, Expert(h), top = TOP))
}
optimizer adam { lr = 1e-3, eps = 1e-12 }
loss cross_entropy
"""


def test_experts_stay_as_many_as_a_token_takes():
    """A mixture of fewer cannot run: neither is it accepted, nor does a check make it."""
    tops = {1: 2, 3: 3, "3, groups = 2, top_groups = 2": 4}
    for top, most in tops.items():
        program, _ = shrunk(load(Source(EXPERTS.replace("TOP", str(top)))), ())
        assert program.dims["experts"].default == most
    for top in ("5", "1, groups = 4, top_groups = 4"):
        with pytest.raises(abcparam.SpecError, match="P0314"):
            load(Source(EXPERTS.replace("TOP", top)))


def test_pairs_of_a_batch_are_measured():
    """Of two towers each sample of the one goes with the same of the other."""
    program = load(Source(CONTRASTIVE))
    names = executed(compile(CONTRASTIVE), stays=True)
    config = names["Config"]()
    batch = batch_of(program, config, 0, 5, "cpu")
    assert batch.targets[0].tolist() == [0, 1, 2, 3, 4]
    outputs = names[program.name](config).double()(*batch.inputs)
    assert loss_of(program, (outputs,), batch).isfinite()


def test_an_expert_without_a_token_is_no_number():
    """Of four tokens that take one expert each, hardly ever do all eight get one."""
    text = EXPERTS.replace("TOP", "1, groups = 2, top_groups = 2, group_top = 1")
    text = text.replace("experts = 4", "experts = 8")
    options = CheckOptions(widths=(32, 64, 128), seeds=1, steps=1, tokens=4)
    rows = coordinate_check(load(Source(text)), options).verdict.rows
    sizes = [size for row in rows if row.name.endswith(".E") for _, size in row.points]
    assert sizes and all(map(math.isfinite, sizes))
