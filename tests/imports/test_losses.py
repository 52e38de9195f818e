"""Losses that models return: what each is of, and the law of its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam
from tests.imports.trial import gradients_apart, refused, tried

Loss = Callable[[Tensor, Tensor], Any]
TARGETS: dict[str, Callable[[], Tensor]] = {
    "real": lambda: torch.randn(16, 5),
    "bits": lambda: torch.randint(2, (16, 5)) * torch.ones(()),
    "classes": lambda: torch.randint(5, (16,)),
    "chances": lambda: torch.softmax(3 * torch.randn(16, 5), -1),
}


class Net(nn.Module):
    """A perceptron that gives its loss."""

    def __init__(self, width: int, loss: Loss) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(32, width), nn.Linear(width, width), nn.Linear(width, 5)
        self.loss = loss

    def forward(self, x: Tensor, y: Tensor) -> Any:
        h = torch.relu(self.b(torch.relu(self.a(x))))
        return self.loss(self.c(h), y)


def net(loss: Loss, targets: str) -> Callable[..., Any]:
    def make(width: int = 64) -> Any:
        return Net(width, loss), (torch.randn(16, 32), TARGETS[targets]())

    return make


ONES = torch.ones(5)
LOSSES: dict[str, tuple[str, Loss, tuple[str, ...]]] = {
    "mse, a sum": ("real", lambda p, y: F.mse_loss(p, y, reduction="sum"), ("mse",)),
    "mse, one by one": ("real", lambda p, y: F.mse_loss(p, y, reduction="none").mean(), ("mse",)),
    "mse, by hand": ("real", lambda p, y: ((p - y) ** 2).mean(), ("value",)),
    "l1": ("real", F.l1_loss, ("huber",)),
    "smooth l1": ("real", lambda p, y: F.smooth_l1_loss(p, y, beta=0.5), ("huber",)),
    "huber": ("real", lambda p, y: F.huber_loss(p, y, delta=2.0), ("huber",)),
    "masked": (
        "real",
        lambda p, y: (F.l1_loss(p, y, reduction="none") * (y > 0)).sum() / 40,
        ("huber",),
    ),
    "classes": (
        "classes",
        lambda p, y: F.cross_entropy(p, y, ONES, ignore_index=2, label_smoothing=0.1),
        ("cross_entropy",),
    ),
    "nll": ("classes", lambda p, y: F.nll_loss(F.log_softmax(p, -1), y), ("cross_entropy",)),
    "a gather": (
        "classes",
        lambda p, y: -F.log_softmax(p, -1).gather(1, y[:, None]).mean(),
        ("value",),
    ),
    "bits": (
        "bits",
        lambda p, y: F.binary_cross_entropy_with_logits(p, y, pos_weight=2 * ONES),
        ("binary_cross_entropy",),
    ),
    "bits of a sigmoid": (
        "bits",
        lambda p, y: F.binary_cross_entropy(torch.sigmoid(p), y),
        ("binary_cross_entropy",),
    ),
    "kl_div": (
        "chances",
        lambda p, y: F.kl_div(F.log_softmax(p, -1), y, reduction="batchmean"),
        ("value",),
    ),
    "kl_div of logarithms": (
        "chances",
        lambda p, y: F.kl_div(F.log_softmax(p, -1), y.log(), reduction="sum", log_target=True),
        ("value",),
    ),
    "kl_div the other way": (
        "chances",
        lambda p, y: F.kl_div(y.log(), p.softmax(-1), reduction="sum"),
        ("value",),
    ),
    "counts": ("real", lambda p, y: F.poisson_nll_loss(p, y.abs()), ("value",)),
    "margins": ("real", lambda p, y: F.soft_margin_loss(p, y.sign()), ("value",)),
    "focal": (
        "bits",
        lambda p, y: _focal(F.binary_cross_entropy_with_logits(p, y, reduction="none")),
        ("value",),
    ),
    "a sum": (
        "real",
        lambda p, y: F.mse_loss(p, y) + 0.1 * F.l1_loss(p, y),
        ("mse", "huber"),
    ),
    "with logits that stay small": (
        "classes",
        lambda p, y: F.cross_entropy(p, y) + 1e-4 * p.logsumexp(-1).square().mean(),
        ("cross_entropy", "value"),
    ),
    "stacked": (
        "real",
        lambda p, y: torch.stack([F.mse_loss(p, y), -F.l1_loss(p, y) / 2]).sum(),
        ("mse", "huber"),
    ),
    "triplets": ("real", lambda p, y: F.triplet_margin_loss(p, y, y.roll(1, 0)), ("value",)),
    "triplets, swapped": (
        "real",
        lambda p, y: F.triplet_margin_loss(p, y, p.roll(1, 0) + y, swap=True),
        ("value",),
    ),
    "ranks": ("real", lambda p, y: F.margin_ranking_loss(p, y, y.sign(), margin=0.5), ("value",)),
    "cosines": (
        "real",
        lambda p, y: F.cosine_embedding_loss(p + y.roll(1, 0), y, y[:, 0].sign()),
        ("value",),
    ),
    "hinges": ("real", lambda p, y: F.hinge_embedding_loss(p, y.sign()), ("value",)),
    "margins of classes": ("classes", F.multi_margin_loss, ("value",)),
    "a Gaussian": (
        "real",
        lambda p, y: F.gaussian_nll_loss(p, y, F.softplus(p) + 0.1, reduction="sum"),
        ("value",),
    ),
    "the root of a mean square": (
        "real",
        lambda p, y: torch.sqrt(F.mse_loss(p, y) + 1e-6),
        ("value",),
    ),
    "the same by hand": ("real", lambda p, y: ((p - y) ** 2).mean().sqrt(), ("value",)),
    "distances": ("real", lambda p, y: F.pairwise_distance(p, y).square().mean(), ("value",)),
    "all distances": ("real", lambda p, y: torch.cdist(p, y)[:, 0].mean(), ("value",)),
    "log cosh": ("real", lambda p, y: torch.log(torch.cosh(p - y)).mean(), ("value",)),
    "preferences": ("real", lambda p, y: -F.logsigmoid((p * y).sum(-1)).mean(), ("value",)),
    "overlap": (
        "bits",
        lambda p, y: 1 - 2 * ((p.sigmoid() * y).sum() + 1) / (p.sigmoid().sum() + y.sum() + 2),
        ("value",),
    ),
    "nothing of it": ("real", lambda p, y: F.mse_loss(p, y) + 0.0 * F.l1_loss(p, y), ("mse",)),
}


def _logged(loss: Tensor) -> Tensor:
    with torch.no_grad():
        return loss.exp()


def _focal(losses: Tensor) -> Tensor:
    return ((1 - torch.exp(-losses)) ** 2 * losses).mean()


@pytest.mark.parametrize("what", LOSSES)
def test_a_loss_is_read_and_its_gradients_are_those_measured(what: str) -> None:
    targets, loss, kinds = LOSSES[what]
    trial = tried(net(loss, targets), {"width": (32, 256)})
    assert tuple(loss.kind for loss in trial.program().losses) == kinds
    assert trial.apart == () and gradients_apart(trial) == {}
    assert trial.verdict == "unstable" and trial.remedy.reaches


class Autoencoder(nn.Module):
    """A variational one; its divergence is written by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.mean = nn.Linear(32, width), nn.Linear(width, 4)
        self.log_variance = nn.Linear(width, 4)
        self.decoder, self.out = nn.Linear(4, width), nn.Linear(width, 32)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.encoder(x))
        mu, logvar = self.mean(h), self.log_variance(h)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        found = self.out(torch.relu(self.decoder(z)))
        divergence = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
        return F.mse_loss(found, x, reduction="sum") / len(x) + divergence


