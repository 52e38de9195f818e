"""Tables that are looked up and read out, and multiplied where they are looked up."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam


class Tied(nn.Module):
    """The first transformer's table: entries of width^(-1/2), times the root of the width."""

    def __init__(self, width: int, std: float, factor: float) -> None:
        super().__init__()
        self.table, self.factor = nn.Embedding(50, width), factor
        self.up, self.norm = nn.Linear(width, width), nn.LayerNorm(width, elementwise_affine=False)
        self.out = nn.Linear(width, 50, bias=False)
        self.out.weight = self.table.weight
        nn.init.normal_(self.table.weight, std=std)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens) * self.factor
        logits: Tensor = self.out(self.norm(x + torch.relu(self.up(x))))
        return logits


@pytest.mark.parametrize("power", [Fraction(0), Fraction(1, 2)])
def test_a_table_is_smaller_by_what_multiplies_it_and_its_readout_larger(power: Fraction) -> None:
    """Updates of width^-p, times width^p and seen; read out they sum to width^(1 - p)."""

    def make(width: int = 64) -> Any:
        factor = width ** float(power)
        return Tied(width, 1 / factor, factor), (torch.randint(50, (5, 7)),)

    remedy = abcparam.audit(make, ["width"]).remedy
    assert remedy.reaches
    (missing,) = remedy.missing
    assert missing.powers == {"width": power - 1}
    changes = {change.path: change for change in remedy.changes}
    assert not changes["table.weight"].init
    assert changes["table.weight"].lr == ({"width": -power} if power else {})


class Autoencoder(nn.Module):
    """Its readout is its first map, turned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.mix = nn.Linear(9, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter(x)
        return (h + torch.relu(self.mix(h))) @ self.enter.weight


def test_a_map_of_the_inputs_that_reads_out_wants_one_over_the_width() -> None:
    found = abcparam.audit(lambda width=32: (Autoencoder(width), (torch.randn(4, 9),)), ["width"])
    assert (found.verdict, found.remedy.verdict) == ("unstable-at-init", "maximal-update")
    (missing,) = found.remedy.missing
    assert missing.powers == {"width": -1}
    spec = """model Autoencoder
dim width -> inf, base = 32
parametrization mup
tensor enter : input  [width, 9]
tensor mix   : hidden [width, width]
forward(x : [9]) {
    h = enter @ x
    return enter.T @ (h + relu(mix @ h))
}
optimizer adam { lr = 1e-3 }
loss mse
"""
    (change,) = abcparam.check(spec).fix
    assert str(change) == "`base(width) / width * (enter.T @ (h + relu(mix @ h)))`"
    assert abcparam.fix(spec).report.verdict == "maximal-update"
