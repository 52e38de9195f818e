"""Functions that are flat beyond an end or have a kink: what is there learns as PyTorch has it.

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


FUNCTIONS: dict[str, tuple[Function, tuple[float, ...]]] = {
    "clamp(0, 1)": (lambda g: g.clamp(0, 1), (0.0, 0.5, 1.0, 2.0)),
    "clamp(min=0)": (lambda g: g.clamp(min=0), (0.0, -1.0)),
    "clamp(min=1)": (lambda g: g.clamp(min=1), (0.0, 1.0, 2.0)),
    "clamp(-1, 1)": (lambda g: g.clamp(-1, 1), (1.0,)),
    "clamp(0, 6)": (lambda g: g.clamp(0, 6), (0.0,)),
    "clamp(1, 2)": (lambda g: g.clamp(1, 2), (0.0,)),
    "clamp of 1 - g": (lambda g: (1 - g).clamp(0, 1), (0.0, 0.5, 1.0, 2.0)),
    "clamp of 2 g": (lambda g: (2 * g).clamp(0, 1), (0.0, 0.25, 0.5, 2.0)),
    "clamp of g + 1": (lambda g: (g + 1).clamp(max=1), (0.0, 1.0, -1.0)),
    "relu": (torch.relu, (0.0, 1.0, -1.0)),
    "relu(1 - 2 g)": (lambda g: torch.relu(1 - 2 * g), (0.0, 0.5, 1.0)),
    "relu(g - 1)": (lambda g: torch.relu(g - 1), (0.0, 1.0, 2.0)),
    "relu(-g)": (lambda g: torch.relu(-g), (0.0, 1.0, -1.0)),
    "relu(g)^2": (lambda g: torch.relu(g) ** 2, (0.0, 0.5, -1.0)),
    "1 - relu(1 - g)": (lambda g: 1 - torch.relu(1 - g), (0.0, 1.0, 2.0)),
    "relu(relu(g) - 1)": (lambda g: torch.relu(torch.relu(g) - 1), (0.0, 1.0, 2.0)),
    "relu6": (F.relu6, (0.0, 6.0, 7.0)),
    "hardtanh": (F.hardtanh, (1.0, 0.5)),
    "hardtanh(0, 2)": (lambda g: F.hardtanh(g, 0.0, 2.0), (0.0, 1.0, 2.0, 3.0)),
    "abs": (torch.abs, (0.0, 0.5, -0.5)),
    "abs(g - 1)": (lambda g: (g - 1).abs(), (0.0, 1.0)),
    "sqrt(abs(g) + 1)": (lambda g: torch.sqrt(g.abs() + 1), (0.0, 1.0)),
    "maximum(g, 0)": (lambda g: torch.maximum(g, torch.zeros_like(g)), (0.0, 1.0, -2.0)),
    "maximum(g, -g)": (lambda g: torch.maximum(g, -g), (0.0, 1.0)),
    "hardshrink": (F.hardshrink, (0.0, 0.5, -0.5, 1.0)),
    "hardshrink(1)": (lambda g: F.hardshrink(g, 1.0), (0.5, 1.0, 2.0)),
    "softshrink": (F.softshrink, (0.0, 0.5, -0.5, 1.0)),
    "softshrink(1)": (lambda g: F.softshrink(g, 1.0), (0.5, 1.0, 2.0)),
    "tanhshrink": (F.tanhshrink, (0.0, 1.0)),
    "threshold(0.5, 2)": (lambda g: F.threshold(g, 0.5, 2.0), (0.0, 0.5, 1.0)),
    "leaky_relu": (F.leaky_relu, (0.0, 1.0, -1.0)),
    "leaky_relu(0)": (lambda g: F.leaky_relu(g, 0.0), (0.0, 1.0, -1.0)),
    "elu": (F.elu, (0.0, 1.0)),
    "hardsigmoid": (F.hardsigmoid, (0.0, 3.0, -3.0, 4.0)),
    "hardswish": (F.hardswish, (0.0, 3.0, -3.0, 4.0, -4.0)),
    "square": (torch.square, (0.0, 0.5)),
    "cos": (torch.cos, (0.0, 0.5)),
}


@pytest.mark.parametrize(
    ("name", "start"), [(name, x) for name, (_, starts) in FUNCTIONS.items() for x in starts]
)
def test_what_is_at_an_end_learns_where_pytorch_gives_it_a_gradient(name: str, start: float):
    build = factory(FUNCTIONS[name][0], start)
    model, inputs = build()
    model(*inputs).sum().backward()
    assert model.gate.grad is not None
    report = abcparam.audit(build, ["width"]).report
    (law,) = (law for law in report.judgement.tensors if law.path == "gate")
    assert (law.slack is not None) == bool(model.gate.grad.any())
