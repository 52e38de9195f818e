"""Sweeps and transfers of a model of the user's own: by its optimizer, and adapted."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import abcparam
from abcparam.data.synthetic import Synthetic
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning.own_model import OwnModel
from abcparam.tuning.train.training import Job, TrialRun, train_alone
from tests.imports.models import nanogpt
from tests.imports.models import perceptron as perceptrons
from tests.support.emitted import load as imported
from tests.support.running import Run
from tests.tuning import own_models

FILE = Path(own_models.__file__)
BUILD = f"{FILE}:build"
QUICK = ("--steps", "5", "--batch", "4", "--fresh")


def job(audit: abcparam.Audit, adapted: bool = False, **values: int) -> Job:
    given = {name: Fraction(value) for name, value in values.items()}
    tunable = OwnModel(audit, adapted)
    (found,) = tunable.recipes(given, [""]).values()
    recipe = found.recipe
    return Job(recipe.program, recipe.builder(False), Synthetic(), steps=4, batch=4)


def rates(made: Job, **values: float) -> dict[str, float]:
    """The learning rate of each parameter."""
    model: Any = made.model({name: Fraction(str(v)) for name, v in values.items()}, 0)
    groups = [group for optimizer in made.optimizers(model) for group in optimizer.param_groups]
    by_id = {id(p): group["lr"] for group in groups for p in group["params"]}
    return {name: by_id[id(p)] for name, p in model.model.named_parameters()}


@pytest.fixture(scope="module")
def perceptron() -> abcparam.Audit:
    return abcparam.audit(own_models.build, ["width"])


def test_a_trial_is_the_users_own_training(perceptron: abcparam.Audit):
    """The losses of a loop by hand: the same model, optimizer and batches."""
    made = job(perceptron)
    found = train_alone(made, TrialRun({"width": Fraction(64), "lr": Fraction(1, 100)}, 3))
    torch.manual_seed(3)
    model, _, _ = own_models.build(64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batches = made.batches(made.config({"width": Fraction(64)}), 3)
    losses = []
    for _ in range(4):
        ((x,), (target,)) = made.placed(next(batches))
        loss = torch.nn.functional.cross_entropy(model(x, torch.ones_like(x)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert found.losses == pytest.approx(losses)


def test_an_adapted_trial_is_that_of_the_adapter(perceptron: abcparam.Audit):
    adapter: dict[str, Any] = {}
    exec(abcparam.adapt(perceptron), adapter)
    made = job(perceptron, adapted=True)
    values = {"width": Fraction(64), "lr": Fraction(1, 100)}
    model: Any = made.model(values, 3)
    torch.manual_seed(3)
    theirs, _, _ = own_models.build(64)
    adapter["init_"](theirs)
    for mine, other in zip(model.model.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    groups = adapter["make_optimizer"](theirs, lr=1e-2).param_groups
    wanted = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    (optimizer,) = made.optimizers(model)
    found = {
        id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]
    }
    for mine, other in zip(model.model.parameters(), theirs.parameters(), strict=True):
        assert found[id(mine)] == pytest.approx(wanted[id(other)])


def test_the_learning_rate_multiplies_those_of_all_groups():
    made = job(abcparam.audit(own_models.build, ["width"], own_models.sgd))
    found = rates(made, lr=0.1, width=64)  # the largest of all groups
    assert found.pop("readout.weight") == pytest.approx(0.1)
    assert set(found.values()) == {0.05}


def test_rates_that_a_training_loop_multiplies():
    audit = abcparam.audit(own_models.build, ["width"], own_models.scaled, lr_key="lr_scale")
    found = rates(job(audit), lr=0.1, width=64)
    assert found.pop("second.weight") == pytest.approx(0.05)
    assert list(found.values()) == pytest.approx([0.1] * 4)


def test_factors_of_the_forward_are_hooked_on():
    audit = abcparam.audit(perceptrons.tied, ["width"])
    values, tokens = {"width": Fraction(256)}, torch.randint(50, (3, 7))
    adapted, plain = (job(audit, which).model(values, 0) for which in (True, False))
    torch.testing.assert_close(adapted(tokens), plain(tokens) / 4)


def test_a_sweep_reads_a_language_model_and_its_vocabulary():
    audit = abcparam.audit(nanogpt.make, ["width"])
    made = job(audit)
    task = made.task(made.config({}))
    (tokens,) = task.inputs
    assert str(tokens.index and tokens.index.value) == "65"
    ((given,), (targets,)) = next(made.batches(made.config({}), 0))
    assert given.shape == targets.shape == (4, 7)
    assert torch.equal(given[:, 1:], targets[:, :-1])  # the next token


def test_the_command(run: Run, tmp_path: Path):
    """Sizes, rates, data of one's own; what is trained is kept, and is not trained again."""
    over = ("--over", "width=32,64", "lr=1e-3,1e-2")
    data = ("--data", "tests.tuning.own_models:examples")
    kept = ("--resume", tmp_path, "--steps", "5", "--batch", "4", "--format", "json")
    command = ("sweep", BUILD, "--grow", "width", "--adapted", *over, *data)
    ran = run(*command, *kept)
    found = json.loads(ran.out)
    assert ran.status == 0
    assert found["verdicts"] == {"as written": "maximal-update"}
    assert [(t["dims"]["width"], t["hypers"]["lr"]) for t in found["trials"]] == [
        (width, lr) for width in (32, 64) for lr in (0.001, 0.01)
    ]
    assert "as its adapter says" in found["notes"][0]
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    assert files and json.loads(run(*command, *kept).out)["trials"] == found["trials"]
    assert files == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    as_it_is = run(*(part for part in command if part != "--adapted"), *kept)
    own = json.loads(as_it_is.out)
    assert own["trials"][0]["loss"] == found["trials"][0]["loss"]  # at base
    assert own["trials"][3]["loss"] != found["trials"][3]["loss"]
    assert own["fingerprint"] != found["fingerprint"]


