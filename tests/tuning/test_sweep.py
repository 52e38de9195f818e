"""`sweep`: trials together and one by one, divergence, interruption, what is found."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import abcparam
from abcparam.algebra.record import replace
from abcparam.coordinate_check.plan import shrunk, varied_dims, widths_of
from abcparam.data.digits import Digits
from abcparam.data.named import data_named
from abcparam.data.synthetic import Synthetic
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.language.reader import read
from abcparam.optimizers import optimizers
from abcparam.pipeline import emit_program
from abcparam.program.fingerprint import fingerprint
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.space import Axis, axes_of, grid, random_points
from abcparam.tuning.sweep import SweepResult, sweep_source
from abcparam.tuning.train import training
from abcparam.tuning.train.models import groups_of, models_of
from abcparam.tuning.train.stacking import train, train_together
from abcparam.tuning.train.training import Job, job_of, train_alone
from abcparam.tuning.train.training import TrialRun as Trial
from abcparam.tuning.trials import trials_of
from abcparam.verdict.check import judged, load
from tests.support.markup import stands_alone
from tests.support.paths import SPECS
from tests.support.running import Run

MLP = """model MLP
dim width -> inf, base = 16
dim pixels = 64
dim classes = 10
hyper lr = 0.1 in log [1e-3, 1]
hyper out_mult = 1 in log [1/4, 4]
hyper std = 1
hyper decay = 0.01
parametrization mup
tensor first   : input  [width, pixels] { init = normal(std / 8) }
tensor shift   : input  [width]
tensor second  : hidden [width, width]
tensor readout : output [classes, width] { mult = out_mult }
forward(x : [pixels]) {
    h = relu(first @ x + shift)
    h = relu(second @ h)
    return readout @ h
}
optimizer OPTIMIZER { lr = lr, weight_decay = decay }
loss cross_entropy
"""
TRANSFORMER = """model Tiny
dim width -> inf, base = 16
dim head = 8
dim heads = width / head
dim vocab = 32
dim context = 8
hyper lr = 3e-3 in log [1e-4, 1e-1]
hyper out_mult = 1 in {1/2, 1, 2}
parametrization mup
tensor table : input [vocab, width] { init = normal(1) }
tensor readout : output [vocab, width] { mult = out_mult }
block Attention(x) {
    tensor query, key, value : hidden [heads * head, width]
    tensor project : hidden [width, heads * head]
    y = attention(query @ x, key @ x, value @ x, heads = heads, scale = head^-1, causal = true)
    return project @ y
}
forward(tokens : index(vocab) [context]) {
    x = embed(table, tokens)
    x = x + Attention(layernorm(x))
    return readout @ layernorm(x)
}
optimizer OPTIMIZER { lr = lr }
loss cross_entropy
"""
RATES = (1e-3, 1e-2, 0.1)


def mlp(optimizer: str = "adam") -> str:
    return MLP.replace("OPTIMIZER", optimizer)


def job(text: str, **setting: object) -> Job:
    program = load(Source(text))
    wanted = {"steps": 12, "batch": 8, **setting}
    return job_of(program, emit_program(judged(program)), Synthetic(), **wanted)


def trials(rates: tuple[float, ...] = RATES, **values: Fraction) -> list[Any]:
    """One for each rate, with another multiplier and seed each."""
    mults = (Fraction(1, 2), Fraction(1), Fraction(2))
    return [
        Trial({"lr": Fraction(str(lr)), "out_mult": mult, **values}, number % 2)
        for number, (lr, mult) in enumerate(zip(rates, mults, strict=True))
    ]


def differ(text: str, given: list[Any]) -> float:
    """The largest relative difference of a loss, together and one by one."""
    made = job(text)
    found = [train_together(made, given), [train_alone(made, trial) for trial in given]]
    together, alone = (torch.tensor([t.losses for t in each]).double() for each in found)
    assert together.shape == alone.shape == (len(given), 12)
    return float(((together - alone) / alone).abs().max())


# Together


STACKING = sorted(
    name for name, rule in optimizers().items() if rule.stacks and "weight_decay" in rule.settings
)


def test_every_entrywise_optimizer_stacks():
    entrywise = "adagrad adam adamax adamw lion nadam rmsprop sgd signsgd"
    assert set(entrywise.split()) <= set(STACKING)
    assert not {"muon", "lamb", "lars", "adafactor"} & set(STACKING)


@pytest.mark.parametrize("optimizer", STACKING)
def test_an_mlp_together_has_the_losses_of_one_by_one(optimizer: str):
    """With rates, multipliers, initial scales, weight decays and seeds that differ."""
    given = [
        Trial({**values, "std": Fraction(number + 1, 2), "decay": Fraction(number, 50)}, seed)
        for number, (values, seed, _) in enumerate(trials())
    ]
    assert differ(mlp(optimizer), given) < (5e-2 if "sign" in optimizer else 1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_transformer_together_has_the_losses_of_one_by_one(optimizer: str):
    assert differ(TRANSFORMER.replace("OPTIMIZER", optimizer), trials()) < 1e-3


def of_spec(name: str) -> tuple[Job, list[Any]]:
    """A spec at small sizes, and two rates. Of two examples with one position a batch norm sees two
    numbers, and its gradient is chance.
    """
    small = shrunk(load(read(SPECS / f"{name}.param")), ())[0]
    dims = {
        n: Fraction(size) for n, size in widths_of(varied_dims(small), 0, 1, 1).dims[64].items()
    }
    made = job_of(small, emit_program(judged(small)), Synthetic(), steps=3, batch=8)
    lr = small.hypers["lr"].value
    return made, [Trial({**dims, "lr": rate}, 0) for rate in (lr / 8, lr / 4)]


@pytest.mark.parametrize("name", ["gpt_depth", "llama", "lora", "lstm", "resnet18", "t5"])
def test_models_of_every_kind_stack(name: str, monkeypatch: pytest.MonkeyPatch):
    """Infinite depth, rotary positions, frozen tensors, recurrence, batch norm, relative ones.

    In double precision, as a batch norm makes what is rounded grow by how much is chance.
    """
    made, given = of_spec(name)
    monkeypatch.setattr(training, "REAL", torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        together = torch.tensor([found.losses for found in train_together(made, given)])
        alone = torch.tensor([train_alone(made, trial).losses for trial in given])
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.allclose(together, alone, rtol=1e-5)


@pytest.mark.slow
def test_trials_together_are_compiled():
    """The losses of those that are not; none is trained one by one."""
    text = TRANSFORMER.replace("OPTIMIZER", "adam")
    reasons: list[str] = []
    found = train(job(text, compiled=True), trials(), report=reasons.append)
    plain = train(job(text), trials())
    assert not reasons
    for mine, theirs in zip(found, plain, strict=True):
        assert mine.losses == pytest.approx(theirs.losses, rel=1e-3)


def test_trials_that_are_made_alike_share_a_model():
    """Of 6 trials, three differ in rate and decay alone; each has the weights that are its own."""
    half, whole = Fraction(1, 2), Fraction(1)
    values = [
        {"lr": rate, "decay": rate, "std": std, "out_mult": mult}
        for rate, std, mult in [
            (half, whole, whole),
            (whole, whole, whole),
            (whole, half, whole),
            (half, whole, whole),
            (whole, whole, half),
        ]
    ]
    given = [*(Trial(each, 0) for each in values), Trial(values[0], 1)]
    made = job(mlp())
    models = models_of(made, given)
    assert [models.index(model) for model in models] == [0, 0, 2, 0, 4, 5]
    for model, trial in zip(models, given, strict=True):
        own = made.model(trial.values, trial.seed)
        for mine, theirs in zip(model.parameters(), own.parameters(), strict=True):
            assert torch.equal(mine, theirs)
        (optimizer,) = made.optimizers(own)
        groups = optimizer.param_groups
        for group, other in zip(groups_of(made, model, trial), groups, strict=True):
            assert (group["lr"], group["weight_decay"]) == (other["lr"], other["weight_decay"])


def test_sizes_that_do_not_fit_are_told():
    with pytest.raises(SpecError, match="P0408"):
        swept(TRANSFORMER.replace("OPTIMIZER", "adam"), over=("width=16,20", "lr"))
    made = job(TRANSFORMER.replace("OPTIMIZER", "adam"))
    with pytest.raises(SpecError, match="P0810"):
        made.config({"width": Fraction(20)})


def test_a_spec_that_trains_nothing_is_told(run: Run):
    roles = ", ".join(f"{role} {{ frozen }}" for role in ("input", "hidden", "output"))
    frozen = mlp().replace("mup\n", f"mup {{ {roles} }}\n")
    for command in (("sweep", "--over", "lr=0.1,0.2", "width=16,32"), ("coord-check",)):
        ran = run(command[0], "-", *command[1:], stdin=frozen)
        assert ran.status == 2 and "error[P0829]: nothing is trained" in ran.err, ran


def test_what_does_not_stack_is_trained_one_by_one():
    """Dropout draws random numbers for each trial, Muon takes matrices, `betas` are no factor."""
    dropped = mlp().replace("h = relu(second @ h)", "h = dropout(relu(second @ h), 0.5)")
    lamb = mlp("lamb")
    betas = mlp().replace("weight_decay = decay", "betas = (std, 0.99)")
    betas = betas.replace("std / 8", "0.1").replace("hyper std = 1", "hyper std = 0.5")
    beta = [Trial({**v, "std": Fraction(n + 1, 10)}, s) for n, (v, s, _) in enumerate(trials())]
    for text, given, why in [
        (dropped, trials(), "randomness"),
        (lamb, trials(), "updates of lamb are not entry by entry"),
        (betas, beta, "settings of the optimizer differ"),
    ]:
        made, told = job(text, steps=3), list[str]()
        found = train(made, given, report=told.append)
        assert found == [train_alone(made, trial) for trial in given]
        assert len(told) == 1 and why in told[0]


def test_a_trial_that_diverges_leaves_the_others_alone():
    made = job(mlp("sgd"))
    given = trials((1e-2, 1e30, 0.1))
    together = [found.losses for found in train_together(made, given)]
    assert [len(losses) == 12 for losses in together] == [True, False, True]
    assert not math.isfinite(together[1][-1])
    assert len(train_alone(made, given[1]).losses) == len(together[1])
    assert together[0] == pytest.approx(train_alone(made, given[0]).losses, rel=1e-3)


# What is searched


def program(text: str | None = None):
    return load(Source(text or mlp()))


def test_axes_are_the_declared_ranges_or_what_is_said():
    assert [axis.name for axis in axes_of(program(), [])] == ["lr", "out_mult"]
    axes = axes_of(program(), ["width=16,32", "lr=log:1e-3:1e-1:3", "std=0.5:1.5:3"])
    assert [axis.grid for axis in axes] == [
        (Fraction(16), Fraction(32)),
        (Fraction(1, 1000), Fraction(1, 100), Fraction(1, 10)),
        (Fraction(1, 2), Fraction(1), Fraction(3, 2)),
    ]
    assert len(grid(axes)) == 18
    choice = axes_of(program(TRANSFORMER.replace("OPTIMIZER", "adam")), ["out_mult"])
    assert choice[0].grid == (Fraction(1, 2), Fraction(1), Fraction(2))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("lr=1:0", "P0802"),
        ("lr=log:0:1", "P0802"),
        ("width=1/2", "P0802"),
        ("width", "P0802"),
        ("width=16:32", "P0802"),
        ("lr=1e999999", "P0802"),
        ("std", "P0801"),
        ("rate=1,2", "P0213"),
    ],
)
def test_axes_that_are_wrong(text: str, code: str):
    with pytest.raises(SpecError) as caught:
        axes_of(program(), [text])
    assert [d.code for d in caught.value.diagnostics] == [code]


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        ("lr=-1e-3,1e-3", "`lr` of `adam` is -0.001, not positive"),
        ("lr=0:1", "`lr` of `adam` is 0, not positive"),
        ("decay=-0.1,0.1", "`weight_decay` of `adam` is -0.1, not 0 or more"),
        ("std=-8,8", "`init` of `first` is -1, not 0 or more"),
        ("out_mult=0,1", "`mult` of `readout` is 0, not positive"),
        ("lr=1:0.1", "the lower end comes first"),
        ("lr=log:0:1", "both ends of `log:` are above 0"),
        ("lr=0.1:1:1", "an interval has from 2 to 10000 points"),
        ("lr=nan", "that is no number"),
        ("lr=", "it has no values"),
        ("width=0,16", "values of `width` are whole numbers from 1"),
    ],
)
def test_values_without_sense_are_refused_before_anything_is_trained(over: str, problem: str):
    with pytest.raises(SpecError) as caught:
        axes_of(program(), [over])
    (diagnostic,) = caught.value.diagnostics
    assert problem in diagnostic.message


def test_values_that_may_be_zero_are_taken():
    assert axes_of(program(), ["decay=0,0.1", "std=0,1"])[0].grid == (Fraction(0), Fraction(1, 10))


def test_points_of_an_interval_are_those_that_are_drawn():
    """`:3` is not forgotten where points are drawn; as many as a grid has are that grid."""
    over = ["lr=log:1e-3:1e-1:3", "out_mult=1,2"]
    asked = SweepOptions(over=tuple(over), trials=6)
    whole = trials_of(program(), axes_of(program(), over), asked)
    assert len(whole) == 6
    few = trials_of(program(), axes_of(program(), over), replace(asked, trials=4))
    assert {dict(trial.values)["lr"] for trial in few} <= {
        Fraction(1, 1000),
        Fraction(1, 100),
        Fraction(1, 10),
    }


def test_a_value_that_stands_alone_is_one_of_a_list():
    """`--over lr=1e-3 1e-2`; a name that is none has no such help."""
    for text, told in (("1e-2", True), ("rate=1,2", False)):
        with pytest.raises(SpecError) as caught:
            axes_of(program(), [text])
        assert ("divided by commas" in caught.value.diagnostics[0].help) == told


def test_values_that_are_spread_evenly_over_octaves_are_told():
    for text, told in (("lr=1e-3:1e-1:3", True), ("lr=1e-3:5e-3:3", False), ("lr=1,2", False)):
        notes = abcparam.sweep(mlp(), [text], steps=1, batch=1).notes
        even = "lr is tried evenly from 0.001 to 0.1; lr=log:… is by equal ratios"
        assert (even in notes) == told


def test_random_points_are_the_same_for_a_seed():
    axes = [Axis("lr", (), Fraction(1, 1000), Fraction(1), True), Axis("x", (Fraction(1), 2))]
    points = list(random_points(axes, 50, 3))
    assert points == list(random_points(axes, 50, 3))
    assert points[:20] == list(random_points(axes, 20, 3))
    assert points != list(random_points(axes, 50, 4))
    assert all(Fraction(1, 1000) <= point["lr"] <= 1 for point in points)
    assert 15 < sum(point["lr"] < Fraction(1, 32) for point in points) < 35


# The whole


def swept(text: str, **wanted: object) -> SweepResult:
    return sweep_source(Source(text), {}, SweepOptions(**{"steps": 10, "batch": 8, **wanted}))


def test_a_sweep_over_sizes_settings_seeds_and_parametrizations(run: Run, tmp_path: Path):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    over = ("--over", "width=16,32", "steps=5,10", "lr=1e-3,1e-2")
    arguments = ("sweep", spec, *over, "--seeds", "2", "--parametrization", "mup,sp", "--fresh")
    ran = run(*arguments, "--format", "json")
    found = json.loads(ran.out)
    assert ran.status == 0
    assert len(found["trials"]) == 2 * 2 * 2 * 2 * 2
    assert len({json.dumps(trial["hypers"]) for trial in found["trials"]}) == 2
    assert found["fingerprint"] == fingerprint(mlp())
    assert found["verdicts"] == {"mup": "maximal-update", "sp": "unstable"}
    assert len(found["best"]) == 8
    losses: dict[str, dict[int, list[float]]] = {"mup": {}, "sp": {}}
    for trial in found["trials"]:
        losses[trial["parametrization"]].setdefault(trial["dims"]["width"], []).append(
            trial["loss"]
        )
    assert losses["mup"][16] == pytest.approx(losses["sp"][16])  # at base they are the same
    assert losses["mup"][32] != pytest.approx(losses["sp"][32])
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv").out)))
    assert [row["loss"] for row in rows] == [str(t["loss"]) for t in found["trials"]]
    text = run(*arguments).out
    assert "sp: from width 16 to 32 the best lr" in text


def test_divergence_is_a_result(run: Run, tmp_path: Path):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp("sgd"), encoding="utf-8")
    arguments = ("sweep", spec, "--over", "lr=1e-2,1e30", "--steps", "8", "--resume", tmp_path)
    found = json.loads(run(*arguments, "--format", "json").out)
    assert [trial["diverged"] for trial in found["trials"]] == [False, True]
    assert found["trials"][1]["loss"] is None
    assert found["best"][0]["hypers"] == {"lr": 0.01}
    ran = run(*arguments)
    assert ran.status == 0
    assert "diverged" in ran.out
    json.loads(run(*arguments, "--format", "json").out, parse_constant=pytest.fail)


def test_a_killed_sweep_goes_on_and_runs_nothing_twice(run: Run, tmp_path: Path):
    spec, kept = tmp_path / "mlp.param", tmp_path / "kept"
    spec.write_text(mlp(), encoding="utf-8")
    command = [sys.executable, "-m", "abcparam", "sweep", str(spec), "--over", "width=16,24,32"]
    command += ["lr", "--together", "2", "--steps", "60", "--resume", str(kept)]
    command += ["--format", "json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while len(list(kept.rglob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    assert 3 <= len(before) < 12
    again = subprocess.run(command, capture_output=True, env=environment, text=True).stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    found = [key for path in kept.rglob("*.json") for key in json.loads(path.read_text())]
    assert len(found) == len(set(found)) == 21
    assert run(*command[3:]).out == again
    assert len(json.loads(again)["trials"]) == 21


def test_figures_and_a_page(run: Run, tmp_path: Path):
    pytest.importorskip("matplotlib")
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    over = ("--over", "width=16,32", "lr=log:1e-3:1e-1:3", "--steps", "4", "--fresh")
    ran = run("sweep", spec, *over, "--plot", tmp_path / "plots", "--html", tmp_path / "page.html")
    assert ran.status == 0
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"lr.png", "lr.svg"}
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    parts = stands_alone(page)
    assert "optimizer adam" in parts.text
    assert page.count("<svg") == 1
    assert {"width 16", "width 32"} <= set(parts.words)  # at the ends of their lines
    assert parts.links.count("hyper0-0") == 2 and {"best0", "best1"} <= set(parts.links)
    assert parts.ids == ["hyper0-0", "best0", "best1"]


def test_a_run_that_nearly_diverges_leaves_the_others_visible():
    from abcparam.tuning.output.plots import highest

    calm = [(1e-3, 2.3), (1e-2, 1.4), (1e-1, 1.9), (1.0, 369.0)]
    assert 2.3 < highest([calm, calm[:3]]) < 10
    assert highest([calm[:3]]) > 2.3
    assert highest([]) == float("inf")


# Data


def test_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be " * 20, encoding="utf-8")
    text = TRANSFORMER.replace("OPTIMIZER", "adam").replace("vocab = 32", "vocab = 256")
    language = load(Source(text))
    config = job(text).config({})
    inputs, targets = next(data_named(str(path)).batches(language, config, 3, 0))
    assert inputs[0].shape == targets[0].shape == (3, 8)
    assert torch.equal(inputs[0][:, 1:], targets[0][:, :-1])
    assert bytes(inputs[0][0].tolist()).decode() in path.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def batches(config, size, seed):\n"
        "    yield torch.full((size, config.pixels), float(seed)), torch.zeros(size).long()\n",
        encoding="utf-8",
    )
    for name in ("mine:batches", "mine.py:batches", f"{tmp_path}/mine.py:batches"):
        mine = data_named(name).batches(program(), job(mlp()).config({}), 4, 7)
        for _ in range(2):
            (x,), (y,) = next(mine)
            assert (x.shape, float(x[0, 0]), y.shape) == ((4, 64), 7.0, (4,))


@pytest.mark.parametrize(
    "name", ["nothing.txt", "nothing.py:f", "no_such_module:f", "math:nothing"]
)
def test_data_that_is_not_there(name: str):
    with pytest.raises(SpecError, match="P0804"):
        data_named(name)


def test_data_that_does_not_fit(run: Run, tmp_path: Path):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    ran = run("sweep", spec, "--over", "lr=1e-2", "--data", spec, "--fresh")
    assert ran.status == 2
    assert "error[P0803]" in ran.err


def test_a_coordinate_check_takes_data(run: Run, tmp_path: Path):
    pytest.importorskip("sklearn")
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    widths = ("--widths", "32,64,128", "--seeds", "1", "--steps", "2", "--fresh")
    ran = run("coord-check", spec, *widths, "--data", "digits", "--set", "pixels=64")
    assert "batches are of scikit-learn's digits" in ran.out


def test_the_default_task_is_learned():
    found = swept(mlp(), over=("lr=1e-2",), steps=150, batch=32).results[0].losses
    assert sum(found[:5]) / 5 > math.log(10) - 0.2
    assert sum(found[-20:]) / 20 < 1.8
    text = TRANSFORMER.replace("OPTIMIZER", "adam")
    language = swept(text, over=("lr=1e-2",), steps=100, batch=32).results[0].losses
    assert language[-1] < language[0] - 0.5


@pytest.mark.slow
def test_the_best_learning_rate_stays_under_mup_and_moves_under_sp():
    """Adam on digits: width 64 to 512, three seeds."""
    pytest.importorskip("sklearn")
    text = mlp().replace("base = 16", "base = 64")
    options = SweepOptions(
        over=("width=64,512", "lr=log:1e-4:0.1024:11"),
        forms=("mup", "sp"),
        seeds=3,
        steps=80,
        data=Digits(),
    )
    found = sweep_source(Source(text), {}, options)
    best = {
        (b.cell.form, int(dict(b.cell.sizes)["width"])): float(dict(b.hypers)["lr"])
        for b in found.best
    }
    assert 1 / 2.1 < best["mup", 512] / best["mup", 64] < 2.1
    assert best["sp", 512] / best["sp", 64] <= 1 / 3.9
