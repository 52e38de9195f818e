"""Softmaxes and norms over an axis that is not the last: their means over the last are no numbers.

Attention pooling weighs tokens by a softmax over these, `softmax(q(h), dim=1)` of shape [batch,
tokens, 1]. What such a model learns is held against PyTorch's gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam

TOKENS, X = 6, torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
Reads = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Tokens, a value for each, by a map `key` of the width, and a readout."""

    def __init__(self, width: int, reads: Reads, keys: int, out: int) -> None:
        super().__init__()
        self.embed, self.key = nn.Linear(5, width), nn.Linear(width, keys)
        self.out = nn.Linear(out, 7)
        self.reads = reads

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.embed(x))
        return self.out(self.reads(self, h))


def pooled(net: Net, h: Tensor) -> Tensor:
    return (torch.softmax(net.key(h), dim=1) * h).sum(1)


def slots(net: Net, h: Tensor) -> Tensor:
    return F.softmax(net.key(h), dim=-2).transpose(1, 2) @ h


def averaged(net: Net, h: Tensor) -> Tensor:
    return (torch.softmax(net.key(h), dim=1).mean(-1, keepdim=True) * h).sum(1)


def alone(net: Net, h: Tensor) -> Tensor:
    return (torch.softmax(net.key(h), dim=-1) * h).sum(1)


def over_both(net: Net, h: Tensor) -> Tensor:
    return F.layer_norm(net.key(h), (TOKENS, h.shape[-1])).mean(-1)


def by_hand(net: Net, h: Tensor) -> Tensor:
    k = net.key(h)
    return ((k - k.mean(1, keepdim=True)) / (k.var(1, keepdim=True) + 1e-6).sqrt()).mean(-1)


def by_squares(net: Net, h: Tensor) -> Tensor:
    k = net.key(h)
    k = k - k.mean((1, 2), keepdim=True)
    return (k * torch.rsqrt(k.square().mean((1, 2), keepdim=True) + 1e-6)).mean(-1)


def learns(reads: Reads, keys: int, out: int) -> tuple[bool, bool]:
    """Whether `key` learns, as `audit` and as PyTorch have it."""

    def make(width: int = 16) -> tuple[Net, tuple[Tensor]]:
        torch.manual_seed(0)
        return Net(width, reads, keys or width, out or width), (X,)

    net, _ = make(64)
    net(X).square().sum().backward()
    assert net.key.weight.grad is not None
    laws = abcparam.audit(make, ["width"]).report.judgement.tensors
    (law,) = (law for law in laws if law.path == "key.weight")
    return law.update.vectors != (), float(net.key.weight.grad.norm()) > 1e-5


@pytest.mark.parametrize(
    ("reads", "keys", "out", "wanted"),
    [
        (pooled, 1, 0, True),
        (slots, 4, 0, True),
        (averaged, 4, 0, True),
        (alone, 1, 0, False),  # of one logit: the number 1
        (over_both, 0, TOKENS, True),
        (by_hand, 0, TOKENS, True),
        (by_squares, 0, TOKENS, True),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_learns(reads: Reads, keys: int, out: int, wanted: bool):
    assert learns(reads, keys, out) == (wanted, wanted)


FILE = """import torch
from torch import nn


class Pool(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embed, self.key = nn.Linear(5, width), nn.Linear(width, {keys})
        self.out = nn.Linear(width, 7)

    def forward(self, x):
        h = torch.relu(self.embed(x))
        weights = torch.softmax(self.key(h), dim=1)
        return self.out({read})


def make(width=16):
    return Pool(width), (torch.randn(4, 6, 5),)
"""


@pytest.mark.parametrize(
    ("keys", "read", "written"),
    [
        (1, "(weights * h).sum(1)", "transpose(softmax(transpose(key @ h + key_bias))) * h"),
        (4, "weights.transpose(1, 2) @ h", "softmax(transpose(key @ h + key_bias))"),
    ],
)
def test_imported(keys: int, read: str, written: str, tmp_path: Path):
    """As the language has it, over the last axis of what is turned; the proof is part of it."""
    (tmp_path / "pool.py").write_text(FILE.format(keys=keys, read=read), encoding="utf-8")
    found = abcparam.import_model(str(tmp_path / "pool.py:make"), ["width"])
    assert written in found.text
