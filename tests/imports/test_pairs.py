"""Maps of all products of two values: however they are written, one law, which is measured."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import log2

import pytest
import torch
from torch import Tensor, nn

import abcparam
from abcparam.algebra.sizes import NumericSpace, Size
from abcparam.calculus.pairs import pairs_gain

X, Y = torch.randn(4, 9), torch.randn(4, 7)
SPACE = NumericSpace({"n": (0, Fraction(1))})
Pairs = Callable[[nn.Bilinear, Tensor, Tensor], Tensor]
WRITTEN: dict[str, Pairs] = {
    "bilinear": lambda f, x, y: f(x, y) - f.bias,
    "einsum": lambda f, x, y: torch.einsum("bi,kij,bj->bk", x, f.weight, y),
    "with an ellipsis": lambda f, x, y: torch.einsum("...i,...j,kij->...k", x, y, f.weight),
    "outer": lambda f, x, y: torch.einsum("bi,bj->bij", x, y).flatten(1) @ f.weight.flatten(1).T,
    "matmul": lambda f, x, y: (x[:, :, None] @ y[:, None]).flatten(1) @ f.weight.flatten(1).T,
    "mul": lambda f, x, y: (
        (x.unsqueeze(-1) * y.unsqueeze(1)).reshape(4, -1) @ f.weight.flatten(1).T
    ),
}


class Net(nn.Module):
    """Two towers, and a map of what both give, to the width or to a number of values."""

    def __init__(self, width: int, pairs: Pairs, out: int = 0) -> None:
        super().__init__()
        out = out or width
        self.a, self.b = nn.Linear(9, width), nn.Linear(7, width)
        self.map, self.out = nn.Bilinear(width, width, out), nn.Linear(out, 3)
        self.pairs = pairs

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        made = self.pairs(self.map, torch.tanh(self.a(x)), torch.tanh(self.b(y)))
        return self.out(torch.tanh(made))


def factory(pairs: Pairs, out: int = 0) -> Callable[..., tuple[Net, tuple[Tensor, Tensor]]]:
    def build(width: int = 16) -> tuple[Net, tuple[Tensor, Tensor]]:
        return Net(width, pairs, out), (X, Y)

    return build


@pytest.mark.parametrize("written", WRITTEN)
def test_all_pairs_are_summed_over_and_a_change_of_them_along_one_axis(written: str):
    """An update sums over n^2 pairs: rate n^-2. Initial weights keep n^-1 an entry, as of a map
    over n^2, whose change of n^2 entries at once would ask for n^(-3/2)."""
    found = abcparam.audit(factory(WRITTEN[written]), ["width"])
    assert (found.verdict, found.remedy.verdict) == ("unstable-at-init", "maximal-update")
    (changed,) = (c for c in found.remedy.changes if c.path == "map.weight")
    assert changed.init == {"width": Fraction(-1, 2)} and changed.lr == {"width": -2}


def test_pairs_that_are_read_out_start_as_large_as_a_change_of_one_factor_allows():
    """It points along rows of n^(1/2) a pair: entries of n^-2 would pass n^(-1/2) of it on."""
    found = abcparam.audit(factory(WRITTEN["bilinear"], 5), ["width"])
    (changed,) = (c for c in found.remedy.changes if c.path == "map.weight")
    assert changed.init == {"width": -1} and changed.lr == {"width": -2}  # of n^(-1/2), of 1
    assert found.remedy.verdict == "maximal-update"


def size(powers: Fraction | int) -> Size:
    return SPACE.size({"n": Fraction(powers)})


@pytest.mark.parametrize(("out", "exponent"), [("n", 1), ("1", Fraction(3, 2))])
def test_a_change_of_one_factor_meets_initial_weights_along_one_axis(out: str, exponent: Fraction):
    """x moves along the gradient through W and y: measured with entries of 1, as derived."""
    torch.manual_seed(0)
    sizes = []
    for n in (16, 128):
        rows, found = n if out == "n" else 1, []
        for _ in range(8):
            weight, y, back = torch.randn(rows, n, n), torch.randn(n), torch.randn(rows)
            dx = torch.einsum("kij,k,j->i", weight, back, y)
            change = torch.einsum("kij,i,j->k", weight, dx / dx.square().mean().sqrt(), y)
            found.append(float(change.square().mean()))
        sizes.append(sum(found) / len(found))
    assert abs(log2(sizes[1] / sizes[0]) / 2 / 3 - exponent) < 0.1
    n, one = size(1), size(0)
    assert pairs_gain(n, n, n if out == "n" else one, "tensor-programs") == size(exponent)


@pytest.mark.slow
@pytest.mark.parametrize("out", [0, 5])
@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.Adam, 1e-3), (torch.optim.SGD, 0.1)])
def test_adapted_it_is_as_derived(
    optimizer: Callable[..., torch.optim.Optimizer], lr: float, out: int
):
    def train(model: nn.Module) -> torch.optim.Optimizer:
        return optimizer(model.parameters(), lr=lr)

    audit = abcparam.audit(factory(WRITTEN["bilinear"], out), ["width"], train)
    found = abcparam.coord_check(audit, adapted=True, widths=(32, 64, 128, 256), seeds=3, steps=4)
    assert "disagrees" not in {row.outcome for row in found.verdict.rows}
