"""The rules of thumb: their formulas, what they keep, and that no verdict knows of them."""

from __future__ import annotations

import pytest
import torch

from abcparam import heuristics
from tests.support.paths import ROOT

PACKAGE = ROOT / "abcparam"


def test_linear_rule_keeps_the_distance_of_an_epoch():
    """Of SGD on a constant gradient: as many examples move the weights as far."""
    for batch in (8, 32, 128):
        steps = 1024 // batch
        assert steps * heuristics.linear_batch_rule(0.1, batch, 32) == pytest.approx(3.2)


def test_square_root_rule_keeps_the_noise_of_as_many_examples():
    """Of normalized updates that are all noise, the variance of their sum."""
    for batch in (8, 32, 128):
        steps = 1024 // batch
        variance = steps * heuristics.square_root_batch_rule(0.1, batch, 32) ** 2
        assert variance == pytest.approx(32 * 0.1**2)


def test_square_root_rule_of_moments_and_epsilon():
    """arXiv 2205.10287, Definition 2, with kappa = 4."""
    assert heuristics.square_root_betas((0.9, 0.999), 128, 32) == pytest.approx((0.6, 0.996))
    assert heuristics.square_root_epsilon(1e-8, 128, 32) == pytest.approx(5e-9)


def test_decay_time_is_that_of_adamw():
    """After `decay_time` of the training AdamW's first weights are left to 1/e."""
    lr, decay, steps = 0.01, 0.1, 5000
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([parameter], lr=lr, weight_decay=decay)
    time = heuristics.decay_time(lr, decay, steps)
    for _ in range(round(time * steps)):
        parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    assert float(parameter.detach()) == pytest.approx(0.3679, rel=1e-3)
    assert heuristics.decay_for_time(lr, time, steps) == pytest.approx(decay)


@pytest.mark.parametrize("value", [0, -1])
def test_nonsense_is_refused(value):
    with pytest.raises(ValueError):
        heuristics.linear_batch_rule(0.1, value, 32)


def test_no_verdict_uses_them():
    importing = [p for p in PACKAGE.rglob("*.py") if "heuristics" in p.read_text(encoding="utf-8")]
    assert [p.name for p in importing if p.name != "heuristics.py"] == []