def test_what_was_trained_of_one_model_is_not_taken_for_another_of_its_file():
    """Factories of one file and of one name, whose tensors start and are trained alike."""

    def marks(loss: Callable[[Tensor, Tensor], Tensor]) -> str:
        def make(width: int = 32) -> Any:
            model, (x, _) = own_models.own_loss(width)
            model.forward = lambda x, y: loss(model.readout(model.first(x).relu()), y)
            return model, (x, torch.randn(6, 10))

        audit = abcparam.audit(make, ["width"])
        return OwnModel(audit).mark(audit.program)

    def twice(x: Tensor, y: Tensor) -> Tensor:
        return 2 * F.mse_loss(x, y)

    assert marks(F.mse_loss) == marks(F.mse_loss)
    assert len({marks(F.mse_loss), marks(F.l1_loss), marks(twice)}) == 3

    def named(name: str) -> str:
        audit = abcparam.audit(f"{FILE}:{name}", ["width"])
        return OwnModel(audit).mark(audit.program)

    assert named("own_loss") != named("own_formula")


def test_without_a_range_rates_are_searched_around_the_models_own(perceptron: abcparam.Audit):
    found = abcparam.sweep(perceptron, steps=1, batch=2)
    (axis,) = found.axes
    assert (axis.name, axis.log) == ("lr", True)
    assert (float(axis.low), float(axis.high)) == pytest.approx((1e-3 / 32, 32e-3))


def test_a_transfer_writes_the_adapter_with_what_was_found(run: Run, tmp_path: Path):
    out, hparams = tmp_path / "mup.py", tmp_path / "h.json"
    written = ("-o", out, "--hparams", hparams)
    command = ("transfer", BUILD, "--grow", "width", "--set", "width=256", "--trials", "3")
    refused = run(*command, *QUICK, *written)
    assert (refused.status, "error[P0824]" in refused.err, out.exists()) == (2, True, False)
    ran = run(*command, "--adapted", *QUICK, *written)
    assert ran.status == 0, ran.err
    found = json.loads(hparams.read_text(encoding="utf-8"))
    assert (found["verdict"], found["proxy"]["width"]) == ("maximal-update", 32)
    assert found["cost"]["target"]["parameters"] == 20 * 256 + 256**2 + 2 * 256 + 2560
    module = imported(out.read_text(encoding="utf-8"), tmp_path)
    assert pytest.approx(found["hypers"]["lr"]) == module.LR
    model, _, _ = own_models.build(256)
    rates = sorted({group["lr"] for group in module.make_optimizer(model).param_groups})
    assert rates == pytest.approx([module.LR / 8, module.LR])
    again = run(*command, "--adapted", *QUICK, *written)
    assert again.status == 0  # over its own file


def test_a_model_as_it_is_is_transferred_anyway(run: Run, tmp_path: Path):
    command = ("transfer", BUILD, "--grow", "width", "--anyway", "--trials", "2", *QUICK)
    ran = run(*command, "--hparams", tmp_path / "h.json")
    assert ran.status == 0
    assert "warning: the model is unstable: the best values move with the width" in ran.err
    assert [file.name for file in tmp_path.iterdir()] == ["h.json"]


def refusal(reference: str, *options: object, run: Run) -> str:
    ran = run("sweep", reference, "--grow", "width", *QUICK, *options)
    assert ran.status == 2
    return ran.err


