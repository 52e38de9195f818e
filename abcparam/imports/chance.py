"""Inputs that a factory draws anew at each size: what differs by chance alone is made the same."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils import _pytree

SIGMAS = 4.5  # standard deviations of a logarithm between the largest and the smallest of some
NOISE = 1.4  # between the sizes of what was drawn at random, at least


def noise_of(count: int, least: float = NOISE) -> float:
    """By which factor root mean squares of so many draws may differ."""
    return max(least, math.exp(SIGMAS / math.sqrt(2 * max(1, count))))


class FirstInputs:
    """The inputs that were drawn first, by the seed, in place of all that differ by chance.

    A wider model takes more draws before its inputs are drawn. Of few numbers, ten rewards say,
    the root mean square then differs by as much as a power of the width would make it.
    """

    def __init__(self) -> None:
        self.drawn: dict[int, list[Any]] = {}

    def of(self, inputs: Any, seed: int) -> Any:
        """The first inputs of a seed where those given are others by chance."""
        leaves, form = _pytree.tree_flatten(inputs)
        first = self.drawn.setdefault(seed, [_copy(leaf) for leaf in leaves])
        if len(first) == len(leaves):
            leaves = [
                _copy(y) if _by_chance(x, y) else x for x, y in zip(leaves, first, strict=True)
            ]
        return _pytree.tree_unflatten(leaves, form)


def _copy(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf


def _by_chance(x: Any, first: Any) -> bool:
    """Whether two values were drawn alike: of one size within chance, and no multiples."""
    if not (isinstance(x, torch.Tensor) and isinstance(first, torch.Tensor)):
        return False
    if (x.shape, x.dtype, x.device.type) != (first.shape, first.dtype, "cpu"):
        return False
    if not x.is_floating_point() or x.requires_grad or x.numel() < 2:
        return False
    sizes = [float(v.double().square().mean().sqrt()) for v in (x, first)]
    if not all(math.isfinite(size) and size for size in sizes):
        return False
    ratio = sizes[0] / sizes[1]
    is_multiple = torch.allclose(x.double(), first.double() * ratio, rtol=1e-4)
    return not is_multiple and max(ratio, 1 / ratio) <= noise_of(x.numel())
