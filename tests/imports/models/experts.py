"""Experts that are matrices of one parameter, and a router that chooses some of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Rule(NamedTuple):
    """How a router weighs the experts that it chooses."""

    top: int = 2
    sigmoid: bool = False
    normalize: bool = True
    groups: int = 1
    factor: float = 1.0
    balanced: bool = False
    bent: bool = False
    biased: bool = False


class Experts(nn.Module):
    """Each row of tokens by the two matrices of the expert that it is sent to."""

    def __init__(self, count: int, width: int, biased: bool) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(count, 3 * width)) if biased else None
        self.up = nn.Parameter(torch.randn(count, 3 * width, width) * width**-0.5)
        self.down = nn.Parameter(torch.randn(count, 3 * width, width) * width**-0.5)

    def forward(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        up, down = self.up[chosen], self.down[chosen]
        inner = torch.bmm(up, x[..., None])
        if self.bias is not None:
            inner = inner + self.bias[chosen][..., None]
        inner = torch.relu(inner)
        return torch.bmm(inner.transpose(1, 2), down).squeeze(1)


class Mixture(nn.Module):
    """Tokens in the order in which they come, each as often as it is sent."""

    def __init__(self, width: int, experts: int, rule: Rule) -> None:
        super().__init__()
        self.router = nn.Linear(width, experts, bias=False)
        self.experts = Experts(experts, width, rule.biased)
        self.rule = rule
        if rule.balanced:
            self.register_buffer("load", torch.zeros(experts))

    def chosen(self, scores: torch.Tensor) -> torch.Tensor:
        """The best of those of half of the groups."""
        scores = scores + self.load if self.rule.balanced else scores
        if self.rule.groups > 1:
            each = scores.unflatten(-1, (self.rule.groups, -1))
            best = each.amax(-1).topk(self.rule.groups // 2).indices
            kept = torch.zeros_like(each[..., 0]).scatter(1, best, 1.0)[..., None].bool()
            scores = torch.where(kept, each, -1.0).flatten(1)
        return scores.topk(self.rule.top).indices

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens, rule = x.flatten(0, 1), self.rule
        logits = self.router(tokens)
        scores = logits.sigmoid() if rule.sigmoid else logits.softmax(-1)
        chosen = self.chosen(scores)
        weights = scores.gather(1, chosen)
        if rule.normalize:
            weights = weights / weights.sum(-1, keepdim=True)
        weights = rule.factor * (torch.tanh(weights) if rule.bent else weights)
        rows = torch.arange(len(tokens)).repeat_interleave(self.rule.top)
        found = self.experts(tokens[rows], chosen.flatten())
        found = found * weights.reshape(-1, 1)
        return torch.zeros_like(tokens).index_add(0, rows, found).view_as(x)


class Sparse(nn.Module):
    def __init__(self, width: int, rule: Rule) -> None:
        super().__init__()
        self.first = nn.Linear(8, width)
        self.norm = nn.LayerNorm(width)
        self.mixture = Mixture(width, 6, rule)
        self.last = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(x + self.mixture(self.norm(x)))


def best(width: int = 32):
    return Sparse(width, Rule()), (torch.randn(5, 7, 8),)


def of_all(width: int = 32):
    return Sparse(width, Rule(top=1, normalize=False)), (torch.randn(5, 7, 8),)


def bent(width: int = 32):
    return Sparse(width, Rule(bent=True)), (torch.randn(5, 7, 8),)


class Loop(nn.Module):
    """Experts one by one, in one of three ways."""

    def __init__(self, width: int, way: str) -> None:
        super().__init__()
        self.first, self.router = nn.Linear(8, width), nn.Linear(width, 3, bias=False)
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.last = nn.Linear(width, 10)
        self.way = way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        chances = self.router(x).softmax(-1)
        best, chosen = chances.topk(2, -1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            if self.way == "dense":
                out = out + chances[..., i, None] * torch.relu(expert(x))
            elif self.way == "masked":
                weight = (best * (chosen == i)).sum(-1, keepdim=True)
                out = out + weight * torch.relu(expert(x))
            else:
                batch, place, which = torch.where(chosen == i)
                found = torch.relu(expert(x[batch, place])) * best[batch, place, which, None]
                out = out.index_put((batch, place), found, accumulate=True)
        return self.last(x + out)


def dense(width: int = 32):
    return Loop(width, "dense"), (torch.randn(5, 7, 8),)


def masked(width: int = 32):
    return Loop(width, "masked"), (torch.randn(5, 7, 8),)


def picked(width: int = 32):
    return Loop(width, "picked"), (torch.randn(5, 7, 8),)


def balanced(width: int = 32):
    rule = Rule(sigmoid=True, groups=2, factor=2.5, balanced=True, biased=True)
    return Sparse(width, rule), (torch.randn(5, 7, 8),)
