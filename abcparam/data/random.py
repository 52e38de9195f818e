"""Numbers drawn at random: there is nothing to learn, the laws hold for any batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from abcparam.data.batch import Batch, lengths, output_shapes, values_of
from abcparam.data.losses import drawn_target
from abcparam.program.model import Program


class Random:
    """The same batch again and again, of normal numbers and uniform integers."""

    name = "random numbers"
    identity = "random"

    def batches(self, program: Program, config: Any, size: int, seed: int) -> Iterator[Batch]:
        batch = Batch(
            random_inputs(program, config, size, 1_000_003 + seed),
            _targets(program, config, size, 2_000_003 + seed),
        )
        while True:
            yield batch

    def held_out(self, program: Program, config: Any, size: int) -> None:
        """There is nothing to learn."""


def random_inputs(program: Program, config: Any, size: int, seed: int) -> tuple[Tensor, ...]:
    """Inputs in double precision; of two classes the first is the second one (a mask keeps it)."""
    draw = torch.Generator().manual_seed(seed)
    values = values_of(program, config)
    inputs = []
    for given in program.inputs:
        shape = (size, *lengths(tuple(axis.value for axis in given.axes), values))
        if given.index is None:
            inputs.append(torch.randn(shape, generator=draw, dtype=torch.float64))
        else:
            (classes,) = lengths((given.index.value,), values)
            made = torch.randint(classes, shape, generator=draw)
            if classes == 2:
                made[..., 0] = 1
            inputs.append(made)
    return tuple(inputs)


def _targets(program: Program, config: Any, size: int, seed: int) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    shapes = output_shapes(program, values_of(program, config))
    return tuple(
        drawn_target(loss.kind, (size, *shapes[loss.output]), draw) for loss in program.losses
    )
