"""Perceptrons."""

from __future__ import annotations

import torch
import torch.nn as nn


class Scaled(nn.Module):
    """Initial scales of the maximal update parametrization, by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(20, width)
        self.inner = nn.Linear(width, width)
        self.out = nn.Linear(width, 10)
        for layer, std in ((self.up, 0.2), (self.inner, width**-0.5), (self.out, 8 / width)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.inner(torch.relu(self.up(x)))))


def scaled(width: int = 64):
    return Scaled(width), (torch.randn(5, 20),)


def groups(model: Scaled, width: int) -> torch.optim.Optimizer:
    """Adam's learning rates of the same."""
    slow = [model.inner.weight, model.out.weight]
    fast = [model.up.weight, model.up.bias, model.inner.bias, model.out.bias]
    return torch.optim.Adam([{"params": fast}, {"params": slow, "lr": 1e-3 * 64 / width}], lr=1e-3)


class Wide(nn.Module):
    """A residual stream of one width, an inner one of another."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.embed = nn.Linear(20, width)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.out = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        x = x + self.down(torch.relu(self.up(x)))
        return self.out(x)


def wide(width: int = 64, inner: int = 96):
    return Wide(width, inner), (torch.randn(5, 20),)


class Tied(nn.Module):
    """A tied readout behind a norm without a gain: nothing can take over its factor."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(50, width)
        self.up = nn.Linear(width, width)
        self.head = nn.Linear(width, 50, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        x = x + torch.relu(self.up(x))
        return self.head(nn.functional.layer_norm(x, x.shape[-1:]))


def tied(width: int = 64):
    return Tied(width), (torch.randint(50, (5, 7)),)


class Agent(nn.Module):
    """An actor, its spread, and a critic: three outputs that are trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(20, width), nn.Tanh(), nn.Linear(width, 6))
        self.critic = nn.Sequential(nn.Linear(20, width), nn.Tanh(), nn.Linear(width, 1))
        self.spread = nn.Parameter(torch.zeros(1, 6))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean = self.actor(x)
        return mean, self.spread.expand_as(mean), self.critic(x)


def agent(width: int = 64):
    return Agent(width), (torch.randn(5, 20),)
