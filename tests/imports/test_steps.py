"""Functions that are flat but for steps, straight through and as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam

Step = Callable[[Tensor], Tensor]


class Stepped(nn.Module):
    """A step between layers, straight through or not, of a value of this size."""

    def __init__(self, width: int, step: Step, size: float, straight: bool) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, width), nn.Linear(width, width), nn.Linear(width, 4)
        self.step, self.size, self.straight = step, size, straight

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x) * self.size
        h = h + (self.step(h) - h).detach() if self.straight else self.step(h)
        return self.c(torch.relu(self.b(h)))


def factory(step: Step, power: float = 0, straight: bool = True) -> Callable[..., Any]:
    def build(width: int = 64) -> tuple[Stepped, tuple[Tensor]]:
        return Stepped(width, step, width**power, straight), (torch.randn(16, 8),)

    return build


@pytest.mark.parametrize("step", [torch.sign, torch.sgn, torch.round, torch.floor, torch.trunc])
def test_straight_through_a_step(step: Step):
    """Sizes at init are held to what is measured; layers learn on both sides of it."""
    found = abcparam.audit(factory(step), ["width"])
    assert (found.verdict, found.remedy.verdict) == ("unstable", "maximal-update")
    changed = {x.path: x.lr["width"] for x in found.remedy.changes if x.lr}
    assert changed == {"b.weight": -1, "c.weight": -1}


def test_a_sign_is_of_size_one_however_small_its_input():
    found = abcparam.audit(factory(torch.sign, -0.5), ["width"])
    (law,) = (x for x in found.report.judgement.tensors if x.parameter.tensor.path == "b.weight")
    assert law.node is not None and found.remedy.reaches
    assert str(law.node.inputs[0].s0) == "1"


def test_no_gradient_passes_a_sign():
    """What is below it is never trained, which is all that is said of it."""
    found = abcparam.audit(factory(torch.sign, straight=False), ["width"])
    status = {law.parameter.tensor.path: law.status for law in found.report.judgement.tensors}
    assert status["a.weight"] == "frozen" and status["b.weight"] == "over"


@pytest.mark.parametrize("step", [torch.sign, torch.round])
def test_of_a_small_change_few_steps_are_crossed(step: Step):
    """A part δ of all, by Θ(1) each: δ^(1/2) in root mean square, and δ along the change.

    Measured under Adam at rates of n^(-3/2), widths 128 to 2048, four seeds: the change of h -0.53,
    of its sign -0.25, of a random map of that -0.25.
    """

    def sgd(model: Stepped) -> torch.optim.SGD:
        return torch.optim.SGD(model.parameters(), lr=1 / model.a.out_features)

    nodes = abcparam.audit(factory(step), ["width"], sgd).report.graph.nodes
    mapped = next(node for node in nodes if node.title == "b.weight")
    (x,) = mapped.inputs
    assert (str(x.d), str(x.along)) == ("width^(-3/4)", "width^(-3/2)")


@pytest.mark.slow
@pytest.mark.parametrize("step", [torch.sign, torch.round])
def test_adapted_it_is_as_derived(step: Step):
    audit = abcparam.audit(factory(step), ["width"])
    found = abcparam.coord_check(audit, adapted=True, widths=(64, 128, 256, 512), seeds=3)
    assert "disagrees" not in {row.outcome for row in found.verdict.rows}
