"""The network of examples/gpt.param as one would write it by hand: µP for AdamW in plain PyTorch.

It has the interface of an emitted module, so that it can stand in for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BASE_WIDTH = 256

__all__ = ["GPT", "Config", "make_optimizer", "param_groups"]


@dataclass(frozen=True)
class Config:
    width: int = BASE_WIDTH
    depth: int = 12
    head: int = 64
    vocab: int = 50304
    context: int = 1024
    lr: float = 3e-3
    init_std: float = 0.02
    out_mult: float = 1.0

    def __post_init__(self) -> None:
        if self.width % self.head:
            raise ValueError(f"width must be a multiple of head = {self.head}, not {self.width}")

    @property
    def heads(self) -> int:
        return self.width // self.head

    @property
    def ratio(self) -> float:
        return self.width / BASE_WIDTH


class Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.scale = 1 / config.head
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.project = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            f(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for f in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        return self.project(y.transpose(-3, -2).flatten(-2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, 4 * config.width, bias=False)
        self.down = nn.Linear(4 * config.width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = (config.width,)
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(F.layer_norm(x, self.norm))
        x = x + self.feed_forward(F.layer_norm(x, self.norm))
        return x


class GPT(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab, config.width)
        self.position_embedding = nn.Parameter(torch.empty(config.context, config.width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.readout = nn.Linear(config.width, config.vocab, bias=False)
        self.readout_scale = config.out_mult / config.ratio
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.token_embedding.weight, std=self.config.init_std)
        nn.init.normal_(self.position_embedding, std=self.config.init_std)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                # 1 / sqrt(fan_in) at the base width, times ratio ** -1/2
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        nn.init.zeros_(self.readout.weight)

    def features(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.token_embedding(tokens) + self.position_embedding[: tokens.shape[-1]]
        for layer in self.layers:
            x = layer(x)
        return F.layer_norm(x, (x.shape[-1],))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.readout(self.features(tokens)) * self.readout_scale  # type: ignore[no-any-return]


def param_groups(model: GPT) -> list[dict[str, object]]:
    """Hidden matrices learn at a rate in inverse proportion to the width, the rest at `lr`."""
    hidden = list(model.layers.parameters())
    others = [model.token_embedding.weight, model.position_embedding, model.readout.weight]
    lr = model.config.lr
    return [{"params": hidden, "lr": lr / model.config.ratio}, {"params": others, "lr": lr}]


def make_optimizer(model: GPT) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        param_groups(model), betas=(0.9, 0.95), eps=1e-12, weight_decay=0.1, fused=True
    )
