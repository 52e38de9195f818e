"""`sweep`: learning rates by schedules, losses on data that are held out."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from abcparam import schedules
from abcparam.data.digits import Digits
from abcparam.data.named import data_named
from abcparam.diagnostics.source import Source
from abcparam.pipeline import emit_program
from abcparam.tuning.schedules import SCHEDULES, schedule_named
from abcparam.tuning.train.stacking import train_together
from abcparam.tuning.train.training import TrialRun as Trial
from abcparam.tuning.train.training import job_of, train_alone
from abcparam.verdict.check import judged, load
from tests.support.running import Run
from tests.tuning.test_sweep import TRANSFORMER, job, mlp, trials


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_trials_of_different_schedules_train_together(optimizer: str):
    """With weight decay, at one rate and one seed: the losses of one by one, and not the same."""
    given = [Trial({"lr": Fraction("0.03")}, 0, name) for name in (*SCHEDULES, "cosine:0.25")]
    made = job(mlp(optimizer))
    together = torch.tensor([found.losses for found in train_together(made, given)])
    alone = torch.tensor([train_alone(made, trial).losses for trial in given])
    assert torch.allclose(together, alone, rtol=1e-3)
    assert len({round(float(loss), 6) for loss in together[:, -1]}) == len(given) == 7


def test_a_schedule_is_that_of_abcparam_schedules():
    """Plain PyTorch with `LambdaLR` has the same losses."""
    made = job(mlp("adamw"))
    trial = Trial({"lr": Fraction("0.1")}, 3, "cosine:0.25")
    model = made.model(trial.values, 3)
    (optimizer,) = made.optimizers(model)
    scheduler = LambdaLR(optimizer, schedules.cosine(12, warmup=3))
    batches = made.batches(made.config(trial.values), 3)
    losses = []
    for _ in range(12):
        (x,), (y,) = made.placed(next(batches))
        loss = torch.nn.functional.cross_entropy(model(x), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    assert train_alone(made, trial).losses == pytest.approx(losses, rel=1e-6)


def test_schedules_by_name():
    """All start at 1 or warm up to it, and end above 0; what they are at some steps of 100."""
    at = {name: schedule_named(name, 100) for name in SCHEDULES}
    assert all(factor(0) == 1 and factor(99) > 0 for factor in at.values() if factor(0) != 1 / 11)
    assert [at["step"](step) for step in (33, 34, 68)] == pytest.approx([1, 0.1, 0.01])
    assert [at["wsd"](step) for step in (80, 90)] == pytest.approx([1, 0.5])
    assert [at["inverse-sqrt"](step) for step in (0, 10, 40)] == pytest.approx([1 / 11, 1, 0.5])
    assert schedule_named("linear:0.1", 100)(4) == pytest.approx(5 / 11)


@pytest.mark.parametrize("name", ["cosin", "cosine:1", "cosine:x", "constant:-1", ""])
def test_schedules_that_there_are_none(run: Run, tmp_path: Path, name: str):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    for how in (("--schedule", name), ("--over", f"schedule={name}")):
        ran = run("sweep", spec, *how, "--fresh")
        assert (ran.status, "error[P0811]" in ran.err) == (2, True)


def test_the_best_schedule_is_looked_for(run: Run, tmp_path: Path):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    over = ("--over", "width=16,32", "schedule=constant,linear:0.1,wsd", "--steps", "20", "--fresh")
    found = json.loads(run("sweep", spec, *over, "--format", "json").out)
    assert len(found["trials"]) == 6
    for best in found["best"]:
        mine = [t for t in found["trials"] if t["dims"] == best["dims"]]
        assert best["schedule"] == min(mine, key=lambda t: t["loss"])["schedule"]
    text = run("sweep", spec, *over).out
    assert [line.split()[0] for line in text.splitlines()[2:6]] == [
        "schedule",
        "constant",
        "linear:0.1",
        "wsd",
    ]
    drawn = run("sweep", spec, "--random", "5", *over, "--over", "lr", "--format", "json")
    trials = json.loads(drawn.out)["trials"]
    assert len({(trial["schedule"], *trial["hypers"].values()) for trial in trials}) == 5


# Held-out data


def test_held_out_losses_are_those_after_training():
    """Together and one by one, and by hand; the examples are none that are trained on."""
    pytest.importorskip("sklearn")
    program, digits = load(Source(mlp())), Digits()
    made = job_of(program, emit_program(judged(program)), digits, steps=5, batch=100)
    config = made.config({})
    kept = list(digits.held_out(program, config, 100))
    assert [len(batch.targets[0]) for batch in kept] == [100, 100, 100, 60]
    trained = {tuple(image.tolist()) for image in digits.images}
    kept_images = [tuple(image.tolist()) for batch in kept for image in batch.inputs[0]]
    assert sum(image in trained for image in kept_images) == 0
    together = train_together(made, trials())
    alone = [train_alone(made, trial) for trial in trials()]
    for one, other in zip(together, alone, strict=True):
        assert one.held_out == pytest.approx(other.held_out, rel=1e-4)
        assert one.held_out != pytest.approx(one.losses[-1], rel=1e-4)
    frozen = [trial._replace(values={**trial.values, "lr": Fraction(0)}) for trial in trials()]
    model = made.model(frozen[0].values, 0)
    by_hand = torch.nn.functional.cross_entropy(model(digits.kept), digits.kept_labels)
    assert train_alone(made, frozen[0]).held_out == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_last_tenth_of_a_text_is_held_out(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"a" * 900 + b"b" * 100)
    text = TRANSFORMER.replace("OPTIMIZER", "adam").replace("vocab = 32", "vocab = 256")
    program, data = load(Source(text)), data_named(str(path))
    config = job(text).config({})
    batches = data.batches(program, config, 64, 0)
    assert {int(b) for _ in range(20) for part in next(batches) for b in part[0].unique()} == {97}
    kept = list(data.held_out(program, config, 5))
    assert {int(b) for batch in kept for part in batch for b in part[0].unique()} == {98}
    assert sum(len(batch.inputs[0]) for batch in kept) == (100 - 9) // 8 + 1
    path.write_bytes(b"a" * 80)
    assert data_named(str(path)).held_out(program, config, 5) is None


def test_the_best_is_chosen_by_the_held_out_loss(run: Run, tmp_path: Path, monkeypatch):
    """Training labels say nothing of the held-out ones: a rate of 0 is best there."""
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    (tmp_path / "noise.py").write_text(
        "import torch\n"
        "def batches(config, size, seed):\n"
        "    yield torch.ones(size, config.pixels), torch.zeros(size).long()\n"
        "def batches_held_out(config, size):\n"
        "    yield torch.ones(size, config.pixels), torch.ones(size).long()\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    over = ("--over", "lr=1e-6,1e-2", "--steps", "20", "--format", "json", "--resume", tmp_path)
    for by, rate in (("training", 1e-2), ("held-out", 1e-6)):
        ran = run("sweep", spec, *over, "--data", "noise:batches", "--by", by)
        found = json.loads(ran.out)
        assert (found["best"][0]["hypers"]["lr"], found["chosen_by"]) == (rate, by)
    (tmp_path / "sweep.json").write_text(ran.out, encoding="utf-8")
    taken = ("--from", tmp_path / "sweep.json", "-o", tmp_path / "o.py", "--format", "json")
    moved = json.loads(run("transfer", spec, *taken, "--hparams", tmp_path / "h.json").out)
    assert (moved["hypers"]["lr"], moved["loss"]) == (1e-6, found["best"][0]["held_out"])
    ran = run("sweep", spec, *over, "--by", "held-out")
    assert (ran.status, "error[P0812]" in ran.err) == (2, True)
