"""scikit-learn's digits, each time it is seen turned, scaled and shifted a little at random."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from abcparam.data.digits import Digits

Batch = tuple[Tensor, Tensor]  # images, labels

SIDE = 8  # pixels
TURN, SCALE, SHIFT = math.pi / 12, 0.15, 0.25  # at most: radians, share, halves of the side
LEAST = 0.01  # of a variance: pixels at the edge hardly vary


@cache
def _digits() -> Digits:
    return Digits()


def digits(config: Any, size: int, seed: int) -> Iterator[Batch]:
    """In epochs, each in another order."""
    found, draw = _digits(), torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    while True:
        while len(order) < size:
            order = torch.cat([order, torch.randperm(len(found.labels), generator=draw)])
        chosen, order = order[:size], order[size:]
        yield varied(found.images[chosen], draw), found.labels[chosen]


def digits_held_out(config: Any, size: int) -> Iterator[Batch]:
    """As they are."""
    found = _digits()
    yield from zip(found.kept.split(size), found.kept_labels.split(size), strict=True)


def whitened(config: Any, size: int, seed: int) -> Iterator[Batch]:
    """The same with mean 0 and, as far as they vary, a variance of 1 in every direction."""
    mean, white = _whitening()
    for images, labels in digits(config, size, seed):
        yield (images - mean) @ white, labels


@cache
def _whitening() -> tuple[Tensor, Tensor]:
    images = varied(_digits().images, torch.Generator().manual_seed(0))
    variances, directions = torch.linalg.eigh(torch.cov(images.T))
    scaled = directions * variances.clamp(min=LEAST).rsqrt()
    return images.mean(0), scaled @ directions.T


def varied(images: Tensor, draw: torch.Generator) -> Tensor:
    """Each image turned, scaled and shifted; what comes in at the edge is background."""
    count = len(images)
    turn, scale, *shift = torch.rand(4, count, generator=draw) * 2 - 1
    angle, size = turn * TURN, 1 + scale * SCALE
    cosine, sine = size * angle.cos(), size * angle.sin()
    maps = torch.stack([cosine, -sine, shift[0] * SHIFT, sine, cosine, shift[1] * SHIFT], dim=1)
    grid = F.affine_grid(maps.view(count, 2, 3), [count, 1, SIDE, SIDE], align_corners=False)
    background = images.min()
    drawn = F.grid_sample(
        (images - background).view(count, 1, SIDE, SIDE), grid, align_corners=False
    )
    return drawn.flatten(1) + background