def autoencoder(width: int = 64) -> Any:
    return Autoencoder(width), (torch.randn(16, 32),)


def test_an_autoencoder_is_trained_by_both_of_its_losses() -> None:
    found = abcparam.audit(autoencoder, ["width"])
    assert [loss.kind for loss in found.program.losses] == ["mse", "value"]
    assert found.program.outputs == ("output mse", "output value")
    changed = {change.path for change in found.remedy.changes if any(change.key)}
    assert found.remedy.reaches
    assert changed == {"mean.weight", "log_variance.weight", "out.weight"}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["a sum", "bits of a sigmoid", "kl_div", "huber"])
def test_adapted_models_have_the_laws_that_are_derived(what: str) -> None:
    targets, loss, _ = LOSSES[what]
    audit = abcparam.audit(net(loss, targets), ["width"])
    found = abcparam.coord_check(audit, widths=(64, 128, 256, 512), adapted=True, seeds=3)
    outcomes = [row.outcome for row in found.verdict.rows]
    assert "disagrees" not in outcomes and outcomes.count("agrees") >= 13


def test_a_mean_over_what_grows_is_no_loss_of_a_kind() -> None:
    """Its gradient falls with the width, which a kind of loss does not say."""

    class Regularized(Net):
        def forward(self, x: Tensor, y: Tensor) -> Any:
            h = torch.relu(self.b(torch.relu(self.a(x))))
            return F.cross_entropy(self.c(h), y) + F.mse_loss(h, torch.zeros_like(h))

    def make(width: int = 64) -> Any:
        return Regularized(width, F.mse_loss), (torch.randn(16, 32), torch.randint(5, (16,)))

    trial = tried(make, {"width": (32, 256)})
    assert {loss.kind for loss in trial.program().losses} == {"cross_entropy", "value"}
    assert trial.apart == () and gradients_apart(trial) == {}


