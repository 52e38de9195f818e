"""What weight decay does at large width: the law beside the part of the weights that a step of the
emitted optimizer takes, and the warnings.
"""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import abcparam
from tests.optimizers.test_optimizers import model
from tests.support.emitted import load

WIDTHS = [64, 128, 256, 512, 1024]
SQUARE = "1e-3 / (width / base(width))^2"

# Sizes of the part of U, A and V that a step takes, and what check says beside it.
LAWS = [
    ("sgd", "0.1", "1 0 1", {"P0604"}, "= width: it grows"),
    ("adamw", "0.1", "0 -1 0", {"P0603"}, "= width^-1: it vanishes"),
    ("lion", "0.1", "0 -1 0", {"P0603"}, "= width^-1: it vanishes"),
    ("adam", "100", "0 -1/2 0", {"P0607"}, "it drowns it"),
    ("adam", SQUARE, "-1 -2 -1", {"P0607"}, "it vanishes beside it"),
    ("rmsprop", SQUARE, "-1 -2 -1", {"P0607"}, "it vanishes beside it"),
    ("lars", "100", "0 -1/2 0", {"P0607"}, "it drowns it"),
    ("lamb", "1e-2", "0 -1 0", {"P0607"}, "it vanishes beside it"),
]


@pytest.mark.parametrize(("optimizer", "decay", "sizes", "codes", "said"), LAWS)
def test_the_part_that_decay_takes(
    optimizer: str, decay: str, sizes: str, codes: set[str], said: str, tmp_path: Path
):
    text = model(optimizer, settings=f"lr = lr, weight_decay = {decay}")
    report = abcparam.check(text)
    warned = [d for d in report.diagnostics if d.code in {"P0603", "P0604", "P0607"}]
    assert {d.code for d in warned} == codes
    assert all(said in d.message for d in warned)

    rule = report.graph.program.optimizers[0].rule
    laws = [rule.decays(law.parameter) for law in report.judgement.tensors]
    assert " ".join(str(law.exponents()["width"]) for law in laws) == sizes

    module = load(abcparam.compile(text), tmp_path)
    parts = torch.stack([part_of_decay(module, width) for width in WIDTHS]).log()
    logs = torch.tensor(WIDTHS).double().log()
    logs -= logs.mean()
    slopes = (logs @ parts) / logs.square().sum()
    assert slopes.tolist() == pytest.approx([float(Fraction(e)) for e in sizes.split()], abs=0.1)


def part_of_decay(module: Any, width: int) -> Tensor:
    """`-<w, step with decay - without> / <w, w>` of U, A and V in a third step, mean of 4 seeds.

    The gradients are those of three batches at the initial weights, the same with and without. (In
    a first step Adam's update is a sign, and few signs change.)
    """
    parts = [of_one_seed(module, width, seed) for seed in range(4)]
    return torch.stack(parts).double().mean(0)


def of_one_seed(module: Any, width: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    model = module.M(module.Config(width=width)).double()
    start = [parameter.detach().clone() for parameter in model.parameters()]
    gradients = [gradients_of(model) for _ in range(3)]
    decayed, plain = (
        stepped(module, copy.deepcopy(model), gradients, decays) for decays in (True, False)
    )
    each = zip(start, decayed, plain, strict=True)
    return torch.stack([-(w * (d - p)).sum() / w.square().sum() for w, d, p in each])


def gradients_of(model: Any) -> tuple[Tensor, ...]:
    inputs = torch.randn(16, 8, dtype=torch.float64)
    loss = functional.cross_entropy(model(inputs), torch.randint(4, (16,)))
    return torch.autograd.grad(loss, list(model.parameters()))


def stepped(
    module: Any, model: Any, gradients: list[tuple[Tensor, ...]], decays: bool
) -> list[Tensor]:
    optimizer = module.make_optimizer(model)
    for group in optimizer.param_groups:
        group["weight_decay"] *= decays
    for step in gradients:
        before = [parameter.detach().clone() for parameter in model.parameters()]
        for parameter, gradient in zip(model.parameters(), step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [(p - w).detach() for p, w in zip(model.parameters(), before, strict=True)]
