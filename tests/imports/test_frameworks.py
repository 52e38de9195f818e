"""An adapted model under Hugging Face's Trainer, and under Lightning: three lines each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import abcparam
from tests.imports.models import nanogpt


def adapter_of(found: abcparam.Audit) -> dict[str, Any]:
    made: dict[str, Any] = {}
    exec(abcparam.adapt(found), made)
    return made


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return sorted({round(group["lr"], 9) for group in optimizer.param_groups})


def test_trainer(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_embd=256, n_head=16, n_layer=2, vocab_size=65, n_positions=32
    )
    model = transformers.GPT2LMHeadModel(config)
    adapter = adapter_of(abcparam.audit("GPT2Config", {"width": (128, 256)}))

    adapter["init_"](model)
    optimizer = adapter["make_optimizer"](model)
    arguments = transformers.TrainingArguments(
        tmp_path, max_steps=3, per_device_train_batch_size=2, report_to=[], use_cpu=True
    )
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(65, (8, 16))]
    trainer = transformers.Trainer(
        model, arguments, train_dataset=rows, optimizers=(optimizer, None)
    )
    trainer.train()
    adapter["check_param_groups"](optimizer)


def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    adapter = adapter_of(abcparam.audit(nanogpt.make, ["width"]))

    class Module(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = nanogpt.make(width=256)[0]
            adapter["init_"](self.model)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            made: torch.optim.Optimizer = adapter["make_optimizer"](self.model)
            return made

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            (tokens,) = batch
            return F.cross_entropy(self.model(tokens).flatten(0, 1), tokens.flatten())

    module = Module()
    data = DataLoader(TensorDataset(torch.randint(65, (8, 16))), batch_size=2)
    trainer = lightning.Trainer(
        max_steps=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, data)
    (optimizer,) = trainer.optimizers
    adapter["check_param_groups"](optimizer)
    assert rates(optimizer) == pytest.approx([2.5e-4, 1e-3])
