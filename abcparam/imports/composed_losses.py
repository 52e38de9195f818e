"""Losses of distances and margins, and distances themselves, written out as the calls they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Node

aten = torch.ops.aten
Make = Callable[..., Node]
AS_IT_IS, MEAN = 0, 1  # reductions, by PyTorch's numbers; a sum is 2


def _cosine(make: Make, x: Node, y: Node, dim: int = 1, eps: float = 1e-8) -> Node:
    unit = [
        make(
            aten.div.Tensor,
            v,
            make(
                aten.clamp_min.default,
                make(aten.linalg_vector_norm.default, v, 2, [dim], True),
                eps,
            ),
        )
        for v in (x, y)
    ]
    return make(aten.sum.dim_IntList, make(aten.mul.Tensor, *unit), [dim])


def _reduced(make: Make, x: Node, reduction: int) -> Node:
    if reduction == AS_IT_IS:
        return x
    return make(aten.mean.default if reduction == MEAN else aten.sum.default, x)


def _above(make: Make, x: Node, margin: object) -> Node:
    """`max(x + margin, 0)`."""
    return make(aten.clamp_min.default, make(aten.add.Tensor, x, margin), 0.0)


def _chosen(make: Make, target: Node, one: Node, other: Node, reduction: int) -> Node:
    """One loss where a target is 1, another where it is -1."""
    return _reduced(
        make, make(aten.where.self, make(aten.eq.Scalar, target, 1), one, other), reduction
    )


def _distance(
    make: Make, x: Node, y: Node, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Node:
    difference = make(aten.add.Tensor, make(aten.sub.Tensor, x, y), eps)
    return make(aten.linalg_vector_norm.default, difference, p, [-1], keepdim)


def _distances(make: Make, x: Node, y: Node, p: float = 2.0, mode: object = None) -> Node:
    """Of each row from each."""
    rows, others = make(aten.unsqueeze.default, x, -2), make(aten.unsqueeze.default, y, -3)
    return make(aten.linalg_vector_norm.default, make(aten.sub.Tensor, rows, others), p, [-1])


def _triplet(
    make: Make,
    anchor: Node,
    near: Node,
    far: Node,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = MEAN,
) -> Node:
    away = _distance(make, anchor, far, p, eps)
    if swap:
        away = make(aten.minimum.default, away, _distance(make, near, far, p, eps))
    found = make(aten.sub.Tensor, _distance(make, anchor, near, p, eps), away)
    return _reduced(make, _above(make, found, margin), reduction)


def _ranking(
    make: Make, x: Node, y: Node, target: Node, margin: float = 0.0, reduction: int = MEAN
) -> Node:
    found = make(aten.mul.Tensor, make(aten.sub.Tensor, y, x), target)
    return _reduced(make, _above(make, found, margin), reduction)


def _cosine_embedding(
    make: Make, x: Node, y: Node, target: Node, margin: float = 0.0, reduction: int = MEAN
) -> Node:
    cosine = _cosine(make, x, y, -1)
    near = make(aten.rsub.Scalar, cosine, 1.0)
    return _chosen(make, target, near, _above(make, cosine, -margin), reduction)


def _hinge(make: Make, x: Node, target: Node, margin: float = 1.0, reduction: int = MEAN) -> Node:
    far = _above(make, make(aten.neg.default, x), margin)
    return _chosen(make, target, x, far, reduction)


def _classes_margin(
    make: Make,
    x: Node,
    target: Node,
    p: object = 1,
    margin: float = 1.0,
    weight: Node | None = None,
    reduction: int = MEAN,
) -> Node | None:
    """The mean of `max(margin - x[target] + x, 0)` over all classes; that of its own is fixed."""
    if p != 1 or weight is not None or x.meta["val"].dim() != 2:
        return None
    own = make(aten.gather.default, x, 1, make(aten.unsqueeze.default, target, 1))
    found = _above(make, make(aten.sub.Tensor, x, own), margin)
    each = make(aten.sub.Tensor, make(aten.mean.dim, found, [1]), margin / x.meta["val"].shape[1])
    return _reduced(make, each, reduction)


LOSSES: dict[object, Callable[..., Node | Sequence[Node] | None]] = {
    aten.cosine_similarity.default: _cosine,
    aten.pairwise_distance.default: _distance,
    aten.cdist.default: _distances,
    aten.triplet_margin_loss.default: _triplet,
    aten.margin_ranking_loss.default: _ranking,
    aten.cosine_embedding_loss.default: _cosine_embedding,
    aten.hinge_embedding_loss.default: _hinge,
    aten.multi_margin_loss.default: _classes_margin,
}


def gaussian(
    input: Any,
    target: Any,
    var: Any,
    full: Any = False,
    eps: Any = 1e-6,
    reduction: Any = "mean",
) -> Any:
    """`F.gaussian_nll_loss` without a look at the values of the variance: it refuses bad ones.

    The constant that `full` adds is left out.
    """
    if not isinstance(var, torch.Tensor):
        var = var * torch.ones_like(input)
    if var.dim() == input.dim() - 1 and var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    var = var.clamp(min=eps)
    found = 0.5 * (var.log() + (input - target) ** 2 / var)
    return found if reduction == "none" else getattr(found, reduction)()
