"""Random models: what is said to make a model maximal-update leaves none worse than it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam
from abcparam.program.vocabulary import VERDICTS

PIXELS, CLASSES = 9, 5
FUNCTIONS = (F.relu, F.gelu, torch.tanh, F.silu)


class Step(nn.Module):
    """One of the ways in which models go on from a value and the first one."""

    def __init__(self, width: int, draw: random.Random) -> None:
        super().__init__()
        self.kind = draw.choice(
            ["map", "norm", "mlp", "gate", "pairs", "attention", "both", "gain", "few", "product"]
        )
        self.function = draw.choice(FUNCTIONS)
        between = draw.choice([width, width // 2, 4])
        self.first, self.last = nn.Linear(width, between), nn.Linear(between, width)
        self.maps = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.pairs = nn.Bilinear(width, width, width) if self.kind == "pairs" else None
        self.norm, self.both = nn.LayerNorm(width), nn.Linear(2 * width, width)
        self.gain = nn.Parameter(torch.full((width,), draw.choice([0.0, 0.1, 1.0])))

    def forward(self, x: Tensor, start: Tensor) -> Tensor:
        f, (one, two, three) = self.function, self.maps
        match self.kind:
            case "map":
                return f(one(x))
            case "norm":
                return self.norm(x)
            case "gate":
                return x + two(x * torch.sigmoid(one(x)))
            case "pairs":
                assert self.pairs is not None
                return x + self.pairs(f(x), start)
            case "attention":
                return x + F.scaled_dot_product_attention(one(x), two(x), three(x))
            case "both":
                return self.both(torch.cat([x, start], -1))
            case "gain":
                return x + self.gain * f(x)
            case "few":
                return x + f(x.mean(1, keepdim=True))
            case "product":
                return x * torch.sigmoid(self.last(f(self.first(x))))
        return x + self.last(f(self.first(x)))


class RandomModel(nn.Module):
    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.enter, self.leave = nn.Linear(PIXELS, width), nn.Linear(width, CLASSES)
        self.steps = nn.ModuleList(Step(width, draw) for _ in range(draw.randint(2, 5)))
        self.ending = draw.choice(["norm", "mean", "tied", "distances", ""])
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        start = x = self.enter(x)
        for step in self.steps:
            x = step(x, start)
        if self.ending == "tied":
            return x @ self.enter.weight
        if self.ending == "distances":
            return -((x[..., None, :] - self.leave.weight) ** 2).sum(-1)
        x = x.mean(1) if self.ending == "mean" else x
        return self.leave(self.norm(x) if self.ending == "norm" else x)


def factory(seed: int) -> Callable[..., Any]:
    example = torch.randn(3, 4, PIXELS, generator=torch.Generator().manual_seed(seed))
    return lambda width=32: (RandomModel(width, seed), (example,))


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 200))]
)
def test_no_remedy_is_worse_than_the_model(seed: int) -> None:
    found = abcparam.audit(factory(seed), ["width"])
    before, after = found.verdict, found.remedy.verdict
    assert before is not None and after is not None
    assert VERDICTS.index(after) >= VERDICTS.index(before)
    assert not found.remedy.reaches or after == VERDICTS[-1]


class LinearAttention(nn.Module):
    """`f(q) @ (f(k).T @ v) / width`: the factor is that of a sum over the width."""

    def __init__(self, width: int, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(PIXELS, width), nn.Linear(width, CLASSES)
        self.maps = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.function, self.width = function, width

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.enter(x))
        q, k, v = (f(h) for f in self.maps)
        q, k = self.function(q), self.function(k)
        return self.leave(q @ (k.transpose(1, 2) @ v) / self.width)


@pytest.mark.parametrize("function", [torch.relu, nn.Identity()], ids=["relu", "as it is"])
def test_a_factor_of_a_sum_is_not_made_up_for_by_what_reads_it(
    function: Callable[[Tensor], Tensor],
) -> None:
    example = torch.randn(3, 4, PIXELS)
    found = abcparam.audit(
        lambda width=32: (LinearAttention(width, function), (example,)), ["width"]
    )
    assert (found.verdict, found.remedy.verdict) == ("unstable", "maximal-update")
    (readout,) = (c for c in found.remedy.changes if c.path == "leave.weight")
    assert readout.init == {"width": Fraction(-1, 2)} and not found.remedy.missing
