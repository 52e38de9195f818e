"""Functions that are flat beyond an end: whether a value at the end learns, as PyTorch has it.

`torch.clamp` passes the gradient on at its ends; `relu`, `relu6` and `hardtanh` do not.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam

Function = Callable[[Tensor], Tensor]
X = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))


class Gated(nn.Module):
    """Features and a function of a vector times these."""

    def __init__(self, width: int, function: Function, start: float) -> None:
        super().__init__()
        self.map, self.out = nn.Linear(9, width), nn.Linear(width, 3)
        self.gate = nn.Parameter(torch.full((width,), start))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.map(x))
        return self.out(h + h * self.function(self.gate))


def factory(function: Function, start: float) -> Callable[..., tuple[Gated, tuple[Tensor]]]:
    def build(width: int = 16) -> tuple[Gated, tuple[Tensor]]:
        return Gated(width, function, start), (X,)

    return build


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (lambda g: g.clamp(0, 1), 0.0),
        (lambda g: g.clamp(0, 1), 0.5),
        (lambda g: g.clamp(0, 1), 1.0),
        (lambda g: g.clamp(0, 1), 2.0),
        (lambda g: g.clamp(min=0), 0.0),
        (lambda g: g.clamp(min=0), -1.0),
        (lambda g: g.clamp(-1, 1), 1.0),
        (lambda g: g.clamp(0, 6), 0.0),
        (lambda g: g.clamp(1, 2), 0.0),
        (torch.relu, 0.0),
        (F.relu6, 0.0),
        (F.hardtanh, 1.0),
        (F.hardtanh, 0.5),
    ],
)
def test_what_is_at_an_end_learns_where_pytorch_gives_it_a_gradient(
    function: Function, start: float
):
    build = factory(function, start)
    model, inputs = build()
    model(*inputs).sum().backward()
    assert model.gate.grad is not None
    report = abcparam.audit(build, ["width"]).report
    (law,) = (law for law in report.judgement.tensors if law.path == "gate")
    assert (law.slack is not None) == bool(model.gate.grad.any())
