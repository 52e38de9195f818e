"""Models of one's own that are tuned, data for them, and what trains them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """PyTorch's defaults, beside a mask that it is called with."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(20, width)
        self.second = nn.Linear(width, width)
        self.readout = nn.Linear(width, 10, bias=False)

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        h = torch.relu(self.first(x * kept))
        return self.readout(torch.relu(self.second(h)))


def build(width: int = 32) -> Any:
    return Perceptron(width), (torch.randn(6, 20),), {"kept": torch.ones(6, 20, dtype=torch.bool)}


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """The rate of the last group is twice that of the others."""
    *others, last = model.parameters()
    return torch.optim.SGD([{"params": others}, {"params": [last], "lr": 0.02}], lr=0.01)


def scaled(model: Perceptron, width: int) -> torch.optim.Optimizer:
    """A training loop multiplies each rate by `lr_scale`."""
    slow = [model.second.weight]
    fast = [p for p in model.parameters() if p is not model.second.weight]
    groups = [{"params": fast, "lr_scale": 1.0}, {"params": slow, "lr_scale": 32 / width}]
    return torch.optim.Adam(groups, lr=1e-3)


class OwnLoss(Perceptron):
    """It computes its loss itself."""

    def forward(self, x: Tensor, classes: Tensor) -> Any:  # type: ignore[override]
        found = super().forward(x, torch.ones_like(x))
        return found, nn.functional.cross_entropy(found, classes)


def own_loss(width: int = 32) -> Any:
    return OwnLoss(width), (torch.randn(6, 20), torch.randint(10, (6,)))


class OwnFormula(Perceptron):
    """It computes its loss by no function of losses."""

    def forward(self, x: Tensor, classes: Tensor) -> Any:  # type: ignore[override]
        found = super().forward(x, torch.ones_like(x)).log_softmax(-1)
        return -found.gather(-1, classes[:, None]).mean()


def own_formula(width: int = 32) -> Any:
    return OwnFormula(width), (torch.randn(6, 20), torch.randint(10, (6,)))


class SeveralLosses(Perceptron):
    """It gives a loss of classes and one of numbers, each with targets of its own."""

    def forward(self, x: Tensor, classes: Tensor, wanted: Tensor) -> Any:  # type: ignore[override]
        found = super().forward(x, torch.ones_like(x))
        bits = nn.functional.binary_cross_entropy(torch.sigmoid(found[:, 1:3]), wanted)
        return nn.functional.cross_entropy(found, classes), 3 * bits


def several_losses(width: int = 32) -> Any:
    given = torch.randn(6, 20), torch.randint(10, (6,)), torch.ones(6, 2)
    return SeveralLosses(width), given


class LossOfEach(Perceptron):
    """It gives the loss of each example."""

    def forward(self, x: Tensor, wanted: Tensor) -> Tensor:  # type: ignore[override]
        found = super().forward(x, torch.ones_like(x))
        return nn.functional.mse_loss(found, wanted, reduction="none").mean(-1)


def losses_of_each(width: int = 32) -> Any:
    return LossOfEach(width), (torch.randn(6, 20), torch.randn(6, 10))


class LossOfParts(Perceptron):
    """Its targets are columns of what it is given."""

    def forward(self, x: Tensor, wanted: Tensor) -> Tensor:  # type: ignore[override]
        found = super().forward(x, torch.ones_like(x)).chunk(10, 1)
        pairs = zip(found, wanted.chunk(10, 1), strict=False)
        return sum((nn.functional.mse_loss(a, b) for a, b in pairs), start=torch.zeros(()))


def loss_of_parts(width: int = 32) -> Any:
    return LossOfParts(width), (torch.randn(6, 20), torch.randn(6, 10))


class Autoencoder(Perceptron):
    """Its target is what it is given."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        found = super().forward(x, torch.ones_like(x))
        return nn.functional.smooth_l1_loss(found, x[:, :10])


def autoencoder(width: int = 32) -> Any:
    return Autoencoder(width), (torch.randn(6, 20),)


class Language(nn.Module):
    """It gives logits and a loss where it is given targets, as nanoGPT does."""

    def __init__(self, width: int, shifts: bool) -> None:
        super().__init__()
        self.tokens, self.readout = nn.Embedding(30, width), nn.Linear(width, 30)
        self.shifts = shifts

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Any:
        logits = self.readout(self.tokens(tokens))
        if targets is None:
            return logits, None
        wanted = nn.functional.pad(targets, (0, 1), value=-100)[:, 1:] if self.shifts else targets
        return logits, nn.functional.cross_entropy(
            logits.view(-1, 30), wanted.contiguous().view(-1) if self.shifts else wanted.view(-1)
        )


def with_targets(width: int = 32) -> Any:
    tokens, targets = torch.randint(30, (2, 6, 7))
    return Language(width, False), (tokens, targets)


def with_labels(width: int = 32) -> Any:
    tokens = torch.randint(30, (6, 7))
    return Language(width, True), (tokens,), {"targets": tokens}


def examples(config: Any, size: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Classes by the largest of ten numbers; `config` has the sizes and rates of the trial."""
    assert config.width in (32, 64) and config.lr > 0
    draw = torch.Generator().manual_seed(seed)
    while True:
        x = torch.randn(size, 20, generator=draw)
        yield x, x[:, :10].argmax(-1)


def with_classes(config: Any, size: int, seed: int) -> Iterator[tuple[Any, Any]]:
    for x, classes in examples(config, size, seed):
        yield (x, classes), ()


class Short(nn.Module):
    """A language model that takes eight tokens at most."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(30, width), nn.Embedding(8, width)
        self.readout = nn.Linear(width, 30)

    def forward(self, tokens: Tensor) -> Tensor:
        count = tokens.shape[1]
        if count > 8:
            raise ValueError(f"{count} tokens are too many")
        x = self.tokens(tokens) + self.places(torch.arange(count, device=tokens.device))
        return self.readout(x).flatten(0, 1)


def short(width: int = 32) -> Any:
    return Short(width), (torch.randint(30, (5, 7)),)


def long_texts(config: Any, size: int, seed: int) -> Iterator[tuple[Any, Any]]:
    while True:
        yield torch.randint(30, (size, 9)), torch.randint(30, (size, 9))


def alone(width: int = 32) -> Any:
    """One example, which stands for itself."""
    return Perceptron(width), (torch.randn(20), torch.ones(20))
