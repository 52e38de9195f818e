"""The network of examples/gpt.param under microsoft/mup, which need not be installed:

    pip install --no-deps mup pyyaml

(without --no-deps it would replace torch)
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from mup import MuAdamW, MuReadout, set_base_shapes
from mup.init import normal_
from torch import Tensor, nn

from benchmarks import handwritten_gpt as handwritten
from benchmarks.handwritten_gpt import BASE_WIDTH, Config


class GPT(handwritten.GPT):
    """The hand-written network with mup's readout."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.readout = MuReadout(
            config.width,
            config.vocab,
            bias=False,
            readout_zero_init=True,
            output_mult=config.out_mult,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.readout(self.features(tokens))  # type: ignore[no-any-return]


def make_model(config: Config) -> GPT:
    """The network with mup's base shapes and initial values."""
    model = GPT(config)
    base = GPT(replace(config, width=BASE_WIDTH))
    delta = GPT(replace(config, width=BASE_WIDTH + config.head))
    set_base_shapes(model, base, delta=delta)
    normal_(model.token_embedding.weight, std=config.init_std)
    normal_(model.position_embedding, std=config.init_std)
    for module in model.layers.modules():
        if isinstance(module, nn.Linear):
            normal_(module.weight, std=module.in_features**-0.5)
    return model


def make_optimizer(model: GPT, fused: bool | None = None) -> torch.optim.Optimizer:
    optimizer = MuAdamW(
        model.parameters(),
        lr=model.config.lr,
        betas=(0.9, 0.95),
        eps=1e-12,
        weight_decay=0.1,
        fused=fused,
    )
    return cast(torch.optim.Optimizer, optimizer)
