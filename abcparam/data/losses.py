"""The losses: what each is worth, and what a target of it looks like."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def loss_value(kind: str, output: Tensor, target: Tensor) -> Tensor:
    """A loss, of shape []; the last axis of an output with `cross_entropy` is that of the classes.

    Of the kind `value` the output is a loss itself.
    """
    match kind:
        case "mse":
            return F.mse_loss(output, target)
        case "huber":
            return F.huber_loss(output, target)
        case "binary_cross_entropy":
            return F.binary_cross_entropy_with_logits(output, target)
        case "cross_entropy":
            return F.cross_entropy(output.flatten(0, -2), target.flatten())
    return output.sum()


def drawn_target(
    kind: str, shape: tuple[int, ...], draw: torch.Generator, dtype: torch.dtype = torch.float64
) -> Tensor:
    """A target at random of an output of this shape: numbers, or a class for each of its rows.

    Of an output that has no axis but the batch's it is the sample's own: each goes with its pair.
    """
    if kind == "cross_entropy" and len(shape) == 1:
        return torch.arange(*shape)
    if kind == "cross_entropy":
        return torch.randint(shape[-1], shape[:-1], generator=draw)
    return of_numbers(kind, torch.randn(shape, generator=draw, dtype=dtype))


def of_numbers(kind: str, numbers: Tensor) -> Tensor:
    """Numbers as a target: which of them are positive, where it is one of yes and no."""
    return (numbers > 0).to(numbers.dtype) if kind == "binary_cross_entropy" else numbers
