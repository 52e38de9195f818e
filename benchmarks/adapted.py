"""A training step of an adapted model beside the same model as it was."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import abcparam
from benchmarks import handwritten_gpt as handwritten
from benchmarks.measure import Comparison, Options, compare
from benchmarks.steps import SIZES, Step, timed, training_step


def beside_itself(options: Options) -> list[Comparison]:
    """Eager, and under torch.compile."""
    made: dict[str, Any] = {}
    exec(abcparam.adapt(abcparam.audit(build, ["width"], optimizer_of)), made)
    return [versus(options, made, compiled) for compiled in (False, True)]


def build(width: int = 64, depth: int = 2, vocab: int = 32) -> Any:
    """The GPT by hand, its readout tied and not scaled: the forward needs a factor."""
    config = handwritten.Config(width, depth, 16, vocab, 128)
    model = handwritten.GPT(config)
    model.readout.weight = model.token_embedding.weight
    model.readout_scale = 1.0
    return model, (torch.randint(vocab, (2, 8)),)


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    """One group for all."""
    parameters = model.parameters()
    return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)


def versus(options: Options, adapter: dict[str, Any], compiled: bool) -> Comparison:
    pairs = timed(options, lambda: adapted_step(adapter, compiled), lambda: own_step(compiled))
    how = "compiled" if compiled else "eager"
    return compare(f"step, {how}, adapted", ("adapted", "as it was"), pairs, 1.0)


def adapted_step(adapter: dict[str, Any], compiled: bool) -> Step:
    model = large()
    adapter["init_"](model)
    adapter["scale_"](model)
    groups = adapter["param_groups"](model)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
    return training_step(model, optimizer, compiled)


def own_step(compiled: bool) -> Step:
    model = large()
    return training_step(model, optimizer_of(model), compiled)


def large() -> nn.Module:
    torch.manual_seed(0)
    model, _ = build(SIZES["width"], SIZES["depth"], SIZES["vocab"])
    assert isinstance(model, nn.Module)
    return model