def test_a_penalty_of_weights_is_refused_at_its_line() -> None:
    class Decayed(Net):
        def forward(self, x: Tensor, y: Tensor) -> Any:
            penalty = sum(p.square().sum() for p in self.parameters())
            return super().forward(x, y) + 1e-4 * penalty  # here

    def make(width: int) -> Any:
        return Decayed(width, F.mse_loss), (torch.randn(16, 32), torch.randn(16, 5))

    found = refused(make)
    assert found.code == "P1005" and "a penalty of weights in a loss" in found.message


PARTS: dict[str, tuple[Callable[[Tensor, Tensor], Any], list[str], tuple[str, ...]]] = {
    "beside each other": (lambda a, b: (a, b), ["cross_entropy", "huber"], ("0", "1")),
    "the total first": (lambda a, b: (a + b, a, b), ["cross_entropy", "huber"], ("0",)),
    "the total last": (
        lambda a, b: {"class": a, "all": a + 2 * b},
        ["cross_entropy", "huber"],
        ("all",),
    ),
    "detached": (lambda a, b: (a, b.detach()), ["cross_entropy"], ("0",)),
    "made of what is detached": (lambda a, b: (a, b.detach().exp()), ["cross_entropy"], ("0",)),
    "without gradients": (lambda a, b: (a, _logged(a + b)), ["cross_entropy"], ("0",)),
}


@pytest.mark.parametrize("what", PARTS)
def test_parts_of_a_loss_do_not_count_beside_it(what: str) -> None:
    made, kinds, counted = PARTS[what]

    def losses(p: Tensor, y: Tensor) -> Any:
        return made(F.cross_entropy(p, y), F.l1_loss(p, torch.zeros_like(p)))

    found = abcparam.audit(net(losses, "classes"), ["width"])
    assert [loss.kind for loss in found.program.losses] == kinds
    assert found.read.counted == counted


def test_a_number_that_no_input_counts_in_is_no_loss() -> None:
    class Scaled(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(32, width), nn.Linear(width, 5)
            self.temperature = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.b(torch.relu(self.a(x))), self.temperature.exp()

    def make(width: int = 64) -> Any:
        return Scaled(width), (torch.randn(16, 32),)

    assert abcparam.audit(make, ["width"]).program.outputs == ("output 0", "output 1")
