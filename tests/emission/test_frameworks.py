"""Emitted modules in the hands of what people train with: FSDP2 and distributed checkpoints,
compiled steps, weight averages, Hugging Face's Trainer and Lightning.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import swa_utils
from torch.optim.lr_scheduler import LambdaLR

import abcparam
from abcparam import schedules
from tests.emission.test_groups import SPEC, take_step, trained
from tests.emission.test_groups import module as module
from tests.support.paths import SUPPORT

X, LABELS = torch.linspace(-1, 1, 96).reshape(8, 12), torch.arange(8) % 5
RATES = (1e-2, 1e-2 / 4)


def test_two_processes(tmp_path: Path):
    """FSDP2 over gloo, with clipping and without, and torch.distributed.checkpoint."""
    script = SUPPORT / "two_processes.py"
    (tmp_path / "mlp.py").write_text(abcparam.compile(SPEC), encoding="utf-8")
    clipped = SPEC.replace("adam { lr = lr, eps = 1e-12", "sgd { lr = lr, clip_norm = 0.01")
    (tmp_path / "clipped.py").write_text(abcparam.compile(clipped), encoding="utf-8")
    commands = [[sys.executable, str(script), str(tmp_path), str(rank)] for rank in (0, 1)]
    runs = [
        subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for c in commands
    ]
    for run in runs:
        out, error = run.communicate(timeout=120)
        assert out == "two processes agree\n", error


def test_compiled_model_and_step(module: ModuleType):
    """A compiled training step is the step, and needs no new graph when the rate changes."""
    plain, other = trained(module), trained(module)
    compiled = torch.compile(other[0], backend="eager", fullgraph=True)
    optimizer = module.make_optimizer(compiled)
    optimizer.load_state_dict(copy.deepcopy(plain[1].state_dict()))
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    step = torch.compile(optimizer.step, backend="eager")
    schedule = LambdaLR(optimizer, schedules.cosine(9, 0.1))
    steady = LambdaLR(plain[1], schedules.cosine(9, 0.1))
    for _ in range(6):
        for model in (compiled, plain[0]):
            model.zero_grad()
            nn.functional.cross_entropy(model(X), LABELS).backward()
        step()
        plain[1].step()
        schedule.step()
        steady.step()
        module.check_param_groups(optimizer)
    for one, wanted in zip(other[0].parameters(), plain[0].parameters(), strict=True):
        torch.testing.assert_close(one, wanted)


@pytest.mark.parametrize("average", [swa_utils.get_ema_multi_avg_fn(0.9), None])
def test_weight_averages(average: Any, module: ModuleType):
    """EMA and SWA: the copy computes what a model with averaged weights does; groups are those of
    the model.
    """
    model, optimizer = trained(module)
    averaged = swa_utils.AveragedModel(model, multi_avg_fn=average)
    for _ in range(3):
        take_step(model, optimizer)
        averaged.update_parameters(model)
    other, _ = trained(module)
    other.load_state_dict(averaged.module.state_dict())
    assert torch.equal(averaged(X), other(X)) and not torch.equal(averaged(X), model(X))
    groups = module.param_groups(averaged)
    assert [len(group["params"]) for group in groups] == [2, 1]
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in averaged.parameters()}


def test_swa_lr_is_caught(module: ModuleType):
    """SWALR anneals all groups to one rate; a list keeps the ratios."""
    for rate, kept in ([r / 2 for r in RATES], True), (5e-3, False):
        _, optimizer = trained(module)
        schedule = swa_utils.SWALR(optimizer, swa_lr=rate, anneal_epochs=4)
        for _ in range(5):
            optimizer.step()
            schedule.step()
        if kept:
            module.check_param_groups(optimizer)
        else:
            with pytest.raises(ValueError):
                module.check_param_groups(optimizer)


def test_to_empty_and_safetensors(module: ModuleType, tmp_path: Path):
    """A model that was loaded onto nothing goes on as the one that was saved."""
    safetensors = pytest.importorskip("safetensors.torch")
    model, optimizer = trained(module)
    safetensors.save_model(model, tmp_path / "mlp.safetensors")
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    with torch.device("meta"):
        late = module.MLP(module.Config(width=64))
    late.to_empty(device="cpu")
    safetensors.load_model(late, tmp_path / "mlp.safetensors")
    resumed = module.make_optimizer(late)
    resumed.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    module.check_param_groups(resumed)
    for _ in range(3):
        assert torch.equal(take_step(late, resumed), take_step(model, optimizer))


# Frameworks


def batches() -> Iterator[dict[str, Tensor]]:
    return ({"x": x, "labels": label} for x, label in zip(X, LABELS, strict=True))


def test_hugging_face_trainer(module: ModuleType, tmp_path: Path):
    transformers: Any = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class WithLoss(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"loss": nn.functional.cross_entropy(self.model(x), labels)}

    class Checked(transformers.TrainerCallback):  # type: ignore[misc]
        seen = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            Checked.seen += 1
            module.check_param_groups(known["optimizer"])

    def trainer(steps: int) -> Any:
        torch.manual_seed(0)
        model = WithLoss(module.MLP(module.Config(width=64)))
        optimizer = module.make_optimizer(model)
        schedule = LambdaLR(optimizer, schedules.cosine(6, 0.1, 2))
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), max_steps=steps, save_steps=3, report_to=[], use_cpu=True,
            per_device_train_batch_size=4, disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        return transformers.Trainer(
            model, arguments, train_dataset=list(batches()),
            optimizers=(optimizer, schedule), callbacks=[Checked],
        )  # fmt: skip

    first = trainer(6)
    first.train()
    resumed = trainer(6)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert Checked.seen == 9
    module.check_param_groups(resumed.optimizer)
    for one, other in zip(first.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_lightning(module: ModuleType, tmp_path: Path):
    lightning: Any = pytest.importorskip("lightning")

    class Lit(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = module.MLP(module.Config(width=64))

        def training_step(self, batch: Any, index: int) -> Tensor:
            module.check_param_groups(self.optimizers())
            return nn.functional.cross_entropy(self.model(batch["x"]), batch["labels"])

        def configure_optimizers(self) -> Any:
            optimizer = module.make_optimizer(self)
            schedule = LambdaLR(optimizer, schedules.cosine(6, 0.1, 2))
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def fit(epochs: int, **resume: Any) -> tuple[Any, Any]:
        torch.manual_seed(0)
        lit = Lit()
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False, default_root_dir=tmp_path,
        )  # fmt: skip
        data: Any = torch.utils.data.DataLoader(list(batches()), batch_size=4)
        trainer.fit(lit, data, **resume)
        return lit, trainer

    whole, _ = fit(3)
    _, half = fit(2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed, trainer = fit(3, ckpt_path=tmp_path / "half.ckpt")
    module.check_param_groups(trainer.optimizers[0])
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)
