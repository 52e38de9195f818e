"""Every optimizer: µP as published for it, solved for from nothing, and the emitted classes held to
their papers' formulas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import abcparam
from abcparam.optimizers import optimizers
from tests.emitted import load

MODEL = """model M
dim width -> inf, base = 64
dim features = 8
dim classes = 4
hyper lr = 0.01
{parametrization}
tensor U : input [width, features]
tensor A : hidden [width, width]
tensor V : output [classes, width]
forward(x : [features]) {{
    h = U @ x
    k = A @ tanh(h)
    return V @ tanh(k)
}}
optimizer {optimizer} {{ {settings} }}
loss cross_entropy
"""
GRADIENTS = [torch.tensor([[0.5, -2.0], [0.0, 1.0]]), torch.tensor([[-1.0, -1.0], [3.0, 0.5]])]
START = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])


def model(optimizer: str, parametrization: str = "parametrization mup", settings: str = "lr = lr"):
    return MODEL.format(optimizer=optimizer, parametrization=parametrization, settings=settings)


@pytest.mark.parametrize("name", optimizers())
def test_mup_suits_it(name: str):
    report = abcparam.check(model(name))
    assert report.verdict == "maximal-update"
    assert {str(law.update) for law in report.judgement.tensors} == {"1"}


@pytest.mark.parametrize("name", optimizers())
def test_solve_finds_mup(name: str):
    """From no exponents: what is shipped, which the published tables say."""
    solved = abcparam.solve(model(name, ""))
    assert abcparam.diff(solved, model(name)).same == "exactly"


def stepped(name: str, settings: str, folder: Path) -> Tensor:
    """The weights after two steps of the emitted optimizer with given gradients."""
    module: Any = load(abcparam.compile(model(name, settings=settings)), folder)
    parameter = torch.nn.Parameter(START.clone())
    made = module.make_optimizer(module.M(module.Config()))
    settings_of = {key: made.param_groups[0][key] for key in made.defaults}
    optimizer = type(made)([parameter], **{**settings_of, "lr": 0.1})
    for gradient in GRADIENTS:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_lion(tmp_path: Path):
    """Algorithm 2 of arXiv 2302.06675."""
    w, m = START.clone(), torch.zeros(2, 2)
    for g in GRADIENTS:
        w = w - 0.1 * ((0.9 * m + 0.1 * g).sign() + 0.5 * w)
        m = 0.99 * m + 0.01 * g
    assert torch.allclose(stepped("lion", "lr = lr, weight_decay = 0.5", tmp_path), w)


def test_sign_descent(tmp_path: Path):
    w, m = START.clone(), torch.zeros(2, 2)
    for g in GRADIENTS:
        m = 0.5 * m + 0.5 * g
        w = w - 0.1 * m.sign()
    assert torch.allclose(stepped("signsgd", "lr = lr, momentum = 0.5", tmp_path), w)


def test_lamb(tmp_path: Path):
    """Algorithm 2 of arXiv 1904.00962, with the identity for its scaling function."""
    w, m, v = START.clone(), torch.zeros(2, 2), torch.zeros(2, 2)
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        r = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-6) + 0.5 * w
        w = w - 0.1 * w.norm() / r.norm() * r
    assert torch.allclose(stepped("lamb", "lr = lr, weight_decay = 0.5", tmp_path), w)


def test_lars(tmp_path: Path):
    """Section 4 of arXiv 1708.03888, the rate of each layer times its norm over its gradient's."""
    w, m = START.clone(), torch.zeros(2, 2)
    for g in GRADIENTS:
        m = 0.9 * m + w.norm() / g.norm() * g
        w = w - 0.1 * m
    assert torch.allclose(stepped("lars", "lr = lr, momentum = 0.9", tmp_path), w)


def test_a_step_may_reevaluate_the_loss(tmp_path: Path):
    """The closure runs with gradients on, and its loss is returned."""
    module: Any = load(abcparam.compile(model("lion")), tmp_path)
    made = module.M(module.Config())
    optimizer = module.make_optimizer(made)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = made(torch.ones(3, 8)).square().mean()
        loss.backward()
        return loss

    before = made.U.weight.detach().clone()
    assert optimizer.step(closure).requires_grad
    assert not torch.equal(before, made.U.weight)


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_muon_is_told_how_to_adjust(adjust: str, tmp_path: Path):
    code = abcparam.compile(model("muon", settings=f"lr = lr, adjust = {adjust}"))
    module: Any = load(code, tmp_path)
    optimizer = module.make_optimizer(module.M(module.Config()))
    assert (optimizer.defaults["adjust_lr_fn"] or "original") == adjust


def test_muon_like_adamw_has_rates_like_adamw():
    """Moonshot's adjustment makes updates of Adam's size, so their exponents are Adam's: hidden
    c = 1/2 + 1/2 for the spectral norm (arXiv 2502.16982, section 2.2).
    """
    text = model("muon", "", "lr = lr, adjust = match_rms_adamw")
    report = abcparam.check(abcparam.solve(text))
    assert report.verdict == "maximal-update"
    rates = {law.path: str(law.parameter.c) for law in report.judgement.tensors}
    assert rates["A"] == "width^(1/2)"


@pytest.mark.parametrize("word", ["fast", "1", "true"])
def test_words_that_are_not_known(word: str):
    with pytest.raises(abcparam.SpecError) as refused:
        abcparam.check(model("muon", settings=f"lr = lr, adjust = {word}"))
    (error,) = refused.value.diagnostics
    assert error.message == "`adjust` must be one of original, match_rms_adamw"
