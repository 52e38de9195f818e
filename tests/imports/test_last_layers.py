"""Towers whose last map computes what the maps before it do, and is read by sums over the width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import abcparam


class Tower(nn.Module):
    """What two inputs give, and what is made of these."""

    def __init__(self, width: int, of: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        sizes = (20, width, width, width)
        maps = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.f = nn.Sequential(*[x for m in maps for x in (m, nn.ReLU())][:-1])
        self.of = of

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.of(self.f(x), self.f(y))


def hinge(x: Tensor, y: Tensor) -> Tensor:
    return F.relu(1 - (x - y).norm(dim=-1)).square()


def products(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1)


def squares(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y) ** 2).sum(-1)


@pytest.mark.parametrize("of", [hinge, products, squares])
def test_the_last_map_of_a_tower_starts_smaller_than_those_before_it(
    of: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Entries of width^-1 make coordinates of width^(-1/2), vectors of length Θ(1)."""

    def make(width: int = 32) -> Any:
        return Tower(width, of), (torch.randn(8, 20), torch.randn(8, 20))

    found = abcparam.audit(make, ["width"])
    assert found.verdict == "unstable-at-init"
    assert found.remedy.reaches and not found.remedy.missing
    changes = {change.path: change for change in found.remedy.changes}
    assert not changes["f.2.weight"].init
    assert changes["f.2.weight"].lr == {"width": -1}
    assert changes["f.4.weight"].init == {"width": Fraction(-1, 2)}
    assert changes["f.4.weight"].lr == {"width": Fraction(-3, 2)}


def test_layers_of_a_readout_stay_one() -> None:
    """A model whose last layers need nothing of their own is judged as it is."""

    def make(width: int = 32) -> Any:
        def of(x: Tensor, y: Tensor) -> Tensor:
            return (x + y).mean(-1, keepdim=True)

        return Tower(width, of), (torch.randn(8, 20), torch.randn(8, 20))

    found = abcparam.audit(make, ["width"])
    assert "f.2-4/2.weight" in {change.path for change in found.remedy.changes}


TRIPLETS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "lengths": lambda a, p, n: F.relu((a - p).norm(dim=-1) - (a - n).norm(dim=-1) + 0.2),
    "distances": lambda a, p, n: F.relu(
        F.pairwise_distance(a, p) - F.pairwise_distance(a, n) + 0.2
    ),
    "a loss": lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=0.2),
    "squares": lambda a, p, n: F.relu(
        (a - p).square().sum(-1) - ((a - n) ** 2).sum(-1) + 0.2
    ).mean(),
}


@pytest.mark.parametrize("what", TRIPLETS)
def test_distances_of_vectors_of_one_length_are_of_size_one(what: str) -> None:
    """All are triplet losses of embeddings on a sphere (FaceNet, arXiv 1503.03832).

    An epsilon of `pairwise_distance` is no part of a law, and a square takes what is small.
    """

    class Embeddings(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(20, width), nn.Linear(width, width)

        def forward(self, *inputs: Tensor) -> Tensor:
            found = (self.b(torch.relu(self.a(x))) for x in inputs)
            return TRIPLETS[what](*(F.normalize(x, dim=-1) for x in found))

    def make(width: int = 32) -> Any:
        return Embeddings(width), tuple(torch.randn(8, 20) for _ in range(3))

    found = abcparam.audit(make, ["width"])
    assert found.verdict == "unstable"
    assert found.remedy.reaches and not found.remedy.missing
    assert {change.path: change.lr for change in found.remedy.changes if any(change.key)} == {
        "b.weight": {"width": -1}
    }


class Translations(nn.Module):
    """Distances of embeddings of one length from translated ones (TransE, NIPS 2013)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.entities, self.relations = nn.Embedding(50, width), nn.Embedding(9, width)

    def forward(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        ends = (F.normalize(self.entities(x), dim=-1) for x in (head, tail))
        return (next(ends) + self.relations(relation) - next(ends)).norm(dim=-1)


def test_what_is_added_to_vectors_of_one_length_is_of_one_length() -> None:
    def make(width: int = 32) -> Any:
        return Translations(width), tuple(torch.randint(9, (8,)) for _ in range(3))

    remedy = abcparam.audit(make, ["width"]).remedy
    assert remedy.reaches and not remedy.missing
    by: Mapping[str, Any] = {change.path: change for change in remedy.changes}
    relations = by["relations.weight"]
    assert relations.init == relations.lr == {"width": Fraction(-1, 2)}
