"""The batch of a coordinate check: the same for a seed at every width, in double precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from abcparam.data import batch as base
from abcparam.data.batch import Batch, Data
from abcparam.data.random import Random
from abcparam.program.model import Program


def batch_of(
    program: Program, config: Any, seed: int, size: int, device: str, data: Data | None = None
) -> Batch:
    """The first batch of some data, of random numbers if none is given."""
    found = (data or Random()).batches(program, config, size, seed)
    return next(found).to(device, torch.float64)


def loss_of(program: Program, outputs: tuple[Tensor, ...], batch: Batch) -> Tensor:
    """The spec's loss on a batch."""
    return base.loss_of(program, outputs, batch.targets)