def trained(audit: abcparam.Audit, targets: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Holds a sweep's trial against a loop by hand, on the same batches."""
    found = job(audit)
    config = found.config({})
    batches = found.batches(config, 0)
    wanted = train_alone(found, TrialRun({}, 0))
    called: Any = found.model_of(config, 0)
    model = called.model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(found.steps):
        (tokens, *_), (following,) = next(batches)
        _, loss = model(tokens, targets(tokens, following).contiguous())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert wanted.losses == pytest.approx(losses)


def test_a_model_that_takes_targets_is_given_them_and_its_loss_is_used():
    trained(abcparam.audit(own_models.with_targets, ["width"]), lambda tokens, targets: targets)


def test_labels_that_a_model_shifts_by_itself_are_its_inputs():
    trained(abcparam.audit(own_models.with_labels, ["width"]), lambda tokens, targets: tokens)


def test_a_model_of_several_losses_is_trained_by_all_of_them():
    audit = abcparam.audit(own_models.several_losses, ["width"])
    kinds = [loss.kind for loss in audit.program.losses]
    assert kinds == ["cross_entropy", "binary_cross_entropy"]
    found = job(audit)
    config = found.config({})
    (x, classes, bits), targets = next(iter(found.batches(config, 0)))
    assert (classes.dtype, bits.shape) == (torch.int64, (4, 2)) and sorted(
        set(bits.unique().tolist())
    ) == [0, 1]
    assert [torch.equal(*both) for both in zip(targets, (classes, bits), strict=True)] == [True] * 2
    called: Any = found.model_of(config, 0)
    first, second = called.model(x.float(), classes, bits.float())
    assert train_alone(found, TrialRun({}, 0)).losses[0] == pytest.approx((first + second).item())


def test_a_model_that_gives_the_loss_of_each_example_is_trained_by_their_mean():
    found = job(abcparam.audit(own_models.losses_of_each, ["width"]))
    x, wanted = next(iter(found.batches(found.config({}), 0))).inputs
    called: Any = found.model_of(found.config({}), 0)
    given = called.model.double()(x.double(), wanted.double())
    assert given.shape == (4,)
    first = train_alone(found, TrialRun({}, 0)).losses[0]
    assert first == pytest.approx(given.mean().item(), rel=1e-4)


def test_a_part_of_what_is_given_is_no_target_that_is_known(run: Run):
    """It was given its first column alone, and trained by that."""
    assert "targets are inputs" in refusal(f"{FILE}:loss_of_parts", run=run)


def test_a_model_whose_targets_are_its_inputs_is_given_inputs_alone():
    found = job(abcparam.audit(own_models.autoencoder, ["width"]))
    batch = next(iter(found.batches(found.config({}), 0)))
    assert [tuple(x.shape) for x in batch.inputs] == [(4, 20)]
    assert len(train_alone(found, TrialRun({}, 0)).losses) == found.steps


@pytest.mark.parametrize("name", ["with_targets", "with_labels"])
def test_a_model_that_takes_targets_is_transferred(run: Run, tmp_path: Path, name: str):
    sizes = ("--grow", "width", "--adapted", "--set", "width=64")
    written = ("-o", tmp_path / "mup.py", "--hparams", tmp_path / "h.json")
    ran = run("transfer", f"{FILE}:{name}", *sizes, "--trials", "2", *QUICK, *written)
    assert ran.status == 0, ran.err
    assert json.loads((tmp_path / "h.json").read_text())["verdict"] == "maximal-update"


def test_data_for_a_model_that_takes_targets_are_as_for_any_other(run: Run):
    over = ("--over", "lr=1e-3", "--data", "tests.tuning.own_models:examples")
    ran = run("sweep", f"{FILE}:own_loss", "--grow", "width", *over, *QUICK)
    assert ran.status == 0, ran.err


def test_a_model_that_computes_its_loss_by_itself_needs_data_with_targets(run: Run):
    reference = f"{FILE}:own_formula"
    assert "its output is its loss, so targets are inputs" in refusal(reference, run=run)
    data = ("--data", "tests.tuning.own_models:with_classes")
    ran = run("sweep", reference, "--grow", "width", "--over", "lr=1e-3", *data, *QUICK)
    assert ran.status == 0, ran.err


def test_what_a_model_raises_on_a_batch_is_told_at_its_line(run: Run):
    reference = f"{FILE}:short"
    assert run("sweep", reference, "--grow", "width", "--over", "lr=1e-3", *QUICK).status == 0
    said = refusal(reference, "--data", "tests.tuning.own_models:long_texts", run=run)
    assert "error[P1002]" in said
    assert "on a batch of shape [4, 9]: ValueError: 9 tokens are too many" in said
    assert 'raise ValueError(f"{count} tokens are too many")' in said


def test_a_model_without_a_batch_is_refused():
    audit = abcparam.audit(own_models.alone, ["width"])
    with pytest.raises(SpecError, match="first axis is that of the examples"):
        abcparam.sweep(audit, ["lr=1e-3"], steps=1)


def test_what_goes_with_specs_alone_is_refused(run: Run):
    assert "--parametrization is for specs" in refusal(BUILD, "--parametrization", "sp", run=run)
    assert "--ray is for specs" in refusal(BUILD, "--ray", "local", run=run)
    assert "known: lr, weight_decay, width, steps" in refusal(BUILD, "--over", "eps=1", run=run)
    ran = run("sweep", BUILD, "--adapted")
    assert (ran.status, "say what grows, --grow" in ran.err) == (2, True)


def test_its_rate_and_decay_are_refused_where_no_optimizer_takes_them(
    perceptron: abcparam.Audit,
):
    for over in ("lr=-1e-3,1e-3", "lr=0", "weight_decay=-1,1"):
        with pytest.raises(SpecError, match=r"P0408.* of the optimizer is"):
            abcparam.sweep(perceptron, [over], steps=1, batch=2)
    with pytest.raises(SpecError, match="P0408"):
        abcparam.sweep(perceptron, ["weight_decay=0,1"], set={"lr": -1}, steps=1, batch=2)
