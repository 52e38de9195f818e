"""Gradients that are stopped, and the larger or smaller of two values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam
from tests.imports.trial import gradients_apart, tried


def body(fan_in: int, width: int, fan_out: int) -> nn.Sequential:
    fans = ((fan_in, width), (width, 2 * width), (2 * width, fan_out))
    first, second, readout = (nn.Linear(*f, bias=False) for f in fans)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), readout)


class Critic(nn.Module):
    """Deep Q-learning; targets are detached, or made without gradients, by it or by another."""

    def __init__(self, width: int, how: str) -> None:
        super().__init__()
        self.q, self.how = body(8, width, 4), how
        self.target = body(8, width, 4) if how == "another" else self.q

    def wanted(self, reward: Tensor, state: Tensor) -> Tensor:
        if self.how == "detached":
            return reward + 0.9 * self.q(state).max(1)[0].detach()
        with torch.no_grad():
            return reward + 0.9 * self.target(state).max(1).values

    def forward(self, state: Tensor, action: Tensor, reward: Tensor, then: Tensor) -> Tensor:
        values = self.q(state).gather(1, action)[:, 0]
        return F.smooth_l1_loss(values, self.wanted(reward, then))


def critic(how: str) -> Callable[..., Any]:
    def make(width: int = 64) -> Any:
        action = torch.randint(4, (128, 1))
        inputs = (torch.randn(128, 8), action, torch.randn(128), torch.randn(128, 8))
        return Critic(width, how), inputs

    return make


class SimSiam(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.predictor = body(8, width, width), body(width, width // 4, width)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        x, y = self.encoder(a), self.encoder(b)
        p, q = self.predictor(x), self.predictor(y)
        found = F.cosine_similarity(p, y.detach(), dim=-1), F.cosine_similarity(q, x.detach())
        return -(found[0].mean() + found[1].mean()) / 2


def simsiam(width: int = 64) -> Any:
    return SimSiam(width), (torch.randn(64, 8), torch.randn(64, 8))


class Quantized(nn.Module):
    """VQ-VAE: the nearest entry of a table, with the gradient of what it stands for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = body(8, width, 4), body(4, width, 8)
        self.codes = nn.Embedding(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.encoder(x)
        q = self.codes(torch.cdist(z, self.codes.weight).argmin(1))
        found = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(z, q.detach())
        return F.mse_loss(self.decoder(z + (q - z).detach()), x) + found


def quantized(width: int = 64) -> Any:
    return Quantized(width), (torch.randn(64, 8),)


class Clipped(nn.Module):
    """PPO, its ratio and its values clipped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = body(8, width, width)
        self.policy, self.value = nn.Linear(width, 4), nn.Linear(width, 1)

    def forward(self, x: Tensor, action: Tensor, then: Tensor, gain: Tensor, y: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        chances = F.log_softmax(self.policy(h), -1).gather(1, action)[:, 0]
        ratio = (chances - then[0]).exp()
        policy = -torch.min(ratio * gain, ratio.clamp(0.8, 1.2) * gain).mean()
        value = self.value(h)[:, 0]
        near = then[1] + (value - then[1]).clamp(-0.2, 0.2)
        return policy + 0.5 * torch.max((value - y) ** 2, (near - y) ** 2).mean()


def clipped(width: int = 64) -> Any:
    then = torch.tensor([[-1.4], [0.0]]) + torch.randn(2, 256) / 5  # log(1/4), of four actions
    inputs = (torch.randn(256, 8), torch.randint(4, (256, 1)), then)
    return Clipped(width), (*inputs, torch.randn(256), torch.randn(256))


class Twins(nn.Module):
    """The smaller of two critics, of actions that another network takes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b, self.actor = body(10, width, 1), body(10, width, 1), body(8, width, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        taken = torch.cat([x, torch.tanh(self.actor(x))], -1)
        return F.mse_loss(torch.minimum(self.a(taken), self.b(taken))[:, 0], y)


def twins(width: int = 64) -> Any:
    return Twins(width), (torch.randn(256, 8), torch.randn(256))


def of_outputs(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.net = body(8, width, 3)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return loss(self.net(x), y)

    def make(width: int = 64) -> Any:
        return Net(width), (torch.randn(128, 8), torch.randn(128, 3))

    return make


LEVELS = torch.tensor([0.1, 0.5, 0.9])
MODELS: dict[str, Callable[..., Any]] = {
    "a detached target": critic("detached"),
    "a target without gradients": critic("by itself"),
    "another network's target": critic("another"),
    "stop-gradient": simsiam,
    "straight through": quantized,
    "clipped": clipped,
    "the smaller critic": twins,
    "quantiles": of_outputs(
        lambda x, y: torch.max(LEVELS * (y - x), (LEVELS - 1) * (y - x)).mean()
    ),
    "one of two": of_outputs(lambda x, y: F.mse_loss(torch.where(y > 0, x, x.square()), y)),
}


@pytest.mark.parametrize("what", MODELS)
def test_sizes_and_gradients_are_those_measured(what: str) -> None:
    trial = tried(MODELS[what], {"width": (32, 512)})
    assert trial.apart == () and gradients_apart(trial) == {}
    assert trial.verdict == "unstable" and trial.remedy.reaches


@pytest.mark.slow
@pytest.mark.parametrize("what", ["a detached target", "stop-gradient", "clipped"])
def test_adapted_models_have_the_laws_that_are_derived(what: str) -> None:
    audit = abcparam.audit(MODELS[what], ["width"])
    found = abcparam.coord_check(audit, widths=(64, 128, 256, 512), adapted=True, seeds=3)
    outcomes = [row.outcome for row in found.verdict.rows]
    assert "disagrees" not in outcomes and outcomes.count("agrees") >= 13


def test_what_no_gradient_reaches_is_frozen() -> None:
    found = abcparam.audit(critic("another"), ["width"])
    frozen = {path for path, tensor in found.program.tensors.items() if tensor.frozen}
    assert frozen == {f"target.{i}.weight" for i in (0, 2, 4)}
    assert all(not c.path.startswith("target") for c in found.remedy.changes if any(c.key))


class Probe(nn.Module):
    """A model, and a head that only learns to read it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body, self.head = body(8, width, width), nn.Linear(width, 3, bias=False)
        self.probe = nn.Linear(width, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        return self.head(h) + self.probe(h.detach())


def probe(width: int = 64) -> Any:
    return Probe(width), (torch.randn(16, 8),)


def test_it_is_written_as_a_spec() -> None:
    found = abcparam.import_model(probe, ["width"])
    assert "probe @ rescale(h, backward = 0)" in found.text
