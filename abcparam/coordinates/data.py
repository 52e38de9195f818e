"""Synthetic batches: the same for a seed at every width."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from abcparam.program import Program


class Batch(NamedTuple):
    """Inputs in the order of the model's, and a generator for the targets, which outputs shape."""

    inputs: tuple[Tensor, ...]
    seed: int


def batch_of(program: Program, config: Any, seed: int, size: int, device: str) -> Batch:
    """Normal numbers, and uniform integers whose first is the largest (a mask keeps that one)."""
    draw = torch.Generator().manual_seed(1_000_003 + seed)
    values = _values(program, config)
    inputs = []
    for given in program.inputs:
        shape = (size, *(_whole(axis.value.evaluate(values)) for axis in given.axes))
        if given.index is None:
            made = torch.randn(shape, generator=draw, dtype=torch.float64)
        else:
            classes = _whole(given.index.value.evaluate(values))
            made = torch.randint(classes, shape, generator=draw)
            if classes == 2:
                made[..., 0] = 1
        inputs.append(made.to(device))
    return Batch(tuple(inputs), seed)


def _values(program: Program, config: Any) -> Mapping[str, Fraction]:
    names = [d.name for d in program.dims.values() if not d.derived] + list(program.hypers)
    return {name: Fraction(getattr(config, name)) for name in names}


def _whole(value: Fraction) -> int:
    return max(1, round(value))


def loss_of(program: Program, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
    """The spec's loss, on targets drawn at random."""
    draw = torch.Generator().manual_seed(2_000_003 + batch.seed)
    total = outputs[0].new_zeros(())
    for loss in program.losses:
        output = outputs[loss.output]
        if loss.kind == "cross_entropy":
            flat = output.flatten(0, -2)
            targets = torch.randint(flat.shape[-1], flat.shape[:1], generator=draw)
            total = total + F.cross_entropy(flat, targets.to(output.device))
        else:
            wanted = torch.randn(output.shape, generator=draw, dtype=torch.float64)
            total = total + F.mse_loss(output, wanted.to(output))
    return total
